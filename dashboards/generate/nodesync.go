package main

// nodeSync answers of one node, or of a few: is it syncing, when will it be done, where does it start from, did something act.
func nodeSync() *dashboard {
	d := newDashboard(nodesUID, "Checkpoint / Node sync", "Whether a node is syncing, when it will be done, and what helps or hinders it.", "node", "Node", "checkpoint_node_up")
	s := scope{"node"}

	d.place(stat("State", "The node's phase. docs/metrics.md says what each means.", "none").
		now(s.phases(), "{{node}}").states(phaseStates()).orElse("no exporter").
		runbook("CheckpointNodeSyncStalled", "CheckpointNodeUnreachable"), 4, 4)
	d.place(stat("At the head in", "Median estimate of the time until the head has caught up with the clock, which moves on meanwhile. Not known while the node is stalled, or does not come nearer.", "dtdhms").
		now(s.arrival("0.5"), "{{node}}").colors("blue").says("0", "is there", "green").orElse("not known").
		runbook("CheckpointNodeSyncSlow"), 5, 4)
	d.place(stat("Between", "In one case of ten it is there sooner than the one, and in one of ten later than the other.", "dtdhms").
		now(maxBy("node", s.sel("checkpoint_node_sync_eta_seconds", `quantile="0.1"`)), "soonest").
		now(maxBy("node", s.sel("checkpoint_node_sync_eta_seconds", `quantile="0.9"`)), "latest").
		named().plain().orElse("–").
		runbook("CheckpointNodeResyncFaster"), 5, 4)
	d.place(stat("Slots behind", "Slots from the node's head to the clock's slot.", "locale").
		now(maxBy("node", s.sel("checkpoint_node_distance_slots")), "{{node}}").whole().colors("green", 5.0, "blue").orElse("not known").
		runbook("CheckpointNodeSyncStalled"), 3, 4)
	d.place(s.sourcePanel(), 4, 4)
	d.place(s.actionsPanel(), 3, 4)

	d.place(s.phaseTimeline(), 24, 5)

	d.place(s.distancePanel(), 12, 9)
	eta := timeseries("Time to the head", "Median estimate, and a band in which it lies in eight cases of ten.", "s").
		over("max("+s.sel("checkpoint_node_sync_eta_seconds", `quantile="0.9"`)+")", "latest").
		over("min("+s.sel("checkpoint_node_sync_eta_seconds", `quantile="0.1"`)+")", "soonest").
		over(maxBy("node", s.sel("checkpoint_node_sync_eta_seconds", `quantile="0.5"`)), "{{node}}").min(0).
		override("latest", prop("custom.lineWidth", 0), prop("custom.fillBelowTo", "soonest"), prop("custom.fillOpacity", 20),
			prop("color", obj{"mode": "fixed", "fixedColor": "blue"})).
		override("soonest", prop("custom.lineWidth", 0), prop("custom.fillOpacity", 0), prop("color", obj{"mode": "fixed", "fixedColor": "blue"})).
		runbook("CheckpointNodeSyncSlow", "CheckpointNodeResyncFaster")
	eta.FieldConfig.Defaults.Custom["fillOpacity"] = 0
	d.place(eta, 12, 9)

	speed := timeseries("Speed", "Slots a second that the head moves, and dashed how fast the chain itself does: a node below that line falls behind.", "short").
		over(maxBy("node", s.sel("checkpoint_node_sync_speed_slots_per_second")), "{{node}}").
		over(s.rec("node:checkpoint_node_head_slot:deriv15m"), "{{node}}: over 15 minutes").
		over("max(deriv("+all("checkpoint_network_slot")+"[$__rate_interval]))", "the chain").
		min(0).dashed("the chain", "orange").
		runbook("CheckpointNodeSyncSlow")
	speed.FieldConfig.Defaults.Custom["fillOpacity"] = 0
	speed.byPattern("/: over 15 minutes$/", prop("custom.lineWidth", 1), prop("custom.lineStyle", obj{"fill": "dot", "dash": []int{2, 6}}))
	d.place(speed, 12, 8)
	d.place(timeseries("Since the head moved", "For how long the node has answered without its head passing the highest one seen; dashed the threshold `stall_after`.", "s").
		over(maxBy("node", s.sel("checkpoint_node_seconds_since_progress")), "{{node}}").
		over("max("+s.sel("checkpoint_node_stall_threshold_seconds")+")", "stalled").
		min(0).dashed("stalled", "red").
		runbook("CheckpointNodeSyncStalled"), 12, 8)

	d.row("Finality, peers, history")
	d.place(timeseries("Finality lag", "Epochs by which the newest checkpoint that the node knows as finalized is behind the clock. Two to three are healthy.", "short").
		over(s.rec("node:checkpoint_node_finalized_epoch:lag"), "{{node}}").min(0).decimals(0).
		runbook("CheckpointNetworkNotFinalizing", "CheckpointNodeOutsideWeakSubjectivity"), 8, 8)
	peers := timeseries("Peers", "Connected peers of the consensus and the execution client.", "short").
		over(maxBy("node", s.sel("checkpoint_node_peers", `state="connected"`)), "{{node}}: consensus").
		over(maxBy("node", s.sel("checkpoint_execution_peers")), "{{node}}: execution").min(0).whole().
		runbook("CheckpointNodeNoPeers")
	peers.FieldConfig.Defaults.Custom["fillOpacity"] = 0
	d.place(peers, 8, 8)
	d.place(timeseries("Backfill", "Older slots that are still to be fetched, of clients that tell. A node serves its duties meanwhile.", "short").
		over(maxBy("node", s.sel("checkpoint_node_backfill_remaining_slots")), "{{node}}").min(0).whole().orElse("no node backfills, or tells").
		runbook("CheckpointNodeBackfillStalled"), 8, 8)

	d.row("Execution client")
	d.place(timeseries("Age of the execution client's head", "Time since the timestamp of its latest block.", "s").
		over(maxBy("node", s.sel("checkpoint_execution_head_age_seconds")), "{{node}}").min(0).
		runbook("CheckpointNodeExecutionOffline", "CheckpointNodeExecutionStuck"), 8, 8)
	d.place(timeseries("Sync of the execution client", "What it counts of its sync: blocks or stages, accounts, storage slots. Only movement means anything.", "short").
		over(maxBy("node", s.sel("checkpoint_execution_sync_items")), "{{node}}").min(0).orElse("no execution client says that it syncs").
		runbook("CheckpointNodeExecutionSlow"), 8, 8)
	d.place(timeline("Head verified", "Whether the execution client has verified the node's head. An optimistic node may not attest.", states([2]string{"verified", "green"}, [2]string{"optimistic", "yellow"})).
		over(maxBy("node", s.sel("checkpoint_node_optimistic")), "{{node}}").
		runbook("CheckpointNodeStuckOptimistic"), 8, 8)

	clients := table("Clients", "What runs, as it says, and where it starts from.", "node", "Node").
		column(maxBy("node, client, version", s.sel("checkpoint_node_info")), "Consensus info", "none").
		label("client 1", "Consensus client").label("version 1", "Consensus version").
		column(maxBy("node, client, version", s.sel("checkpoint_execution_info")), "Execution info", "none").
		label("client 2", "Execution client").label("version 2", "Execution version").
		column(maxBy("node", s.sel("checkpoint_execution_chain_id_match")), "Chain id", "none", tinted(),
			prop("mappings", states([2]string{"another chain's", "red"}, [2]string{"right", "green"}))).
		column(maxBy("node, provider, url", s.sel("checkpoint_node_source_info")), "Source info", "none").
		label("provider", "Starts from").label("url", "URL").
		without("Value #A").without("Value #B").without("Value #D").without("Time 1").without("Time 2").without("Time 3").without("Time 4")
	clients.Transformations[0] = obj{"id": "joinByField", "options": obj{"byField": "node", "mode": "outer"}}
	clients.runbook("CheckpointNodeExecutionWrongNetwork")
	d.place(clients, 24, 6)
	return d
}

// byPattern sets what differs for every field whose name matches.
func (p *panel) byPattern(pattern string, properties ...obj) {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{obj{"id": "byRegexp", "options": pattern}, properties})
}
