package remediate

import (
	"context"
	"errors"
	"slices"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// hopeless are the findings for which nothing that we do helps, whatever else the log tells.
var hopeless = map[string]bool{
	config.FindingClientTooOld: true, config.FindingDiskFull: true, config.FindingEngineAuth: true, config.FindingInvalidPayload: true,
}

// told reads the node's logs for one of some findings, or for a hopeless one, which goes first. It returns the line that shows it. A log is
// text that a stranger may have had a hand in: all that it can bring about is what the playbook has a step for.
func (e *Engine) told(ctx context.Context, n config.Node, when []string) (word, line string, err error) {
	var ev Evidence
	e.findingsFor(ctx, n, &ev)
	if problem, bad := ev.Problems[clientConsensus+" log"]; bad {
		return "", "", errors.New(problem)
	}
	for _, f := range config.Findings {
		if line, is := ev.Findings[f]; is && hopeless[f] {
			return f, line, nil
		}
	}
	if k := slices.IndexFunc(when, func(f string) bool { return ev.Findings[f] != "" }); k >= 0 {
		return when[k], ev.Findings[when[k]], nil
	}
	return "", "", nil
}
