package simulate

import (
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"
)

// FixedSource is a checkpoint URL that never changes.
func FixedSource(url string) func() (string, error) {
	return func() (string, error) { return url, nil }
}

// maxInventory bounds the file that YAMLSource reads.
const maxInventory = 4 << 20

// YAMLSource reads the checkpoint URL from a YAML file at each start of a node, as a unit whose command line is made from an
// inventory does: the first scalar under key, inside the mapping named host when that is not empty.
func YAMLSource(file, host, key string) func() (string, error) {
	return func() (string, error) {
		info, err := os.Stat(file)
		if err != nil {
			return "", fmt.Errorf("read inventory: %w", err)
		}
		if info.Size() > maxInventory {
			return "", fmt.Errorf("read inventory %s: %d bytes are too many", file, info.Size())
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read inventory: %w", err)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(b, &doc); err != nil {
			return "", fmt.Errorf("parse inventory %s: %w", file, err)
		}
		n := &doc
		if host != "" {
			if n = findKey(&doc, host, yaml.MappingNode); n == nil {
				return "", fmt.Errorf("inventory %s has no host %q", file, host)
			}
		}
		if n = findKey(n, key, yaml.ScalarNode); n == nil {
			return "", fmt.Errorf("inventory %s has no key %q", file, key)
		}
		return n.Value, nil
	}
}

// findKey is the first value of the wanted kind under key, the document read from top to bottom. Aliases are not followed.
func findKey(n *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key && c.Kind == kind {
			return c
		}
		if found := findKey(c, key, kind); found != nil {
			return found
		}
	}
	return nil
}
