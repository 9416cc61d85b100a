package main

// Where the documentation is read.
const (
	docs     = "https://github.com/checkpoint-exporter/checkpoint_exporter/blob/main/docs/"
	runbooks = docs + "runbooks/"
)

// The dashboards' names in links.
const (
	fleetUID       = "checkpoint-fleet"
	providersUID   = "checkpoint-providers"
	nodesUID       = "checkpoint-node-sync"
	remediationUID = "checkpoint-remediation"
)

// source is the Prometheus that whoever looks has chosen.
var source = reference{"prometheus", "${datasource}"}

// known is exported by both programs, so its jobs and instances are all there are.
const known = "checkpoint_config_last_reload_successful"

// newDashboard has what every dashboard has. subject is the label that can be chosen by, and titled what it is called; both may be empty.
func newDashboard(uid, title, description string, subject, titled, from string) *dashboard {
	d := &dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"checkpoint"},
		SchemaVersion: 42, GraphTooltip: 1, Refresh: "30s", Time: obj{"from": "now-6h", "to": "now"}, Timezone: "browser",
		Links: []link{
			{Title: "Checkpoint", Type: "dashboards", Icon: "external link", Tags: []string{"checkpoint"}, KeepTime: true, IncludeVars: true},
			{Title: "Alerts and runbooks", Type: "link", Icon: "doc", Tooltip: "What each alert means, what happens by itself, and how to fix it",
				URL: docs + "alerts.md", Tags: []string{}, TargetBlank: true},
			{Title: "About these dashboards", Type: "link", Icon: "question", URL: docs + "dashboards.md", Tags: []string{}, TargetBlank: true},
		},
	}
	d.Templating.List = []variable{{
		Name: "datasource", Type: "datasource", Label: "Data source", Query: "prometheus", Refresh: 1,
	}}
	if subject != "" {
		d.choose(subject, titled, "label_values("+all(from)+", "+subject+")")
	}
	d.choose("job", "Job", "label_values("+known+", job)")
	d.choose("instance", "Instance", "label_values("+known+`{job=~"$job"}, instance)`)
	d.annotate(scope{subject})
	return d
}

// choose adds a variable that a query lists the values of; at first it means all.
func (d *dashboard) choose(name, title, query string) {
	d.Templating.List = append(d.Templating.List, variable{
		Name: name, Type: "query", Label: title, Datasource: &source, Multi: true, IncludeAll: true, AllValue: ".+", Refresh: 2, Sort: 1,
		Query:   obj{"query": query, "refId": "variable-" + name},
		Current: obj{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
	})
}

// annotate marks in every graph what explains a bend in it.
func (d *dashboard) annotate(s scope) {
	if s.variable != "node" {
		s = everything // actions are on nodes
	}
	d.Annotations.List = []annotation{
		{
			Name: "Actions", Datasource: source, Enable: true, IconColor: "purple", Step: "10s",
			Expr:        s.between(actions, "node, playbook, action, outcome"),
			TitleFormat: "{{action}} on {{node}}: {{outcome}}", TextFormat: "by the playbook {{playbook}}", TagKeys: "playbook",
		},
		{
			// Its value is the time of the next reset, so that past ones are found where they were still to come.
			Name: "Network resets", Datasource: source, Enable: true, IconColor: "orange", Step: "60s", ValueIsTime: true,
			Expr: "1000 * max(" + all("checkpoint_network_reset_timestamp_seconds") + ")", TitleFormat: "The network was reset",
		},
		{
			Name: "Alerts", Datasource: source, IconColor: "red", Step: "10s",
			Expr:        `max by (alertname, node, provider) (` + firing + `)`,
			TitleFormat: "{{alertname}}", TextFormat: "{{node}}{{provider}}", TagKeys: "alertname",
		},
	}
}

// firing are our alerts that mean something to people.
const firing = `ALERTS{alertname=~"Checkpoint.+", alertstate="firing", severity!="none"}`

// row begins a new part, which can be folded away.
func (d *dashboard) row(title string) {
	open := false
	d.place(&panel{Type: "row", Title: title, Collapsed: &open, Within: []*panel{}}, 24, 1)
}

const columns = 24

// place puts a panel to the right of the one before, or under it.
func (d *dashboard) place(p *panel, width, height int) {
	if d.x+width > columns {
		d.x, d.y, d.high = 0, d.y+d.high, 0
	}
	p.lone()
	p.ID = len(d.Panels) + 1
	p.GridPos = grid{H: height, W: width, X: d.x, Y: d.y}
	d.Panels = append(d.Panels, p)
	d.x, d.high = d.x+width, max(d.high, height)
}

// to is the URL of another dashboard, with the time range and data source of this one. value is what the variable is to be.
func to(uid, variable, value string) string {
	return "/d/" + uid + "?${datasource:queryparam}&${__url_time_range}&var-" + variable + "=" + value
}
