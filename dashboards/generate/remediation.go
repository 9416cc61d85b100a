package main

// remediation answers what acted, whether it can act now, and what kept it from acting.
func remediation() *dashboard {
	d := newDashboard(remediationUID, "Checkpoint / Remediation", "What acted on which node, whether people are needed, and what the remediator decided not to do.", "node", "Node", "checkpoint_remediation_in_progress")
	s := scope{"node"}

	d.place(s.actionsPanel(), 4, 4)
	d.place(stat("Did not work", "Actions that failed, or of which it cannot be told. "+within, "short").
		now(orNone("round(sum("+s.sel(actions, `outcome!="done"`)+" unless "+s.sel(actions, `outcome!="done"`)+" offset $__range or increase("+s.sel(actions, `outcome!="done"`)+"[$__range])))"), "").
		whole().colors("red").says("0", "none", "green").orElse("no remediator").
		runbook("CheckpointRemediationExhausted"), 4, 4)
	d.place(stat("Acting now", "Nodes on which an action, or the check of one, is under way.", "short").
		now("sum("+maxBy("node", s.sel("checkpoint_remediation_in_progress"))+")", "").
		whole().colors("blue").says("0", "no", "green").orElse("no remediator").
		runbook("CheckpointRemediatorDown"), 4, 4)
	d.place(s.exhaustedPanel(), 4, 4)
	d.place(stat("Held back", "Decisions not to act, because a guard spoke against it. "+within, "short").
		now(orNone(s.during("checkpoint_remediation_refusals_total", "")), "").
		whole().colors("orange").says("0", "none", "green").orElse("no remediator").
		runbook("CheckpointRemediationExhausted"), 4, 4)
	d.place(s.sourcePanel(), 4, 4)

	d.place(timeline("Remediation of nodes", "When each node was acted upon and checked, and when people were needed.",
		states([2]string{"left alone", "transparent"}, [2]string{"acting", "blue"}, [2]string{"people needed", "red"})).
		over(maxBy("node", "1 * "+s.sel("checkpoint_remediation_in_progress")+" or 2 * "+s.sel("checkpoint_remediation_exhausted")), "{{node}}").
		runbook("CheckpointRemediationExhausted"), 12, 7)
	d.place(s.phaseTimeline(), 12, 7)
	d.place(s.actionsOverTime(), 12, 8)
	d.place(bars("Held back", "Decisions not to act, each once, by the guard that spoke against it. docs/remediation.md says what each guard is for.").
		over(s.between("checkpoint_remediation_refusals_total", "guard"), "{{guard}}").orElse("no guard spoke against an action").
		runbook("CheckpointRemediationExhausted"), 12, 8)
	d.place(s.actionsTable().runbook("CheckpointRemediationExhausted"), 12, 8)
	d.place(table("Sources", "Where each node's configuration points at now.", "node", "Node").
		column(maxBy("node, provider, url", s.sel("checkpoint_node_source_info")), "Info", "none").
		label("provider", "Provider", linked("${__value.raw}", to(providersUID, "provider", "${__value.raw}"))).label("url", "URL").without("Value #A").
		orElse("no node has a `source`").
		runbook("CheckpointNodeSourceUnusable", "CheckpointNodeSourceUnknown"), 12, 8)

	d.row("The remediator")
	d.place(timeseries("Alerts received", "Alerts a second in well-formed messages: kept in the journal, refused because they could not be, or cut off by the sender.", "cps").
		over("sum by (result) (rate("+all("checkpoint_remediation_alerts_total")+"[$__rate_interval]))", "{{result}}").min(0).
		runbook("CheckpointRemediatorDown"), 6, 7)
	webhooks := func(matchers ...string) string {
		return "sum by (code) (rate(" + all("checkpoint_remediation_webhooks_total", matchers...) + "[$__rate_interval]))"
	}
	d.place(timeseries("Webhooks", "Messages a second, by the HTTP status that they were answered with.", "reqps").
		over(webhooks(`code="200"`)+" or "+webhooks()+" > 0", "{{code}}").min(0).
		runbook("CheckpointRemediatorDown"), 6, 7)
	d.place(stat("Duration of an action", "Mean time that the effect of an action took. "+within, "s").
		now("sum(increase("+all("checkpoint_remediation_action_duration_seconds_sum")+"[$__range])) / (sum(increase("+all("checkpoint_remediation_action_duration_seconds_count")+"[$__range])) > 0)", "").
		plain().orElse("nothing was done").
		runbook("CheckpointRemediationExhausted"), 6, 7)
	d.place(timeseries("Journal", "Size of the journal, which is also the audit log.", "bytes").
		over("max by (instance) ("+all("checkpoint_remediation_journal_bytes")+")", "{{instance}}").min(0).
		runbook("CheckpointRemediatorDown"), 6, 7)
	return d
}
