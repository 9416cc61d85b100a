// generate writes the table of every key into docs/configuration.md, from the types of package config, their comments and their defaults.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

//go:generate go run . ../../config ../configuration.md

// The lines in docs/configuration.md between which the tables stand.
const (
	begin = "<!-- Written by go generate ./docs/generate from the comments of package config. -->\n"
	end   = "<!-- End of what is written by go generate. -->\n"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: generate DIRECTORY-OF-CONFIG FILE")
	}
	old, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	text, err := replaced(string(old), args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], []byte(text), 0o644)
}

// replaced is the text of the file with the tables of today.
func replaced(text, dir string) (string, error) {
	head, rest, found := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", errors.New("the lines that enclose the tables are not there")
	}
	docs, err := comments(dir)
	if err != nil {
		return "", err
	}
	r := reference{docs: docs}
	if err := r.section("", reflect.ValueOf(*config.Default())); err != nil {
		return "", err
	}
	for len(r.later) > 0 {
		next := r.later[0]
		r.later = r.later[1:]
		if err := r.section(next.heading, next.example); err != nil {
			return "", err
		}
	}
	return head + begin + "\n" + r.text.String() + "\n" + end + tail, nil
}

// comments are those of the exported fields, as Type.Field.
func comments(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	found := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, is := n.(*ast.TypeSpec)
			if !is {
				return true
			}
			if s, is := spec.Type.(*ast.StructType); is {
				for _, field := range s.Fields.List {
					for _, name := range field.Names {
						found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return found, nil
}

// table is one that follows: of a mapping that has a heading of its own, with its defaults.
type table struct {
	heading string
	example reflect.Value
}

type reference struct {
	docs  map[string]string
	text  strings.Builder
	seen  map[string]bool
	later []table
}

// section writes a heading and a table of the keys of a struct and of the structs within it.
func (r *reference) section(heading string, v reflect.Value) error {
	if heading != "" {
		fmt.Fprintf(&r.text, "\n### %s\n\n", heading)
	}
	r.text.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	return r.rows("", v)
}

// shared are the mappings that stand in many places and are told of once, with an element that has the defaults of one.
var shared = map[string]func() (reflect.Value, error){
	"Node": func() (reflect.Value, error) {
		return parsed("nodes: [{name: n, consensus: {url: 'http://n'}}]", "Nodes")
	},
	"Restart": func() (reflect.Value, error) { return reflect.ValueOf(config.Restart{}), nil },
	"Source":  func() (reflect.Value, error) { return reflect.ValueOf(config.Source{}), nil },
	"Step":    func() (reflect.Value, error) { return reflect.ValueOf(config.Step{}), nil },
	"Network": func() (reflect.Value, error) { return reflect.ValueOf(config.Network{}), nil },
}

// parsed is the first element of a list of a configuration, without what had to be written.
func parsed(text, field string) (reflect.Value, error) {
	c, err := config.Parse("example", []byte(text))
	if err != nil {
		return reflect.Value{}, err
	}
	v := reflect.New(reflect.ValueOf(c).Elem().FieldByName(field).Index(0).Type()).Elem()
	v.Set(reflect.ValueOf(c).Elem().FieldByName(field).Index(0))
	v.FieldByName("Name").SetString("")
	v.FieldByName("Consensus").FieldByName("URL").SetString("")
	return v, nil
}

func (r *reference) rows(prefix string, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := field.Tag.Get("yaml")
		if !field.IsExported() || key == "" {
			continue
		}
		meaning, err := r.meaning(v.Type(), field)
		if err != nil {
			return err
		}
		inner, suffix := field.Type, ""
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			switch inner.Kind() {
			case reflect.Slice:
				suffix += "[]"
			case reflect.Map:
				suffix += ".NAME"
			}
			inner = inner.Elem()
		}
		kind := words(field.Type)
		fmt.Fprintf(&r.text, "| `%s%s` | %s | %s | %s |\n", prefix, key, kind, shown(v.Field(i)), meaning)
		example, apart := shared[inner.Name()]
		switch {
		case apart:
			if err := r.once(inner, example); err != nil {
				return err
			}
		case inner.Kind() == reflect.Struct && inner != reflect.TypeFor[config.TimeInterval]():
			within := reflect.New(inner).Elem()
			if field.Type == inner {
				within = v.Field(i)
			}
			if err := r.rows(prefix+key+suffix+".", within); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reference) once(t reflect.Type, example func() (reflect.Value, error)) error {
	if r.seen[t.Name()] {
		return nil
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[t.Name()] = true
	v, err := example()
	if err != nil {
		return err
	}
	r.later = append(r.later, table{heading: "A " + strings.ToLower(t.Name()), example: v})
	return nil
}

// words say what a value looks like.
func words(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[config.Duration]():
		return "duration"
	case t == reflect.TypeFor[config.TimeInterval]():
		return "time interval"
	case t == reflect.TypeFor[config.Slots]():
		return "slots"
	case t == reflect.TypeFor[config.Playbook]():
		return "list of [steps](#a-step)"
	}
	if _, apart := shared[t.Name()]; apart {
		return fmt.Sprintf("[%s](#a-%s)", strings.ToLower(t.Name()), strings.ToLower(t.Name()))
	}
	switch t.Kind() {
	case reflect.Pointer:
		return words(t.Elem())
	case reflect.Slice:
		return "list of " + plural(words(t.Elem()))
	case reflect.Map:
		return "names, each with a " + words(t.Elem())
	case reflect.Struct:
		return "mapping"
	case reflect.Float64:
		return "number"
	case reflect.String:
		return "string"
	}
	return "whole number"
}

func plural(s string) string {
	if i := strings.Index(s, "]("); i >= 0 {
		return s[:i] + "s" + s[i:]
	}
	return s + "s"
}

// shown is a default; empty for none, and for one that is more than a value.
func shown(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	switch x := v.Interface().(type) {
	case config.Duration:
		return "`" + model.Duration(time.Duration(x)).String() + "`"
	case []string:
		return "`[" + strings.Join(x, ", ") + "]`"
	case config.Network:
		return "`" + x.Name + "`"
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Pointer:
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

var identifier = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)

// meaning is a field's comment in the words of the file: keys in the place of Go's names, lists in that of variables.
func (r *reference) meaning(t reflect.Type, field reflect.StructField) (string, error) {
	text := r.docs[t.Name()+"."+field.Name]
	if text == "" {
		return "", fmt.Errorf("%s.%s has no comment", t.Name(), field.Name)
	}
	for _, is := range []string{" is ", " are "} {
		if rest, found := strings.CutPrefix(text, field.Name+is); found {
			text = strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	lists := map[string][]string{"ConsensusClients": config.ConsensusClients, "ExecutionClients": config.ExecutionClients}
	text = identifier.ReplaceAllStringFunc(text, func(word string) string {
		if list := lists[word]; list != nil {
			return strings.Join(list, ", ")
		}
		if other, found := t.FieldByName(word); found && word != "URL" && word != "YAML" {
			return "`" + other.Tag.Get("yaml") + "`"
		}
		return word
	})
	if strings.Contains(text, " nil ") {
		return "", fmt.Errorf("the comment of %s.%s speaks of nil, which no file has", t.Name(), field.Name)
	}
	return strings.ReplaceAll(text, "|", `\|`), nil
}
