package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

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

// NodeView is a row of the nodes' table; an empty field is one that is not known.
type NodeView struct {
	Name, Client, Chart string
	Phase               Badge
	// Detail says more about the phase.
	Detail string
	// Progress is 0 to 100; nil when unknown.
	Progress *int
	Distance, Speed,
	// ETA is when it will be there, for instance: in about 12 min (9 min to 18 min).
	ETA string
	Backfill, Peers, Execution string
	ExecutionBad               bool
	// toGo is the middle of ETA, in seconds.
	toGo float64
}

func nodeView(n collector.Node, chart string) NodeView {
	out := NodeView{Name: n.Name, Chart: chart, Phase: phaseBadge(n.Phase)}
	if !n.Looked {
		out.Phase = Badge{idle, "not looked at yet", ""}
		return out
	}
	out.Detail = out.Phase.Means
	if n.Client != nil {
		out.Client = strings.TrimSpace(n.Client.Name + " " + n.Client.Version)
	}
	if n.Error != nil {
		out.Detail = reasonWords(n.Error.Reason) + " " + sentence(n.Error.Text)
	}
	if n.Phase == "stalled" && n.SinceProgress != nil {
		out.Detail = "It is behind, and its head has not moved for " + span(*n.SinceProgress) + "."
	}
	if n.Progress != nil {
		// Only a node that is there has come all the way.
		percent := int(*n.Progress * 100)
		if *n.Progress < 1 {
			percent = min(percent, 99)
		}
		out.Progress = &percent
	}
	if n.DistanceSlots != nil {
		out.Distance = slots(*n.DistanceSlots)
	}
	if n.Speed != nil {
		out.Speed = pace(*n.Speed)
	}
	out.ETA = etaWords(n.ETA)
	if n.ETA != nil {
		out.toGo = n.ETA.P50
	}
	if n.Backfill != nil && n.Backfill.RemainingSlots > 0 {
		out.Backfill = grouped(n.Backfill.RemainingSlots) + " slots of history to fetch"
		if eta := etaWords(n.Backfill.ETA); eta != "" {
			out.Backfill += ", done " + eta
		}
	}
	if connected, ok := n.Peers["connected"]; ok {
		out.Peers = grouped(connected)
	}
	out.Execution, out.ExecutionBad = executionWords(n.Execution)
	return out
}

func etaWords(e *collector.ETA) string {
	if e == nil {
		return ""
	}
	middle, low, high := span(e.P50), span(e.P10), span(e.P90)
	if low == high {
		return "in about " + middle
	}
	return fmt.Sprintf("in about %s (%s to %s)", middle, low, high)
}

func executionWords(e *collector.Execution) (words string, bad bool) {
	switch {
	case e == nil:
		return "", false
	case !e.Up:
		words = "does not answer"
		if e.Error != nil {
			words += ": " + e.Error.Text
		}
		return words, true
	}
	if e.Client != nil {
		words = strings.TrimSpace(e.Client.Name+" "+e.Client.Version) + ", "
	}
	switch {
	case e.ChainIDMatch != nil && !*e.ChainIDMatch:
		return words + "on another chain", true
	case e.Syncing != nil && *e.Syncing:
		words += "syncing"
	default:
		words += "up"
	}
	if e.HeadBlock != nil {
		words += ", block " + grouped(*e.HeadBlock)
	}
	return words, false
}

// ProviderView is a row of the providers' table.
type ProviderView struct {
	Name, Host string
	Verdict    Badge
	Reasons    []Reason
	Finalized,
	Lag,
	Agrees,
	Version, Took string
	ProbedAt, RetryAt *Moment
}

// Reason is why a provider is not usable: in plain words, and what was seen.
type Reason struct {
	Word, Plain, Seen string
	// Long tells that what was seen takes much room.
	Long bool
}

// maxShort is how long a sentence may be that stands in a table as it is.
const maxShort = 160

func providerView(p collector.Provider, now time.Time) ProviderView {
	out := ProviderView{Name: p.Name, Host: p.URL, Version: p.Version, ProbedAt: momentOf(p.ProbedAt, now), RetryAt: momentOf(p.RetryAt, now)}
	if u, err := url.Parse(p.URL); err == nil && u.Host != "" {
		out.Host = u.Host
	}
	switch {
	case !p.Asked:
		out.Verdict = Badge{idle, "not asked yet", ""}
		return out
	case p.Usable:
		out.Verdict = Badge{good, "usable", "A node may start from it."}
	default:
		out.Verdict = Badge{bad, "not usable", ""}
	}
	for _, r := range p.Reasons {
		out.Reasons = append(out.Reasons, Reason{r.Reason, reasonWords(r.Reason), sentence(r.Text), len(r.Text) > maxShort})
	}
	if p.Finalized != nil {
		out.Finalized = grouped(p.Finalized.Epoch)
	}
	if p.LagEpochs != nil {
		out.Lag = count(int(min(*p.LagEpochs, 1<<30)), "epoch", "epochs") + " behind the clock"
	}
	if p.Agrees != nil {
		out.Agrees = map[bool]string{true: "yes", false: "no"}[*p.Agrees]
	}
	if len(p.Timings) > 0 {
		all := 0.0
		for _, phase := range p.Timings {
			all += phase
		}
		out.Took = fmt.Sprintf("%.0f ms", all*1000)
	}
	return out
}

// EpochView is a row of the agreement by epoch.
type EpochView struct {
	Epoch   string
	Quorum  bool
	Verdict Badge
	Camps   []Camp
}

// Camp is who serves a root.
type Camp struct{ Root, Short, Who string }

func epochViews(p collector.Providers) []EpochView {
	var all []EpochView
	for _, e := range p.Epochs {
		one := EpochView{Epoch: grouped(e.Epoch), Quorum: p.Quorum.Epoch != nil && *p.Quorum.Epoch == e.Epoch}
		voices := 0
		for _, c := range e.Roots {
			root := c.Root.String()
			one.Camps = append(one.Camps, Camp{root, root[:10] + "…" + root[len(root)-4:], listing(c.Providers)})
			voices += len(c.Providers)
		}
		switch {
		case len(e.Roots) > 1:
			one.Verdict = Badge{bad, fmt.Sprintf("%d different roots", len(e.Roots)), ""}
		case voices > 1:
			one.Verdict = Badge{good, fmt.Sprintf("all %d agree", voices), ""}
		default:
			one.Verdict = Badge{idle, "only one tells", ""}
		}
		all = append(all, one)
	}
	return all
}

func quorumWords(q collector.Quorum) string {
	switch {
	case !q.Complete:
		return "not all asked yet"
	case q.Reached:
		words := fmt.Sprintf("%d agree, %s", q.Providers, count(q.Threshold, "is needed", "are needed"))
		if q.Epoch != nil {
			words += ", at epoch " + grouped(*q.Epoch)
		}
		return words
	default:
		return fmt.Sprintf("%d agree, %s", q.Providers, count(q.Threshold, "is needed", "are needed"))
	}
}
