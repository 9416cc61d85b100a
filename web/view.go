package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

// view is everything that the page shows, in words. It changes with what is seen and told, not with time alone.
type view struct {
	Version string
	Links   []Link
	// Layout names what the page is made of: another one cannot be had by changing parts.
	Layout string
	// Live tells that changes will be sent.
	Live bool
	At   *Moment

	Network string
	// Title is that of the window, and Headline the page in one sentence.
	Title    string
	Headline Badge
	// Tiles are the few facts that come first.
	Tiles []Tile
	// Notes are sentences about the whole network.
	Notes []string

	Alerts    *AlertsView
	Nodes     []NodeView
	Charts    []Chart
	Incidents *IncidentsView
	Providers []ProviderView
	Epochs    []EpochView
	// Quorum and Learnt are sentences about the agreement.
	Quorum string
	Learnt []string
}

// Tile is one fact.
type Tile struct {
	Name, Value, More string
	// Section is where there is more of it; empty for nowhere.
	Section string
}

func (p *Page) view(s collector.Status, links []Link) *view {
	now := s.Nodes.At
	alerts, incidents := p.ask.told()
	v := &view{
		Version: p.opts.Version, Links: links, At: moment(now, now), Live: p.running.Load(),
		Network: networkName(s.Providers.Network), Layout: layoutOf(s.Nodes),
		Alerts: alertsView(alerts, now), Incidents: incidentsView(incidents, now),
		Epochs: epochViews(s.Providers), Quorum: quorumWords(s.Providers.Quorum),
	}
	for i, n := range s.Nodes.Nodes {
		id := fmt.Sprintf("chart-%d", i)
		v.Nodes = append(v.Nodes, nodeView(n, id))
		v.Charts = append(v.Charts, chartOf(id, n, p.history.of(n.Name)))
	}
	for _, one := range s.Providers.Providers {
		v.Providers = append(v.Providers, providerView(one, now))
	}
	v.summary(s)
	return v
}

func networkName(n collector.Network) string {
	if n.Iteration > 0 {
		return fmt.Sprintf("%s, iteration %d", n.Name, n.Iteration)
	}
	return n.Name
}

// layoutOf changes with the files of the page and with the nodes that are configured.
func layoutOf(n collector.Nodes) string {
	sum := sha256.New()
	for _, file := range []string{"page.css", "page.js"} {
		fmt.Fprintln(sum, assetNames[file])
	}
	for _, one := range n.Nodes {
		fmt.Fprintf(sum, "%q\n", one.Name)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

func (v *view) summary(s collector.Status) {
	inSync, down := 0, []string{}
	for _, n := range v.Nodes {
		switch n.Phase.Tone {
		case good:
			inSync++
		case bad:
			down = append(down, n.Name+" is "+n.Phase.Word)
		}
	}
	usable, quorum := 0, s.Providers.Quorum
	for _, p := range s.Providers.Providers {
		if p.Usable {
			usable++
		}
	}
	v.Tiles = append(v.Tiles,
		Tile{"Nodes in sync", fmt.Sprintf("%d of %d", inSync, len(v.Nodes)), v.arrival(), "nodes"},
		Tile{"Usable providers", fmt.Sprintf("%d of %d", usable, len(v.Providers)), v.Quorum, "providers"})
	if v.Alerts != nil {
		v.Tiles = append(v.Tiles, Tile{"Alerts", fmt.Sprint(v.Alerts.Firing), v.Alerts.Rest, "alerts"})
	}
	if v.Incidents != nil {
		v.Tiles = append(v.Tiles, Tile{"Open incidents", fmt.Sprint(v.Incidents.Open), v.Incidents.Mode, "incidents"})
	}
	if e := s.Nodes.Network.Epoch; e != nil {
		t := Tile{"Epoch", grouped(*e), "by the clock", ""}
		if r := s.Nodes.Network.ResetAt; r != nil {
			t.More = "reset " + r.UTC().Format("2 Jan 15:04")
		}
		v.Tiles = append(v.Tiles, t)
	}
	if s.Nodes.Network.Quiet {
		v.Notes = append(v.Notes, "The network is being reset. For about two hours nothing can be expected of providers and nodes.")
	}
	for _, fact := range s.Providers.Learnt {
		v.Learnt = append(v.Learnt, sentence(fact))
	}
	v.headline(down, quorum, s.Nodes.Network.Quiet)
}

// arrival is when the last node will be there.
func (v *view) arrival() string {
	var last NodeView
	syncing := 0
	for _, n := range v.Nodes {
		if n.Phase.Tone != busy {
			continue
		}
		syncing++
		if n.toGo > last.toGo {
			last = n
		}
	}
	switch {
	case syncing == 0:
		return ""
	case last.toGo == 0:
		return count(syncing, "node", "nodes") + " on the way"
	case syncing == 1:
		return last.Name + " " + last.ETA
	default:
		return "the last of " + count(syncing, "node", "nodes") + " " + last.ETA
	}
}

func (v *view) headline(down []string, quorum collector.Quorum, quiet bool) {
	if quorum.Complete && !quorum.Reached && !quiet {
		down = append(down, "too few providers agree to start a node from")
	}
	if v.Incidents != nil && len(v.Incidents.NeedsPerson) > 0 {
		down = append(down, "a person is needed for "+listing(v.Incidents.NeedsPerson))
	}
	unknown := 0
	for _, n := range v.Nodes {
		if n.Phase.Tone == idle {
			unknown++
		}
	}
	mark := ""
	switch {
	case len(down) > 0 && len(down) <= 3:
		v.Headline, mark = Badge{Tone: bad, Word: capital(listing(down)) + "."}, "✕ "
	case len(down) > 0:
		v.Headline, mark = Badge{Tone: bad, Word: fmt.Sprintf("%d things are wrong: %s, and more.", len(down), strings.Join(down[:2], ", "))}, "✕ "
	case unknown > 0 || !quorum.Complete:
		v.Headline = Badge{Tone: idle, Word: "Looking for the first time."}
	case v.Alerts != nil && v.Alerts.Firing > 0:
		v.Headline, mark = Badge{Tone: warn, Word: count(v.Alerts.Firing, "alert is", "alerts are") + " firing."}, "▲ "
	case quiet:
		v.Headline = Badge{Tone: busy, Word: "The network is being reset."}
	default:
		v.Headline = Badge{Tone: good, Word: "All is well."}
		for _, n := range v.Nodes {
			switch n.Phase.Tone {
			case busy:
				v.Headline = Badge{Tone: busy, Word: "Nothing is wrong; " + n.Name + " is " + n.Phase.Word + "."}
			case warn:
				v.Headline, mark = Badge{Tone: warn, Word: n.Name + " is " + n.Phase.Word + "."}, "▲ "
			}
		}
	}
	v.Title = mark + "Checkpoint sync: " + v.Network
}

func capital(s string) string {
	if s == "" {
		return s
	}
	// A configured name keeps its case.
	if strings.HasPrefix(s, "a ") || strings.HasPrefix(s, "too ") {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}
