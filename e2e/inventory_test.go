//go:build e2e

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// inventoryText is a file as people keep them: comments, an order of their own, two hosts with the same key.
const inventoryText = `# Kept by hand. The URL of node-1 is switched by the remediator.
all:
  vars:
    network: devnet

  children:
    nodes:
      hosts:
        node-1:            # in the rack
          el: geth
          cl: prysm

          use_checkpoint_sync: true
          checkpoint_sync_url: "%[1]s"   # the nearest
          cl_extra_opts: >-
            --target-peers=100
            --checkpoint-sync-url-timeout=300
        node-2:   {el: geth, cl: prysm, checkpoint_sync_url: "%[1]s"}
# end
`

func inventory(url string) string { return fmt.Sprintf(inventoryText, url) }

// sourceIn reads the URL that the inventory gives to node-1.
func sourceIn(text []byte) (string, error) {
	var file struct {
		All struct {
			Children struct {
				Nodes struct {
					Hosts map[string]struct {
						URL string `yaml:"checkpoint_sync_url"`
					} `yaml:"hosts"`
				} `yaml:"nodes"`
			} `yaml:"children"`
		} `yaml:"all"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", err
	}
	url := file.All.Children.Nodes.Hosts["node-1"].URL
	if url == "" {
		return "", fmt.Errorf("the inventory gives node-1 no URL")
	}
	return url, nil
}

// checkSwitched holds a changed inventory to what is promised: it differs in one value, and what it was is kept under the directory.
func checkSwitched(tb testing.TB, file, before, backups string) {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	old, err := sourceIn([]byte(before))
	if err != nil {
		tb.Fatal(err)
	}
	now, err := sourceIn(text)
	if err != nil {
		tb.Fatal(err)
	}
	if now == old {
		tb.Fatalf("the source of node-1 is still %s", old)
	}
	if want := strings.Replace(before, old, now, 1); string(text) != want {
		tb.Errorf("more than the one value has changed:\n%s\nwant:\n%s", text, want)
	}
	found := false
	err = filepath.WalkDir(backups, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		kept, err := os.ReadFile(path)
		found = found || string(kept) == before
		return err
	})
	if err != nil {
		tb.Errorf("look for the backup: %v", err)
	}
	if !found {
		tb.Errorf("no file under %s holds what the inventory was", backups)
	}
}
