package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/moby/moby/api/types/container"
	moby "github.com/moby/moby/client"
)

// Docker names the checkpoint URL in a container's own configuration: its client's flag among the arguments, or an environment variable.
type Docker struct {
	// Container is its name.
	Container string
	// Environment is a variable's name; "" means the flag.
	Environment string
	// Client is the consensus client: lighthouse, teku, prysm, nimbus, lodestar or grandine. Only the flag needs it.
	Client string
	// Host is the engine's address; "" is $DOCKER_HOST, or unix:///var/run/docker.sock.
	Host string
}

// Steps that Options.Step sees of a DockerSource, each before a call of the engine's.
const (
	StepCreate    = "docker: create the new container"
	StepConnect   = "docker: connect it to a further network"
	StepPolicy    = "docker: change a restart policy"
	StepStop      = "docker: stop a container"
	StepRenameBox = "docker: rename a container"
	StepStart     = "docker: start a container"
	StepRemove    = "docker: remove a container"
)

// DockerSource is a Recreating source. The engine cannot change what a container was created with, so Apply creates another one with that value
// changed and everything else alike, which it proves before the running one is touched. Then the old one is stopped, gives up its name, and is kept,
// without a restart policy, until Settle.
//
// The new container is first called NAME.checkpoint-new-HASH, and the old one in the end NAME.checkpoint-old-HASH. Until the old one is NAME again
// or the new one has started, one of both names is taken, which is how Look finds a change that was interrupted at any point.
type DockerSource struct {
	Docker
	step writer
}

