package client

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// maxLine bounds what is looked at of one line of a log, and what is returned of it, in bytes. Messages stand near the beginning; a
// provider's whole answer may follow.
const maxLine = 2048

// message is one known message: it is there when every part of all is, in lower case, and none of not.
type message struct {
	finding string
	// from names the program and the place that the message was read in.
	from string
	all  []string
	// pattern is for what a substring cannot tell; nil for none. It sees the line in lower case.
	pattern *regexp.Regexp
	not     []string
}

// tooOld is Lighthouse's complaint about the first offset of a state that has more fixed fields than it knows. The number is the length
// of the fixed part that it was told: some 2.7 million bytes in a real state (sigp/lighthouse issues 4945, 7589 and 8152), and much less
// in a page of HTML or a state of another preset (issue 4227).
var tooOld = regexp.MustCompile(`offsetskipsvariablebytes\([0-9]{7}\)`)

// otherOffset is the same complaint about what cannot have been a state.
var otherOffset = regexp.MustCompile(`offsetskipsvariablebytes\([0-9]{1,6}\)`)

// tooOldOffsets is Lodestar's: the fixed part is that of a state, only longer (ChainSafe/lodestar issue 7536).
var tooOldOffsets = regexp.MustCompile(`first offset must equal to fixedend [0-9]{7} != [0-9]{7}`)

// freelist are bbolt's panics over a damaged file, which Prysm reports (OffchainLabs/prysm issues 2543, 10431, 10484, 11542).
var freelist = regexp.MustCompile(`panic: (invalid freelist page|page [0-9]+ already freed|invalid page type)`)

// level is a word for how grave a line is, as the eleven clients write theirs: INFO, [INFO], level=info, INF, "info:".
var level = regexp.MustCompile(`(?:^|[\s\[|="])(trace|trce|trc|debug|debg|dbug|dbg|info|inf|notice|ntc|warning|warn|wrn|error|erro|eror|err|critical|crit|fatal|ftl|fat)(?:[\s\]:|"]|$)`)

// calm are the levels at which no client reports a failure of its own. Names that peers give themselves, and other people's words, come
// into a log at these.
var calm = map[string]bool{"trace": true, "trce": true, "trc": true, "debug": true, "debg": true, "dbug": true, "dbg": true, "info": true, "inf": true,
	"notice": true, "ntc": true}

