package source

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry is one occurrence of the key.
type entry struct {
	path  []string
	value *yaml.Node
}

// choose returns the one value that is meant, or says why it cannot tell.
func (c yamlCodec) choose(docs []*yaml.Node) (entry, error) {
	if c.path != nil {
		return c.follow(docs)
	}
	var s survey
	for _, d := range docs {
		s.walk(d, c.key, nil)
	}
	want := c.host
	if want == "" {
		want = c.node
	}
	own := slices.DeleteFunc(slices.Clone(s.entries), func(e entry) bool { return !slices.Contains(e.path[:len(e.path)-1], want) })
	switch {
	case len(own) == 1:
		return own[0], nil
	case len(own) > 1:
		return entry{}, &PlaceError{Line: own[1].value.Line, Reason: fmt.Sprintf("host %q has %s more than once: %s", want, c.key, list(own)),
			Mend: "name the one by path:"}
	case len(s.entries) == 0:
		return entry{}, &PlaceError{Reason: fmt.Sprintf("has no key %q", c.key)}
	case s.hosts[want] > 0:
		return entry{}, &PlaceError{Line: s.hosts[want], Reason: fmt.Sprintf("host %q has no %s of its own: it is at %s", want, c.key, list(s.entries)),
			Mend: "give the host its own, or name the place by path:"}
	case c.host == "" && len(s.entries) == 1 && len(s.hosts) <= 1:
		return s.entries[0], nil
	}
	return entry{}, &PlaceError{Line: s.entries[0].value.Line, Reason: fmt.Sprintf("no host %q has %s: it is at %s", want, c.key, list(s.entries)),
		Mend: "name the host by host:, or the place by path:"}
}

func list(entries []entry) string {
	const most = 10
	var b strings.Builder
	for i, e := range entries {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(entries)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (line %d)", joinPath(e.path), e.value.Line)
	}
	return b.String()
}

// survey is what a file holds of a key.
type survey struct {
	entries []entry
	hosts   map[string]int // names in mappings called hosts, as Ansible has them, and their lines
}

func (s *survey) walk(n *yaml.Node, key string, path []string) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			s.walk(c, key, path)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			s.walk(c, key, append(slices.Clip(path), strconv.Itoa(i)))
		}
	case yaml.MappingNode:
		inHosts := len(path) > 0 && path[len(path)-1] == "hosts"
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			name := keyName(k)
			at := append(slices.Clip(path), name)
			if inHosts {
				if s.hosts == nil {
					s.hosts = map[string]int{}
				}
				s.hosts[name] = k.Line
			}
			if name == key && (v.Kind == yaml.ScalarNode || v.Kind == yaml.AliasNode) {
				s.entries = append(s.entries, entry{path: at, value: v})
				continue
			}
			s.walk(v, key, at)
		}
	}
}

// keyName is the text of a key; a key that is itself a mapping or list has none.
func keyName(k *yaml.Node) string {
	if k.Kind == yaml.AliasNode && k.Alias != nil {
		k = k.Alias
	}
	return k.Value
}

// follow goes down the exact path, in the one document that has it.
func (c yamlCodec) follow(docs []*yaml.Node) (entry, error) {
	var found []entry
	for _, d := range docs {
		for _, root := range d.Content {
			found = append(found, descend(root, c.path, nil)...)
		}
	}
	if c.key != "" {
		for i, e := range found {
			if e.value.Kind == yaml.MappingNode {
				found = slices.Replace(found, i, i+1, descend(e.value, []string{c.key}, e.path)...)
				break
			}
		}
	}
	switch {
	case len(found) == 0:
		return entry{}, &PlaceError{Reason: "has nothing at " + joinPath(c.path)}
	case len(found) > 1:
		return entry{}, &PlaceError{Line: found[1].value.Line, Reason: joinPath(c.path) + " is there more than once: " + list(found)}
	}
	return found[0], nil
}

func descend(n *yaml.Node, rest, path []string) []entry {
	if len(rest) == 0 {
		return []entry{{path: path, value: n}}
	}
	at := append(slices.Clip(path), rest[0])
	var found []entry
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if keyName(n.Content[i]) == rest[0] {
				found = append(found, descend(n.Content[i+1], rest[1:], at)...)
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(rest[0]); err == nil && i >= 0 && i < len(n.Content) {
			found = descend(n.Content[i], rest[1:], at)
		}
	}
	return found
}

// splitPath is the inverse of joinPath.
func splitPath(s string) ([]string, error) {
	var path []string
	for {
		var segment string
		if strings.HasPrefix(s, `"`) {
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, fmt.Errorf("path: a quote is not closed: %s", s)
			}
			if segment, err = strconv.Unquote(quoted); err != nil {
				return nil, fmt.Errorf("path: %s: %w", quoted, err)
			}
			s = s[len(quoted):]
		} else {
			end := strings.IndexByte(s, '.')
			if end < 0 {
				end = len(s)
			}
			if segment, s = s[:end], s[end:]; segment == "" {
				return nil, fmt.Errorf("path: an empty key between dots")
			}
		}
		path = append(path, segment)
		if s == "" {
			return path, nil
		}
		if s[0] != '.' {
			return nil, fmt.Errorf("path: want a dot before %q", s)
		}
		s = s[1:]
	}
}

func joinPath(path []string) string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = p
		if p == "" || strings.ContainsAny(p, ".\"") || strconv.Quote(p) != `"`+p+`"` {
			out[i] = strconv.Quote(p)
		}
	}
	return strings.Join(out, ".")
}
