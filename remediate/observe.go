package remediate

import (
	"context"
	"fmt"
	"slices"
	"syscall"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/node"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Evidence is what was seen of a node, for people. It fits in a journal record.
type Evidence struct {
	// Logs are each client's last lines, oldest first, by consensus and execution.
	Logs map[string][]string `json:"logs,omitempty"`
	// Findings are what those lines tell, by the words of config.Findings, each with its line.
	Findings map[string]string `json:"findings,omitempty"`
	// API is what each route answered, or why it did not.
	API map[string]any `json:"api,omitempty"`
	// Disk is the space of the file systems of data directories, by path.
	Disk map[string]Space `json:"disk,omitempty"`
	// Problems are what could not be collected, by what.
	Problems map[string]string `json:"problems,omitempty"`
}

// Space is that of a file system, in bytes.
type Space struct {
	Total uint64 `json:"total"`
	// Free is for an unprivileged user.
	Free uint64 `json:"free"`
}

const (
	// logLines is how far back a client's log is read: what a crash loop says again and again, and nothing of the week before.
	logLines = 100
	// keptLines are kept in the journal.
	keptLines = 30
)

// findingsFor reads the log of a node's clients.
func (e *Engine) findingsFor(ctx context.Context, n config.Node, ev *Evidence) {
	ev.Logs, ev.Findings = map[string][]string{}, map[string]string{}
	for _, which := range []string{clientConsensus, clientExecution} {
		r := restartOf(n, which)
		if r == nil || len(r.Command) > 0 {
			continue
		}
		lines, err := e.logsOf(ctx, *r)
		if err != nil {
			ev.problem(which+" log", err)
			continue
		}
		for finding, line := range client.Findings(lines) {
			if _, have := ev.Findings[finding]; !have {
				ev.Findings[finding] = line
			}
		}
		ev.Logs[which] = lines[max(0, len(lines)-keptLines):]
	}
}

func (e *Engine) logsOf(ctx context.Context, r config.Restart) ([]string, error) {
	a, err := e.hands.Actuator(r)
	if err != nil {
		return nil, err
	}
	s, ok := a.(actuator.Service)
	if !ok {
		return nil, fmt.Errorf("%s has no log", a)
	}
	return s.Logs(ctx, logLines)
}

func (ev *Evidence) problem(what string, err error) {
	if ev.Problems == nil {
		ev.Problems = map[string]string{}
	}
	ev.Problems[what] = err.Error()
}

// collect sees what a step asks for, and changes nothing.
func (e *Engine) collect(ctx context.Context, n config.Node, what []string) Evidence {
	var ev Evidence
	if slices.Contains(what, "logs") {
		e.findingsFor(ctx, n, &ev)
	}
	if slices.Contains(what, "api") {
		ev.API = answersOf(e.eyes.Look(ctx, n.Name))
	}
	if slices.Contains(what, "disk") {
		ev.Disk = map[string]Space{}
		for _, dir := range []string{n.DataDir, n.Execution.DataDir} {
			var s syscall.Statfs_t
			if dir == "" {
				continue
			}
			if err := syscall.Statfs(dir, &s); err != nil {
				ev.problem("disk of "+dir, err)
				continue
			}
			ev.Disk[dir] = Space{Total: s.Blocks * uint64(s.Bsize), Free: s.Bavail * uint64(s.Bsize)}
		}
	}
	return ev
}

// answersOf are a look's answers: values, and errors as text.
func answersOf(o node.Observation) map[string]any {
	m := map[string]any{}
	c := o.Consensus
	tell(m, "consensus syncing", c.Syncing)
	tell(m, "consensus finality", c.Finality)
	tell(m, "consensus peers", c.Peers)
	tell(m, "consensus version", c.Version)
	tell(m, "consensus health", c.Health)
	if x := o.Execution; x != nil {
		tell(m, "execution syncing", x.Syncing)
		tell(m, "execution head", x.Head)
		tell(m, "execution peers", x.Peers)
		tell(m, "execution version", x.Version)
	}
	return m
}

func tell[T any](m map[string]any, what string, a node.Answer[T]) {
	switch {
	case a.Err != nil:
		m[what] = a.Err.Error()
	case a.OK():
		m[what] = *a.Value
	}
}
