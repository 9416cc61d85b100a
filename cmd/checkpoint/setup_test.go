package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// freshConfig is what a package brings along, with a network of our own.
const freshConfig = `network: {name: devnet, genesis_time: 1771000000, seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 4242}
providers:
  - {name: one, url: "http://one.example"}
  - {name: two, url: "http://two.example"}
  - {name: three, url: "http://three.example"}
`

const freshInventory = `ephemery:
  hosts:
    ephemery-node1:
      el: geth
      cl: lighthouse
      use_checkpoint_sync: false   # it often failed
      checkpoint_sync_url: "http://gone.example"
      cl_extra_opts: "--target-peers=100"
      el_extra_opts: >-
        --syncmode=snap
        --maxpeers=60
`

// fresh is a machine with a Lighthouse that syncs, a geth, the scripts' services, and our package.
func (p *place) fresh() *simulate.Node {
	p.Helper()
	p.write("/etc/checkpoint/checkpoint.yml", freshConfig)
	p.write("/opt/ephemery/inventory.yaml", freshInventory)
	for _, dir := range []string{"/etc/polkit-1", "/etc/systemd/system"} {
		if err := os.MkdirAll(p.path(dir), 0o755); err != nil {
			p.Fatal(err)
		}
	}
	p.write("/var/lib/lighthouse/beacon/chain_db/1.ldb", "blocks")
	p.write("/var/lib/lighthouse/beacon/network/key", "key")
	p.providers()
	sim, err := simulate.New(simulate.Options{Network: p.config().NetworkSpec(), Clock: func() time.Time { return p.now }, Seed: "docs"})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(sim.Close)
	n, err := sim.AddNode("node", simulate.NodeOptions{Client: simulate.Lighthouse, Version: "Lighthouse/v8.0.1-0000000/x86_64-linux", Database: true, Behind: 640, SlotsPerSecond: 10, BackfillSlotsPerSecond: -1})
	if err != nil {
		p.Fatal(err)
	}
	if err := sim.Start(p.Context()); err != nil {
		p.Fatal(err)
	}
	for host, at := range map[string]string{"127.0.0.1:5052": n.URL(), "127.0.0.1:8545": n.ExecutionURL()} {
		u, err := url.Parse(at)
		if err != nil {
			p.Fatal(err)
		}
		p.hosts[host] = u.Host
	}
	p.machine.Running = []setup.Service{
		{Unit: "geth.service", Running: true, Args: []string{"/usr/bin/geth", "--datadir=/var/lib/geth", "--http"}},
		{Unit: "lighthouse.service", Running: true, Args: []string{"/usr/bin/lighthouse", "bn", "--datadir=" + p.path("/var/lib/lighthouse"), "--http"}},
	}
	p.machine.Units = map[string]setup.Unit{
		setup.ExporterUnit: {Installed: true}, setup.RemediatorUnit: {Installed: true},
		setup.FallbackUnit: {Installed: true, Enabled: true, Active: true}, setup.MonitorUnit: {Installed: true, Enabled: true, Active: true},
		"lighthouse.service": {Installed: true, Enabled: true, Active: true}, "geth.service": {Installed: true, Enabled: true, Active: true},
	}
	return n
}

// files are all files of a place with what is in them.
func (p *place) files() map[string]string {
	p.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(p.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, p.root)] = string(text)
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return all
}

func (p *place) same(before map[string]string, what string) {
	p.Helper()
	now := p.files()
	for name := range now {
		if strings.HasPrefix(name, setupState) {
			delete(now, name)
		}
	}
	if len(now) != len(before) {
		p.Errorf("%s: %d files, %d before", what, len(now), len(before))
	}
	for name, text := range before {
		if now[name] != text {
			p.Errorf("%s: %s is now\n%s", what, name, now[name])
		}
	}
}

