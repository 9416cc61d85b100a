package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Limits of geth's JSON-RPC server: rpc/http.go and node/defaults.go.
const (
	maxRPCBody  = 5 << 20
	maxRPCBatch = 1000
)

// gethVersion is recorded.
const gethVersion = "Geth/v1.16.9-stable/linux-amd64/go1.26.8"

// Execution is the handler of the execution JSON-RPC endpoint, which answers as geth.
func (n *Node) Execution() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		open := n.execOpen()
		n.mu.Unlock()
		if !open {
			drop(w)
			return
		}
		serveRPC(w, r, n.rpc)
	})
}

// serveRPC is the transport: one call or a batch.
func serveRPC(w http.ResponseWriter, r *http.Request, call func(method string, params []json.RawMessage) (any, *rpcError)) {
	if r.Method == http.MethodGet && r.ContentLength == 0 && r.URL.RawQuery == "" {
		return // geth answers load balancers' probes with an empty 200
	}
	if r.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != mediaJSON {
		http.Error(w, "invalid content type, only application/json is supported", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRPCBody+1))
	if err != nil {
		return
	}
	if len(body) > maxRPCBody {
		http.Error(w, "content length too large", http.StatusRequestEntityTooLarge)
		return
	}
	w.Header().Set("Content-Type", mediaJSON)
	out := json.NewEncoder(w)
	if !strings.HasPrefix(strings.TrimSpace(string(body)), "[") {
		_ = out.Encode(answer(body, call))
		return
	}
	var batch []json.RawMessage
	switch err := json.Unmarshal(body, &batch); {
	case err != nil:
		_ = out.Encode(rpcReply{Error: &rpcError{-32700, "parse error"}})
	case len(batch) == 0:
		_ = out.Encode(rpcReply{Error: &rpcError{-32600, "empty batch"}})
	case len(batch) > maxRPCBatch:
		_ = out.Encode(rpcReply{Error: &rpcError{-32600, "batch too large"}})
	default:
		replies := make([]rpcReply, len(batch))
		for i, b := range batch {
			replies[i] = answer(b, call)
		}
		_ = out.Encode(replies)
	}
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type rpcReply struct {
	id     json.RawMessage
	Result any
	Error  *rpcError
}

// MarshalJSON keeps geth's order, and a result of false or null.
func (r rpcReply) MarshalJSON() ([]byte, error) {
	id := r.id
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	if r.Error != nil {
		return json.Marshal(struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   *rpcError       `json:"error"`
		}{"2.0", id, r.Error})
	}
	return json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result"`
	}{"2.0", id, r.Result})
}

func answer(b []byte, call func(string, []json.RawMessage) (any, *rpcError)) rpcReply {
	var q struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return rpcReply{Error: &rpcError{-32700, "parse error"}}
	}
	if q.Method == "" {
		return rpcReply{id: q.ID, Error: &rpcError{-32600, "invalid request"}}
	}
	var params []json.RawMessage
	if len(q.Params) > 0 && !bytes.Equal(q.Params, []byte("null")) {
		if err := json.Unmarshal(q.Params, &params); err != nil {
			return rpcReply{id: q.ID, Error: &rpcError{-32602, "non-array args"}}
		}
	}
	result, fail := call(q.Method, params)
	return rpcReply{id: q.ID, Result: result, Error: fail}
}

