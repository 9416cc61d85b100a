package progress_test

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/progress"
)

// The recordings are of a real Prysm on one chain with slots of 3 seconds and epochs of 8 slots, by the time of day.
var recordedChain = network.Chain{GenesisTime: timeOfDay("08:40:35"), SecondsPerSlot: 3, SlotsPerEpoch: 8}

func timeOfDay(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-11-22 "+s)
	if err != nil {
		panic(err)
	}
	return t
}

var healthCode = regexp.MustCompile(`health=(\d+)`)

// recorded reads a recording: a time, the data of /eth/v1/node/syncing if it answered, peers, and the health status, 000 when the
// connection was refused.
func recorded(t *testing.T, name string) []progress.Sample {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []progress.Sample
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		s := progress.Sample{At: timeOfDay(line[:8]), Chain: recordedChain}
		s.Refused = healthCode.FindStringSubmatch(line)[1] == "000"
		s.Reachable = !s.Refused
		if i, j := strings.Index(line, "{"), strings.Index(line, "}"); i >= 0 && strings.Contains(line, "head_slot") {
			var w struct {
				Head       string `json:"head_slot"`
				Distance   string `json:"sync_distance"`
				Syncing    bool   `json:"is_syncing"`
				Optimistic bool   `json:"is_optimistic"`
			}
			if err := json.Unmarshal([]byte(line[i:j+1]), &w); err != nil {
				t.Fatal(err)
			}
			head, err1 := strconv.ParseUint(w.Head, 10, 64)
			distance, err2 := strconv.ParseUint(w.Distance, 10, 64)
			if err1 != nil || err2 != nil {
				t.Fatal(line)
			}
			s.HeadSlot, s.ClientDistance, s.ClientSyncing, s.Optimistic = &head, &distance, &w.Syncing, &w.Optimistic
		}
		all = append(all, s)
	}
	return all
}

func TestReplay(t *testing.T) {
	for _, tc := range []struct {
		file       string
		stallAfter time.Duration
		phases     []progress.Phase
	}{
		// The head stood still at 117 for 45 seconds of this healthy sync.
		{"trace_checkpoint_sync.txt", 90 * time.Second, []progress.Phase{progress.Bootstrapping, progress.Syncing, progress.Optimistic, progress.Syncing}},
		{"trace_no_peers.txt", 10 * time.Minute, []progress.Phase{progress.Bootstrapping, progress.Syncing}},
		{"trace_no_peers.txt", 12 * time.Second, []progress.Phase{progress.Bootstrapping, progress.Syncing, progress.Stalled}},
		// In both the client kept saying is_syncing: false, el_offline: false, health 200.
		{"trace_peer_frozen.txt", 30 * time.Second, []progress.Phase{progress.Syncing, progress.Stalled}},
		{"trace_el_killed.txt", 18 * time.Second, []progress.Phase{progress.Synced, progress.Syncing, progress.Stalled}},
	} {
		t.Run(tc.file+" "+tc.stallAfter.String(), func(t *testing.T) {
			f := progress.New(progress.Options{StallAfter: tc.stallAfter})
			var phases []progress.Phase
			for _, sample := range recorded(t, tc.file) {
				f.Observe(sample)
				s := f.Status(sample.At)
				phases = append(phases, s.Phase)
				if s.ETA != nil {
					t.Errorf("%s: an ETA of %s, but no trace ever gains steadily", sample.At.Format(time.TimeOnly), s.ETA.P50)
				}
				if sample.HeadSlot == nil {
					continue
				}
				// Times were recorded in whole seconds.
				if d := int(*s.Distance) - int(*sample.ClientDistance); d < -1 || d > 1 {
					t.Errorf("%s: distance %d, Prysm says %d", sample.At.Format(time.TimeOnly), *s.Distance, *sample.ClientDistance)
				}
			}
			if got := slices.Compact(phases); !slices.Equal(got, tc.phases) {
				t.Errorf("went through %v, want %v", got, tc.phases)
			}
		})
	}
}

// A restart of that Prysm without a wipe: the head fell from 113 to 88 and was back after some 50 seconds.
func TestReplayRestartFallsBack(t *testing.T) {
	f := progress.New(progress.Options{StallAfter: 30 * time.Second})
	start := recordedChain.SlotTime(114)
	for i, tc := range []struct {
		after int
		head  uint64
		since int
		want  progress.Phase
	}{
		{0, 113, 0, progress.Synced},
		{20, 113, 20, progress.Syncing},
		{40, 113, 40, progress.Stalled},
		{46, 88, 46, progress.Stalled},
		{50, 88, 50, progress.Stalled},
		{60, 96, 0, progress.Syncing},
		{80, 104, 0, progress.Syncing},
		{99, 146, 0, progress.Synced},
	} {
		at := start.Add(time.Duration(tc.after) * time.Second)
		f.Observe(progress.Sample{At: at, Reachable: true, Chain: recordedChain, HeadSlot: &tc.head})
		if s := f.Status(at); s.Phase != tc.want || *s.SinceProgress != time.Duration(tc.since)*time.Second {
			t.Errorf("step %d: %s, %s since progress; want %s, %d s", i, s.Phase, *s.SinceProgress, tc.want, tc.since)
		}
	}
}
