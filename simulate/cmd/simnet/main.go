// Command simnet runs a simulated network of checkpoint providers and nodes on loopback ports until it is interrupted. The first line of its
// output is JSON with all URLs; package simulate tells what the control URL takes.
//
//	simnet --provider alpha --provider beta=prysm --provider 'gamma=checkpointz,kind=stale&epochs=50' --node node-1=lighthouse,database
//	simnet --config.file net.yml
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "simnet:", err)
		os.Exit(1)
	}
}

// urls are what the first line of output tells.
type urls struct {
	Control     string              `json:"control"`
	Network     string              `json:"network"`
	GenesisTime int64               `json:"genesis_time"`
	ChainID     uint64              `json:"deposit_chain_id"`
	Providers   map[string]string   `json:"providers"`
	Nodes       map[string]nodeURLs `json:"nodes"`
}

type nodeURLs struct {
	Consensus string `json:"consensus"`
	Execution string `json:"execution,omitempty"`
	Metrics   string `json:"metrics"`
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	app := kingpin.New("simnet", "Simulates a network of checkpoint providers and nodes on loopback ports.").UsageWriter(errs).ErrorWriter(errs)
	file := app.Flag("config.file", "YAML file with the network; flags add to it.").String()
	listen := app.Flag("web.listen-address", "Address of the control endpoint.").Default("127.0.0.1:0").String()
	preset := app.Flag("network", "Preset to simulate, when no file names one.").Default("ephemery").String()
	providers := app.Flag("provider", "A provider: NAME[=CLIENT[,FAULT…]]; a fault is a kind or query parameters as the control endpoint takes them.").Strings()
	nodes := app.Flag("node", "A node: NAME[=CLIENT[,database][,manual]].").Strings()
	source := app.Flag("source", "Checkpoint URL of the nodes given by flags, or a provider's name.").String()
	logLevel := app.Flag("log.level", "Least level that is logged.").Default("info").Enum("debug", "info", "warn", "error")
	if _, err := app.Parse(args); err != nil {
		return err
	}
	logger := log.NewLogfmtLogger(log.NewSyncWriter(errs))
	logger = level.NewFilter(log.With(logger, "ts", log.DefaultTimestampUTC), level.Allow(level.ParseDefault(*logLevel, level.InfoValue())))

	c := netConfig{Network: networkConfig{Name: *preset}}
	if *file != "" {
		var err error
		if c, err = load(*file, *preset); err != nil {
			return err
		}
	}
	if err := c.addFlags(*providers, *nodes, *source); err != nil {
		return err
	}
	sim, err := c.build(logger, time.Now())
	if err != nil {
		return err
	}
	defer sim.Close()
	if err := sim.Start(ctx); err != nil {
		return err
	}
	return serve(ctx, sim, *listen, out)
}

// serve opens the control endpoint and tells the URLs.
func serve(ctx context.Context, sim *simulate.Simulation, address string, out io.Writer) error {
	l, err := simulate.Loopback{}.Listen(ctx, address)
	if err != nil {
		return fmt.Errorf("listen for control: %w", err)
	}
	srv := &http.Server{Handler: sim.Control(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()

	chain := sim.Chain()
	u := urls{
		Control: "http://" + l.Addr().String(), Network: chain.Network, GenesisTime: chain.GenesisTime.Unix(), ChainID: chain.DepositChainID,
		Providers: map[string]string{}, Nodes: map[string]nodeURLs{},
	}
	for _, p := range sim.Providers() {
		u.Providers[p.Name()] = p.URL()
	}
	for _, n := range sim.Nodes() {
		u.Nodes[n.Name()] = nodeURLs{n.URL(), n.ExecutionURL(), n.MetricsURL()}
	}
	if err := json.NewEncoder(out).Encode(u); err != nil {
		return errors.Join(err, srv.Close())
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve control: %w", err)
	case <-ctx.Done():
	}
	if err := errors.Join(srv.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
