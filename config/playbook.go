package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Playbook is a ladder of steps.
type Playbook []Step

// Step is one action and the check that it helped. Exactly one action is set.
type Step struct {
	// When lists findings in the client's own log, of which one must be there: without any of them the step is passed over. An empty list
	// asks for none.
	When []string `yaml:"when"`
	// Restart is "consensus", "execution" or "both": the execution client first, then the consensus client.
	Restart string `yaml:"restart"`
	// Failover is "best" or a provider's name.
	Failover string `yaml:"failover"`
	// Resync sets the consensus client's database aside and lets the client start anew from its source.
	Resync *Resync `yaml:"resync"`
	// Reset is "iteration": both clients are brought onto the network's present iteration.
	Reset string `yaml:"reset"`
	// Observe lists what is collected into the journal: logs, api, disk. It changes nothing and is not verified.
	Observe []string `yaml:"observe"`
	// Stop is "consensus" or "execution". It is not verified.
	Stop string `yaml:"stop"`
	// Verify is what must be seen afterwards: exactly one check, and for how long.
	Verify Verify `yaml:"verify"`
}

// Resync says what of a consensus client's data directory stays, for whoever reads the playbook: these three always do.
type Resync struct {
	// Keep lists network (the node's key and its peers), validators and slashing_protection.
	Keep []string `yaml:"keep"`
}

