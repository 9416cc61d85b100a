// Package checkpoint_exporter_test holds the whole tree to the directions that docs/architecture.md draws.
package checkpoint_exporter_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/checkpoint-exporter/checkpoint_exporter/"

// imports are those of every Go file that is no test, by file.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		found[path] = nil
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			found[path] = append(found[path], strings.TrimPrefix(name, module))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 50 {
		t.Fatalf("found only %d files", len(found))
	}
	return found
}

func TestImports(t *testing.T) {
	rooms := "beacon|collector|config|network|node|progress|provider|remediate|server|simulate|standalone|rules|web"
	for _, rule := range []struct {
		name string
		// in are the files that the rule is about, by the beginning of their path; except are not.
		in, except string
		forbidden  string
	}{
		{"only the actuator starts processes", "", "remediate/actuator/|e2e/", "os/exec"},
		{"the remediator looks for itself", "remediate/|cmd/checkpoint_remediator/", "", "collector"},
		{"the simulation is for the demo and for tests", "", "simulate/|standalone/demo/|standalone/cmd/|e2e/", "simulate"},
		{"network knows nobody", "network/", "", rooms},
		{"progress knows only network", "progress/", "", strings.Replace(rooms, "network|", "", 1)},
		{"config knows only network", "config/", "", strings.Replace(rooms, "network|", "", 1)},
		{"beacon knows only network", "beacon/", "", strings.Replace(rooms, "network|", "", 1)},
		{"judging knows no program", "provider/|node/", "", "collector|config|remediate|server|simulate|standalone|rules|web"},
		{"the page is told what it shows", "web/", "", strings.NewReplacer("collector|", "", "config|", "", "|web", "").Replace(rooms)},
		{"who is shown knows no page", "collector/|remediate/|server/|cmd/checkpoint_remediator/", "", "web"},
		{"the console is for the operator's command", "", "console/|cmd/checkpoint/", "console"},
		{"the console knows no server", "console/", "", "server|simulate|standalone|rules"},
		{"setting up is for the operator's command", "", "setup/|console/|cmd/checkpoint/", "setup"},
		{"setting up asks and prints nothing", "setup/", "", "collector|console|server|simulate|standalone|rules"},
		{"the programs do not know the engines", "cmd/|collector/|remediate/|server/", "", "standalone"},
	} {
		t.Run(rule.name, func(t *testing.T) {
			for file, names := range imports(t) {
				if !begins(file, rule.in) || rule.except != "" && begins(file, rule.except) {
					continue
				}
				for _, name := range names {
					for room := range strings.SplitSeq(rule.forbidden, "|") {
						if name == room || strings.HasPrefix(name, room+"/") {
							t.Errorf("%s imports %s", file, name)
						}
					}
				}
			}
		})
	}
}

func begins(path, prefixes string) bool {
	for p := range strings.SplitSeq(prefixes, "|") {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}
