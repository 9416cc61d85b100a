//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium, spoken to in the DevTools protocol over a pair of pipes: JSON, each message ended by a zero byte.
type browser struct {
	tb  testing.TB
	out *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	pages   map[string]*browserPage
	ended   error
}

// message is a command's answer, or an event.
type message struct {
	ID        int             `json:"id"`
	Session   string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Complaint *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startBrowser runs Debian's Chromium until the test ends. The tests are root, so it has no sandbox of its own; it sees nothing but our page.
func startBrowser(tb testing.TB) *browser {
	tb.Helper()
	commands, out, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	in, answers, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	log, err := os.Create(filepath.Join(workDir(tb), "chromium.log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
		"--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--no-proxy-server", "--user-data-dir="+filepath.Join(workDir(tb), "chromium"))
	cmd.ExtraFiles = []*os.File{commands, answers}
	cmd.Stdout, cmd.Stderr = log, log
	child, err := startChild(cmd)
	if err != nil {
		tb.Fatalf("start chromium: %v", err)
	}
	_, _ = commands.Close(), answers.Close()
	b := &browser{tb: tb, out: out, waiting: map[int]chan message{}, pages: map[string]*browserPage{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(in)
	}()
	tb.Cleanup(func() {
		_ = child.cmd.Process.Kill()
		<-child.done
		_, _ = out.Close(), in.Close()
		<-read
	})
	return b
}

func (b *browser) read(in *os.File) {
	r := bufio.NewReaderSize(in, 1<<20)
	for {
		text, err := r.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &m)
		}
		b.mu.Lock()
		if err != nil {
			b.ended = fmt.Errorf("chromium ended: %w", err)
			for _, c := range b.waiting {
				close(c)
			}
			clear(b.waiting)
			b.mu.Unlock()
			return
		}
		if c, ok := b.waiting[m.ID]; ok && m.Method == "" {
			delete(b.waiting, m.ID)
			c <- m
		} else if p := b.pages[m.Session]; p != nil && m.Method != "" {
			p.note(m)
		}
		b.mu.Unlock()
	}
}

// call sends a command and decodes its result; into may be nil.
func (b *browser) call(session, method string, params, into any) error {
	c := make(chan message, 1)
	b.mu.Lock()
	if b.ended != nil {
		b.mu.Unlock()
		return b.ended
	}
	b.last++
	text, err := json.Marshal(map[string]any{"id": b.last, "sessionId": session, "method": method, "params": params})
	if session == "" {
		text, err = json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	}
	if err == nil {
		b.waiting[b.last] = c
		_, err = b.out.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case m, ok := <-c:
		switch {
		case !ok:
			return errors.New("chromium has ended")
		case m.Complaint != nil:
			return fmt.Errorf("%s: %s", method, m.Complaint.Message)
		case into == nil:
			return nil
		}
		return json.Unmarshal(m.Result, into)
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("%s: no answer from chromium", method)
	}
}

// browserPage is a tab.
type browserPage struct {
	b       *browser
	session string
	// complaints are what the browser found wrong with the page: errors of scripts, violated policies, requests that failed.
	complaints []string
	requests   []string
}

func (b *browser) newPage() *browserPage {
	b.tb.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	b.must(b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target))
	var session struct {
		ID string `json:"sessionId"`
	}
	b.must(b.call("", "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &session))
	p := &browserPage{b: b, session: session.ID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Accessibility"} {
		p.do(domain+".enable", nil, nil)
	}
	return p
}

func (b *browser) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

func (p *browserPage) do(method string, params map[string]any, into any) {
	p.b.tb.Helper()
	if params == nil {
		params = map[string]any{}
	}
	p.b.must(p.b.call(p.session, method, params, into))
}

// note takes down what an event says. The browser's lock is held.
func (p *browserPage) note(m message) {
	switch m.Method {
	case "Log.entryAdded", "Runtime.exceptionThrown", "Network.loadingFailed":
		p.complaints = append(p.complaints, m.Method+": "+string(m.Params))
	case "Runtime.consoleAPICalled":
		p.complaints = append(p.complaints, "console: "+string(m.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		if json.Unmarshal(m.Params, &sent) == nil {
			p.requests = append(p.requests, sent.Request.URL)
		}
	}
}

// heard are the complaints and requests since the last time.
func (p *browserPage) heard() (complaints, requests []string) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	complaints, requests = p.complaints, p.requests
	p.complaints, p.requests = nil, nil
	return complaints, requests
}

// open goes to a URL and waits until the page is complete.
func (p *browserPage) open(url string) {
	p.b.tb.Helper()
	var gone struct {
		Error string `json:"errorText"`
	}
	p.do("Page.navigate", map[string]any{"url": url}, &gone)
	if gone.Error != "" {
		p.b.tb.Fatalf("%s: %s", url, gone.Error)
	}
	eventually(p.b.tb, time.Minute, url+" to be loaded", func() error {
		var at string
		if err := p.evaluate("location.href + ' ' + document.readyState", &at); err != nil {
			return err
		}
		if at != url+" complete" {
			return errors.New(at)
		}
		return nil
	})
}

// evaluate runs a JavaScript expression, also in a page in which scripts are off, and decodes its value.
func (p *browserPage) evaluate(expression string, into any) error {
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string          `json:"text"`
			Exception json.RawMessage `json:"exception"`
		} `json:"exceptionDetails"`
	}
	err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	switch {
	case err != nil:
		return err
	case answer.Exception != nil:
		return fmt.Errorf("%s: %s %s", expression, answer.Exception.Text, answer.Exception.Exception)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer.Result.Value, into)
}

// look gives the page a size in CSS pixels and a colour scheme, and returns a PNG of all of it.
func (p *browserPage) look(width, height int, scheme string) []byte {
	p.b.tb.Helper()
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	var shot struct {
		Data []byte `json:"data"`
	}
	p.do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	return shot.Data
}

// axNode is a node of the accessibility tree: what a screen reader is told.
type axNode struct {
	Ignored bool `json:"ignored"`
	Role    struct {
		Value string `json:"value"`
	} `json:"role"`
	Name struct {
		Value string `json:"value"`
	} `json:"name"`
}

func (p *browserPage) accessibility() []axNode {
	p.b.tb.Helper()
	var tree struct {
		Nodes []axNode `json:"nodes"`
	}
	p.do("Accessibility.getFullAXTree", nil, &tree)
	return tree.Nodes
}
