package provider_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// seen is a faultless observation of a provider in a camp, one of those that have the same blocks, that serves an epoch and
// remembers those given besides.
func seen(name string, camp byte, epoch uint64, remembered ...uint64) provider.Observation {
	served := beacon.Checkpoint{Epoch: epoch, Root: rootOf(camp, epoch)}
	o := provider.Observation{
		Provider: name, URL: "http://" + name, At: now,
		Genesis: &beacon.Genesis{Time: genesis, ValidatorsRoot: rootOf(0xee, 1)},
		Spec:    provider.Constants{DepositChainID: 42, SecondsPerSlot: 12, SlotsPerEpoch: perEpoch},
		Claimed: &served, Served: &served, Roots: map[uint64]network.Root{epoch: served.Root},
	}
	for _, e := range remembered {
		o.Roots[e] = rootOf(camp, e)
	}
	slot := epoch * perEpoch
	o.State = &provider.State{At: now, Served: served, StatePrefix: beacon.StatePrefix{StateHeader: beacon.StateHeader{
		GenesisTime: genesis, GenesisValidatorsRoot: rootOf(0xee, 1), Slot: slot, LatestBlockHeader: beacon.BlockHeader{Slot: slot},
	}}}
	return o
}

func down(name string, r provider.Reason) provider.Observation {
	return provider.Observation{
		Provider: name, URL: "http://" + name, At: now,
		Err: fmt.Errorf("probe provider %q: read genesis: %w", name, &beacon.Error{Reason: r, Route: "/eth/v1/beacon/genesis", Message: "it is " + string(r)}),
	}
}

// agreements are the verdicts on agreement by provider: yes, no or unknown.
func agreements(j provider.Judgement) string {
	var b strings.Builder
	for _, v := range j.Verdicts {
		word := "?"
		if v.Agrees != nil {
			word = map[bool]string{true: "yes", false: "no"}[*v.Agrees]
		}
		fmt.Fprintf(&b, "%s:%s ", v.Provider, word)
	}
	return strings.TrimSpace(b.String())
}

