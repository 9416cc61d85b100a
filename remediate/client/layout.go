package client

import (
	"slices"
	"strings"
)

// Layout is what a client keeps below its data directory. Every name is a path relative to that directory, with slashes; the last part
// of one may be a pattern of path.Match. What is in none of the lists belongs to somebody else.
type Layout struct {
	// Database is the chain: what a client downloads again, from its checkpoint or its peers. A resync sets it aside, a reset as well.
	Database []string
	// Iteration is what more belongs to one iteration of a network and goes with it: queues, peers, a genesis state, and the slasher's
	// database. A resync leaves it.
	Iteration []string
	// SlashingProtection is what a validator has signed. It goes with an iteration, whose genesis validators root it is bound to, and at no
	// other time. A validator client with a data directory of its own keeps it there, under the same names.
	SlashingProtection []string
	// Keep is what is never touched: the node's key and its peers, validators, secrets, and the key to the engine API. The list serves to
	// recognise the directory, and to tell what stayed.
	Keep []string
}

// sqlite names a database of SQLite together with the files in which it holds what is not yet in it (https://www.sqlite.org/tempfiles.html).
func sqlite(name string) []string {
	return []string{name, name + "-wal", name + "-shm", name + "-journal"}
}

// The six consensus clients.
//
//   - Lighthouse: beacon_node/src/config.rs (purge of chain_db, freezer_db and blobs_db, which leaves beacon/network), slasher/src/config.rs,
//     validator_client/slashing_protection and common/directory/src/lib.rs.
//   - Teku: services/beaconchain/src/main/java/tech/pegasys/teku/services/beaconchain/BeaconDatabaseReset.java and
//     storage/src/main/java/tech/pegasys/teku/storage/server/VersionedDatabaseFactory.java; beacon/kvstore holds the node's key and ENR.
//   - Prysm: beacon-chain/node/clear_db.go, beacon-chain/db/filesystem, beacon-chain/db/slasherkv/kv.go, validator/db/kv/db.go,
//     validator/db/filesystem/db.go. A wallet is never moved, whatever is in it; a validator.db in it is a file of its own.
//   - Nimbus: beacon_chain/conf.nim, book/src/data-dir.md, beacon_chain/validators/slashing_protection.nim. Keys are in the same directory.
//     setupdone is eth-docker's mark (nimbus/docker-entrypoint.sh): only without it does the container ask the provider again.
//   - Lodestar: packages/cli/src/cmds/beacon/paths.ts and packages/cli/src/cmds/validator/paths.ts.
//   - Grandine: fork_choice_control/src/storage.rs and runtime/src/misc.rs. Its default data directory is named like the network, below
//     .grandine: that one is meant, not the one above it.
var consensus = map[string]Layout{
	"lighthouse": {
		Database:           []string{"beacon/chain_db", "beacon/freezer_db", "beacon/blobs_db"},
		Iteration:          []string{"beacon/slasher_db"},
		SlashingProtection: sqlite("validators/slashing_protection.sqlite"),
		Keep:               []string{"beacon/network", "beacon/logs", "validators", "secrets", "wallets"},
	},
	"teku": {
		Database: []string{"beacon/db", "beacon/archive", "beacon/network.yml", "beacon/metadata.yml", "beacon/db.version",
			"beacon/data-storage-mode.txt"},
		SlashingProtection: []string{"validator/slashprotection"},
		Keep:               []string{"beacon/kvstore", "validator", "logs"},
	},
	"prysm": {
		Database:  []string{"beaconchaindata", "blobs", "data-columns"},
		Iteration: []string{"slasherdata", "genesis-*.ssz"},
		SlashingProtection: []string{"validator.db", "direct/validator.db", "prysm-wallet-v2/direct/validator.db",
			"validator-client-data/slashing-protection"},
		Keep: []string{"network-keys", "metaData", "tosaccepted", "direct", "prysm-wallet-v2", "validator-client-data"},
	},
	"nimbus": {
		Database:           []string{"db", "setupdone"},
		SlashingProtection: sqlite("validators/slashing_protection.sqlite3"),
		Keep:               []string{"validators", "secrets", "network_key.json", "log"},
	},
	"lodestar": {
		Database:           []string{"chain-db"},
		SlashingProtection: []string{"validator-db"},
		Keep:               []string{"peer-id.json", "enr", "peerstore", "beacon.config.json", "keystores", "secrets", "cache"},
	},
	"grandine": {
		Database:           []string{"beacon"},
		SlashingProtection: sqlite("validator/slashing_protection.sqlite"),
		Keep:               []string{"network", "validator"},
	},
}

