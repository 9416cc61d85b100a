package demo_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"go.uber.org/goleak"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/demo"
	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/internal/synctext"
)

// TestMain makes this program the service manager of its own demos, as checkpointd is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == demo.RestartCommand {
		if err := demo.Restart(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// stage gives a demo a folder of its own for what is temporary.
func stage(t *testing.T) (demo.Options, *synctext.Buffer, string) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := &synctext.Buffer{}
	return demo.Options{
		Out: out, Restart: []string{self, demo.RestartCommand},
		Loggers: func(w io.Writer) (log.Logger, *slog.Logger) {
			return log.NewLogfmtLogger(log.NewSyncWriter(w)), slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
		},
	}, out, tmp
}

func nothingLeft(t *testing.T, dir string, goroutines goleak.Option) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %s (%v)", left, err)
	}
	if err := goleak.Find(goroutines); err != nil {
		t.Error(err)
	}
}

// The whole story, as `checkpointd --demo --demo.exit` tells it: it ends without an error only if every chapter was seen.
func TestStory(t *testing.T) {
	before := goleak.IgnoreCurrent()
	o, out, dir := stage(t)
	o.Exit, o.Deadline = true, 10*time.Minute
	err := demo.Run(t.Context(), o)
	t.Logf("\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"alpha    usable", "ancient  NOT usable, old_iteration", "foreign  NOT usable, wrong_network", "sleepy   NOT usable, stale",
		"Alert: CheckpointNodeSourceUnusable node-2", "Alert: CheckpointNodeSyncStalled node-1",
		"Journal: node-2: will change the checkpoint source", "Journal: node-1: will restart the consensus client",
		"It helped: the head of node-1", "inventory.yaml, all lines that differ", "# the nearest one", "journal.jsonl",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story does not tell %q", want)
		}
	}
	nothingLeft(t, dir, before)
}

// A story that is not over at the deadline says what was not seen.
func TestStoryIncomplete(t *testing.T) {
	o, _, dir := stage(t)
	before := goleak.IgnoreCurrent()
	o.Exit, o.Deadline = true, 30*time.Second
	err := demo.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "not seen: the remediator restarts the node, and it helps") {
		t.Errorf("a story that was cut short ends with %v", err)
	}
	nothingLeft(t, dir, before)
}

func TestInterrupted(t *testing.T) {
	o, out, dir := stage(t)
	before := goleak.IgnoreCurrent()
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, o) }()
	deadline := time.Now().Add(2 * time.Minute)
	for !strings.Contains(out.String(), "The demo kills") {
		if time.Now().After(deadline) {
			t.Fatalf("nothing happens:\n%s", out)
		}
		time.Sleep(50 * time.Millisecond)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	nothingLeft(t, dir, before)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"nothing":     nil,
		"no URL":      {"http://[::1", "node-1"},
		"nobody asks": {"http://127.0.0.1:9", "node-1"},
	} {
		if err := demo.Restart(t.Context(), args); err == nil || !strings.HasPrefix(err.Error(), demo.RestartCommand) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
