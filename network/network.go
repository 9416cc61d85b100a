package network

import "time"

// Network is a chain, or the succession of chains of a network that resets.
type Network struct {
	// Chain holds what is true of every iteration. Iteration, GenesisTime, DepositChainID and ResetAt are ignored when
	// Iterations is set.
	Chain
	// Iterations is nil for a network that does not reset.
	Iterations *Iterations
}

// Iterations is the arithmetic of a network that resets at fixed intervals, as Ephemery does. EIP-6916's formula does not
// hold: the interval was changed from 2 to 7 to 28 days, so counting starts at an anchor (ephemery-genesis values.env).
type Iterations struct {
	// Anchor is the number of a known iteration.
	Anchor uint64
	// AnchorGenesis is the execution genesis timestamp of that iteration (GENESIS_TIMESTAMP).
	AnchorGenesis time.Time
	// Interval is the time between two resets (GENESIS_RESET_INTERVAL).
	Interval time.Duration
	// Delay is the time from the execution genesis to the consensus genesis (GENESIS_DELAY).
	Delay time.Duration
	// BaseChainID plus the iteration is the execution chain id.
	BaseChainID uint64
}

// Genesis is the consensus genesis time of iteration n.
func (i Iterations) Genesis(n uint64) time.Time {
	return i.AnchorGenesis.Add(time.Duration(int64(n)-int64(i.Anchor))*i.Interval + i.Delay)
}

// At is the iteration whose consensus genesis is the latest one not after t. Times before the anchor belong to the anchor.
func (i Iterations) At(t time.Time) uint64 {
	since := t.Sub(i.Genesis(i.Anchor))
	if since < 0 || i.Interval <= 0 {
		return i.Anchor
	}
	return i.Anchor + uint64(since/i.Interval)
}

// ChainAt is the chain that should be running at time t.
func (n Network) ChainAt(t time.Time) Chain {
	c := n.Chain
	if n.Iterations == nil {
		return c
	}
	c.Iteration = n.Iterations.At(t)
	c.GenesisTime = n.Iterations.Genesis(c.Iteration)
	c.DepositChainID = n.Iterations.BaseChainID + c.Iteration
	c.ResetAt = n.Iterations.Genesis(c.Iteration + 1)
	return c
}

// Identity tells how a chain met in the field relates to the one that should be running.
type Identity int

const (
	// Same is the chain that should be running, or one that nothing known contradicts.
	Same Identity = iota
	// Earlier is a past iteration of the network.
	Earlier
	// Next is the iteration that follows, published ahead of its genesis.
	Next
	// Other is another network.
	Other
)

// delaySlack accepts iterations that began with another GENESIS_DELAY: it was 300 s once and is 600 s now.
const delaySlack = time.Hour

// Identify classifies a genesis time, in seconds since the Unix epoch, at time t.
func (n Network) Identify(genesisTime uint64, t time.Time) Identity {
	c := n.ChainAt(t)
	if c.GenesisTime.IsZero() || genesisTime == uint64(c.GenesisTime.Unix()) {
		return Same
	}
	if n.Iterations == nil || genesisTime > 1<<62 {
		return Other
	}
	i := *n.Iterations
	g := time.Unix(int64(genesisTime), 0)
	if g.Equal(i.Genesis(c.Iteration + 1)) {
		return Next
	}
	past := c.GenesisTime.Sub(g)
	if past <= 0 {
		return Other
	}
	// Iterations before the anchor had other intervals, so any reset time on the present grid counts, however early.
	offset := (past + i.Interval) % i.Interval
	if offset <= delaySlack || i.Interval-offset <= delaySlack {
		return Earlier
	}
	return Other
}

// IdentifyChainID classifies an execution chain id at time t.
func (n Network) IdentifyChainID(id uint64, t time.Time) Identity {
	c := n.ChainAt(t)
	switch {
	case c.DepositChainID == 0 || id == c.DepositChainID:
		return Same
	case n.Iterations == nil || id <= n.Iterations.BaseChainID:
		return Other
	case id < c.DepositChainID:
		return Earlier
	case id == c.DepositChainID+1:
		return Next
	}
	return Other
}

// Quiet tells whether t lies in the window around a reset in which nothing can be expected of nodes and providers: from
// before the next execution genesis until after the last consensus genesis. The second result is when the window ends.
func (n Network) Quiet(t time.Time, before, after time.Duration) (bool, time.Time) {
	if n.Iterations == nil {
		return false, time.Time{}
	}
	c := n.ChainAt(t)
	if end := c.GenesisTime.Add(after); t.Before(end) {
		return true, end
	}
	if start := c.ResetAt.Add(-n.Iterations.Delay - before); !t.Before(start) {
		return true, c.ResetAt.Add(after)
	}
	return false, time.Time{}
}
