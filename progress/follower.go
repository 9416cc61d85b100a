package progress

import (
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Options are the thresholds of a Follower. A zero field takes its default.
type Options struct {
	// StallAfter is how long a node that is behind may stand still before it counts as stalled; 10 minutes. Healthy clients
	// pause for more than a minute between batches.
	StallAfter time.Duration
	// SyncedWithin is the distance, in slots, up to which a node is at the head; 4. Empty slots and a block that is still on
	// its way make some.
	SyncedWithin uint64
	// BootstrapFor is for how long refused connections of a node never seen up mean bootstrapping; 10 minutes, which is
	// the longest state download timeout among the clients (Grandine's).
	BootstrapFor time.Duration
	// RestartFor is the same for a node that was up before; 3 minutes, the default of Lighthouse's
	// --checkpoint-sync-url-timeout. A process being restarted and a dead one look alike until then.
	RestartFor time.Duration
	// StaleAfter is how old the latest sample may be before it is worth nothing; 1 minute.
	StaleAfter time.Duration
}

func (o Options) withDefaults() Options {
	orElse := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	orElse(&o.StallAfter, 10*time.Minute)
	orElse(&o.BootstrapFor, 10*time.Minute)
	orElse(&o.RestartFor, 3*time.Minute)
	orElse(&o.StaleAfter, time.Minute)
	if o.SyncedWithin == 0 {
		o.SyncedWithin = 4
	}
	return o
}

// Follower turns the samples of one node into its Status. It is not safe for concurrent use.
type Follower struct {
	opts Options

	last     Sample
	looked   bool
	lastSeen time.Time
	// waiting is for how long in a row the node has looked like one that bootstraps.
	waiting  time.Duration
	chain    chainKey
	climb    climb
	backfill backfill
}

// New returns a Follower that has seen nothing yet.
func New(o Options) *Follower { return &Follower{opts: o.withDefaults()} }

// Observe takes the next sample. Samples come in order of time; one that is older than its predecessor means that the clock
// was set back, and counts as taken at the same moment.
func (f *Follower) Observe(s Sample) {
	elapsed, back := f.elapsed(s.At), f.looked && s.At.Before(f.last.At)
	waited := f.looked && f.bootstrapping()
	if f.looked && f.last.Reachable {
		f.climb.idle += elapsed
		f.climb.sinceFall += elapsed
	}
	// A process that starts anew has a pace of its own, and a clock that was set back leaves none to measure.
	if back || s.Refused && !s.Reachable {
		f.climb.pace.reset()
		f.backfill.pace.reset()
	}
	if s.Reachable {
		f.lastSeen = s.At
		if key := chainOf(s); key != f.chain {
			f.chain, f.climb, f.backfill = key, climb{}, backfill{}
		}
		if s.HeadSlot != nil && s.Identity == network.Same {
			f.climb.observe(s.At, *s.HeadSlot, s.Chain, f.opts)
		}
		f.backfill.observe(s)
	} else {
		f.climb.told = false
	}
	f.last, f.looked = s, true
	switch {
	case !f.bootstrapping():
		f.waiting = 0
	case waited:
		f.waiting += elapsed
	}
}

// chainKey tells chains apart whose heads cannot be compared.
type chainKey struct {
	identity       network.Identity
	genesis        int64
	secondsPerSlot uint64
}

func chainOf(s Sample) chainKey {
	return chainKey{s.Identity, s.Chain.GenesisTime.Unix(), s.Chain.SecondsPerSlot}
}

// elapsed is the time from the latest sample to t that may be held against the node: never negative, and no more than
// StaleAfter where nobody looked.
func (f *Follower) elapsed(t time.Time) time.Duration {
	if !f.looked {
		return 0
	}
	return min(max(t.Sub(f.last.At), 0), f.opts.StaleAfter)
}

// Status is what is known of the node at time now, which is at or after the latest sample.
func (f *Follower) Status(now time.Time) Status {
	s := Status{
		Phase: Unreachable, StallAfter: f.opts.StallAfter, LastSeen: f.lastSeen,
		Stale: !f.looked || now.Sub(f.last.At) > f.opts.StaleAfter,
	}
	if !f.looked {
		return s
	}
	s.LastLook = f.last.At
	if now.Before(f.last.At) {
		now = f.last.At
	}
	switch {
	case s.Stale:
		return s
	case !f.last.Reachable:
		s.Phase = f.awaited(now)
		return s
	case f.last.Identity == network.Other:
		s.Phase = WrongNetwork
		return s
	case f.last.Identity == network.Earlier:
		s.Phase = OldIteration
		return s
	case f.last.Identity == network.Next, now.Before(f.last.Chain.GenesisTime):
		s.Phase = Bootstrapping
		return s
	case !f.climb.told:
		s.Phase = f.awaited(now)
		return s
	}
	f.follow(now, &s)
	return s
}

// bootstrapping tells whether the latest sample is one of a node that may be bootstrapping.
func (f *Follower) bootstrapping() bool {
	if !f.last.Reachable {
		return f.last.Refused
	}
	return !f.climb.told
}

// awaited is the phase of a node that has no head to follow: bootstrapping for as long as that may take.
func (f *Follower) awaited(now time.Time) Phase {
	patience := f.opts.BootstrapFor
	if !f.last.Reachable && !f.lastSeen.IsZero() {
		patience = f.opts.RestartFor
	}
	if f.bootstrapping() && f.waiting+f.elapsed(now) < patience {
		return Bootstrapping
	}
	return Unreachable
}

// follow fills in the status of a node that answers, on the right chain, and has told its head.
func (f *Follower) follow(now time.Time, s *Status) {
	chain, clocked := f.last.Chain, f.last.Chain.HasClock()
	distance := chain.Distance(f.climb.head, now)
	behind := clocked && distance > f.opts.SyncedWithin || !clocked && f.clientBehind()
	idle := f.climb.idle + f.elapsed(now)
	s.SinceProgress = &idle
	s.Stalled = behind && idle >= f.opts.StallAfter

	e := f.climb.pace.estimate(now)
	if s.Stalled {
		e = estimate{known: true}
	}
	if e.known {
		s.Speed = &e.rate
	}
	if clocked {
		chainRate := 1 / float64(chain.SecondsPerSlot)
		if e.known {
			s.Closing = new(e.rate - chainRate)
		}
		if behind {
			s.ETA = e.eta(distance, chainRate)
		}
		// A head that this look did not tell still counts for the phase, as time goes by, but is not shown.
		if f.last.HeadSlot != nil {
			s.Distance = &distance
			s.Ratio = new(f.climb.ratio(distance, behind))
		}
	}
	s.BackfillRemaining, s.BackfillETA = f.backfill.status(f.last, now)

	switch {
	case s.Stalled:
		s.Phase = Stalled
	case behind:
		s.Phase = Syncing
	case f.last.Optimistic != nil && *f.last.Optimistic:
		s.Phase = Optimistic
	case s.BackfillRemaining != nil && *s.BackfillRemaining > 0:
		s.Phase = Backfilling
	default:
		s.Phase = Synced
	}
}

// clientBehind is the client's own word, for a chain whose clock is not known.
func (f *Follower) clientBehind() bool {
	return f.last.ClientSyncing != nil && *f.last.ClientSyncing ||
		f.last.ClientDistance != nil && *f.last.ClientDistance > f.opts.SyncedWithin
}
