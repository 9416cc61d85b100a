package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// program is the stripped binary that users run.
func program(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "checkpoint_exporter")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath",
		"-ldflags=-s -w -X github.com/prometheus/common/version.Version=1.2.3 -X github.com/prometheus/common/version.Revision=abcdef", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestProgram is one story, because building the program takes the longest.
func TestProgram(t *testing.T) {
	bin := program(t)
	t.Run("size", func(t *testing.T) {
		const most = 16e6
		info, err := os.Stat(bin)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.1f MB", float64(info.Size())/1e6)
		if info.Size() > most {
			t.Errorf("%d bytes, more than %d", info.Size(), int(most))
		}
	})
	t.Run("help and version", func(t *testing.T) {
		if code, out := call(t, bin, "--version"); code != 0 || !strings.Contains(out, "version 1.2.3") || !strings.Contains(out, "abcdef") {
			t.Error(code, out)
		}
		code, out := call(t, bin, "--help")
		for _, flag := range []string{"--config.file", "config.check", "--web.listen-address", "--web.config.file", "--web.telemetry-path", "--log.level", "--log.format", "probe.allow-any", "127.0.0.1:10177"} {
			if code != 0 || !strings.Contains(out, flag) {
				t.Errorf("%d: --help does not tell of %s", code, flag)
			}
		}
	})
	t.Run("bad configuration", func(t *testing.T) {
		file := write(t, filepath.Join(t.TempDir(), "checkpoint.yml"), "network: hoodi\nquorum: many\n")
		for _, flag := range []string{"--config.check", "--log.level=info"} {
			code, out := call(t, bin, "--config.file="+file, flag)
			if code != 1 || strings.Count(out, "\n") != 1 || !strings.Contains(out, file+":2") || !strings.Contains(out, "quorum") {
				t.Errorf("%d: %s", code, out)
			}
		}
		if code, out := call(t, bin, "--no.such.flag"); code != 1 || strings.Count(out, "\n") != 1 {
			t.Error(code, out)
		}
	})
	t.Run("serve", func(t *testing.T) { serve(t, bin) })
}

// serve runs the program with ten providers and a node, through good and bad reloads, and measures what it needs.
func serve(t *testing.T, bin string) {
	genesis := time.Now().Add(-10 * 24 * time.Hour).Truncate(time.Second)
	sim, err := simulate.New(simulate.Options{Network: network.Network{Chain: network.Chain{
		Network: "devnet", GenesisTime: genesis, SecondsPerSlot: 12, SlotsPerEpoch: 32, DepositChainID: 4242,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	config := fmt.Sprintf("network: {name: devnet, genesis_time: %d, seconds_per_slot: 12, slots_per_epoch: 32, deposit_chain_id: 4242}\n", genesis.Unix()) +
		"probe: {interval: 2s, node_interval: 1s}\nproviders:\n"
	for i := range 10 {
		p, err := sim.AddProvider(fmt.Sprintf("provider-%d", i), simulate.ProviderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("- {name: %s, url: %q}\n", p.Name(), p.URL())
	}
	n, err := sim.AddNode("node-1", simulate.NodeOptions{Database: true})
	if err != nil {
		t.Fatal(err)
	}
	config += fmt.Sprintf("nodes: [{name: node-1, consensus: {url: %q, metrics_url: %q}, execution: {url: %q}}]\n", n.URL(), n.MetricsURL(), n.ExecutionURL())
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(t.TempDir(), "checkpoint.yml"), config)

	address := freeAddress(t)
	var logs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), bin, "--config.file="+file, "--web.listen-address="+address)
	cmd.Stderr = &logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	url := "http://" + address
	until(t, func() bool { code, _ := get(url + "/-/ready"); return code == http.StatusOK })
	until(t, func() bool {
		_, body := get(url + "/metrics")
		return strings.Contains(body, "checkpoint_providers_usable 10\n") && strings.Contains(body, `checkpoint_node_up{node="node-1"} 1`)
	})
	_, body := get(url + "/metrics")
	for _, want := range []string{`checkpoint_exporter_build_info{branch="",goarch=`, `revision="abcdef"`, "checkpoint_config_last_reload_successful 1", "checkpoint_quorum_providers 10"} {
		if !strings.Contains(body, want) {
			t.Error("/metrics lacks", want)
		}
	}

	// A bad file changes nothing, by HTTP or by signal, and is reported.
	write(t, file, config+"quorum: 0\n")
	if code, body := post(url + "/-/reload"); code != http.StatusInternalServerError || !strings.Contains(body, "quorum") {
		t.Error(code, body)
	}
	_, body = get(url + "/metrics")
	for _, want := range []string{"checkpoint_config_last_reload_successful 0", "checkpoint_providers_usable 10"} {
		if !strings.Contains(body, want) {
			t.Error("after a bad reload /metrics lacks", want)
		}
	}
	write(t, file, strings.Replace(config, "- {name: provider-9", "# ", 1))
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		_, body := get(url + "/metrics")
		return strings.Contains(body, "checkpoint_config_last_reload_successful 1") && strings.Contains(body, "checkpoint_providers_usable 9\n") &&
			!strings.Contains(body, "provider-9")
	})
	write(t, file, config)
	if code, body := post(url + "/-/reload"); code != http.StatusOK {
		t.Error(code, body)
	}

	// Some rounds of probes and scrapes, and then what it keeps.
	until(t, func() bool {
		_, body := get(url + "/metrics")
		m := regexp.MustCompile(`checkpoint_provider_probes_total\{provider="provider-0",result="success"\} (\d+)`).FindStringSubmatch(body)
		if m == nil {
			return false
		}
		n, _ := strconv.Atoi(m[1])
		return n >= 8
	})
	const most = 25e6
	rss := resident(t, cmd.Process.Pid)
	t.Logf("%.1f MB resident", float64(rss)/1e6)
	if rss > most {
		t.Errorf("%d bytes resident, more than %d", rss, int(most))
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-exited; err != nil {
		t.Errorf("%v\n%s", err, logs.String())
	}
	for _, want := range []string{`msg="provider is usable" provider=provider-0`, `msg="node is in another phase" node=node-1`, "caller="} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, logs.String())
		}
	}
}

// call runs the program to its end and gives its exit code and all it said.
func call(t *testing.T, bin string, args ...string) (int, string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(url string) (int, string)  { return answer(http.Get(url)) }
func post(url string) (int, string) { return answer(http.Post(url, "", nil)) }

func answer(resp *http.Response, err error) (int, string) {
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func until(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition did not come true")
		}
	}
}

// resident is a process' VmRSS in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(v, "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
