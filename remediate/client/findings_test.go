package client_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/google/go-cmp/cmp"
)

const (
	tooOld    = config.FindingClientTooOld
	outsideWS = config.FindingOutsideWeakSubjectivity
	corrupt   = config.FindingCorruptDatabase
	unusable  = config.FindingCheckpointUnusable
	full      = config.FindingDiskFull
	auth      = config.FindingEngineAuth
	invalid   = config.FindingInvalidPayload
)

// logLines are lines as clients write them, most of them from reports by their users, with what they show.
var logLines = []struct {
	name, line string
	want       []string
}{
	{"lighthouse, state of a newer fork", `Jun 12 04:48:09.327 CRIT Failed to start beacon node             reason: Error loading checkpoint state from remote: InvalidSsz(OffsetSkipsVariableBytes(2736713))`, []string{unusable, tooOld}},
	{"lighthouse v8, state of a newer fork", `Dec 05 19:11:50.255 CRIT  Failed to start beacon node                   reason: "Error loading checkpoint state from remote: InvalidSsz(OffsetSkipsVariableBytes(2737225))"`, []string{unusable, tooOld}},
	{"nimbus, state of a newer fork", `ERR 2025-12-25 09:46:09.173+00:00 Unable to download checkpoint state        error="SSZ BeaconState: object dynamic portion starts at invalid offset" restUrl=https://mainnet-checkpoint-sync.attestant.io`, []string{unusable, tooOld}},
	{"lodestar, state of a newer fork", ` ✖ Error: Unable to fetch weak subjectivity state: First offset must equal to fixedEnd 2736713 != 2736653`, []string{unusable, tooOld}},
	{"prysm, block of a newer fork", `time="2023-03-01 10:00:00" level=fatal msg="Error retrieving checkpoint origin state and block: unable to unmarshal block to a supported type using the detected fork schedule: unable to initialize BeaconBlock for fork version=capella at slot=1821856"`, []string{unusable, tooOld}},
	{"prysm, unknown fork version", `level=fatal msg="unable to start beacon node: could not load genesis from file: version=0x22637573 not found in any known fork choice schedule: unable to find requested BeaconChainConfig"`, []string{tooOld}},
	{"execution client too old", `Nov 20 10:00:00.000 WARN Error during notify_forkchoice_updated error: ServerMessage { code: -38005, message: "Unsupported fork" }`, []string{tooOld}},

	{"teku, own database too old", `10:15:09.112 FATAL - Failed to start: java.lang.IllegalStateException: Cannot sync outside of weak subjectivity period. Consider re-syncing your node using --checkpoint-sync-url or use --ignore-weak-subjectivity-period-enabled to ignore this check.`, []string{outsideWS}},

	{"lighthouse, leveldb", `Nov 21 10:00:00.000 WARN BlockProcessingFailure                  outcome: DBError(DBError { message: "Error { message: \"Corruption: bad block type\" }" }), msg: unexpected condition in processing block.`, []string{corrupt}},
	{"lighthouse, state missing", `May 01 06:38:38.272 CRIT Failed to start beacon node, reason: Failed to build beacon chain: Finalized block state missing from database: 0x8d2e986f, module: lighthouse:762`, []string{corrupt}},
	{"lighthouse, anchor missing", `CRIT Failed to start beacon node             reason: Unable to open database: SchemaMigrationError("Missing anchor beacon state")`, []string{corrupt}},
	{"teku, rocksdb", `2026-01-02 03:04:05.678 FATAL - Exiting due to fatal error: org.rocksdb.RocksDBException: Corruption: block checksum mismatch: expected 2192824273, got 290715816  in /var/lib/teku/beacon/db/002103.sst offset 9386352 size 2895`, []string{corrupt}},
	{"prysm, bbolt freelist", `[2022-03-25 04:08:19] ERROR main: Runtime panic: invalid freelist page: 1834112, page type is leaf`, []string{corrupt}},
	{"prysm, bbolt page", `panic: page 3421999 already freed`, []string{corrupt}},
	{"prysm, half a state", `time="2022-12-15 01:02:03" level=fatal msg="could not get ancestor state: failed to retrieve state from db: failed to unmarshal encoding: incorrect size" prefix=blockchain`, []string{corrupt}},
	{"prysm, block missing", `time="2023-11-01 11:28:34" level=fatal msg="could not update forkchoice's justified checkpoint: could not update justified balances: could not get justified balances: could not get state summary: could not find block in DB" prefix=blockchain`, []string{corrupt}},
	{"nimbus, sqlite", `FAT 2026-01-02 03:04:05.678+00:00 Failed to initialize database               topics="beacnde" err="database disk image is malformed"`, []string{corrupt}},
	{"nimbus, no head state", `FAT 2026-07-02 09:32:47.000+01:00 Could not load head state, database corrupt? head=41614f58:10603872 tail=41614f58:10603872`, []string{corrupt}},
	{"lodestar, level", ` ✖ Error: Database is not open { code: 'LEVEL_DATABASE_NOT_OPEN', [cause]: Error: Corruption: checksum mismatch { code: 'LEVEL_CORRUPTION' } }`, []string{corrupt}},
	{"grandine, mdbx", `[2026-01-02T03:04:05.678+00:00] [ERROR] [grandine] failed to open database: MDBX_CORRUPTED: Database is corrupted, e.g. page is not of the expected type`, []string{corrupt}},
	{"geth, goleveldb", `Fatal: Failed to open database: leveldb/table: corruption on data-block (pos=1159571): checksum mismatch, want=0x5484f308 got=0x73091003 [file=008932.ldb]`, []string{corrupt}},
	{"geth, pebble", `CRIT [01-02|03:04:05.678] Failed to store block body err="pebble: backing file 000123 error: checksum mismatch"`, []string{corrupt}},
	{"erigon, mdbx", `[EROR] [07-15|16:12:00.308] Erigon startup                           err="mdbx_txn_begin: MDBX_CORRUPTED: Maybe free space is over on disk. Otherwise it's hardware failure."`, []string{corrupt}},
	{"reth, mdbx", `2026-01-02T03:04:05Z ERROR Stage encountered an execution error: database error: failed to read a value from a database table: database is corrupted (-30796) stage=Execution`, []string{corrupt}},

	{"lighthouse, time-out", `Nov 21 17:45:51.842 CRIT Failed to start beacon node             reason: Error loading checkpoint state from remote: HttpClient(, kind: timeout, detail: operation timed out)`, []string{unusable}},
	{"lighthouse, HTML", `CRIT Failed to start beacon node reason: "Error loading checkpoint state from remote: InvalidSsz(InvalidByteLength { len: 653, expected: 2736653 })"`, []string{unusable}},
	{"lighthouse, other network", `Mar 23 00:01:47.470 CRIT Failed to start beacon node             reason: Unable to parse SSZ: OffsetSkipsVariableBytes(388). Ensure the checkpoint-sync-url refers to a node for the correct network`, []string{unusable}},
	{"lighthouse, block missing", `CRIT Failed to start beacon node reason: Finalized block missing from remote, it returned 404`, []string{unusable}},
	{"lighthouse, other block", `CRIT Failed to start beacon node reason: Snapshot state's most recent block root does not match block, expected: 0xe2553882acf1372c, got: 0x1df72f19463c6223`, []string{unusable}},
	{"teku, no SSZ", `2023-08-16 14:36:02.708 ERROR - Failed to load initial state from https://beaconstate.ethstaker.cc : Invalid SSZ: trying to read more bytes than available`, []string{unusable}},
	{"teku, other iteration", `teku[32194]: The fork from the initial-state (Fork{epoch=0, previous_version=0x5000101b, current_version=0x6000101b}) does not match the configured fork schedule (Fork{epoch=10}).`, []string{unusable}},
	{"prysm, 502", `level=fatal msg="unable to start beacon node: could not start modules: could not start DB: Error retrieving checkpoint origin state and block: error requesting state by id = finalized: code=502"`, []string{unusable}},
	{"nimbus, other iteration", `ERR 2026-01-02 03:04:05.678+00:00 Checkpoint state does not match genesis    rootInCheckpoint=0x11 rootInGenesis=0x22`, []string{unusable}},
	{"nimbus, time-out", `ERR 2024-03-04 11:11:31.716+00:00 Attempt to download checkpoint state timed out syncTarget=finalized restUrl=https://beaconstate.ethstaker.cc/`, []string{unusable}},
	{"lodestar, 500", `Sep 08 07:10:38 ETH-STAKER-001 lodestar[2124]:  ✖ Error: Unable to fetch weak subjectivity state: Internal Server Error: block not found`, []string{unusable}},
	{"lodestar, stale provider", `Error: The downloaded state with epoch 1 is not within weak subjectivity period of 633 from the current epoch 3000. Please verify your checkpoint source`, []string{unusable}},
	{"grandine, no state", `[2024-10-10T13:23:21.510+00:00] [WARN] [fork_choice_control::storage] checkpoint sync failed: remote beacon node does not have post-state of block 0xf700e402`, []string{unusable}},

	{"rust, disk full", `Jan 02 03:04:05.678 ERRO Failed to write to freezer db error: Os { code: 28, kind: StorageFull, message: "No space left on device" }`, []string{full}},
	{"leveldb, disk full", `CRIT Failed to start beacon node reason: IO error: /var/lib/lighthouse/beacon/chain_db/000123.log: No space left on device`, []string{full}},
	{"node.js, disk full", `error: Error writing to db code=ENOSPC, syscall=write`, []string{full}},
	{"sqlite, disk full", `FAT Failed to persist block err="database or disk is full"`, []string{full}},
	{"geth stops before it is full", `ERROR[05-30|14:15:57.801] Low disk space. Gracefully shutting down Geth to prevent database corruption. available=834.20MiB path=/root/.ethereum/geth`, []string{full}},
	{"nethermind stops before it is full", `02 Jan 03:04:05 | Free disk space in '/nethermind/nethermind_db' is below 1.50% threshold - shutting down...`, []string{full}},
	{"corrupt because full", `[EROR] [09-03|11:34:24.197] Erigon startup err="mdbx_env_open: MDBX_CORRUPTED" cause="write: no space left on device"`, []string{corrupt, full}},

	{"lighthouse, JWT", `Apr 24 10:00:00.000 ERROR Failed jwt authorization error: InvalidToken`, []string{auth}},
	{"prysm, JWT", `time="2026-01-02 03:04:05" level=error msg="HTTP authentication to your execution client is not working. Please ensure you are setting a correct value for the --jwt-secret flag in Prysm" prefix=execution`, []string{auth}},
	{"teku, JWT", `org.web3j.protocol.exceptions.ClientConnectionException: Invalid response received: 401; invalid JWT`, []string{auth}},
	{"lodestar, JWT", `Jan-02 03:04:05.678[]  error: Execution client authentication failed. Verify if the JWT secret matches on both clients`, []string{auth}},
	{"nimbus, JWT", `WRN 2026-01-02 03:04:05.678+00:00 Failed to exchange with the execution client; check its jwt secret  error="Status: 401 Unauthorized"`, []string{auth}},

	{"lighthouse, invalid payload", `WARN  Invalid execution payload: validation_error: Some("EVM reported invalid transaction"), latest_valid_hash: Some(0xc8caa93c), slot: 13737057, method: "new_payload"`, []string{invalid}},
	{"prysm, invalid payload", `level=error msg="Could not process block" error="received an INVALID payload from execution engine" prefix=sync`, []string{invalid}},
	{"nimbus, invalid payload", `ERR 2026-01-02 03:04:05.678+00:00 Execution payload invalid from EL client newPayload executionPayloadStatus=INVALID`, []string{invalid}},
	{"lodestar, invalid payload", `Jan-02 03:04:05.678[chain]  error: Block error slot=123 code=BLOCK_ERROR_EXECUTION_ERROR, execStatus=INVALID`, []string{invalid}},
	{"geth, bad block", `########## BAD BLOCK #########`, []string{invalid}},
	{"nethermind, bad block", `02 Jan 03:04:05 | Rejected invalid block 123 (0xabc), reason: invalid state root`, []string{invalid}},
	{"besu, bad block", `2026-01-02 03:04:05.678+00:00 | vert.x-worker-thread-0 | WARN  | EngineNewPayloadV4 | Invalid new payload: number: 123, hash: 0xabc`, []string{invalid}},

	{"colours", "\x1b[31mCRIT\x1b[0m Failed to start beacon node reason: Error loading checkpoint \x1b[1mstate\x1b[0m from remote: HttpClient", []string{unusable}},

	// What must not be taken for a failure.
	{"weak subjectivity in passing", `INFO Weak subjectivity period is 633 epochs`, nil},
	{"weak subjectivity check ignored", `10:15:09.112 WARN  - Ignoring weak subjectivity period as per --ignore-weak-subjectivity-period-enabled`, nil},
	{"fetching the state", `Mar-06 09:31:32.390[] info: Fetching checkpoint state checkpointSyncUrl=https://beaconstate-sepolia.chainsafe.io`, nil},
	{"database exists", `INFO Refusing to checkpoint sync, existing database found; use --purge-db`, nil},
	{"prysm ignores its flags", `level=info msg="Origin checkpoint found in the database, ignoring checkpoint sync flags"`, nil},
	{"a peer that calls itself an error", `Jan 02 03:04:05.678 DEBG Peer connected client: Lighthouse: version: MDBX_CORRUPTED no space left on device, peer_id: 16Uiu2HA`, nil},
	{"a peer's words at info", `level=info msg="Peer disconnected" agent="Corruption: bad block" prefix=p2p`, nil},
	{"a peer's words in nimbus", `NTC 2026-01-02 03:04:05.678+00:00 peer says agent="database disk image is malformed"`, nil},
	{"geth is low", `WARN [05-30|14:15:57.801] Disk space is running low. Geth will shutdown if disk space runs below critical level. available=2GiB`, nil},
	{"nethermind is low", `02 Jan 03:04:05 | Free disk space in '/nethermind/nethermind_db' is getting low: 4.00%`, nil},
	{"a block of a peer", `WARN Peer sent invalid block, invalid execution payload on gossip`, nil},
	{"no consensus client", `WARN Post-merge network, but no beacon client seen. Please launch one to follow the chain!`, nil},
	{"beacon client online", `WARN Beacon client online, but never received consensus updates. Please ensure your beacon client is operational to follow the chain!`, nil},
	{"a checkpoint URL with such a word", `level=warning msg="Retrying" url="https://corruption.example/eth/v2/debug/beacon/states/finalized"`, nil},
	{"shutdown follows", `INFO Internal shutdown received              reason: Failed to start beacon node`, nil},
	{"execution client offline", `WARN Execution client is offline`, nil},
	{"401 of a provider", `WARN Failed to fetch from checkpoint provider error="Status: 401 Unauthorized"`, nil},
	{"slashing protection damaged", `ERRO Unable to open slashing protection database error: "database disk image is malformed"`, nil},
	{"jwt read", `level=info msg="Finished reading JWT secret from /secrets/jwt.hex"`, nil},
	{"empty", ``, nil},
}

