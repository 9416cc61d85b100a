package simulate

import "time"

// Listing is what GET / of Control answers.
type Listing struct {
	Now       time.Time         `json:"now"`
	Network   NetworkListing    `json:"network"`
	Providers []ProviderListing `json:"providers"`
	Nodes     []NodeListing     `json:"nodes"`
}

// NetworkListing is the chain that should be running.
type NetworkListing struct {
	Name           string    `json:"name"`
	Iteration      uint64    `json:"iteration"`
	GenesisTime    time.Time `json:"genesis_time"`
	DepositChainID uint64    `json:"deposit_chain_id"`
	Slot           uint64    `json:"slot"`
	FinalizedEpoch uint64    `json:"finalized_epoch"`
	FinalizedRoot  string    `json:"finalized_root"`
	Halted         bool      `json:"halted"`
}

// ProviderListing is one provider.
type ProviderListing struct {
	Name     string         `json:"name"`
	URL      string         `json:"url"`
	Client   Client         `json:"client"`
	Faults   []Fault        `json:"faults"`
	Requests map[string]int `json:"requests"`
}

// NodeListing is one node.
type NodeListing struct {
	Name         string  `json:"name"`
	URL          string  `json:"url"`
	ExecutionURL string  `json:"execution_url,omitempty"`
	MetricsURL   string  `json:"metrics_url"`
	Client       Client  `json:"client"`
	Faults       []Fault `json:"faults"`
	Restarts     int     `json:"restarts"`
	NodeStatus
}

// Listing tells everything about the simulation.
func (s *Simulation) Listing() Listing {
	now := s.opts.Clock()
	l := s.rightChain(now)
	f := l.finality(s.finalAt(l, now)).finalized
	s.mu.Lock()
	halted := !s.haltedAt.IsZero()
	s.mu.Unlock()
	out := Listing{
		Now: now.UTC(), Providers: []ProviderListing{}, Nodes: []NodeListing{},
		Network: NetworkListing{
			Name: l.chain.Network, Iteration: l.chain.Iteration, GenesisTime: l.chain.GenesisTime.UTC(), DepositChainID: l.chain.DepositChainID,
			Slot: l.chain.Slot(now), FinalizedEpoch: f.epoch, FinalizedRoot: f.root.String(), Halted: halted,
		},
	}
	for _, p := range s.Providers() {
		out.Providers = append(out.Providers, p.listing())
	}
	for _, n := range s.Nodes() {
		out.Nodes = append(out.Nodes, n.listing())
	}
	return out
}

func (p *Provider) listing() ProviderListing {
	return ProviderListing{Name: p.name, URL: p.URL(), Client: p.opts.Client, Faults: append([]Fault{}, p.Faults()...), Requests: p.Requests()}
}

func (n *Node) listing() NodeListing {
	return NodeListing{
		Name: n.name, URL: n.URL(), ExecutionURL: n.ExecutionURL(), MetricsURL: n.MetricsURL(), Client: n.opts.Client,
		Faults: append([]Fault{}, n.Faults()...), Restarts: len(n.Restarts()), NodeStatus: n.Status(),
	}
}
