package dashboards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the tests read of a dashboard.
type (
	board struct {
		UID, Title, Description string
		Editable                bool
		Tags                    []string
		Links                   []link
		Templating              struct{ List []variable }
		Annotations             struct {
			List []struct {
				Name       string
				Datasource source
			}
		}
		Panels []panel
	}
	variable struct {
		Name, Type, Label, AllValue string
		Query                       any
		Datasource                  source
		Multi, IncludeAll           bool
		Refresh                     int
	}
	source struct{ Type, UID string }
	link   struct {
		Title, Type, URL string
		Tags             []string
	}
	panel struct {
		ID                       int
		Type, Title, Description string
		Datasource               source
		GridPos                  struct{ X, Y, W, H int }
		Links                    []link
		Targets                  []struct {
			RefID, Expr, LegendFormat, Format string
			Datasource                        source
			Instant, Range                    bool
		}
		FieldConfig struct {
			Defaults  struct{ Unit, NoValue string }
			Overrides []struct {
				Matcher    struct{ ID, Options string }
				Properties []struct {
					ID    string
					Value any
				}
			}
		}
		Transformations []struct {
			ID      string
			Options struct {
				RenameByName  map[string]string
				ExcludeByName map[string]bool
			}
		}
		Options struct{ TextMode string }
	}
)

func boards(t *testing.T) map[string]board {
	t.Helper()
	all := map[string]board{}
	for name, value := range files(t) {
		var b board
		decode(t, value, &b)
		all[name] = b
	}
	return all
}

// TestLint holds the dashboards to what grafana/dashboard-linter asks for of anything but the queries themselves, which
// standalone/rulestest looks at.
func TestLint(t *testing.T) {
	t.Parallel()
	for name, b := range boards(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, problem := range lint(b) {
				t.Error(problem)
			}
			if name != b.UID+".json" {
				t.Errorf("the uid is %q", b.UID)
			}
		})
	}
}

// chosen is the data source that whoever looks has chosen.
var chosen = source{"prometheus", "${datasource}"}

func lint(b board) []string {
	var found []string
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	if b.Title == "" || b.Description == "" {
		bad("template: has no title or description")
	}
	if b.Editable {
		bad("template-uneditable: what is provisioned would be overwritten")
	}
	found = append(found, lintVariables(b)...)
	for _, a := range b.Annotations.List {
		if a.Datasource != chosen {
			bad("annotation %q: panel-datasource: is %v", a.Name, a.Datasource)
		}
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	for i, p := range b.Panels {
		if ids[p.ID] {
			bad("panel %q: the id %d is another's as well", p.Title, p.ID)
		}
		ids[p.ID] = true
		if key := p.Type + " " + p.Title; titles[key] {
			bad("panel %q: another of its type has that title", p.Title)
		} else {
			titles[key] = true
		}
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
			bad("panel %q: does not lie on the grid: %+v", p.Title, p.GridPos)
		}
		for _, q := range b.Panels[:i] {
			if p.GridPos.X < q.GridPos.X+q.GridPos.W && q.GridPos.X < p.GridPos.X+p.GridPos.W &&
				p.GridPos.Y < q.GridPos.Y+q.GridPos.H && q.GridPos.Y < p.GridPos.Y+p.GridPos.H {
				bad("panel %q: lies on %q", p.Title, q.Title)
			}
		}
		found = append(found, lintPanel(p)...)
	}
	return found
}

func lintVariables(b board) []string {
	var found []string
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	named := map[string]variable{}
	for _, v := range b.Templating.List {
		named[v.Name] = v
		if v.Label == "" {
			bad("variable %q: has no label", v.Name)
		}
		if v.Type != "query" {
			continue
		}
		if v.Datasource != chosen {
			bad("variable %q: template-datasource: is %v", v.Name, v.Datasource)
		}
		if v.Refresh != 2 {
			bad("variable %q: template-on-time-change-reload: refresh is %d", v.Name, v.Refresh)
		}
		if !v.Multi || !v.IncludeAll || v.AllValue != ".+" {
			bad("variable %q: template-%s: has to allow several values, and all by .+", v.Name, v.Name)
		}
	}
	if v := named["datasource"]; v.Type != "datasource" || v.Query != "prometheus" || v.Label != "Data source" {
		bad("template-datasource: there is no variable named datasource for a Prometheus")
	}
	for name, label := range map[string]string{"job": "Job", "instance": "Instance"} {
		if v := named[name]; v.Type != "query" || v.Label != label {
			bad("template-%s: there is no such variable", name)
		}
	}
	return found
}