func TestSetup(t *testing.T) {
	p := newPlace(t)
	p.fresh()
	before := p.files()
	out, stderr, code := p.run("setup", "--dry-run")
	if code != 0 || stderr != "" || !strings.HasSuffix(out, "Nothing was changed.\n") || len(p.machine.Done()) > 0 {
		t.Fatalf("%d %s %s %q", code, stderr, out, p.machine.Done())
	}
	p.same(before, "a dry run")

	out, stderr, code = p.run("setup", "--yes", "--permissions", "write", "--provider", "one")
	if code != 0 || stderr != "" {
		t.Fatalf("%d %s\n%s", code, stderr, out)
	}
	for _, want := range []string{
		"stopped checkpoint-fallback.service", "disabled checkpoint-monitor.service", "started checkpoint-exporter.service", "enabled checkpoint-remediator.service",
		"of the old scripts: it restarts a healthy node every five minutes", "--execution-timeout-multiplier=5", "ready in ", "ephemery-node1 is at the head of the chain.", "To take all of it back: checkpoint setup --undo",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said in\n%s", want, out)
		}
	}
	now := p.files()
	if want := strings.NewReplacer("sync: false ", "sync: true ", "http://gone.example", "http://one.example", `peers=100"`, `peers=100 --checkpoint-sync-url-timeout=300 --execution-timeout-multiplier=5"`).
		Replace(freshInventory); now["/opt/ephemery/inventory.yaml"] != want {
		t.Errorf("the inventory is now\n%s\nwant\n%s", now["/opt/ephemery/inventory.yaml"], want)
	}
	c, err := config.Load(p.path("/etc/checkpoint/checkpoint.yml"))
	if err != nil || !strings.HasPrefix(now["/etc/checkpoint/checkpoint.yml"], freshConfig) {
		t.Fatal(err, now["/etc/checkpoint/checkpoint.yml"])
	}
	n := c.Nodes[0]
	if n.Name != "ephemery-node1" || n.Consensus.Client != "lighthouse" || n.Restart.Systemd != "lighthouse.service" || n.RestartExecution.Systemd != "geth.service" ||
		n.Source.YAML == nil || n.DataDir != p.path("/var/lib/lighthouse") || c.Remediation.Mode != config.Observe || c.Remediation.Webhook.BearerTokenFile == "" {
		t.Errorf("%+v", n)
	}
	if !strings.Contains(now[setupPolkit], `["geth.service", "lighthouse.service"]`) || !strings.Contains(now[setupUnits+"/checkpoint-remediator.service.d/50-setup.conf"], "ReadWritePaths=-") {
		t.Errorf("permissions are not written: %q", now)
	}

	out, stderr, code = p.run("setup", "--yes", "--permissions", "write", "--timeout", "0")
	if code != 0 || !strings.Contains(out, "No file has to change.") || stderr != "" {
		t.Errorf("a second time: %d %s %s", code, stderr, out)
	}

	for range 2 { // the second one restarted services, and the first one did the rest
		if out, stderr, code = p.run("setup", "--undo", "--yes"); code != 0 || !strings.Contains(out, "Everything is as it was before.") {
			t.Fatalf("%d %s %s", code, stderr, out)
		}
	}
	p.same(before, "undone")
	if u := p.machine.Units; u[setup.ExporterUnit].Active || u[setup.RemediatorUnit].Enabled || !u[setup.FallbackUnit].Active || !u[setup.MonitorUnit].Enabled {
		t.Errorf("units are %+v", u)
	}
	if _, stderr, code = p.run("setup", "--undo", "--yes"); code != 1 || !strings.Contains(stderr, "there is no setup to take back") {
		t.Error(code, stderr)
	}
}

