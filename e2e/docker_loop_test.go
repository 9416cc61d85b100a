//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/checkpoint-exporter/checkpoint_exporter/simulate"
)

// boxedNode is a container of a real engine, and the simulated node that runs as long as it does: each start of the container is one of the
// node, with the checkpoint URL that stands among the container's arguments.
type boxedNode struct {
	name string
	node *simulate.Node

	mu   sync.Mutex
	run  string // container and start, as last seen
	args []string
}

// source is what the node's next start reads.
func (b *boxedNode) source() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.args {
		if url, is := strings.CutPrefix(a, "--checkpoint-sync-url="); is {
			return url, nil
		}
	}
	return "", nil
}

// follow looks at the container until ctx ends.
func (b *boxedNode) follow(ctx context.Context, d *dockerd) {
	for t := time.NewTicker(500 * time.Millisecond); ; {
		if got, err := d.client.ContainerInspect(ctx, b.name, client.ContainerInspectOptions{}); err == nil {
			run := got.Container.ID
			if crashes := slices.Contains(got.Container.Args, "--crash=1"); !crashes {
				run += got.Container.State.StartedAt // in a crash loop the container's starts are not the client's
			}
			b.mu.Lock()
			changed := run != b.run
			b.run, b.args = run, got.Container.Args
			b.mu.Unlock()
			if changed {
				_ = b.node.Restart(ctx)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// Two nodes in containers of a real Docker Engine, and our remediator beside it. One stalls and is restarted; one starts again and again because its provider
// is dead, and is created anew with another provider's URL among its arguments.
func TestLoopOnDocker(t *testing.T) {
	t.Parallel()
	d := startDockerd(t)
	s := startSimulation(t)
	nodes := []*boxedNode{{name: "stalls"}, {name: "loops"}}
	for k, args := range [][]string{{"--exit-on-term=0"}, {"--crash=1", "--checkpoint-sync-url=" + s.providers[0].URL()}} {
		b := nodes[k]
		options := simulate.NodeOptions{Client: simulate.Lighthouse, Source: b.source, Manual: true, RestartDelay: time.Second}
		if b.name == "stalls" {
			options.Database, options.Behind, options.SlotsPerSecond = true, 20000, 4
		}
		var err error
		if b.node, err = s.AddNode(b.name, options); err != nil {
			t.Fatal(err)
		}
		created, err := d.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: b.name, Config: &container.Config{Image: boxedImage, Cmd: args},
			HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}}})
		if err == nil {
			_, err = d.client.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.providers[0].SetFault(simulate.Down()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	for _, b := range nodes {
		if err := b.node.StartExecution(ctx); err != nil {
			t.Fatal(err)
		}
		following.Go(func() { b.follow(ctx, d) })
	}
	t.Cleanup(func() { cancel(); following.Wait() })
	eventually(t, time.Minute, "the first node to answer", func() error { return answers(nodes[0].node.URL() + "/eth/v1/node/version") })

	dir, remediator := workDir(t), local(freePort(t))
	writeFile(t, filepath.Join(dir, "token"), token+"\n")
	text, _, _ := strings.Cut(s.config(), "nodes:\n")
	text += "nodes:\n"
	for _, b := range nodes {
		text += fmt.Sprintf("  - name: %s\n    consensus: {url: %q, client: lighthouse}\n    stall_after: 1m\n    restart: {docker: %s}\n", b.name, b.node.URL(), b.name)
	}
	text += fmt.Sprintf("    source: {docker: {container: loops}}\nremediation:\n  mode: act\n  journal: %s\n  alertmanagers: []\n  webhook: {bearer_token_file: %s}\n",
		filepath.Join(dir, "journal", "journal.jsonl"), filepath.Join(dir, "token"))
	writeFile(t, filepath.Join(dir, "checkpoint.yml"), text)
	p := start(t, "checkpoint_remediator", "/usr/bin/env", "DOCKER_HOST="+d.host, ourProgram(t, "checkpoint_remediator"), "--config.file="+filepath.Join(dir, "checkpoint.yml"),
		"--web.listen-address="+hostPort(remediator), "--log.level=debug")
	awaitReady(t, p, remediator)

	inspect := func(name string) container.InspectResponse {
		got, err := d.client.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Container
	}
	stalls, loops := inspect("stalls"), inspect("loops")
	if err := nodes[0].node.SetFault(simulate.Stall()); err != nil {
		t.Fatal(err)
	}
	if err := alert(remediator, "stalls", "CheckpointNodeSyncStalled", "node_stalled", "firing"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 4*time.Minute, "the restart to help", func() error { return helped(remediator, "stalls", "node_stalled") })
	if after := inspect("stalls"); after.ID != stalls.ID || after.State.StartedAt == stalls.State.StartedAt {
		t.Errorf("the container %s, started %s, is now %s, started %s", stalls.ID, stalls.State.StartedAt, after.ID, after.State.StartedAt)
	}

	if err := alert(remediator, "loops", "CheckpointNodeSourceUnusable", "source_unusable", "firing"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 4*time.Minute, "the failover to help", func() error { return helped(remediator, "loops", "source_unusable") })
	after := inspect("loops")
	if after.ID == loops.ID || !slices.Contains(after.Args, "--checkpoint-sync-url="+s.providers[1].URL()) && !slices.Contains(after.Args, "--checkpoint-sync-url="+s.providers[2].URL()) {
		t.Errorf("the container %s has the arguments %q", after.ID, after.Args)
	}
	eventually(t, 4*time.Minute, "the old container to be let go of", func() error {
		all, err := d.client.ContainerList(t.Context(), client.ContainerListOptions{All: true})
		if err == nil && len(all.Items) != 2 {
			err = fmt.Errorf("there are %d containers", len(all.Items))
		}
		return err
	})
	if got, err := nodes[1].source(); err != nil || got == s.providers[0].URL() {
		t.Errorf("the node starts from %s: %v", got, err)
	}
}
