package main

// providers answers which providers a node may start from, and why not from the others.
func providers() *dashboard {
	d := newDashboard(providersUID, "Checkpoint / Providers", "Which checkpoint providers a node may start from, and what is wrong with the others.", "provider", "Provider", "checkpoint_provider_usable")
	s := scope{"provider"}

	d.place(stat("Providers", "Green: a node may start from it. Red: it may not; the table says why.", "bool").
		now(maxBy("provider", s.sel("checkpoint_provider_usable")), "{{provider}}").names().colors("red", 1.0, "green").orElse("no exporter").
		runbook("CheckpointProviderDown", "CheckpointExporterDown"), 11, 5)
	d.place(stat("Share usable", "Usable providers, of all that are configured.", "percentunit").
		now(everything.rec("network:checkpoint_providers_usable:ratio"), "").decimals(0).colors("red", 0.01, "orange", 0.5, "green").orElse("not known").
		runbook("CheckpointNoUsableQuorum"), 3, 5)
	d.place(stat("Agreement", "Usable providers that serve the same block root, and how many the quorum asks for.", "short").
		now("max("+all("checkpoint_quorum_providers")+")", "agree").now("max("+all("checkpoint_quorum_threshold")+")", "needed").
		whole().named().plain().override("agree", prop("thresholds", steps("red", 1.0, "orange", 2.0, "green"))).orElse("not known").
		runbook("CheckpointNoUsableQuorum", "CheckpointProviderDisagrees"), 4, 5)
	d.place(stat("Agreed checkpoint", "How many epochs the checkpoint that most usable providers agree on is behind the clock. Two to three are healthy.", "short").
		now("max("+all("checkpoint_network_epoch")+") - max("+all("checkpoint_quorum_epoch")+")", "epochs behind").
		whole().named().colors("green", 5.0, "orange", 10.0, "red").orElse("not known").
		runbook("CheckpointNetworkNotFinalizing"), 3, 5)
	d.place(stat("Next certificate", "When the first of their certificates expires.", "dateTimeFromNow").
		now("1000 * min("+s.sel("checkpoint_provider_certificate_expiry_timestamp_seconds")+")", "").plain().orElse("none").
		runbook("CheckpointProviderCertificateExpiring"), 3, 5)

	d.place(table("Verdicts now", "Of several reasons against one the gravest is shown.", "provider", "Provider").
		column(s.verdicts(), "Verdict", "none", colored(), prop("mappings", verdictStates()), width(190)).
		column(maxBy("provider", s.sel("checkpoint_provider_finalized_lag_epochs")), "Epochs behind", "short", prop("decimals", 0), width(120)).
		column("min by (provider) ("+s.sel("checkpoint_provider_agrees")+")", "Agrees", "bool_yes_no", width(80), tinted(), prop("thresholds", steps("red", 1.0, "green"))).
		column(maxBy("provider", s.rec("provider:checkpoint_provider_usable:avg1d")), "Usable, last day", "percentunit", prop("decimals", 1), width(130),
			tinted(), prop("thresholds", steps("red", 0.9, "orange", 0.99, "green"))).
		column(maxBy("provider", s.rec("provider:checkpoint_provider_probe_duration_seconds:sum")), "Probe took", "s", prop("decimals", 1), width(100)).
		column("1000 * "+maxBy("provider", s.sel("checkpoint_provider_last_success_timestamp_seconds")), "Last answer", "dateTimeFromNow", width(140)).
		column("1000 * min by (provider) ("+s.sel("checkpoint_provider_certificate_expiry_timestamp_seconds")+")", "Certificate expires", "dateTimeFromNow", width(150)).
		column(maxBy("provider, url, version", s.sel("checkpoint_provider_info")), "Info", "none").
		label("version", "Version").label("url", "URL").without("Value #H").
		runbook("CheckpointProviderNoState", "CheckpointProviderWrongNetwork", "CheckpointProviderOldIteration", "CheckpointProviderStale", "CheckpointProviderDisagrees"), 24, 9)

	d.place(s.verdictTimeline(), 24, 8)

	lag := timeseries("Epochs behind", "How many epochs each provider's finalized checkpoint was behind the clock when seen, of those that serve this chain; dashed from where on one is stale.", "short").
		over(s.rec("provider:checkpoint_provider_finalized_lag_epochs:min2m"), "{{provider}}").
		over("max("+all("checkpoint_provider_lag_threshold_epochs")+")", "stale above").
		min(0).whole().dashed("stale above", "red").
		runbook("CheckpointProviderStale", "CheckpointNetworkNotFinalizing")
	// One provider may lag by weeks, and the others are still to be told apart.
	lag.FieldConfig.Defaults.Custom["scaleDistribution"] = obj{"type": "symlog", "log": 2, "linearThreshold": 1}
	lag.FieldConfig.Defaults.Custom["fillOpacity"] = 0
	d.place(lag, 12, 8)
	d.place(timeseries("Duration of a probe", "How long all requests of the latest probe took, but the reading of the state.", "s").
		over(s.rec("provider:checkpoint_provider_probe_duration_seconds:sum"), "{{provider}}").min(0).
		runbook("CheckpointProviderDown"), 12, 8)

	d.row("Probes")
	phases := timeseries("Where the time goes", "The phases of a probe, averaged over the providers chosen.", "s").
		over("avg by (phase) ("+s.sel("checkpoint_provider_probe_duration_seconds")+")", "{{phase}}").min(0).
		runbook("CheckpointProviderDown")
	phases.FieldConfig.Defaults.Custom["stacking"] = obj{"mode": "normal", "group": "A"}
	phases.FieldConfig.Defaults.Custom["fillOpacity"] = 30
	d.place(phases, 8, 8)
	results := timeseries("Results of probes", "Probes a second by what came of them: an answer, whatever the verdict, or why there was none.", "cps").
		over("sum by (result) (rate("+s.sel("checkpoint_provider_probes_total")+"[$__rate_interval])) > 0", "{{result}}").min(0).
		runbook("CheckpointProviderDown").override("success", prop("color", obj{"mode": "fixed", "fixedColor": "green"}))
	results.FieldConfig.Defaults.Color = obj{"mode": "palette-classic-by-name"}
	d.place(results, 8, 8)
	d.place(timeseries("Probes of a provider", "Probes a second, over a quarter of an hour. The configured interval with a little jitter, unless a provider asks to be left alone.", "cps").
		over(s.rec("provider:checkpoint_provider_probes:rate15m"), "{{provider}}").min(0).
		runbook("CheckpointProviderDown"), 8, 8)
	d.place(timeline("Agreement", "Whether each provider serves the block root that a quorum serves for the same epoch.", states([2]string{"disagrees", "red"}, [2]string{"agrees", "green"})).
		over("min by (provider) ("+s.sel("checkpoint_provider_agrees")+")", "{{provider}}").
		runbook("CheckpointProviderDisagrees"), 16, 8)
	d.place(timeseries("Clock", "How far the providers' clocks are ahead of the exporter's. Every distance and age is wrong by as much.", "s").
		over("max by (instance) ("+all("checkpoint_clock_skew_seconds")+")", "{{instance}}").
		runbook("CheckpointClockSkew"), 8, 8)
	return d
}
