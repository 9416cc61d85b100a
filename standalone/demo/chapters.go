package demo

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// chapter is something that the story claims. missing says what of it has not been seen; empty when all has.
type chapter struct {
	title   string
	missing func(sighting) string
}

// The alerts that the story is about, and what answers them.
const (
	sourceAlert    = "CheckpointNodeSourceUnusable"
	sourcePlaybook = "source_unusable"
	stallAlert     = "CheckpointNodeSyncStalled"
	stallPlaybook  = "node_stalled"
)

// judged is the chapter before the faults: everybody is what the cast says.
func (s *story) judged() chapter {
	return chapter{"every provider is judged rightly", func(seen sighting) string {
		for _, r := range cast() {
			p := seen.provider(r.name)
			switch {
			case !p.Asked:
				return r.name + " was not asked"
			case r.reason == "" && !p.Usable:
				return r.name + " is not usable: " + reasons(p.Reasons)
			case r.reason != "" && !hasReason(p.Reasons, r.reason):
				return fmt.Sprintf("%s is not called %s, but: %s", r.name, r.reason, reasons(p.Reasons))
			}
		}
		for _, name := range []string{stalling, orphaned} {
			if n := seen.node(name); !n.Up || n.DistanceSlots == nil {
				return name + " was not seen"
			}
		}
		if seen.node(stalling).Speed == nil {
			return "the speed of " + stalling + " is not known"
		}
		return ""
	}}
}

// chapters are those after the faults.
func (s *story) chapters() []chapter {
	return []chapter{
		{"the dead provider is no longer usable", func(seen sighting) string {
			if p := seen.provider(dying); p.Usable || len(p.Reasons) == 0 {
				return dying + " is still called usable"
			}
			return ""
		}},
		{"its loss raises an alert", s.fired(sourceAlert, orphaned)},
		{"the remediator changes the source, and it helps", s.helped(orphaned, sourcePlaybook)},
		{"the inventory names a usable provider, and nothing else in it has changed", s.inventoryChanged},
		{"the inventory as it was is kept", func(sighting) string { return s.backedUp() }},
		{"the stall raises an alert", s.fired(stallAlert, stalling)},
		{"the remediator restarts the node, and it helps", s.helped(stalling, stallPlaybook)},
		{"the node really was restarted, once", func(sighting) string {
			if n := len(s.scene.sim.Node(stalling).Restarts()); n != 1 {
				return fmt.Sprintf("%s was restarted %d times", stalling, n)
			}
			return ""
		}},
		{"the node's head moves again", func(seen sighting) string {
			n := seen.node(stalling)
			if n.HeadSlot == nil || *n.HeadSlot <= s.stalledAt || n.Phase != "syncing" && n.Phase != "synced" && n.Phase != "backfilling" {
				return fmt.Sprintf("%s is %s", stalling, n.Phase)
			}
			return ""
		}},
	}
}

// fired remembers, for an alert may end before the story does.
func (s *story) fired(name, subject string) func(sighting) string {
	fired := false
	return func(seen sighting) string {
		if fired = fired || seen.firing(name, subject); !fired {
			return fmt.Sprintf("%s does not fire for %s", name, subject)
		}
		return ""
	}
}

func (s *story) helped(node, playbook string) func(sighting) string {
	return func(seen sighting) string {
		i := seen.incident(node, playbook)
		if i.ID == "" {
			return "no incident of " + node
		}
		for _, e := range i.Story {
			if e.Kind == "verified" && strings.HasPrefix(e.Text, "it helped") {
				return ""
			}
		}
		return fmt.Sprintf("incident %s of %s is %s", i.ID, node, i.Stage)
	}
}

func (s *story) inventoryChanged(seen sighting) string {
	now, err := os.ReadFile(s.scene.inventory)
	if err != nil {
		return err.Error()
	}
	before, after := strings.Split(string(s.scene.original), "\n"), strings.Split(string(now), "\n")
	if len(before) != len(after) {
		return fmt.Sprintf("the inventory has %d lines, and had %d", len(after), len(before))
	}
	changed := changedLines(before, after)
	if len(changed) != 1 {
		return fmt.Sprintf("%d lines of the inventory differ", len(changed))
	}
	old, dead := before[changed[0]], s.scene.sim.Provider(dying).URL()
	for _, p := range seen.providers.Providers {
		if p.Usable && after[changed[0]] == strings.Replace(old, dead, p.URL, 1) {
			return ""
		}
	}
	return "the inventory says " + strings.TrimSpace(after[changed[0]])
}

func changedLines(before, after []string) []int {
	var at []int
	for i := range before {
		if before[i] != after[i] {
			at = append(at, i)
		}
	}
	return at
}

// backedUp looks for the inventory's first content beside the journal.
func (s *story) backedUp() string {
	found := ""
	err := filepath.WalkDir(filepath.Dir(s.journal()), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() != int64(len(s.scene.original)) {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Equal(content, s.scene.original) {
			found = path
		}
		return err
	})
	if s.backup = found; found == "" {
		return fmt.Sprintf("no copy of it was found (%v)", err)
	}
	return ""
}
