package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/server"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/internal/synctext"
)

// file writes a configuration into a folder of its own.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	nobody = `{providers: [{name: gone, url: "http://127.0.0.1:9"}], nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:9"}}]}`
	toLog  = `{route: {receiver: log}, receivers: [{name: log}]}`
)

func TestArguments(t *testing.T) {
	t.Parallel()
	good := file(t, "checkpoint.yml", nobody)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"--nonsense"}, "--help"},
		{"exit without demo", []string{"--demo.exit"}, "--demo.exit goes with --demo"},
		{"socket", []string{"--web.systemd-socket"}, "--web.systemd-socket"},
		{"no file", []string{"--config.file=/nonexistent"}, "/nonexistent"},
		{"bad file", []string{"--config.file=" + file(t, "checkpoint.yml", "quorum: many")}, "checkpoint.yml:1: quorum"},
		{"bad alerts", []string{"--config.file=" + good, "--alertmanager.config-file=" + file(t, "alertmanager.yml", "route: 1")}, "alertmanager.yml"},
		{"external URL", []string{"--config.file=" + good, "--storage.path=" + t.TempDir(), "--web.external-url=ftp://x",
			"--exporter.listen-address=127.0.0.1:0", "--remediator.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.1:0"}, "not a URL that begins with http"},
		{"address", []string{"--config.file=" + good, "--storage.path=" + t.TempDir(), "--exporter.listen-address=127.0.0.1:99999"}, "99999"},
		{"storage", []string{"--config.file=" + good, "--storage.path=" + file(t, "a file", "")}, "storage: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), tc.args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tc.want)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	var out synctext.Buffer
	path := file(t, "checkpoint.yml", nobody)
	if err := run(t.Context(), []string{"--config.check", "--config.file=" + path}, &out, io.Discard); !errors.Is(err, server.ErrChecked) {
		t.Errorf("got %v", err)
	}
	if want := path + ": ok: network ephemery, 1 providers, 1 nodes, mode observe\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// The program as a service runs it, from its first line to its end.
func TestServe(t *testing.T) {
	t.Parallel()
	var log synctext.Buffer
	dir := filepath.Join(t.TempDir(), "storage")
	ctx, end := context.WithCancel(t.Context())
	defer end()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"--config.file=" + file(t, "checkpoint.yml", nobody), "--alertmanager.config-file=" + file(t, "alertmanager.yml", toLog), "--storage.path=" + dir,
			"--exporter.listen-address=127.0.0.1:0", "--remediator.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.1:0",
		}, io.Discard, &log)
	}()
	for name, want := range map[string]string{
		"page": "checkpoint", "incidents": `"mode":"observe"`, "alerts": "[",
	} {
		if body := fetch(t, address(t, &log, name)); !strings.Contains(body, want) {
			t.Errorf("%s: no %s in %.200s", name, want, body)
		}
	}
	for _, want := range []string{"storage=" + dir, "nothing will be remediated"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &log)
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "level=error") {
		t.Errorf("errors in the log:\n%s", &log)
	}
}

// address waits for the line that says where everything is served.
func address(t *testing.T, log *synctext.Buffer, name string) string {
	t.Helper()
	field := regexp.MustCompile(`msg=serving .*\b` + name + `=(\S+)`)
	var found string
	wait(t, name+" in the log", func() bool {
		if m := field.FindStringSubmatch(log.String()); m != nil {
			found = m[1]
		}
		return found != ""
	})
	return found
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	var body []byte
	wait(t, url, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return string(body)
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not seen within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Whoever may not write to the usual folder gets one beside him.
func TestStorage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	got, err := (&flags{storage: "here"}).openStorage()
	if err != nil || got != filepath.Join(dir, "here") {
		t.Errorf("got %s, %v", got, err)
	}
	if left, err := filepath.Glob("here/.*"); err != nil || len(left) > 0 {
		t.Errorf("the try left %s behind (%v)", left, err)
	}
	got, err = firstWritable("/proc/no", "spare")
	if err != nil || got != filepath.Join(dir, "spare") {
		t.Errorf("got %s, %v", got, err)
	}
}
