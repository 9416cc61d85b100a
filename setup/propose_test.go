package setup_test

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

func answers() setup.Answers {
	return setup.Answers{
		Network: "ephemery", Node: "ephemery-node1", Mode: config.Observe, Token: "/etc/checkpoint/token",
		Consensus: setup.Client{Name: "lighthouse", Layer: setup.Consensus, API: "http://127.0.0.1:5052", Metrics: "http://127.0.0.1:5054/metrics", Unit: "lighthouse.service", DataDir: "/var/lib/light house"},
		Execution: setup.Client{Name: "geth", Layer: setup.Execution, API: "http://127.0.0.1:8545", Compose: &setup.Compose{Dir: "/opt/eth-docker", Service: "execution"}},
		Validator: &setup.Client{Name: "lighthouse", Layer: setup.Validator, Container: "vc"},
		Source:    &config.Source{YAML: &config.YAMLSource{File: "/opt/ephemery/inventory.yaml", Key: "checkpoint_sync_url"}},
	}
}

// TestProposal: what is proposed is what the programs read.
func TestProposal(t *testing.T) {
	c, err := answers().Propose(filepath.Join(t.TempDir(), "checkpoint.yml"), false)
	if err != nil {
		t.Fatal(err)
	}
	const want = `network: ephemery
nodes:
  - name: ephemery-node1
    consensus: {url: "http://127.0.0.1:5052", metrics_url: "http://127.0.0.1:5054/metrics", client: lighthouse}
    execution: {url: "http://127.0.0.1:8545", client: geth}
    restart: {systemd: lighthouse.service}
    restart_execution: {docker_compose: {dir: /opt/eth-docker, service: execution}}
    validator: {restart: {docker: vc}}
    source: {yaml: {file: /opt/ephemery/inventory.yaml, key: checkpoint_sync_url}}
    data_dir: "/var/lib/light house"
remediation:
  mode: observe
  webhook: {bearer_token_file: /etc/checkpoint/token}
`
	_, text, _ := strings.Cut(string(c.After), "\n")
	if text != want || c.Left {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	n, ok := c.Config.Node("ephemery-node1")
	if !ok || n.DataDir != "/var/lib/light house" || n.Restart.Systemd != "lighthouse.service" || n.Validator.Restart.Docker != "vc" || c.Config.Remediation.Mode != "observe" {
		t.Errorf("%+v", n)
	}
	odd := answers()
	odd.Node, odd.Source = "yes", nil
	odd.Consensus = setup.Client{API: "http://127.0.0.1:5052", Container: "no"}
	if c, err = odd.Propose(filepath.Join(t.TempDir(), "checkpoint.yml"), false); err != nil || c.Config.Nodes[0].Name != "yes" || c.Config.Nodes[0].Restart.Docker != "no" {
		t.Errorf("%v\n%s", err, c.Proposed)
	}
	odd.Node = "a b"
	if _, err = odd.Propose(filepath.Join(t.TempDir(), "checkpoint.yml"), false); err == nil {
		t.Error("a name that is none is proposed")
	}
}

func TestMerge(t *testing.T) {
	for name, tc := range map[string]struct {
		text    string
		want    string // the beginning, if it is not text
		replace bool
		added   []string
		left    bool
		err     string
	}{
		"only a network":                    {text: "# mine\nnetwork: ephemery   # the best", added: []string{"nodes", "remediation"}},
		"an empty file":                     {text: "", added: []string{"network", "nodes", "remediation"}},
		"comments alone":                    {text: "# network: mainnet\n", added: []string{"network", "nodes", "remediation"}},
		"the packaged one":                  {text: "# nodes:\n#   - name: x\nremediation:\n  mode: observe\n", added: []string{"nodes"}},
		"other nodes":                       {text: "network: ephemery\nnodes:\n  - {name: other, consensus: {url: \"http://x:1\"}}\nremediation: {mode: observe}\n", left: true},
		"another network, in so many words": {text: "network: mainnet # mine\n", want: "network: ephemery # mine\n", added: []string{"nodes", "remediation"}},
		"another mode":                      {text: "network: ephemery\nremediation:\n  mode: act # at last\n", want: "network: ephemery\nremediation:\n  mode: observe # at last\n", added: []string{"nodes"}},
		"a flow that cannot be added to":    {text: "{network: ephemery}\n", left: true},
		"one that is wrong":                 {text: "netwrk: ephemery\n", err: ":1: netwrk: unknown key"},
		"one that is wrong, replaced":       {text: "netwrk: ephemery\n", replace: true},
		"a chain of one's own":              {text: "network: {name: devnet, genesis_time: 1771000000, seconds_per_slot: 12, slots_per_epoch: 32}\nproviders: [{name: a, url: \"http://a:1\"}]\n", added: []string{"nodes", "remediation"}, left: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "checkpoint.yml")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := answers().Propose(path, tc.replace)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), "--force") {
					t.Errorf("%v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.Added, tc.added) || c.Left != tc.left {
				t.Errorf("added %q, left %v\n%s", c.Added, c.Left, c.After)
			}
			if !tc.replace && c.After != nil && !strings.HasPrefix(string(c.After), cmp.Or(tc.want, tc.text)) {
				t.Errorf("what was there has changed:\n%s", c.After)
			}
			if c.After != nil {
				if _, err := config.Parse(path, c.After); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	parse := func(text string) *config.Config {
		c, err := config.Parse("checkpoint.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p := setup.PermissionsOf(parse(`nodes:
  - name: a
    consensus: {url: "http://x:1", client: lighthouse}
    restart: {systemd: lighthouse.service}
    restart_execution: {systemd: geth.service}
    source: {systemd: {unit: lighthouse.service}}
`))
	// The rule is that of deploy/, but for its comments.
	shipped, err := os.ReadFile("../deploy/polkit/50-checkpoint.rules")
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)^\s*//.*\n| // .*$`)
	clean := func(b []byte) string { return comment.ReplaceAllString(string(b), "") }
	want := strings.NewReplacer("var units = [];", `var units = ["geth.service", "lighthouse.service"];`, "var reload = false;", "var reload = true;").Replace(clean(shipped))
	if got := clean(p.Polkit()); got != want {
		t.Errorf("got\n%s\nshipped is\n%s", got, want)
	}

	p = setup.PermissionsOf(parse(`nodes:
  - name: a
    consensus: {url: "http://x:1", client: lighthouse}
    restart: {docker: beacon}
    source: {yaml: {file: "/opt/my ephemery/100%/inventory.yaml", key: u}}
    data_dir: /var/lib/lighthouse
remediation: {mode: act}
`))
	if p.Polkit() != nil {
		t.Error("a rule without units")
	}
	const dropIn = "# Written by checkpoint setup, from what checkpoint.yml names.\n[Service]\nReadWritePaths=\"-/opt/my ephemery/100%%\"\nReadWritePaths=-/var/lib/lighthouse\nSupplementaryGroups=docker\n"
	if got := string(p.DropIn()); got != dropIn {
		t.Errorf("got\n%s\nwant\n%s", got, dropIn)
	}
	if len(p.Commands) != 2 {
		t.Errorf("%q", p.Commands)
	}
	if p := setup.PermissionsOf(config.Default()); p.Polkit() != nil || p.DropIn() != nil || len(p.Commands) > 0 {
		t.Errorf("the defaults need %+v", p)
	}
}
