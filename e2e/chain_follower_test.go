//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// follower is a second Prysm with its own geth, the node that our programs look after. It reads its checkpoint URL from an inventory at
// each start, as a unit whose command line is made from one does, and nothing but the test and a request to its restart address starts it.
type follower struct {
	tb        testing.TB
	chain     *chain
	execution *executionNode
	inventory string

	mu       sync.Mutex
	beacon   *beaconNode
	peers    []string // flags
	sources  []string // the URL of each start
	restarts int      // those that were asked for from outside

	restartURL string
}

func newFollower(tb testing.TB, c *chain, source string) *follower {
	tb.Helper()
	peer, err := c.beacon.address()
	if err != nil {
		tb.Fatal(err)
	}
	enode, err := c.execution.enode()
	if err != nil {
		tb.Fatal(err)
	}
	f := &follower{tb: tb, chain: c, inventory: filepath.Join(c.dir, "inventory", "inventory.yaml"), peers: []string{"--peer=" + peer}}
	writeFile(tb, f.inventory, inventory(source))
	if f.execution, err = startExecution(tb, c.dir, "follower-geth", c.genesis, enode); err != nil {
		tb.Fatal(err)
	}
	f.beacon = newBeacon(tb, c.dir, "follower", c.genesis, f.execution)

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "POST restarts the node", http.StatusMethodNotAllowed)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.restarts++
		f.halt()
		if err := f.launch(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	tb.Cleanup(server.Close)
	f.restartURL = server.URL
	return f
}

// start starts the node on the database it has.
func (f *follower) start() {
	f.tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.launch(); err != nil {
		f.tb.Fatal(err)
	}
}

func (f *follower) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.halt()
}

// isolate takes the node's peers away from its next start on, and befriend gives them back.
func (f *follower) isolate() (befriend func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.peers
	f.peers = nil
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.peers = had
	}
}

// forget deletes the database of a node that does not run.
func (f *follower) forget() {
	f.tb.Helper()
	if err := os.RemoveAll(f.beacon.data()); err != nil {
		f.tb.Fatal(err)
	}
}

// startedWith is the URL of each start, and how many restarts were asked for from outside.
func (f *follower) startedWith() (sources []string, restarts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.sources...), f.restarts
}

func (f *follower) halt() {
	if f.beacon.process != nil {
		f.beacon.stop()
	}
}

func (f *follower) launch() error {
	text, err := os.ReadFile(f.inventory)
	if err != nil {
		return err
	}
	source, err := sourceIn(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.inventory, err)
	}
	f.sources = append(f.sources, source)
	return f.beacon.start(f.tb, append([]string{"--min-sync-peers=1", "--checkpoint-sync-url=" + source}, f.peers...)...)
}

// ended tells whether the node has ended.
func (f *follower) ended() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beacon.ended()
}
