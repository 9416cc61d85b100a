package beacon_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/beacon/beacontest"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// told is all that a recording's server tells; routes that fail stand in Errors with their reason and status.
type told struct {
	Genesis      beacon.Genesis
	Client       string
	Version      string
	Syncing      beacon.Syncing
	Peers        uint64
	Health       int
	Head         beacon.Head
	HeadFinal    beacon.Checkpoint
	ServedFinal  beacon.Checkpoint
	Root         network.Root
	State        *beacon.StateHeader
	StateFork    string
	StateBytes   uint64
	Config       string
	ChainID      uint64
	Seconds      uint64
	Slots        uint64
	Mode         string
	Upstreams    int
	Errors       map[string]string
	AbsentFields []string
}

func ask(t *testing.T, c *beacon.Client) told {
	t.Helper()
	ctx := context.Background()
	got := told{Errors: map[string]string{}}
	keep := func(name string, err error) bool {
		if err == nil {
			return true
		}
		status := ""
		if s := beacon.StatusOf(err); s != 0 {
			status = " " + time.Duration(s).String()
		}
		got.Errors[name] = string(beacon.ReasonOf(err)) + status
		return false
	}
	var err error
	got.Genesis, err = c.Genesis(ctx)
	keep("genesis", err)
	if v, err := c.Version(ctx); keep("version", err) {
		got.Client, got.Version = v.Client, v.Version
	}
	got.Syncing, err = c.Syncing(ctx)
	if keep("syncing", err) && got.Syncing.ELOffline == nil {
		got.AbsentFields = append(got.AbsentFields, "el_offline")
	}
	if p, err := c.PeerCount(ctx); keep("peers", err) {
		got.Peers = p.Connected
	}
	got.Health, err = c.Health(ctx)
	keep("health", err)
	got.Head, err = c.Head(ctx)
	keep("head", err)
	if f, err := c.FinalityCheckpoints(ctx, "head"); keep("finality head", err) {
		got.HeadFinal = f.Finalized
	}
	if f, err := c.FinalityCheckpoints(ctx, "finalized"); keep("finality finalized", err) {
		got.ServedFinal = f.Finalized
	}
	got.Root, err = c.BlockRoot(ctx, "finalized")
	keep("root", err)
	if s, err := c.StatePrefix(ctx, "finalized"); keep("state", err) {
		got.State, got.StateFork = &s.StateHeader, s.ConsensusVersion
		if s.Bytes != nil {
			got.StateBytes = *s.Bytes
		}
	}
	if s, err := c.Spec(ctx); keep("spec", err) {
		got.Config, _ = s.ConfigName()
		got.ChainID, _ = s.DepositChainID()
		got.Seconds, _ = s.SecondsPerSlot()
		got.Slots, _ = s.SlotsPerEpoch()
	}
	if s, err := c.CheckpointzStatus(ctx); keep("status", err) {
		got.Mode, got.Upstreams = s.OperatingMode, s.Upstreams
	}
	_, err = c.BlockRootAt(ctx, 99999999)
	keep("no such block", err)
	return got
}

func root(s string) network.Root {
	r, err := network.ParseRoot(s)
	if err != nil {
		panic(err)
	}
	return r
}

func TestRecordedServers(t *testing.T) {
	for _, r := range beacontest.All() {
		t.Run(r.String(), func(t *testing.T) {
			s := httptest.NewServer(r)
			defer s.Close()
			c, err := beacon.NewClient(s.URL, beacon.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseIdle()
			got := ask(t, c)
			t.Logf("%+v", got)
			_ = cmp.Diff
		})
	}
}
