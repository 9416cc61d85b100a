//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/silence"
	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// pair is two real Alertmanagers in front of one remediator, which acts on a simulated network.
type pair struct {
	testing.TB
	s                 *simulation
	a, b              *process
	aURL, bURL        string
	remediator        string
	inventory, config string
	journal           string
}

// startPair starts everything but the remediator. Alertmanagers that are apart do not know each other; those with a deaf webhook deliver to
// a port that nobody listens on.
func startPair(t *testing.T, together, deaf bool) *pair {
	t.Helper()
	dir := workDir(t)
	p := &pair{TB: t, s: startSimulation(t), aURL: local(freePort(t)), bURL: local(freePort(t)), remediator: local(freePort(t)),
		inventory: filepath.Join(dir, "inventory.yaml"), config: filepath.Join(dir, "checkpoint.yml"), journal: filepath.Join(dir, "journal", "journal.jsonl")}
	at := addresses{remediator: hostPort(p.remediator), tokenFile: filepath.Join(dir, "token")}
	writeFile(t, at.tokenFile, token+"\n")
	writeFile(t, p.inventory, inventory(p.s.providers[0].URL()))
	writeFile(t, p.config, strings.NewReplacer("/etc/checkpoint/token", at.tokenFile, inventoryInside, p.inventory,
		"{systemd: "+unit+"}", "{command: [/bin/false]}", "  mode: act\n", "  mode: act\n  journal: "+p.journal+"\n").Replace(p.s.config(p.aURL, p.bURL)))

	if deaf {
		at.remediator = hostPort(local(freePort(t)))
	}
	people := startPeople(t)
	flags := func(own, peer int) []string {
		if !together {
			return []string{"--cluster.listen-address="}
		}
		address := hostPort(local(own))
		return []string{"--cluster.listen-address=" + address, "--cluster.advertise-address=" + address, "--cluster.peer=" + hostPort(local(peer)),
			"--cluster.settle-timeout=2s", "--cluster.peer-timeout=2s"}
	}
	one, other := freePort(t), freePort(t)
	p.a = startAlertmanager(t, "alertmanager-a", p.aURL, at, people, flags(one, other)...)
	p.b = startAlertmanager(t, "alertmanager-b", p.bURL, at, people, flags(other, one)...)
	awaitReady(t, p.a, p.aURL)
	awaitReady(t, p.b, p.bURL)
	if together {
		eventually(t, time.Minute, "the two to be one cluster", func() error {
			for _, url := range []string{p.aURL, p.bURL} {
				if err := is(url, 2, "alertmanager_cluster_members"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := p.s.providers[0].SetFault(simulate.Down()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) startRemediator() *process {
	p.Helper()
	r := start(p, "checkpoint_remediator", ourProgram(p, "checkpoint_remediator"), "--config.file="+p.config,
		"--web.listen-address="+hostPort(p.remediator), "--log.level=debug")
	awaitReady(p, r, p.remediator)
	return r
}

// tell is what Prometheus does every minute: it tells an Alertmanager that the node's source is not usable, or no longer so.
func (p *pair) tell(url string, startsAt, endsAt time.Time) {
	p.Helper()
	_, err := post(url+"/api/v2/alerts", []any{map[string]any{
		"labels":      map[string]string{"alertname": "CheckpointNodeSourceUnusable", "node": sourced, "playbook": "source_unusable", "severity": "warning"},
		"annotations": map[string]string{"summary": "The node's checkpoint source is not usable."}, "startsAt": startsAt, "endsAt": endsAt,
	}})
	if err != nil {
		p.Fatal(err)
	}
}

// count is how many records of each kind the journal holds.
func (p *pair) count() map[string]int {
	p.Helper()
	kinds := map[string]int{}
	for rec, err := range journal.ScanAll(p.journal, time.Time{}) {
		if err != nil {
			p.Fatal(err)
		}
		kinds[rec.Kind]++
	}
	return kinds
}

func (p *pair) helped() {
	p.Helper()
	eventually(p, 5*time.Minute, "the failover to help", func() error { return helped(p.remediator, sourced, "source_unusable") })
}

// once fails unless one incident was opened and one action taken.
func (p *pair) once() {
	p.Helper()
	if got := p.count(); got["opened"] != 1 || got["intent"] != 1 || got["outcome"] != 1 {
		p.Errorf("the journal holds %v, want one incident and one action", got)
	}
	checkSwitched(p, p.inventory, inventory(p.s.providers[0].URL()), filepath.Dir(p.journal))
}

// accepted is how many webhooks were answered 200.
func (p *pair) accepted() (float64, error) {
	m, err := scrape(p.remediator)
	if err != nil {
		return 0, err
	}
	n, _ := m.value("checkpoint_remediation_webhooks_total", "code", "200")
	return n, nil
}

func (p *pair) awaitWebhooks(least float64) {
	p.Helper()
	eventually(p, 3*time.Minute, fmt.Sprint(least, " webhooks"), func() error {
		n, err := p.accepted()
		if err == nil && n < least {
			err = fmt.Errorf("%v so far", n)
		}
		return err
	})
}

// One of two Alertmanagers dies after it has delivered: the other goes on, and tells of the end.
func TestAlertmanagerPair(t *testing.T) {
	t.Parallel()
	p := startPair(t, true, false)
	p.startRemediator()
	began := time.Now()
	p.tell(p.aURL, began, began.Add(time.Hour))
	p.tell(p.bURL, began.Add(3*time.Second), began.Add(time.Hour)) // two Prometheus do not fire at the same moment
	p.awaitWebhooks(1)
	p.a.kill()
	p.helped()
	told, err := p.accepted()
	if err != nil {
		t.Fatal(err)
	}
	p.tell(p.bURL, began.Add(3*time.Second), time.Now())
	p.awaitWebhooks(told + 1)
	eventually(t, time.Minute, "the incident to be closed", func() error {
		if n := p.count()["closed"]; n != 1 {
			return fmt.Errorf("%d are closed", n)
		}
		return nil
	})
	p.once()
}

// Two Alertmanagers that do not see each other both deliver everything.
func TestAlertmanagersApart(t *testing.T) {
	t.Parallel()
	p := startPair(t, false, false)
	p.startRemediator()
	began := time.Now()
	p.tell(p.aURL, began, began.Add(time.Hour))
	p.tell(p.bURL, began.Add(3*time.Second), began.Add(time.Hour))
	p.awaitWebhooks(2)
	p.helped()
	p.tell(p.aURL, began, time.Now())
	p.tell(p.bURL, began.Add(3*time.Second), time.Now())
	p.awaitWebhooks(4)
	p.once()
	if got := p.count()["closed"]; got != 1 {
		t.Errorf("%d incidents are closed, want 1", got)
	}
}

// An alert whose webhook never arrives, because the remediator was down or cannot be reached, is taken from Alertmanager's API.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	p := startPair(t, true, true)
	began := time.Now()
	p.tell(p.bURL, began, began.Add(time.Hour))
	p.a.kill() // one that answers is enough
	p.startRemediator()
	p.helped()
	p.once()
	if n, err := p.accepted(); err != nil || n != 0 {
		t.Errorf("%v webhooks arrived: %v", n, err)
	}
}

// A lease taken at one Alertmanager holds at both, and is ended at whichever is left.
func TestLeaseInCluster(t *testing.T) {
	t.Parallel()
	p := startPair(t, true, true)
	leases := silence.New(silence.Options{Config: silence.Config{Alertmanagers: []string{p.aURL, p.bURL}, For: 20 * time.Second}, Logger: log.NewNopLogger()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); leases.Run(ctx) }()
	defer func() { cancel(); <-done }()

	began := time.Now()
	for alert, playbook := range map[string]string{"CheckpointNodeUnreachable": "", "CheckpointNodeSourceUnusable": "source_unusable", silence.Exhausted: ""} {
		labels := map[string]string{"alertname": alert, "node": sourced}
		if playbook != "" {
			labels["playbook"] = playbook
		}
		for _, url := range []string{p.aURL, p.bURL} {
			if _, err := post(url+"/api/v2/alerts", []any{map[string]any{"labels": labels, "startsAt": began, "endsAt": began.Add(time.Hour)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	silenced := func(url string, want ...string) error {
		var alerts []struct {
			Labels map[string]string `json:"labels"`
		}
		if err := getJSON(url+"/api/v2/alerts?active=false&silenced=true&inhibited=false", &alerts); err != nil {
			return err
		}
		var got []string
		for _, a := range alerts {
			got = append(got, a.Labels["alertname"])
		}
		if !slices.Equal(want, got) {
			return fmt.Errorf("silenced are %v, want %v", got, want)
		}
		return nil
	}
	leases.Hold(ctx, sourced, "deadbeef-1")
	for _, url := range []string{p.aURL, p.bURL} {
		eventually(t, time.Minute, "the lease to hold at "+url, func() error { return silenced(url, "CheckpointNodeUnreachable") })
	}
	p.a.kill()
	for time.Since(began) < 45*time.Second { // longer than it lasts without being extended
		if err := silenced(p.bURL, "CheckpointNodeUnreachable"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	leases.Release(ctx, sourced)
	eventually(t, time.Minute, "the lease to be ended", func() error { return silenced(p.bURL) })
}
