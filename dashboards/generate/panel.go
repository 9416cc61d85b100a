package main

import "maps"

// newPanel has what every panel has; the options are those of the panel's type.
func newPanel(typ, title, description, unit string, options obj) *panel {
	return &panel{
		Type: typ, Title: title, Description: description, Datasource: &source, Interval: "10s", Options: options,
		FieldConfig: &fieldConfig{
			Defaults: defaults{
				Unit: unit, Color: obj{"mode": "thresholds"}, Mappings: []mapping{},
				Thresholds: thresholds{Mode: "absolute", Steps: []step{{nil, "text"}}},
			},
			Overrides: []override{},
		},
	}
}

// stat shows numbers, or names, that are true now.
func stat(title, description, unit string) *panel {
	return newPanel("stat", title, description, unit, obj{
		"colorMode": "background", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
		"wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
		"reduceOptions": obj{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	})
}

// timeseries shows lines, with what they are now beside their names.
func timeseries(title, description, unit string) *panel {
	p := newPanel("timeseries", title, description, unit, obj{
		"legend":  obj{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull"}},
		"tooltip": obj{"mode": "multi", "sort": "desc"},
	})
	p.FieldConfig.Defaults.Color = obj{"mode": "palette-classic"}
	p.FieldConfig.Defaults.Custom = obj{
		"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 8, "gradientMode": "none",
		"showPoints": "never", "spanNulls": false, "axisPlacement": "auto", "axisLabel": "",
		"scaleDistribution": obj{"type": "linear"}, "thresholdsStyle": obj{"mode": "off"}, "stacking": obj{"mode": "none", "group": "A"},
	}
	return p
}

// bars shows how often something happened, each event once.
func bars(title, description string) *panel {
	p := timeseries(title, description, "short").whole().min(0)
	p.MaxDataPoints = 120 // wide enough to be seen
	p.Options["legend"] = obj{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{"sum"}}
	maps.Copy(p.FieldConfig.Defaults.Custom, obj{
		"drawStyle": "bars", "lineWidth": 1, "fillOpacity": 90, "barWidthFactor": 0.9, "stacking": obj{"mode": "normal", "group": "A"},
	})
	return p
}

// timeline shows which of a few states something was in, when.
func timeline(title, description string, states []mapping) *panel {
	p := newPanel("state-timeline", title, description, "none", obj{
		"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.85,
		"legend":  obj{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}},
		"tooltip": obj{"mode": "single", "sort": "none"},
	})
	p.FieldConfig.Defaults.Mappings = states
	p.FieldConfig.Defaults.Custom = obj{"lineWidth": 0, "fillOpacity": 80}
	return p
}

// table joins instant queries that have the label by. Columns are added by column, in their order.
func table(title, description, by, byTitle string) *panel {
	p := newPanel("table", title, description, "short", obj{
		"showHeader": true, "cellHeight": "sm", "frameIndex": 0,
	})
	p.FieldConfig.Defaults.Custom = obj{"align": "left", "cellOptions": obj{"type": "auto"}, "inspect": false, "filterable": false}
	p.Transformations = []obj{
		{"id": "merge", "options": obj{}},
		{"id": "organize", "options": obj{
			"excludeByName": obj{"Time": true}, "includeByName": obj{},
			"indexByName": obj{by: 0}, "renameByName": obj{by: byTitle},
		}},
		{"id": "sortBy", "options": obj{"fields": obj{}, "sort": []obj{{"field": byTitle, "desc": false}}}},
	}
	return p
}

func (p *panel) add(t target) *panel {
	t.RefID, t.Datasource, t.EditorMode = string(rune('A'+len(p.Targets))), source, "code"
	p.Targets = append(p.Targets, t)
	return p
}

// over asks for the whole time range.
func (p *panel) over(expr, legend string) *panel {
	return p.add(target{Expr: expr, LegendFormat: legend, Format: "time_series", Range: true})
}

// now asks for the end of the time range.
func (p *panel) now(expr, legend string) *panel {
	return p.add(target{Expr: expr, LegendFormat: legend, Format: "time_series", Instant: true})
}

// column adds a query whose value is a column. Properties are of the kind that prop makes; the first one is the unit.
func (p *panel) column(expr, title, unit string, properties ...obj) *panel {
	p.add(target{Expr: expr, LegendFormat: "", Format: "table", Instant: true})
	p.name("Value #"+p.Targets[len(p.Targets)-1].RefID, title)
	return p.override(title, append([]obj{prop("unit", unit)}, properties...)...)
}

// label shows a label of the last column's query as a column beside it.
func (p *panel) label(label, title string, properties ...obj) *panel {
	p.name(label, title)
	if len(properties) == 0 {
		return p
	}
	return p.override(title, properties...)
}

func (p *panel) name(field, title string) {
	options := p.Transformations[1]["options"].(obj)
	index, names := options["indexByName"].(obj), options["renameByName"].(obj)
	index[field], names[field] = len(index), title
}

// lone names a table's only value as Grafana does, which adds the query's name only to tell it from others.
func (p *panel) lone() {
	if p.Type != "table" || len(p.Targets) != 1 {
		return
	}
	options := p.Transformations[1]["options"].(obj)
	for _, of := range []string{"excludeByName", "indexByName", "renameByName"} {
		names := options[of].(obj)
		if v, ok := names["Value #A"]; ok {
			names["Value"] = v
			delete(names, "Value #A")
		}
	}
}

// without hides a column that only came with a query.
func (p *panel) without(field string) *panel {
	p.Transformations[1]["options"].(obj)["excludeByName"].(obj)[field] = true
	return p
}

// override sets what differs for the field that is shown under a name.
func (p *panel) override(name string, properties ...obj) *panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{obj{"id": "byName", "options": name}, properties})
	return p
}