// units are those that the panels use; Grafana shows an unknown one as a word behind the number.
var units = []string{"none", "short", "s", "bytes", "percentunit", "dtdhms", "locale", "dateTimeFromNow", "bool", "bool_yes_no", "cps", "reqps"}

// selector is a query that keeps the metric's name.
var selector = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})?$`)

func lintPanel(p panel) []string {
	var found []string
	bad := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("panel %q: ", p.Title)+fmt.Sprintf(format, args...))
	}
	if p.Title == "" {
		bad("panel-title-description: has no title")
	}
	if p.Type == "row" {
		return found
	}
	if p.Description == "" || !strings.HasSuffix(p.Description, ".") {
		bad("panel-title-description: the description %q is no sentence", p.Description)
	}
	if p.Datasource != chosen {
		bad("panel-datasource: is %v", p.Datasource)
	}
	if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
		bad("panel-units: the unit is %q", p.FieldConfig.Defaults.Unit)
	}
	if len(p.Targets) == 0 {
		bad("panel-no-targets: asks for nothing")
	}
	if p.Type != "table" && len(p.Links) == 0 {
		bad("leads to no runbook")
	}
	if p.Type == "stat" && p.FieldConfig.Defaults.NoValue == "" {
		bad("does not say what it means that there is no data")
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.Datasource != chosen {
			bad("panel-datasource: target %s: is %v", q.RefID, q.Datasource)
		}
		if q.RefID == "" || refs[q.RefID] {
			bad("target %q: the name is empty or another's as well", q.RefID)
		}
		refs[q.RefID] = true
		if q.Format == "table" && selector.MatchString(q.Expr) {
			bad("target %s: a column would hold the metric's name", q.RefID)
		}
		if q.Instant == q.Range {
			bad("target %s: is both for a moment and for a range, or neither", q.RefID)
		}
		if line := p.Type == "timeseries" || p.Type == "state-timeline"; line != q.Range {
			bad("target %s: a %s with instant %t", q.RefID, p.Type, q.Instant)
		}
		if p.Type == "timeseries" && q.LegendFormat == "" {
			bad("target %s: its lines have no name", q.RefID)
		}
	}
	return append(found, lintColumns(p)...)
}

// lintColumns finds overrides that meet no column: they would be without effect, and nobody would know.
func lintColumns(p panel) []string {
	if p.Type != "table" {
		return nil
	}
	var found, shown []string
	for _, tr := range p.Transformations {
		for field, title := range tr.Options.RenameByName {
			if !tr.Options.ExcludeByName[field] {
				shown = append(shown, title)
			}
		}
	}
	hasUnit := map[string]bool{}
	for _, o := range p.FieldConfig.Overrides {
		hidden := len(o.Properties) == 1 && o.Properties[0].ID == "unit"
		if o.Matcher.ID == "byName" && !slices.Contains(shown, o.Matcher.Options) && !hidden {
			found = append(found, fmt.Sprintf("panel %q: there is no column %q, only %q", p.Title, o.Matcher.Options, shown))
		}
		for _, property := range o.Properties {
			if property.ID != "unit" {
				continue
			}
			hasUnit[o.Matcher.Options] = true
			if unit, _ := property.Value.(string); !slices.Contains(units, unit) {
				found = append(found, fmt.Sprintf("panel %q: panel-units: column %q: the unit is %v", p.Title, o.Matcher.Options, property.Value))
			}
		}
	}
	for _, tr := range p.Transformations {
		for field, title := range tr.Options.RenameByName {
			if strings.HasPrefix(field, "Value") && !hasUnit[title] {
				found = append(found, fmt.Sprintf("panel %q: panel-units: column %q has none", p.Title, title))
			}
		}
	}
	return found
}

// TestLintFinds spoils a dashboard in each way.
func TestLintFinds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(*board)
		want  string
	}{
		"a fixed data source":      {func(b *board) { b.Panels[0].Datasource.UID = "prometheus" }, "panel-datasource"},
		"no data source to choose": {func(b *board) { b.Templating.List = b.Templating.List[1:] }, "template-datasource"},
		"no job":                   {func(b *board) { b.Templating.List = b.Templating.List[:1] }, "template-job"},
		"one job alone":            {func(b *board) { b.Templating.List[1].Multi = false }, "has to allow several values"},
		"stale values":             {func(b *board) { b.Templating.List[1].Refresh = 1 }, "template-on-time-change-reload"},
		"no title":                 {func(b *board) { b.Panels[0].Title = "" }, "panel-title-description"},
		"no description":           {func(b *board) { b.Panels[0].Description = "" }, "panel-title-description"},
		"no unit":                  {func(b *board) { b.Panels[0].FieldConfig.Defaults.Unit = "" }, "panel-units"},
		"a misspelt unit":          {func(b *board) { b.Panels[0].FieldConfig.Defaults.Unit = "seconds" }, "panel-units"},
		"no target":                {func(b *board) { b.Panels[0].Targets = nil }, "panel-no-targets"},
		"no words for no data":     {func(b *board) { b.Panels[0].FieldConfig.Defaults.NoValue = "" }, "no data"},
		"no runbook":               {func(b *board) { b.Panels[0].Links = nil }, "runbook"},
		"an overlap":               {func(b *board) { b.Panels[1].GridPos = b.Panels[0].GridPos }, "lies on"},
		"beyond the edge":          {func(b *board) { b.Panels[0].GridPos.X = 22 }, "grid"},
		"a column of names": {func(b *board) {
			i := slices.IndexFunc(b.Panels, func(p panel) bool { return p.Type == "table" })
			b.Panels[i].Targets[0].Expr = `checkpoint_node_up{job=~"$job"}`
		}, "the metric's name"},
		"an id twice": {func(b *board) { b.Panels[1].ID = b.Panels[0].ID }, "the id"},
		"editable":    {func(b *board) { b.Editable = true }, "template-uneditable"},
		"an override of nothing": {func(b *board) {
			i := slices.IndexFunc(b.Panels, func(p panel) bool { return p.Type == "table" })
			b.Panels[i].FieldConfig.Overrides[0].Matcher.Options = "Nod"
		}, "there is no column"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := boards(t)["checkpoint-fleet.json"]
			tc.spoil(&b)
			if found := strings.Join(lint(b), "\n"); !strings.Contains(found, tc.want) {
				t.Errorf("nothing was found with %q, but:\n%s", tc.want, found)
			}
		})
	}
}

var target = regexp.MustCompile(`"url": "([^"]*/[^"]*)"`)

// TestLinks follows every link: to another dashboard by its uid and a variable it has, to a file of docs by its name.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := boards(t)
	inside := regexp.MustCompile(`^/d/([a-z-]+)\?\$\{datasource:queryparam\}&\$\{__url_time_range\}&var-([a-z]+)=\$\{__value\.raw\}$`)
	const docs = "https://github.com/checkpoint-exporter/checkpoint_exporter/blob/main/"
	for name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		urls := target.FindAllStringSubmatch(string(text), -1)
		if len(urls) < 10 {
			t.Errorf("%s: has only %d links", name, len(urls))
		}
		for _, m := range urls {
			url := m[1]
			if path, ok := strings.CutPrefix(url, docs); ok {
				if path == "docs/runbooks/${__value.raw}.md" {
					continue // the column holds alerts, each of which has a runbook
				}
				if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(path))); err != nil {
					t.Errorf("%s: %s leads nowhere: %v", name, url, err)
				}
				continue
			}
			m := inside.FindStringSubmatch(url)
			if m == nil {
				t.Errorf("%s: %s is no link that is known here", name, url)
				continue
			}
			to, there := all[m[1]+".json"]
			if !there || !slices.ContainsFunc(to.Templating.List, func(v variable) bool { return v.Name == m[2] }) {
				t.Errorf("%s: %s: there is no dashboard %s with a variable %s", name, url, m[1], m[2])
			}
		}
	}
	for name, b := range all {
		if !slices.Contains(b.Tags, "checkpoint") || !slices.ContainsFunc(b.Links, func(l link) bool {
			return l.Type == "dashboards" && slices.Equal(l.Tags, []string{"checkpoint"})
		}) {
			t.Errorf("%s: does not link to the other dashboards, or they not to it", name)
		}
	}
}
