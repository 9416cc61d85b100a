// Package silence keeps a node's other alerts quiet in Alertmanager while an action on it is under way. A silence is a lease: it is
// short, extended while the action goes on, ended when it is over, and ends by itself if this program does.
package silence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Program is in the author of every lease, with the host's name; both are how a restarted program knows its own.
const Program = "checkpoint_remediator"

// Exhausted is the alert that calls people, which is never silenced. Nor is any alert with a playbook: its end is how an incident ends.
const Exhausted = "CheckpointRemediationExhausted"

// retryAfter is how long a failure is left alone.
const retryAfter = 15 * time.Second

// Config is what a reload may change.
type Config struct {
	// Alertmanagers are base URLs. They are tried in order, and one that takes a silence is enough: it tells its peers.
	Alertmanagers []string
	// For is how long a lease lasts; half of it before its end it is extended. 0 silences nothing.
	For time.Duration
}

// Options of New.
type Options struct {
	Config
	// Transport reaches Alertmanagers; a default one if nil.
	Transport http.RoundTripper
	Logger    log.Logger
	// Host is this machine's name; asked for if empty.
	Host string
}

// Leases are the silences of one remediator. Hold and Release say what is wanted and return at once; Run sees to it. What cannot be done
// is logged and tried again, and never stops anybody.
type Leases struct {
	http   *http.Client
	logger log.Logger
	author string
	wake   chan struct{}

	mu     sync.Mutex
	config Config
	wanted map[string]string // node to incident; "" for a node that is to have none

	// What follows belongs to Run.
	held      map[string]lease
	adopted   bool // leases from before a restart have been looked for
	complaint string
}

type lease struct {
	id   string
	ends time.Time
}

// New makes Leases that hold nothing.
func New(o Options) *Leases {
	if o.Host == "" {
		o.Host, _ = os.Hostname() // without a name it is one machine among others without
	}
	l := &Leases{
		http: &http.Client{Transport: o.Transport}, logger: o.Logger, author: Program + " on " + o.Host,
		wake: make(chan struct{}, 1), config: o.Config, wanted: map[string]string{}, held: map[string]lease{},
	}
	return l
}

// Configure puts another configuration in force.
func (l *Leases) Configure(c Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
	l.nudge()
}

// Hold begins a lease for a node, or keeps it.
func (l *Leases) Hold(_ context.Context, node, incident string) { l.want(node, incident) }

// Release ends a node's lease, if there is one, be it from before a restart.
func (l *Leases) Release(_ context.Context, node string) { l.want(node, "") }

func (l *Leases) want(node, incident string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, known := l.wanted[node]; !known || (before == "") != (incident == "") {
		l.nudge()
	}
	l.wanted[node] = incident
}

