package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// pace is how often the programs are asked what they know.
const pace = 500 * time.Millisecond

// story tells what is seen, each thing once.
type story struct {
	out   io.Writer
	scene *scene
	place place
	began time.Time
	told  map[string]bool

	journalPath string
	backup      string
	stalledAt   uint64 // the head of the stalling node when it was made to stall
}

func newStory(out io.Writer, s *scene, p place) *story {
	return &story{out: out, scene: s, place: p, began: time.Now(), told: map[string]bool{}}
}

// tell tells the story until ctx ends. With Exit it returns once the story is complete, or says what is missing.
func (s *story) tell(ctx context.Context, o Options) error {
	deadline := time.NewTimer(o.Deadline)
	defer deadline.Stop()
	late := deadline.C
	tick := time.NewTicker(pace)
	defer tick.Stop()

	s.opening()
	chapters, acted, complete := []chapter{s.judged()}, false, false
	var left []string
	for {
		select {
		case <-ctx.Done():
			if o.Exit {
				return errors.Join(errors.New("the demo was ended before its story was"), unseen(left))
			}
			return nil
		case <-late:
			err := errors.Join(fmt.Errorf("after %s the story is not complete", o.Deadline), unseen(left))
			if o.Exit {
				return err
			}
			s.line("%v", err)
		case <-tick.C:
		}
		seen, err := s.place.look(ctx)
		s.news(seen)
		left = remaining(chapters, seen)
		if err != nil {
			left = append(left, err.Error())
		}
		switch {
		case len(left) > 0 || complete:
		case !acted:
			if err := s.faults(seen); err != nil {
				return err
			}
			chapters, acted = s.chapters(), true
		default:
			s.ending(seen)
			complete, late = true, nil
			if o.Exit {
				return nil
			}
			s.blank()
			s.line("The story is complete. The demo goes on until Ctrl-C, and then leaves nothing behind.")
		}
	}
}

func remaining(chapters []chapter, seen sighting) []string {
	var left []string
	for _, c := range chapters {
		if m := c.missing(seen); m != "" {
			left = append(left, fmt.Sprintf("%s: %s", c.title, m))
		}
	}
	return left
}

func unseen(left []string) error {
	if len(left) == 0 {
		return nil
	}
	return errors.New("not seen: " + strings.Join(left, "\nnot seen: "))
}

// line writes one line with the time since the beginning.
func (s *story) line(format string, args ...any) {
	d := time.Since(s.began).Round(time.Second)
	fmt.Fprintf(s.out, "%2d:%02d  %s\n", int(d.Minutes()), int(d.Seconds())%60, fmt.Sprintf(format, args...))
}

// blank parts what belongs together from the rest.
func (s *story) blank() { fmt.Fprintln(s.out) }

// once writes a line unless one was written for the same key.
func (s *story) once(key, format string, args ...any) {
	if !s.told[key] {
		s.told[key] = true
		s.line(format, args...)
	}
}

func (s *story) journal() string { return s.journalPath }

func (s *story) opening() {
	c := s.scene.sim.Chain()
	s.line("Simulated is the network alone: %s, iteration %d, slot %d, %d s a slot, on ports of this machine.",
		c.Network, c.Iteration, c.Slot(time.Now()), c.SecondsPerSlot)
	s.line("Exporter, Prometheus' and Alertmanager's engines, rules and remediator are the real ones. What follows is asked of them.")
	s.line("Status page %s, log %s", s.place.exporter, s.place.log)
	s.blank()
}

// faults are the demo's own doing, and the only thing told that the programs did not tell.
func (s *story) faults(seen sighting) error {
	s.verdicts(seen)
	if head := seen.node(stalling).HeadSlot; head != nil {
		s.stalledAt = *head
	}
	if err := s.scene.sim.Provider(dying).SetFault(simulate.Down()); err != nil {
		return fmt.Errorf("end provider %s: %w", dying, err)
	}
	if err := s.scene.sim.Node(stalling).SetFault(simulate.Stall()); err != nil {
		return fmt.Errorf("stall node %s: %w", stalling, err)
	}
	s.blank()
	s.line("The demo kills provider %s, the checkpoint source of %s, and freezes the head of %s.", dying, orphaned, stalling)
	s.line("One bad look moves nobody: rules wait before they fire, Alertmanager before it sends, the remediator looks again.")
	s.blank()
	return nil
}

