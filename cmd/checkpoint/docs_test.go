package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write what commands answer into docs/cli.md")

const cliDocs = "../../docs/cli.md"

// example is one command of the documentation.
type example struct {
	line string // after the prompt
	args []string
	code int
	want string
}

var exitComment = regexp.MustCompile(`\s+# exit code (\d)$`)

// TestDocs runs every command of docs/cli.md, one after another on one machine, and compares what they answer.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(cliDocs)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	p.told()
	p.running()
	p.in, p.asks = "y\n", true
	ran := map[string]bool{}
	var out strings.Builder
	var current []string
	inside := false
	for line := range strings.Lines(string(text)) {
		switch {
		case !inside && strings.HasPrefix(line, "```console"):
			inside, current = true, nil
			out.WriteString(line)
		case inside && strings.HasPrefix(line, "```"):
			inside = false
			for _, e := range examples(t, current) {
				got, code := p.example(e)
				if code != e.code {
					t.Errorf("$ %s\nexit code %d, want %d", e.line, code, e.code)
				}
				if got != e.want {
					t.Errorf("$ %s\nanswers\n%s\nand not\n%s", e.line, got, e.want)
				}
				out.WriteString("$ " + e.line + "\n" + got)
				ran[e.args[0]] = true
			}
			out.WriteString(line)
		case inside:
			current = append(current, line)
		default:
			out.WriteString(line)
		}
	}
	for _, name := range []string{"status", "journal", "restore", "pause", "resume", "ack", "providers", "config", "setup"} {
		if !ran[name] {
			t.Errorf("docs/cli.md has no example of %s", name)
		}
	}
	if *update {
		if err := os.WriteFile(cliDocs, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func examples(t *testing.T, lines []string) (all []example) {
	t.Helper()
	for _, line := range lines {
		command, is := strings.CutPrefix(line, "$ ")
		if !is {
			if len(all) == 0 {
				t.Fatalf("output without a command: %s", line)
			}
			all[len(all)-1].want += line
			continue
		}
		e := example{line: strings.TrimSuffix(command, "\n")}
		words := e.line
		if m := exitComment.FindStringSubmatch(words); m != nil {
			e.code, _ = strconv.Atoi(m[1])
			words = strings.TrimSuffix(words, m[0])
		}
		e.args = fields(words)
		if e.args[0] == "sudo" {
			e.args = e.args[1:]
		}
		if e.args[0] != "checkpoint" {
			t.Fatalf("not ours: %s", e.line)
		}
		e.args = e.args[1:]
		all = append(all, e)
	}
	return all
}

// fields are a command line's words; quotes hold some together.
func fields(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words[len(words)-1] += part
			continue
		}
		words = append(words, strings.Fields(part)...)
		if strings.HasSuffix(part, " ") {
			words = append(words, "")
		}
	}
	kept := words[:0]
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}

// example runs one. Paths of the documentation are those below the place's root.
func (p *place) example(e example) (string, int) {
	p.Helper()
	switch e.args[0] {
	case "resume":
		p.now = p.now.Add(40 * time.Minute)
	case "setup":
		p.in, p.asks = "", false
		if len(p.machine.Units) == 0 {
			p.fresh()
		}
	}
	args := make([]string, len(e.args))
	following := false
	for i, a := range e.args {
		args[i] = a
		if strings.HasPrefix(a, "/") {
			args[i] = p.path(a)
		}
		following = following || a == "--follow" || a == "-f"
	}
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	w := p.world(&out, &out)
	if following { // until it has told what is expected
		w.out = &lastLine{Buffer: &out, left: strings.Count(e.want, "\n"), stop: cancel}
	}
	code := w.run(ctx, args)
	return realign(out.String(), p.root), code
}

// lastLine calls stop after some lines.
type lastLine struct {
	*bytes.Buffer
	left int
	stop func()
}

func (l *lastLine) Write(b []byte) (int, error) {
	if l.left -= bytes.Count(b, []byte("\n")); l.left <= 0 {
		l.stop()
	}
	return l.Buffer.Write(b)
}

var gap = regexp.MustCompile(` {2,}`)

// realign takes root out of paths, and mends the columns of tables that were made wide by it.
func realign(text, root string) string {
	var out strings.Builder
	blocks := strings.SplitAfter(text, "\n\n")
	for _, block := range blocks {
		lines := strings.Split(strings.ReplaceAll(block, root, ""), "\n")
		heading := gap.Split(lines[0], -1)
		if !strings.Contains(block, root) || len(heading) < 2 || lines[0] != strings.ToUpper(lines[0]) {
			out.WriteString(strings.Join(lines, "\n"))
			continue
		}
		var rows [][]string
		widths := make([]int, len(heading))
		for _, l := range lines {
			row := gap.Split(l, -1)
			rows = append(rows, row)
			for i, c := range row {
				if len(row) > 1 && i < len(widths) {
					widths[i] = max(widths[i], utf8.RuneCountInString(c))
				}
			}
		}
		for n, row := range rows {
			line := ""
			for i, c := range row {
				if i < len(row)-1 {
					c = fmt.Sprintf("%-*s  ", widths[i], c)
				}
				line += c
			}
			if n > 0 {
				out.WriteString("\n")
			}
			out.WriteString(line)
		}
	}
	return out.String()
}
