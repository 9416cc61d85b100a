package provider

import (
	"fmt"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// fact is one thing that a provider told about which chain it is on.
type fact struct {
	identity network.Identity
	// text completes "its …".
	text string
}

// facts compares what a provider told with what the chain should be; what is not known contradicts nothing.
func (c court) facts(seen Observation) []fact {
	var all []fact
	if g := seen.Genesis; g != nil {
		all = append(all, c.genesis("", g.Time), c.validators("", g.ValidatorsRoot))
	}
	if id := seen.Spec.DepositChainID; id != 0 {
		all = append(all, c.chainID(id))
	}
	if n := seen.Spec.SecondsPerSlot; n != 0 && c.chain.SecondsPerSlot != 0 {
		all = append(all, constant("seconds per slot", n, c.chain.SecondsPerSlot))
	}
	if n := seen.Spec.SlotsPerEpoch; n != 0 && c.chain.SlotsPerEpoch != 0 {
		all = append(all, constant("slots per epoch", n, c.chain.SlotsPerEpoch))
	}
	if s := seen.State; s != nil {
		all = append(all, c.genesis("state's ", s.GenesisTime), c.validators("state's ", s.GenesisValidatorsRoot))
	}
	return all
}

func (c court) genesis(whose string, seconds uint64) fact {
	f := fact{text: whose + "genesis is " + stamp(seconds)}
	f.identity = c.network.Identify(seconds, c.now)
	if f.identity == network.Same && !c.chain.GenesisTime.IsZero() && seconds != uint64(c.chain.GenesisTime.Unix()) {
		f.identity = network.Other
	}
	if f.identity != network.Same {
		f.text += ", " + c.chain.Network + "'s is " + stamp(uint64(c.chain.GenesisTime.Unix()))
	}
	return f
}

func (c court) validators(whose string, root network.Root) fact {
	if c.chain.GenesisValidatorsRoot.IsZero() || root == c.chain.GenesisValidatorsRoot {
		return fact{identity: network.Same, text: whose + "genesis validators root is the network's"}
	}
	return fact{identity: network.Other, text: fmt.Sprintf("%sgenesis validators root is %s, %s's is %s",
		whose, short(root), c.chain.Network, short(c.chain.GenesisValidatorsRoot))}
}

func (c court) chainID(id uint64) fact {
	f := fact{identity: c.network.IdentifyChainID(id, c.now), text: fmt.Sprintf("deposit chain id is %d", id)}
	if f.identity == network.Same && c.chain.DepositChainID != 0 && id != c.chain.DepositChainID {
		f.identity = network.Other
	}
	if f.identity != network.Same {
		f.text += fmt.Sprintf(", %s's is %d", c.chain.Network, c.chain.DepositChainID)
	}
	return f
}

func constant(name string, told, known uint64) fact {
	if told == known {
		return fact{identity: network.Same, text: name + " are the network's"}
	}
	return fact{identity: network.Other, text: fmt.Sprintf("%s are %d, not %d", name, told, known)}
}

// identify finds out whether the provider is on this chain, and says so when it is not. One answer of an earlier iteration among
// others of the current one is enough: checkpointz goes on serving the genesis that it once read.
func (c court) identify(v *Verdict, seen Observation) (alien bool) {
	by := map[network.Identity][]string{}
	for _, f := range c.facts(seen) {
		by[f.identity] = append(by[f.identity], f.text)
	}
	switch {
	case len(by[network.Earlier]) > 0 && c.mixed(seen):
		v.addf(OldIteration, "its %s; other answers are of the current iteration, so it has to be restarted", strings.Join(by[network.Earlier], "; its "))
	case len(by[network.Earlier]) > 0:
		v.addf(OldIteration, "it is still on an earlier iteration: its %s", strings.Join(by[network.Earlier], "; its "))
	case len(by[network.Other]) > 0:
		v.addf(WrongNetwork, "it is on another network: its %s", strings.Join(by[network.Other], "; its "))
	case len(by[network.Next]) > 0:
		v.addf(NoState, "it is on the next iteration already, which has no finalized state yet: its %s", strings.Join(by[network.Next], "; its "))
	default:
		return false
	}
	return true
}

// mixed tells whether some answer that identifies an iteration is of the current one.
func (c court) mixed(seen Observation) bool {
	if seen.Genesis != nil && c.network.Identify(seen.Genesis.Time, c.now) == network.Same {
		return true
	}
	if id := seen.Spec.DepositChainID; id != 0 && c.network.IdentifyChainID(id, c.now) == network.Same {
		return true
	}
	return seen.State != nil && c.network.Identify(seen.State.GenesisTime, c.now) == network.Same
}

// learn fills in the facts of the chain that are not configured from what a quorum tells.
func learn(n network.Network, observations []Observation, o Options, now time.Time) (network.Chain, []string) {
	chain := n.ChainAt(now)
	var learnt []string
	base := court{network: n, chain: chain, options: o, now: now}
	var voters []Observation
	for _, seen := range observations {
		if seen.Err == nil && seen.Genesis != nil && base.same(seen) {
			voters = append(voters, seen)
		}
	}
	say := func(what string, votes int) {
		learnt = append(learnt, fmt.Sprintf("%s: learnt from %d of %d providers", what, votes, len(voters)))
	}
	if chain.GenesisTime.IsZero() || chain.GenesisValidatorsRoot.IsZero() {
		g, votes := elect(voters, o.Quorum, func(s Observation) (beacon.Genesis, bool) {
			return beacon.Genesis{Time: s.Genesis.Time, ValidatorsRoot: s.Genesis.ValidatorsRoot}, !s.Genesis.ValidatorsRoot.IsZero()
		})
		if votes == 0 {
			// Without an agreed identity the other facts may be of different chains.
			return chain, nil
		}
		if chain.GenesisTime.IsZero() && g.Time < 1<<40 {
			chain.GenesisTime = time.Unix(int64(g.Time), 0)
			say("genesis time "+stamp(g.Time), votes)
		}
		if chain.GenesisValidatorsRoot.IsZero() {
			chain.GenesisValidatorsRoot = g.ValidatorsRoot
			say("genesis validators root "+g.ValidatorsRoot.String(), votes)
		}
	}
	base.chain = chain
	agreed := voters[:0:0]
	for _, seen := range voters {
		if base.same(seen) {
			agreed = append(agreed, seen)
		}
	}
	voters = agreed
	for _, c := range []struct {
		name string
		to   *uint64
		from func(Constants) uint64
	}{
		{"deposit chain id", &chain.DepositChainID, func(c Constants) uint64 { return c.DepositChainID }},
		{"seconds per slot", &chain.SecondsPerSlot, func(c Constants) uint64 { return c.SecondsPerSlot }},
		{"slots per epoch", &chain.SlotsPerEpoch, func(c Constants) uint64 { return c.SlotsPerEpoch }},
	} {
		if *c.to != 0 {
			continue
		}
		value, votes := elect(voters, o.Quorum, func(s Observation) (uint64, bool) { v := c.from(s.Spec); return v, v != 0 })
		if votes > 0 {
			*c.to = value
			say(fmt.Sprintf("%s %d", c.name, value), votes)
		}
	}
	return chain, learnt
}

func (c court) same(seen Observation) bool {
	for _, f := range c.facts(seen) {
		if f.identity != network.Same {
			return false
		}
	}
	return true
}

// elect gives the value that at least a quorum of providers tell and more than tell any other; 0 votes when there is none. The
// same URL counts once.
func elect[T comparable](voters []Observation, quorum int, of func(Observation) (T, bool)) (T, int) {
	tally := map[T]map[string]struct{}{}
	for _, seen := range voters {
		if v, ok := of(seen); ok {
			if tally[v] == nil {
				tally[v] = map[string]struct{}{}
			}
			tally[v][seen.URL] = struct{}{}
		}
	}
	var winner, none T
	votes, tie := 0, false
	for v, urls := range tally {
		switch {
		case len(urls) > votes:
			winner, votes, tie = v, len(urls), false
		case len(urls) == votes:
			tie = true
		}
	}
	if tie || votes < quorum {
		return none, 0
	}
	return winner, votes
}

// stamp is a time as people read it; a number that is no time stays one.
func stamp(seconds uint64) string {
	if seconds >= 1<<40 {
		return fmt.Sprint(seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// short is a root as people compare it.
func short(r network.Root) string {
	s := r.String()
	return s[:10] + "…" + s[len(s)-4:]
}
