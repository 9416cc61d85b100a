package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxLogLines is how many lines of each client are kept.
const maxLogLines = 500

// clientLog is the end of a client's log.
type clientLog struct{ lines []string }

func (l *clientLog) add(line string) {
	l.lines = append(l.lines, line)
	if over := len(l.lines) - maxLogLines; over > 0 {
		l.lines = slices.Delete(l.lines, 0, over)
	}
}

func (l *clientLog) last(n int) []string { return slices.Clone(l.lines[max(0, len(l.lines)-n):]) }

// Logs are the last n lines of the consensus client's log, 500 at most, oldest first, in its own manner. What it complains about all the
// time stands at the end.
func (n *Node) Logs(lines int) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.sim.opts.Clock()
	if n.state == StateRunning {
		if n.faults.has(KindEngineAuth) {
			n.log(now, levelError, saysEngineAuth[n.opts.Client])
		}
		if n.faults.has(KindInvalidPayload) {
			n.log(now, levelError, saysInvalidPayload[n.opts.Client])
		}
	}
	return n.logs.last(lines)
}

// ExecutionLogs are the last n lines of the execution client's log, as Logs.
func (n *Node) ExecutionLogs(lines int) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.sim.opts.Clock()
	if n.execOpen() && n.faults.has(KindInvalidPayload) {
		n.execLogs.add(execLine(now, "ERROR", "########## BAD BLOCK #########"))
	}
	return n.execLogs.last(lines)
}

// logLevel is how grave a line is.
type logLevel int

const (
	levelInfo logLevel = iota
	levelWarn
	levelError
	levelFatal
)

// log adds a line; n.mu is held.
func (n *Node) log(t time.Time, l logLevel, message string) {
	n.logs.add(n.opts.Client.line(t, l, message))
}

// line is a line in a client's manner.
func (c Client) line(t time.Time, l logLevel, message string) string {
	t = t.UTC()
	word := func(words ...string) string { return words[l] }
	switch c {
	case Lighthouse:
		return fmt.Sprintf("%s %s %s", t.Format("Jan 02 15:04:05.000"), word("INFO", "WARN", "ERROR", "CRIT"), message)
	case Teku:
		return fmt.Sprintf("%s %s - %s", t.Format("2006-01-02 15:04:05.000"), word("INFO ", "WARN ", "ERROR", "FATAL"), message)
	case Prysm:
		return fmt.Sprintf("time=%q level=%s msg=%q prefix=node", t.Format(time.DateTime), word("info", "warning", "error", "fatal"), message)
	case Nimbus:
		return fmt.Sprintf("%s %s %s", word("INF", "WRN", "ERR", "FAT"), t.Format("2006-01-02 15:04:05.000-07:00"), message)
	case Lodestar:
		if l == levelFatal {
			return " ✖ Error: " + message
		}
		return fmt.Sprintf("%s[]  %s: %s", t.Format("Jan-02 15:04:05.000"), word("info", "warn", "error", "error"), message)
	case Grandine:
		return fmt.Sprintf("[%s] [%s] [grandine] %s", t.Format("2006-01-02T15:04:05.000-07:00"), word("INFO", "WARN", "ERROR", "ERROR"), message)
	}
	return message
}

// execLine is a line of geth's log: log/format.go.
func execLine(t time.Time, level, message string) string {
	return fmt.Sprintf("%-5s[%s] %s", level, t.UTC().Format("01-02|15:04:05.000"), message)
}

// What each client says of a trouble; the messages are those of its sources and of reports by its users.
var (
	saysCorrupt = map[Client]string{
		Lighthouse: "Failed to start beacon node             reason: Failed to build beacon chain: Finalized block state missing from database: 0x8d2e986f",
		Teku:       "Exiting due to fatal error: org.rocksdb.RocksDBException: Corruption: block checksum mismatch: expected 2192824273, got 290715816",
		Prysm:      "could not get ancestor state: failed to retrieve state from db: failed to unmarshal encoding: incorrect size",
		Nimbus:     `Failed to initialize database               topics="beacnde" err="database disk image is malformed"`,
		Lodestar:   "Database is not open { code: 'LEVEL_DATABASE_NOT_OPEN', [cause]: Error: Corruption: checksum mismatch { code: 'LEVEL_CORRUPTION' } }",
		Grandine:   "failed to open database: MDBX_CORRUPTED: Database is corrupted, e.g. page is not of the expected type",
	}
	saysDiskFull = map[Client]string{
		Lighthouse: "Failed to start beacon node             reason: IO error: /var/lib/lighthouse/beacon/chain_db/000123.log: No space left on device",
		Teku:       "Exiting due to fatal error: java.io.IOException: No space left on device",
		Prysm:      "could not write to database: write /var/lib/prysm/beaconchaindata/beaconchain.db: no space left on device",
		Nimbus:     `Failed to persist block                     topics="chaindag" err="database or disk is full"`,
		Lodestar:   "Error writing to db code=ENOSPC, syscall=write",
		Grandine:   "failed to write to database: No space left on device (os error 28)",
	}
	saysEngineAuth = map[Client]string{
		Lighthouse: "Failed jwt authorization                error: InvalidToken",
		Teku:       "Execution Client request failed. Make sure the Execution Client is online and can respond to requests: Invalid response received: 401; JWT: signature is invalid",
		Prysm:      "HTTP authentication to your execution client is not working. Please ensure you are setting a correct value for the --jwt-secret flag in Prysm",
		Nimbus:     `Unable to talk to the execution client      err="401 Unauthorized"`,
		Lodestar:   "Execution client authentication failed. Verify if the JWT secret matches on both clients",
		Grandine:   "call to the execution engine failed: invalid jwt, signature is invalid",
	}
	saysInvalidPayload = map[Client]string{
		Lighthouse: "Invalid execution payload               latest_valid_hash: Some(0x1d), status: Invalid",
		Teku:       "Unable to import block: Execution Payload is invalid",
		Prysm:      "Received an invalid payload from execution engine",
		Nimbus:     "Execution payload invalid from EL client",
		Lodestar:   "BLOCK_ERROR_EXECUTION_ERROR execStatus=INVALID",
		Grandine:   "block has an invalid execution payload",
	}
)