// TestSetupRefuses holds what stops it before anything is changed.
func TestSetupRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		with func(*place)
		args []string
		code int
		want string
	}{
		"nobody to ask":                   {args: []string{}, code: 2, want: "there is nobody to ask; say --yes, or look with --dry-run"},
		"an inventory that is not there":  {args: []string{"--yes", "--inventory", "/nowhere/inventory.yaml"}, code: 1, want: "read the inventory"},
		"a client that is none":           {args: []string{"--yes", "--client", "trinity"}, code: 2, want: "lighthouse, teku, prysm"},
		"a mode that is none":             {args: []string{"--yes", "--mode", "maybe"}, code: 2, want: "--mode \"maybe\" makes no sense here; write one of observe, act"},
		"services that are none":          {args: []string{"--yes", "--services", "all"}, code: 2, want: "--services"},
		"a provider that is none":         {args: []string{"--yes", "--provider", "four"}, code: 1, want: `there is no provider "four"; nothing was changed`},
		"a provider without states":       {args: []string{"--yes", "--provider", "three"}, code: 1, want: `provider "three" is not usable`},
		"a service that is not installed": {args: []string{"--yes", "--services", "checkpointd"}, code: 1, want: "checkpointd.service is not installed"},
		"no quorum":                       {with: func(p *place) { delete(p.hosts, "one.example:80") }, args: []string{"--yes"}, code: 1, want: "no provider can be trusted now: 1 agree, 2 have to; nothing was changed"},
		"several hosts": {with: func(p *place) {
			p.write("/opt/ephemery/inventory.yaml", freshInventory+"    ephemery-node2:\n      cl: teku\n")
		}, args: []string{"--yes"}, code: 2, want: "--node with one of ephemery-node1, ephemery-node2"},
		"a host that is none": {with: func(p *place) {
			p.write("/opt/ephemery/inventory.yaml", freshInventory+"    ephemery-node2:\n      cl: teku\n")
		}, args: []string{"--yes", "--node", "other"}, code: 2, want: `has no host "other"`},
		"an option that stops Lighthouse": {with: func(p *place) {
			p.write("/opt/ephemery/inventory.yaml", strings.Replace(freshInventory, "--target-peers=100", "--allow-insecure-genesis-sync", 1))
		}, args: []string{"--yes"}, code: 1, want: "/opt/ephemery/inventory.yaml:8: cl_extra_opts has --allow-insecure-genesis-sync"},
		"an inventory that is no YAML":  {with: func(p *place) { p.write("/opt/ephemery/inventory.yaml", "a: [\n") }, args: []string{"--yes"}, code: 1, want: "/opt/ephemery/inventory.yaml:"},
		"a configuration that is wrong": {with: func(p *place) { p.write("/etc/checkpoint/checkpoint.yml", "netwrk: x\n") }, args: []string{"--yes"}, code: 1, want: "checkpoint.yml:1: netwrk: unknown key"},
		"a reset without force":         {args: []string{"--yes", "--reset", "--services", "none"}, code: 2, want: "a reset has to be agreed to by itself"},
		"a reset while it acts": {with: func(p *place) {
			p.write("/etc/checkpoint/checkpoint.yml", freshConfig+"remediation: {journal: "+p.path("/j.jsonl")+"}\n")
			p.write("/j.jsonl", "")
			j, err := journal.Open(p.path("/j.jsonl"), journal.Options{})
			if err != nil {
				p.Fatal(err)
			}
			p.Cleanup(func() { j.Close() })
			d := &diary{place: p, journal: j}
			d.note("02:00:00", "intent", map[string]any{"id": "x-1.1", "incident": "x-1", "node": "n", "action": "restart"})
		}, args: []string{"--force", "--reset"}, code: 1, want: "the remediator is acting: restart of n (x-1.1)"},
		"undo of nothing": {args: []string{"--undo"}, code: 1, want: "there is no setup to take back"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.fresh()
			if tc.with != nil {
				tc.with(p)
			}
			before := p.files()
			out, stderr, code := p.run(append([]string{"setup"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stderr, tc.want) {
				t.Errorf("%d %q, want %d %q\n%s", code, stderr, tc.code, tc.want, out)
			}
			p.same(before, name)
			if len(p.machine.Done()) > 0 {
				t.Errorf("did %q", p.machine.Done())
			}
		})
	}
}

// TestSetupAsks answers each question, at no terminal.
func TestSetupAsks(t *testing.T) {
	p := newPlace(t)
	p.fresh()
	p.asks = true
	p.in = "\nmaybe\nact\n3\n1\nno\nn\n" // network, mode twice, services, source, settings; and then no
	before := p.files()
	out, _, code := p.run("setup")
	if code != 1 || !strings.HasSuffix(out, "Nothing was changed.\n") {
		t.Fatalf("%d\n%s", code, out)
	}
	for _, want := range []string{"Which network?", "* 5 devnet", "That is none of them.", "Which services are to run?", "Number or name [exporter,remediator]: ", "Where does the client get its checkpoint URL from?",
		"Write the settings that make a sync faster", "+  mode: act", "Do that? [y/N]"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "--execution-timeout-multiplier") || strings.Contains(out, "Services:") {
		t.Errorf("what was not wanted is proposed:\n%s", out)
	}
	p.same(before, "a no")

	p.in = "" // nobody answers
	if _, stderr, code := p.run("setup", "--network", "devnet", "--mode", "observe", "--services", "none", "--source", "none", "--settings", "no"); code != 1 {
		t.Error(code, stderr)
	}
	p.same(before, "no answer")

	p.write("/opt/ephemery/inventory.yaml", strings.Replace(freshInventory, "--target-peers=100", "--allow-insecure-genesis-sync", 1))
	p.in = "y\ny\n"
	out, stderr, code := p.run("setup", "--network", "devnet", "--mode", "observe", "--services", "none", "--source", "none", "--settings", "no", "--take-out", "--timeout", "0")
	if text := p.files()["/opt/ephemery/inventory.yaml"]; code != 0 || strings.Contains(text, "insecure") || !strings.Contains(text, `cl_extra_opts: ""`) {
		t.Error(code, stderr, out, text)
	}
}

