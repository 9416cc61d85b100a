package setup_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

// changes are the lines that differ, in the manner of diff.
func changes(before, after string) string {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	var out strings.Builder
	for len(a)+len(b) > 0 {
		if len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		i, j := resume(a, b)
		for _, l := range a[:i] {
			out.WriteString("-" + strings.TrimSuffix(l, "\n") + "\n")
		}
		for _, l := range b[:j] {
			out.WriteString("+" + strings.TrimSuffix(l, "\n") + "\n")
		}
		a, b = a[i:], b[j:]
	}
	return out.String()
}

// resume is after how many lines of each the two go on alike.
func resume(a, b []string) (int, int) {
	for n := 1; n <= len(a)+len(b); n++ {
		for i := range n + 1 {
			if j := n - i; i < len(a) && j < len(b) && a[i] == b[j] {
				return i, j
			}
		}
	}
	return len(a), len(b)
}

func request(text string) setup.InventoryRequest {
	return setup.InventoryRequest{
		File: "inventory.yaml", Text: []byte(text), Host: "ephemery-node1", URL: "https://one.example", Network: "ephemery", Consensus: "lighthouse", Execution: "geth",
		ConsensusVersion: setup.Version{8, 0, 1}, ExecutionVersion: setup.Version{1, 17, 4}, Settings: true,
	}
}