func quantity(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

// execView is what the execution client knows. Its blocks are numbered by their slots, as on a chain without a missed one.
type execView struct {
	ledger         ledger
	head, final    uint64
	highest, since uint64
	syncing        bool
	peers          int
	// healed and healing count trie nodes, indexing blocks.
	healed, healing, indexing uint64
}

// execView looks at the node; n.mu must not be held.
func (n *Node) execView() execView {
	v := n.view()
	n.mu.Lock()
	defer n.mu.Unlock()
	e := execView{ledger: newLedger(n.sim.opts.Seed, n.execChain), head: n.execHead, final: v.finalSlotOrZero(), highest: v.head, peers: n.opts.Peers}
	if l, ok := n.elsewhere(v.now); ok {
		e.ledger, e.head = l, v.head
	}
	if f, ok := n.faults.get(KindExecutionWrongNetwork); ok {
		e.ledger = newLedger(n.sim.opts.Seed, previousChain(n.sim.opts.Network, n.execChain))
		if f.Network != "" {
			if c, err := otherChain(n.sim.opts.Network, f.Network, v.now); err == nil {
				e.ledger = newLedger(n.sim.opts.Seed, c)
			}
		}
	}
	if n.faults.has(KindNoPeers) || n.faults.has(KindOldIteration) || n.faults.has(KindExecutionNoPeers) ||
		e.ledger.gvr != v.chain.gvr && v.chain.chain.HasClock() {
		e.peers = 0
	}
	const lost, rate = 5000, 20 // blocks, and blocks a second
	switch {
	case n.faults.has(KindExecutionSyncing):
		e.syncing, e.since = true, e.highest-min(e.highest, lost)
		e.head = min(e.since+uint64(max(0, v.now.Sub(n.execSince).Seconds())*rate), e.highest-min(e.highest, 1))
	case n.faults.has(KindOptimistic):
		e.syncing, e.since = true, e.head
	case n.faults.has(KindExecutionHealing):
		// What is healed grows, and what is still to be healed goes up and down with it.
		e.syncing, e.since = true, e.head
		e.healed = uint64(max(0, v.now.Sub(n.execSince).Seconds()) * 100)
		e.healing = 1000 + e.healed%5000
	case n.faults.has(KindExecutionIndexing):
		e.syncing, e.highest, e.indexing = true, e.head, 1000
	}
	e.final = min(e.final, e.head)
	return e
}

func (v view) finalSlotOrZero() uint64 {
	if !v.chain.chain.HasClock() {
		return 0
	}
	return v.finalSlot()
}

// rpc answers one call.
func (n *Node) rpc(method string, params []json.RawMessage) (any, *rpcError) {
	e := n.execView()
	id := e.ledger.chain.DepositChainID
	switch method {
	case "eth_chainId":
		return quantity(id), nil
	case "net_version":
		return dec(id), nil
	case "eth_blockNumber":
		return quantity(e.head), nil
	case "net_peerCount":
		return quantity(uint64(e.peers)), nil
	case "net_listening":
		return true, nil
	case "web3_clientVersion":
		return gethVersion, nil
	case "eth_syncing":
		return e.sync(), nil
	case "eth_getBlockByNumber":
		return e.block(params)
	}
	return nil, &rpcError{-32601, fmt.Sprintf("the method %s does not exist/is not available", method)}
}

// sync is false, or geth's object: internal/ethapi/api.go, Syncing.
func (e execView) sync() any {
	if !e.syncing {
		return false
	}
	out := map[string]any{
		"startingBlock": quantity(e.since), "currentBlock": quantity(e.head), "highestBlock": quantity(e.highest),
		"txIndexFinishedBlocks": quantity(e.head - min(e.head, e.indexing)), "txIndexRemainingBlocks": quantity(e.indexing),
		"healedTrienodes": quantity(e.healed), "healingTrienodes": quantity(e.healing),
	}
	for _, k := range []string{
		"syncedAccounts", "syncedAccountBytes", "syncedBytecodes", "syncedBytecodeBytes", "syncedStorage", "syncedStorageBytes",
		"healedTrienodeBytes", "healedBytecodes", "healedBytecodeBytes", "healingBytecode", "stateIndexRemaining",
	} {
		out[k] = quantity(0)
	}
	return out
}

// block is a block without transactions; null for one that is not there.
func (e execView) block(params []json.RawMessage) (any, *rpcError) {
	if len(params) == 0 {
		return nil, &rpcError{-32602, "missing value for required argument 0"}
	}
	if len(params) == 1 {
		return nil, &rpcError{-32602, "missing value for required argument 1"}
	}
	var tag string
	if err := json.Unmarshal(params[0], &tag); err != nil {
		return nil, &rpcError{-32602, "invalid argument 0: json: cannot unmarshal"}
	}
	var number uint64
	switch tag {
	case "latest", "pending":
		number = e.head
	case "finalized", "safe":
		if e.final == 0 {
			return nil, &rpcError{-39001, "Unknown block"}
		}
		number = e.final
	case "earliest":
	default:
		n, err := strconv.ParseUint(strings.TrimPrefix(tag, "0x"), 16, 64)
		if err != nil || !strings.HasPrefix(tag, "0x") {
			return nil, &rpcError{-32602, "invalid argument 0: hex string without 0x prefix"}
		}
		if n > e.head {
			return nil, nil
		}
		number = n
	}
	l := e.ledger
	random := func(purpose string) string { return l.hash(purpose, number).String() }
	zero := func(n int) string { return hexed(make([]byte, n)) }
	return map[string]any{
		"number": quantity(number), "hash": l.blockHash(number).String(), "parentHash": l.parentHash(number).String(),
		"timestamp": quantity(uint64(l.chain.SlotTime(number).Unix())), "parentBeaconBlockRoot": l.parentRoot(number).String(),
		"baseFeePerGas": "0x7", "blobGasUsed": "0x0", "difficulty": "0x0", "excessBlobGas": "0x0", "extraData": hexed(blockExtra),
		"gasLimit": quantity(gasLimit), "gasUsed": "0x0", "logsBloom": zero(256), "miner": feeRecipient, "mixHash": random("prev_randao"),
		"nonce": zero(8), "receiptsRoot": emptyTrie, "requestsHash": emptyRequests, "sha3Uncles": emptyUncles, "size": "0x27f",
		"stateRoot": random("execution_state"), "transactions": []any{}, "transactionsRoot": emptyTrie, "uncles": []any{},
		"withdrawals": []any{}, "withdrawalsRoot": emptyTrie,
	}, nil
}
