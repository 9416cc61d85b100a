package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Error is a user's mistake in a configuration file.
type Error struct {
	File string
	// Line counts from 1; 0 when the mistake is in no line, such as a file that is not there.
	Line int
	// Key is the dotted path of the value, such as nodes[0].source.yaml.file; empty for the whole file.
	Key     string
	Problem string
	// Mend says what to do about it.
	Mend string
}

// Error is one line: file:line: key: problem; mend.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Problem + "; " + e.Mend
}

// Problem is an Error at a key of this configuration, given as path elements: strings for keys, ints for list indices. The
// line is that of the value, or of the nearest enclosing one that stands in the file.
func (c *Config) Problem(problem, mend string, path ...any) *Error {
	return &Error{File: c.source.name(), Line: c.source.line(path), Key: keyString(path), Problem: problem, Mend: mend}
}

func (c *Config) has(path ...any) bool {
	_, found := c.source.find(path)
	return found
}

// valueError is a mistake found while a value decodes itself, before its key is known.
type valueError struct {
	line          int
	problem, mend string
}

func (e *valueError) Error() string { return e.problem + "; " + e.mend }

// source remembers where every value stands.
type source struct {
	file string
	doc  yaml.Node
	// visits bounds the walk over keys: aliases can make a small file as large as one likes.
	visits int
}

const maxVisits = 100_000

func (s *source) name() string {
	if s.file == "" {
		return "defaults"
	}
	return s.file
}

// find walks to the node of a path; found is false when it ends at an enclosing node.
func (s *source) find(path []any) (n *yaml.Node, found bool) {
	if len(s.doc.Content) == 0 {
		return nil, false
	}
	n = s.doc.Content[0]
	for _, p := range path {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		next := child(n, p)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

func child(n *yaml.Node, p any) *yaml.Node {
	switch p := p.(type) {
	case string:
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == p {
					return n.Content[i+1]
				}
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && p < len(n.Content) {
			return n.Content[p]
		}
	}
	return nil
}

func (s *source) line(path []any) int {
	if n, _ := s.find(path); n != nil {
		return n.Line
	}
	return 0
}

func keyString(path []any) string {
	var b strings.Builder
	for _, p := range path {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)

func (s *source) syntaxError(err error) error {
	e := &Error{File: s.name(), Problem: strings.TrimPrefix(err.Error(), "yaml: "), Mend: "write it as YAML"}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Problem = m[2]
	}
	return e
}

// typeError turns the decoder's first complaint into an Error with the key that stands on its line.
func (s *source) typeError(err error) error {
	var value *valueError
	if errors.As(err, &value) {
		return &Error{File: s.name(), Line: value.line, Key: s.keyAt(value.line), Problem: value.problem, Mend: value.mend}
	}
	var types *yaml.TypeError
	text := err.Error()
	if errors.As(err, &types) && len(types.Errors) > 0 {
		text = types.Errors[0]
	}
	e := &Error{File: s.name(), Problem: text, Mend: "write a value of the right kind"}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Key = s.keyAt(e.Line)
		e.Problem, e.Mend = plainTypeError(m[2])
	}
	return e
}

var cannotUnmarshal = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(.*)`)? into (.*)$")

// plainTypeError puts the decoder's words into a user's.
func plainTypeError(text string) (problem, mend string) {
	m := cannotUnmarshal.FindStringSubmatch(text)
	if m == nil {
		return text, "keep only one of them"
	}
	got := map[string]string{"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "seq": "a list", "map": "a mapping", "null": "nothing"}[m[1]]
	if m[2] != "" {
		got += " (" + clip(m[2]) + ")"
	}
	want := m[3]
	switch {
	case strings.HasPrefix(want, "[]"):
		want = "a list"
	case strings.HasPrefix(want, "uint"):
		want = "a number from 0"
	case strings.HasPrefix(want, "int"), strings.HasPrefix(want, "float"):
		want = "a number"
	case want == "string":
		want = "text"
	default:
		want = "a mapping"
	}
	return got + " where " + want + " belongs", "write " + want
}

// keyAt is the deepest key whose value begins on a line.
func (s *source) keyAt(line int) string {
	var best []any
	var walk func(n *yaml.Node, path []any)
	walk = func(n *yaml.Node, path []any) {
		if n.Line == line && len(path) >= len(best) {
			best = slices.Clone(path)
		}
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], append(path, n.Content[i].Value))
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				walk(c, append(path, i))
			}
		}
	}
	if len(s.doc.Content) > 0 {
		walk(s.doc.Content[0], nil)
	}
	return keyString(best)
}

// checkKeys refuses keys that the schema does not have. The decoder's own strictness does not reach into types that decode
// themselves, and has no suggestion to make.
func (s *source) checkKeys(root *yaml.Node) error {
	return s.checkMapping(root, reflect.TypeFor[Config](), nil)
}

func (s *source) checkMapping(n *yaml.Node, t reflect.Type, path []any) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s.visits++; s.visits > maxVisits {
		return &Error{File: s.name(), Line: n.Line, Key: keyString(path), Problem: "aliases without end", Mend: "write the value out"}
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, c := range n.Content {
			if err := s.checkMapping(c, t.Elem(), append(path, i)); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && (t.Kind() == reflect.Map || t.Kind() == reflect.Struct):
		fields := fieldsOf(t)
		if t.Kind() == reflect.Struct && len(fields) == 0 {
			return nil // it decodes itself
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			at := append(slices.Clone(path), any(k.Value))
			next, known := fields[k.Value]
			switch {
			case t.Kind() == reflect.Map:
				next = t.Elem()
			case k.Value == "<<":
				next = t
				at = path
			case !known:
				return &Error{File: s.name(), Line: k.Line, Key: keyString(at), Problem: "unknown key", Mend: suggest(k.Value, fields)}
			}
			if err := s.checkMapping(v, next, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case tag != "":
				out[tag] = f.Type
			case f.Anonymous:
				maps.Copy(out, fieldsOf(f.Type))
			}
		}
	}
	return out
}

func suggest(key string, fields map[string]reflect.Type) string {
	best, near := "", 3
	if len(key) > 40 {
		key = ""
	}
	for _, f := range sortedKeys(fields) {
		if d := editDistance(key, f); d < near {
			best, near = f, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "write one of " + strings.Join(sortedKeys(fields), ", ")
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func parseDuration(s string) (time.Duration, error) {
	d, err := model.ParseDuration(s)
	return time.Duration(d), err
}

func readAtMost(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(b)) > n {
		err = fmt.Errorf("larger than %d bytes", n)
	}
	return b, err
}

// unwrapPath drops the path that os errors repeat.
func unwrapPath(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