// messages are in no order: every one is looked for.
var messages = []message{
	// A state of a fork that the client does not know. All providers fail alike.
	{finding: config.FindingClientTooOld, from: "sigp/lighthouse 4945, 7589, 8152; ethpandaops/checkpointz 219", pattern: tooOld},
	{finding: config.FindingClientTooOld, from: "status-im/nimbus-eth2 6564, 7824", all: []string{"object dynamic portion starts at invalid offset"}},
	{finding: config.FindingClientTooOld, from: "ChainSafe/lodestar 7536", pattern: tooOldOffsets},
	{finding: config.FindingClientTooOld, from: "OffchainLabs/prysm 12064", all: []string{"to a supported type using the detected fork schedule"}},
	{finding: config.FindingClientTooOld, from: "prysm encoding/ssz/detect/configfork.go", all: []string{"not found in any known fork choice schedule"}},
	{finding: config.FindingClientTooOld, from: "execution-apis src/engine/common.md, error -38005", all: []string{"-38005", "unsupported fork"}},

	// The client's own database is older than the weak subjectivity period, and it will not go on from it.
	{finding: config.FindingOutsideWeakSubjectivity, from: "teku WeakSubjectivityInitializer.java, issue 8120",
		all: []string{"cannot sync outside of weak subjectivity period"}},

	// The database cannot be opened or read.
	{finding: config.FindingCorruptDatabase, from: "LevelDB and RocksDB util/status.cc, as in sigp/lighthouse 1942 and 2895, Teku, Lodestar, Besu and Nethermind",
		pattern: regexp.MustCompile(`\bcorruption: [a-z]`)},
	{finding: config.FindingCorruptDatabase, from: "goleveldb leveldb/errors, as in ethereum/go-ethereum 1375",
		pattern: regexp.MustCompile(`leveldb(/[a-z]+)?: (manifest )?corrupt`)},
	{finding: config.FindingCorruptDatabase, from: "pebble, as geth wraps it", pattern: regexp.MustCompile(`pebble[a-z/]*: .*(corrupt|checksum mismatch)`)},
	{finding: config.FindingCorruptDatabase, from: "classic-level of Lodestar", all: []string{"level_corruption"}},
	{finding: config.FindingCorruptDatabase, from: "lighthouse beacon_node/beacon_chain/src/builder.rs, issues 2972 and 7384",
		pattern: regexp.MustCompile(`failed to start beacon node.*(finalized block state missing from database|missing anchor beacon state|database is corrupt)`)},
	{finding: config.FindingCorruptDatabase, from: "OffchainLabs/prysm 2543, 10431, 10484, 11542", pattern: freelist},
	{finding: config.FindingCorruptDatabase, from: "OffchainLabs/prysm 11781", all: []string{"failed to retrieve state from db: failed to unmarshal encoding"}},
	{finding: config.FindingCorruptDatabase, from: "OffchainLabs/prysm 12722, 13153",
		all: []string{"could not update forkchoice's justified checkpoint", "could not find block in db"}},
	{finding: config.FindingCorruptDatabase, from: "sqlite src/main.c, Nimbus and Lighthouse's validator client aside", all: []string{"database disk image is malformed"},
		not: []string{"slashing"}},
	{finding: config.FindingCorruptDatabase, from: "nimbus beacon_chain/consensus_object_pools/blockchain_dag.nim", all: []string{"could not load head state, database corrupt"}},
	{finding: config.FindingCorruptDatabase, from: "libmdbx src/error.c, as in erigontech/erigon 7766, 8348, 11830 and Grandine", all: []string{"mdbx_corrupted"}},
	{finding: config.FindingCorruptDatabase, from: "reth-libmdbx, as in paradigmxyz/reth 16052", all: []string{"database is corrupted (-30796)"}},

	// The provider served nothing, or what the client refused.
	{finding: config.FindingCheckpointUnusable, from: "lighthouse beacon_node/client/src/builder.rs, issues 3702, 4945, 7516, 8548",
		pattern: regexp.MustCompile(`error loading checkpoint (state|block) from remote`)},
	{finding: config.FindingCheckpointUnusable, from: "lighthouse beacon_node/client/src/builder.rs",
		pattern: regexp.MustCompile(`(checkpoint (state|block)|finalized block) missing from remote`)},
	{finding: config.FindingCheckpointUnusable, from: "sigp/lighthouse 4227", all: []string{"ensure the checkpoint-sync-url refers to a node for the correct network"}},
	{finding: config.FindingCheckpointUnusable, from: "sigp/lighthouse 6759", all: []string{"failed to start beacon node", "invalidbytelength"}},
	{finding: config.FindingCheckpointUnusable, from: "sigp/lighthouse 4227", all: []string{"failed to start beacon node"}, pattern: otherOffset},
	{finding: config.FindingCheckpointUnusable, from: "sigp/lighthouse 5249", all: []string{"snapshot state's most recent block root does not match block"}},
	{finding: config.FindingCheckpointUnusable, from: "teku ChainDataLoader and WeakSubjectivityInitializer.java, pull request 7425", all: []string{"failed to load initial state from"}},
	{finding: config.FindingCheckpointUnusable, from: "Consensys/teku 9858", all: []string{"fork from the initial-state", "does not match"}},
	{finding: config.FindingCheckpointUnusable, from: "prysm beacon-chain/sync/checkpoint/api.go, issues 12064 and 14113",
		all: []string{"error retrieving checkpoint origin state and block"}},
	{finding: config.FindingCheckpointUnusable, from: "nimbus beacon_chain/trusted_node_sync.nim", all: []string{"checkpoint state does not match genesis"}},
	{finding: config.FindingCheckpointUnusable, from: "nimbus beacon_chain/trusted_node_sync.nim, issues 6333 and 6564",
		pattern: regexp.MustCompile(`unable to download (checkpoint|genesis) state|attempt to download (checkpoint|genesis) state timed out`)},
	{finding: config.FindingCheckpointUnusable, from: "lodestar packages/cli/src/networks/index.ts, issue 4524", all: []string{"unable to fetch weak subjectivity state"}},
	{finding: config.FindingCheckpointUnusable, from: "lodestar packages/state-transition/src/util/weakSubjectivity.ts",
		all: []string{"is not within weak subjectivity period", "verify your checkpoint source"}},
	{finding: config.FindingCheckpointUnusable, from: "grandinetech/grandine 48", all: []string{"checkpoint sync failed:"}},

	// No space. Clients stop on purpose before it is quite gone.
	{finding: config.FindingDiskFull, from: "strerror(ENOSPC)", all: []string{"no space left on device"}},
	{finding: config.FindingDiskFull, from: "Node.js, in Lodestar", pattern: regexp.MustCompile(`\benospc\b`)},
	{finding: config.FindingDiskFull, from: "sqlite src/main.c", all: []string{"database or disk is full"}},
	{finding: config.FindingDiskFull, from: "geth cmd/utils/cmd.go", all: []string{"low disk space. gracefully shutting down"}},
	{finding: config.FindingDiskFull, from: "nethermind Nethermind.HealthChecks/FreeDiskSpaceChecker.cs",
		pattern: regexp.MustCompile(`free disk space in '?[^']{0,200}'? is below [0-9.,]+ ?%? ?threshold`)},

	// The execution client refuses the token. Restarting cures nothing.
	{finding: config.FindingEngineAuth, from: "lighthouse beacon_node/execution_layer/src/engines.rs, pull request 9051", all: []string{"failed jwt authorization"}},
	{finding: config.FindingEngineAuth, from: "prysm beacon-chain/execution/engine_client.go", all: []string{"http authentication to your execution client is not working"}},
	{finding: config.FindingEngineAuth, from: "Consensys/teku 6160", pattern: regexp.MustCompile(`invalid response received: 40[13]; .*(jwt|token|auth)`)},
	{finding: config.FindingEngineAuth, from: "lodestar packages/beacon-node/src/node/notifier.ts, pull request 7239",
		all: []string{"execution client authentication failed"}},
	{finding: config.FindingEngineAuth, from: "status-im/nimbus-eth2 4532", all: []string{"execution client", "401", "unauthorized"}},
	{finding: config.FindingEngineAuth, from: "geth node/jwt_handler.go and Besu, as their peer's 401 quotes them",
		pattern: regexp.MustCompile(`(engine|execution).*(stale token|token is expired|signature is invalid|invalid jwt)`)},

	// The execution client holds the chain for invalid. One of the two is wrong, and only people can tell which.
	{finding: config.FindingInvalidPayload, from: "lighthouse beacon_node/beacon_chain/src/execution_payload.rs, issue 8887", all: []string{"invalid execution payload"},
		not: []string{"gossip", "peer sent"}},
	{finding: config.FindingInvalidPayload, from: "prysm beacon-chain/blockchain/error.go",
		pattern: regexp.MustCompile(`received an invalid(_block_hash)? payload from execution engine`)},
	{finding: config.FindingInvalidPayload, from: "nimbus beacon_chain/el/el_manager.nim", all: []string{"execution payload invalid from el client"}},
	{finding: config.FindingInvalidPayload, from: "lodestar packages/beacon-node/src/chain/errors/blockError.ts",
		pattern: regexp.MustCompile(`block_error_execution_error.*\binvalid\b`)},
	{finding: config.FindingInvalidPayload, from: "geth core/blockchain_reader.go", all: []string{"########## bad block #########"}},
	{finding: config.FindingInvalidPayload, from: "nethermind Nethermind.Consensus/Processing/InvalidBlockHelper.cs", all: []string{"rejected invalid block"}},
	{finding: config.FindingInvalidPayload, from: "besu AbstractEngineNewPayload.java", all: []string{"invalid new payload: "}},
}

