package collector

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// networkMetrics are the metrics of the network and of the providers taken together.
type networkMetrics struct {
	slot, epoch, info, iteration, reset, quiet, weakSubjectivity, skew              *prometheus.Desc
	lagThreshold, configured, usable, quorumThreshold, quorumProviders, quorumEpoch *prometheus.Desc
}

func newNetworkMetrics() *networkMetrics {
	return &networkMetrics{
		slot:  desc("network_slot", "Slot of the clock. Absent while the chain's genesis or slot time is not known."),
		epoch: desc("network_epoch", "Epoch of the clock. Absent while the chain's genesis or slot time is not known."),
		info: desc("network_info", "The network watched, and as far as known its genesis validators root and deposit chain id. Always 1.",
			"network", "genesis_validators_root", "deposit_chain_id"),
		iteration: desc("network_iteration", "Number of the current iteration. Absent for a network that does not reset."),
		reset: desc("network_reset_timestamp_seconds",
			"When the next iteration's consensus genesis is, in seconds since the Unix epoch. Absent for a network that does not reset."),
		quiet: desc("network_quiet", "Whether it is the quiet window around a reset, in which nothing can be expected of nodes and providers, 1 or 0."),
		weakSubjectivity: desc("network_weak_subjectivity_epochs",
			"For how many epochs a finalized checkpoint can be trusted. Absent while it is not known."),
		skew: desc("clock_skew_seconds",
			"How many seconds the providers' clocks are ahead of the exporter's, by the Date headers of their answers, as the median, good to about a second. Negative when the exporter's is ahead. Absent while fewer than two tell."),
		lagThreshold: desc("provider_lag_threshold_epochs",
			"The configured max_lag_epochs: a provider whose finalized checkpoint lags the clock by more epochs is stale."),
		configured:      desc("providers_configured", "Providers in the configuration."),
		usable:          desc("providers_usable", "Providers that are usable. Absent until each has been asked once."),
		quorumThreshold: desc("quorum_threshold", "The configured quorum: how many providers must serve the same block root."),
		quorumProviders: desc("quorum_providers",
			"Usable providers that serve the same block root for the epoch of the quorum. Absent until each has been asked once."),
		quorumEpoch: desc("quorum_epoch", "Epoch at which the most usable providers agree. Absent while none is usable."),
	}
}

func (m *networkMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.slot, m.epoch, m.info, m.iteration, m.reset, m.quiet, m.weakSubjectivity, m.skew, m.lagThreshold,
		m.configured, m.usable, m.quorumThreshold, m.quorumProviders, m.quorumEpoch} {
		ch <- d
	}
}

func (m *networkMetrics) collect(v *view, ch chan<- prometheus.Metric) {
	to := emit{ch: ch}
	m.chain(to, v)
	to.gauge(m.lagThreshold, float64(v.state.options.MaxLagEpochs))
	to.gauge(m.configured, float64(len(v.providers)))
	to.gauge(m.quorumThreshold, float64(v.state.options.Quorum))
	if skew := v.judgement.Skew; skew != nil {
		to.gauge(m.skew, skew.Seconds())
	}
	if !v.complete {
		return
	}
	to.gauge(m.usable, float64(v.judgement.Usable()))
	to.gauge(m.quorumProviders, float64(v.judgement.Quorum.Providers))
	if v.judgement.Quorum.Providers > 0 {
		to.gauge(m.quorumEpoch, float64(v.judgement.Quorum.Epoch))
	}
}

func (m *networkMetrics) chain(to emit, v *view) {
	c := v.chain
	if c.HasClock() {
		to.gauge(m.slot, float64(c.Slot(v.now)))
		to.gauge(m.epoch, float64(c.Epoch(v.now)))
	}
	to.gauge(m.info, 1, c.Network, rootOrEmpty(c.GenesisValidatorsRoot), numberOrEmpty(c.DepositChainID))
	if v.state.network.Iterations != nil {
		to.gauge(m.iteration, float64(c.Iteration))
		to.moment(m.reset, c.ResetAt)
	}
	to.gauge(m.quiet, bit(v.quiet()))
	if c.WeakSubjectivityEpochs > 0 {
		to.gauge(m.weakSubjectivity, float64(c.WeakSubjectivityEpochs))
	}
}

// quiet tells whether it is the window around a reset.
func (v *view) quiet() bool {
	window := v.state.config.Remediation.Guards.Quiet
	quiet, _ := v.state.network.Quiet(v.now, window.BeforeReset.Std(), window.AfterGenesis.Std())
	return quiet
}

func rootOrEmpty(r network.Root) string {
	if r.IsZero() {
		return ""
	}
	return r.String()
}

func numberOrEmpty(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