// The five execution clients. Only a reset sets their databases aside: they have no checkpoint to start from. The key to the engine API
// stays where some of them make it for themselves, since the consensus client holds the other copy.
//
//   - geth: node/config.go, node/defaults.go, core/rawdb/accessors_chain.go and core/txpool/blobpool; `geth init` writes geth/chaindata anew.
//   - Nethermind: src/Nethermind/Nethermind.Db.Rocks and Nethermind.Init (BaseDbPath, nethermind_db below --datadir);
//     keystore/node.key.plain is the node's key.
//   - Besu: ethereum/core/src/main/java/org/hyperledger/besu/ethereum/storage/keyvalue (DATABASE_METADATA.json),
//     besu/src/main/java/org/hyperledger/besu/controller/BesuController.java.
//   - Erigon: db/datadir/dirs.go.
//   - Reth: crates/node/core/src/dirs.rs.
var execution = map[string]Layout{
	"geth": {
		Database:  []string{"geth/chaindata", "geth/lightchaindata", "geth/triedb"},
		Iteration: []string{"geth/blobpool", "geth/nodes", "geth/transactions.rlp", "geth/ethash"},
		Keep:      []string{"geth/nodekey", "geth/jwtsecret", "geth/LOCK", "keystore"},
	},
	"nethermind": {
		Database: []string{"nethermind_db"},
		Keep:     []string{"keystore", "logs", "jwt-secret"},
	},
	"besu": {
		Database:  []string{"database", "caches", "DATABASE_METADATA.json", "VERSION_METADATA.json", "fastsync"},
		Iteration: []string{"txpool.dump"},
		Keep:      []string{"key", "key.pub", "jwt.hex"},
	},
	"erigon": {
		Database:  []string{"chaindata", "snapshots", "downloader", "caplin", "temp"},
		Iteration: []string{"txpool", "nodes"},
		Keep:      []string{"nodekey", "jwt.hex", "LOCK", "logs"},
	},
	"reth": {
		Database:  []string{"db", "static_files", "rocksdb"},
		Iteration: []string{"blobstore", "known-peers.json", "txpool-transactions-backup.rlp", "invalid_block_hooks"},
		Keep:      []string{"discovery-secret", "jwt.hex", "reth.toml"},
	},
}

// ConsensusLayout is where a consensus client keeps what; ok is false for one that is not known.
func ConsensusLayout(name string) (l Layout, ok bool) {
	l, ok = consensus[name]
	return l.clone(), ok
}

// ExecutionLayout is where an execution client keeps what; ok is false for one that is not known.
func ExecutionLayout(name string) (l Layout, ok bool) {
	l, ok = execution[name]
	return l.clone(), ok
}

// ConsensusDatabases are where a consensus client keeps its chain, relative to its data directory; all that any of them uses if name is
// empty, and none for one that is not known. None lies below another.
func ConsensusDatabases(name string) []string {
	if name != "" {
		return slices.Clone(consensus[name].Database)
	}
	var all []string
	for _, l := range consensus {
		all = append(all, l.Database...)
	}
	slices.Sort(all)
	var top []string
	for _, p := range all {
		if n := len(top); n == 0 || p != top[n-1] && !strings.HasPrefix(p, top[n-1]+"/") {
			top = append(top, p)
		}
	}
	return top
}

func (l Layout) clone() Layout {
	return Layout{Database: slices.Clone(l.Database), Iteration: slices.Clone(l.Iteration), SlashingProtection: slices.Clone(l.SlashingProtection),
		Keep: slices.Clone(l.Keep)}
}