func TestAgreement(t *testing.T) {
	for name, c := range map[string]struct {
		seen   []provider.Observation
		quorum int
		want   string
		// quorum as providers@epoch
		size string
	}{
		"nobody":                     {want: "", size: "0@0"},
		"one alone":                  {seen: []provider.Observation{seen("a", 1, 100)}, want: "a:?", size: "1@100"},
		"two agree":                  {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 100)}, want: "a:yes b:yes", size: "2@100"},
		"one is behind":              {seen: []provider.Observation{seen("a", 1, 100, 99), seen("b", 1, 99)}, want: "a:yes b:yes", size: "2@99"},
		"one is behind, no memory":   {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 99)}, want: "a:? b:?", size: "1@100"},
		"the lowest in common":       {seen: []provider.Observation{seen("a", 1, 100, 99, 98), seen("b", 1, 99, 98), seen("c", 1, 98)}, want: "a:yes b:yes c:yes", size: "3@98"},
		"the highest with the most":  {seen: []provider.Observation{seen("a", 1, 100, 99, 98), seen("b", 1, 100, 99, 98), seen("c", 1, 99, 98)}, want: "a:yes b:yes c:yes", size: "3@99"},
		"a dissenter":                {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 100), seen("c", 2, 100)}, want: "a:yes b:yes c:no", size: "2@100"},
		"a dissenter ahead":          {seen: []provider.Observation{seen("a", 1, 99), seen("b", 1, 99), seen("c", 2, 100, 99)}, want: "a:yes b:yes c:no", size: "2@99"},
		"a dissenter of one epoch":   {seen: []provider.Observation{seen("a", 1, 99), seen("b", 1, 99), seen("c", 2, 100)}, want: "a:yes b:yes c:?", size: "2@99"},
		"two against two":            {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 100), seen("c", 2, 100), seen("d", 2, 100)}, want: "a:no b:no c:no d:no", size: "0@0"},
		"three against two":          {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 100), seen("c", 1, 100), seen("d", 2, 100), seen("e", 2, 100)}, want: "a:yes b:yes c:yes d:no e:no", size: "3@100"},
		"one against one":            {seen: []provider.Observation{seen("a", 1, 100), seen("b", 2, 100)}, want: "a:? b:?", size: "0@0"},
		"one against one, ahead":     {seen: []provider.Observation{mixed("a", 2, 100, 99), mixed("b", 3, 100, 99), seen("c", 1, 99), seen("d", 1, 99)}, want: "a:? b:? c:yes d:yes", size: "2@99"},
		"one against one, one asked": {seen: []provider.Observation{seen("a", 1, 100), seen("b", 2, 100)}, quorum: 1, want: "a:no b:no", size: "0@0"},
		"one alone is enough":        {seen: []provider.Observation{seen("a", 1, 100)}, quorum: 1, want: "a:yes", size: "1@100"},
		"three asked for, two there": {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 100)}, quorum: 3, want: "a:? b:?", size: "2@100"},
		"the others are down":        {seen: []provider.Observation{seen("a", 1, 100), down("b", provider.Connect), down("c", provider.Timeout)}, want: "a:? b:? c:?", size: "1@100"},
		"the same URL twice":         {seen: []provider.Observation{seen("a", 1, 100), url("b", "http://a", seen("b", 1, 100))}, want: "a:? b:?", size: "1@100"},
		"another network's block":    {seen: []provider.Observation{seen("a", 1, 100), seen("b", 1, 100), stranger(seen("c", 2, 100)), stranger(seen("d", 2, 100))}, want: "a:yes b:yes c:? d:?", size: "2@100"},
		"a light one is a witness":   {seen: []provider.Observation{seen("a", 1, 100), stateless(seen("b", 1, 100))}, want: "a:yes b:yes", size: "1@100"},
		"a stale one is a witness":   {seen: []provider.Observation{seen("a", 1, 100, 90), seen("b", 1, 90)}, want: "a:yes b:yes", size: "1@100"},
		"it lags, not disagrees":     {seen: []provider.Observation{seen("a", 1, 100, 99), seen("b", 1, 100, 99), seen("c", 1, 99, 98)}, want: "a:yes b:yes c:yes", size: "3@99"},
	} {
		t.Run(name, func(t *testing.T) {
			j := provider.Judge(testnet, c.seen, provider.Options{Quorum: c.quorum}, now)
			if got := agreements(j); got != c.want {
				t.Errorf("agree %s, want %s", got, c.want)
			}
			if got := fmt.Sprintf("%d@%d", j.Quorum.Providers, j.Quorum.Epoch); got != c.size {
				t.Errorf("quorum %s, want %s", got, c.size)
			}
			threshold := max(c.quorum, 1)
			if c.quorum == 0 {
				threshold = 2
			}
			if j.Quorum.Threshold != threshold || j.Quorum.OK != (j.Quorum.Providers >= threshold) {
				t.Errorf("quorum %+v", j.Quorum)
			}
			for _, v := range j.Verdicts {
				if disagrees := v.Agrees != nil && !*v.Agrees; v.Has(provider.Disagrees) != disagrees {
					t.Errorf("%s: agreement %v with reasons %q", v.Provider, v.Agrees, v.Reasons)
				}
			}
		})
	}
}

// mixed serves a root of its own for one epoch and everybody's for those remembered.
func mixed(name string, camp byte, epoch uint64, remembered ...uint64) provider.Observation {
	o := seen(name, camp, epoch)
	for _, e := range remembered {
		o.Roots[e] = rootOf(1, e)
	}
	return o
}

func url(name, url string, o provider.Observation) provider.Observation {
	o.Provider, o.URL = name, url
	return o
}

func stranger(o provider.Observation) provider.Observation {
	o.Genesis = &beacon.Genesis{Time: 7, ValidatorsRoot: rootOf(8, 8)}
	return o
}

func stateless(o provider.Observation) provider.Observation {
	o.State, o.StateErr = nil, &beacon.Error{Reason: provider.HTTPStatus, Route: "/state", Status: 500, Message: "status 500: state not found"}
	return o
}

func TestDisagreementIsExplained(t *testing.T) {
	j := judge(seen("a", 1, 100), seen("b", 1, 100), seen("c", 2, 100))
	expectReasons(t, j.Verdicts[2], "its block root for epoch 100 is 0x02000000…0064, 2 others serve 0x01000000…0064", provider.Disagrees)
}

