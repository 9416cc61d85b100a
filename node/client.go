package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// Options say where a node is and how to ask it.
type Options struct {
	// ConsensusURL is the base of the Beacon API; required.
	ConsensusURL string
	// MetricsURL is the consensus client's Prometheus page, from which the backfill of Prysm, Teku and Lodestar is read; may be
	// empty.
	MetricsURL string
	// ExecutionURL is the execution client's JSON-RPC endpoint; empty when there is none to ask.
	ExecutionURL string
	// Timeout bounds a whole look; 0 means 5 seconds.
	Timeout time.Duration
	// UserAgent, TLS and Dial are as in beacon.Options.
	UserAgent string
	TLS       *tls.Config
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

const (
	defaultTimeout = 5 * time.Second
	// versionAge is how long a client's version is believed: a restart between two looks can go unseen.
	versionAge = 5 * time.Minute
)

// Client looks at one node. Looks may overlap; they share what is remembered from one to the next.
type Client struct {
	consensus *beacon.Client
	metrics   *beacon.Metrics
	execution *beacon.Execution
	timeout   time.Duration
	now       func() time.Time

	mu sync.Mutex
	// What is remembered while the consensus client stays up.
	genesis *beacon.Genesis
	spec    beacon.Spec
	version memo
	// What is remembered while the execution client stays up.
	executionVersion memo
}

// memo is a version and when it was told.
type memo struct {
	value *beacon.ClientVersion
	at    time.Time
}

// get is the version if it is still believed at time t.
func (m memo) get(t time.Time) *beacon.ClientVersion {
	if age := t.Sub(m.at); m.value == nil || age < 0 || age >= versionAge {
		return nil
	}
	return m.value
}

// New makes a Client. It fails on a URL that cannot be used, and asks nothing yet.
func New(o Options) (*Client, error) {
	c := &Client{timeout: o.Timeout, now: o.Now}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	bo := beacon.Options{UserAgent: o.UserAgent, Timeout: c.timeout, TLS: o.TLS, Dial: o.Dial}
	var err error
	if c.consensus, err = beacon.NewClient(o.ConsensusURL, bo); err != nil {
		return nil, fmt.Errorf("consensus client: %w", err)
	}
	if o.MetricsURL != "" {
		if c.metrics, err = beacon.NewMetrics(o.MetricsURL, bo); err != nil {
			return nil, fmt.Errorf("consensus client's metrics: %w", err)
		}
	}
	if o.ExecutionURL != "" {
		if c.execution, err = beacon.NewExecution(o.ExecutionURL, bo); err != nil {
			return nil, fmt.Errorf("execution client: %w", err)
		}
	}
	return c, nil
}

// CloseIdle closes connections that wait for another request.
func (c *Client) CloseIdle() {
	c.consensus.CloseIdle()
	if c.metrics != nil {
		c.metrics.CloseIdle()
	}
	if c.execution != nil {
		c.execution.CloseIdle()
	}
}

// Look asks the node everything, given the network that it should follow, and comes back within the time-out whatever the node
// does. It does not fail: each part of the Observation says how it went.
func (c *Client) Look(ctx context.Context, n network.Network) Observation {
	o := Observation{At: c.now()}
	o.Chain = n.ChainAt(o.At)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	var wg sync.WaitGroup
	if c.execution != nil {
		o.Execution = &Execution{}
		wg.Go(func() { c.lookExecution(ctx, o.At, n, o.Execution) })
	}
	c.lookConsensus(ctx, n, &o)
	wg.Wait()
	o.Took = max(c.now().Sub(o.At), 0)
	if e := o.Execution; e != nil && e.ChainID.OK() && o.Chain.DepositChainID != 0 {
		e.ChainIDMatch = new(*e.ChainID.Value == o.Chain.DepositChainID)
	}
	return o
}

// ask puts one question and keeps its outcome.
func ask[T any](ctx context.Context, a *Answer[T], question func(context.Context) (T, error)) {
	v, err := question(ctx)
	if err != nil {
		*a = Answer[T]{Err: err}
		return
	}
	*a = Answer[T]{Value: &v}
}

// unreachable tells whether an error leaves no hope for further questions to the same server.
func unreachable(err error) bool { return err != nil && beacon.StatusOf(err) == 0 }
