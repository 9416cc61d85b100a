package client_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

const (
	was = "https://old.example"
	is  = "https://new.example:8443/a?b=c"
)

func TestFlagsOfEveryClient(t *testing.T) {
	for _, name := range config.ConsensusClients {
		flags := client.CheckpointFlags(name)
		if len(flags) == 0 {
			t.Errorf("no flag of %s", name)
		}
		for _, f := range flags {
			args := []string{"/usr/bin/" + name, "beacon", f + "=" + was, "--metrics"}
			p, err := client.FindFlag(args, name)
			if want := (client.Place{Flag: f, Arg: 2, Start: len(f) + 1, Value: was}); err != nil || p != want {
				t.Errorf("%s %s: %+v, %v, want %+v", name, f, p, err, want)
			}
			got, err := client.SetFlag(args, name, is)
			if diff := cmp.Diff([]string{"/usr/bin/" + name, "beacon", f + "=" + is, "--metrics"}, got); err != nil || diff != "" {
				t.Errorf("%s %s: %v (-want +got):\n%s", name, f, err, diff)
			}
			if args[2] != f+"="+was {
				t.Error("SetFlag changed what it was given")
			}
		}
	}
	if got := client.CheckpointFlags("geth"); got != nil {
		t.Errorf("geth takes %v", got)
	}
}

func TestFindFlag(t *testing.T) {
	for name, tt := range map[string]struct {
		client string
		args   []string
		want   client.Place
	}{
		"apart":                {"lighthouse", []string{"lighthouse", "bn", "--checkpoint-sync-url", was, "--http"}, client.Place{Flag: "--checkpoint-sync-url", Arg: 3, Value: was}},
		"apart, teku":          {"teku", []string{"--checkpoint-sync-url", was}, client.Place{Flag: "--checkpoint-sync-url", Arg: 1, Value: was}},
		"apart, lodestar":      {"lodestar", []string{"beacon", "--checkpointSyncUrl", was}, client.Place{Flag: "--checkpointSyncUrl", Arg: 2, Value: was}},
		"one dash, prysm":      {"prysm", []string{"-checkpoint-sync-url", was}, client.Place{Flag: "-checkpoint-sync-url", Arg: 1, Value: was}},
		"a colon, nimbus":      {"nimbus", []string{"trustedNodeSync", "--trusted-node-url:" + was}, client.Place{Flag: "--trusted-node-url", Arg: 1, Start: 19, Value: was}},
		"empty":                {"grandine", []string{"--checkpoint-sync-url="}, client.Place{Flag: "--checkpoint-sync-url", Start: 22}},
		"empty apart":          {"grandine", []string{"--checkpoint-sync-url", ""}, client.Place{Flag: "--checkpoint-sync-url", Arg: 1}},
		"longer names beside":  {"lighthouse", []string{"--checkpoint-sync-url-timeout=300", "--checkpoint-sync-url-timeout", "300", "--checkpoint-sync-url=" + was}, client.Place{Flag: "--checkpoint-sync-url", Arg: 3, Start: 22, Value: was}},
		"behind an init":       {"lighthouse", []string{"tini", "--", "lighthouse", "bn", "--checkpoint-sync-url=" + was}, client.Place{Flag: "--checkpoint-sync-url", Arg: 4, Start: 22, Value: was}},
		"an equals sign in it": {"teku", []string{"--checkpoint-sync-url=" + is}, client.Place{Flag: "--checkpoint-sync-url", Start: 22, Value: is}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.FindFlag(tt.args, tt.client)
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestFindFlagRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		client string
		args   []string
		arg    int
		say    string
		none   bool
	}{
		"another client":        {"geth", nil, -1, "not known", false},
		"none":                  {"lighthouse", []string{"lighthouse", "bn"}, -1, "has no --checkpoint-sync-url", true},
		"only a longer name":    {"lighthouse", []string{"--checkpoint-sync-url-timeout=300"}, -1, "has no --checkpoint-sync-url", true},
		"one dash":              {"lighthouse", []string{"-checkpoint-sync-url=" + was}, -1, "has no --checkpoint-sync-url", true},
		"another's spelling":    {"teku", []string{"--checkpointSyncUrl=" + was}, -1, "has no --checkpoint-sync-url", true},
		"twice":                 {"lighthouse", []string{"--checkpoint-sync-url=" + was, "--checkpoint-sync-url", is}, 2, "more than once", false},
		"both of nimbus":        {"nimbus", []string{"--trusted-node-url=" + was, "--external-beacon-api-url=" + was}, 1, "--trusted-node-url or --external-beacon-api-url is there more than once", false},
		"both of lodestar":      {"lodestar", []string{"--checkpointSyncUrl=" + was, "--checkpoint-sync-url=" + was}, 1, "more than once", false},
		"last":                  {"teku", []string{"--checkpoint-sync-url"}, 0, "has no value", false},
		"a flag as value":       {"teku", []string{"--checkpoint-sync-url", "--metrics-enabled"}, 0, "has no value", false},
		"apart, nimbus":         {"nimbus", []string{"--trusted-node-url", was}, 0, "write --trusted-node-url=URL", false},
		"empty, nimbus":         {"nimbus", []string{"--trusted-node-url=", "--backfill=false"}, 0, "has no value", false},
		"in a shell":            {"lighthouse", []string{"sh", "-c", "exec lighthouse bn --checkpoint-sync-url=" + was + " --secret=hunter2"}, 2, "inside a longer argument", true},
		"a state, not a server": {"teku", []string{"--initial-state=https://old.example/eth/v2/debug/beacon/states/finalized"}, 0, "write --checkpoint-sync-url=URL in its place", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.FindFlag(tt.args, tt.client)
			e, ok := errors.AsType[*client.FlagError](err)
			if !ok || e.Arg != tt.arg || !strings.Contains(err.Error(), tt.say) || errors.Is(err, client.ErrNoFlag) != tt.none {
				t.Fatalf("%+v, %v", got, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("an argument got into the error: %v", err)
			}
			if _, err := client.SetFlag(tt.args, tt.client, is); err == nil {
				t.Error("SetFlag passed")
			}
		})
	}
}

func TestSetFlagRefusesWhatIsNotReadBack(t *testing.T) {
	if got, err := client.SetFlag([]string{"--checkpoint-sync-url", was}, "teku", "--evil"); err == nil {
		t.Errorf("%q", got)
	}
}

// Whatever stands there, nothing but the value changes, and what is written is found.
func FuzzFlag(f *testing.F) {
	for _, name := range config.ConsensusClients {
		for _, flag := range client.CheckpointFlags(name) {
			f.Add(name, "beacon\x00"+flag+"="+was, is)
			f.Add(name, flag+"\x00"+was+"\x00--x", is)
		}
	}
	f.Fuzz(func(t *testing.T, name, line, url string) {
		args := strings.Split(line, "\x00")
		p, err := client.FindFlag(args, name)
		if err != nil {
			return
		}
		out, err := client.SetFlag(args, name, url)
		if err != nil {
			return
		}
		now, err := client.FindFlag(out, name)
		if err != nil || now.Value != url {
			t.Fatalf("%q: found %+v, %v", out, now, err)
		}
		back := slices.Clone(out)
		back[p.Arg] = back[p.Arg][:p.Start] + p.Value
		if !slices.Equal(back, args) {
			t.Fatalf("%q became %q", args, out)
		}
	})
}