var ephemery, _ = network.Preset("ephemery")

// iteration is a faultless observation of an Ephemery provider in iteration n, at a time in iteration 166.
func iteration(name string, n uint64) (provider.Observation, time.Time) {
	at := ephemery.Iterations.Genesis(166).Add(10 * 24 * time.Hour)
	o := seen(name, 1, uint64(10*24*time.Hour/(384*time.Second))-2)
	o.At, o.State.At = at, at
	o.Genesis = &beacon.Genesis{Time: uint64(ephemery.Iterations.Genesis(n).Unix()), ValidatorsRoot: rootOf(0xe0, n)}
	o.State.GenesisTime, o.State.GenesisValidatorsRoot = o.Genesis.Time, o.Genesis.ValidatorsRoot
	o.Spec.DepositChainID = 39438000 + n
	return o, at
}

func TestIterations(t *testing.T) {
	change := func(o *provider.Observation, what string, n uint64) {
		other, _ := iteration("", n)
		switch what {
		case "genesis":
			o.Genesis = other.Genesis
		case "spec":
			o.Spec = other.Spec
		case "state":
			o.State = other.State
		}
	}
	for name, c := range map[string]struct {
		n       uint64
		changed string
		to      uint64
		want    []provider.Reason
		text    string
	}{
		"the current one":                      {n: 166},
		"the last one":                         {n: 165, want: []provider.Reason{provider.OldIteration}, text: "still on an earlier iteration: its genesis is 2026-10-22 19:10:00 UTC, ephemery's is 2026-11-19 19:10:00 UTC"},
		"one of last year":                     {n: 150, want: []provider.Reason{provider.OldIteration}, text: "its deposit chain id is 39438150, ephemery's is 39438166"},
		"the next one":                         {n: 167, want: []provider.Reason{provider.NoState}, text: "on the next iteration already"},
		"a cached genesis":                     {n: 166, changed: "genesis", to: 165, want: []provider.Reason{provider.OldIteration}, text: "other answers are of the current iteration, so it has to be restarted"},
		"a cached spec":                        {n: 166, changed: "spec", to: 165, want: []provider.Reason{provider.OldIteration}, text: "its deposit chain id is 39438165"},
		"a cached state":                       {n: 166, changed: "state", to: 165, want: []provider.Reason{provider.OldIteration}, text: "its state's genesis is 2026-10-22"},
		"a new spec, all else of the last one": {n: 165, changed: "spec", to: 166, want: []provider.Reason{provider.OldIteration}, text: "has to be restarted"},
		"hoodi's chain id":                     {n: 166, changed: "hoodi", want: []provider.Reason{provider.WrongNetwork}, text: "its deposit chain id is 560048, ephemery's is 39438166"},
	} {
		t.Run(name, func(t *testing.T) {
			o, at := iteration("p", c.n)
			if c.changed == "hoodi" {
				o.Spec.DepositChainID = 560048
			} else {
				change(&o, c.changed, c.to)
			}
			v := only(t, provider.Judge(ephemery, []provider.Observation{o}, provider.Options{}, at))
			expectReasons(t, v, c.text, c.want...)
		})
	}
}

func TestOldIterationsDoNotOutvote(t *testing.T) {
	var all []provider.Observation
	for i, n := range []uint64{165, 165, 165, 166, 166} {
		o, _ := iteration(string(rune('a'+i)), n)
		all = append(all, o)
	}
	_, at := iteration("", 166)
	j := provider.Judge(ephemery, all, provider.Options{}, at)
	if got := agreements(j); got != "a:? b:? c:? d:yes e:yes" || !j.Quorum.OK || j.Usable() != 2 {
		t.Errorf("agree %s, quorum %+v", got, j.Quorum)
	}
	if j.Chain.GenesisValidatorsRoot != rootOf(0xe0, 166) || j.Chain.Iteration != 166 {
		t.Errorf("chain %+v", j.Chain)
	}
	if want := "genesis validators root " + rootOf(0xe0, 166).String() + ": learnt from 2 of 2 providers"; !slices.Equal(j.Learnt, []string{want}) {
		t.Errorf("learnt %q, want %q", j.Learnt, want)
	}
}

