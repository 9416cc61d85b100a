package main

// obj is a part of the JSON that is too small for a type of its own. Its keys are written in order, so the files are reproducible.
type obj = map[string]any

// dashboard is Grafana's dashboard, version 1 of its schema, as far as ours go.
type dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"`
	Refresh       string     `json:"refresh"`
	Time          obj        `json:"time"`
	Timezone      string     `json:"timezone"`
	Links         []link     `json:"links"`
	Templating    templating `json:"templating"`
	Annotations   struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Panels []*panel `json:"panels"`

	x, y, high int // where the next panel goes
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name        string     `json:"name"`
	Type        string     `json:"type"`
	Label       string     `json:"label"`
	Description string     `json:"description,omitempty"`
	Query       any        `json:"query"`
	Datasource  *reference `json:"datasource,omitempty"`
	Multi       bool       `json:"multi"`
	IncludeAll  bool       `json:"includeAll"`
	AllValue    string     `json:"allValue,omitempty"`
	Current     obj        `json:"current,omitempty"`
	Refresh     int        `json:"refresh"`
	Sort        int        `json:"sort"`
}

type reference struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type annotation struct {
	Name        string    `json:"name"`
	Datasource  reference `json:"datasource"`
	Enable      bool      `json:"enable"`
	Hide        bool      `json:"hide"`
	IconColor   string    `json:"iconColor"`
	Expr        string    `json:"expr"`
	Step        string    `json:"step"`
	TitleFormat string    `json:"titleFormat"`
	TextFormat  string    `json:"textFormat,omitempty"`
	TagKeys     string    `json:"tagKeys,omitempty"`
	ValueIsTime bool      `json:"useValueForTime"`
}

type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	URL         string   `json:"url,omitempty"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	TargetBlank bool     `json:"targetBlank"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
}

type panel struct {
	ID              int          `json:"id"`
	Type            string       `json:"type"`
	Title           string       `json:"title"`
	Description     string       `json:"description,omitempty"`
	GridPos         grid         `json:"gridPos"`
	Datasource      *reference   `json:"datasource,omitempty"`
	Interval        string       `json:"interval,omitempty"`
	MaxDataPoints   int          `json:"maxDataPoints,omitempty"`
	Links           []link       `json:"links,omitempty"`
	Targets         []target     `json:"targets,omitempty"`
	Transformations []obj        `json:"transformations,omitempty"`
	FieldConfig     *fieldConfig `json:"fieldConfig,omitempty"`
	Options         obj          `json:"options,omitempty"`
	Collapsed       *bool        `json:"collapsed,omitempty"` // rows alone
	Within          []*panel     `json:"panels,omitzero"`     // rows alone
}

type grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type target struct {
	RefID        string    `json:"refId"`
	Datasource   reference `json:"datasource"`
	Expr         string    `json:"expr"`
	LegendFormat string    `json:"legendFormat"`
	EditorMode   string    `json:"editorMode"`
	Format       string    `json:"format"`
	Instant      bool      `json:"instant"`
	Range        bool      `json:"range"`
}

type fieldConfig struct {
	Defaults  defaults   `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type defaults struct {
	Unit       string     `json:"unit"`
	Decimals   *int       `json:"decimals,omitempty"`
	Min        *float64   `json:"min,omitempty"`
	NoValue    string     `json:"noValue,omitempty"`
	Color      obj        `json:"color"`
	Thresholds thresholds `json:"thresholds"`
	Mappings   []mapping  `json:"mappings"`
	Links      []obj      `json:"links,omitempty"`
	Custom     obj        `json:"custom,omitempty"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

type step struct {
	Value *float64 `json:"value"` // nil: from the beginning
	Color string   `json:"color"`
}

type mapping struct {
	Type    string `json:"type"`
	Options any    `json:"options"`
}

type override struct {
	Matcher    obj   `json:"matcher"`
	Properties []obj `json:"properties"`
}
