package setup_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]setup.Version{
		"v8.0.1": {8, 0, 1}, "v1.17.4-stable-abc": {1, 17, 4}, "25.4": {25, 4}, "7": {7}, "": {}, "latest": {}, "v1.x": {1}, "v99999999999999999999.1": {}, "v8.0.1-rc.0": {8, 0, 1},
	} {
		if got := setup.ParseVersion(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// TestSettings holds what is written for every client and version.
func TestSettings(t *testing.T) {
	const lighthouse = "--checkpoint-sync-url-timeout=300 --execution-timeout-multiplier=5"
	for _, tc := range []struct{ client, version, network, has, want string }{
		{"lighthouse", "v8.0.1", "ephemery", "", lighthouse + " --disable-backfill-rate-limiting"},
		{"lighthouse", "v5.3.0", "ephemery", "", lighthouse + " --disable-backfill-rate-limiting"},
		{"lighthouse", "", "ephemery", "", lighthouse + " --disable-backfill-rate-limiting"},
		{"lighthouse", "v8.0.1", "mainnet", "", lighthouse},
		{"lighthouse", "v8.0.1", "mainnet", "--execution-timeout-multiplier=2", "--checkpoint-sync-url-timeout=300"},
		{"lighthouse", "v8.0.1", "mainnet", "--execution-timeout-multiplier 2 --checkpoint-sync-url-timeout 600", ""},
		{"teku", "v25.4.0", "ephemery", "", ""},
		{"prysm", "v7.1.2", "ephemery", "", "--p2p-max-peers=100 --engine-endpoint-timeout-seconds=40"},
		{"prysm", "v7.1.2", "ephemery", "-p2p-max-peers=30", "--engine-endpoint-timeout-seconds=40"},
		{"nimbus", "v25.1.0", "ephemery", "", ""},
		{"lodestar", "v1.40.0", "ephemery", "", "--execution.timeout=60000"},
		{"grandine", "2.0.0", "ephemery", "", ""},
		{"geth", "v1.16.9", "ephemery", "", "--maxpeers=100 --cache=4096"},
		{"geth", "v1.16.9", "mainnet", "", "--maxpeers=100"},
		{"geth", "v1.17.4", "ephemery", "", "--maxpeers=100"},
		{"geth", "", "ephemery", "", "--maxpeers=100"},
		{"geth", "v1.16.9", "ephemery", "--cache 512", "--maxpeers=100"},
		{"nethermind", "v1.36.0", "ephemery", "", "--Network.MaxActivePeers=100"},
		{"nethermind", "v1.36.0", "ephemery", "--network.maxactivepeers 20", ""},
		{"besu", "v25.1.0", "ephemery", "", "--max-peers=100"},
		{"erigon", "3.0.0", "ephemery", "", "--maxpeers=100"},
		{"reth", "1.5.0", "ephemery", "", ""},
	} {
		o, err := setup.Look(tc.has, tc.client, setup.ParseVersion(tc.version), tc.network)
		var got []string
		for _, s := range o.Add {
			got = append(got, s.String())
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s %s on %s with %q: %q %v, want %q", tc.client, tc.version, tc.network, tc.has, got, err, tc.want)
		}
	}
	for _, text := range []string{"--a {{ more }}", "--a $MORE", "--a `x`", `--a "`} {
		if o, err := setup.Look(text, "geth", setup.Version{}, "ephemery"); err == nil || len(o.Add) > 0 {
			t.Errorf("%q cannot be told apart: %v %v", text, o.Add, err)
		}
	}
}

// TestNeverWritten: no client, version, network or present text leads to an option that stops a client from starting.
func TestNeverWritten(t *testing.T) {
	never := []string{"--allow-insecure-genesis-sync", "--txlookuplimit", "--purge-db", "--genesis-backfill", "--syncmode"}
	for _, s := range setup.Settings() {
		if slices.Contains(never, s.Flag) {
			t.Errorf("%s is among the settings of %s", s.Flag, s.Client)
		}
		for _, h := range setup.Harms() {
			if h.Client == s.Client && h.Flag == s.Flag {
				t.Errorf("%s is a setting of %s and harms it", s.Flag, s.Client)
			}
		}
		if s.Why == "" || s.Default == "" || s.Source == "" || !slices.Contains(slices.Concat(config.ConsensusClients, config.ExecutionClients), s.Client) {
			t.Errorf("%s of %s is not explained", s.Flag, s.Client)
		}
	}
}

func TestHarmful(t *testing.T) {
	for _, tc := range []struct{ client, version, text, want string }{
		{"lighthouse", "v8.0.1", "--target-peers=100 --allow-insecure-genesis-sync --genesis-backfill", "--allow-insecure-genesis-sync"},
		{"geth", "v1.17.4", "--cache=4096 --txlookuplimit=0", "--txlookuplimit=0"},
		{"geth", "v1.17.4", "--txlookuplimit 0 --cache=4096", "--txlookuplimit 0"},
		{"geth", "v1.17.3", "--txlookuplimit=0", ""},
		{"geth", "", "--txlookuplimit=0", "--txlookuplimit=0"},
		{"reth", "1.5.0", "--txlookuplimit=0", "--txlookuplimit=0"},
		{"lighthouse", "", "--purge-db-force", "--purge-db-force"},
		{"lodestar", "", "--forceCheckpointSync", "--forceCheckpointSync"},
		{"teku", "", "--allow-insecure-genesis-sync", ""},
	} {
		o, err := setup.Look(tc.text, tc.client, setup.ParseVersion(tc.version), "ephemery")
		var got []string
		for _, h := range o.Harmful {
			got = append(got, h.Text)
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s %s: %q: %q %v, want %q", tc.client, tc.version, tc.text, got, err, tc.want)
		}
	}
}

// TestSettingsDocs: docs/setup.md explains every setting, every omission and every harmful option in the words of the table.
func TestSettingsDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/setup.md")
	if err != nil {
		t.Fatal(err)
	}
	cell := strings.NewReplacer("|", `\|`)
	var want []string
	for _, s := range setup.Settings() {
		where := "all"
		if s.Networks != nil {
			where = strings.Join(s.Networks, ", ")
		}
		if s.Until.Known() {
			where += ", before " + s.Until.String()
		}
		want = append(want, "| "+s.Client+" | `"+s.String()+"` | "+where+" | "+cell.Replace(s.Default)+" | "+cell.Replace(s.Why)+" |")
	}
	for _, o := range setup.Omissions("") {
		want = append(want, "| "+o.Client+" | `"+o.Flag+"` | "+cell.Replace(o.Why)+" |")
	}
	for _, h := range setup.Harms() {
		since := "all"
		if h.Since.Known() {
			since = "since " + h.Since.String()
		}
		want = append(want, "| "+h.Client+" | `"+h.Flag+"` | "+since+" | "+cell.Replace(h.Why)+" |")
	}
	for _, row := range want {
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("docs/setup.md lacks\n%s", row)
		}
	}
	if n := strings.Count(string(text), "| `--"); n != len(want) {
		t.Errorf("docs/setup.md has %d rows of options, and there are %d", n, len(want))
	}
}
