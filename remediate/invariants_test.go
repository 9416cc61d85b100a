package remediate

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/remediation.md names as a guardian of an invariant is there, and all twelve have one.
func TestInvariantsHaveTests(t *testing.T) {
	doc, err := os.ReadFile("../docs/remediation.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	rows := regexp.MustCompile(`(?m)^\| \d+ \|.*\| (.*) \|$`).FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 12 {
		t.Fatalf("%d invariants with tests, want 12", len(rows))
	}
	for _, row := range rows {
		for name := range strings.SplitSeq(row[1], ", ") {
			if !strings.Contains(code.String(), "func "+name+"(t *testing.T)") {
				t.Errorf("there is no test %s", name)
			}
		}
	}
}