func TestLearning(t *testing.T) {
	blank := network.Network{Chain: network.Chain{Network: "devnet"}}
	other := func(o provider.Observation) provider.Observation {
		o.Genesis = &beacon.Genesis{Time: genesis, ValidatorsRoot: rootOf(0xdd, 1)}
		o.State = nil
		return o
	}
	spec := func(o provider.Observation, c provider.Constants) provider.Observation { o.Spec = c; return o }
	a, b := seen("a", 1, 100), seen("b", 1, 100)
	for name, c := range map[string]struct {
		network network.Network
		seen    []provider.Observation
		want    string
		learnt  int
		wrong   string
	}{
		"all from two":        {blank, []provider.Observation{a, b}, "1700000000 0xee 42 12 32", 5, ""},
		"nothing from one":    {blank, []provider.Observation{a}, "- 0x00 0 0 0", 0, ""},
		"nothing from down":   {blank, []provider.Observation{down("a", provider.DNS), down("b", provider.DNS)}, "- 0x00 0 0 0", 0, ""},
		"nothing from a tie":  {blank, []provider.Observation{a, b, other(seen("c", 2, 100)), other(seen("d", 2, 100))}, "- 0x00 0 0 0", 0, ""},
		"from the most":       {blank, []provider.Observation{a, b, other(seen("c", 2, 100))}, "1700000000 0xee 42 12 32", 5, "c"},
		"nothing to learn":    {testnet, []provider.Observation{a, b}, "1700000000 0xee 42 12 32", 0, ""},
		"not from strangers":  {testnet, []provider.Observation{stranger(a), stranger(b)}, "1700000000 0xee 42 12 32", 0, "a b"},
		"what is told by two": {blank, []provider.Observation{a, spec(b, provider.Constants{DepositChainID: 42})}, "1700000000 0xee 42 0 0", 3, ""},
		"no quorum of specs":  {blank, []provider.Observation{a, spec(b, provider.Constants{DepositChainID: 43, SecondsPerSlot: 12, SlotsPerEpoch: 32})}, "1700000000 0xee 0 12 32", 4, ""},
		"one URL is one":      {blank, []provider.Observation{a, url("b", a.URL, b)}, "- 0x00 0 0 0", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := provider.Judge(c.network, c.seen, provider.Options{}, now)
			when := "-"
			if !j.Chain.GenesisTime.IsZero() {
				when = fmt.Sprint(j.Chain.GenesisTime.Unix())
			}
			got := fmt.Sprintf("%s %.4s %d %d %d", when, j.Chain.GenesisValidatorsRoot, j.Chain.DepositChainID, j.Chain.SecondsPerSlot, j.Chain.SlotsPerEpoch)
			if got != c.want || len(j.Learnt) != c.learnt {
				t.Errorf("chain %s, learnt %q; want %s, %d", got, j.Learnt, c.want, c.learnt)
			}
			var wrong []string
			for _, v := range j.Verdicts {
				if v.Has(provider.WrongNetwork) {
					wrong = append(wrong, v.Provider)
				}
			}
			if got := strings.Join(wrong, " "); got != c.wrong {
				t.Errorf("on a wrong network: %q, want %q", got, c.wrong)
			}
			if (j.Chain.SecondsPerSlot == 0) != (j.Verdicts[0].LagEpochs == nil) && !j.Verdicts[0].Has(provider.WrongNetwork) {
				t.Errorf("lag %v by a clock of %d s", j.Verdicts[0].LagEpochs, j.Chain.SecondsPerSlot)
			}
		})
	}
}