func prop(id string, value any) obj { return obj{"id": id, "value": value} }

// colored paints a table's cell by its thresholds or states.
func colored() obj {
	return prop("custom.cellOptions", obj{"type": "color-background", "mode": "basic"})
}

// tinted paints a table's text by its thresholds.
func tinted() obj { return prop("custom.cellOptions", obj{"type": "color-text"}) }

func width(pixels int) obj { return prop("custom.width", pixels) }

func linked(title, url string) obj { return prop("links", []obj{{"title": title, "url": url}}) }

// steps are thresholds: a colour from the beginning, and then pairs of a value and the colour from there on.
func steps(first string, rest ...any) thresholds {
	t := thresholds{Mode: "absolute", Steps: []step{{nil, first}}}
	for i := 0; i < len(rest); i += 2 {
		value := rest[i].(float64)
		t.Steps = append(t.Steps, step{&value, rest[i+1].(string)})
	}
	return t
}

func (p *panel) colors(first string, rest ...any) *panel {
	p.FieldConfig.Defaults.Thresholds = steps(first, rest...)
	return p
}

func (p *panel) states(m []mapping) *panel {
	p.FieldConfig.Defaults.Mappings = m
	return p
}

// says shows a word in the place of one number.
func (p *panel) says(number, word, color string) *panel {
	return p.states([]mapping{{"value", obj{number: obj{"text": word, "color": color, "index": 0}}}})
}

// orElse is shown where there is no data.
func (p *panel) orElse(text string) *panel {
	p.FieldConfig.Defaults.NoValue = text
	return p
}

func (p *panel) min(v float64) *panel { p.FieldConfig.Defaults.Min = &v; return p }
func (p *panel) whole() *panel        { return p.decimals(0) }
func (p *panel) decimals(n int) *panel {
	p.FieldConfig.Defaults.Decimals = &n
	return p
}

// names shows a stat's names, and its values by their colour alone.
func (p *panel) names() *panel { p.Options["textMode"] = "name"; return p }

// plain shows a stat that is neither good nor bad, unless an override says so.
func (p *panel) plain() *panel { p.Options["colorMode"] = "value"; return p }

// named shows a stat's names beside its values.
func (p *panel) named() *panel { p.Options["textMode"] = "value_and_name"; return p }

// dashed draws a line that others are to be compared with.
func (p *panel) dashed(name, color string) *panel {
	return p.override(name, prop("color", obj{"mode": "fixed", "fixedColor": color}), prop("custom.lineWidth", 1), prop("custom.fillOpacity", 0),
		prop("custom.lineStyle", obj{"fill": "dash", "dash": []int{8, 6}}))
}

// runbook links to what to do about the alerts that the panel shows the cause of.
func (p *panel) runbook(alerts ...string) *panel {
	for _, a := range alerts {
		p.Links = append(p.Links, link{
			Title: "Runbook: " + a, Type: "link", Icon: "doc", Tooltip: "What it means, what happens by itself, and how to fix it",
			URL: runbooks + a + ".md", Tags: []string{}, TargetBlank: true,
		})
	}
	return p
}
