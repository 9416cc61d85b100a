// Package simulate is a network of checkpoint providers and nodes that speak HTTP as real ones do, with faults that are
// switched at run time. The demo, the tests and e2e use it; the exporter and the remediator never import it.
//
// The chain is computed from a clock: roots are hashes of the seed, the chain and the slot, so two simulations with the same
// Options.Seed and clock answer alike. A provider answers as checkpointz does, or as a Prysm or Lodestar node. A node has a
// Beacon API with its client's quirks, an execution JSON-RPC endpoint beside it, and a process: with no database it really
// asks its checkpoint provider for the state and the block over HTTP before it opens its API, and exits when it cannot.
//
//	sim, err := simulate.New(simulate.Options{Network: net})
//	alpha, err := sim.AddProvider("alpha", simulate.ProviderOptions{})
//	node, err := sim.AddNode("node-1", simulate.NodeOptions{
//		Client: simulate.Prysm,
//		Source: simulate.YAMLSource("inventory.yaml", "node-1", "checkpoint_sync_url"),
//	})
//	err = sim.Start(ctx)
//	defer sim.Close()
//	…
//	err = alpha.SetFault(simulate.Down())   // connections are refused from now on
//	err = node.SetFault(simulate.Stall())   // the head stands still until the node is restarted
//	err = node.Restart(ctx)
//
// Simulation.Control is a handler that lets other processes do the same; cmd/simnet is a program around it.
//
// In a testing/synctest bubble, use Options.Sockets: NewMemory(), Options.Clock: time.Now, and give the Memory's DialContext to
// the http.Transport of the code under test; nothing then waits in real time. Providers, and nodes that were started, are handlers too,
// for httptest; on a Memory they have no sockets at all.
//
// What is not simulated: consensus itself, state JSON, fork choice dumps, light client routes, event streams, validator
// duties; the state is zero-filled behind its header and lists, and does not hash to its root. Answers of checkpointz, Prysm,
// Lodestar and geth are held against recordings by a test; those of Lighthouse, Teku, Nimbus and Grandine follow the Beacon
// API's specification and the clients' sources.
package simulate
