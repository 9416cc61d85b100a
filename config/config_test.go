package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// designExample is the file that the design shows, with one node.
const designExample = `
network: ephemery
providers:
  - {name: ethpandaops, url: "https://checkpoint-sync.ephemery.ethpandaops.io"}
  - {name: ethstaker,   url: "https://ephemery.beaconstate.ethstaker.cc"}
probe: {interval: 60s, timeout: 10s, state_header_interval: 15m, verify_interval: 24h, max_lag_epochs: 4}
quorum: 2
nodes:
  - name: node-1
    consensus: {url: "http://127.0.0.1:5052", metrics_url: "http://127.0.0.1:5054/metrics"}
    execution: {url: "http://127.0.0.1:8545"}
    stall_after: 10m
    restart: {systemd: lighthouse.service}
    restart_execution: {systemd: geth.service}
    source: {yaml: {file: /opt/ephemery/inventory.yaml, key: checkpoint_sync_url}}
    data_dir: /var/lib/lighthouse
remediation:
  mode: act
  journal: /var/lib/checkpoint/journal.jsonl
  alertmanagers: ["http://127.0.0.1:9093"]
  webhook: {bearer_token_file: /etc/checkpoint/token}
  guards:
    pause_file: /run/checkpoint/pause
    cooldown: 15m
    budget: {actions: 4, per: 6h, resyncs: 1}
    concurrent_nodes: 1
    max_share: 0.3
    quorum: 2
    quiet: {before_reset: 10m, after_genesis: 150m}
`

