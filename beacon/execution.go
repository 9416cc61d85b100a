package beacon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// rpcLimit bounds a JSON-RPC answer, in bytes; a block lists its transactions' hashes, 66 characters each.
const rpcLimit = 4 << 20

// Execution asks one execution node over JSON-RPC. Every method fails with an *Error; one that the node answered with a JSON-RPC error
// wraps an *RPCError. It is safe for concurrent use.
type Execution struct{ door *door }

// NewExecution makes a client for the URL of a JSON-RPC endpoint such as http://127.0.0.1:8545.
func NewExecution(url string, o Options) (*Execution, error) {
	d, err := newDoor(url, o)
	if err != nil {
		return nil, err
	}
	return &Execution{door: d}, nil
}

// String is the URL without a password.
func (e *Execution) String() string { return e.door.String() }

// CloseIdle closes connections that wait for another request.
func (e *Execution) CloseIdle() { e.door.closeIdle() }

// RPCError is the error object of JSON-RPC 2.0 section 5.1, such as −32601 for a method that the node does not offer.
type RPCError struct {
	Code    int64
	Message string
}

// Error implements error.
func (e *RPCError) Error() string { return fmt.Sprintf("error %d: %s", e.Code, e.Message) }

func call[T any](ctx context.Context, d *door, method, params string, decode func(json.RawMessage) (T, error)) (T, error) {
	var v, none T
	q := request{
		method: http.MethodPost, route: method, accept: mediaJSON,
		body: []byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`),
	}
	err := d.ask(ctx, q, func(res *http.Response) error {
		body, err := bounded(method, res, rpcLimit)
		if err != nil {
			return err
		}
		v, err = decodeRPC(method, mediaType(res), body, decode)
		return err
	})
	if err != nil {
		return none, err
	}
	return v, nil
}

func decodeRPC[T any](method, media string, body []byte, decode func(json.RawMessage) (T, error)) (T, error) {
	var none T
	reply, err := decodeJSON(method, media, body, func(b []byte) (rpcReply, error) {
		var r rpcReply
		err := json.Unmarshal(b, &r)
		return r, err
	})
	if err != nil {
		return none, err
	}
	if reply.Error != nil {
		cause := &RPCError{Code: reply.Error.Code, Message: clean(reply.Error.Message, 200)}
		return none, &Error{Reason: HTTPStatus, Route: method, Status: http.StatusOK, Message: cause.Error(), Err: cause}
	}
	if len(reply.Result) == 0 {
		return none, malformed(method, "neither a result nor an error")
	}
	v, err := decode(reply.Result)
	if err != nil {
		return none, &Error{Reason: Malformed, Route: method, Status: http.StatusOK, Message: clean(jsonFault(err), 200), Err: err}
	}
	return v, nil
}

type rpcReply struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int64  `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// quantity is an unsigned integer as JSON-RPC writes it, 0x and hexadecimal digits, or as a plain number as reth's stages are.
type quantity uint64

func (q *quantity) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" {
		return nil
	}
	n, ok := new(big.Int), false
	if len(s) <= 66 {
		if digits, hex := strings.CutPrefix(s, "0x"); hex {
			_, ok = n.SetString(digits, 16)
		} else {
			_, ok = n.SetString(s, 10)
		}
	}
	if !ok || !n.IsUint64() {
		return fmt.Errorf("%s is not an unsigned integer of 64 bits", clean(string(b), 40))
	}
	*q = quantity(n.Uint64())
	return nil
}

func decodeQuantity(raw json.RawMessage) (uint64, error) {
	var q *quantity
	if err := json.Unmarshal(raw, &q); err != nil {
		return 0, err
	}
	v, err := need("result", q)
	return uint64(v), err
}

// ChainID asks eth_chainId.
func (e *Execution) ChainID(ctx context.Context) (uint64, error) {
	return call(ctx, e.door, "eth_chainId", "[]", decodeQuantity)
}

// PeerCount asks net_peerCount, which a node may have turned off: see RPCError.
func (e *Execution) PeerCount(ctx context.Context) (uint64, error) {
	return call(ctx, e.door, "net_peerCount", "[]", decodeQuantity)
}

// Version asks web3_clientVersion. The client's name is Geth, Nethermind, Besu, Erigon, Reth, or as the node gives it.
func (e *Execution) Version(ctx context.Context) (ClientVersion, error) {
	return call(ctx, e.door, "web3_clientVersion", "[]", decodeExecutionVersion)
}

func decodeExecutionVersion(raw json.RawMessage) (ClientVersion, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return ClientVersion{}, err
	}
	full, err := need("result", s)
	if err != nil {
		return ClientVersion{}, err
	}
	v := ParseVersion(full)
	for _, known := range []string{"Geth", "Nethermind", "Besu", "Erigon", "Reth"} {
		if strings.EqualFold(known, v.Client) {
			v.Client = known
		}
	}
	return v, nil
}

// Block is an execution block's place in the chain.
type Block struct {
	Number uint64
	Hash   network.Root
	Time   time.Time
}

// LatestBlock asks eth_getBlockByNumber("latest"). A node without any block is Malformed.
func (e *Execution) LatestBlock(ctx context.Context) (Block, error) {
	return call(ctx, e.door, "eth_getBlockByNumber", `["latest",false]`, decodeBlock)
}

func decodeBlock(raw json.RawMessage) (Block, error) {
	if bytes.Equal(raw, []byte("null")) {
		return Block{}, fmt.Errorf("there is no latest block")
	}
	var w struct {
		Number *quantity     `json:"number"`
		Time   *quantity     `json:"timestamp"`
		Hash   *network.Root `json:"hash"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return Block{}, err
	}
	number, err := need("number", w.Number)
	if err != nil {
		return Block{}, err
	}
	timestamp, err := need("timestamp", w.Time)
	if err != nil {
		return Block{}, err
	}
	if timestamp > 1<<40 {
		return Block{}, fmt.Errorf("timestamp %d is no time", timestamp)
	}
	b := Block{Number: uint64(number), Time: time.Unix(int64(timestamp), 0)}
	if w.Hash != nil {
		b.Hash = *w.Hash
	}
	return b, nil
}
