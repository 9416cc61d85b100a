package provider_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// script makes observations of its bytes; it gives zeros when they are used up.
type script []byte

func (s *script) next() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

// number is small, or near one of the ends of what 64 bits hold.
func (s *script) number() uint64 {
	b := s.next()
	if b >= 0xf8 {
		return ^uint64(0) - uint64(b&7)
	}
	return uint64(b)
}

func (s *script) observation(name string) provider.Observation {
	o := seen(name, s.next()%3, 90+uint64(s.next()%16))
	for range s.next() % 8 {
		epoch := 85 + uint64(s.next()%20)
		o.Roots[epoch] = rootOf(s.next()%3, epoch)
	}
	switch s.next() % 16 {
	case 0:
		return down(name, provider.Reasons()[s.next()%8])
	case 1:
		o.Genesis = &beacon.Genesis{Time: s.number(), ValidatorsRoot: rootOf(s.next(), 1)}
	case 2:
		o.Spec = provider.Constants{DepositChainID: s.number(), SecondsPerSlot: s.number(), SlotsPerEpoch: s.number()}
	case 3:
		o.State.Slot, o.State.LatestBlockHeader.Slot = s.number(), s.number()
	case 4:
		o.State.GenesisTime = s.number()
	case 5:
		o = stateless(o)
	case 6:
		o.Served, o.Claimed, o.Roots = nil, nil, nil
	case 7:
		o.Served = &beacon.Checkpoint{Epoch: s.number(), Root: rootOf(s.next(), 2)}
		o.Roots[o.Served.Epoch] = o.Served.Root
	case 8:
		o.URL = "http://a"
	case 9:
		o.State = nil
	case 10:
		o.At = time.Unix(int64(s.number()), 0)
	}
	return o
}

// FuzzJudge holds judgements of anything to what must always be true.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{3, 2})
	f.Add([]byte{4, 0, 2, 1, 10, 2, 1, 1, 1, 1, 15, 1, 10, 0, 15, 2, 10, 0, 15, 2, 11, 0, 15})
	f.Add([]byte{6, 1, 3, 1, 1, 0, 1, 0xff, 3, 1, 1, 0, 2, 0xff, 0xff, 0xff, 1, 1, 0, 3, 0xfe, 0xff, 1, 1, 0, 7, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := script(b)
		var all []provider.Observation
		for i := range int(s.next() % 9) {
			all = append(all, s.observation(string(rune('a'+i))))
		}
		o := provider.Options{Quorum: int(s.next() % 5), MaxLagEpochs: s.number()}
		n := testnet
		switch s.next() % 3 {
		case 1:
			n = network.Network{Chain: network.Chain{Network: "devnet"}}
		case 2:
			n = ephemery
		}
		j := provider.Judge(n, all, o, now)
		if again := provider.Judge(n, all, o, now); !reflect.DeepEqual(j, again) {
			t.Fatalf("judged twice: %+v and %+v", j, again)
		}
		holds(t, j, len(all))
		for _, o := range all {
			if w := provider.Wanted(all, o.Provider); len(w) > 2 {
				t.Errorf("%s is asked for %d", o.Provider, w)
			}
		}
	})
}

func holds(t *testing.T, j provider.Judgement, providers int) {
	t.Helper()
	if len(j.Verdicts) != providers || j.Quorum.Providers > j.Usable() || j.Quorum.OK != (j.Quorum.Providers >= j.Quorum.Threshold) || j.Quorum.Threshold < 1 {
		t.Errorf("%d verdicts on %d, %d usable, quorum %+v", len(j.Verdicts), providers, j.Usable(), j.Quorum)
	}
	order := provider.Reasons()
	for _, v := range j.Verdicts {
		if v.Usable != (len(v.Reasons) == 0) || v.Usable && (v.Observation.Err != nil || v.Finalized == nil) {
			t.Errorf("usable %v: %+v", v.Usable, v)
		}
		last := -1
		for _, r := range v.Reasons {
			at := slices.Index(order, r.Reason)
			if at <= last || r.Text == "" {
				t.Errorf("reasons %q", v.Reasons)
			}
			last = at
		}
		if v.Has(provider.Disagrees) != (v.Agrees != nil && !*v.Agrees) {
			t.Errorf("agrees %v: %q", v.Agrees, v.Reasons)
		}
	}
	ranked := provider.Rank(j)
	if len(ranked) != providers || !slices.IsSortedFunc(ranked, func(a, b provider.Verdict) int {
		if a.Usable == b.Usable {
			return 0
		}
		if a.Usable {
			return -1
		}
		return 1
	}) {
		t.Errorf("ranked %+v", ranked)
	}
}
