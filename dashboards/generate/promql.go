package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// scope is what a dashboard's variables narrow its queries to.
type scope struct{ variable string }

var everything = scope{}

// sel selects a scraped metric for the chosen jobs and instances, and for the chosen nodes or providers.
func (s scope) sel(metric string, matchers ...string) string {
	if s.variable != "" {
		matchers = append([]string{s.variable + `=~"$` + s.variable + `"`}, matchers...)
	}
	return all(metric, matchers...)
}

// rec selects a series that a recording rule has written, which has neither job nor instance.
func (s scope) rec(metric string, matchers ...string) string {
	if s.variable != "" {
		matchers = append([]string{s.variable + `=~"$` + s.variable + `"`}, matchers...)
	}
	if len(matchers) == 0 {
		return metric
	}
	return metric + "{" + strings.Join(matchers, ", ") + "}"
}

// all selects a scraped metric that is about neither node nor provider.
func all(metric string, matchers ...string) string {
	return metric + "{" + strings.Join(append([]string{`job=~"$job"`, `instance=~"$instance"`}, matchers...), ", ") + "}"
}

// maxBy takes together what several exporters see of the same.
func maxBy(labels, expr string) string { return fmt.Sprintf("max by (%s) (%s)", labels, expr) }

// phases is a node's phase as its number in progress.Phases.
func (s scope) phases() string {
	var terms []string
	for i, p := range progress.Phases() {
		terms = append(terms, fmt.Sprintf("%d * (%s == 1)", i, s.sel("checkpoint_node_phase", fmt.Sprintf("phase=%q", p))))
	}
	return maxBy("node", strings.Join(terms, " or "))
}

// verdicts is 0 for a usable provider and else the highest number, counted from 1, of the reasons that hold, in the order of provider.Reasons.
func (s scope) verdicts() string {
	terms := []string{fmt.Sprintf("0 * (%s == 1)", s.sel("checkpoint_provider_usable"))}
	for i, r := range provider.Reasons() {
		terms = append(terms, fmt.Sprintf("%d * (%s == 1)", i+1, s.sel("checkpoint_provider_unusable_reason", fmt.Sprintf("reason=%q", r))))
	}
	return maxBy("provider", strings.Join(terms, " or "))
}

// atHead are the phases of a node whose head is the chain's.
var atHead = `phase=~"` + strings.Join([]string{string(progress.Optimistic), string(progress.Backfilling), string(progress.Synced)}, "|") + `"`

// arrival is the seconds until a node is at the head, 0 when it is there, and absent while that cannot be told.
func (s scope) arrival(quantile string) string {
	return maxBy("node", s.sel("checkpoint_node_sync_eta_seconds", `quantile="`+quantile+`"`)) +
		" or on (node) 0 * (" + maxBy("node", s.sel("checkpoint_node_phase", atHead)) + " == 1)"
}

// sources is, by node and provider, whether the provider is usable that the node's configuration names.
func (s scope) sources() string {
	return maxBy("node, provider", s.sel("checkpoint_node_source_info", `provider!=""`)) +
		" * on (provider) group_left () " + maxBy("provider", all("checkpoint_provider_usable"))
}

const actions = "checkpoint_remediation_actions_total"

// during is how often a counter of rare events went up within the time range shown. Such a counter's series comes into being with the
// first event, which increase() does not see.
func (s scope) during(metric, by string) string {
	x := s.sel(metric)
	return fmt.Sprintf("round(sum%s(%s unless %s offset $__range or increase(%s[$__range])))", grouping(by), x, x, x)
}

// between is the same from one point of a graph to the next: every event is counted once, and as 1. A program that was not seen at the
// point before tells nothing of what happened in between.
func (s scope) between(metric, by string) string {
	x := s.sel(metric)
	return fmt.Sprintf("sum%s((%s - %s offset $__interval > 0) or (%s unless %s offset $__interval and on (job, instance) %s offset $__interval))",
		grouping(by), x, x, x, x, all("checkpoint_remediation_journal_bytes"))
}

func grouping(by string) string {
	if by == "" {
		return " "
	}
	return " by (" + by + ") "
}

// orNone is 0 where a remediator runs and nothing was counted, and absent where none does.
func orNone(expr string) string {
	return expr + " or on () 0 * max(" + all("checkpoint_remediation_journal_bytes") + ")"
}

// states maps a number to a word and a colour.
func states(words ...[2]string) []mapping {
	options := obj{}
	for i, w := range words {
		options[fmt.Sprint(i)] = obj{"text": w[0], "color": w[1], "index": i}
	}
	return []mapping{{"value", options}}
}

// phaseStates are the words for scope.phases.
func phaseStates() []mapping {
	colors := map[progress.Phase]string{
		progress.Unreachable: "dark-red", progress.Bootstrapping: "purple", progress.Syncing: "blue", progress.Optimistic: "yellow",
		progress.Backfilling: "dark-green", progress.Synced: "green", progress.Stalled: "red", progress.WrongNetwork: "dark-orange",
		progress.OldIteration: "orange",
	}
	var words [][2]string
	for _, p := range progress.Phases() {
		words = append(words, [2]string{spaced(string(p)), colors[p]})
	}
	return states(words...)
}

// verdictStates are the words for scope.verdicts. What is wrong with the answer is darker than that there is none.
func verdictStates() []mapping {
	words := [][2]string{{"usable", "green"}}
	wrong := []provider.Reason{provider.WrongNetwork, provider.Disagrees, provider.InvalidState}
	old := []provider.Reason{provider.OldIteration, provider.NoState, provider.Stale, provider.OutsideWeakSubjectivity, provider.Unaligned}
	for _, r := range provider.Reasons() {
		color := "red"
		switch {
		case slices.Contains(wrong, r):
			color = "dark-red"
		case slices.Contains(old, r):
			color = "orange"
		}
		words = append(words, [2]string{spaced(string(r)), color})
	}
	return states(words...)
}

func spaced(word string) string { return strings.ReplaceAll(word, "_", " ") }
