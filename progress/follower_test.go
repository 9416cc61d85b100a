package progress_test

import (
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// began is slot 100,000 of a chain with slots of 12 seconds; tests count seconds from it.
var (
	mainnetLike = network.Chain{GenesisTime: time.Unix(1_700_000_000, 0), SecondsPerSlot: 12, SlotsPerEpoch: 32}
	began       = mainnetLike.SlotTime(100_000)
)

func at(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

// told is a sample of a node that answers.
func told(seconds int, head uint64) progress.Sample {
	return progress.Sample{At: at(seconds), Reachable: true, Chain: mainnetLike, HeadSlot: &head}
}

func silent(seconds int) progress.Sample {
	return progress.Sample{At: at(seconds), Chain: mainnetLike}
}

func refused(seconds int) progress.Sample {
	s := silent(seconds)
	s.Refused = true
	return s
}

func with(s progress.Sample, change func(*progress.Sample)) progress.Sample {
	change(&s)
	return s
}

// every repeats what a function makes of a time, from..to every ten seconds.
func every(from, to int, make func(seconds int) progress.Sample) []progress.Sample {
	var all []progress.Sample
	for s := from; s <= to; s += 10 {
		all = append(all, make(s))
	}
	return all
}

func frozen(head uint64) func(int) progress.Sample {
	return func(s int) progress.Sample { return told(s, head) }
}

// pace is a head that keeps a distance from the clock.
func pace(behind uint64) func(int) progress.Sample {
	return func(s int) progress.Sample { return told(s, mainnetLike.Slot(at(s))-behind) }
}

func join(parts ...[]progress.Sample) []progress.Sample {
	var all []progress.Sample
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// run feeds samples and asks at the time of the last one.
func run(o progress.Options, samples []progress.Sample) progress.Status {
	f := progress.New(o)
	var s progress.Status
	for _, sample := range samples {
		f.Observe(sample)
		s = f.Status(sample.At)
	}
	return s
}

func TestPhase(t *testing.T) {
	change := func(c func(*progress.Sample)) func(int) progress.Sample {
		return func(s int) progress.Sample { return with(pace(1)(s), c) }
	}
	optimistic := change(func(s *progress.Sample) { s.Optimistic = new(true) })
	headless := change(func(s *progress.Sample) { s.HeadSlot = nil })
	clockless := func(syncing bool, distance uint64) []progress.Sample {
		return []progress.Sample{with(told(0, 99_000), func(s *progress.Sample) {
			s.Chain, s.ClientSyncing, s.ClientDistance = network.Chain{}, &syncing, &distance
		})}
	}
	for _, tc := range []struct {
		name    string
		samples []progress.Sample
		want    progress.Phase
	}{
		{"no answer", []progress.Sample{silent(0)}, progress.Unreachable},
		{"no answer after being synced", join(every(0, 100, pace(0)), every(110, 130, silent)), progress.Unreachable},
		{"refused since following began", every(0, 590, refused), progress.Bootstrapping},
		{"refused for longer than a download may take", every(0, 600, refused), progress.Unreachable},
		{"refused shortly after being up, as in a restart", join(every(0, 100, pace(0)), every(110, 280, refused)), progress.Bootstrapping},
		{"refused for long after being up", join(every(0, 100, pace(0)), every(110, 290, refused)), progress.Unreachable},
		{"a time-out between refusals is no bootstrap", join(every(0, 50, refused), every(60, 60, silent)), progress.Unreachable},
		{"answers, but tells no head yet", every(0, 100, headless), progress.Bootstrapping},
		{"answers for long without a head", every(0, 610, headless), progress.Unreachable},
		{"a head left out of one look", join(every(0, 100, pace(0)), every(110, 110, headless)), progress.Synced},
		{"heads left out until the distance is known to be large", join(every(0, 100, pace(0)), every(110, 200, headless)), progress.Syncing},
		{"before genesis", []progress.Sample{with(told(0, 0), func(s *progress.Sample) { s.Chain.GenesisTime = at(60) })}, progress.Bootstrapping},
		{"far behind", every(0, 100, frozen(90_000)), progress.Syncing},
		{"far behind and optimistic", every(0, 100, func(s int) progress.Sample {
			return with(told(s, 90_000), func(s *progress.Sample) { s.Optimistic = new(true) })
		}), progress.Syncing},
		{"at the head", every(0, 100, pace(0)), progress.Synced},
		{"at the head within some empty slots", every(0, 100, pace(4)), progress.Synced},
		{"beyond the tolerance", every(0, 100, pace(5)), progress.Syncing},
		{"ahead of our clock", []progress.Sample{told(0, 100_003)}, progress.Synced},
		{"at the head, not verified", every(0, 100, optimistic), progress.Optimistic},
		{"optimistic comes before backfill", every(0, 100, change(func(s *progress.Sample) {
			s.Optimistic, s.BackfillRemaining = new(true), new(uint64(5))
		})), progress.Optimistic},
		{"at the head, history missing", every(0, 100, change(func(s *progress.Sample) { s.BackfillRemaining = new(uint64(5)) })), progress.Backfilling},
		{"backfill done", every(0, 100, change(func(s *progress.Sample) { s.BackfillRemaining = new(uint64) })), progress.Synced},
		{"another network", every(0, 700, change(func(s *progress.Sample) { s.Identity = network.Other })), progress.WrongNetwork},
		{"an earlier iteration", every(0, 700, change(func(s *progress.Sample) { s.Identity = network.Earlier })), progress.OldIteration},
		{"the next iteration, ahead of its genesis", every(0, 700, change(func(s *progress.Sample) { s.Identity = network.Next })), progress.Bootstrapping},
		{"not to be reached comes before another network", join(
			every(0, 10, change(func(s *progress.Sample) { s.Identity = network.Other })), every(20, 20, silent)), progress.Unreachable},
		{"clock unknown, the client says syncing", clockless(true, 0), progress.Syncing},
		{"clock unknown, the client says far", clockless(false, 80), progress.Syncing},
		{"clock unknown, the client says synced", clockless(false, 0), progress.Synced},

		// What clients say of themselves decides nothing.
		{"Teku without peers says distance 0", every(0, 600, func(s int) progress.Sample {
			return with(told(s, 99_900), func(s *progress.Sample) { s.ClientSyncing, s.ClientDistance = new(false), new(uint64) })
		}), progress.Stalled},
		{"Lighthouse without useful peers says is_syncing at distance 0", every(0, 600, change(func(s *progress.Sample) {
			s.ClientSyncing, s.ClientDistance = new(true), new(uint64)
		})), progress.Synced},
		{"Prysm says is_syncing false while its head stands still", every(0, 700, func(s int) progress.Sample {
			return with(told(s, 100_000), func(s *progress.Sample) { s.ClientSyncing = new(false) })
		}), progress.Stalled},
		{"Grandine says is_syncing while it fetches history", every(0, 100, change(func(s *progress.Sample) {
			s.ClientSyncing, s.ClientDistance, s.BackfillRemaining = new(true), new(uint64), new(uint64(900))
		})), progress.Backfilling},

		{"behind and still for just less than the threshold", every(0, 590, frozen(90_000)), progress.Syncing},
		{"behind and still for the threshold", every(0, 600, frozen(90_000)), progress.Stalled},
		{"synced for hours", every(0, 7200, pace(0)), progress.Synced},
		{"always behind, never still", every(0, 7200, pace(1000)), progress.Syncing},
		{"synced, then still", join(every(0, 1000, pace(0)), every(1010, 1700, frozen(100_083))), progress.Stalled},
		{"stalled, then no answer", join(every(0, 700, frozen(90_000)), every(710, 710, silent)), progress.Unreachable},
		{"stalled, then moving", join(every(0, 700, frozen(90_000)), every(710, 710, frozen(90_001))), progress.Syncing},
		{"back from an outage at the old head", join(every(0, 100, pace(0)), every(110, 3000, silent), every(3010, 3100, frozen(100_008))), progress.Syncing},
		{"still after an outage", join(every(0, 100, pace(0)), every(110, 3000, silent), every(3010, 3620, frozen(100_008))), progress.Stalled},
		{"time-outs now and then do not hide a stall", every(0, 1000, func(s int) progress.Sample {
			if s%50 == 40 {
				return silent(s)
			}
			return told(s, 90_000)
		}), progress.Stalled},
		{"nobody looked for an hour", join(every(0, 100, frozen(90_000)), every(3700, 3710, frozen(90_000))), progress.Syncing},
		{"a restart that finds the old head does not end a stall",
			join(every(0, 700, frozen(90_000)), every(710, 720, refused), every(730, 740, frozen(90_000))), progress.Stalled},
		{"a restart that falls back does not end a stall",
			join(every(0, 700, frozen(90_113)), every(710, 720, refused), every(730, 740, frozen(90_040))), progress.Stalled},
		{"the climb after it does",
			join(every(0, 700, frozen(90_113)), every(710, 720, refused), every(730, 740, frozen(90_040)), every(750, 750, frozen(90_050))), progress.Syncing},
		{"a head that swings by a slot", every(0, 700, func(s int) progress.Sample { return told(s, 90_000+uint64(s/10%2)) }), progress.Stalled},
		{"a head that swings far", every(0, 900, func(s int) progress.Sample { return told(s, 90_000+uint64(s/10%5)*50) }), progress.Stalled},
		{"a new database, much lower, that climbs slowly",
			join(every(0, 700, pace(100)), every(710, 720, refused), every(730, 4000, func(s int) progress.Sample { return told(s, uint64(s)) })), progress.Syncing},
		{"and again, long before the old height is reached",
			join(every(0, 700, pace(100)),
				every(710, 1700, func(s int) progress.Sample { return told(s, uint64(s)) }),
				every(1710, 2700, func(s int) progress.Sample { return told(s, uint64(s-1700)) })), progress.Syncing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := run(progress.Options{}, tc.samples); got.Phase != tc.want || got.Stalled != (tc.want == progress.Stalled) {
				t.Errorf("got %s, stalled %v; want %s", got.Phase, got.Stalled, tc.want)
			}
		})
	}
}

func TestNeverLookedAt(t *testing.T) {
	s := progress.New(progress.Options{}).Status(began)
	if s.Phase != progress.Unreachable || !s.Stale || !s.LastLook.IsZero() || s.Distance != nil || s.SinceProgress != nil {
		t.Errorf("%+v", s)
	}
}

// What is not known is absent, whatever was known before.
func TestAbsence(t *testing.T) {
	catchingUp := func(s int) progress.Sample { return told(s, 90_000+uint64(s)*2) }
	for _, tc := range []struct {
		name                                string
		samples                             []progress.Sample
		ask                                 int
		distance, speed, eta, ratio, sinceP bool
	}{
		{"one look", every(0, 0, catchingUp), 0, true, false, false, true, true},
		{"many looks", every(0, 300, catchingUp), 300, true, true, true, true, true},
		{"no answer", join(every(0, 300, catchingUp), every(310, 310, silent)), 310, false, false, false, false, false},
		{"nobody looks", every(0, 300, catchingUp), 361, false, false, false, false, false},
		{"head left out", join(every(0, 300, catchingUp), every(310, 310, func(s int) progress.Sample {
			return with(catchingUp(s), func(s *progress.Sample) { s.HeadSlot = nil })
		})), 310, false, true, true, false, true},
		{"another network", join(every(0, 300, catchingUp), every(310, 310, func(s int) progress.Sample {
			return with(catchingUp(s), func(s *progress.Sample) { s.Identity = network.Other })
		})), 310, false, false, false, false, false},
		{"synced has a speed and no ETA", every(0, 1000, pace(0)), 1000, true, true, false, true, true},
		{"keeping its distance has no ETA", every(0, 1000, pace(500)), 1000, true, true, false, true, true},
		{"falling behind has no ETA", every(0, 1200, func(s int) progress.Sample { return told(s, 90_000+uint64(s/100)) }), 1200, true, true, false, true, true},
		{"stalled has a speed and no ETA", join(every(0, 300, catchingUp), every(310, 1000, frozen(90_600))), 1000, true, true, false, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := progress.New(progress.Options{})
			for _, s := range tc.samples {
				f.Observe(s)
			}
			s := f.Status(at(tc.ask))
			if s.Distance != nil != tc.distance || s.Speed != nil != tc.speed || s.Closing != nil != tc.speed || s.ETA != nil != tc.eta ||
				s.Ratio != nil != tc.ratio || s.SinceProgress != nil != tc.sinceP {
				t.Errorf("distance %v, speed %v, closing %v, eta %v, ratio %v, since progress %v",
					s.Distance, s.Speed, s.Closing, s.ETA, s.Ratio, s.SinceProgress)
			}
		})
	}
}

func TestFigures(t *testing.T) {
	// 32 slots every 20 seconds is 1.6 slots a second; the chain moves by 1/12. At 1000 s, 91,600 of slot 100,083.
	s := run(progress.Options{}, every(0, 1000, func(s int) progress.Sample { return told(s, 90_000+uint64(s/20)*32) }))
	near := func(name string, got, want, within float64) {
		t.Helper()
		if got < want-within || got > want+within {
			t.Errorf("%s: got %g, want %g", name, got, want)
		}
	}
	if *s.Distance != 100_083-91_600 {
		t.Errorf("distance %d", *s.Distance)
	}
	near("speed", *s.Speed, 1.6, 1e-9)
	near("closing", *s.Closing, 1.6-1.0/12, 1e-9)
	near("ratio", *s.Ratio, 1600.0/(100_083-90_000), 1e-9)
	eta := float64(*s.Distance) / (1.6 - 1.0/12)
	near("ETA", s.ETA.P50.Seconds(), eta, 1)
	if s.ETA.P10 > s.ETA.P50 || s.ETA.P50 > s.ETA.P90 {
		t.Errorf("%+v is not in order", s.ETA)
	}
	if *s.SinceProgress != 0 || !s.LastSeen.Equal(at(1000)) || !s.LastLook.Equal(at(1000)) {
		t.Errorf("%+v", s)
	}

	s = run(progress.Options{}, every(0, 1000, frozen(90_000)))
	if *s.Speed != 0 || *s.SinceProgress != 1000*time.Second || *s.Ratio != 0 {
		t.Errorf("stalled: speed %g, since progress %s, ratio %g", *s.Speed, *s.SinceProgress, *s.Ratio)
	}
	near("closing while stalled", *s.Closing, -1.0/12, 1e-9)

	s = run(progress.Options{}, every(0, 1200, pace(0)))
	near("speed of a synced node", *s.Speed, 1.0/12, 0.005)
	near("ratio of a synced node", *s.Ratio, 1, 0)

	s = run(progress.Options{}, join(every(0, 1200, pace(0)), every(1210, 1260, frozen(100_095))))
	near("ratio of a node that has only just fallen behind", *s.Ratio, 1, 0.5)

	s = run(progress.Options{}, every(0, 1000, func(s int) progress.Sample {
		return with(pace(0)(s), func(sample *progress.Sample) { sample.BackfillRemaining = new(20_000 - uint64(s)*4) })
	}))
	if *s.BackfillRemaining != 16_000 || s.Phase != progress.Backfilling {
		t.Errorf("backfill %d, %s", *s.BackfillRemaining, s.Phase)
	}
	near("backfill ETA", s.BackfillETA.P50.Seconds(), 4000, 1)
}

// A speed from before a stall, a restart or a fall says nothing of the time after it.
func TestPaceBeginsAnew(t *testing.T) {
	slow := func(s int) progress.Sample { return told(s, 80_000+uint64(s)/10) }
	fast := func(from int, head uint64) func(int) progress.Sample {
		return func(s int) progress.Sample { return told(s, head+uint64(s-from)*5) }
	}
	for _, tc := range []struct {
		name    string
		samples []progress.Sample
	}{
		{"stall", join(every(0, 600, slow), every(610, 1300, frozen(80_060)), every(1310, 1400, fast(1300, 80_060)))},
		{"restart", join(every(0, 600, slow), every(610, 620, refused), every(630, 720, fast(620, 80_060)))},
		{"fall", join(every(0, 600, slow), every(610, 700, fast(600, 79_000)))},
		{"reset of the chain", join(every(0, 600, slow), every(610, 700, func(s int) progress.Sample {
			return with(fast(600, 79_000)(s), func(s *progress.Sample) { s.Chain.GenesisTime = s.Chain.GenesisTime.Add(-time.Hour) })
		}))},
		{"clock set back", join(every(0, 600, slow), every(300, 390, fast(300, 80_060)))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if s := run(progress.Options{}, tc.samples); s.Speed == nil || *s.Speed < 4.9 || *s.Speed > 5.1 {
				t.Errorf("speed %v", s.Speed)
			}
		})
	}
}

func TestClockSetBack(t *testing.T) {
	f := progress.New(progress.Options{})
	for _, s := range join(every(0, 590, frozen(90_000)), every(-7200, -7190, frozen(90_000))) {
		f.Observe(s)
	}
	s := f.Status(at(-9000))
	if s.Phase != progress.Stalled || *s.SinceProgress != 600*time.Second || *s.Distance != mainnetLike.Slot(at(-7190))-90_000 {
		t.Errorf("%s, since progress %s, distance %d", s.Phase, *s.SinceProgress, *s.Distance)
	}
}

func TestPhasesAreAllListed(t *testing.T) {
	seen := map[progress.Phase]bool{}
	for _, p := range progress.Phases() {
		seen[p] = true
	}
	if len(seen) != 9 || len(progress.Phases()) != 9 {
		t.Errorf("%v", progress.Phases())
	}
}
