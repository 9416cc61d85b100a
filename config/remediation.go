package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	Mode string `yaml:"mode"`
	// Journal is the file of the remediator's journal; backups stand in a folder beside it.
	Journal string `yaml:"journal"`
	// Alertmanagers are asked for what was missed; an empty list asks nobody.
	Alertmanagers []string `yaml:"alertmanagers"`
	Webhook       Webhook  `yaml:"webhook"`
	Guards        Guards   `yaml:"guards"`
	// Playbooks are ladders by name; left out, the shipped ones.
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
	Budget   Budget   `yaml:"budget"`
	// ConcurrentNodes is how many nodes may be under remediation at once.
	ConcurrentNodes int `yaml:"concurrent_nodes"`
	// MaxShare is the share of the fleet, from 0 to 1, that may be under remediation at once; one node always may.
	MaxShare float64 `yaml:"max_share"`
	// Quorum is how many usable, agreeing providers a change of provider needs.
	Quorum int   `yaml:"quorum"`
	Quiet  Quiet `yaml:"quiet"`
}

// Budget bounds what is done to one node.
type Budget struct {
	// Actions is how many attempts are allowed in any period of length Per.
	Actions int      `yaml:"actions"`
	Per     Duration `yaml:"per"`
	// Resyncs is how many of them may rebuild the database. It has no effect yet: no action does.
	Resyncs int `yaml:"resyncs"`
}

// Quiet is the window around a network's reset.
type Quiet struct {
	BeforeReset  Duration `yaml:"before_reset"`
	AfterGenesis Duration `yaml:"after_genesis"`
}

// Playbook is a ladder of steps.
type Playbook []Step

// Step is one action and the check that it helped. Exactly one action is set.
type Step struct {
	// Restart is "consensus" or "execution".
	Restart string `yaml:"restart"`
	// Failover is "best" or a provider's name.
	Failover string `yaml:"failover"`
	Verify   Verify `yaml:"verify"`
}

// Verify is what must be seen after an action, by our own look. Exactly one check is set.
type Verify struct {
	// Progress is by how many slots the head must have advanced.
	Progress Slots `yaml:"progress"`
	// Phase lists phases of which the node must be in one.
	Phase []string `yaml:"phase"`
	// Source is "usable": the configured provider must be.
	Source string `yaml:"source"`
	// Execution is "up": the execution client must answer and its head be fresh.
	Execution string `yaml:"execution"`
	// Peers is the least number of connected peers.
	Peers int `yaml:"peers"`
	// Backfill is by how many slots the backfill must have come nearer to its end.
	Backfill Slots `yaml:"backfill"`
	// Within is how long the check may take to come true.
	Within Duration `yaml:"within"`
	// Hold is how long it must then stay true.
	Hold Duration `yaml:"hold"`
}

// Slots is a number of slots, written as 64 or "64 slots".
type Slots uint64

// UnmarshalYAML reads a number of slots.
func (s *Slots) UnmarshalYAML(v *yaml.Node) error {
	text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(v.Value), "s"), "slot"))
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || v.Kind != yaml.ScalarNode {
		return &valueError{line: v.Line, problem: fmt.Sprintf("%q is not a number of slots", clip(v.Value)), mend: "write it like 64 slots"}
	}
	*s = Slots(n)
	return nil
}

// Phases are the words for where a node stands, as in the metric checkpoint_node_phase.
var phases = []string{"unreachable", "bootstrapping", "syncing", "optimistic", "backfilling", "synced", "stalled", "wrong_network", "old_iteration"}

// Actions that a step can take.
var actions = []string{"restart", "failover"}

func defaultRemediation() Remediation {
	return Remediation{
		Mode:    Observe,
		Journal: "/var/lib/checkpoint/journal.jsonl",
		Guards: Guards{
			PauseFile: "/run/checkpoint/pause", Cooldown: Duration(15 * time.Minute),
			Budget:          Budget{Actions: 4, Per: Duration(6 * time.Hour), Resyncs: 1},
			ConcurrentNodes: 1, MaxShare: 0.3, Quorum: 2,
			Quiet: Quiet{BeforeReset: Duration(10 * time.Minute), AfterGenesis: Duration(150 * time.Minute)},
		},
	}
}

func (r *Remediation) fill() {
	if r.Alertmanagers == nil {
		r.Alertmanagers = []string{"http://127.0.0.1:9093"}
	}
	if r.Playbooks == nil {
		r.Playbooks = DefaultPlaybooks()
	}
}

