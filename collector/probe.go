package collector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// scrapeOffset is how long before the scraper gives up an answer has to be on its way.
const scrapeOffset = 500 * time.Millisecond

// The modules of /probe.
const (
	moduleProvider = "provider"
	moduleNode     = "node"
)

// refusal is a request to /probe that is not carried out.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return r.reason }

func badRequest(format string, args ...any) refusal {
	return refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// question is a request to /probe.
type question struct {
	module string
	// target is a base URL without a trailing slash, and name its host, which is the label.
	target, name string
	timeout      time.Duration
	debug        bool
}

// serveProbe asks one provider or node now, in the multi-target pattern: each answer has its own registry, and a target that fails
// is one that is not usable or not up, with status 200.
func (e *Exporter) serveProbe(w http.ResponseWriter, r *http.Request) {
	s := e.state.Load()
	q, err := parseQuestion(r, s.config.Probe.Timeout.Std())
	if err == nil && !e.opts.AllowAny && !s.names(q) {
		err = refusal{http.StatusForbidden, "this target is not one of the configured " + q.module +
			"s; add it to the configuration, or start with --probe.allow-any, which lets whoever reaches this port make the exporter ask any host"}
	}
	var v *view
	began := time.Now()
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), q.timeout)
		defer cancel()
		v, err = e.probe(ctx, s, q)
	}
	if refused := (refusal{}); errors.As(err, &refused) {
		http.Error(w, refused.reason, refused.status)
		return
	}
	if r.Context().Err() != nil {
		return
	}
	reg := prometheus.NewRegistry()
	subjects := []subject{newProviderMetrics()}
	if q.module == moduleNode {
		subjects = []subject{newNodeMetrics(), newExecutionMetrics()}
	}
	reg.MustRegister(newScrape(func() *view { return v }, subjects...))
	if q.debug {
		e.writeDebug(w, q, v, reg, time.Since(began))
		return
	}
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
}

func parseQuestion(r *http.Request, most time.Duration) (question, error) {
	params := r.URL.Query()
	q := question{module: params.Get("module"), target: strings.TrimRight(params.Get("target"), "/"), timeout: most}
	if q.module == "" {
		q.module = moduleProvider
	}
	if q.module != moduleProvider && q.module != moduleNode {
		return q, badRequest("module %q is unknown; write provider or node", q.module)
	}
	if len(params["target"]) != 1 || q.target == "" {
		return q, badRequest("one target is needed: /probe?target=URL&module=provider|node")
	}
	u, err := url.Parse(q.target)
	switch {
	case err != nil:
		return q, badRequest("the target is not a URL")
	case u.User != nil:
		return q, badRequest("the target has a user or password in it; take them out")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || !utf8.ValidString(u.Host):
		return q, badRequest("the target is not a base URL such as http://127.0.0.1:5052")
	}
	q.name = u.Host
	q.debug, _ = strconv.ParseBool(params.Get("debug"))
	if header := r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"); header != "" {
		seconds, err := strconv.ParseFloat(header, 64)
		if err != nil || !(seconds > 0 && seconds <= 86400) {
			return q, badRequest("X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds")
		}
		allowed := time.Duration(seconds * float64(time.Second))
		q.timeout = min(q.timeout, max(allowed-scrapeOffset, allowed/2))
	}
	return q, nil
}

// names tells whether the target of a question is configured.
func (s *state) names(q question) bool {
	if q.module == moduleNode {
		_, ok := s.nodeAt(q.target)
		return ok
	}
	_, ok := s.config.ProviderOf(q.target)
	return ok
}

// nodeAt is the configured node whose consensus client is at a URL.
func (s *state) nodeAt(target string) (config.Node, bool) {
	for _, n := range s.config.Nodes {
		if strings.TrimRight(n.Consensus.URL, "/") == target {
			return n, true
		}
	}
	return config.Node{}, false
}

// writeDebug tells a person what was found, and the metrics that say so.
func (e *Exporter) writeDebug(w http.ResponseWriter, q question, v *view, reg *prometheus.Registry, took time.Duration) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Asked %s as a %s, with at most %s to answer; it took %s.\n\n", q.target, q.module, q.timeout, took.Round(time.Millisecond))
	for _, p := range v.providers {
		fmt.Fprintf(w, "usable: %t\n", p.verdict.Usable)
		for _, f := range p.verdict.Reasons {
			fmt.Fprintf(w, "%s: %s\n", f.Reason, f.Text)
		}
	}
	for _, n := range v.nodes {
		fmt.Fprintf(w, "up: %t\nphase: %s\n", n.up(), n.phase())
		if err := n.sight.observation.Consensus.Err(); err != nil {
			fmt.Fprintf(w, "consensus client: %s\n", err)
		}
		if x := n.sight.observation.Execution; x != nil && x.Err() != nil {
			fmt.Fprintf(w, "execution client: %s\n", x.Err())
		}
	}
	fmt.Fprintln(w, "\nMetrics that would have been returned:")
	families, err := reg.Gather()
	if err != nil {
		level.Error(e.logger).Log("msg", "gather the metrics of a probe", "err", err)
	}
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return // the reader has gone
		}
	}
}
