package dashboards_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/checkpoint-exporter/checkpoint_exporter/dashboards"
)

// grafana compiles the schema that schema/README.md tells of.
func grafana(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("schema/grafana.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// files are the dashboards, by their file's name, as JSON values.
func files(t *testing.T) map[string]map[string]any {
	t.Helper()
	names, err := fs.Glob(dashboards.Files, "*.json")
	if err != nil || len(names) != 4 {
		t.Fatalf("the dashboards are %v (%v)", names, err)
	}
	all := map[string]map[string]any{}
	for _, name := range names {
		text, err := dashboards.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = value.(map[string]any)
	}
	return all
}

func TestSchema(t *testing.T) {
	t.Parallel()
	schema := grafana(t)
	for name, d := range files(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, problem := range problems(schema.Validate(d)) {
				t.Error(problem)
			}
		})
	}
}

// TestSchemaRefuses spoils a dashboard, so that a schema which lets everything pass is found out.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	schema := grafana(t)
	panel := func(d map[string]any) map[string]any { return d["panels"].([]any)[0].(map[string]any) }
	defaults := func(d map[string]any) map[string]any {
		return panel(d)["fieldConfig"].(map[string]any)["defaults"].(map[string]any)
	}
	for name, spoil := range map[string]func(map[string]any){
		"an unknown key":                func(d map[string]any) { d["colour"] = "red" },
		"a width that is a string":      func(d map[string]any) { panel(d)["gridPos"].(map[string]any)["w"] = "12" },
		"an unknown kind of panel":      func(d map[string]any) { panel(d)["type"] = "graph" },
		"an unknown option of a panel":  func(d map[string]any) { panel(d)["options"].(map[string]any)["legend"] = true },
		"an unknown mode of thresholds": func(d map[string]any) { defaults(d)["thresholds"].(map[string]any)["mode"] = "abs" },
		"an unknown kind of mapping":    func(d map[string]any) { defaults(d)["mappings"] = []any{map[string]any{"type": "word"}} },
		"a variable of an unknown kind": func(d map[string]any) {
			d["templating"].(map[string]any)["list"].([]any)[0].(map[string]any)["type"] = "list"
		},
		"an annotation without a colour": func(d map[string]any) {
			delete(d["annotations"].(map[string]any)["list"].([]any)[0].(map[string]any), "iconColor")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := files(t)["checkpoint-fleet.json"]
			spoil(d)
			if err := schema.Validate(d); err == nil {
				t.Error("the schema lets it pass")
			}
		})
	}
}

// problems are the innermost of a validation's errors. Of a panel's errors those count that are about its own type.
func problems(err error) []string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		if err != nil {
			return []string{err.Error()}
		}
		return nil
	}
	var found []string
	for _, cause := range invalid.Causes {
		if _, alternatives := invalid.ErrorKind.(*kind.AnyOf); alternatives && ofAnotherType(cause) {
			continue
		}
		found = append(found, problems(cause)...)
	}
	if found == nil {
		found = []string{fmt.Sprintf("/%s: %s", strings.Join(invalid.InstanceLocation, "/"), invalid)}
	}
	return found
}

func ofAnotherType(branch *jsonschema.ValidationError) bool {
	if _, other := branch.ErrorKind.(*kind.Const); other && strings.HasSuffix(strings.Join(branch.InstanceLocation, "/"), "/type") {
		return true
	}
	for _, cause := range branch.Causes {
		if len(cause.InstanceLocation) <= 3 && ofAnotherType(cause) {
			return true
		}
	}
	return false
}

// decode reads a part of a dashboard into a type of the test's.
func decode(t *testing.T, from, into any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