// DefaultPlaybooks are the shipped ladders, one for each playbook that the shipped rules name.
func DefaultPlaybooks() map[string]Playbook {
	minutes := func(n int) Duration { return Duration(time.Duration(n) * time.Minute) }
	progress := Verify{Progress: 64, Within: minutes(10), Hold: Duration(30 * time.Second)}
	return map[string]Playbook{
		// A restart cures a client that lost its way; where it does not, a checkpoint source that went bad may be why it never began.
		"node_stalled": {
			{Restart: "consensus", Verify: progress},
			{Failover: "best", Verify: progress},
		},
		"source_unusable": {
			{Failover: "best", Verify: Verify{Source: "usable", Within: minutes(5), Hold: Duration(30 * time.Second)}},
		},
		"execution_offline": {
			{Restart: "execution", Verify: Verify{Execution: "up", Within: minutes(10), Hold: minutes(1)}},
		},
		"no_peers": {
			{Restart: "consensus", Verify: Verify{Peers: 1, Within: minutes(10), Hold: minutes(1)}},
		},
		// Restarting is what cures Lighthouse's stalled backfill (sigp/lighthouse issues 3715 and 4331); duties do not suffer meanwhile.
		"backfill_stalled": {
			{Restart: "consensus", Verify: Verify{Backfill: 32, Within: minutes(20), Hold: Duration(30 * time.Second)}},
		},
	}
}

// UnmarshalYAML fills a step's defaults before its own values.
func (s *Step) UnmarshalYAML(v *yaml.Node) error {
	type plain Step
	p := plain{Verify: Verify{Within: Duration(10 * time.Minute), Hold: Duration(30 * time.Second)}}
	if err := v.Decode(&p); err != nil {
		return err
	}
	*s = Step(p)
	return nil
}

// Action is the word for what the step does.
func (s Step) Action() string {
	switch {
	case s.Restart != "":
		return "restart"
	case s.Failover != "":
		return "failover"
	}
	return ""
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
	case g.ConcurrentNodes < 1:
		return c.Problem("fewer than one node at once", "write 1 or more; mode: observe is how to do nothing", "remediation", "guards", "concurrent_nodes")
	case !(g.MaxShare > 0 && g.MaxShare <= 1): // and not NaN
		return c.Problem("not a share", "write a number above 0 and at most 1, such as 0.3", "remediation", "guards", "max_share")
	case g.Quorum < 1:
		return c.Problem("fewer than one provider", "write 1 or more; 2 is the least that can agree", "remediation", "guards", "quorum")
	}
	return c.checkPlaybooks()
}

func (c *Config) checkPlaybooks() error {
	for name := range DefaultPlaybooks() {
		if _, ok := c.Remediation.Playbooks[name]; !ok {
			return c.Problem(fmt.Sprintf("no playbook %q, which the shipped rules name", name),
				fmt.Sprintf("add it, or `%s: []` to do nothing", name), "remediation", "playbooks")
		}
	}
	for _, name := range sortedKeys(c.Remediation.Playbooks) {
		for i, s := range c.Remediation.Playbooks[name] {
			if err := c.checkStep(s, "remediation", "playbooks", name, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) checkStep(s Step, at ...any) error {
	key := func(k ...any) []any { return append(slices.Clone(at), k...) }
	switch {
	case (s.Restart != "") == (s.Failover != ""):
		return c.Problem("a step takes exactly one action", "write one of "+strings.Join(actions, ", "), at...)
	case s.Restart != "" && s.Restart != "consensus" && s.Restart != "execution":
		return c.Problem(fmt.Sprintf("cannot restart %q", clip(s.Restart)), "write consensus or execution", key("restart")...)
	case s.Failover != "" && s.Failover != "best" && !slices.ContainsFunc(c.Providers, func(p Provider) bool { return p.Name == s.Failover }):
		return c.Problem(fmt.Sprintf("no provider %q", clip(s.Failover)), "write best or the name of a provider", key("failover")...)
	}
	v, checks := s.Verify, 0
	for _, set := range []bool{v.Progress > 0, len(v.Phase) > 0, v.Source != "", v.Execution != "", v.Peers > 0, v.Backfill > 0} {
		if set {
			checks++
		}
	}
	switch {
	case checks != 1:
		return c.Problem("a step is verified by exactly one check", "write one of progress, phase, source, execution, peers, backfill", key("verify")...)
	case v.Source != "" && v.Source != "usable":
		return c.Problem(fmt.Sprintf("cannot check for source %q", clip(v.Source)), "write usable", key("verify", "source")...)
	case v.Execution != "" && v.Execution != "up":
		return c.Problem(fmt.Sprintf("cannot check for execution %q", clip(v.Execution)), "write up", key("verify", "execution")...)
	case v.Within <= 0:
		return c.Problem("no time to verify in", "write how long the check may take, such as 10m", key("verify", "within")...)
	}
	for i, p := range v.Phase {
		if !slices.Contains(phases, p) {
			return c.Problem(fmt.Sprintf("%q is not a phase", clip(p)), "write some of "+strings.Join(phases, ", "), key("verify", "phase", i)...)
		}
	}
	return nil
}
