//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// smallDisk mounts a file system of a few hundred kilobytes.
func smallDisk(tb testing.TB) (dir string) {
	tb.Helper()
	dir = filepath.Join(workDir(tb), "disk")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NODEV|syscall.MS_NOSUID, "size=256k"); err != nil {
		tb.Fatalf("mount a small file system (needs root): %v", err)
	}
	tb.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// fill takes all the space that is left, to the last byte.
func fill(tb testing.TB, dir string) (file string) {
	tb.Helper()
	file = filepath.Join(dir, "ballast")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			tb.Fatal(err)
		}
	}
	return file
}

// The journal on a disk that is really full: what does not fit leaves nothing behind, rotation neither, and space that comes back is used.
func TestJournalOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	path := filepath.Join(dir, "journal.jsonl")
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { j.Close() }()
	kept := 0
	add := func(text string) error {
		_, err := j.Append("note", text)
		if err == nil {
			kept++
		}
		return err
	}
	if err := add("first"); err != nil {
		t.Fatal(err)
	}
	ballast := fill(t, dir)
	for range 200 { // to the end of the file's last page, and beyond
		if err = add(strings.Repeat("x", 100)); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", err)
	}
	size := j.Size()
	if archive, err := j.Rotate(nil); archive != "" || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("rotated to %q on a full disk: %v", archive, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != size || j.Size() != size {
		t.Errorf("%d bytes, want %d: %v", info.Size(), size, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := add("space came back"); err != nil {
		t.Error(err)
	}
	if archive, err := j.Rotate(nil); archive == "" || err != nil {
		t.Errorf("rotated to %q: %v", archive, err)
	}
	if err := add("after the rotation"); err != nil {
		t.Error(err)
	}
	got := 0
	for rec, err := range journal.ScanAll(path, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == "note" {
			got++
		}
	}
	if got != kept {
		t.Errorf("%d records, want %d", got, kept)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// While its disk is full the remediator answers 503 and acts on nothing. When there is space again it goes on by itself.
func TestRemediatorOnFullDisk(t *testing.T) {
	t.Parallel()
	p := startPair(t, false, true)
	dir := smallDisk(t)
	p.journal = filepath.Join(dir, "journal.jsonl")
	text, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.config, strings.Replace(string(text), filepath.Join(workDir(t), "journal", "journal.jsonl"), p.journal, 1))
	p.startRemediator()
	before := p.count()
	ballast := fill(t, dir)
	began, sent := time.Now(), 0
	webhook := func(alert, node, playbook string) error {
		sent++
		text, err := json.Marshal(map[string]any{"version": "4", "alerts": []any{map[string]any{
			"status": "firing", "fingerprint": fmt.Sprintf("%016x", sent), "startsAt": began,
			"labels": map[string]string{"alertname": alert, "node": node, "playbook": playbook},
		}}})
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.remediator+"/api/v1/alerts", bytes.NewReader(text))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		_, err = do(request)
		return err
	}
	// What is left of the file's last page takes some, about a node that is well.
	accepted := 0
	for err = webhook("A", stalled, "no_peers"); err == nil; err = webhook("A", stalled, "no_peers") {
		accepted++
	}
	source := func() error { return webhook("CheckpointNodeSourceUnusable", sourced, "source_unusable") }
	for range 3 {
		if !strings.Contains(fmt.Sprint(err), "503") {
			t.Fatalf("on a full disk: %v", err)
		}
		err = source()
	}
	got := p.count()
	if opened := got["opened"] - before["opened"]; opened != accepted {
		t.Errorf("%d incidents, and %d webhooks were accepted", opened, accepted)
	}
	if got["intent"] != 0 {
		t.Errorf("%d actions on a full disk", got["intent"])
	}
	if _, err := get(p.remediator + "/-/healthy"); err != nil {
		t.Error(err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the remediator to take alerts again", source)
	p.helped()
}
