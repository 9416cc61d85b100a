//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// picturesVar names a directory that gets the screenshots; they are taken anyway, and go away with the test.
const picturesVar = "CHECKPOINT_E2E_PICTURES"

// quickNetwork is a network with slots of a second, four providers of which two are bad, and two nodes of which one syncs.
func quickNetwork(tb testing.TB) (*simulate.Simulation, network.Network) {
	tb.Helper()
	n := network.Network{Chain: network.Chain{
		Network: "devnet", GenesisTime: time.Now().Add(-5 * 24 * time.Hour).Truncate(time.Second),
		DepositChainID: 39438999, SecondsPerSlot: 1, SlotsPerEpoch: 8,
	}}
	sim, err := simulate.New(simulate.Options{Network: n})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(sim.Close)
	for _, p := range []struct {
		name   string
		faults []simulate.Fault
	}{
		{"alpha", nil}, {"beta", nil}, {"gamma", nil},
		{"sleepy", []simulate.Fault{simulate.Stale(50)}}, {"foreign", []simulate.Fault{simulate.WrongNetwork("hoodi")}},
	} {
		if _, err := sim.AddProvider(p.name, simulate.ProviderOptions{Faults: p.faults}); err != nil {
			tb.Fatal(err)
		}
	}
	for name, o := range map[string]simulate.NodeOptions{
		"node-1": {Client: simulate.Lighthouse, Database: true, Behind: 12000, SlotsPerSecond: 20},
		"node-2": {Client: simulate.Teku, Database: true},
	} {
		if _, err := sim.AddNode(name, o); err != nil {
			tb.Fatal(err)
		}
	}
	if err := sim.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return sim, n
}

func quickConfig(sim *simulate.Simulation, n network.Network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "network: {name: %s, genesis_time: %d, seconds_per_slot: 1, slots_per_epoch: 8, deposit_chain_id: %d}\n",
		n.Network, n.GenesisTime.Unix(), n.DepositChainID)
	b.WriteString("probe: {interval: 5s, timeout: 3s, node_interval: 2s}\nproviders:\n")
	for _, p := range sim.Providers() {
		fmt.Fprintf(&b, "- {name: %s, url: %q}\n", p.Name(), p.URL())
	}
	b.WriteString("nodes:\n")
	for _, node := range sim.Nodes() {
		fmt.Fprintf(&b, "- {name: %s, consensus: {url: %q}, execution: {url: %q}, stall_after: 15s, restart: {command: [/bin/true]}}\n",
			node.Name(), node.URL(), node.ExecutionURL())
	}
	return b.String() // the mode is to observe
}

// pictures writes screenshots in every manner in which people look at the page.
func (p *browserPage) pictures(name string) {
	p.b.tb.Helper()
	dir := os.Getenv(picturesVar)
	if dir == "" {
		dir = workDir(p.b.tb)
	}
	for _, manner := range []struct {
		name          string
		width, height int
		scheme        string
	}{{"light", 1200, 800, "light"}, {"dark", 1200, 800, "dark"}, {"tablet", 970, 700, "dark"}, {"phone", 390, 844, "light"}} {
		picture := p.look(manner.width, manner.height, manner.scheme)
		var wide int
		if err := p.evaluate("document.documentElement.scrollWidth", &wide); err != nil || wide > manner.width {
			p.b.tb.Errorf("%s, %s: the page is %d wide: %v", name, manner.name, wide, err)
		}
		if len(picture) < 1000 {
			p.b.tb.Errorf("%s, %s: a picture of %d bytes", name, manner.name, len(picture))
		}
		if err := os.WriteFile(filepath.Join(dir, "page-"+name+"-"+manner.name+".png"), picture, 0o644); err != nil {
			p.b.tb.Fatal(err)
		}
	}
}

// sound checks that the browser found nothing wrong with the page, that it asked nobody but us, and that a screen reader is told the
// name of everything that needs one.
func (p *browserPage) sound(when, base string) {
	p.b.tb.Helper()
	complaints, requests := p.heard()
	for _, c := range complaints {
		p.b.tb.Errorf("%s: %s", when, c)
	}
	for _, r := range requests {
		if !strings.HasPrefix(r, base+"/") {
			p.b.tb.Errorf("%s: the page asks for %s", when, r)
		}
	}
	roles := map[string]int{}
	for _, n := range p.accessibility() {
		if n.Ignored {
			continue
		}
		roles[n.Role.Value]++
		switch n.Role.Value {
		case "RootWebArea", "link", "button", "heading", "table", "region", "navigation", "img", "image", "figure", "slider", "progressbar", "progressIndicator",
			"columnheader", "rowheader", "DisclosureTriangle", "Details", "summary":
			if strings.TrimSpace(n.Name.Value) == "" && n.Role.Value != "Details" {
				p.b.tb.Errorf("%s: a %s has no name", when, n.Role.Value)
			}
		}
	}
	for _, role := range []string{"main", "navigation", "banner", "contentinfo", "heading", "table", "rowheader", "status"} {
		if roles[role] == 0 {
			p.b.tb.Errorf("%s: there is no %s: %v", when, role, roles)
		}
	}
}

