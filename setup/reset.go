package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/actuator"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/chaindata"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// Reset is a planned setting aside of a consensus client's database, after which the client starts anew from its checkpoint.
type Reset struct {
	Move chaindata.Move
	// Clients are what is stopped for it, in the order in which they start: the consensus client, and the validator client that follows it.
	Clients []config.Restart
}

// PlanReset looks whether a node's database can be set aside, and changes nothing.
func PlanReset(n config.Node, now time.Time) (Reset, error) {
	var r Reset
	switch {
	case n.Consensus.Client == "":
		return r, errors.New("a reset needs to know the consensus client: --client")
	case n.DataDir == "":
		return r, errors.New("a reset needs the consensus client's data directory: --data-dir")
	case n.Restart == nil:
		return r, fmt.Errorf("it is not known how the consensus client of %s is stopped and started: write restart: in checkpoint.yml", n.Name)
	}
	var err error
	r.Move, err = chaindata.Plan(chaindata.Options{Dir: n.DataDir, Client: n.Consensus.Client, Tag: "setup-" + now.UTC().Format("20060102150405")})
	if err != nil {
		return r, err
	}
	r.Clients = []config.Restart{*n.Restart}
	if n.Validator != nil && n.Validator.Restart != nil {
		r.Clients = append(r.Clients, *n.Validator.Restart)
	}
	return r, nil
}

// Do stops the clients, sets the database aside and starts them again. If anything fails everything is put back.
func (r Reset) Do(ctx context.Context, s Store, m Machine, record *Record, say func(string)) error {
	clients, err := actuators(m, r.Clients)
	if err != nil {
		return err
	}
	record.Reset = &ResetRecord{Move: r.Move, Clients: r.Clients}
	if err := s.write(record); err != nil {
		return err
	}
	err = func() error {
		for _, c := range slices.Backward(clients) {
			if _, err := c.Stop(ctx); err != nil {
				return err
			}
			say("stopped " + c.String())
		}
		if err := r.Move.Apply(ctx); err != nil {
			return err
		}
		for _, p := range r.Move.Places {
			say("set the database aside in " + p.Aside)
		}
		for _, c := range clients {
			if _, err := c.Start(ctx); err != nil {
				return err
			}
			say("started " + c.String())
		}
		return nil
	}()
	if err == nil {
		return nil
	}
	if undo := record.Reset.undo(ctx, m); undo != nil {
		return fmt.Errorf("%w; and it could not be taken back: %w", err, undo)
	}
	record.Reset = nil
	return errors.Join(fmt.Errorf("%w; everything is as it was", err), s.write(record))
}

// undo puts the database back.
func (r ResetRecord) undo(ctx context.Context, m Machine) error {
	clients, err := actuators(m, r.Clients)
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(clients) {
		if _, err := c.Stop(ctx); err != nil {
			return err // data is never moved under a running client
		}
	}
	if err := r.Move.Restore(ctx); err != nil && !errors.Is(err, chaindata.ErrDeleted) {
		return err
	}
	for _, c := range clients {
		if _, err := c.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Discard deletes what was set aside, for good.
func (s Store) Discard(ctx context.Context, record *Record) error {
	if record.Reset == nil {
		return nil
	}
	if err := record.Reset.Move.Delete(ctx); err != nil {
		return err
	}
	record.Reset = nil
	return s.write(record)
}

func actuators(m Machine, all []config.Restart) ([]actuator.Service, error) {
	out := make([]actuator.Service, 0, len(all))
	for _, r := range all {
		a, err := m.Actuator(r)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// Acting tells whether a remediator runs on a journal, and what it is doing at the moment, each action in words.
func Acting(path string) (running bool, doing []string, err error) {
	running, err = held(path)
	if err != nil || !running {
		return running, nil, err
	}
	teller := remediate.NewTeller()
	for rec, err := range journal.ScanAll(path, time.Time{}) {
		if err != nil {
			return running, nil, err
		}
		if _, _, err := teller.Tell(rec); err != nil {
			return running, nil, err
		}
	}
	for _, in := range teller.Pending() {
		doing = append(doing, fmt.Sprintf("%s of %s (%s)", in.Action, in.Node, strings.TrimSpace(in.ID)))
	}
	return running, doing, nil
}

// held tells whether a process holds a journal's lock.
func held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
