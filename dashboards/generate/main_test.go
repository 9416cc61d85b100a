package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCommitted holds the files to what this program writes: it is where to change them.
func TestCommitted(t *testing.T) {
	t.Parallel()
	ours := map[string]bool{}
	for _, d := range dashboards() {
		ours[d.file()] = true
		want, err := d.text()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", d.file()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program writes; run make dashboards", d.file())
		}
	}
	files, err := filepath.Glob("../*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !ours[filepath.Base(file)] {
			t.Errorf("%s is not written by the program", file)
		}
	}
}
