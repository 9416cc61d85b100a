package collector

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// Providers is what GET /api/v1/providers answers. Times are RFC 3339 in UTC, durations seconds, roots 0x and 64 hexadecimal digits;
// what is not known is left out.
type Providers struct {
	// At is when the answer was made.
	At      time.Time `json:"at"`
	Network Network   `json:"network"`
	Quorum  Quorum    `json:"quorum"`
	// Learnt says, one sentence each, which facts of the network come from a quorum and not from the configuration.
	Learnt []string `json:"learnt"`
	// Epochs are the newest epochs of which block roots are known, newest first.
	Epochs []Epoch `json:"epochs"`
	// Providers are in configured order.
	Providers []Provider `json:"providers"`
}

// Network is the network that is watched.
type Network struct {
	Name                  string        `json:"name"`
	Iteration             uint64        `json:"iteration,omitempty"`
	GenesisTime           *time.Time    `json:"genesis_time,omitempty"`
	GenesisValidatorsRoot *network.Root `json:"genesis_validators_root,omitempty"`
	DepositChainID        uint64        `json:"deposit_chain_id,omitempty"`
	// Slot and Epoch are those of the clock.
	Slot    *uint64    `json:"slot,omitempty"`
	Epoch   *uint64    `json:"epoch,omitempty"`
	ResetAt *time.Time `json:"reset_at,omitempty"`
	// Quiet is true in the window around a reset.
	Quiet bool `json:"quiet"`
}

// Quorum is the agreement among usable providers.
type Quorum struct {
	// Reached tells whether Providers is at least Threshold.
	Reached   bool `json:"reached"`
	Threshold int  `json:"threshold"`
	Providers int  `json:"providers"`
	// Epoch and Root are what they agree on.
	Epoch *uint64       `json:"epoch,omitempty"`
	Root  *network.Root `json:"root,omitempty"`
	// Complete is false until every provider has been asked once.
	Complete bool `json:"complete"`
}

// Epoch is a finalized epoch and what providers of this chain serve for it.
type Epoch struct {
	Epoch uint64 `json:"epoch"`
	// Roots are the block roots, the one that most serve first. More than one means that somebody is wrong.
	Roots []Camp `json:"roots"`
}

// Camp is a block root and the names of those who serve it, in configured order.
type Camp struct {
	Root      network.Root `json:"root"`
	Providers []string     `json:"providers"`
}

// Provider is one provider and what is thought of it.
type Provider struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Asked is false until the first probe has ended; nothing else is known then.
	Asked  bool `json:"asked"`
	Usable bool `json:"usable"`
	// Rank is its place among all that were asked, 1 for the best.
	Rank    int       `json:"rank,omitempty"`
	Reasons []Finding `json:"reasons"`
	// Finalized is the checkpoint that it serves.
	Finalized *Checkpoint `json:"finalized,omitempty"`
	LagEpochs *uint64     `json:"lag_epochs,omitempty"`
	Agrees    *bool       `json:"agrees,omitempty"`
	// Version is what its server says that it is.
	Version               string        `json:"version,omitempty"`
	GenesisTime           *time.Time    `json:"genesis_time,omitempty"`
	GenesisValidatorsRoot *network.Root `json:"genesis_validators_root,omitempty"`
	State                 *State        `json:"state,omitempty"`
	// Timings are those of the latest probe, by phase: resolve, connect, tls, first_byte, transfer.
	Timings              map[string]float64 `json:"timings_seconds,omitempty"`
	CertificateExpiresAt *time.Time         `json:"certificate_expires_at,omitempty"`
	ProbedAt             *time.Time         `json:"probed_at,omitempty"`
	LastSuccessAt        *time.Time         `json:"last_success_at,omitempty"`
	// RetryAt is until when it asked to be left alone.
	RetryAt *time.Time `json:"retry_at,omitempty"`
	// Probes counts the probes since the start by result.
	Probes map[string]uint64 `json:"probes,omitempty"`
}

// Finding is a reason that holds and a sentence about it.
type Finding struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// Checkpoint is a finalized epoch and the root of its block.
type Checkpoint struct {
	Epoch uint64       `json:"epoch"`
	Root  network.Root `json:"root"`
}

// State is the beginning of the finalized state as it was last read.
type State struct {
	Slot   uint64    `json:"slot"`
	ReadAt time.Time `json:"read_at"`
	// Fork is the name of the state's fork, such as electra.
	Fork  string  `json:"fork,omitempty"`
	Bytes *uint64 `json:"bytes,omitempty"`
}

func (e *Exporter) serveProviders(w http.ResponseWriter, _ *http.Request) {
	e.writeJSON(w, providersOf(e.look()))
}

// Status is what is known of everything at one moment.
type Status struct {
	Providers Providers
	Nodes     Nodes
}

// Status is what the API tells, for the page.
func (e *Exporter) Status() Status {
	v := e.look()
	return Status{providersOf(v), nodesOf(v)}
}

