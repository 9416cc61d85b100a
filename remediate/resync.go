package remediate

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
)

// sourceAnswer says whether a client that starts without a database would get a state to be trusted.
func (e *Engine) sourceAnswer(ctx context.Context, c *config.Config, n config.Node) (url string, err error) {
	url, err = e.readSource(ctx, c, n.Name)
	if err != nil {
		return "", refuse("source", "%v", err)
	}
	j := e.eyes.Judge(ctx, judgedFor)
	if a := quorumAnswer(c.Remediation.Guards, j); a.Blocks {
		return "", refusal{a}
	}
	p, ok := c.ProviderOf(url)
	if !ok {
		return "", refuse("provider", "its source %s is none of the configured providers", shownURL(url))
	}
	if v, ok := j.Verdict(p.Name); !ok || !v.Usable || v.Agrees == nil || !*v.Agrees {
		return "", refuse("provider", "provider %q, from which the node would start anew, is not usable", p.Name)
	}
	return url, nil
}

// prepareResync makes ready that a consensus client starts anew from its source. Its old database stays beside until it is well.
func (e *Engine) prepareResync(ctx context.Context, c *config.Config, i *incident, n config.Node) (*plan, error) {
	url, err := e.sourceAnswer(ctx, c, n)
	if err != nil {
		return nil, err
	}
	services, err := e.services(ctx, n, clientConsensus)
	if err != nil {
		return nil, err
	}
	move, err := e.hands.ChainData(chaindata.Options{Dir: n.DataDir, Client: n.Consensus.Client, Tag: e.nextID(i)})
	if err != nil {
		return nil, refuse("data_dir", "%v", err)
	}
	s := &surgery{services: services, moves: []chaindata.Move{move}}
	return &plan{
		intent: Intent{Node: n.Name, Action: actionResync, Client: clientConsensus, Target: n.DataDir, From: url, Moves: s.moves, Keeps: true, Before: statesOf(services)},
		effect: s.do, jobs: 4,
	}, nil
}

// prepareReset makes ready that both clients start anew on the network's present iteration.
func (e *Engine) prepareReset(ctx context.Context, c *config.Config, i *incident, n config.Node) (*plan, error) {
	chain := c.NetworkSpec().ChainAt(e.clock.now())
	o := e.eyes.Look(ctx, n.Name)
	if !o.Consensus.Genesis.OK() || o.Consensus.Identity != network.Earlier {
		return nil, refuse("iteration", "the node does not tell that it is on an earlier iteration")
	}
	if n.Source != nil {
		if _, err := e.sourceAnswer(ctx, c, n); err != nil {
			return nil, err
		}
	}
	services, err := e.services(ctx, n, clientExecution, clientConsensus, clientValidator)
	if err != nil {
		return nil, err
	}
	tag := e.nextID(i)
	consensus := chaindata.Options{Dir: n.DataDir, Client: n.Consensus.Client, Reset: true, Tag: tag}
	if n.Validator != nil {
		consensus.SlashingProtection = n.Validator.SlashingProtection
	}
	s := &surgery{services: services}
	for _, o := range []chaindata.Options{{Dir: n.Execution.DataDir, Client: n.Execution.Client, Execution: true, Reset: true, Tag: tag}, consensus} {
		m, err := e.hands.ChainData(o)
		if errors.Is(err, chaindata.ErrNoDatabase) {
			continue
		}
		if err != nil {
			return nil, refuse("data_dir", "%v", err)
		}
		if (n.Validator == nil || n.Validator.Restart == nil) && !validates[n.Consensus.Client] && slashes(m) {
			return nil, refuse("validator", "slashing protection lies in %s, and who writes it would go on while it is set aside; configure validator: with its restart", n.DataDir)
		}
		s.moves = append(s.moves, m)
	}
	var fetch actuator.Actuator
	if c.Remediation.Mode != config.Act {
		// Even what is only laid beside the present files is written.
	} else if n.Reset.URL != "" {
		if s.files, err = e.hands.NetworkFiles(ctx, *n.Reset, chain); err != nil {
			return nil, refuse("network_files", "%v", err)
		}
	} else if fetch, err = e.hands.Actuator(config.Restart{Command: n.Reset.Fetch}); err != nil {
		return nil, refuse("network_files", "%v", err)
	}
	if argv := n.Reset.InitExecution; len(argv) > 0 {
		initialise, err := e.hands.Actuator(config.Restart{Command: argv})
		if err != nil {
			return nil, refuse("actuator", "%v", err)
		}
		s.between = func(ctx context.Context) error {
			out, err := initialise.Restart(ctx)
			if err != nil {
				return fmt.Errorf("initialise the execution client: %w: %s", err, out.Output)
			}
			return nil
		}
	}
	return &plan{
		intent: Intent{
			Node: n.Name, Action: actionReset, Client: clientBoth, Target: n.Execution.DataDir + ", " + n.DataDir, Moves: s.moves, Files: s.files, Keeps: true,
			Before: statesOf(services), Reason: fmt.Sprintf("iteration %d of %s", chain.Iteration, chain.Network),
		},
		effect: func(ctx context.Context) (any, error) {
			if fetch != nil {
				// What it brings is looked at while the node still runs.
				if out, err := fetch.Restart(ctx); err != nil {
					return out, fmt.Errorf("%w: bring the network's files: %w", errBeforeEffect, err)
				}
				if err := netfiles.Check(n.Reset.Dir, chain); err != nil {
					return nil, fmt.Errorf("%w: %w", errBeforeEffect, err)
				}
			}
			return s.do(ctx)
		},
		jobs: 8,
	}, nil
}

// validates are the consensus clients whose beacon node may run validators itself, and so stops writing their slashing protection when
// it is stopped.
var validates = map[string]bool{"nimbus": true, "teku": true}

// slashes tells whether slashing protection is among what is set aside.
func slashes(m chaindata.Move) bool {
	for _, p := range m.Places {
		for _, e := range p.Entries {
			for _, pattern := range p.Slashing {
				if is, err := path.Match(pattern, filepath.Base(e.From)); is || err != nil {
					return true
				}
			}
		}
	}
	return false
}
