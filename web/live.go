package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxClients bounds the pages that are live at once; the others say so and try again.
	maxClients = 32
	// heartbeat keeps proxies from closing a quiet stream, and tells a page whose stream has died unnoticed.
	heartbeat = 15 * time.Second
	// writeTimeout is how long a page may take to accept what is sent.
	writeTimeout = 10 * time.Second
)

// hub sends what changes to the pages that are open, as Server-Sent Events: "layout" names what the page is made of, and "part" is a
// piece of it, {"id", "html", "at"}. A slow page misses what was overtaken meanwhile, and costs no memory.
type hub struct {
	mu      sync.Mutex
	layout  string
	parts   []part
	at      string
	clients map[*client]struct{}
	over    chan struct{}
}

// client is an open page.
type client struct {
	// dirty are the ids of the parts that it has yet to get, and relaid that the layout is among them.
	dirty  map[string]bool
	relaid bool
	wake   chan struct{}
}

func newHub() *hub { return &hub{clients: map[*client]struct{}{}, over: make(chan struct{})} }

// close ends all streams and takes no others.
func (h *hub) close() { close(h.over) }

// watched tells whether anybody would get what is published.
func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients) > 0
}

// publish makes parts those that pages should show, as of a time.
func (h *hub) publish(layout, at string, parts []part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	had := make(map[string]string, len(h.parts))
	for _, p := range h.parts {
		had[p.id] = p.html
	}
	relaid := layout != h.layout
	h.layout, h.parts, h.at = layout, parts, at
	for c := range h.clients {
		c.relaid = c.relaid || relaid
		for _, p := range parts {
			if html, ok := had[p.id]; !ok || html != p.html {
				c.dirty[p.id] = true
			}
		}
		c.prompt()
	}
}

func (c *client) prompt() {
	if !c.relaid && len(c.dirty) == 0 {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// join is a place for a page, or nil when there is none left. It gets all there is first: what it shows may be older.
func (h *hub) join() *client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= maxClients {
		return nil
	}
	// What was published before the last page left is old by now.
	if len(h.clients) == 0 {
		h.layout, h.parts = "", nil
	}
	c := &client{dirty: map[string]bool{}, relaid: h.layout != "", wake: make(chan struct{}, 1)}
	for _, p := range h.parts {
		c.dirty[p.id] = true
	}
	h.clients[c] = struct{}{}
	c.prompt()
	return c
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

// take is the text of what c has yet to get.
func (h *hub) take(c *client) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	if c.relaid {
		fmt.Fprintf(&b, "event: layout\ndata: %s\n\n", h.layout)
	}
	for _, p := range h.parts {
		if c.dirty[p.id] {
			data, err := json.Marshal(map[string]string{"id": p.id, "html": p.html, "at": h.at})
			if err == nil { // strings always marshal
				fmt.Fprintf(&b, "event: part\ndata: %s\n\n", data)
			}
		}
	}
	c.relaid = false
	clear(c.dirty)
	return b.String()
}

// serve streams to one page until it goes, or the program ends.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	select {
	case <-h.over:
		http.Error(w, "the program ends", http.StatusServiceUnavailable)
		return
	default:
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	c := h.join()
	if c == nil {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open: "+strconv.Itoa(maxClients), http.StatusServiceUnavailable)
		return
	}
	defer h.leave(c)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	// The server's limit is for answers that end; here each piece has one.
	send := func(text string) bool {
		if err := out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return false
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send("retry: 3000\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		text := ": still here\n\n"
		select {
		case <-c.wake:
			text = h.take(c)
		case <-beat.C:
		case <-h.over:
			return
		case <-r.Context().Done():
			return
		}
		if !send(text) {
			return
		}
	}
}