func TestParseDesignExample(t *testing.T) {
	c, err := Parse("checkpoint.yml", []byte(designExample))
	if err != nil {
		t.Fatal(err)
	}
	n, ok := c.Node("node-1")
	if !ok || n.Restart.Systemd != "lighthouse.service" || n.Source.YAML.Key != "checkpoint_sync_url" || n.StallAfter.Std() != 10*time.Minute {
		t.Errorf("node: %+v", n)
	}
	if p, ok := c.ProviderOf("https://ephemery.beaconstate.ethstaker.cc/"); !ok || p.Name != "ethstaker" {
		t.Errorf("provider of a URL: %+v", p)
	}
	if c.Remediation.Mode != Act || c.Probe.NodeInterval.Std() != 10*time.Second {
		t.Errorf("remediation %+v, probe %+v", c.Remediation, c.Probe)
	}
	if diff := cmp.Diff(DefaultPlaybooks(), c.Remediation.Playbooks); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	empty, err := Parse("checkpoint.yml", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Config{"no file": Default(), "empty file": empty} {
		if len(c.Providers) != 4 || len(c.Nodes) != 1 || c.Remediation.Mode != Observe || c.NetworkSpec().Iterations == nil {
			t.Errorf("%s: %+v", name, c)
		}
		if err := c.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := Parse("f", []byte("providers: []\nnodes: []\nremediation: {alertmanagers: []}\n"))
	if err != nil || len(c.Providers)+len(c.Nodes)+len(c.Remediation.Alertmanagers) != 0 {
		t.Errorf("an empty list means none: %+v %v", c, err)
	}
}

func TestNetworks(t *testing.T) {
	now := time.Unix(1795338007+50, 0)
	for _, tc := range []struct {
		name, yaml string
		check      func(*Config) bool
	}{
		{"preset", "network: hoodi", func(c *Config) bool { return c.NetworkSpec().DepositChainID == 560048 && len(c.Providers) == 2 }},
		{"devnet", "network: {name: devnet, genesis_time: 1795338007, seconds_per_slot: 2, slots_per_epoch: 8, deposit_chain_id: 1337, min_genesis_active_validators: 8}\nproviders: []",
			func(c *Config) bool {
				ch := c.NetworkSpec().ChainAt(now)
				return ch.Slot(now) == 25 && ch.Epoch(now) == 3 && ch.WeakSubjectivityEpochs == 256
			}},
		{"most left out", "network: {name: devnet}\nproviders: []", func(c *Config) bool { return !c.NetworkSpec().ChainAt(now).HasClock() }},
		{"ephemery with another interval", "network: {name: ephemery, iterations: {interval: 14d}}", func(c *Config) bool {
			i := c.NetworkSpec().Iterations
			return i.Interval == 14*24*time.Hour && i.Anchor == 135 && len(c.Providers) == 4
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Parse("f", []byte(tc.yaml))
			if err != nil || !tc.check(c) {
				t.Errorf("%v: %+v", err, c)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want string }{
		{"unknown key", "network: ephemery\nquorom: 2\n", "f.yml:2: quorom: unknown key; did you mean quorum?"},
		{"unknown nested key", "nodes:\n  - name: a\n    consensus:\n      ur: http://x\n", "f.yml:4: nodes[0].consensus.ur: unknown key; did you mean url?"},
		{"unknown key in a network mapping", "network: {nam: x}", "f.yml:1: network.nam: unknown key; did you mean name?"},
		{"unknown key in a step", "remediation:\n  playbooks:\n    node_stalled:\n      - reboot: now\n", "f.yml:4: remediation.playbooks.node_stalled[0].reboot: unknown key; write one of failover, observe, reset, restart, resync, stop, verify, when"},
		{"bad URL", "providers:\n  - {name: a, url: example.org}\n", `f.yml:2: providers[0].url: "example.org" does not begin with http:// or https://; write it like http://127.0.0.1:5052`},
		{"password in a URL", "providers:\n  - {name: a, url: 'https://u:secret@h'}\n", "f.yml:2: providers[0].url: a URL with a user or password in it; take them out: URLs are shown in metrics and logs"},
		{"duplicate provider", "providers:\n  - {name: a, url: http://x}\n  - {name: a, url: http://y}\n", `f.yml:3: providers[1].name: the name "a" is taken; give each one its own name`},
		{"duplicate key", "quorum: 2\nquorum: 3\n", `f.yml:2: quorum: mapping key "quorum" already defined at line 1; keep only one of them`},
		{"negative duration", "probe:\n  interval: -5s\n", `f.yml:2: probe.interval: "-5s" is negative; write 1s or more`},
		{"too short a duration", "probe: {interval: 5ms}\n", "f.yml:1: probe.interval: 5ms is shorter than a second; write 1s or more"},
		{"zero duration", "probe:\n  timeout: 0s\n", "f.yml:2: probe.timeout: zero; write 1s or more"},
		{"wrong type", "quorum: many\n", "f.yml:1: quorum: text (many) where a number belongs; write a number"},
		{"list expected", "providers: 5\n", "f.yml:1: providers: a number (5) where a list belongs; write a list"},
		{"not YAML", "a: [\n", "f.yml:1: did not find expected node content; write it as YAML"},
		{"unknown network", "network: holesky\n", `f.yml:1: network: "holesky" is not a network that is known by name; write one of ephemery, hoodi, mainnet, sepolia, or a mapping with name, genesis_time, seconds_per_slot, …`},
		{"step without check", "remediation:\n  playbooks: {node_stalled: [{restart: consensus}]}\n", "f.yml:2: remediation.playbooks.node_stalled[0].verify: a step is verified by exactly one check; write one of progress, phase, source, execution, peers, backfill, distance, finalized"},
		{"two actions in a step", "remediation:\n  playbooks: {node_stalled: [{restart: consensus, stop: consensus}]}\n", "f.yml:2: remediation.playbooks.node_stalled[0]: a step takes exactly one action; write one of restart, failover, resync, reset, observe, stop"},
		{"a resync that does not keep keys", "remediation:\n  playbooks: {node_stalled: [{resync: {keep: [network, validators]}, verify: {progress: 1}}]}\n", "f.yml:2: remediation.playbooks.node_stalled[0].resync.keep: a resync that does not keep slashing_protection; add it: a resync never touches it"},
		{"a finding that is none", "remediation:\n  playbooks: {node_down: [{when: [haunted], restart: consensus, verify: {progress: 1}}]}\n", "f.yml:2: remediation.playbooks.node_down[0].when[0]: \"haunted\" is not known here; write some of client_too_old, outside_weak_subjectivity, corrupt_database, checkpoint_unusable, disk_full, engine_auth, invalid_payload"},
		{"a check of what is only seen", "remediation:\n  playbooks: {node_down: [{observe: [logs], verify: {progress: 1}}]}\n", "f.yml:2: remediation.playbooks.node_down[0].verify: nothing can be verified of a step that is not meant to help; take it out"},
		{"two ways to restart", "nodes:\n  - name: a\n    consensus: {url: http://x}\n    restart: {docker: a, systemd: a.service}\n", "f.yml:4: nodes[0].restart: a restart is done in exactly one way; write systemd: UNIT.service, docker: CONTAINER, docker_compose: {…} or command: [/path, arg]"},
		{"a flag of an unknown client", "nodes:\n  - name: a\n    consensus: {url: http://x}\n    source: {systemd: {unit: a.service}}\n", "f.yml:4: nodes[0].source.systemd: which flag holds the URL depends on the client; write consensus: {client: lighthouse} or another, or environment: VARIABLE here"},
		{"a client that is none", "nodes:\n  - name: a\n    consensus: {url: http://x, client: geth}\n", "f.yml:3: nodes[0].consensus.client: \"geth\" is not a client that is known; write one of lighthouse, teku, prysm, nimbus, lodestar, grandine"},
		{"a reset without directories", "nodes:\n  - name: a\n    consensus: {url: http://x, client: teku}\n    reset: {dir: /n, fetch: [/f]}\n", "f.yml:2: nodes[0].data_dir: a reset needs the consensus client's data directory; write its absolute path"},
		{"a time interval", "remediation:\n  guards:\n    mute_time_intervals:\n      - {times: [{start_time: noon, end_time: '13:00'}]}\n", "f.yml:4: remediation.guards.mute_time_intervals[0].times[0].end_time: not a time interval (couldn't parse timestamp noon, invalid format); write it as in Alertmanager's time_intervals, such as {weekdays: [\"monday:friday\"], times: [{start_time: \"09:00\", end_time: \"17:00\"}], location: Europe/Berlin}"},
		{"a key of a time interval", "remediation: {guards: {mute_time_intervals: [{days: [monday]}]}}\n", "f.yml:1: remediation.guards.mute_time_intervals[0].days: unknown key; write one of days_of_month, location, months, times, weekdays, years"},
		{"relative command", "nodes:\n  - name: a\n    consensus: {url: http://x}\n    restart: {command: [reboot]}\n", `f.yml:4: nodes[0].restart.command: "reboot" is not an absolute path; write the program's whole path; there is no shell and no PATH`},
		{"a path for a unit", "nodes:\n  - name: a\n    consensus: {url: http://x}\n    restart: {systemd: ../x.service}\n", `f.yml:4: nodes[0].restart.systemd: "../x.service" is not a service unit; write its whole name, such as lighthouse.service`},
		{"alias to itself", "nodes: &n\n  - &a\n    <<: *a\n", "f.yml:3: nodes[0]: aliases without end; write the value out"},
		{"two documents", "quorum: 2\n---\nquorum: 3\n", "f.yml:2: a second document begins; keep one, and take out the line ---"},
		{"a list", "- a\n", "f.yml:1: the file is not a mapping; write keys and values, such as network: ephemery"},
		{"one provider under two names", "providers:\n  - {name: a, url: 'https://H/x/'}\n  - {name: b, url: 'https://h:443/x'}\n", `f.yml:3: providers[1].url: the same URL as that of provider "a"; keep one of them: a provider cannot confirm itself`},
		{"a quorum that cannot be", "quorum: 9\n", "f.yml:1: quorum: more than the 4 providers there are; write fewer, or add providers"},
		{"mode", "remediation: {mode: on}\n", `f.yml:1: remediation.mode: "on" is not a mode; write observe or act`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("f.yml", []byte(tc.yaml))
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != tc.want {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Error("more than one line")
			}
			var located *Error
			if !errors.As(err, &located) || located.Mend == "" || strings.Contains(err.Error(), "secret") {
				t.Errorf("not a located error that hides secrets: %#v", err)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.yml"), dir} {
		if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	big := filepath.Join(dir, "big.yml")
	if err := os.WriteFile(big, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(designExample))
	f.Add([]byte("network: {name: x}\nnodes: [{name: a, consensus: {url: http://x}, source: {yaml: {file: /f, key: k}}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("nodes: [&a {<<: *a}]"))
	f.Add([]byte("probe: &p {interval: 5s}\nquorum: *p"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("f", b)
		if err != nil {
			var located *Error
			if !errors.As(err, &located) || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one located line: %q", err)
			}
			return
		}
		c.NetworkSpec().ChainAt(time.Unix(1795338007, 0))
	})
}

// The examples of docs/configuration.md are right, and the first one shows the defaults.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(doc), "```yaml\n")[1:]
	if len(blocks) != 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		c, err := Parse("docs/configuration.md", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			want := Default()
			if c.Probe != want.Probe || c.Quorum != want.Quorum {
				t.Errorf("%+v, and the defaults are %+v", c.Probe, want.Probe)
			}
			c.Remediation.Webhook = want.Remediation.Webhook
			if diff := cmp.Diff(want.Remediation, c.Remediation); diff != "" {
				t.Error(diff)
			}
			if c.Nodes[0].StallAfter != want.Nodes[0].StallAfter {
				t.Error("stall_after is not the default")
			}
			for _, key := range keysOf(reflect.TypeFor[Config]()) {
				if !strings.Contains(text, key+":") && !strings.Contains(string(doc), key+":") {
					t.Errorf("%s is not documented", key)
				}
			}
		case 3:
			if diff := cmp.Diff(Default().NetworkSpec().Iterations, c.NetworkSpec().Iterations); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// keysOf are all keys of the schema but those of playbooks, which docs/remediation.md shows.
func keysOf(t reflect.Type) (keys []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		for key, field := range fieldsOf(t) {
			keys = append(keys, key)
			keys = append(keys, keysOf(field)...)
		}
	}
	return keys
}
