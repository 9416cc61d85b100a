package progress_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// Any sequence of samples gives a status whose figures are figures: finite, not negative where they cannot be, in order.
func FuzzFollower(f *testing.F) {
	f.Add([]byte{})
	// Each record: flags, step in seconds (signed 16 bit), head (64 bit), backfill (64 bit).
	record := func(flags byte, step int16, head, backfill uint64) []byte {
		b := binary.BigEndian.AppendUint16([]byte{flags}, uint16(step))
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, head), backfill)
	}
	var steady, wild []byte
	for i := range uint64(40) {
		steady = append(steady, record(0x0b, 10, 1000+i*20, 5000-i*32)...)
		wild = append(wild, record(byte(i*37), int16(i*7919), math.MaxUint64>>(i%64), i<<60)...)
	}
	f.Add(steady)
	f.Add(wild)
	f.Add(append(record(0x0b, 10, 113, 0), record(0x0b, -3600, 88, 0)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		chains := []network.Chain{
			{GenesisTime: time.Unix(1_700_000_000, 0), SecondsPerSlot: 12, SlotsPerEpoch: 32},
			{GenesisTime: time.Unix(-1<<60, 0), SecondsPerSlot: 1, SlotsPerEpoch: math.MaxUint64},
			{GenesisTime: time.Unix(1<<40, 0), SecondsPerSlot: math.MaxUint64 >> 1, SlotsPerEpoch: 1},
			{},
		}
		follower := progress.New(progress.Options{})
		now := time.Unix(1_700_400_000, 0)
		for len(data) >= 19 {
			flags := data[0]
			step := time.Duration(int16(binary.BigEndian.Uint16(data[1:]))) * time.Second
			head, backfill := binary.BigEndian.Uint64(data[3:]), binary.BigEndian.Uint64(data[11:])
			data = data[19:]
			now = now.Add(step)
			s := progress.Sample{At: now, Reachable: flags&1 != 0, Refused: flags&4 != 0, Chain: chains[flags>>6], Identity: network.Identity(flags >> 4 & 3)}
			if flags&2 != 0 {
				s.HeadSlot = &head
			}
			if flags&8 != 0 {
				s.BackfillRemaining, s.ClientDistance = &backfill, &backfill
			}
			follower.Observe(s)
			check(t, follower.Status(now))
			check(t, follower.Status(now.Add(step*time.Duration(flags))))
		}
	})
}

func check(t *testing.T, s progress.Status) {
	t.Helper()
	figure := func(name string, v *float64, lo, hi float64) {
		if v != nil && !(*v >= lo && *v <= hi) {
			t.Fatalf("%s is %g: %+v", name, *v, s)
		}
	}
	figure("speed", s.Speed, 0, math.MaxFloat64)
	figure("closing", s.Closing, -math.MaxFloat64, math.MaxFloat64)
	figure("ratio", s.Ratio, 0, 1)
	for _, e := range []*progress.ETA{s.ETA, s.BackfillETA} {
		if e != nil && (e.P10 < 0 || e.P50 < e.P10 || e.P90 < e.P50) {
			t.Fatalf("ETA %+v: %+v", *e, s)
		}
	}
	if s.SinceProgress != nil && *s.SinceProgress < 0 {
		t.Fatalf("since progress %s", *s.SinceProgress)
	}
	if s.Phase == "" || s.Stalled != (s.Phase == progress.Stalled) {
		t.Fatalf("%+v", s)
	}
}