var (
	boxName            = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`) // moby daemon/names/names.go
	_       Recreating = (*DockerSource)(nil)
)

// NewDocker is the source of the checkpoint URL of a container. Nothing is asked yet.
func NewDocker(d Docker, opts Options) (*DockerSource, error) {
	switch {
	case !boxName.MatchString(d.Container):
		return nil, fmt.Errorf("docker source: %q is not a container's name", d.Container)
	case d.Environment != "" && !envKey.MatchString(d.Environment):
		return nil, fmt.Errorf("docker source of %s: %q is not a variable's name", d.Container, d.Environment)
	case d.Environment == "" && client.CheckpointFlags(d.Client) == nil:
		return nil, fmt.Errorf("docker source of %s: the checkpoint flag of client %q is not known: name the client, or a variable", d.Container, d.Client)
	}
	if _, err := docker.Host(d.Host); err != nil {
		return nil, fmt.Errorf("docker source of %s: %w", d.Container, err)
	}
	return &DockerSource{Docker: d, step: writer{hook: opts.Step}}, nil
}

func (s *DockerSource) String() string {
	if s.Environment != "" {
		return "docker " + s.Container + " " + s.Environment
	}
	return "docker " + s.Container
}

// dockerDetail is a Change's Detail.
type dockerDetail struct {
	// ID is that of the old container, and Name what both are called in their turn.
	ID   string `json:"id"`
	Name string `json:"name"`
	// New and Kept are the names that the new one has before, and the old one after.
	New  string `json:"new"`
	Kept string `json:"kept"`
	// Policy is the restart policy of both.
	Policy container.RestartPolicy `json:"policy"`
	// Runs: the old one ran, or would have, so the one that takes its place is started.
	Runs bool `json:"runs"`
}

func (s *DockerSource) detail(c Change) (dockerDetail, error) {
	var d dockerDetail
	if err := json.Unmarshal(c.Detail, &d); err != nil {
		return d, fmt.Errorf("%s: the change's detail: %w", s, err)
	}
	if c.Source != s.String() || d.ID == "" || d.Name == "" || d.New == "" || d.Kept == "" {
		return d, fmt.Errorf("%s: the change is of %s", s, c.Source)
	}
	return d, nil
}

// Read returns the URL that the container was created with.
func (s *DockerSource) Read(ctx context.Context) (string, error) {
	c, err := docker.Open(s.Host)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	b, err := s.load(ctx, c)
	if err != nil {
		return "", err
	}
	p, err := s.find(b)
	return p.url, err
}

// load inspects the container, and refuses one that somebody else creates.
func (s *DockerSource) load(ctx context.Context, c *moby.Client) (box, error) {
	b, ok, err := lookAt(ctx, c, s.Container)
	if err != nil {
		return box{}, err
	}
	if !ok {
		return box{}, fmt.Errorf("%s: %w", s, docker.ErrNotThere)
	}
	return b, b.managed()
}

// Plan works out the new container, and asks the engine whether there is an obstacle. Nothing is changed.
func (s *DockerSource) Plan(ctx context.Context, url string) (Change, error) {
	if err := CheckURL(url); err != nil {
		return Change{}, err
	}
	c, err := docker.Open(s.Host)
	if err != nil {
		return Change{}, err
	}
	defer func() { _ = c.Close() }()
	b, err := s.load(ctx, c)
	if err != nil {
		return Change{}, err
	}
	p, err := s.find(b)
	switch {
	case err != nil:
		return Change{}, err
	case p.url == url:
		return Change{}, fmt.Errorf("%s: %w", s, ErrUnchanged)
	}
	if err := CheckURL(p.url); err != nil && p.url != "" {
		return Change{}, fmt.Errorf("%s: %s is %.200q, which is not a URL", s, p.key, p.url)
	}
	if err := obstacle(ctx, c, b); err != nil {
		return Change{}, fmt.Errorf("%s: %w", s, err)
	}
	run, _, err := docker.Judge(ctx, c, b.typed)
	switch {
	case err != nil:
		return Change{}, err
	case run == docker.Paused, run == docker.Removing:
		return Change{}, fmt.Errorf("%s is %s", s, run)
	}
	next, err := s.planned(ctx, c, b, url)
	if err != nil {
		return Change{}, err
	}
	change := Change{Source: s.String(), Key: p.key, From: p.url, To: url, Before: b.shape().hash(), After: next.shape().hash(),
		Diff: fmt.Sprintf("--- %s\n+++ %s\n@@ %s @@\n-%s\n+%s\n", s, s, p.key, shown(p.text), shown(p.with(url)))}
	sum := sha256.Sum256([]byte(b.id() + change.After))
	short, name := hex.EncodeToString(sum[:6]), b.name()
	change.Detail, err = json.Marshal(dockerDetail{ID: b.id(), Name: name, New: name + ".checkpoint-new-" + short, Kept: name + ".checkpoint-old-" + short,
		Policy: b.typed.HostConfig.RestartPolicy, Runs: run != docker.Stopped})
	return change, err
}

// Apply creates the new container, proves it, and lets it take the old one's place. If that fails on the way the old one is put back before
// Apply returns.
func (s *DockerSource) Apply(ctx context.Context, change Change) error {
	d, err := s.detail(change)
	if err != nil {
		return err
	}
	c, err := docker.Open(s.Host)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	old, err := s.load(ctx, c)
	if err != nil {
		return err
	}
	next, err := s.planned(ctx, c, old, change.To)
	if err != nil {
		return err
	}
	if old.id() != d.ID || old.shape().hash() != change.Before || next.shape().hash() != change.After {
		return fmt.Errorf("change %s: %w", s, ErrChanged)
	}
	if err := obstacle(ctx, c, old); err != nil {
		return fmt.Errorf("change %s: %w: %w", s, ErrChanged, err)
	}
	err = s.replace(ctx, c, old, next, d)
	if err == nil {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if back := s.putBack(undo, c, d); back != nil {
		return fmt.Errorf("change %s: %w (and putting it back failed: %w)", s, err, back)
	}
	return fmt.Errorf("change %s: %w (the old container was put back)", s, err)
}

// undoTimeout bounds the way back, on which a container may have to be stopped.
const undoTimeout = 2*docker.StopGrace + time.Minute

// Look tells how far a change has got from which containers there are, how they are called, and what they were created with.
func (s *DockerSource) Look(ctx context.Context, change Change) (Condition, error) {
	d, err := s.detail(change)
	if err != nil {
		return "", err
	}
	c, err := docker.Open(s.Host)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	boxes, err := lookAtAll(ctx, c, d)
	if err != nil {
		return "", err
	}
	return boxes.condition(change, d), nil
}

// boxes are the containers that a change is about; those that are not there are nil.
type boxes struct {
	// named is the one called Name, fresh the one called New, and old the one with the old one's id.
	named, fresh, old *box
}

func lookAtAll(ctx context.Context, c *moby.Client, d dockerDetail) (boxes, error) {
	var all boxes
	for name, to := range map[string]**box{d.Name: &all.named, d.New: &all.fresh, d.ID: &all.old} {
		b, ok, err := lookAt(ctx, c, name)
		if err != nil {
			return boxes{}, err
		}
		if ok {
			*to = &b
		}
	}
	return all, nil
}

func (b boxes) condition(change Change, d dockerDetail) Condition {
	switch {
	case b.old != nil && b.fresh != nil && (b.named == nil || b.named.id() == d.ID):
		return Half
	case b.named == nil:
		return Edited
	case b.named.id() == d.ID:
		if b.named.shape().hash() == change.Before {
			return NotApplied
		}
		return Edited
	case b.fresh != nil:
		return Edited
	}
	// Another one has the name. It is ours if it is what was planned, but for the restart policy, which is set last but one.
	next := b.named.shape()
	if next.hash() == change.After && (!d.Runs || b.named.begun()) {
		return Applied
	}
	if b.old != nil && b.old.name() == d.Kept && !b.named.begun() && next.withPolicy(d.Policy).hash() == change.After {
		return Half
	}
	return Edited
}

// Restore puts the old container back, and removes the new one.
func (s *DockerSource) Restore(ctx context.Context, change Change) error {
	d, err := s.detail(change)
	if err != nil {
		return err
	}
	c, err := docker.Open(s.Host)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	boxes, err := lookAtAll(ctx, c, d)
	if err != nil {
		return err
	}
	switch boxes.condition(change, d) {
	case NotApplied:
		return nil
	case Edited:
		return fmt.Errorf("restore %s: %w", s, ErrEditedByOther)
	}
	if boxes.old == nil {
		return fmt.Errorf("restore %s: the old container is gone", s)
	}
	if err := s.putBack(ctx, c, d); err != nil {
		return fmt.Errorf("restore %s: %w", s, err)
	}
	cond, err := s.Look(ctx, change)
	if err == nil && cond != NotApplied {
		err = fmt.Errorf("it is %s: %w", cond, ErrEditedByOther)
	}
	if err != nil {
		return fmt.Errorf("read back %s: %w", s, err)
	}
	return nil
}

// Settle removes the old container. Its volumes, which the new one has, stay.
func (s *DockerSource) Settle(ctx context.Context, change Change) error {
	d, err := s.detail(change)
	if err != nil {
		return err
	}
	c, err := docker.Open(s.Host)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	boxes, err := lookAtAll(ctx, c, d)
	switch {
	case err != nil:
		return err
	case boxes.old == nil:
		return nil
	case boxes.old.name() != d.Kept || boxes.named == nil || boxes.named.id() == d.ID:
		return fmt.Errorf("settle %s: the old container is called %s: %w", s, boxes.old.name(), ErrEditedByOther)
	case boxes.old.up():
		return fmt.Errorf("settle %s: the old container %s runs: %w", s, d.Kept, ErrEditedByOther)
	}
	if err := s.remove(ctx, c, *boxes.old); err != nil && !errors.Is(err, docker.ErrNotThere) {
		return fmt.Errorf("settle %s: %w", s, err)
	}
	return nil
}
