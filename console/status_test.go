package console_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// fleet is what the programs answer when all is well.
type fleet struct {
	nodes     collector.Nodes
	providers collector.Providers
	state     remediate.StateView
}

func well() *fleet {
	agreed := uint64(1200)
	return &fleet{
		nodes: collector.Nodes{Nodes: []collector.Node{{Name: "node-1", Looked: true, Up: true, Phase: "synced", DistanceSlots: new(uint64(1)),
			Execution: &collector.Execution{Up: true}}}},
		providers: collector.Providers{Quorum: collector.Quorum{Reached: true, Complete: true, Threshold: 2, Providers: 2, Epoch: &agreed},
			Providers: []collector.Provider{{Name: "one", Asked: true, Usable: true}}},
		state: remediate.StateView{Mode: "act", Incidents: []remediate.IncidentView{{ID: "a-1", Node: "node-1", Stage: "closed", ClosedAt: &now}}},
	}
}

func TestStatus(t *testing.T) {
	pause := filepath.Join(t.TempDir(), "pause")
	for name, tc := range map[string]struct {
		upset func(*fleet)
		want  []string // empty when all is well
	}{
		"well":          {func(*fleet) {}, nil},
		"syncing":       {func(f *fleet) { f.nodes.Nodes[0].Phase = "syncing" }, nil},
		"open incident": {func(f *fleet) { f.state.Incidents[0].ClosedAt, f.state.Incidents[0].Stage = nil, "verifying" }, nil},
		"stalled":       {func(f *fleet) { f.nodes.Nodes[0].Phase = "stalled" }, []string{"node-1 is stalled"}},
		"old iteration": {func(f *fleet) { f.nodes.Nodes[0].Phase = "old_iteration" }, []string{"node-1 is on an old iteration"}},
		"unreachable": {func(f *fleet) {
			f.nodes.Nodes[0].Phase, f.nodes.Nodes[0].Error = "unreachable", &collector.Finding{Reason: "connect", Text: "refused"}
		}, []string{"node-1 is unreachable: refused"}},
		"not looked at": {func(f *fleet) { f.nodes.Nodes[0].Looked = false }, []string{"node-1 has yet to be looked at"}},
		"no execution": {func(f *fleet) {
			f.nodes.Nodes[0].Execution = &collector.Execution{Error: &collector.Finding{Text: "401"}}
		}, []string{"the execution client of node-1 does not answer: 401"}},
		"no quorum": {func(f *fleet) { f.providers.Quorum.Reached, f.providers.Quorum.Providers = false, 1 }, []string{"  No quorum: 1 can be used, 2 are needed."}},
		"too early": {func(f *fleet) { f.providers.Quorum.Complete = false }, []string{"not all providers have been asked"}},
		"exhausted": {func(f *fleet) {
			f.state.Exhausted = []remediate.Exhausted{{Node: "node-1", Playbook: "no_peers", Why: "nothing is left"}}
		}, []string{"people are needed for node-1, no_peers: nothing is left"}},
		"paused":      {func(*fleet) { write(t, pause, "a disk\nby: anna\n") }, []string{"paused by anna", "a disk"}},
		"paused once": {func(*fleet) { write(t, pause, "a disk\nuntil: 2026-03-01T10:00:00Z\n") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := well()
			write(t, pause, "over\nuntil: 2026-03-01T10:00:00Z\n")
			tc.upset(f)
			mux := http.NewServeMux()
			mux.Handle("/api/v1/nodes", answering(f.nodes))
			mux.Handle("/api/v1/providers", answering(f.providers))
			exporter, remediator := remote(t, "", mux), remote(t, "", answering(f.state))
			for _, asJSON := range []bool{false, true} {
				s := newScreen("")
				s.JSON = asJSON
				err := s.Status(t.Context(), exporter, remediator, pause)
				if errors.Is(err, console.ErrNotFine) != (len(tc.want) > 0) || err != nil && !errors.Is(err, console.ErrNotFine) {
					t.Errorf("%v", err)
				}
				text := s.text()
				if asJSON {
					v := decode[console.Status](t, text)
					if v.Fine == (len(tc.want) > 0) || v.Fine != (len(v.Problems) == 0) || v.Mode != "act" || len(v.Nodes) != 1 {
						t.Errorf("%+v", v)
					}
					continue
				}
				contains(t, text, append(tc.want, "node-1")...)
				if len(tc.want) == 0 {
					contains(t, text, "All is well.")
				}
				lacks(t, text, "a-1  node-1  x")
			}
		})
	}
	s := newScreen("")
	if err := s.Status(t.Context(), nobody(t), nobody(t), ""); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	contains(t, s.text(), "does not answer at http://127.0.0.1:10178")
}

