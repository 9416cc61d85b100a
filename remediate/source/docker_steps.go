package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	moby "github.com/moby/moby/client"
)

// replace lets a container made after next take the place of old.
//
// No moment may have two containers that the engine would start by itself when the machine comes up: they share a database and keys. So the new one
// gets its restart policy when the old one has lost its own.
func (s *DockerSource) replace(ctx context.Context, c *moby.Client, old, next box, d dockerDetail) error {
	fresh, err := s.create(ctx, c, next, d)
	if err != nil {
		return err
	}
	if err := prove(next.shape().withPolicy(noPolicy), fresh.shape().withPolicy(noPolicy)); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return s.stop(ctx, c, old) },
		func() error { return s.policy(ctx, c, old, noPolicy) }, // not of one that runs: in a crash loop it may just have ended, which the engine takes for an error
		func() error { return s.rename(ctx, c, old, d.Kept) },
		func() error { return s.rename(ctx, c, fresh, d.Name) },
		func() error { return s.policy(ctx, c, fresh, d.Policy) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if d.Runs {
		if err := s.start(ctx, c, fresh); err != nil {
			return err
		}
	}
	is, ok, err := lookAt(ctx, c, d.Name)
	if err != nil || !ok {
		return fmt.Errorf("read back: %w", errors.Join(err, docker.ErrNotThere))
	}
	return prove(next.shape(), is.shape())
}

// prove tells whether a container is what was planned.
func prove(want, is shape) error {
	if where := want.differ(is); where != "" {
		return fmt.Errorf("the new container would differ from the old one in more than the URL: %s", where)
	}
	return nil
}

// putBack makes the old container what it was, and removes the new one last: as long as that is there it can be told that something is left to do.
// Every step may have been done already.
func (s *DockerSource) putBack(ctx context.Context, c *moby.Client, d dockerDetail) error {
	all, err := lookAtAll(ctx, c, d)
	if err != nil {
		return err
	}
	if all.old == nil {
		return errors.New("the old container is gone")
	}
	old, fresh := *all.old, all.fresh
	if fresh == nil && all.named != nil && all.named.id() != d.ID {
		fresh = all.named
	}
	if fresh != nil {
		for _, step := range []func() error{
			func() error { return s.stop(ctx, c, *fresh) },
			func() error { return s.rename(ctx, c, *fresh, d.New) },
			func() error { return s.policy(ctx, c, *fresh, noPolicy) }, // under its own name no more: it would be an edit by somebody else
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	for _, step := range []func() error{
		func() error { return s.rename(ctx, c, old, d.Name) },
		func() error { return s.policy(ctx, c, old, d.Policy) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if d.Runs && !old.up() {
		if err := s.start(ctx, c, old); err != nil {
			return err
		}
	}
	if fresh != nil {
		return s.remove(ctx, c, *fresh)
	}
	return nil
}

var noPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}

// create creates the new container under its first name, connects it to its networks, and looks at it.
func (s *DockerSource) create(ctx context.Context, c *moby.Client, next box, d dockerDetail) (box, error) {
	body, further, err := next.request(c.ClientVersion())
	if err != nil {
		return box{}, err
	}
	if err := s.step.step(StepCreate); err != nil {
		return box{}, err
	}
	id, err := docker.Create(ctx, c, d.New, body)
	if err != nil {
		return box{}, docker.Explain(err)
	}
	for _, name := range slices.Sorted(maps.Keys(further)) {
		if err := s.step.step(StepConnect); err != nil {
			return box{}, err
		}
		text, err := json.Marshal(further[name])
		if err != nil {
			return box{}, err
		}
		var endpoint network.EndpointSettings
		if err := json.Unmarshal(text, &endpoint); err != nil {
			return box{}, fmt.Errorf("network %s: %w", name, err)
		}
		if _, err := c.NetworkConnect(ctx, name, moby.NetworkConnectOptions{Container: id, EndpointConfig: &endpoint}); err != nil {
			return box{}, fmt.Errorf("connect to network %s: %w", name, err)
		}
	}
	b, ok, err := lookAt(ctx, c, id)
	if err == nil && !ok {
		err = docker.ErrNotThere
	}
	return b, err
}

func (s *DockerSource) policy(ctx context.Context, c *moby.Client, b box, to container.RestartPolicy) error {
	if to.Name == "" {
		to.Name = container.RestartPolicyDisabled
	}
	now, ok, err := lookAt(ctx, c, b.id())
	if err != nil || !ok {
		return errors.Join(err, docker.ErrNotThere)
	}
	if is := now.typed.HostConfig.RestartPolicy; is.IsSame(&to) || is.IsNone() && to.IsNone() {
		return nil
	}
	if err := s.step.step(StepPolicy); err != nil {
		return err
	}
	if _, err := c.ContainerUpdate(ctx, b.id(), moby.ContainerUpdateOptions{RestartPolicy: &to}); err != nil {
		return fmt.Errorf("set the restart policy of %s: %w", b.name(), docker.Explain(err))
	}
	return nil
}

// stop stops a container. It does nothing to one that does not run, nor is about to.
func (s *DockerSource) stop(ctx context.Context, c *moby.Client, b box) error {
	if err := s.step.step(StepStop); err != nil {
		return err
	}
	if _, err := c.ContainerStop(ctx, b.id(), moby.ContainerStopOptions{Timeout: docker.Grace(b.typed)}); err != nil {
		return fmt.Errorf("stop %s: %w", b.name(), docker.Explain(err))
	}
	return nil
}

func (s *DockerSource) rename(ctx context.Context, c *moby.Client, b box, to string) error {
	if b.name() == to {
		return nil
	}
	if err := s.step.step(StepRenameBox); err != nil {
		return err
	}
	if _, err := c.ContainerRename(ctx, b.id(), moby.ContainerRenameOptions{NewName: to}); err != nil {
		return fmt.Errorf("rename %s to %s: %w", b.name(), to, docker.Explain(err))
	}
	return nil
}

func (s *DockerSource) start(ctx context.Context, c *moby.Client, b box) error {
	if err := s.step.step(StepStart); err != nil {
		return err
	}
	if _, err := c.ContainerStart(ctx, b.id(), moby.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start %s: %w", b.name(), docker.Explain(err))
	}
	return nil
}

func (s *DockerSource) remove(ctx context.Context, c *moby.Client, b box) error {
	if err := s.step.step(StepRemove); err != nil {
		return err
	}
	if _, err := c.ContainerRemove(ctx, b.id(), moby.ContainerRemoveOptions{}); err != nil {
		return fmt.Errorf("remove %s: %w", b.name(), docker.Explain(err))
	}
	return nil
}
