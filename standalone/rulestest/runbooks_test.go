package rulestest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)#:]+\.md)(?:#([^)]+))?\)`)
	command      = regexp.MustCompile("(?m)^```|`[^`\n]+`")
)

// TestRunbooksHelp holds the runbooks to what somebody who was woken needs: no part is empty, something to type or to look for, the playbook
// that acts by itself, and links that lead somewhere.
func TestRunbooksHelp(t *testing.T) {
	t.Parallel()
	for _, a := range shipped(t).Alerts {
		t.Run(a.Name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(runbooks, a.Name+".md"))
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for part := range strings.SplitSeq(string(text), "\n## ") {
				heading, body, _ := strings.Cut(part, "\n")
				parts[heading] = strings.TrimSpace(body)
			}
			for heading, body := range parts {
				if !strings.HasPrefix(heading, "# ") && len(strings.Fields(body)) < 4 {
					t.Errorf("%s: says only %q", heading, body)
				}
			}
			if p := a.Labels["playbook"]; p != "" && !strings.Contains(parts["What happens by itself"], "`"+p+"`") {
				t.Errorf("What happens by itself: does not name playbook %s", p)
			}
			if !command.MatchString(parts["What to check"]) {
				t.Error("What to check: has nothing to type or to look for")
			}
			for _, link := range markdownLink.FindAllStringSubmatch(string(text), -1) {
				target, err := os.ReadFile(filepath.Join(runbooks, link[1]))
				if err != nil {
					t.Errorf("links to %s: %v", link[1], err)
					continue
				}
				if link[2] != "" && !strings.Contains(anchors(string(target)), "\n"+link[2]+"\n") {
					t.Errorf("links to %s, which has no heading #%s", link[1], link[2])
				}
			}
		})
	}
}

// anchors are the headings of a page as links name them, one a line.
func anchors(page string) string {
	all := "\n"
	for line := range strings.Lines(page) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			bare := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			all += strings.ReplaceAll(bare, " ", "-") + "\n"
		}
	}
	return all
}