// shows waits until the text of an element says something.
func (p *browserPage) shows(within time.Duration, selector string, words ...string) {
	p.b.tb.Helper()
	eventually(p.b.tb, within, fmt.Sprintf("%s to say %q", selector, words), func() error {
		var text string
		if err := p.evaluate(fmt.Sprintf("(document.querySelector(%q) || {}).innerText || ''", selector), &text); err != nil {
			return err
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				return errors.New(text)
			}
		}
		return nil
	})
}

// TestStatusPage looks at the page of checkpointd in a real browser while a node syncs, stalls, and is worried about.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	clock := newStopwatch(t)
	sim, n := quickNetwork(t)
	file := filepath.Join(workDir(t), "checkpoint.yml")
	if err := os.WriteFile(file, []byte(quickConfig(sim, n)), 0o644); err != nil {
		t.Fatal(err)
	}
	base, remediator, api := local(freePort(t)), local(freePort(t)), local(freePort(t))
	program := start(t, "checkpointd", ourProgram(t, "checkpointd"), "--config.file="+file, "--storage.path="+filepath.Join(workDir(t), "data"),
		"--exporter.listen-address="+hostPort(base), "--remediator.listen-address="+hostPort(remediator), "--web.listen-address="+hostPort(api))
	eventually(t, 2*time.Minute, "checkpointd to be ready", func() error {
		if err := program.ended(); err != nil {
			return err
		}
		_, err := get(base + "/-/ready")
		return err
	})
	b := startBrowser(t)
	clock.lap("checkpointd and chromium run")

	page := b.newPage()
	page.open(base + "/")
	page.shows(time.Minute, "#live", "Live.")
	page.shows(time.Minute, "#nodes", "node-1", "syncing", "node-2", "in sync", "in about")
	page.shows(time.Minute, "#providers", "alpha", "usable", "sleepy", "Its finalized checkpoint is too old.", "foreign", "It serves another network.")
	page.shows(time.Minute, "#epochs", "agree")
	page.shows(time.Minute, "#chart-0", "expected")
	page.shows(2*time.Minute, "#incidents", "There has been none.")
	// The chart tells its values to the keyboard.
	if err := page.evaluate("document.querySelector('#chart-0 .plot').focus()", nil); err != nil {
		t.Fatal(err)
	}
	page.do("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "ArrowLeft"}, nil)
	page.shows(time.Minute, "#chart-0 .reading", "slots behind")
	if err := page.evaluate("document.activeElement.blur()", nil); err != nil {
		t.Fatal(err)
	}
	page.sound("while a node syncs", base)
	page.pictures("syncing")
	clock.lap("a node is seen to sync")

	// What happens arrives without the page being loaded again.
	if err := page.evaluate("window.unchanged = true", nil); err != nil {
		t.Fatal(err)
	}
	if err := sim.Node("node-1").SetFault(simulate.Stall()); err != nil {
		t.Fatal(err)
	}
	page.shows(2*time.Minute, "#nodes", "stalled", "its head has not moved for")
	page.shows(time.Minute, "#summary", "node-1 is stalled.")
	clock.lap("a node is seen to stall")
	page.shows(5*time.Minute, "#alerts", "CheckpointNodeSyncStalled", "node-1")
	page.shows(5*time.Minute, "#incidents", "CheckpointNodeSyncStalled", "playbook node_stalled", "it only notes what it would do")
	clock.lap("an alert and an incident are shown")
	var title string
	if err := page.evaluate("window.unchanged ? document.title : 'loaded again'", &title); err != nil || !strings.HasPrefix(title, "✕ ") {
		t.Errorf("the title is %q: %v", title, err)
	}
	page.sound("with a stalled node", base)
	page.pictures("stalled")

	// The same without JavaScript, also on the listener of the API.
	for _, where := range []string{base, api} {
		plain := b.newPage()
		plain.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
		plain.open(where + "/")
		plain.shows(time.Minute, "#nodes", "stalled")
		plain.shows(time.Minute, "#providers", "sleepy", "too old")
		plain.shows(time.Minute, "#incidents", "playbook node_stalled")
		plain.shows(time.Minute, "header", "Reload the page for news.")
		plain.sound("without JavaScript", where)
		if where == base {
			plain.pictures("plain")
		}
	}
	clock.lap("the page is read without JavaScript")

	page.do("Page.bringToFront", nil, nil)
	page.shows(time.Minute, "#live", "Live.")
	// Open pages do not keep the program from ending, and say that it has.
	program.stop()
	if state := program.cmd.ProcessState; !state.Success() {
		t.Errorf("checkpointd ended: %s", state)
	}
	page.shows(time.Minute, "#live", "Not live")
}