// Findings looks for known messages of the six consensus and five execution clients in lines of a log and returns, for each finding
// (config.Findings) that is there, the last line that shows it, without control characters and cut to 2048 bytes. Lines are untrusted
// text: other people's words come into a log, and no more follows from a finding than that the log says so. Lines of level info and
// below are passed over.
//
// Findings are independent of each other. Some lines show two: a state that a client is too old to read is also a checkpoint that it
// could not use. Whoever acts must look at all of them, and at client_too_old, disk_full and engine_auth first: those are for people, and
// neither another provider nor an empty database cures them.
func Findings(lines []string) map[string]string {
	found := map[string]string{}
	for _, line := range lines {
		line = line[:min(len(line), maxLine)]
		lower := strings.ToLower(escapes.ReplaceAllString(line, ""))
		if l := level.FindStringSubmatch(lower); l != nil && calm[l[1]] {
			continue
		}
		for _, m := range messages {
			if m.in(lower) {
				found[m.finding] = printable(line)
			}
		}
	}
	return found
}

func (m message) in(lower string) bool {
	for _, part := range m.all {
		if !strings.Contains(lower, part) {
			return false
		}
	}
	for _, part := range m.not {
		if strings.Contains(lower, part) {
			return false
		}
	}
	return m.pattern == nil || m.pattern.MatchString(lower)
}

// escapes are the sequences by which a program colours its log (ECMA-48, control sequences).
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// printable makes a line of a log fit to be shown on a terminal and kept in a journal.
func printable(line string) string {
	line = escapes.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf):
			return -1
		}
		return r
	}, line)
	return strings.TrimSpace(line)
}
