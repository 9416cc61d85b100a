package collector

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
	"github.com/checkpoint-exporter/checkpoint_exporter/server"
)

var update = flag.Bool("update", false, "write the golden files anew")

// resetting is the chain of testNetwork as the first iteration of a network that resets.
const resetting = `
network: {name: devnet, seconds_per_slot: 12, slots_per_epoch: 32, weak_subjectivity_epochs: 633,
  iterations: {anchor: 1, anchor_genesis_time: 946684200, interval: 672h, delay: 10m, base_chain_id: 4241}}
`

// everything is an Exporter that has something to tell by each of its metrics: a node that has been syncing for half an hour is part of it.
func everything(t *testing.T) *Exporter {
	t.Helper()
	s := newScene(t)
	start := chain.GenesisTime.Add(100 * time.Hour)
	now := start
	s.now = func() time.Time { return now }
	s.provider("alpha", healthy)
	s.provider("beta", healthy)
	s.provider("gamma", failing(provider.Connect))
	s.node("syncing", func(now time.Time) node.Observation {
		// One slot a second more than the clock makes, in batches of 32.
		o := at(4000 - uint64(now.Sub(start)/time.Second)/32*32)(now)
		o.Execution.Syncing.Value = &beacon.ExecutionSyncing{Syncing: true, Current: 1, Highest: 2, Items: 1234}
		return o
	})
	s.node("backfilling", func(now time.Time) node.Observation {
		o := at(0)(now)
		o.Consensus.Backfill.Value = &beacon.Backfill{Left: new(30000 - uint64(now.Sub(start)/time.Second))}
		return o
	})
	s.node("down", dead)
	e := s.exporter(parseConfig(t, resetting+`
providers:
- {name: alpha, url: "https://alpha.example"}
- {name: beta, url: "https://beta.example/"}
- {name: gamma, url: "https://gamma.example"}
nodes:
- {name: syncing, consensus: {url: "http://127.0.0.1:5052"}, execution: {url: "http://127.0.0.1:8545"}}
- {name: backfilling, consensus: {url: "http://127.0.0.1:5053"}, execution: {url: "http://127.0.0.1:8546"}}
- {name: down, consensus: {url: "http://127.0.0.1:5054"}, execution: {url: "http://127.0.0.1:8547"}}
`))
	for range 180 {
		visitAll(t, e)
		now = now.Add(10 * time.Second)
	}
	return e
}

// ofEverything are the metrics of a whole program that has something to tell by each of them.
func ofEverything(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := server.NewRegistry("checkpoint_exporter")
	if err := everything(t).Register(reg); err != nil {
		t.Fatal(err)
	}
	if _, err := server.NewReloader(reg, nil, nil); err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(ofEverything(t))
	if err != nil || len(problems) > 0 {
		t.Error(err, problems)
	}
}

func TestGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		if err := everything(t).Register(reg); err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&got, f); err != nil {
				t.Fatal(err)
			}
		}
		isGolden(t, "testdata/metrics.txt", got.String())
	})
}

// isGolden compares with a golden file, or with -update writes it.
func isGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run go test -update when this is meant (- old, + new):\n%s", diff)
	}
}

// documented is a row of docs/metrics.md.
type documented struct {
	kind    string
	labels  []string
	section string
}

var (
	row   = regexp.MustCompile("^\\| `(checkpoint_[a-z0-9_]+)` \\| ([a-z]+) \\|([^|]*)\\| ([^|]+) \\|$")
	label = regexp.MustCompile("`([a-z_]+)`")
)

func documentation(t *testing.T) map[string]documented {
	t.Helper()
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]documented{}
	section := ""
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if !strings.HasPrefix(line, "| `checkpoint_") {
			continue
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("docs/metrics.md: not a row of a table of metrics: %s", line)
			continue
		}
		if _, twice := all[m[1]]; twice {
			t.Errorf("docs/metrics.md: %s stands there twice", m[1])
		}
		d := documented{kind: m[2], section: section}
		for _, l := range label.FindAllStringSubmatch(m[3], -1) {
			d.labels = append(d.labels, l[1])
		}
		slices.Sort(d.labels)
		all[m[1]] = d
	}
	return all
}

func TestDocumentation(t *testing.T) {
	docs := documentation(t)
	families, err := ofEverything(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "checkpoint_") {
			continue
		}
		exported[name] = true
		d, ok := docs[name]
		if !ok {
			t.Errorf("%s is not in docs/metrics.md", name)
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); kind != d.kind {
			t.Errorf("%s is a %s, and documented as a %s", name, kind, d.kind)
		}
		if labels := labelsOf(f); !slices.Equal(labels, d.labels) {
			t.Errorf("%s has the labels %v, and is documented with %v", name, labels, d.labels)
		}
	}
	for name, d := range docs {
		if d.section != "Remediation" && name != "checkpoint_remediator_build_info" && !exported[name] {
			t.Errorf("%s is documented, and not exported", name)
		}
	}
}

// TestReasonsAndPhases keeps the words of docs/metrics.md those of the code.
func TestReasonsAndPhases(t *testing.T) {
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for title, want := range map[string][]string{"### Reasons": reasonWords(), "### Phases": phaseWords()} {
		_, section, _ := strings.Cut(string(doc), title+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		var got []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (- code, + docs):\n%s", title, diff)
		}
	}
}

func labelsOf(f *dto.MetricFamily) []string {
	var names []string
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if !slices.Contains(names, l.GetName()) {
				names = append(names, l.GetName())
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestRemovedSeriesVanish(t *testing.T) {
	e := everything(t)
	h := handler(t, e)
	if got := metrics(t, h, "/metrics"); got[`checkpoint_node_up{node="down"}`] != "0" {
		t.Fatal("the node is not there to begin with")
	}
	if err := e.Reload(parseConfig(t, resetting+`
providers: [{name: alpha, url: "https://alpha.example"}]
nodes: [{name: syncing, consensus: {url: "http://127.0.0.1:5052"}, execution: {url: "http://127.0.0.1:8545"}}]
`)); err != nil {
		t.Fatal(err)
	}
	got := metrics(t, h, "/metrics")
	for sample := range got {
		for _, gone := range []string{`"beta"`, `"gamma"`, `"down"`, `"backfilling"`} {
			if strings.Contains(sample, "="+gone) && !strings.Contains(sample, "phase=") {
				t.Error("still there:", sample)
			}
		}
	}
	// What stays has kept its history: the counter, and the speed that takes many looks.
	expect(t, got, map[string]string{
		`checkpoint_provider_probes_total{provider="alpha",result="success"}`: "180",
		`checkpoint_providers_configured`:                                     "1",
		`checkpoint_providers_usable`:                                         "1",
		`checkpoint_quorum_providers`:                                         "1",
	})
	if _, ok := got[`checkpoint_node_sync_speed_slots_per_second{node="syncing"}`]; !ok {
		t.Error("a node that stays has lost its history")
	}
}
