package beacon

import (
	"context"
	"encoding/json"
	"strings"
)

// ExecutionSyncing is what eth_syncing tells. False is no proof of being synced: geth says it before its consensus client has spoken.
type ExecutionSyncing struct {
	// Syncing is false when the node said false.
	Syncing bool
	// Current and Highest are block numbers. Where the node reports stages, as reth and Erigon do, Current is that of the last
	// stage ("Finish") and Highest that of the furthest; reth's own highestBlock always equals its currentBlock.
	Current, Highest uint64
	// Indexing means that all blocks are there and only indexes are being built, which keeps geth from saying false
	// (internal/ethapi/api.go, eth_syncing; SyncProgress.Done).
	Indexing bool
	// Items is the sum of what the node counts of its sync: blocks, and of a snap sync accounts, storage slots, codes and trie nodes
	// fetched or healed (geth internal/ethapi/api.go; Besu SyncingResult.java), or the blocks of all stages. Only its movement means
	// anything. 0 when the node said false.
	Items uint64 `json:",omitzero"`
	// Stages are those of reth and Erigon, in their order; nil for others.
	Stages []Stage
}

// Stage is one stage of a staged sync and the block that it has reached.
type Stage struct {
	Name  string
	Block uint64
}

// Syncing asks eth_syncing.
func (e *Execution) Syncing(ctx context.Context) (ExecutionSyncing, error) {
	return call(ctx, e.door, "eth_syncing", "[]", decodeExecutionSyncing)
}

func decodeExecutionSyncing(raw json.RawMessage) (ExecutionSyncing, error) {
	var said *bool
	if json.Unmarshal(raw, &said) == nil {
		syncing, err := need("result", said)
		return ExecutionSyncing{Syncing: syncing}, err
	}
	var w struct {
		Current *quantity   `json:"currentBlock"`
		Highest quantity    `json:"highestBlock"`
		Healing quantity    `json:"healingTrienodes"`
		Code    quantity    `json:"healingBytecode"`
		TxIndex quantity    `json:"txIndexRemainingBlocks"`
		State   quantity    `json:"stateIndexRemaining"`
		Trie    quantity    `json:"trienodeIndexRemaining"`
		Stages  []wireStage `json:"stages"`

		Accounts      quantity `json:"syncedAccounts"`
		Bytecodes     quantity `json:"syncedBytecodes"`
		Storage       quantity `json:"syncedStorage"`
		HealedNodes   quantity `json:"healedTrienodes"`
		HealedCodes   quantity `json:"healedBytecodes"`
		PulledStates  quantity `json:"pulledStates"`
		IndexedBlocks quantity `json:"txIndexFinishedBlocks"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return ExecutionSyncing{}, err
	}
	s := ExecutionSyncing{Syncing: true, Highest: uint64(w.Highest)}
	if finished := s.staged(w.Stages); finished != nil {
		s.Current = *finished
		return s, nil
	}
	current, err := need("currentBlock", w.Current)
	if err != nil {
		return ExecutionSyncing{}, err
	}
	s.Current = uint64(current)
	for _, n := range []quantity{current, w.Accounts, w.Bytecodes, w.Storage, w.HealedNodes, w.HealedCodes, w.PulledStates, w.IndexedBlocks} {
		s.Items += uint64(n)
	}
	s.Indexing = s.Current > 0 && s.Current >= s.Highest && w.Healing == 0 && w.Code == 0 && (w.TxIndex > 0 || w.State > 0 || w.Trie > 0)
	return s, nil
}

// wireStage is a stage as reth or, with the second pair of names, Erigon writes it.
type wireStage struct {
	Name       string    `json:"name"`
	Block      *quantity `json:"block"`
	ErigonName string    `json:"stage_name"`
	ErigonAt   *quantity `json:"block_number"`
}

// staged takes over the stages and gives the block of the last one, "Finish"; nil when it is not among them.
func (s *ExecutionSyncing) staged(stages []wireStage) *uint64 {
	var finished *uint64
	for _, w := range stages[:min(len(stages), maxStages)] {
		at := w.Block
		if at == nil {
			at = w.ErigonAt
		}
		if at == nil {
			continue
		}
		stage := Stage{Name: clean(w.Name+w.ErigonName, 60), Block: uint64(*at)}
		s.Stages = append(s.Stages, stage)
		s.Items += stage.Block
		s.Highest = max(s.Highest, stage.Block)
		if strings.EqualFold(stage.Name, "Finish") {
			finished = &stage.Block
		}
	}
	return finished
}

// maxStages bounds what is kept of an answer; reth has 15 stages.
const maxStages = 64
