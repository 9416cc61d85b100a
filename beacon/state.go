package beacon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// StateHeaderSize is how many bytes of an SSZ BeaconState hold its StateHeader: the fields before block_roots, at the same offsets
// in every fork from phase0 on (consensus-specs, specs/phase0/beacon-chain.md, BeaconState).
const StateHeaderSize = 176

// StateHeader is the beginning of a BeaconState.
type StateHeader struct {
	// GenesisTime is in seconds since the Unix epoch.
	GenesisTime           uint64
	GenesisValidatorsRoot network.Root
	Slot                  uint64
	// PreviousVersion, CurrentVersion and ForkEpoch are the state's fork.
	PreviousVersion, CurrentVersion network.Version
	ForkEpoch                       uint64
	// LatestBlockHeader has a zero StateRoot right after its block, and a filled one in a state advanced past it.
	LatestBlockHeader BlockHeader
}

// BlockHeader is a BeaconBlockHeader.
type BlockHeader struct {
	Slot, ProposerIndex             uint64
	ParentRoot, StateRoot, BodyRoot network.Root
}

// ParseStateHeader reads the first StateHeaderSize bytes of an SSZ BeaconState.
func ParseStateHeader(b []byte) (StateHeader, error) {
	if len(b) < StateHeaderSize {
		return StateHeader{}, fmt.Errorf("%d bytes, of the %d that a state begins with", len(b), StateHeaderSize)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	root := func(at int) network.Root { return network.Root(b[at : at+32]) }
	return StateHeader{
		GenesisTime:           u64(0),
		GenesisValidatorsRoot: root(8),
		Slot:                  u64(40),
		PreviousVersion:       network.Version(b[48:52]),
		CurrentVersion:        network.Version(b[52:56]),
		ForkEpoch:             u64(56),
		LatestBlockHeader: BlockHeader{
			Slot: u64(64), ProposerIndex: u64(72), ParentRoot: root(80), StateRoot: root(112), BodyRoot: root(144),
		},
	}, nil
}

// StatePrefix is the beginning of a state that a server gives out.
type StatePrefix struct {
	StateHeader
	// ConsensusVersion is the Eth-Consensus-Version header, such as "electra"; empty when absent, as on old Lodestar.
	ConsensusVersion string
	// Bytes is the size of the whole state as Content-Length has it; nil when absent, as on checkpointz.
	Bytes *uint64
}

// StatePrefix reads the first StateHeaderSize bytes of a state ("finalized", "genesis", a slot or a root) as SSZ and then closes the
// connection. Most servers build the whole state for it, so ask minutes apart. JSON, HTML or a shorter body are Malformed; where no
// state is to be had the error is HTTPStatus.
func (c *Client) StatePrefix(ctx context.Context, id string) (StatePrefix, error) {
	path := "/eth/v2/debug/beacon/states/" + url.PathEscape(id)
	var p StatePrefix
	q := request{method: http.MethodGet, path: path, accept: mediaSSZ, last: true}
	err := c.door.ask(ctx, q, func(res *http.Response) error {
		if media := mediaType(res); media != mediaSSZ {
			return notSSZ(path, media, res)
		}
		var b [StateHeaderSize]byte
		n, err := io.ReadFull(res.Body, b[:])
		if n < len(b) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
			return malformed(path, "the state ends after %d bytes", n)
		}
		if err != nil {
			return err
		}
		p.ConsensusVersion = clean(res.Header.Get("Eth-Consensus-Version"), 40)
		if n, err := strconv.ParseUint(res.Header.Get("Content-Length"), 10, 63); err == nil {
			p.Bytes = &n
		}
		p.StateHeader, err = ParseStateHeader(b[:])
		return err
	})
	if err != nil {
		return StatePrefix{}, err
	}
	return p, nil
}

// notSSZ says what came instead of a state; a JSON error sent with status 200 is still the error that it names.
func notSSZ(path, media string, res *http.Response) error {
	head, _ := io.ReadAll(io.LimitReader(res.Body, errorBytes))
	if e, ok := errorBody(head); ok {
		return statusError(path, e.status, e.Message)
	}
	if media == "" {
		media = "an unknown type"
	}
	return malformed(path, "%s where %s was asked for", clean(media, 60), mediaSSZ)
}
