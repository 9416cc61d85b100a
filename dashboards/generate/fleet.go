package main

// fleet answers at a glance whether anything needs attention, and where.
func fleet() *dashboard {
	d := newDashboard(fleetUID, "Checkpoint / Fleet", "All nodes and providers: whether all is well, and where it is not.", "", "", "")
	s := everything

	behind := "count(" + maxBy("node", s.sel("checkpoint_node_up")) + ") - (sum(" + maxBy("node", s.sel("checkpoint_node_phase", atHead)) + ") or vector(0))"
	d.place(stat("Nodes not at the head", "Nodes that are syncing, stalled or not there. Those that backfill, or are optimistic, are at the head.", "short").
		now(behind, "").whole().colors("orange").says("0", "none", "green").orElse("no exporter").
		runbook("CheckpointExporterDown"), 4, 4)

	arrival := "(" + s.arrival("0.5") + ")"
	d.place(stat("All at the head in", "Median estimate for the node that needs longest. Not known while it is not known for every node, as when one is stalled.", "dtdhms").
		now("max("+arrival+") and on () count("+arrival+") == count("+maxBy("node", s.sel("checkpoint_node_up"))+")", "").
		colors("blue").says("0", "all there", "green").orElse("not known").
		runbook("CheckpointNodeSyncSlow"), 5, 4)

	d.place(stat("Usable providers", "Providers that a node may start from, and how many there are.", "short").
		now("max("+all("checkpoint_providers_usable")+")", "usable").now("max("+all("checkpoint_providers_configured")+")", "configured").
		whole().named().plain().
		override("usable", prop("thresholds", steps("red", 1.0, "orange", 2.0, "green"))).orElse("no exporter").
		runbook("CheckpointNoUsableQuorum"), 4, 4)

	d.place(stat("Quorum", "Whether as many usable providers as `quorum` asks for serve the same block root.", "bool").
		now("max("+all("checkpoint_quorum_providers")+") >= bool max("+all("checkpoint_quorum_threshold")+")", "").
		states(states([2]string{"missed", "red"}, [2]string{"reached", "green"})).orElse("not known").
		runbook("CheckpointNoUsableQuorum"), 3, 4)
	d.place(s.actionsPanel(), 3, 4)
	d.place(s.exhaustedPanel(), 3, 4)
	d.place(stat("Next reset", "When the network begins anew, and every node with it.", "dateTimeFromNow").
		now("1000 * min("+all("checkpoint_network_reset_timestamp_seconds")+")", "").plain().orElse("never").
		runbook("CheckpointNetworkResetImminent"), 2, 4)

	nodes := table("Nodes", "Each node now; what it gains on the chain is of the last quarter of an hour. A click leads to its sync.", "node", "Node").
		override("Node", linked("Sync of ${__value.raw}", to(nodesUID, "node", "${__value.raw}"))).
		column(s.phases(), "State", "none", colored(), prop("mappings", phaseStates()), width(130)).
		column(s.arrival("0.5"), "At the head in", "dtdhms", prop("mappings", states([2]string{"is there", "text"}))).
		column(maxBy("node", s.sel("checkpoint_node_sync_progress_ratio")), "Progress", "percentunit", progressBar()...).
		column(maxBy("node", s.sel("checkpoint_node_distance_slots")), "Slots behind", "locale").
		column("-"+s.rec("node:checkpoint_node_distance_slots:deriv15m"), "Gains, slots/s", "short", prop("decimals", 1),
			tinted(), prop("thresholds", steps("red", -0.2, "text"))).
		column(s.sources(), "Source usable", "bool_yes_no", tinted(), prop("thresholds", steps("red", 1.0, "green"))).
		label("provider", "Starts from").
		column(maxBy("node", s.sel("checkpoint_node_peers", `state="connected"`)), "Peers", "short", tinted(), prop("thresholds", steps("red", 1.0, "text"))).
		column(maxBy("node", s.rec("node:checkpoint_node_finalized_epoch:lag")), "Finality lag", "short", prop("decimals", 0)).
		column(maxBy("node", s.sel("checkpoint_execution_up")), "Execution", "none", tinted(),
			prop("mappings", states([2]string{"down", "red"}, [2]string{"up", "green"})))
	d.place(nodes, 24, 7)

	d.place(s.phaseTimeline(), 12, 8)
	d.place(s.verdictTimeline(), 12, 8)
	d.place(s.distancePanel(), 12, 8)
	d.place(timeseries("Time to the head", "Median estimate. There is none while a node is stalled or falls behind.", "s").
		over(maxBy("node", s.sel("checkpoint_node_sync_eta_seconds", `quantile="0.5"`)), "{{node}}").min(0).
		runbook("CheckpointNodeSyncSlow"), 12, 8)

	alerts := table("Alerts", "What fires now. A click leads to the runbook.", "alertname", "Alert").
		column("count by (alertname, severity, node, provider) ("+firing+")", "Count", "short").
		label("severity", "Severity", colored(), prop("mappings", severities()), width(100)).label("node", "Node").label("provider", "Provider").
		without("Value #A").orElse("nothing fires").
		override("Alert", linked("Runbook", runbooks+"${__value.raw}.md"))
	d.place(alerts, 12, 7)
	d.place(s.actionsTable(), 12, 7)
	return d
}

func severities() []mapping {
	return []mapping{{"value", obj{
		"critical": obj{"text": "critical", "color": "red", "index": 0},
		"warning":  obj{"text": "warning", "color": "orange", "index": 1},
		"info":     obj{"text": "info", "color": "blue", "index": 2},
	}}}
}
