package simulate_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// A node without a database cannot start while its provider is down, and does so once that is back.
func Example() {
	ctx := context.Background()
	sim, err := simulate.New(simulate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	alpha, err := sim.AddProvider("alpha", simulate.ProviderOptions{Faults: []simulate.Fault{simulate.Down()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	node, err := sim.AddNode("node-1", simulate.NodeOptions{Client: simulate.Prysm, Source: simulate.FixedSource(alpha.URL())})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sim.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready:", node.WaitReady(ctx) == nil)

	if err := alpha.ClearFaults(simulate.KindDown); err != nil {
		fmt.Println(err)
		return
	}
	if err := node.Restart(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready:", node.WaitReady(ctx) == nil)

	res, err := http.Get(node.URL() + "/eth/v1/node/health")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println("health:", res.StatusCode, "restarts:", len(node.Restarts()))
	// Output:
	// ready: false
	// ready: true
	// health: 206 restarts: 1
}