// writeJSON answers with a value that marshals by its type.
func (e *Exporter) writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		level.Debug(e.logger).Log("msg", "answer not sent", "err", err)
	}
}

func providersOf(v *view) Providers {
	q := v.judgement.Quorum
	out := Providers{
		At: v.now.UTC(), Network: networkOf(v), Learnt: append([]string{}, v.judgement.Learnt...),
		Epochs: epochsOf(v.judgement), Providers: []Provider{},
		Quorum: Quorum{Reached: q.OK, Threshold: v.state.options.Quorum, Providers: q.Providers, Complete: v.complete},
	}
	if q.Providers > 0 {
		out.Quorum.Epoch, out.Quorum.Root = &q.Epoch, &q.Root
	}
	ranks := map[string]int{}
	for i, verdict := range provider.Rank(v.judgement) {
		ranks[verdict.Provider] = i + 1
	}
	for _, p := range v.providers {
		one := providerOf(p)
		one.Rank = ranks[p.name]
		out.Providers = append(out.Providers, one)
	}
	return out
}

// maxEpochs bounds how many epochs are told; providers' lags differ by less.
const maxEpochs = 8

// epochsOf compares what the providers of the chain serve. Those of another one have epochs of their own.
func epochsOf(j provider.Judgement) []Epoch {
	known := map[uint64]*Epoch{}
	for _, v := range j.Verdicts {
		if v.Has(provider.WrongNetwork) || v.Has(provider.OldIteration) {
			continue
		}
		for epoch, root := range v.Observation.Roots {
			e := known[epoch]
			if e == nil {
				e = &Epoch{Epoch: epoch}
				known[epoch] = e
			}
			i := slices.IndexFunc(e.Roots, func(c Camp) bool { return c.Root == root })
			if i < 0 {
				i, e.Roots = len(e.Roots), append(e.Roots, Camp{Root: root})
			}
			e.Roots[i].Providers = append(e.Roots[i].Providers, v.Provider)
		}
	}
	newest := slices.Sorted(maps.Keys(known))
	newest = newest[max(0, len(newest)-maxEpochs):]
	out := []Epoch{}
	for _, epoch := range slices.Backward(newest) {
		e := known[epoch]
		slices.SortStableFunc(e.Roots, func(a, b Camp) int { return len(b.Providers) - len(a.Providers) })
		out = append(out, *e)
	}
	return out
}

func networkOf(v *view) Network {
	c := v.chain
	out := Network{
		Name: c.Network, Iteration: c.Iteration, GenesisTime: when(c.GenesisTime), GenesisValidatorsRoot: rootOrNil(c.GenesisValidatorsRoot),
		DepositChainID: c.DepositChainID, ResetAt: when(c.ResetAt), Quiet: v.quiet(),
	}
	if c.HasClock() {
		out.Slot, out.Epoch = new(c.Slot(v.now)), new(c.Epoch(v.now))
	}
	return out
}

func providerOf(p providerView) Provider {
	out := Provider{Name: p.name, URL: p.url, Reasons: []Finding{}}
	if p.sight != nil {
		out.Probes, out.LastSuccessAt = p.sight.probes, when(p.sight.answered)
	}
	if p.verdict == nil {
		return out
	}
	out.Asked, out.Usable = true, p.verdict.Usable
	out.LagEpochs, out.Agrees = p.verdict.LagEpochs, p.verdict.Agrees
	for _, f := range p.verdict.Reasons {
		out.Reasons = append(out.Reasons, Finding{string(f.Reason), f.Text})
	}
	if f := p.verdict.Finalized; f != nil {
		out.Finalized = &Checkpoint{f.Epoch, f.Root}
	}
	seen := p.verdict.Observation
	out.Version, out.ProbedAt, out.RetryAt = seen.Version.Full, when(seen.At), when(seen.RetryAt)
	out.CertificateExpiresAt = when(seen.Exchange.CertificateExpiry)
	if g := seen.Genesis; g != nil {
		out.GenesisTime, out.GenesisValidatorsRoot = unix(g.Time), &g.ValidatorsRoot
	}
	if s := seen.State; s != nil {
		out.State = &State{Slot: s.Slot, ReadAt: s.At.UTC(), Fork: s.ConsensusVersion, Bytes: s.Bytes}
	}
	if seen.Exchange.Requests > 0 {
		out.Timings = map[string]float64{}
		for _, phase := range phases(seen.Exchange.Timings) {
			out.Timings[phase.name] = phase.took.Seconds()
		}
	}
	return out
}

// when is a time in UTC, or nil for none and for one, foreign, that RFC 3339 cannot write.
func when(t time.Time) *time.Time {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return &t
}

func unix(seconds uint64) *time.Time {
	return when(time.Unix(int64(min(seconds, 1<<40)), 0))
}

func rootOrNil(r network.Root) *network.Root {
	if r.IsZero() {
		return nil
	}
	return &r
}
