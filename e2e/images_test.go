//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// TestImages builds the images of deploy/container/Containerfile in a real Docker Engine and runs them. Its first stage needs an image of
// Go's from a registry: in the place of that, the programs of this build and what its last RUN makes, with the same commands, on this
// machine. The engine's bridge leads nowhere.
func TestImages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(shipped("deploy/container/Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\nFROM ${GO_IMAGE} AS build\n")
	first, stages, closed := strings.Cut(rest, "\nFROM scratch AS base\n")
	if !found || !closed {
		t.Fatal("the Containerfile has other stages")
	}
	dir := filepath.Join(workDir(t), "context")
	out := filepath.Join(dir, "out")
	for _, name := range []string{"checkpoint", "checkpoint_exporter", "checkpoint_remediator", "checkpointd"} {
		copyProgram(t, ourProgram(t, name), filepath.Join(out, "bin", name))
	}
	runs := regexp.MustCompile(`(?m)^RUN ((?:.*\\\n)*.*)$`).FindAllStringSubmatch(first, -1)
	if len(runs) != 3 || !strings.HasPrefix(runs[1][1], "make build BIN=/out/bin ") {
		t.Fatalf("the first stage runs something else: %q", runs)
	}
	script := exec.Command("sh", "-euc", strings.ReplaceAll(runs[2][1], "/out/", out+"/"))
	if text, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	writeFile(t, filepath.Join(dir, "Containerfile"), "FROM scratch AS build\nCOPY out /out\n\nFROM scratch AS base\n"+stages)

	d := startDockerd(t)
	for _, target := range []string{"checkpoint_exporter", "checkpoint_remediator", "checkpointd"} {
		d.buildImage(t, dir, target)
	}

	exporter := d.runImage(t, "checkpoint_exporter", "")
	remediator := d.runImage(t, "checkpoint_remediator", "")
	all := d.runImage(t, "checkpointd", "")
	for id, want := range map[string]string{exporter: "10177", remediator: "10178", all: "10176"} {
		eventually(t, time.Minute, "a container to listen on "+want, func() error {
			log := d.logs(t, id)
			if !strings.Contains(log, want) || strings.Contains(log, "level=error") {
				return errors.New(log)
			}
			return nil
		})
		inspected, err := d.client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := inspected.Container; !c.State.Running || c.Config.User != "65532:65532" {
			t.Errorf("%s runs: %t, as %q\n%s", want, c.State.Running, c.Config.User, d.logs(t, id))
		}
	}
	// The operator's command, beside each of them: the exporter answers, and in checkpointd both.
	for _, of := range []string{exporter, all} {
		eventually(t, time.Minute, "checkpoint status to be told something", func() error {
			id := d.runImage(t, "checkpoint_remediator", of, "/usr/bin/checkpoint", "status")
			if log := d.wait(t, id); !strings.Contains(log, "ethpandaops") {
				return errors.New(log)
			}
			return nil
		})
	}
	for path, want := range map[string]string{
		"/var/lib/checkpoint":                "750 65532:65532",
		"/run/checkpoint":                    "755 65532:65532",
		"/tmp":                               "1777 0:0",
		"/etc/ssl/certs/ca-certificates.crt": "644 0:0",
	} {
		if got := d.stat(t, remediator, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := d.stat(t, remediator, "/var/lib/checkpoint/journal.jsonl"); !strings.HasSuffix(got, " 65532:65532") {
		t.Errorf("the journal is %s", got)
	}
}

// buildImage builds one target of dir/Containerfile.
func (d *dockerd) buildImage(tb testing.TB, dir, target string) {
	tb.Helper()
	var sent bytes.Buffer
	w := tar.NewWriter(&sent)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
		tb.Fatal(err)
	}
	result, err := d.client.ImageBuild(tb.Context(), &sent, client.ImageBuildOptions{
		Version: build.BuilderV1, Dockerfile: "Containerfile", Target: target, Tags: []string{target + ":e2e"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer result.Body.Close()
	log, err := io.ReadAll(result.Body)
	if err != nil || !strings.Contains(string(log), "Successfully tagged "+target+":e2e") {
		tb.Fatalf("build %s: %v\n%s", target, err, log)
	}
}

// runImage starts a container, in the network of another one if that is given, with another program if that is given.
func (d *dockerd) runImage(tb testing.TB, target, network string, program ...string) string {
	tb.Helper()
	config := &container.Config{Image: target + ":e2e"}
	if len(program) > 0 {
		config.Entrypoint, config.Cmd = program[:1], program[1:]
	}
	host := &container.HostConfig{ReadonlyRootfs: true, CapDrop: []string{"ALL"}}
	if network != "" {
		host.NetworkMode = container.NetworkMode("container:" + network)
	}
	made, err := d.client.ContainerCreate(tb.Context(), client.ContainerCreateOptions{Config: config, HostConfig: host})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := d.client.ContainerStart(tb.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		tb.Fatal(err)
	}
	return made.ID
}

func (d *dockerd) logs(tb testing.TB, id string) string {
	tb.Helper()
	r, err := d.client.ContainerLogs(tb.Context(), id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// wait is what a container has said when it has ended.
func (d *dockerd) wait(tb testing.TB, id string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	ended := d.client.ContainerWait(ctx, id, client.ContainerWaitOptions{})
	select {
	case <-ended.Result:
	case err := <-ended.Error:
		tb.Fatal(err)
	}
	return d.logs(tb, id)
}

// stat is mode and owner of a file of a container.
func (d *dockerd) stat(tb testing.TB, id, path string) string {
	tb.Helper()
	copied, err := d.client.CopyFromContainer(tb.Context(), id, client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		return err.Error()
	}
	defer copied.Content.Close()
	h, err := tar.NewReader(copied.Content).Next()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%o %d:%d", h.Mode&0o7777, h.Uid, h.Gid)
}