// Verify is what must be seen after an action, by our own look. Exactly one check is set.
type Verify struct {
	// Progress is by how many slots the head must have advanced.
	Progress Slots `yaml:"progress"`
	// Phase lists phases of which the node must be in one.
	Phase []string `yaml:"phase"`
	// Source is "usable": the configured provider must be.
	Source string `yaml:"source"`
	// Execution is "up": the execution client must answer, and the consensus client must not hold it for offline.
	Execution string `yaml:"execution"`
	// Peers is the least number of connected peers.
	Peers int `yaml:"peers"`
	// Backfill is by how many slots the backfill must have come nearer to its end.
	Backfill Slots `yaml:"backfill"`
	// Distance is how many slots the head may at most be behind the clock.
	Distance Slots `yaml:"distance"`
	// Finalized is "trusted": the node's finalized checkpoint must be within the weak subjectivity period.
	Finalized string `yaml:"finalized"`
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

// What is known to tell from a client's log. Each word stands for a set of messages; docs/remediation.md names them.
const (
	// FindingClientTooOld: the client cannot read a state of the present fork; every provider fails alike.
	FindingClientTooOld = "client_too_old"
	// FindingOutsideWeakSubjectivity: the client refuses to sync from its own database because it is too old.
	FindingOutsideWeakSubjectivity = "outside_weak_subjectivity"
	// FindingCorruptDatabase: the client cannot open or read its database.
	FindingCorruptDatabase = "corrupt_database"
	// FindingCheckpointUnusable: the client refused what its provider served, or got nothing from it.
	FindingCheckpointUnusable = "checkpoint_unusable"
	// FindingDiskFull: the file system has no space left.
	FindingDiskFull = "disk_full"
	// FindingEngineAuth: the execution client refuses the consensus client's JWT.
	FindingEngineAuth = "engine_auth"
	// FindingInvalidPayload: the execution client holds the chain for invalid.
	FindingInvalidPayload = "invalid_payload"
)

// Findings are all words for When.
var Findings = []string{FindingClientTooOld, FindingOutsideWeakSubjectivity, FindingCorruptDatabase, FindingCheckpointUnusable, FindingDiskFull,
	FindingEngineAuth, FindingInvalidPayload}

// Actions that a step can take.
var actions = []string{"restart", "failover", "resync", "reset", "observe", "stop"}

// what a step can collect, and keep.
var (
	observations = []string{"logs", "api", "disk"}
	keepable     = []string{"network", "validators", "slashing_protection"}
)

// DefaultPlaybooks are the shipped ladders, one for each playbook that the shipped rules name.
func DefaultPlaybooks() map[string]Playbook {
	minutes := func(n int) Duration { return Duration(time.Duration(n) * time.Minute) }
	halfMinute := Duration(30 * time.Second)
	progress := Verify{Progress: 64, Within: minutes(10), Hold: halfMinute}
	alive := Verify{Phase: []string{"syncing", "optimistic", "backfilling", "synced"}, Within: minutes(20), Hold: minutes(1)}
	sourceUsable := Verify{Source: "usable", Within: minutes(5), Hold: halfMinute}
	resync := Step{Resync: &Resync{Keep: slices.Clone(keepable)}, Verify: alive}
	all := Step{Observe: slices.Clone(observations)}
	return map[string]Playbook{
		// A restart cures a client that lost its way; where it does not, a checkpoint source that went bad may be why it never began, or the
		// blobs of its anchor are nowhere to be had, and another anchor helps.
		"node_stalled": {
			{Restart: "consensus", Verify: progress},
			{Failover: "best", Verify: progress},
			{Resync: resync.Resync, Verify: Verify{Progress: 64, Within: minutes(20), Hold: halfMinute}},
		},
		// A client that does not come up says why in its log alone. One that its provider fails gets another; one whose database is of no use
		// starts anew. Nothing is done to one that says nothing known: an API that cannot be reached is no reason to touch a database.
		"node_down": {
			all,
			{When: []string{FindingOutsideWeakSubjectivity, FindingCorruptDatabase}, Resync: resync.Resync, Verify: alive},
			{When: []string{FindingCheckpointUnusable}, Failover: "best", Verify: alive},
		},
		"source_unusable": {
			{Failover: "best", Verify: sourceUsable},
		},
		// A client that restarts with a JWT that is not its peer's is none the better for it.
		"execution_offline": {
			{Restart: "execution", Verify: Verify{Execution: "up", Within: minutes(10), Hold: minutes(1)}},
			{Restart: "consensus", Verify: Verify{Execution: "up", Within: minutes(10), Hold: minutes(1)}},
			all,
		},
		// Raised only while the execution client does not advance either.
		"stuck_optimistic": {
			{Restart: "execution", Verify: Verify{Phase: []string{"syncing", "backfilling", "synced"}, Within: minutes(20), Hold: minutes(1)}},
			all,
		},
		"no_peers": {
			{Restart: "consensus", Verify: Verify{Peers: 1, Within: minutes(10), Hold: minutes(1)}},
		},
		// Restarting is what cures Lighthouse's stalled backfill (sigp/lighthouse issues 3715 and 4331); duties do not suffer meanwhile.
		"backfill_stalled": {
			{Restart: "consensus", Verify: Verify{Backfill: 32, Within: minutes(20), Hold: halfMinute}},
		},
		// The database is another chain's, or too old to be trusted or to be worth going on from.
		"wrong_network": {{Failover: "best", Verify: sourceUsable}, resync},
		"outside_weak_subjectivity": {
			{Failover: "best", Verify: sourceUsable},
			{Resync: resync.Resync, Verify: Verify{Finalized: "trusted", Within: minutes(30), Hold: minutes(1)}},
		},
		// A day of slots is what a checkpoint is ahead of such a node at the least.
		"resync_faster": {
			{Failover: "best", Verify: sourceUsable},
			{Resync: resync.Resync, Verify: Verify{Distance: 7200, Within: minutes(30), Hold: minutes(1)}},
		},
		"old_iteration": {
			{Reset: "iteration", Verify: Verify{Phase: alive.Phase, Within: minutes(30), Hold: minutes(1)}},
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
	if !s.Verified() && s.Verify.Kind() == "" {
		s.Verify = Verify{}
	}
	return nil
}

// Action is the word for what the step does.
func (s Step) Action() string {
	for i, set := range s.set() {
		if set {
			return actions[i]
		}
	}
	return ""
}

// set tells which actions are set, in the order of actions.
func (s Step) set() []bool {
	return []bool{s.Restart != "", s.Failover != "", s.Resync != nil, s.Reset != "", len(s.Observe) > 0, s.Stop != ""}
}

// Verified tells whether the step is one that is verified.
func (s Step) Verified() bool { return len(s.Observe) == 0 && s.Stop == "" }

// checks tells which checks are set, in the order of checkNames.
func (v Verify) checks() []bool {
	return []bool{v.Progress > 0, len(v.Phase) > 0, v.Source != "", v.Execution != "", v.Peers > 0, v.Backfill > 0, v.Distance > 0, v.Finalized != ""}
}

var checkNames = []string{"progress", "phase", "source", "execution", "peers", "backfill", "distance", "finalized"}

// Kind is the word for what is looked at; empty when nothing is.
func (v Verify) Kind() string {
	if i := slices.Index(v.checks(), true); i >= 0 {
		return checkNames[i]
	}
	return ""
}

func (c *Config) checkPlaybooks() error {
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
	if !exactlyOne(s.set()...) {
		return c.Problem("a step takes exactly one action", "write one of "+strings.Join(actions, ", "), at...)
	}
	if s.Resync != nil {
		if err := c.checkWords(s.Resync.Keep, keepable, key("resync", "keep")...); err != nil {
			return err
		}
		for _, always := range keepable {
			if !slices.Contains(s.Resync.Keep, always) {
				return c.Problem(fmt.Sprintf("a resync that does not keep %s", always), "add it: a resync never touches it", key("resync", "keep")...)
			}
		}
	}
	if err := c.checkWords(s.Observe, observations, key("observe")...); err != nil {
		return err
	}
	if err := c.checkWords(s.When, Findings, key("when")...); err != nil {
		return err
	}
	switch {
	case s.Restart != "" && s.Restart != "consensus" && s.Restart != "execution" && s.Restart != "both":
		return c.Problem(fmt.Sprintf("cannot restart %q", clip(s.Restart)), "write consensus, execution or both", key("restart")...)
	case s.Failover != "" && s.Failover != "best" && !slices.ContainsFunc(c.Providers, func(p Provider) bool { return p.Name == s.Failover }):
		return c.Problem(fmt.Sprintf("no provider %q", clip(s.Failover)), "write best or the name of a provider", key("failover")...)
	case s.Reset != "" && s.Reset != "iteration":
		return c.Problem(fmt.Sprintf("cannot reset %q", clip(s.Reset)), "write iteration", key("reset")...)
	case s.Stop != "" && s.Stop != "consensus" && s.Stop != "execution":
		return c.Problem(fmt.Sprintf("cannot stop %q", clip(s.Stop)), "write consensus or execution", key("stop")...)
	}
	v := s.Verify
	if !s.Verified() {
		if v.Kind() != "" {
			return c.Problem("nothing can be verified of a step that is not meant to help", "take it out", key("verify")...)
		}
		return nil
	}
	switch {
	case !exactlyOne(v.checks()...):
		return c.Problem("a step is verified by exactly one check", "write one of "+strings.Join(checkNames, ", "), key("verify")...)
	case v.Source != "" && v.Source != "usable":
		return c.Problem(fmt.Sprintf("cannot check for source %q", clip(v.Source)), "write usable", key("verify", "source")...)
	case v.Execution != "" && v.Execution != "up":
		return c.Problem(fmt.Sprintf("cannot check for execution %q", clip(v.Execution)), "write up", key("verify", "execution")...)
	case v.Finalized != "" && v.Finalized != "trusted":
		return c.Problem(fmt.Sprintf("cannot check for finalized %q", clip(v.Finalized)), "write trusted", key("verify", "finalized")...)
	case v.Within <= 0:
		return c.Problem("no time to verify in", "write how long the check may take, such as 10m", key("verify", "within")...)
	}
	return c.checkWords(v.Phase, phases, key("verify", "phase")...)
}

func (c *Config) checkWords(words, known []string, at ...any) error {
	for i, w := range words {
		if !slices.Contains(known, w) {
			return c.Problem(fmt.Sprintf("%q is not known here", clip(w)), "write some of "+strings.Join(known, ", "), append(slices.Clone(at), i)...)
		}
	}
	return nil
}
