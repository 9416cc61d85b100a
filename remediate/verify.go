package remediate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
)

// atHead is the distance in slots up to which a node is at the head: empty slots and a block on its way make some.
const atHead = 4

// finding is what a check found by our own look.
type finding struct {
	// known is false when the look could not tell; that is neither well nor ill.
	known bool
	well  bool
	// text says by what evidence.
	text string
	// spared is a client that a look has cleared: restarting it would help nothing.
	spared string
}

// sighting is what is remembered of a look, to compare a later one with.
type sighting struct {
	at       time.Time
	head     *uint64
	backfill *uint64
}

func sight(o node.Observation) *sighting {
	return &sighting{at: o.At, head: o.Consensus.HeadSlot(), backfill: o.BackfillRemaining()}
}

// check looks whether the condition v holds for a node. Movement is measured from the sighting before; needed is by how much
// the head must have moved, which is less when a symptom is confirmed than when a cure is.
func (e *Engine) check(ctx context.Context, c *config.Config, i *incident, v config.Verify, before *sighting, needed uint64) (finding, *sighting) {
	if v.Source != "" {
		return e.checkSource(ctx, c, i), &sighting{at: time.Now()}
	}
	o := e.eyes.Look(ctx, i.Node)
	now := sight(o)
	if v.Execution != "" {
		return checkExecution(o), now
	}
	if err := o.Consensus.Err(); err != nil {
		return finding{text: "the node does not answer: " + err.Error()}, now
	}
	switch {
	case v.Progress > 0:
		return checkProgress(o, before, needed), now
	case v.Backfill > 0:
		return checkBackfill(o, before, needed), now
	case v.Peers > 0:
		return checkPeers(o, v.Peers), now
	case v.Distance > 0:
		return checkDistance(o, uint64(v.Distance)), now
	case v.Finalized != "":
		return checkFinalized(o), now
	}
	phase := string(e.eyes.Phase(i.Node, time.Now()))
	return finding{known: true, well: slices.Contains(v.Phase, phase), text: "its phase is " + phase}, now
}

func checkProgress(o node.Observation, before *sighting, needed uint64) finding {
	head := o.Consensus.HeadSlot()
	if head == nil {
		return finding{text: "the node does not tell its head"}
	}
	if o.Chain.HasClock() {
		if d := o.Chain.Distance(*head, o.At); d <= atHead {
			return finding{known: true, well: true, text: fmt.Sprintf("its head %d is %d slots behind the clock", *head, d)}
		}
	}
	if before == nil || before.head == nil {
		return finding{known: true, text: fmt.Sprintf("its head is %d", *head)}
	}
	if *head >= *before.head+needed {
		return finding{known: true, well: true, text: fmt.Sprintf("its head went from %d to %d", *before.head, *head)}
	}
	if *head == *before.head {
		return finding{known: true, text: fmt.Sprintf("its head has stood at %d for %s", *head, o.At.Sub(before.at).Round(time.Second))}
	}
	return finding{known: true, text: fmt.Sprintf("its head went from %d to %d, %d slots short of what was asked for", *before.head, *head, *before.head+needed-*head)}
}

func checkBackfill(o node.Observation, before *sighting, needed uint64) finding {
	left := o.BackfillRemaining()
	switch {
	case left == nil:
		return finding{text: "the node does not tell how far its backfill is"}
	case *left == 0:
		return finding{known: true, well: true, text: "its backfill is done"}
	case before == nil || before.backfill == nil:
		return finding{known: true, text: fmt.Sprintf("%d slots are to be backfilled", *left)}
	case *left+needed <= *before.backfill:
		return finding{known: true, well: true, text: fmt.Sprintf("the backfill went from %d to %d slots", *before.backfill, *left)}
	}
	return finding{known: true, text: fmt.Sprintf("the backfill stands at %d slots", *left)}
}

func checkPeers(o node.Observation, needed int) finding {
	p := o.Consensus.Peers.Value
	if p == nil {
		return finding{text: "the node does not tell its peers"}
	}
	return finding{known: true, well: p.Connected >= uint64(needed), text: fmt.Sprintf("it has %d peers", p.Connected)}
}

func checkDistance(o node.Observation, most uint64) finding {
	head := o.Consensus.HeadSlot()
	if head == nil || !o.Chain.HasClock() {
		return finding{text: "the node does not tell how far it is"}
	}
	d := o.Chain.Distance(*head, o.At)
	return finding{known: true, well: d <= most, text: fmt.Sprintf("its head %d is %d slots behind the clock", *head, d)}
}

// checkFinalized compares the finalized checkpoint with the weak subjectivity period (consensus-specs phase0/weak-subjectivity.md,
// is_within_weak_subjectivity_period).
func checkFinalized(o node.Observation) finding {
	f := o.Consensus.Finality.Value
	if f == nil || !o.Chain.HasClock() || o.Chain.WeakSubjectivityEpochs == 0 {
		return finding{text: "it cannot be told whether its finalized checkpoint is within the weak subjectivity period"}
	}
	epoch, now := f.Finalized.Epoch, o.Chain.Epoch(o.At)
	return finding{known: true, well: now <= epoch+o.Chain.WeakSubjectivityEpochs,
		text: fmt.Sprintf("its finalized epoch %d is %d epochs behind the clock, and %d are the weak subjectivity period", epoch, now-min(epoch, now), o.Chain.WeakSubjectivityEpochs)}
}

func checkExecution(o node.Observation) finding {
	if o.Execution == nil {
		return finding{text: "no execution client is configured to be asked"}
	}
	if err := o.Execution.Err(); err != nil {
		return finding{known: true, text: "the execution client does not answer: " + err.Error()}
	}
	if s := o.Consensus.Syncing.Value; s != nil && s.ELOffline != nil && *s.ELOffline {
		return finding{known: true, spared: clientExecution, text: "the execution client answers, but the consensus client says that it is offline"}
	}
	return finding{known: true, well: true, text: "the execution client answers"}
}

func (e *Engine) checkSource(ctx context.Context, c *config.Config, i *incident) finding {
	url, err := e.readSource(ctx, c, i.Node)
	if err != nil {
		return finding{text: err.Error()}
	}
	p, ok := c.ProviderOf(url)
	if !ok {
		return finding{text: fmt.Sprintf("its source %s is none of the configured providers", shownURL(url))}
	}
	v, ok := e.eyes.Judge(ctx, judgedFor).Verdict(p.Name)
	switch {
	case !ok:
		return finding{text: fmt.Sprintf("provider %q was not judged", p.Name)}
	case v.Usable:
		return finding{known: true, well: true, text: fmt.Sprintf("its source is %s, which is usable", p.Name)}
	}
	return finding{known: true, text: fmt.Sprintf("its source is %s, which is not usable: %s", p.Name, v.Reasons[0].Text)}
}

// needed is by how many slots a cure must show.
func needed(v config.Verify) uint64 { return uint64(max(v.Progress, v.Backfill)) }
