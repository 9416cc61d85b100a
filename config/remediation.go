package config

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"go.yaml.in/yaml/v3"
)

// The two modes of remediation.
const (
	// Observe journals what would be done and does nothing.
	Observe = "observe"
	// Act does it.
	Act = "act"
)

// Remediation is the remediator's part.
type Remediation struct {
	// Mode is either observe, which writes down what would be done, or act, which does it.
	Mode string `yaml:"mode"`
	// Journal is the file of the remediator's journal; backups stand in a folder beside it.
	Journal string `yaml:"journal"`
	// Alertmanagers are the URLs of those that are asked for what was missed; an empty list asks nobody.
	Alertmanagers []string `yaml:"alertmanagers"`
	// Webhook is how Alertmanager proves itself.
	Webhook Webhook `yaml:"webhook"`
	// Guards say when not to act.
	Guards Guards `yaml:"guards"`
	// Playbooks are ladders by name, in place of the shipped ones of those names; an empty ladder does nothing.
	Playbooks map[string]Playbook `yaml:"playbooks"`
}

// Webhook is how senders of alerts prove themselves.
type Webhook struct {
	// BearerTokenFile holds the token that Alertmanager sends; it is read again when it changes. Empty asks for none.
	BearerTokenFile string `yaml:"bearer_token_file"`
}

// Guards say when not to act.
type Guards struct {
	// PauseFile stops everything while it exists.
	PauseFile string `yaml:"pause_file"`
	// Cooldown is the least time between two actions on a node.
	Cooldown Duration `yaml:"cooldown"`
	// Budget bounds what is done to one node.
	Budget Budget `yaml:"budget"`
	// ConcurrentNodes is how many nodes may be under remediation at once.
	ConcurrentNodes int `yaml:"concurrent_nodes"`
	// MaxShare is the share of the fleet, from 0 to 1, that may be under remediation at once; one node always may.
	MaxShare float64 `yaml:"max_share"`
	// Quorum is how many usable, agreeing providers a change of provider needs.
	Quorum int `yaml:"quorum"`
	// Quiet is the window around a network's reset in which nothing is done.
	Quiet Quiet `yaml:"quiet"`
	// Flapping bounds how often a node may recover from a playbook and fall back into it.
	Flapping Flapping `yaml:"flapping"`
	// Silence is for how long at a time a node's other alerts are silenced in Alertmanager while an action on it is under way; it is
	// extended while that goes on. 0 silences nothing.
	Silence Duration `yaml:"silence"`
	// ActiveTimeIntervals are the only times in which anything is done, if there are any; written as Alertmanager's time intervals.
	ActiveTimeIntervals []TimeInterval `yaml:"active_time_intervals"`
	// MuteTimeIntervals are times in which nothing is done; written as Alertmanager's time intervals.
	MuteTimeIntervals []TimeInterval `yaml:"mute_time_intervals"`
}

// Budget bounds what is done to one node.
type Budget struct {
	// Actions is how many attempts are allowed in any period of length Per.
	Actions int `yaml:"actions"`
	// Per is the length of that period.
	Per Duration `yaml:"per"`
	// Resyncs is how many of them may rebuild the database.
	Resyncs int `yaml:"resyncs"`
}

// Flapping is how often a node may recover and fall back before people are called.
type Flapping struct {
	// Times is how many recoveries are too many.
	Times int `yaml:"times"`
	// Per is the time in which they are counted.
	Per Duration `yaml:"per"`
}

// TimeInterval is a set of times, such as every night but Friday's, in the notation of Alertmanager's time_intervals.
type TimeInterval struct{ timeinterval.TimeInterval }

// UnmarshalYAML reads an interval.
func (t *TimeInterval) UnmarshalYAML(v *yaml.Node) error {
	if err := v.Decode(&t.TimeInterval); err != nil {
		return &valueError{line: v.Line, problem: "not a time interval (" + clip(strings.TrimPrefix(err.Error(), "yaml: ")) + ")",
			mend: `write it as in Alertmanager's time_intervals, such as {weekdays: ["monday:friday"], times: [{start_time: "09:00", end_time: "17:00"}], location: Europe/Berlin}`}
	}
	return nil
}

