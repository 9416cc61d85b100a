package setup

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// Choice is the provider that a node is to start from.
type Choice struct {
	Judgement provider.Judgement
	Provider  config.Provider
	// Kept tells that it is the one that stands there already.
	Kept bool
}

// NoQuorumError says that no provider can be trusted now.
type NoQuorumError struct{ provider.Quorum }

func (e *NoQuorumError) Error() string {
	return fmt.Sprintf("no provider can be trusted now: %d agree, %d have to", e.Providers, e.Threshold)
}

// Choose asks all providers, and chooses among those that are usable and agree with a quorum: the one that is wanted by name, or the present one, or the
// best. A front page is never asked.
func Choose(ctx context.Context, c *config.Config, present, wanted string, dial func(ctx context.Context, network, address string) (net.Conn, error), now func() time.Time) (Choice, error) {
	probers := make([]*provider.Prober, 0, len(c.Providers))
	for _, p := range c.Providers {
		prober, err := provider.NewProber(p.Name, p.URL, provider.ProberOptions{Client: beacon.Options{UserAgent: "checkpoint", Timeout: c.Probe.Timeout.Std(), Dial: dial}})
		if err != nil {
			return Choice{}, err
		}
		probers = append(probers, prober)
	}
	panel := provider.NewPanel(c.NetworkSpec(), probers, provider.Options{MaxLagEpochs: c.Probe.MaxLagEpochs, Quorum: c.Quorum}, now)
	out := Choice{Judgement: panel.ProbeAll(ctx, true)}
	if !out.Judgement.Quorum.OK {
		return out, &NoQuorumError{out.Judgement.Quorum}
	}
	trusted := func(v provider.Verdict) bool { return v.Usable && v.Agrees != nil && *v.Agrees }
	if wanted != "" {
		v, ok := out.Judgement.Verdict(wanted)
		switch {
		case !ok:
			return out, fmt.Errorf("there is no provider %q", wanted)
		case !trusted(v):
			return out, fmt.Errorf("provider %q is not usable, or does not agree with a quorum", wanted)
		}
		out.Provider, _ = c.ProviderNamed(wanted)
		return out, nil
	}
	if p, ok := c.ProviderOf(present); ok && present != "" {
		if v, ok := out.Judgement.Verdict(p.Name); ok && trusted(v) {
			out.Provider, out.Kept = p, true
			return out, nil
		}
	}
	for _, v := range provider.Rank(out.Judgement) {
		if trusted(v) {
			out.Provider, _ = c.ProviderNamed(v.Provider)
			return out, nil
		}
	}
	return out, &NoQuorumError{out.Judgement.Quorum}
}

// NetworkOf is the preset that a consensus client follows, an earlier iteration of one included; "" if it does not answer, or follows none.
func NetworkOf(ctx context.Context, api string, dial func(ctx context.Context, network, address string) (net.Conn, error), now time.Time) string {
	c, err := beacon.NewClient(api, beacon.Options{UserAgent: "checkpoint", Timeout: answersWithin, Dial: dial})
	if err != nil {
		return ""
	}
	defer c.CloseIdle()
	g, err := c.Genesis(ctx)
	if err != nil {
		return ""
	}
	for _, name := range network.Presets() {
		n, _ := network.Preset(name)
		if n.Identify(g.Time, now) != network.Other && (n.GenesisValidatorsRoot.IsZero() || n.GenesisValidatorsRoot == g.ValidatorsRoot) {
			return name
		}
	}
	return ""
}
