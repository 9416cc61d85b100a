//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// executionNode is a geth.
type executionNode struct {
	*process
	url    string // JSON-RPC
	engine string // the consensus client's way in
}

// startExecution starts a geth from the genesis, connected to the given peers and to nobody else.
func startExecution(tb testing.TB, dir, name string, g genesis, peers ...string) (*executionNode, error) {
	geth := tool(tb, "nodes/geth", "geth")
	data := filepath.Join(dir, name)
	if _, err := output(tb, geth, "--datadir", data, "init", g.execution); err != nil {
		return nil, err
	}
	// Only the file can bind the peer-to-peer port to one address.
	config := filepath.Join(dir, name+".toml")
	text := fmt.Sprintf("[Node.P2P]\nListenAddr = \"127.0.0.1:%d\"\nNoDiscovery = true\nStaticNodes = %s\n", freePort(tb), tomlList(peers))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	http, engine := freePort(tb), freePort(tb)
	n := &executionNode{url: local(http), engine: local(engine)}
	n.process = start(tb, name, geth, "--config", config, "--datadir", data, "--networkid", strconv.Itoa(executionChain),
		"--syncmode", "full", "--cache", "256", "--nat", "none", "--ipcdisable",
		"--http", "--http.addr", "127.0.0.1", "--http.port", strconv.Itoa(http), "--http.api", "eth,net,web3,admin",
		"--authrpc.addr", "127.0.0.1", "--authrpc.port", strconv.Itoa(engine), "--authrpc.jwtsecret", g.secret)
	return n, attempt(time.Minute, name+" to answer", func() error {
		var id string
		return firstError(n.ended, func() error { return rpc(n.url, "eth_chainId", &id) })
	})
}

// enode is the geth's address for its peers.
func (n *executionNode) enode() (string, error) {
	var info struct {
		Enode string `json:"enode"`
	}
	err := rpc(n.url, "admin_nodeInfo", &info)
	return info.Enode, err
}

func tomlList(items []string) string {
	text := "["
	for _, item := range items {
		text += strconv.Quote(item) + ","
	}
	return text + "]"
}

// beaconNode is a Prysm beacon node. Its ports and data stay the same over restarts.
type beaconNode struct {
	*process
	name      string
	dir       string
	url       string // Beacon API
	rpc       int    // the port for the validator
	p2p       int
	metrics   int
	execution *executionNode
	genesis   genesis
}

func newBeacon(tb testing.TB, dir, name string, g genesis, execution *executionNode) *beaconNode {
	return &beaconNode{
		name: name, dir: dir, genesis: g, execution: execution,
		url: local(freePort(tb)), rpc: freePort(tb), p2p: freePort(tb), metrics: freePort(tb),
	}
}

func (n *beaconNode) data() string { return filepath.Join(n.dir, n.name) }

// start starts the node on the database it has, or on none.
func (n *beaconNode) start(tb testing.TB, extra ...string) (err error) {
	n.process, err = launch(tb, n.name, tool(tb, "nodes/prysm", "beacon-chain"), append([]string{
		"--accept-terms-of-use", "--datadir=" + n.data(),
		"--chain-config-file=" + n.genesis.config, "--genesis-state=" + n.genesis.state, "--contract-deployment-block=0",
		"--execution-endpoint=" + n.execution.engine, "--jwt-secret=" + n.genesis.secret,
		"--http-host=127.0.0.1", "--http-port=" + portOf(n.url), "--rpc-port=" + strconv.Itoa(n.rpc),
		"--monitoring-host=127.0.0.1", "--monitoring-port=" + strconv.Itoa(n.metrics),
		// This release's QUIC panics under the Go we build it with.
		"--disable-quic", "--no-discovery", "--p2p-static-id", "--p2p-local-ip=127.0.0.1", "--p2p-host-ip=127.0.0.1",
		"--p2p-tcp-port=" + strconv.Itoa(n.p2p), "--p2p-udp-port=" + strconv.Itoa(n.p2p),
		"--interop-eth1data-votes", "--minimum-peers-per-subnet=0", "--suggested-fee-recipient=" + feeRecipient,
	}, extra...)...)
	return err
}

var startedP2P = regexp.MustCompile(`Node started p2p server.*?multiAddr="(/ip4/127\.0\.0\.1/tcp/[^"]+)"`)

// address is where the node's peers reach it. With discovery off the Beacon API does not tell, the log does.
func (n *beaconNode) address() (string, error) {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return "", err
	}
	found := startedP2P.FindAllSubmatch(text, -1)
	if found == nil {
		return "", fmt.Errorf("%s has not said yet at which address it listens", n.name)
	}
	return string(found[len(found)-1][1]), nil
}

// finalized is the last epoch the node knows to be final.
func (n *beaconNode) finalized() (uint64, error) {
	var checkpoints struct {
		Finalized struct {
			Epoch uint64 `json:"epoch,string"`
		} `json:"finalized"`
	}
	err := beaconData(n.url, "/eth/v1/beacon/states/head/finality_checkpoints", &checkpoints)
	return checkpoints.Finalized.Epoch, err
}

func startValidator(tb testing.TB, dir, name string, p pace, g genesis, beacon *beaconNode) *process {
	return start(tb, name, tool(tb, "nodes/prysm", "validator"), "--accept-terms-of-use",
		"--datadir="+filepath.Join(dir, name), "--chain-config-file="+g.config,
		fmt.Sprintf("--interop-num-validators=%d", p.validators), "--interop-start-index=0",
		fmt.Sprintf("--beacon-rpc-provider=127.0.0.1:%d", beacon.rpc), "--disable-monitoring", "--suggested-fee-recipient="+feeRecipient)
}

// checkpointz is a provider: the program that most public ones run.
type checkpointz struct {
	*process
	url string
}

func startCheckpointz(tb testing.TB, dir, name string, upstream *beaconNode) (*checkpointz, error) {
	c := &checkpointz{url: local(freePort(tb))}
	config := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf(`global: {listenAddr: %q, metricsAddr: "127.0.0.1:%d", logging: info}
checkpointz:
  mode: full
  caches: {blocks: {max_items: 50}, states: {max_items: 5}}
  historical_epoch_count: 20
  frontend: {enabled: false}
beacon:
  upstreams: [{name: upstream, address: %q, timeoutSeconds: 30, dataProvider: true}]
`, hostPort(c.url), freePort(tb), upstream.url)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	c.process = start(tb, name, tool(tb, "nodes/checkpointz", "checkpointz"), "--config", config)
	return c, nil
}

// serves tells whether the provider has a finalized state to give.
func (c *checkpointz) serves() error {
	return firstError(c.ended, func() error {
		_, err := get(c.url+"/eth/v2/debug/beacon/states/finalized", "application/octet-stream")
		return err
	})
}
