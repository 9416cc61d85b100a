package collector

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"

	"github.com/go-kit/log/level"
	"github.com/prometheus/exporter-toolkit/web"
)

//go:embed landing.html
var landingHTML string

var landingTemplate = template.Must(template.New("landing").Parse(landingHTML))

// serveLanding shows where everything is and what was seen last. It is made anew for each request, of what is known already.
func (e *Exporter) serveLanding(w http.ResponseWriter, r *http.Request) {
	v := e.look()
	var results bytes.Buffer
	err := landingTemplate.Execute(&results, struct {
		Providers Providers
		Nodes     Nodes
	}{providersOf(v), nodesOf(v)})
	if err == nil {
		var page *web.LandingPageHandler
		page, err = web.NewLandingPage(web.LandingConfig{
			Name:        "checkpoint_exporter",
			Description: "Watches Ethereum checkpoint sync: providers, nodes and the network " + v.chain.Network + ".",
			Version:     e.opts.Version,
			Profiling:   "false",
			HeaderColor: "#3a5a78",
			ExtraHTML:   results.String(),
			ExtraCSS:    "table.results{border-collapse:collapse;margin:1em}.results th,.results td{text-align:left;padding:.2em .8em;border-bottom:1px solid #ccc}",
			Links: []web.LandingLinks{
				{Address: e.opts.TelemetryPath, Text: "Metrics"},
				{Address: "/api/v1/providers", Text: "Providers", Description: "what is known of them, as JSON"},
				{Address: "/api/v1/nodes", Text: "Nodes", Description: "what is known of them, as JSON"},
				{Address: "/-/ready", Text: "Ready"},
				{Address: "/-/healthy", Text: "Healthy"},
			},
		})
		if err == nil {
			page.ServeHTTP(w, r)
			return
		}
	}
	level.Error(e.logger).Log("msg", "make the landing page", "err", err)
	http.Error(w, "the landing page could not be made", http.StatusInternalServerError)
}
