package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/collector"
)

// event is a Server-Sent Event.
type event struct{ name, data string }

// listen opens the stream and hands on its events until it ends; a comment is the event "comment".
func listen(t *testing.T, client *http.Client) (status int, events <-chan event, leave func()) {
	t.Helper()
	resp, err := client.Get("http://page/events")
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan event, 1000)
	go func() {
		defer close(out)
		var e event
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimSuffix(line, "\n")
			switch name, value, _ := strings.Cut(line, ": "); {
			case line == "" && e.name != "":
				out <- e
				e = event{}
			case name == "event":
				e.name = value
			case name == "data":
				e.data = value
			case strings.HasPrefix(line, ":"):
				out <- event{name: "comment"}
			}
		}
	}()
	return resp.StatusCode, out, func() { resp.Body.Close() }
}

// partsOf are the parts among the events that have arrived, by id, and how many events there were of each kind.
func partsOf(t *testing.T, events <-chan event) (parts map[string]string, kinds map[string]int) {
	t.Helper()
	synctest.Wait()
	parts, kinds = map[string]string{}, map[string]int{}
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return parts, kinds
			}
			kinds[e.name]++
			if e.name == "part" {
				var p struct{ ID, HTML, At string }
				if err := json.Unmarshal([]byte(e.data), &p); err != nil || p.At == "" {
					t.Error(err, e.data)
				}
				parts[p.ID] = p.HTML
			}
		default:
			return parts, kinds
		}
	}
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ordinary()
		p := page(t, w)
		ctx, cancel := contextOf(t)
		ran := make(chan error, 1)
		go func() { ran <- p.Run(ctx) }()
		_, client, shutdown := served(t, handler(p))

		status, events, leave := listen(t, client)
		defer leave()
		if status != http.StatusOK {
			t.Fatal(status)
		}
		time.Sleep(sampleEvery)
		parts, kinds := partsOf(t, events)
		if len(parts) != 8 || kinds["layout"] != 1 {
			t.Errorf("at first: %v", kinds)
		}
		contains(t, parts["nodes"], `<section id="nodes"`, "syncing")

		// Nothing has changed: nothing is sent but signs of life, far beyond what the server allows a request.
		time.Sleep(5 * time.Minute)
		if parts, kinds := partsOf(t, events); len(parts) != 0 || kinds["comment"] != int(5*time.Minute/heartbeat) {
			t.Errorf("while nothing happens: %v", kinds)
		}

		// A stall is news to the summary and the nodes, and to nobody else.
		w.change(func(s *collector.Status) {
			n := &s.Nodes.Nodes[0]
			n.Phase, n.SinceProgress, n.ETA, n.LookedAt = "stalled", new(700.0), nil, new(noon.Add(10*time.Second))
		})
		time.Sleep(sampleEvery)
		parts, _ = partsOf(t, events)
		if len(parts) != 3 {
			t.Errorf("%d parts", len(parts))
		}
		contains(t, parts["summary"], "node-1 is stalled.")
		contains(t, parts["nodes"], "its head has not moved for 12 min")
		contains(t, parts["chart-0"], "polyline")

		// Another node is another layout.
		w.change(func(s *collector.Status) { s.Nodes.Nodes = append(s.Nodes.Nodes, collector.Node{Name: "node-2"}) })
		time.Sleep(sampleEvery)
		if _, kinds := partsOf(t, events); kinds["layout"] != 1 {
			t.Error("a second node is no new layout")
		}

		// The end of the program ends the stream at once.
		began := time.Now()
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if err := shutdown(); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("the server ends after %s: %v", time.Since(began), err)
		}
		if _, kinds := partsOf(t, events); kinds["part"] != 0 {
			t.Error(kinds)
		}
	})
}

func TestLiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := page(t, ordinary())
		ctx, cancel := contextOf(t)
		ran := make(chan error, 1)
		go func() { ran <- p.Run(ctx) }()
		_, client, _ := served(t, handler(p))
		var leaves []func()
		for range maxClients {
			status, _, leave := listen(t, client)
			if status != http.StatusOK {
				t.Fatal(status)
			}
			leaves = append(leaves, leave)
		}
		resp, err := client.Get("http://page/events")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Error("one too many:", resp.StatusCode, resp.Header)
		}
		leaves[0]()
		synctest.Wait()
		status, _, leave := listen(t, client)
		if status != http.StatusOK {
			t.Error("a place that became free:", status)
		}
		leaves = append(leaves, leave)
		for _, leave := range leaves {
			leave()
		}
		synctest.Wait()
		if p.hub.watched() {
			t.Error("pages that have gone are counted")
		}
		cancel()
		<-ran
	})
}

// TestSlowPage: a page that does not read is let go, and holds up nobody.
func TestSlowPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ordinary()
		p := page(t, w)
		ctx, cancel := contextOf(t)
		ran := make(chan error, 1)
		go func() { ran <- p.Run(ctx) }()
		l, client, _ := served(t, handler(p))
		deaf, err := l.dial(ctx, "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer deaf.Close()
		if _, err := io.WriteString(deaf, "GET /events HTTP/1.1\r\nHost: page\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, events, leave := listen(t, client)
		defer leave()
		for i := range 20 {
			w.change(func(s *collector.Status) { s.Nodes.Nodes[0].DistanceSlots = new(uint64(1000 - i)) })
			time.Sleep(sampleEvery)
		}
		parts, _ := partsOf(t, events)
		contains(t, parts["nodes"], "981 slots")
		p.hub.mu.Lock()
		clients := len(p.hub.clients)
		p.hub.mu.Unlock()
		if clients != 1 {
			t.Errorf("%d pages", clients)
		}
		cancel()
		<-ran
	})
}

// TestSlowPageMissesWhatWasOvertaken: what a page has yet to get is a set of parts, not a queue.
func TestSlowPageMissesWhatWasOvertaken(t *testing.T) {
	h := newHub()
	c := h.join()
	for i := range 100 {
		h.publish("l", "12:00", []part{{"a", fmt.Sprint("a", i)}, {"b", "same"}})
	}
	text := h.take(c)
	if strings.Count(text, "event: part") != 2 || !strings.Contains(text, `"a99"`) || strings.Count(text, "event: layout") != 1 {
		t.Error(text)
	}
	if text := h.take(c); text != "" {
		t.Error("it is told twice:", text)
	}
	h.publish("l", "12:01", []part{{"a", "a99"}, {"b", "other"}})
	if text := h.take(c); strings.Count(text, "event: part") != 1 || !strings.Contains(text, `"other"`) {
		t.Error(text)
	}
	// A later page gets all, and one after everybody has left nothing that is old.
	if text := h.take(h.join()); strings.Count(text, "event: part") != 2 {
		t.Error(text)
	}
	h = newHub()
	c = h.join()
	h.publish("l", "12:00", []part{{"a", "old"}})
	h.leave(c)
	if text := h.take(h.join()); text != "" {
		t.Error("it is told what is old:", text)
	}
}
