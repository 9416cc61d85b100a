package web

import (
	"fmt"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

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
