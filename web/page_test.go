package web

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

func TestPageTells(t *testing.T) {
	p := page(t, ordinary())
	body := get(t, handler(p), "GET", "/").Body.String()
	contains(t, body, "ephemery, iteration 166", "Nothing is wrong; node-1 is syncing.", "node-1 in about 19 min (17 min to 23 min)", "0 of 1", "2 of 3",
		"4,490 slots", "4.1 slots/s", `<progress max="100" value="70" aria-label="Sync progress of node-1">`, "Lighthouse v8.0.1", "56",
		"<strong>Its finalized checkpoint is too old.</strong> It is 52 epochs behind. <code>stale</code>", "took 60 ms", "2 epochs behind the clock",
		"all 2 agree", "alpha and beta", "0x01020300…0000", "2 agree, 2 are needed, at epoch 605", "reset 23 Nov 12:00",
		`href="metrics"`, `href="api/v1/providers"`, `href="api/v1/nodes"`, `href="probe"`, "1.2.3", "Nothing to draw yet.",
		`<section id="alerts" aria-labelledby="alerts-title" hidden>`, `<section id="incidents" aria-labelledby="incidents-title" hidden>`)
	lacks(t, body, `href="#alerts"`, `href="#incidents"`, "data-events")
}

func TestHeadlines(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*collector.Status)
		want   string
	}{
		"well":         {func(s *collector.Status) { s.Nodes.Nodes[0].Phase = "synced" }, `"headline good"`},
		"stalled":      {func(s *collector.Status) { s.Nodes.Nodes[0].Phase = "stalled" }, "node-1 is stalled."},
		"optimistic":   {func(s *collector.Status) { s.Nodes.Nodes[0].Phase = "optimistic" }, "node-1 is optimistic."},
		"no quorum":    {func(s *collector.Status) { s.Providers.Quorum.Reached = false }, "Too few providers agree to start a node from."},
		"first look":   {func(s *collector.Status) { s.Nodes.Nodes[0] = collector.Node{Name: "node-1"} }, "Looking for the first time."},
		"quiet":        {func(s *collector.Status) { s.Nodes.Network.Quiet, s.Providers.Quorum.Reached = true, false }, "The network is being reset."},
		"no nodes":     {func(s *collector.Status) { s.Nodes.Nodes = nil }, "No node is configured."},
		"no providers": {func(s *collector.Status) { s.Providers = collector.Providers{} }, "No provider is configured."},
		"many troubles": {func(s *collector.Status) {
			for _, name := range []string{"b", "c", "d"} {
				s.Nodes.Nodes = append(s.Nodes.Nodes, collector.Node{Name: name, Looked: true, Phase: "unreachable"})
			}
			s.Nodes.Nodes[0].Phase = "wrong_network"
		}, "4 things are wrong: node-1 is wrong network, b is unreachable, and more."},
		"a root of its own": {func(s *collector.Status) {
			s.Providers.Epochs[0].Roots = append(s.Providers.Epochs[0].Roots, collector.Camp{Root: network.Root{9}, Providers: []string{"gamma"}})
		}, "2 different roots"},
		"execution client gone": {func(s *collector.Status) {
			s.Nodes.Nodes[0].Execution = &collector.Execution{Error: &collector.Finding{Reason: "connect", Text: "connection refused"}}
		}, "does not answer: connection refused"},
		"unknown words": {func(s *collector.Status) {
			s.Nodes.Nodes[0].Phase = "some_new_phase"
			s.Providers.Providers[2].Reasons = []collector.Finding{{Reason: "some_new_reason"}}
		}, "some new reason"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ordinary()
			w.change(c.change)
			contains(t, get(t, handler(page(t, w)), "GET", "/").Body.String(), c.want)
		})
	}
}

// TestHostileText: whatever providers, nodes, the remediator and Alertmanager say is text.
func TestHostileText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'` + "\xff\x00"
	w := ordinary()
	w.change(func(s *collector.Status) {
		n := &s.Nodes.Nodes[0]
		n.Name, n.Client.Name, n.Client.Version, n.Phase = evil, evil, evil, evil
		n.Error = &collector.Finding{Reason: evil, Text: evil}
		n.Execution = &collector.Execution{Up: true, Client: &collector.Client{Name: evil, Version: evil}}
		p := &s.Providers.Providers[0]
		p.Name, p.URL, p.Version = evil, "javascript:"+evil, evil
		p.Reasons = []collector.Finding{{Reason: evil, Text: strings.Repeat(evil, 100)}}
		s.Providers.Epochs[0].Roots[0].Providers = []string{evil}
		s.Providers.Learnt = []string{evil}
		s.Providers.Network.Name = evil
	})
	p := page(t, w)
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	var told incidents
	var alerts []alert
	story := strings.ReplaceAll(`{"mode": E, "exhausted": [{"node": E}], "incidents": [{"id": E, "alert": E, "node": E, "playbook": E, "stage": E, "closed": E, "story": [{"text": E}]}]}`, "E", string(text))
	list := strings.ReplaceAll(`[{"fingerprint": E, "labels": {"alertname": E, "node": E}, "annotations": {"summary": E, "description": E, "runbook_url": "javascript:alert(3)"}, "status": {"state": "active"}}]`, "E", string(text))
	for from, into := range map[string]any{story: &told, list: &alerts} {
		if err := json.Unmarshal([]byte(from), into); err != nil {
			t.Fatal(err)
		}
	}
	keep(p.ask, &p.ask.incidents, told, nil, "", "")
	keep(p.ask, &p.ask.alerts, alerts, nil, "", "")
	for range 3 {
		w.change(func(s *collector.Status) { s.Nodes.Nodes[0].LookedAt = new(s.Nodes.Nodes[0].LookedAt.Add(time.Minute)) })
		p.history.keep(w.look().Nodes)
	}
	answer := get(t, handler(p), "GET", "/")
	body := answer.Body.String()
	if answer.Code != http.StatusOK {
		t.Fatal(answer.Code, body)
	}
	lacks(t, body, "<script>alert", "<img", `="javascript:`, "\x00")
	if got := strings.Count(body, "<script"); got != 1 {
		t.Errorf("%d scripts", got)
	}
	contains(t, body, "&lt;script&gt;", "polyline")
	parts, err := p.view(w.look(), nil).render()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		lacks(t, part.html, "<script", "<img", `="javascript:`)
	}
}

