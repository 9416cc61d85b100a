package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

func TestExitCodes(t *testing.T) {
	p := newPlace(t)
	p.told()
	missing := p.path("/etc/checkpoint/missing.yml")
	for name, tc := range map[string]struct {
		args []string
		code int
		want string // on standard error, or output where that is empty
	}{
		"nothing":                     {nil, 2, "usage: checkpoint"},
		"help":                        {[]string{"--help"}, 0, "At night, begin with:"},
		"help of a command":           {[]string{"help", "journal"}, 0, "--follow"},
		"version":                     {[]string{"--version"}, 0, "checkpoint, version "},
		"no such command":             {[]string{"reboot"}, 2, "checkpoint: expected command but got \"reboot\"; see checkpoint --help"},
		"no such flag":                {[]string{"status", "--verbose"}, 2, "unknown long flag"},
		"a flag of another command":   {[]string{"status", "--follow"}, 2, "unknown long flag"},
		"no node":                     {[]string{"ack"}, 2, "required argument 'node'"},
		"a time that is none":         {[]string{"journal", "--since", "yesterday"}, 2, `"yesterday" is not a time`},
		"until that is none":          {[]string{"journal", "--until", "x"}, 2, `"x" is not a time`},
		"follow until":                {[]string{"journal", "-f", "--until", "1h"}, 2, "--follow and --until"},
		"list and restore":            {[]string{"restore", "--list", "x"}, 2, "--list"},
		"restore at what":             {[]string{"restore", "--at", "1h"}, 2, "--at without a file"},
		"pause without a reason":      {[]string{"pause"}, 2, "say why in --reason"},
		"pause for no time":           {[]string{"pause", "--for", "a while"}, 2, "a while"},
		"a URL that is none":          {[]string{"ack", "node-1", "--remediator.url", "here"}, 2, `"here" is not the URL of the remediator`},
		"nobody answers":              {[]string{"ack", "node-1"}, 1, "the remediator does not answer at http://127.0.0.1:10178"},
		"a configuration not there":   {[]string{"--config.file", missing, "status"}, 1, "/etc/checkpoint/missing.yml: "},
		"a configuration that is bad": {[]string{"--config.file", p.path("/etc/checkpoint/new.yml"), "status"}, 1, "did you mean cooldown?"},
		"check of one not there":      {[]string{"config", "check", missing}, 1, "missing.yml"},
		"check":                       {[]string{"config", "check"}, 0, "is right"},
		"a journal not there":         {[]string{"journal", "--file", p.path("/none")}, 1, "--file"},
		"a journal":                   {[]string{"journal", "--file", p.path("/var/lib/checkpoint/journal.jsonl"), "--until", "2026-02-28"}, 0, "No incident since 2026-02-22"},
		"no such backup":              {[]string{"restore", "abcdef"}, 1, "there is no backup"},
		"nobody to ask":               {[]string{"restore", p.path("/opt/ephemery/inventory.yaml")}, 2, "nobody to ask"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err, code := p.run(tc.args...)
			text := err
			if text == "" {
				text = out
			}
			if code != tc.code || !strings.Contains(text, tc.want) {
				t.Errorf("exit code %d, want %d; %q lacks %q", code, tc.code, text, tc.want)
			}
			if strings.Count(err, "\n") > 1 {
				t.Errorf("a mistake takes one line: %q", err)
			}
		})
	}
	// With no file at the default path the defaults hold, as for the other programs.
	if err := os.Remove(p.path("/etc/checkpoint/checkpoint.yml")); err != nil {
		t.Fatal(err)
	}
	if out, stderr, code := p.run("config", "check"); code != 0 || !strings.Contains(out, "network ephemery") {
		t.Error(code, out, stderr)
	}
}

