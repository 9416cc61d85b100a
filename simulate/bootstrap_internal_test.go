package simulate

import (
	"bytes"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// FuzzReadState reads any bytes as the state and the block that a provider serves, the way a node does that has no database.
func FuzzReadState(f *testing.F) {
	l := newLedger("", network.Chain{Network: "devnet", GenesisTime: time.Unix(1795338007, 0), SecondsPerSlot: 2, SlotsPerEpoch: 32})
	b := block{l, 320, 64}.ssz()
	var state bytes.Buffer
	img := newState(stateFacts{ledger: l, slot: 320, header: 320, count: 1})
	if _, err := img.WriteTo(&state); err != nil {
		f.Fatal(err)
	}
	// Corpora are kept small: the fuzzer gets the beginning and writes over the rest with zeros.
	f.Add(b, uint32(0), uint32(0), uint32(0))
	f.Add(state.Bytes()[:200], uint32(2737225), uint32(2737225), uint32(2737346))
	f.Add([]byte("<!DOCTYPE html>"), uint32(1), uint32(2), uint32(3))
	f.Fuzz(func(t *testing.T, b []byte, fixed, validators, balances uint32) {
		if slot, err := readBlock(bytes.NewReader(b)); err == nil && len(b) < 184 {
			t.Errorf("a block of slot %d in %d bytes", slot, len(b))
		}
		whole := append(append([]byte(nil), b...), make([]byte, balancesAt+4)...)
		for at, v := range map[int]uint32{historicalRootsAt: fixed, validatorsAt: validators, balancesAt: balances} {
			whole[at], whole[at+1], whole[at+2], whole[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
		}
		if h, err := readState(bytes.NewReader(whole)); err == nil && int64(balances) > int64(len(whole)) {
			t.Errorf("%+v from a state that is cut short", h)
		}
	})
}