func (s *story) verdicts(seen sighting) {
	q := seen.providers.Quorum
	s.line("Seen: %d of %d providers agree on epoch %s; %d are needed.", q.Providers, len(seen.providers.Providers), number(q.Epoch), q.Threshold)
	for _, p := range seen.providers.Providers {
		s.provider(p)
	}
	for _, n := range seen.nodes.Nodes {
		s.node(n)
	}
}

func (s *story) provider(p collector.Provider) {
	if p.Usable {
		s.line("      %-8s usable, epoch %d, %d behind the clock", p.Name, p.Finalized.Epoch, *p.LagEpochs)
		return
	}
	s.line("      %-8s NOT usable, %s", p.Name, brief(p.Reasons))
}

func (s *story) node(n collector.Node) {
	text := fmt.Sprintf("      %-8s %s, slots behind: %s", n.Name, n.Phase, number(n.DistanceSlots))
	if n.Client != nil {
		text += ", " + n.Client.Name
	}
	if n.Speed != nil && n.Phase != "synced" {
		text += fmt.Sprintf(", %.1f slots/s", *n.Speed)
	}
	if n.ETA != nil {
		text += fmt.Sprintf(", about %s to go", (time.Duration(n.ETA.P50) * time.Second).String())
	}
	s.line("%s", text)
}

// ending shows what is left to hold in one's hands.
func (s *story) ending(seen sighting) {
	n := seen.node(stalling)
	s.blank()
	s.line("It helped: the head of %s stood still at slot %d and is at %s now; it is %s.",
		stalling, s.stalledAt, number(n.HeadSlot), n.Phase)
	s.diff()
	s.blank()
	s.line("Where to look:")
	for _, w := range [][2]string{
		{"status page", s.place.exporter + "/"},
		{"metrics", s.place.exporter + "/metrics and " + s.place.remediator + "/metrics"},
		{"alerts", s.place.api + "/api/v2/alerts"},
		{"PromQL", s.place.api + "/api/v1/query?query=checkpoint_node_distance_slots"},
		{"incidents", s.place.remediator + "/api/v1/incidents"},
		{"journal", s.journalPath},
		{"inventory", s.scene.inventory},
		{"its backup", s.backup},
		{"configuration", s.scene.config},
		{"log", s.place.log},
	} {
		s.line("      %-13s %s", w[0], w[1])
	}
}

// diff shows the lines of the inventory that were changed; the chapters made sure that no others were.
func (s *story) diff() {
	now, err := os.ReadFile(s.scene.inventory)
	if err != nil {
		s.line("%v", err)
		return
	}
	before, after := strings.Split(string(s.scene.original), "\n"), strings.Split(string(now), "\n")
	s.line("%s, all lines that differ:", filepath.Base(s.scene.inventory))
	for _, i := range changedLines(before, after) {
		s.line("      %d - %s", i+1, before[i])
		s.line("      %d + %s", i+1, after[i])
	}
}

// brief is the first thing that is wrong; the status page has all.
func brief(fs []collector.Finding) string {
	if len(fs) == 0 {
		return "and why is not told"
	}
	text, _, more := strings.Cut(fs[0].Text, "; ")
	if more || len(fs) > 1 {
		text += "; and more"
	}
	return fs[0].Reason + ": " + text
}

func reasons(fs []collector.Finding) string {
	all := make([]string, 0, len(fs))
	for _, f := range fs {
		all = append(all, f.Reason+": "+f.Text)
	}
	return strings.Join(all, "; ")
}

func hasReason(fs []collector.Finding, reason string) bool {
	for _, f := range fs {
		if f.Reason == reason {
			return true
		}
	}
	return false
}

func number(n *uint64) string {
	if n == nil {
		return "?"
	}
	return fmt.Sprint(*n)
}