func TestFindings(t *testing.T) {
	for _, tc := range logLines {
		t.Run(tc.name, func(t *testing.T) {
			got := slices.Sorted(maps.Keys(client.Findings([]string{tc.line})))
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", tc.line, diff)
			}
		})
	}
}

func TestEveryFindingHasALine(t *testing.T) {
	shown := map[string]bool{}
	for _, tc := range logLines {
		for _, w := range tc.want {
			shown[w] = true
		}
	}
	for _, f := range config.Findings {
		if !shown[f] {
			t.Errorf("no line shows %s", f)
		}
	}
}

// A client that is too old, a full disk and a refused token are told whatever else a log says, because they are for people.
func TestFindingsTellAll(t *testing.T) {
	lines := []string{
		`CRIT Failed to start beacon node reason: Error loading checkpoint state from remote: HttpClient(, kind: timeout)`,
		`ERROR Failed jwt authorization error: InvalidToken`,
		`CRIT Failed to start beacon node reason: "Error loading checkpoint state from remote: InvalidSsz(OffsetSkipsVariableBytes(2737225))"`,
		`WARN outcome: DBError { message: "Corruption: bad block type" }`,
		`ERRO write: No space left on device`,
	}
	got := client.Findings(lines)
	want := map[string]string{unusable: lines[2], auth: lines[1], tooOld: lines[2], corrupt: lines[3], full: lines[4]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFindingsReturnNothingDangerous(t *testing.T) {
	got := client.Findings([]string{"ERR no space left on device \x1b]0;owned\x07\u202e\x00\xff\r\n" + strings.Repeat("x", 1<<20)})
	line := got[full]
	if line == "" || len(line) > 2048 || strings.ContainsAny(line, "\x1b\x07\x00\r\n\u202e") || !utf8.ValidString(line) {
		t.Errorf("%q", line)
	}
}

func FuzzFindings(f *testing.F) {
	for _, tc := range logLines {
		f.Add(tc.line)
	}
	f.Add("\x1b[31m\xff\u202e no space left on device")
	f.Fuzz(func(t *testing.T, text string) {
		for finding, line := range client.Findings(strings.Split(text, "\n")) {
			if !slices.Contains(config.Findings, finding) {
				t.Errorf("%q is no finding", finding)
			}
			if len(line) > 2048 || !utf8.ValidString(line) || strings.ContainsAny(line, "\x1b\x00\r\n") {
				t.Errorf("%s: %q", finding, line)
			}
		}
	})
}