// Quiet is the window around a network's reset.
type Quiet struct {
	// BeforeReset is how long before the reset it begins.
	BeforeReset Duration `yaml:"before_reset"`
	// AfterGenesis is how long after the new consensus genesis it ends.
	AfterGenesis Duration `yaml:"after_genesis"`
}

func defaultRemediation() Remediation {
	return Remediation{
		Mode:    Observe,
		Journal: "/var/lib/checkpoint/journal.jsonl",
		Guards: Guards{
			PauseFile: "/run/checkpoint/pause", Cooldown: Duration(15 * time.Minute),
			Budget:          Budget{Actions: 4, Per: Duration(6 * time.Hour), Resyncs: 1},
			ConcurrentNodes: 1, MaxShare: 0.3, Quorum: 2,
			Quiet:    Quiet{BeforeReset: Duration(10 * time.Minute), AfterGenesis: Duration(150 * time.Minute)},
			Flapping: Flapping{Times: 3, Per: Duration(24 * time.Hour)},
			Silence:  Duration(20 * time.Minute),
		},
	}
}

func (r *Remediation) fill() {
	if r.Alertmanagers == nil {
		r.Alertmanagers = []string{"http://127.0.0.1:9093"}
	}
	shipped := DefaultPlaybooks()
	maps.Copy(shipped, r.Playbooks)
	r.Playbooks = shipped
}

func (c *Config) checkRemediation() error {
	r := c.Remediation
	if r.Mode != Observe && r.Mode != Act {
		return c.Problem(fmt.Sprintf("%q is not a mode", clip(r.Mode)), "write observe or act", "remediation", "mode")
	}
	if err := c.checkPath(r.Journal, "remediation", "journal"); err != nil {
		return err
	}
	for i, u := range r.Alertmanagers {
		if err := c.checkURL(u, "remediation", "alertmanagers", i); err != nil {
			return err
		}
	}
	if f := r.Webhook.BearerTokenFile; f != "" {
		if err := c.checkPath(f, "remediation", "webhook", "bearer_token_file"); err != nil {
			return err
		}
	}
	g := r.Guards
	if g.PauseFile != "" {
		if err := c.checkPath(g.PauseFile, "remediation", "guards", "pause_file"); err != nil {
			return err
		}
	}
	switch {
	case g.Budget.Actions < 0:
		return c.Problem("a negative number of actions", "write 0 or more", "remediation", "guards", "budget", "actions")
	case g.Budget.Resyncs < 0:
		return c.Problem("a negative number of resyncs", "write 0 or more", "remediation", "guards", "budget", "resyncs")
	case g.Budget.Per <= 0:
		return c.Problem("no period", "write the period of the budget, such as 6h", "remediation", "guards", "budget", "per")
	case g.Flapping.Times < 1:
		return c.Problem("fewer than one recovery", "write 1 or more", "remediation", "guards", "flapping", "times")
	case g.Flapping.Per <= 0:
		return c.Problem("no period", "write the period of the count, such as 24h", "remediation", "guards", "flapping", "per")
	case g.ConcurrentNodes < 1:
		return c.Problem("fewer than one node at once", "write 1 or more; mode: observe is how to do nothing", "remediation", "guards", "concurrent_nodes")
	case !(g.MaxShare > 0 && g.MaxShare <= 1): // and not NaN
		return c.Problem("not a share", "write a number above 0 and at most 1, such as 0.3", "remediation", "guards", "max_share")
	case g.Quorum < 1:
		return c.Problem("fewer than one provider", "write 1 or more; 2 is the least that can agree", "remediation", "guards", "quorum")
	}
	return c.checkPlaybooks()
}