func TestSetupReset(t *testing.T) {
	p := newPlace(t)
	n := p.fresh()
	p.asks, p.color = true, false
	p.in = "y\ny\nn\n" // do it, reset, do not delete
	out, stderr, code := p.run("setup", "--reset", "--network", "devnet", "--mode", "observe", "--services", "none", "--source", "yaml", "--settings", "yes")
	if code != 0 {
		t.Fatalf("%d %s\n%s", code, stderr, out)
	}
	for _, want := range []string{"the database of lighthouse in /var/lib/lighthouse (", "/var/lib/lighthouse/beacon/network", "set the database aside in /var/lib/lighthouse/beacon/.checkpoint-aside", "checkpoint setup --undo puts it back", "\r\x1b[K["} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if want := []string{"stop lighthouse.service", "start lighthouse.service"}; !slices.Equal(p.machine.Done(), want) {
		t.Errorf("%q", p.machine.Done())
	}
	if _, there := p.files()["/var/lib/lighthouse/beacon/chain_db/1.ldb"]; there {
		t.Error("the database is still there")
	}
	if out, stderr, code = p.run("setup", "--undo", "--yes"); code != 0 || p.files()["/var/lib/lighthouse/beacon/chain_db/1.ldb"] != "blocks" {
		t.Error(code, stderr, out)
	}
	_ = n
}

// TestSetupCompose is a machine of eth-docker's, without an inventory.
func TestSetupCompose(t *testing.T) {
	p := newPlace(t)
	p.fresh()
	if err := os.Remove(p.path("/opt/ephemery/inventory.yaml")); err != nil {
		t.Fatal(err)
	}
	p.write("/opt/eth-docker/.env", "NETWORK=ephemery\nCHECKPOINT_SYNC_URL=http://one.example\n")
	p.machine.Running = nil
	p.machine.Boxes = []setup.Container{{
		Name: "eth-docker-consensus-1", Image: "sigp/lighthouse:v8.0.1", Running: true, Args: []string{"docker-entrypoint.sh", "lighthouse", "beacon_node"}, Ports: map[string]string{"5052/tcp": "5052"},
		Labels: map[string]string{"com.docker.compose.project.working_dir": p.path("/opt/eth-docker"), "com.docker.compose.service": "consensus"},
	}}
	if out, stderr, code := p.run("setup", "--yes", "--execution-client", "none", "--timeout", "0"); code != 0 {
		t.Fatalf("%d %s\n%s", code, stderr, out)
	}
	n := p.config().Nodes[0]
	if n.Name != "node-1" || n.Source == nil || n.Source.Env == nil || n.Source.Env.File != p.path("/opt/eth-docker/.env") || n.Restart.DockerCompose == nil || n.Restart.DockerCompose.Service != "consensus" {
		t.Errorf("%+v", n)
	}
}

