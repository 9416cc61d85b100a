package client_test

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// What is deleted and what is kept must not touch, however the lists grow.
func TestLayoutsKeepWhatTheyKeep(t *testing.T) {
	check := func(name string, l client.Layout, ok bool) {
		if !ok || len(l.Database) == 0 || len(l.Keep) == 0 {
			t.Errorf("%s: no layout, or an empty one", name)
		}
		goes := slices.Concat(l.Database, l.Iteration)
		for _, p := range slices.Concat(goes, l.SlashingProtection, l.Keep) {
			if !filepath.IsLocal(p) || path.Clean(p) != p || p == "." {
				t.Errorf("%s: %q is not a plain relative path", name, p)
			}
			if strings.Count(p, "/") > 2 || strings.ContainsAny(path.Dir(p), "*?[") {
				t.Errorf("%s: %q: only the last part may be a pattern", name, p)
			}
		}
		for _, p := range goes {
			for _, kept := range slices.Concat(l.Keep, l.SlashingProtection) {
				if p == kept || strings.HasPrefix(kept, p+"/") || strings.HasPrefix(p, kept+"/") {
					t.Errorf("%s: %q would take %q with it", name, p, kept)
				}
			}
		}
		for _, p := range l.SlashingProtection {
			if slices.Contains(l.Keep, p) {
				t.Errorf("%s: %q is both kept and deleted", name, p)
			}
		}
		seen := map[string]bool{}
		for _, p := range slices.Concat(goes, l.SlashingProtection, l.Keep) {
			if seen[p] {
				t.Errorf("%s: %q twice", name, p)
			}
			seen[p] = true
		}
	}
	for _, name := range config.ConsensusClients {
		l, ok := client.ConsensusLayout(name)
		check(name, l, ok)
		if len(l.SlashingProtection) == 0 {
			t.Errorf("%s: where is its slashing protection?", name)
		}
	}
	for _, name := range config.ExecutionClients {
		l, ok := client.ExecutionLayout(name)
		check(name, l, ok)
		if len(l.SlashingProtection) != 0 {
			t.Errorf("%s: an execution client signs nothing", name)
		}
	}
}

func TestConsensusDatabases(t *testing.T) {
	all := client.ConsensusDatabases("")
	for _, name := range config.ConsensusClients {
		own := client.ConsensusDatabases(name)
		if len(own) == 0 {
			t.Errorf("%s has none", name)
		}
		for _, p := range own {
			if !slices.ContainsFunc(all, func(a string) bool { return a == p || strings.HasPrefix(p, a+"/") }) {
				t.Errorf("%s of %s is missing among all", p, name)
			}
		}
	}
	for _, p := range all {
		if slices.ContainsFunc(all, func(a string) bool { return strings.HasPrefix(p, a+"/") }) {
			t.Errorf("%s would be counted twice", p)
		}
	}
	if got := client.ConsensusDatabases("nobody"); len(got) != 0 {
		t.Errorf("an unknown client has %v", got)
	}
	if _, ok := client.ConsensusLayout("geth"); ok {
		t.Error("geth is no consensus client")
	}
	if _, ok := client.ExecutionLayout("teku"); ok {
		t.Error("teku is no execution client")
	}
	if client.ConsensusDatabases("teku")[0] = "/etc"; client.ConsensusDatabases("teku")[0] == "/etc" {
		t.Error("a caller can change the facts")
	}
}