// logStart is what a client says when it starts; n.mu is held.
func (n *Node) logStart(now time.Time, source string) {
	c := n.opts.Client
	n.log(now, levelInfo, "Starting "+c.version())
	if n.db == nil || source == "" {
		return
	}
	switch c {
	case Lighthouse:
		n.log(now, levelInfo, "Refusing to checkpoint sync             msg: database already exists, use --purge-db to force checkpoint sync")
	case Teku:
		n.log(now, levelWarn, "Not loading specified initial state as chain data already exists.")
	case Prysm:
		n.log(now, levelInfo, "Origin checkpoint found in the database, ignoring checkpoint sync flags")
	case Nimbus:
		n.log(now, levelInfo, "Skipping checkpoint download, database already exists")
	case Grandine:
		n.log(now, levelWarn, "skipping checkpoint sync: existing database found; pass --force-checkpoint-sync to force checkpoint sync")
	}
}

// logExit is what a client says when it ends by itself; n.mu is held.
func (n *Node) logExit(now time.Time, why error) {
	c := n.opts.Client
	switch {
	case errors.Is(why, errDiskFull):
		n.log(now, levelFatal, saysDiskFull[c])
	case errors.Is(why, errCorrupt):
		n.log(now, levelFatal, saysCorrupt[c])
	case errors.Is(why, errOutsideWeakSubjectivity):
		n.log(now, levelFatal, "Failed to start: java.lang.IllegalStateException: Cannot sync outside of weak subjectivity period. Consider re-syncing your node using --checkpoint-sync-url or use --ignore-weak-subjectivity-period-enabled to ignore this check.")
	default:
		n.logRefusal(now, levelFatal, why)
	}
}

// logRefusal is what a client says of a provider from which it could not start; n.mu is held.
func (n *Node) logRefusal(now time.Time, l logLevel, why error) {
	timedOut := errors.Is(why, context.DeadlineExceeded)
	switch c := n.opts.Client; c {
	case Lighthouse:
		text := why.Error()
		switch {
		case errors.Is(why, errTooOld):
			text = "InvalidSsz(OffsetSkipsVariableBytes(2737225))"
		case errors.Is(why, errOtherNetwork):
			n.log(now, l, "Failed to start beacon node             reason: Unable to parse SSZ: OffsetSkipsVariableBytes(388). Ensure the checkpoint-sync-url refers to a node for the correct network")
			return
		case timedOut:
			text = "HttpClient(, kind: timeout, detail: operation timed out)"
		}
		n.log(now, l, "Failed to start beacon node             reason: Error loading checkpoint state from remote: "+text)
	case Teku:
		if errors.Is(why, errOtherNetwork) {
			n.log(now, l, "The fork from the initial-state (Fork{epoch=0, previous_version=0x5000101b, current_version=0x6000101b}) does not match the configured fork schedule (Fork{epoch=10}).")
			return
		}
		n.log(now, l, "Failed to load initial state from the given source : "+why.Error())
	case Prysm:
		text := why.Error()
		if errors.Is(why, errTooOld) {
			text = "unable to unmarshal block to a supported type using the detected fork schedule"
		}
		n.log(now, l, "unable to start beacon node: could not start modules: could not start DB: Error retrieving checkpoint origin state and block: "+text)
	case Nimbus:
		switch {
		case errors.Is(why, errOtherNetwork):
			n.log(now, l, "Checkpoint state does not match genesis    rootInCheckpoint=0x11 rootInGenesis=0x22")
		case timedOut:
			n.log(now, l, "Attempt to download checkpoint state timed out syncTarget=finalized")
		case errors.Is(why, errTooOld):
			n.log(now, l, `Unable to download checkpoint state        error="SSZ BeaconState: object dynamic portion starts at invalid offset"`)
		default:
			n.log(now, l, fmt.Sprintf("Unable to download checkpoint state        error=%q", why))
		}
	case Lodestar:
		switch {
		case errors.Is(why, errStaleProvider):
			n.log(now, l, "The downloaded state with epoch 1 is not within weak subjectivity period of 633 from the current epoch 3000. Please verify your checkpoint source")
		case errors.Is(why, errTooOld):
			n.log(now, l, "Unable to fetch weak subjectivity state: First offset must equal to fixedEnd 2736713 != 2736653")
		default:
			n.log(now, l, "Unable to fetch weak subjectivity state: "+why.Error())
		}
	case Grandine:
		n.log(now, l, "checkpoint sync failed: "+why.Error())
	}
}