func TestColors(t *testing.T) {
	p := newPlace(t)
	p.told()
	for name, tc := range map[string]struct {
		terminal bool
		env      map[string]string
		args     []string
		want     bool
	}{
		"a terminal":      {true, nil, nil, true},
		"no terminal":     {false, nil, nil, false},
		"NO_COLOR":        {true, map[string]string{"NO_COLOR": "1"}, nil, false},
		"TERM=dumb":       {true, map[string]string{"TERM": "dumb"}, nil, false},
		"--no-color":      {true, nil, []string{"--no-color"}, false},
		"never with JSON": {true, nil, []string{"--json"}, false},
	} {
		p.color, p.env = tc.terminal, tc.env
		out, _, code := p.run(append([]string{"journal"}, tc.args...)...)
		if colored := strings.Contains(out, "\x1b["); code != 0 || colored != tc.want {
			t.Errorf("%s: colours %v", name, colored)
		}
		if plain := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "").Replace(out); strings.Contains(plain, "\x1b") {
			t.Errorf("%s: %q", name, plain)
		}
	}
}

// TestProgram is the stripped binary that users run.
func TestProgram(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "checkpoint")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w -X github.com/prometheus/common/version.Version=1.2.3", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const most = 24e6
	if info, err := os.Stat(bin); err != nil || info.Size() > most {
		t.Errorf("%v: %d bytes", err, info.Size())
	}
	p := newPlace(t)
	p.told()
	config := "--config.file=" + p.path("/etc/checkpoint/checkpoint.yml")

	call := func(name string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		exit := new(exec.ExitError)
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := call(bin, "--version"); code != 0 || !strings.HasPrefix(out, "checkpoint, version 1.2.3") {
		t.Error(code, out)
	}
	if out, code := call(bin, config, "journal", "--all"); code != 0 || !strings.Contains(out, "the chain is sound") || strings.Contains(out, "\x1b") {
		t.Error(code, out)
	}
	if out, code := call(bin, "--help-man"); code != 0 || !strings.HasPrefix(out, ".TH checkpoint") {
		t.Error(code, out)
	}
	if out, code := call(bin, config, "bogus"); code != 2 {
		t.Error(code, out)
	}

	t.Run("completion", func(t *testing.T) {
		for words, want := range map[string]string{
			"checkpoint jour":                          "journal",
			"checkpoint config ch":                     "check",
			"checkpoint journal --fol":                 "--follow",
			"checkpoint " + config + " ack node-":      "node-1 node-2",
			"checkpoint " + config + " ack node-1 no_": "no_peers",
		} {
			out, code := call("bash", "-c", `source <(checkpoint --completion-script-bash); COMP_WORDS=(`+words+`); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _checkpoint_bash_autocomplete; echo "${COMPREPLY[@]}"`)
			if code != 0 || strings.TrimSpace(out) != want {
				t.Errorf("%s: %d %q, want %q", words, code, out, want)
			}
		}
		if out, code := call(bin, "--completion-script-zsh"); code != 0 || !strings.HasPrefix(out, "#compdef checkpoint") {
			t.Error(code, out)
		}
	})

	t.Run("follow until a signal", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), bin, config, "journal", "-f", "--since", "2026-03-01T02:00:00Z")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		seen := &bytes.Buffer{}
		read := func(want string) {
			t.Helper()
			buf := make([]byte, 4096)
			for !strings.Contains(seen.String(), want) {
				n, err := out.Read(buf)
				seen.Write(buf[:n])
				if err != nil {
					t.Fatalf("%v: no %q in %s", err, want, seen)
				}
			}
		}
		read("people are needed")
		d := p.reopen()
		d.at = time.Now()
		if _, err := d.journal.Append("acked", remediate.Acked{Node: "node-2", By: "anna"}); err != nil {
			t.Fatal(err)
		}
		read("acknowledged by anna")
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out)
		if err := errors.Join(err, cmd.Wait()); err != nil || len(rest) > 0 {
			t.Errorf("%v %s", err, rest)
		}
	})
}
