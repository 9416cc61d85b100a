package web

import (
	"fmt"
	"net/url"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

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