func TestAge(t *testing.T) {
	for epoch, c := range map[uint64]struct {
		want []provider.Reason
		text string
	}{
		100: {nil, ""},
		98:  {nil, ""},
		97:  {[]provider.Reason{provider.Stale}, "5 epochs behind the clock's 102"},
		1:   {[]provider.Reason{provider.Stale}, ""},
	} {
		expectReasons(t, only(t, judge(seen("p", 1, epoch))), c.text, c.want...)
	}
	late := now.Add(700 * 384 * time.Second)
	o := seen("p", 1, 100)
	o.At = late
	v := only(t, provider.Judge(testnet, []provider.Observation{o}, provider.Options{}, late))
	expectReasons(t, v, "702 epochs old, and syncing is safe from at most 633", provider.Stale, provider.OutsideWeakSubjectivity)
	if *v.LagEpochs != 702 || *v.Finalized != at(100) {
		t.Errorf("lag %d of %v", *v.LagEpochs, *v.Finalized)
	}
	// The lag is that of the time when it was seen: an observation that is kept does not go stale by being looked at later.
	v = only(t, provider.Judge(testnet, []provider.Observation{seen("p", 1, 100)}, provider.Options{}, late))
	expectReasons(t, v, "")
	v = only(t, provider.Judge(testnet, []provider.Observation{seen("p", 1, 97)}, provider.Options{MaxLagEpochs: 5}, now))
	expectReasons(t, v, "")
}

func TestSeveralReasonsStandInOrder(t *testing.T) {
	o := stateless(seen("c", 2, 90))
	j := judge(seen("a", 1, 100, 90), seen("b", 1, 100, 90), o)
	expectReasons(t, j.Verdicts[2], "", provider.NoState, provider.Stale, provider.Disagrees)
}

func TestRank(t *testing.T) {
	slow := func(o provider.Observation, d time.Duration) provider.Observation {
		o.Exchange.Timings.FirstByte = d
		return o
	}
	j := judge(
		down("down", provider.Connect),
		slow(seen("behind", 1, 99, 98), time.Millisecond),
		slow(seen("slow", 1, 100, 99), time.Second),
		slow(seen("fast", 1, 100, 99), time.Millisecond),
		slow(seen("as fast", 1, 100, 99), time.Millisecond),
		slow(seen("alone", 1, 101), time.Microsecond),
		slow(seen("dissenting", 2, 100), time.Microsecond),
		stateless(slow(seen("light", 1, 100), time.Microsecond)),
	)
	var got []string
	for _, v := range provider.Rank(j) {
		got = append(got, v.Provider)
	}
	if diff := cmp.Diff([]string{"fast", "as fast", "slow", "behind", "alone", "light", "down", "dissenting"}, got); diff != "" {
		t.Errorf("ranked (-want +got):\n%s", diff)
	}
	if j.Verdicts[0].Provider != "down" || j.Usable() != 5 {
		t.Errorf("ranking changed the judgement, or %d are usable", j.Usable())
	}
	if v, ok := j.Verdict("light"); !ok || v.Provider != "light" {
		t.Errorf("found %q", v.Provider)
	}
	if _, ok := j.Verdict("nobody"); ok {
		t.Error("found nobody")
	}
}

func TestWanted(t *testing.T) {
	all := []provider.Observation{
		seen("a", 1, 100), seen("b", 1, 99, 98), seen("c", 1, 98), seen("d", 1, 97), seen("ahead", 1, 101), down("down", provider.DNS), stranger(seen("e", 1, 95)),
	}
	for name, want := range map[string][]uint64{
		"a":     {98, 99},
		"b":     {97},
		"c":     {97},
		"d":     nil,
		"ahead": {98, 100},
		"down":  nil,
		"e":     nil,
		"none":  nil,
	} {
		if got := provider.Wanted(all, name); !slices.Equal(got, want) {
			t.Errorf("%s is asked for %d, want %d", name, got, want)
		}
	}
}

func TestReasons(t *testing.T) {
	var words []string
	for _, r := range provider.Reasons() {
		words = append(words, string(r))
	}
	want := "dns connect tls timeout http_status rate_limited malformed too_large wrong_network old_iteration no_state stale outside_weak_subjectivity unaligned disagrees invalid_state"
	if got := strings.Join(words, " "); got != want {
		t.Errorf("reasons %s", got)
	}
	for _, r := range provider.Reasons()[:8] {
		expectReasons(t, only(t, judge(down("p", r))), "it is "+string(r), r)
	}
	// A failure without a reason of ours is one of the connection.
	expectReasons(t, only(t, judge(provider.Observation{Provider: "p", Err: errors.New("something else")})), "something else", provider.Connect)
}