func TestProviders(t *testing.T) {
	c, err := config.Parse("f", []byte("network: {name: devnet, genesis_time: 1771000000, seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 4242}\nproviders: []\nnodes: []\n"))
	must(t, err)
	sim, err := simulate.New(simulate.Options{Network: c.NetworkSpec(), Clock: func() time.Time { return now }})
	must(t, err)
	t.Cleanup(sim.Close)
	for _, name := range []string{"one", "two", "three"} {
		p, err := sim.AddProvider(name, simulate.ProviderOptions{})
		must(t, err)
		c.Providers = append(c.Providers, config.Provider{Name: name, URL: p.URL()})
	}
	must(t, sim.Start(t.Context()))
	s := newScreen("")
	must(t, s.Providers(t.Context(), c, nil))
	contains(t, s.text(), "one       yes", "three     yes", "Quorum: 3 agree on epoch")

	s.JSON = true
	must(t, s.Providers(t.Context(), c, nil))
	v := decode[collector.Providers](t, s.text())
	if !v.Quorum.Reached || v.Quorum.Providers != 3 || len(v.Providers) != 3 || !v.Providers[0].Usable || v.Providers[0].Finalized == nil || v.Network.Epoch == nil {
		t.Errorf("%+v", v)
	}

	// Nobody listens on these ports.
	c.Providers[1].URL, c.Providers[2].URL = "http://127.0.0.1:1", "http://127.0.0.1:2"
	s = newScreen("")
	if err := s.Providers(t.Context(), c, nil); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	contains(t, s.text(), "connect:", "No quorum: 1 can be used, 2 are needed")
	c.Providers = nil
	if err := s.Providers(t.Context(), c, nil); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	contains(t, s.text(), "No quorum: none can be used")
}

func TestCheckConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checkpoint.yml")
	write(t, file, "network: hoodi\nquorum: many\n")
	s := newScreen("")
	if err := s.CheckConfig(config.Load(file)); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	contains(t, s.text(), file+":2: quorum: ", "; write a number")
	s.JSON = true
	if err := s.CheckConfig(config.Load(file)); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	if p := decode[console.Problem](t, s.text()); p.OK || p.File != file || p.Line != 2 || p.Key != "quorum" || p.Mend == "" {
		t.Errorf("%+v", p)
	}
	write(t, file, "network: hoodi\n")
	must(t, s.CheckConfig(config.Load(file)))
	if p := decode[console.Problem](t, s.text()); !p.OK || p.File != file {
		t.Errorf("%+v", p)
	}
	s.JSON = false
	must(t, s.CheckConfig(config.Load(file)))
	if text := s.text(); strings.Count(text, "\n") != 3 || !strings.HasPrefix(text, file+" is right\nmode observe: ") {
		t.Error(text)
	}
	write(t, file, "remediation: {webhook: {bearer_token_file: /nonexistent/token}}\n")
	if err := s.CheckConfig(config.Load(file)); !errors.Is(err, console.ErrNotFine) {
		t.Error(err)
	}
	contains(t, s.text(), file+":1: remediation.webhook.bearer_token_file", "/nonexistent/token")
}
