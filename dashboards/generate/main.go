// The program generate writes the dashboards into the directory that its argument names. "make dashboards" runs it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func dashboards() []*dashboard { return []*dashboard{fleet(), providers(), nodeSync(), remediation()} }

func write(dir string) error {
	for _, d := range dashboards() {
		text, err := d.text()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, d.file()), text, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", d.file(), err)
		}
	}
	return nil
}

func (d *dashboard) file() string { return d.UID + ".json" }

func (d *dashboard) text() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.file(), err)
	}
	return b.Bytes(), nil
}
