//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// chain is a network of real clients: one geth and one Prysm with all validators, and two checkpointz in front of it.
type chain struct {
	pace      pace
	dir       string
	genesis   genesis
	execution *executionNode
	beacon    *beaconNode
	providers []*checkpointz

	genesisTime    int64
	validatorsRoot string
}

// startChain brings a chain up until both providers serve a finalized state. When finality does not come, which is what a machine too
// slow for the pace looks like, it tries once more at a slower one and says so.
func startChain(tb testing.TB, clock *stopwatch) *chain {
	tb.Helper()
	fast, slow := pace{slot: 2 * time.Second, validators: 8}, pace{slot: 3 * time.Second, validators: 16}
	c, err := bringUp(tb, clock, fast)
	if err != nil {
		tb.Logf("the chain did not start with slots of %s and %d validators: %v", fast.slot, fast.validators, err)
		tb.Logf("trying once more with slots of %s and %d validators", slow.slot, slow.validators)
		if c, err = bringUp(tb, clock, slow); err != nil {
			tb.Fatalf("the chain did not start: %v", err)
		}
	}
	return c
}

func bringUp(tb testing.TB, clock *stopwatch, p pace) (c *chain, err error) {
	c = &chain{pace: p, dir: workDir(tb)}
	var running []*process
	defer func() {
		if err != nil {
			for i := len(running) - 1; i >= 0; i-- {
				running[i].stop()
			}
		}
	}()
	// A second attempt has names of its own, and with them data: a validator remembers which chain it has signed for.
	suffix := fmt.Sprintf("-%ds", int(p.slot.Seconds()))
	if c.genesis, err = makeGenesis(tb, c.dir, p, 15*time.Second); err != nil {
		return c, fmt.Errorf("make the genesis: %w", err)
	}
	if c.execution, err = startExecution(tb, c.dir, "geth"+suffix, c.genesis); err != nil {
		return c, err
	}
	running = append(running, c.execution.process)
	c.beacon = newBeacon(tb, c.dir, "prysm"+suffix, c.genesis, c.execution)
	if err := c.beacon.start(tb, "--min-sync-peers=0", "--subscribe-all-subnets"); err != nil {
		return c, err
	}
	validator := startValidator(tb, c.dir, "validator"+suffix, p, c.genesis, c.beacon)
	running = append(running, c.beacon.process, validator)
	clock.lap("genesis and programs of the chain")

	// The third epoch's end finalizes the first checkpoint. Twice that, and a minute for the start.
	limit := 2*4*slotsPerEpoch*p.slot + time.Minute
	err = attempt(limit, "the chain's first finality", func() error {
		return firstError(c.execution.ended, c.beacon.ended, validator.ended, func() error {
			epoch, err := c.beacon.finalized()
			if err == nil && epoch == 0 {
				err = fmt.Errorf("nothing is final yet")
			}
			return err
		})
	})
	if err != nil {
		return c, err
	}
	clock.lap("first finality")

	for _, name := range []string{"checkpointz-1", "checkpointz-2"} {
		provider, err := startCheckpointz(tb, c.dir, name+suffix, c.beacon)
		if err != nil {
			return c, err
		}
		running = append(running, provider.process)
		c.providers = append(c.providers, provider)
	}
	for _, provider := range c.providers {
		if err := attempt(2*time.Minute, provider.name+" to serve a finalized state", provider.serves); err != nil {
			return c, err
		}
	}
	clock.lap("both checkpointz serve a finalized state")

	var facts struct {
		GenesisTime    int64  `json:"genesis_time,string"`
		ValidatorsRoot string `json:"genesis_validators_root"`
	}
	if err := beaconData(c.beacon.url, "/eth/v1/beacon/genesis", &facts); err != nil {
		return c, err
	}
	c.genesisTime, c.validatorsRoot = facts.GenesisTime, facts.ValidatorsRoot
	return c, nil
}

// stopwatch prints what each stage of a long test took.
type stopwatch struct {
	tb          testing.TB
	began, last time.Time
}

func newStopwatch(tb testing.TB) *stopwatch {
	now := time.Now()
	return &stopwatch{tb: tb, began: now, last: now}
}

func (s *stopwatch) lap(what string) {
	s.tb.Helper()
	now := time.Now()
	s.tb.Logf("%6.1f s, %6.1f s in all: %s", now.Sub(s.last).Seconds(), now.Sub(s.began).Seconds(), what)
	s.last = now
}