func (l *Leases) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. What is silenced then stays so until its lease ends: the program may be back before that.
func (l *Leases) Run(ctx context.Context) {
	for {
		next := l.reconcile(ctx)
		var due <-chan time.Time
		var t *time.Timer
		if !next.IsZero() {
			t = time.NewTimer(time.Until(next))
			due = t.C
		}
		select {
		case <-due:
		case <-l.wake:
		case <-ctx.Done():
		}
		if t != nil {
			t.Stop()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// reconcile makes what is held what is wanted, and tells when there is more to do; zero for not before something else is wanted.
func (l *Leases) reconcile(ctx context.Context) (next time.Time) {
	l.mu.Lock()
	c, wanted := l.config, maps.Clone(l.wanted)
	l.mu.Unlock()
	if len(wanted) == 0 || len(c.Alertmanagers) == 0 {
		return time.Time{}
	}
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	errs := []error{l.adopt(ctx, c)}
	for _, node := range slices.Sorted(maps.Keys(wanted)) {
		incident := wanted[node]
		now := time.Now()
		h, has := l.held[node]
		if has && !now.Before(h.ends) {
			delete(l.held, node)
			has = false
		}
		switch {
		case incident == "" || c.For <= 0:
			if has {
				errs = append(errs, l.end(ctx, c, node, h.id))
			}
		case !has || h.ends.Sub(now) <= c.For/2:
			errs = append(errs, l.extend(ctx, c, node, incident, h.id))
		}
		if h, has := l.held[node]; has && incident != "" {
			sooner(h.ends.Add(-c.For / 2))
		}
	}
	err := errors.Join(errs...)
	if err != nil {
		next = time.Time{}
		sooner(time.Now().Add(retryAfter))
	}
	l.complain(ctx, err)
	return next
}

// complain logs what is wrong when that is new.
func (l *Leases) complain(ctx context.Context, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != l.complaint && err != nil && ctx.Err() == nil {
		level.Warn(l.logger).Log("msg", "cannot silence a node's other alerts, and act all the same", "err", err)
	}
	l.complaint = text
}

// extend begins a node's lease, or changes the one with the id. A changed silence may get another id: Alertmanager does not let the
// past be falsified.
func (l *Leases) extend(ctx context.Context, c Config, node, incident, id string) error {
	now := time.Now()
	s := silenced{
		ID: id, Matchers: matchers(node), StartsAt: now.UTC(), EndsAt: now.Add(c.For).UTC(), CreatedBy: l.author,
		Comment: fmt.Sprintf("incident %s: %s acts on %s; ends by itself unless it is extended", incident, Program, node),
	}
	err := l.any(c, func(am client) (err error) {
		if id, err = am.post(ctx, s); errors.Is(err, errUnknown) && s.ID != "" {
			afresh := s
			afresh.ID = ""
			id, err = am.post(ctx, afresh)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("silence %s: %w", node, err)
	}
	if l.held[node].id == "" {
		level.Info(l.logger).Log("msg", "silenced a node's other alerts", "node", node, "incident", incident, "silence", id, "for", c.For)
	}
	l.held[node] = lease{id: id, ends: s.EndsAt}
	return nil
}

func (l *Leases) end(ctx context.Context, c Config, node, id string) error {
	missing := 0
	err := l.any(c, func(am client) error {
		err := am.expire(ctx, id)
		if errors.Is(err, errUnknown) {
			missing++
		}
		return err
	})
	if err != nil && missing < len(c.Alertmanagers) {
		return fmt.Errorf("end the silence of %s: %w", node, err)
	}
	delete(l.held, node)
	level.Info(l.logger).Log("msg", "ended the silence of a node's other alerts", "node", node, "silence", id)
	return nil
}

// any tries one Alertmanager after the other until one does what is wanted.
func (l *Leases) any(c Config, try func(client) error) error {
	var errs []error
	for _, base := range c.Alertmanagers {
		err := try(client{http: l.http, base: base})
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("alertmanager %s: %w", shown(base), err))
	}
	return errors.Join(errs...)
}

// adopt takes over what this program silenced before it was restarted, once.
func (l *Leases) adopt(ctx context.Context, c Config) error {
	if l.adopted {
		return nil
	}
	var found []silenced
	err := l.any(c, func(am client) (err error) {
		found, err = am.list(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for silences from before: %w", err)
	}
	l.adopted = true
	for _, s := range found {
		node, own := l.own(s)
		if !own || s.ID == l.held[node].id {
			continue
		}
		if _, has := l.held[node]; has {
			if err := l.any(c, func(am client) error { return am.expire(ctx, s.ID) }); err != nil {
				return fmt.Errorf("end an earlier silence of %s: %w", node, err)
			}
			continue
		}
		l.held[node] = lease{id: s.ID, ends: s.EndsAt}
		level.Info(l.logger).Log("msg", "took over a silence from before", "node", node, "silence", s.ID)
	}
	return nil
}

// own tells whether a silence in force is one of this program's leases, and of which node.
func (l *Leases) own(s silenced) (node string, own bool) {
	if s.CreatedBy != l.author || s.Status == nil || s.Status.State != "active" {
		return "", false
	}
	for _, m := range s.Matchers {
		if m.Name == "node" && !m.IsRegex && (m.IsEqual == nil || *m.IsEqual) {
			node = m.Value
		}
	}
	return node, node != ""
}

// matchers pick the alerts that say no more than that a node which is being restarted is down.
func matchers(node string) []matcher {
	yes, no := true, false
	return []matcher{
		{Name: "node", Value: node, IsEqual: &yes},
		{Name: "playbook", Value: "", IsEqual: &yes},
		{Name: "alertname", Value: Exhausted, IsEqual: &no},
	}
}

// shown is a URL without its password.
func shown(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "with a URL that cannot be read"
	}
	return u.Redacted()
}
