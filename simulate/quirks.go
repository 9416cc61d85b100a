package simulate

import "time"

// quirks are how a client differs in its process and its sync. Each comment names the source in the client's repository, as of 2024 for
// Lighthouse, Nimbus and Lodestar and of 2025 and 2026 for the others.
type quirks struct {
	// timeout bounds each request of the bootstrap; 0 is none.
	timeout time.Duration
	// block tells that the block is asked for as well as the state.
	block bool
	// blockFirst asks for the finalized block and then for the state of its slot: Grandine, fork_choice_control/src/checkpoint_sync.rs.
	blockFirst bool
	// genesisState asks for the genesis state before: Nimbus, beacon_chain/trusted_node_sync.nim.
	genesisState bool
	// gzip lets the transport ask for compression: Teku, URLResourceLoader.java.
	gzip bool
	// fallsBack starts from the genesis when the provider fails: Teku's BeaconChainController.java, Grandine's storage.rs. The others exit.
	fallsBack bool
	// needsURL exits without a provider: Lighthouse without --allow-insecure-genesis-sync, beacon_node/client/src/builder.rs.
	needsURL bool
	// believes takes a state of any network: Lodestar, packages/cli/src/cmds/beacon/initBeaconState.ts (ChainSafe/lodestar#4983).
	believes bool
	// aligned refuses a state that is not at an epoch's first slot: Nimbus, trusted_node_sync.nim.
	aligned bool
	// freshness refuses a state outside the weak subjectivity period: Teku, WeakSubjectivityValidator; Lodestar, initBeaconState.ts.
	freshness bool
	// rewinds falls back to the finalized block at a restart: recorded of Prysm.
	rewinds bool
	// strict exits on a database outside the weak subjectivity period: Teku, WeakSubjectivityInitializer.java. refetches takes no notice
	// of such a database, and asks its provider: Lodestar, initBeaconState.ts.
	strict, refetches bool
	// resets deletes a database of another iteration by itself, and brings its own network files: Teku, BeaconDatabaseReset.java.
	resets bool
	// backfill is in slots a second; 0 for clients that do not backfill unless told to.
	backfill float64
}

func (c Client) quirks() quirks {
	switch c {
	case Lighthouse:
		return quirks{timeout: 180 * time.Second, block: true, needsURL: true, backfill: 20}
	case Teku:
		return quirks{timeout: 120 * time.Second, gzip: true, fallsBack: true, freshness: true, strict: true, resets: true, backfill: 20}
	case Prysm:
		return quirks{block: true, rewinds: true}
	case Nimbus:
		return quirks{timeout: 120 * time.Second, genesisState: true, aligned: true, backfill: 20}
	case Lodestar:
		return quirks{timeout: 300 * time.Second, believes: true, freshness: true, refetches: true}
	case Grandine:
		return quirks{timeout: 600 * time.Second, block: true, blockFirst: true, fallsBack: true}
	}
	return quirks{}
}
