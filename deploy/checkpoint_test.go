package deploy_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// What is installed as /etc/checkpoint/checkpoint.yml says what no file at all says, and asks for the token that the package makes. With
// everything in it switched on it is right as well.
func TestInstalledConfiguration(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("checkpoint.yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("checkpoint.yml", text)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Remediation.Webhook.BearerTokenFile = "/etc/checkpoint/token"
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(config.Config{}, config.Network{})); diff != "" {
		t.Error(diff)
	}

	all := regexp.MustCompile(`(?m)^#(\S|  +\S)`).ReplaceAllString(string(text), "$1")
	all = regexp.MustCompile(`(?m)^ +checkpoint config check.*\n^ +systemctl .*\n`).ReplaceAllString(all, "")
	c, err = config.Parse("checkpoint.yml", []byte(all))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Providers) != 2 || c.Providers[0].Name != "mine" || c.Nodes[0].Consensus.Client != "lighthouse" {
		t.Errorf("the examples are not in force: %+v", c)
	}
	if n, _ := config.Default().Node("node-1"); c.Nodes[0].Consensus.URL != n.Consensus.URL || c.Nodes[0].Execution.URL != n.Execution.URL || c.Quorum != config.Default().Quorum {
		t.Errorf("the examples do not show the defaults: %+v", c.Nodes[0])
	}
}
