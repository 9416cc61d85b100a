package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// providerMetrics are the metrics of each provider.
type providerMetrics struct {
	usable, reason, duration, probes, lastSuccess, finalizedEpoch, lag, agrees, stateBytes, stateRead, certificate, info *prometheus.Desc
}

func newProviderMetrics() *providerMetrics {
	const name = "provider"
	return &providerMetrics{
		usable: desc("provider_usable",
			"Whether a node may start from the provider: 1 when no reason speaks against it. Seen by background probes; a scrape asks no provider.", name),
		reason: desc("provider_unusable_reason",
			"Whether a reason why the provider is not usable holds, 1 or 0.", name, "reason"),
		duration: desc("provider_probe_duration_seconds",
			"How long the phases of the latest probe took in seconds, over all its requests but the reading of the state. A phase that did not happen took 0. Seen by background probes; a scrape asks no provider.", name, "phase"),
		probes: desc("provider_probes_total",
			"Background probes by result: success when the provider answered, whatever the verdict, or else the reason why it did not.", name, "result"),
		lastSuccess: desc("provider_last_success_timestamp_seconds",
			"When the provider last answered a probe, in seconds since the Unix epoch.", name),
		finalizedEpoch: desc("provider_finalized_epoch",
			"Epoch of the finalized checkpoint that the provider serves.", name),
		lag: desc("provider_finalized_lag_epochs",
			"How many epochs the served finalized checkpoint was behind the clock when it was seen.", name),
		agrees: desc("provider_agrees",
			"Whether the provider serves the block root that a quorum serves for the same epoch, 1 or 0. Absent while there is no quorum to compare with.", name),
		stateBytes: desc("provider_state_bytes",
			"Size of the finalized state in bytes, where the provider tells it before sending.", name),
		stateRead: desc("provider_state_read_timestamp_seconds",
			"When the beginning of the finalized state was last read, in seconds since the Unix epoch.", name),
		certificate: desc("provider_certificate_expiry_timestamp_seconds",
			"When the provider's TLS certificate expires, in seconds since the Unix epoch.", name),
		info: desc("provider_info",
			"The provider's URL, and as far as known what its server says that it is and the genesis validators root that it serves. Always 1.",
			name, "url", "version", "genesis_validators_root"),
	}
}

func (m *providerMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.usable, m.reason, m.duration, m.probes, m.lastSuccess, m.finalizedEpoch, m.lag, m.agrees,
		m.stateBytes, m.stateRead, m.certificate, m.info} {
		ch <- d
	}
}

func (m *providerMetrics) collect(v *view, ch chan<- prometheus.Metric) {
	for _, p := range v.providers {
		to := emit{ch, []string{p.name}}
		if p.sight != nil {
			for _, result := range results() {
				to.value(prometheus.CounterValue, m.probes, float64(p.sight.probes[result]), result)
			}
			to.moment(m.lastSuccess, p.sight.answered)
		}
		if p.verdict != nil {
			m.verdict(to, *p.verdict)
		}
	}
}

// verdict tells what the observation behind it is still good for.
func (m *providerMetrics) verdict(to emit, v provider.Verdict) {
	to.gauge(m.usable, bit(v.Usable))
	for _, r := range provider.Reasons() {
		to.gauge(m.reason, bit(v.Has(r)), string(r))
	}
	if v.Finalized != nil {
		to.gauge(m.finalizedEpoch, float64(v.Finalized.Epoch))
	}
	to.count(m.lag, v.LagEpochs)
	to.truth(m.agrees, v.Agrees)

	seen := v.Observation
	root := ""
	if seen.Genesis != nil {
		root = seen.Genesis.ValidatorsRoot.String()
	}
	to.gauge(m.info, 1, v.URL, seen.Version.Full, root)
	to.moment(m.certificate, seen.Exchange.CertificateExpiry)
	if seen.State != nil {
		to.count(m.stateBytes, seen.State.Bytes)
		to.moment(m.stateRead, seen.State.At)
	}
	if seen.Exchange.Requests > 0 {
		for _, phase := range phases(seen.Exchange.Timings) {
			to.gauge(m.duration, phase.took.Seconds(), phase.name)
		}
	}
}

type phase struct {
	name string
	took time.Duration
}

// phases are the parts of a probe's duration, in their order.
func phases(t beacon.Timings) [5]phase {
	return [...]phase{{"resolve", t.Resolve}, {"connect", t.Connect}, {"tls", t.TLS}, {"first_byte", t.FirstByte}, {"transfer", t.Transfer}}
}
