package provider

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// ballot holds who serves which root, by epoch and root; the same URL counts once.
type ballot map[uint64]map[network.Root]map[string]struct{}

func (b ballot) add(seen Observation) {
	for epoch, root := range seen.Roots {
		if root.IsZero() {
			continue
		}
		if b[epoch] == nil {
			b[epoch] = map[network.Root]map[string]struct{}{}
		}
		if b[epoch][root] == nil {
			b[epoch][root] = map[string]struct{}{}
		}
		b[epoch][root][seen.URL] = struct{}{}
	}
}

// rival is the root that the most serve instead of the given one, not counting a URL.
func (b ballot) rival(epoch uint64, root network.Root, url string) (network.Root, int) {
	var other network.Root
	most := 0
	for r, urls := range b[epoch] {
		n := len(urls)
		if _, own := urls[url]; own {
			n--
		}
		if r != root && (n > most || n == most && n > 0 && bytes.Compare(r[:], other[:]) < 0) {
			other, most = r, n
		}
	}
	return other, most
}

// best is the highest of the epochs at which the most serve the same root.
func (b ballot) best() (epoch uint64, root network.Root, providers int) {
	for e, roots := range b {
		for r, urls := range roots {
			better := cmp.Or(cmp.Compare(len(urls), providers), cmp.Compare(e, epoch), bytes.Compare(root[:], r[:]))
			if better > 0 {
				epoch, root, providers = e, r, len(urls)
			}
		}
	}
	return epoch, root, providers
}

// among judges a provider against the others, at the highest epoch for which that can be said. It is contested when it and
// another contradict each other and there is no quorum to say who is right; then nothing that it serves counts for a quorum.
func (c court) among(v *Verdict, votes ballot) (contested bool) {
	seen := v.Observation
	epochs := make([]uint64, 0, len(seen.Roots))
	for e, root := range seen.Roots {
		if !root.IsZero() {
			epochs = append(epochs, e)
		}
	}
	slices.Sort(epochs)
	for _, epoch := range slices.Backward(epochs) {
		mine := seen.Roots[epoch]
		own := len(votes[epoch][mine])
		other, against := votes.rival(epoch, mine, seen.URL)
		switch {
		case against >= c.options.Quorum && against >= own:
			agrees := false
			v.Agrees = &agrees
			v.addf(Disagrees, "its block root for epoch %d is %s, %d others serve %s", epoch, short(mine), against, short(other))
			return false
		case own >= c.options.Quorum && own > against:
			agrees := true
			v.Agrees = &agrees
			return false
		case against > 0:
			return true
		}
	}
	return false
}

// maxWanted is how many epochs a provider is asked for in one look.
const maxWanted = 2

// Wanted are the epochs whose block root a provider should be asked for so that it can be compared with the others, which may lag:
// what they serve now and it has not told, at most two, those first that the most others know.
func Wanted(observations []Observation, provider string) []uint64 {
	at := slices.IndexFunc(observations, func(o Observation) bool { return o.Provider == provider })
	if at < 0 || observations[at].Err != nil || observations[at].Served == nil {
		return nil
	}
	self := observations[at]
	known := map[uint64]int{}
	for i, o := range observations {
		if i == at || o.Err != nil || o.Served == nil || o.Genesis == nil || *o.Genesis != *self.Genesis {
			continue
		}
		epoch := o.Served.Epoch
		if _, told := self.Roots[epoch]; epoch == 0 || epoch > self.Served.Epoch || told {
			continue
		}
		known[epoch] = 0
	}
	for epoch := range known {
		for i, o := range observations {
			if _, told := o.Roots[epoch]; i != at && told {
				known[epoch]++
			}
		}
	}
	wanted := make([]uint64, 0, len(known))
	for epoch := range known {
		wanted = append(wanted, epoch)
	}
	slices.SortFunc(wanted, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(known[b], known[a]), cmp.Compare(b, a))
	})
	return wanted[:min(maxWanted, len(wanted))]
}
