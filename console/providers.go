package console

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

// clockBehind is by how much this machine's clock may differ from the providers': their word is good to about a second.
const clockBehind = 3 * time.Second

// Providers asks the configured providers now, and tells what is thought of each. It returns ErrNotFine when no quorum of them agrees.
func (t *Terminal) Providers(ctx context.Context, c *config.Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	probers := make([]*provider.Prober, 0, len(c.Providers))
	for _, p := range c.Providers {
		prober, err := provider.NewProber(p.Name, p.URL, provider.ProberOptions{
			Client: beacon.Options{UserAgent: "checkpoint", Timeout: c.Probe.Timeout.Std(), Dial: dial},
		})
		if err != nil {
			return err
		}
		probers = append(probers, prober)
	}
	if t.Asks && !t.JSON {
		t.printf("%s\n", t.paint(dim, fmt.Sprintf("Asking %s…", count(len(probers), "provider", "providers"))))
	}
	panel := provider.NewPanel(c.NetworkSpec(), probers, provider.Options{MaxLagEpochs: c.Probe.MaxLagEpochs, Quorum: c.Quorum}, t.Now)
	j := panel.ProbeAll(ctx, false)
	view := viewOf(j, c.Network.Name)
	if t.JSON {
		if err := t.json(view); err != nil {
			return err
		}
	} else {
		if len(view.Providers) > 0 {
			t.providers(view.Providers)
		}
		for _, fact := range j.Learnt {
			t.printf("%s\n", t.paint(dim, clean(fact)))
		}
		t.printf("%s\n", quorumWords(view.Quorum))
		if s := j.Skew; s != nil && s.Abs() > clockBehind {
			way := "behind"
			if *s < 0 {
				way = "ahead of"
			}
			t.printf("%s\n", t.paint(red, fmt.Sprintf("This machine's clock is %s %s the providers': is its time synchronised?", span(s.Abs()), way)))
		}
	}
	if !j.Quorum.OK {
		return ErrNotFine
	}
	return nil
}

// viewOf is a judgement in the form of the exporter's GET /api/v1/providers.
func viewOf(j provider.Judgement, name string) collector.Providers {
	q := j.Quorum
	out := collector.Providers{
		At: j.At.UTC(), Network: collector.Network{Name: name, Iteration: j.Chain.Iteration, DepositChainID: j.Chain.DepositChainID},
		Quorum: collector.Quorum{Reached: q.OK, Threshold: q.Threshold, Providers: q.Providers, Complete: true},
		Learnt: append([]string{}, j.Learnt...), Providers: []collector.Provider{},
	}
	if j.Chain.HasClock() {
		out.Network.Slot, out.Network.Epoch = new(j.Chain.Slot(j.At)), new(j.Chain.Epoch(j.At))
	}
	if q.Providers > 0 {
		out.Quorum.Epoch, out.Quorum.Root = &q.Epoch, &q.Root
	}
	ranks := map[string]int{}
	for i, v := range provider.Rank(j) {
		ranks[v.Provider] = i + 1
	}
	for _, v := range j.Verdicts {
		p := collector.Provider{
			Name: v.Provider, URL: v.URL, Asked: true, Usable: v.Usable, Rank: ranks[v.Provider], Reasons: []collector.Finding{},
			LagEpochs: v.LagEpochs, Agrees: v.Agrees, Version: v.Observation.Version.Full,
		}
		for _, f := range v.Reasons {
			p.Reasons = append(p.Reasons, collector.Finding{Reason: string(f.Reason), Text: f.Text})
		}
		if f := v.Finalized; f != nil {
			p.Finalized = &collector.Checkpoint{Epoch: f.Epoch, Root: f.Root}
		}
		out.Providers = append(out.Providers, p)
	}
	return out
}

// providers is a table of them, and why some are of no use.
func (t *Terminal) providers(all []collector.Provider) {
	rows := make([][]cell, 0, len(all))
	for _, p := range all {
		usable := cell{"yes", green}
		switch {
		case !p.Asked:
			usable = cell{"not asked yet", yellow}
		case !p.Usable:
			usable = cell{"no", red}
		}
		epoch, lag := "-", "-"
		if p.Finalized != nil {
			epoch = fmt.Sprint(p.Finalized.Epoch)
		}
		if p.LagEpochs != nil {
			lag = count(*p.LagEpochs, "epoch", "epochs")
		}
		why := ""
		if p.Usable && p.Agrees == nil {
			why = "too few others to compare it with"
		}
		first := cell{why, dim}
		if len(p.Reasons) > 0 {
			first = cell{p.Reasons[0].Reason + ": " + p.Reasons[0].Text, plain}
		}
		rows = append(rows, []cell{{p.Name, plain}, usable, {epoch, plain}, {lag, plain}, first})
		for _, f := range p.Reasons[min(1, len(p.Reasons)):] {
			rows = append(rows, cells("", "", "", "", f.Reason+": "+f.Text))
		}
	}
	t.headed([]string{"PROVIDER", "USABLE", "FINALIZED", "BEHIND", "WHY"}, rows)
}

func quorumWords(q collector.Quorum) string {
	switch {
	case !q.Complete:
		return "No quorum yet: not all providers have been asked."
	case q.Reached && q.Epoch != nil && q.Root != nil:
		return fmt.Sprintf("Quorum: %d agree on epoch %d, %d are needed. Its block: %s", q.Providers, *q.Epoch, q.Threshold, q.Root)
	}
	return fmt.Sprintf("No quorum: %s, %d are needed. Trust no checkpoint for now.",
		cmp.Or(map[int]string{0: "none can be used", 1: "1 can be used"}[q.Providers], fmt.Sprintf("%d agree", q.Providers)), q.Threshold)
}