// TestSetupResetPauses: a remediator that runs does nothing while a database is moved.
func TestSetupResetPauses(t *testing.T) {
	p := newPlace(t)
	p.fresh()
	p.write("/etc/checkpoint/checkpoint.yml", freshConfig+"remediation: {journal: "+p.path("/j.jsonl")+", guards: {pause_file: "+p.path("/run/pause")+"}}\n")
	j, err := journal.Open(p.path("/j.jsonl"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	paused := map[string]bool{}
	p.machine.Hook = func(what string) {
		_, err := os.Stat(p.path("/run/pause"))
		paused[what] = err == nil
	}
	if out, stderr, code := p.run("setup", "--force", "--reset", "--timeout", "0"); code != 0 {
		t.Fatalf("%d %s\n%s", code, stderr, out)
	}
	if !paused["stop lighthouse.service"] || !paused["start lighthouse.service"] || paused["start checkpoint-exporter.service"] {
		t.Errorf("%v", paused)
	}
	if _, err := os.Stat(p.path("/run/pause")); !os.IsNotExist(err) {
		t.Errorf("it is still paused: %v", err)
	}
	// One that somebody else has made stays.
	p.write("/run/pause", "hands off\n")
	if out, stderr, code := p.run("setup", "--undo", "--yes"); code != 0 {
		t.Fatalf("%d %s\n%s", code, stderr, out)
	}
	if out, stderr, code := p.run("setup", "--force", "--reset", "--timeout", "0"); code != 0 {
		t.Fatalf("%d %s\n%s", code, stderr, out)
	}
	if p.files()["/run/pause"] != "hands off\n" {
		t.Error("somebody else's pause is gone")
	}
}

func TestSetupFollows(t *testing.T) {
	p := newPlace(t)
	n := p.fresh()
	if err := n.SetFault(simulate.Stall()); err != nil {
		t.Fatal(err)
	}
	out, _, code := p.run("setup", "--yes", "--services", "none", "--timeout", "60")
	if code != 1 || !strings.Contains(out, "ephemery-node1 is not synced after 1m") {
		t.Errorf("%d\n%s", code, out)
	}
	if n := strings.Count(out, " slots behind"); n < 5 || n > 10 {
		t.Errorf("%d lines in a minute:\n%s", n, out)
	}
	out, _, code = p.run("setup", "--yes", "--services", "none", "--timeout", "0")
	if code != 0 || strings.Contains(out, "Following") {
		t.Errorf("%d\n%s", code, out)
	}
	if err := n.ClearFaults(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	var buf strings.Builder
	w := p.world(&buf, &buf)
	w.wait = func(c context.Context, d time.Duration) error {
		if steps++; steps == 200 {
			cancel()
		}
		return p.wait(c, d)
	}
	if code := w.run(ctx, []string{"setup", "--yes", "--services", "none", "--monitor", "--timeout", "10"}); code != 0 || steps < 200 || !strings.Contains(buf.String(), "is at the head of the chain") {
		t.Errorf("%d after %d looks\n%s", code, steps, buf.String())
	}
}

func TestSetupJSON(t *testing.T) {
	p := newPlace(t)
	p.fresh()
	out, stderr, code := p.run("setup", "--yes", "--json", "--timeout", "0")
	var got struct {
		Found    setup.Found
		Provider *config.Provider
		Diffs    map[string]string
		Settings []struct{ Option string }
		Done     []string
		Changed  bool
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || strings.Count(out, "\n") != 1 {
		t.Fatalf("%v %d %s\n%s", err, code, stderr, out)
	}
	if len(got.Found.Clients) != 2 || got.Provider == nil || len(got.Diffs) != 2 || len(got.Settings) != 3 || len(got.Done) < 6 || !got.Changed {
		t.Errorf("%+v", got)
	}
	if out, _, code = p.run("setup", "--undo", "--json", "--yes"); code != 0 || !strings.Contains(out, `"undone":true`) {
		t.Error(code, out)
	}
}

// TestSetupProgram is the built program on a temporary tree, with this machine's own systemd and Docker or without.
func TestSetupProgram(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "checkpoint")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := newPlace(t)
	p.write("/etc/checkpoint/checkpoint.yml", "network: ephemery\n")
	if err := os.Remove(p.path("/opt/ephemery/inventory.yaml")); err != nil {
		t.Fatal(err)
	}
	before := p.files()
	call := func(args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), bin, append([]string{"setup", "--config.file", p.path("/etc/checkpoint/checkpoint.yml"), "--state-dir", p.path("/state")}, args...)...)
		cmd.Env = []string{"EPHEMERY_BASE_DIR=" + p.path("/opt/ephemery"), "HOME=" + p.root}
		out, err := cmd.CombinedOutput()
		exit := new(exec.ExitError)
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	args := []string{"--client", "teku", "--execution-client", "besu", "--consensus-url", "http://127.0.0.1:1", "--data-dir", "/var/lib/teku", "--unit", "teku.service", "--services", "none", "--source", "none"}
	out, code := call(append(args, "--dry-run")...)
	if code != 0 || !strings.Contains(out, "+    restart: {systemd: teku.service}") || !strings.Contains(out, "+    data_dir: /var/lib/teku") {
		t.Errorf("%d\n%s", code, out)
	}
	p.same(before, "a dry run")
	if out, code = call(append(args, "--yes", "--timeout", "0")...); code != 0 {
		t.Fatalf("%d\n%s", code, out)
	}
	if c, err := config.Load(p.path("/etc/checkpoint/checkpoint.yml")); err != nil || c.Nodes[0].DataDir != "/var/lib/teku" {
		t.Error(err)
	}
	if out, code = call("--undo", "--yes"); code != 0 || p.files()["/etc/checkpoint/checkpoint.yml"] != before["/etc/checkpoint/checkpoint.yml"] {
		t.Errorf("%d\n%s", code, out)
	}
	if out, code = call(); code != 2 || !strings.Contains(out, "there is nobody to ask") {
		t.Errorf("%d\n%s", code, out)
	}
}
