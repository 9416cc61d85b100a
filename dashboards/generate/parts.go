package main

// Panels that stand on more than one dashboard.

// within is the label for what the time range spans.
const within = "Within the time range shown."

func (s scope) actionsPanel() *panel {
	return stat("Actions", "How often the remediator acted, whatever came of it. "+within, "short").
		now(orNone(s.during(actions, "")), "").
		whole().colors("blue").says("0", "none", "green").orElse("no remediator").
		runbook("CheckpointRemediatorDown")
}

func (s scope) sourcePanel() *panel {
	p := stat("Starts from", "The provider that each node's configuration names: green when a node may start from it, red when not.", "bool").
		now(s.sources(), "{{node}}: {{provider}}").names().
		colors("red", 1.0, "green").orElse("not known").
		runbook("CheckpointNodeSourceUnusable", "CheckpointNodeSourceUnknown")
	return p
}

func (s scope) exhaustedPanel() *panel {
	return stat("People needed", "Nodes that are not well, and on which the remediator has nothing left to try.", "short").
		now("sum("+maxBy("node", s.sel("checkpoint_remediation_exhausted"))+")", "").
		whole().colors("red").says("0", "no", "green").orElse("no remediator").
		runbook("CheckpointRemediationExhausted")
}

func (s scope) phaseTimeline() *panel {
	return timeline("States", "The phase of each node. docs/metrics.md says what each means.", phaseStates()).
		over(s.phases(), "{{node}}").
		runbook("CheckpointNodeSyncStalled", "CheckpointNodeUnreachable")
}

func (s scope) verdictTimeline() *panel {
	return timeline("Verdicts", "Whether a node may start from each provider, and if not why; of several reasons the gravest.", verdictStates()).
		over(s.verdicts(), "{{provider}}").
		runbook("CheckpointNoUsableQuorum", "CheckpointProviderDown")
}

func (s scope) distancePanel() *panel {
	return timeseries("Distance", "Slots from each node's head to the clock's slot.", "short").
		over(maxBy("node", s.sel("checkpoint_node_distance_slots")), "{{node}}").min(0).whole().
		runbook("CheckpointNodeSyncStalled", "CheckpointNodeSyncSlow")
}

func (s scope) actionsOverTime() *panel {
	return bars("Actions", "What the remediator did, each action once.").
		over(s.between(actions, "node, action, outcome"), "{{node}}: {{action}}, {{outcome}}").
		runbook("CheckpointRemediationExhausted")
}

func (s scope) actionsTable() *panel {
	return table("What acted", "Every kind of action that was taken. "+within, "node", "Node").
		column(s.during(actions, "node, playbook, action, outcome")+" > 0", "Times", "short", width(80)).
		label("playbook", "Playbook").label("action", "Action").label("outcome", "Outcome", colored(), prop("mappings", outcomes())).
		override("Node", linked("Remediation of ${__value.raw}", to(remediationUID, "node", "${__value.raw}")))
}

func outcomes() []mapping {
	return []mapping{{"value", obj{
		"done":                 obj{"text": "done", "color": "green", "index": 0},
		"failed_before_effect": obj{"text": "failed before any effect", "color": "yellow", "index": 1},
		"failed":               obj{"text": "failed", "color": "red", "index": 2},
		"unknown":              obj{"text": "unknown", "color": "orange", "index": 3},
	}}}
}

// progressBar is a table's cell.
func progressBar() []obj {
	return []obj{
		prop("min", 0), prop("max", 1), prop("custom.cellOptions", obj{"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
		prop("thresholds", steps("blue", 0.999, "green")), prop("custom.width", 150),
	}
}