// TestNothingIsInlineOrForeign: the policy allows none of it, and no page may be framed.
func TestNothingIsInlineOrForeign(t *testing.T) {
	w := ordinary()
	p := page(t, w)
	p.history.keep(w.look().Nodes)
	h := handler(p)
	answer := get(t, h, "GET", "/")
	body := answer.Body.String()
	for _, unwanted := range []string{` style="`, "<style", " onload=", " onclick=", "<iframe", "<form", "<button", "<input", "<base"} {
		lacks(t, body, unwanted)
	}
	for _, m := range regexp.MustCompile(`(?:src|href|action|data-events)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if strings.Contains(m[1], ":") || strings.HasPrefix(m[1], "/") {
			t.Errorf("%s is not relative to the page", m[0])
		}
	}
	if m := regexp.MustCompile(`<script(?: [^>]*)?></script>`).FindAllString(body, -1); len(m) != 1 || !strings.Contains(m[0], "src=") {
		t.Errorf("scripts: %q", m)
	}
	for name, a := range assets {
		if text := string(a.content); regexp.MustCompile(`https?://`).MatchString(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")) || strings.Contains(text, "@import") {
			t.Errorf("%s refers to others", name)
		}
	}
	for _, path := range []string{"/", "/assets/" + assetNames["page.css"], "/assets/nothing"} {
		got := get(t, h, "GET", path).Header()
		policy := got.Get("Content-Security-Policy")
		contains(t, policy, "default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'")
		lacks(t, policy, "unsafe", "*", "data:", "http", "nonce")
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got.Get(header) != want {
				t.Errorf("%s: %s is %q", path, header, got.Get(header))
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	h := handler(page(t, ordinary()))
	css := "/assets/" + assetNames["page.css"]
	for _, c := range []struct {
		method, path   string
		code           int
		kind, caching  string
		withoutContent bool
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "no-store", false},
		{"GET", css, 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable", false},
		{"GET", "/assets/" + assetNames["page.js"], 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", false},
		{"GET", "/assets/" + assetNames["icon.svg"], 200, "image/svg+xml", "public, max-age=31536000, immutable", false},
		{"GET", "/assets/page.css", 404, "text/plain; charset=utf-8", "no-store", false},
		{"GET", "/assets/../page.go", 307, "", "", true},
		{"GET", "/elsewhere", 404, "", "", false},
		{"HEAD", "/events", 200, "text/event-stream", "no-store", true},
		{"POST", "/", 405, "", "", false},
		{"PUT", "/", 405, "", "", false},
		{"DELETE", css, 405, "", "", false},
		{"POST", "/events", 405, "", "", false},
	} {
		got := get(t, h, c.method, c.path)
		if got.Code != c.code || c.kind != "" && got.Header().Get("Content-Type") != c.kind || c.caching != "" && got.Header().Get("Cache-Control") != c.caching {
			t.Errorf("%s %s: %d %v", c.method, c.path, got.Code, got.Header())
		}
		if c.code == http.StatusOK && c.withoutContent != (got.Body.Len() == 0) {
			t.Errorf("%s %s: %d bytes", c.method, c.path, got.Body.Len())
		}
	}
	// The names change with the content, so that nothing old is kept.
	if !regexp.MustCompile(`^page\.[0-9a-f]{12}\.css$`).MatchString(assetNames["page.css"]) {
		t.Error(assetNames)
	}
}

func TestTelemetryPathAndOtherLinks(t *testing.T) {
	p := pageOf(t, ordinary(), "alertmanagers: []", Options{TelemetryPath: "/deep/metrics"})
	contains(t, get(t, handler(p), "GET", "/").Body.String(), `href="deep/metrics"`)
	mux := http.NewServeMux()
	p.RoutesWith(mux, []Link{{"api/v2/alerts", "Alerts as JSON"}})
	body := get(t, mux, "GET", "/").Body.String()
	contains(t, body, `<a href="api/v2/alerts">Alerts as JSON</a>`)
	lacks(t, body, "deep/metrics")
}

// TestLayoutFollowsNodes: what cannot be changed piecemeal makes open pages load anew.
func TestLayoutFollowsNodes(t *testing.T) {
	w := ordinary()
	before := layoutOf(w.look().Nodes)
	w.change(func(s *collector.Status) { s.Nodes.Nodes[0].Phase = "stalled" })
	if layoutOf(w.look().Nodes) != before {
		t.Error("a phase is not layout")
	}
	w.change(func(s *collector.Status) { s.Nodes.Nodes = append(s.Nodes.Nodes, collector.Node{Name: "node-2"}) })
	if layoutOf(w.look().Nodes) == before {
		t.Error("another node is layout")
	}
}

func TestRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := page(t, ordinary())
		done := make(chan error)
		ctx, cancel := contextOf(t)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		if err := p.Run(ctx); err == nil {
			t.Error("it runs twice")
		}
		contains(t, get(t, handler(p), "GET", "/").Body.String(), `data-events="events"`)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := get(t, handler(p), "GET", "/events"); got.Code != http.StatusServiceUnavailable {
			t.Error("after the end:", got.Code)
		}
	})
}