func TestScriptsInventory(t *testing.T) {
	text, err := os.ReadFile("testdata/scripts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	q := request(string(text))
	if cl, el, url := q.Read(); cl != "lighthouse" || el != "geth" || url != "https://beaconstate-ephemery.chainsafe.io" {
		t.Errorf("%s %s %s", cl, el, url)
	}
	_, err = q.Plan()
	place := new(source.PlaceError)
	if !errors.As(err, &place) || place.Line != 12 || !strings.Contains(err.Error(), "inventory.yaml:12: cl_extra_opts has --allow-insecure-genesis-sync") {
		t.Errorf("what stops Lighthouse from starting is not refused: %v", err)
	}

	q.TakeOut = true
	p, err := q.Plan()
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/scripts.taken-out.diff")
	if err != nil {
		t.Fatal(err)
	}
	if got := changes(string(text), string(p.After)); got != string(golden) {
		t.Errorf("got\n%s\nwant\n%s", got, golden)
	}
	if len(p.Harmful) != 2 || len(p.Added) != 1 || len(p.Has) != 3 {
		t.Errorf("%+v", p)
	}

	again := q
	again.Text = p.After
	if p, err := again.Plan(); err != nil || p.Changed(again) {
		t.Errorf("a second time it is changed again: %v\n%s", err, changes(string(again.Text), string(p.After)))
	}

	q.URL, q.TakeOut, q.Settings = "", false, false
	if p, err := q.Plan(); err != nil || p.Changed(q) || len(p.Harmful) != 2 {
		t.Errorf("nothing was to be written: %v %+v", err, p)
	}
}

func TestInventoryPlan(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		with func(*setup.InventoryRequest)
		want string // the difference
		note string
		err  string
	}{
		"keys that are missing": {
			text: "all:\n  hosts:\n    ephemery-node1:\n      cl: lighthouse # why\n",
			want: "+      checkpoint_sync_url: \"https://one.example\"\n+      el_extra_opts: \"--maxpeers=100\"\n" +
				"+      cl_extra_opts: \"--checkpoint-sync-url-timeout=300 --execution-timeout-multiplier=5 --disable-backfill-rate-limiting\"\n+      use_checkpoint_sync: true\n",
		},
		"a block stays as it is": {
			text: "ephemery-node1:\n  use_checkpoint_sync: yes\n  checkpoint_sync_url: 'https://one.example'\n  el_extra_opts: ''\n  cl_extra_opts: >-\n    --target-peers=100\n\n    --execution-timeout-multiplier=9\n  x: y\n",
			want: "-  el_extra_opts: ''\n+  el_extra_opts: '--maxpeers=100'\n+    --checkpoint-sync-url-timeout=300 --disable-backfill-rate-limiting\n",
		},
		"a list of options": {
			text: "ephemery-node1:\n  use_checkpoint_sync: true\n  checkpoint_sync_url: https://one.example\n  cl_extra_opts: [--a]\n  el_extra_opts: --maxpeers=1\n",
			note: "inventory.yaml:4: cl_extra_opts is not a single value",
		},
		"a template": {
			text: "ephemery-node1:\n  use_checkpoint_sync: true\n  checkpoint_sync_url: https://one.example\n  cl_extra_opts: '{{ more }}'\n  el_extra_opts: --maxpeers=1\n",
			note: "inventory.yaml:4: cl_extra_opts: parts of it are put in only later",
		},
		"options that no shell takes": {
			text: "ephemery-node1:\n  use_checkpoint_sync: true\n  checkpoint_sync_url: https://one.example\n  cl_extra_opts: \"--a='x\"\n  el_extra_opts: --maxpeers=1\n",
			note: "inventory.yaml:4: cl_extra_opts: a quote is not closed",
		},
		"options for all hosts": {
			text: "vars: {cl_extra_opts: &o --a}\nhosts:\n  ephemery-node1:\n    use_checkpoint_sync: true\n    checkpoint_sync_url: https://one.example\n    cl_extra_opts: *o\n    el_extra_opts: --maxpeers=1\n",
			note: "inventory.yaml:6: hosts.ephemery-node1.cl_extra_opts is the alias *o",
		},
		"no settings": {
			text: "ephemery-node1:\n  use_checkpoint_sync: false\n  checkpoint_sync_url: https://one.example\n",
			with: func(q *setup.InventoryRequest) { q.Settings = false },
			want: "-  use_checkpoint_sync: false\n+  use_checkpoint_sync: true\n",
		},
		"a geth that does not know txlookuplimit": {
			text: "ephemery-node1:\n  use_checkpoint_sync: true\n  checkpoint_sync_url: https://one.example\n  cl_extra_opts: x\n  el_extra_opts: --txlookuplimit=0 --maxpeers=3\n",
			with: func(q *setup.InventoryRequest) { q.Consensus = "teku" },
		},

		"a switch that is no switch": {text: "ephemery-node1:\n  use_checkpoint_sync: \"{{ x }}\"\n  checkpoint_sync_url: https://one.example\n", err: "inventory.yaml:2: ephemery-node1.use_checkpoint_sync is \"{{ x }}\", neither true nor false"},
		"a URL in a block":           {text: "ephemery-node1:\n  use_checkpoint_sync: true\n  checkpoint_sync_url: >-\n    https://two.example\n", err: "inventory.yaml:3: ephemery-node1.checkpoint_sync_url is spread over several lines"},
		"a URL of several hosts":     {text: "a: {checkpoint_sync_url: &u https://two.example, use_checkpoint_sync: true}\nephemery-node1: {checkpoint_sync_url: *u, use_checkpoint_sync: true}\n", err: "inventory.yaml:2: ephemery-node1.checkpoint_sync_url is the alias *u"},
		"a flow without a URL":       {text: "hosts: {ephemery-node1: {cl: lighthouse}}\n", err: "inventory.yaml:1: there is no checkpoint_sync_url, and none can be added"},
		"nothing at all":             {text: "hosts: {ephemery-node1: {}}\n", err: `inventory.yaml: host "ephemery-node1" has neither checkpoint_sync_url nor cl`},
		"a URL that breaks out":      {text: "ephemery-node1: {checkpoint_sync_url: x}\n", with: func(q *setup.InventoryRequest) { q.URL = "https://x\ny" }, err: "checkpoint URL"},
		"no YAML":                    {text: "\tx", err: "inventory.yaml: is not YAML"},
		"UTF-16":                     {text: "\xff\xfea", err: "inventory.yaml: is UTF-16"},
	} {
		t.Run(name, func(t *testing.T) {
			q := request(tc.text)
			if tc.with != nil {
				tc.with(&q)
			}
			p, err := q.Plan()
			if tc.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.err) {
					t.Errorf("%v, want %s…", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := changes(tc.text, string(p.After)); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, tc.note) || tc.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tc.note)
			}
		})
	}
}
