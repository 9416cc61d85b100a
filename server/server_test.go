package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

func service(t *testing.T, load func() (*config.Config, error)) Service {
	t.Helper()
	reg := NewRegistry("checkpoint_test")
	reload, err := NewReloader(reg, load, func(*config.Config) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return Service{
		Name: "checkpoint_test", Registry: reg, Reload: reload, Logger: log.NewNopLogger(),
		Routes: func(*http.ServeMux) {}, Ready: func() error { return nil },
		Run: func(ctx context.Context) error { <-ctx.Done(); return nil },
	}
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestManners(t *testing.T) {
	var loadErr, readyErr error
	s := service(t, func() (*config.Config, error) { return config.Default(), loadErr })
	s.Ready = func() error { return readyErr }
	h := s.Handler("/metrics")

	if code, _ := get(t, h, "GET", "/-/healthy"); code != http.StatusOK {
		t.Error("healthy:", code)
	}
	readyErr = errors.New("first probes are under way")
	if code, body := get(t, h, "GET", "/-/ready"); code != http.StatusServiceUnavailable || !strings.Contains(body, "first probes") {
		t.Error("not ready:", code, body)
	}
	if code, _ := get(t, h, "GET", "/-/reload"); code != http.StatusMethodNotAllowed {
		t.Error("reload by GET:", code)
	}
	if code, _ := get(t, h, "POST", "/-/reload", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Error("reload from another site's page:", code)
	}
	if code, _ := get(t, h, "POST", "/-/reload"); code != http.StatusOK {
		t.Error("reload:", code)
	}
	loadErr = errors.New("checkpoint.yml:3: quorum: bad; mend")
	if code, body := get(t, h, "POST", "/-/reload"); code != http.StatusInternalServerError || !strings.Contains(body, "checkpoint.yml:3") {
		t.Error("bad reload:", code, body)
	}
	_, metrics := get(t, h, "GET", "/metrics")
	for _, want := range []string{"checkpoint_config_last_reload_successful 0", "checkpoint_test_build_info{", "process_start_time_seconds"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	loadErr = nil
	if err := s.Reload.Reload(); err != nil {
		t.Error(err)
	}
	if _, metrics = get(t, h, "GET", "/metrics"); !strings.Contains(metrics, "checkpoint_config_last_reload_successful 1") {
		t.Error("a good reload does not clear the gauge")
	}
}

func parse(t *testing.T, args ...string) *Flags {
	t.Helper()
	app := kingpin.New("checkpoint_test", "")
	f := AddFlags(app, "127.0.0.1:0")
	if _, err := app.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestServeEndsOnSignal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	f := parse(t, "--web.listen-address="+addr)
	var logs bytes.Buffer
	reloads := make(chan struct{}, 1)
	s := service(t, func() (*config.Config, error) { reloads <- struct{}{}; return config.Default(), nil })
	s.Logger = f.Logger(&logs)
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), f, f.Slog(io.Discard)) }()

	url := "http://" + addr
	waitFor(t, func() bool {
		resp, err := http.Get(url + "/-/healthy")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-reloads
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(logs.String(), "configuration loaded") {
		t.Error("the reload was not logged:", logs.String())
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition did not come true")
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	f := parse(t, "--config.file="+filepath.Join(dir, "none.yml"))
	if _, err := f.Load(); err == nil {
		t.Error("a file that was named must exist")
	}
	f = parse(t)
	f.ConfigFile = filepath.Join(dir, "none.yml")
	if c, err := f.Load(); err != nil || c.Network.Name != "ephemery" {
		t.Error("without a file the defaults hold:", err)
	}
	f.ConfigFile = filepath.Join(dir, "bad.yml")
	if err := os.WriteFile(f.ConfigFile, []byte("quorum: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); err == nil {
		t.Error("a bad file at the default path is no reason for defaults")
	}
}

func TestLogs(t *testing.T) {
	for format, want := range map[string][]string{
		"logfmt": {"level=info", "msg=hello", "ts="},
		"json":   {`"level":"info"`, `"msg":"hello"`, `"ts":`},
	} {
		f := parse(t, "--log.format="+format)
		var kit, std bytes.Buffer
		if err := log.With(f.Logger(&kit), "level", "info").Log("msg", "hello"); err != nil {
			t.Fatal(err)
		}
		f.Slog(&std).Info("hello")
		f.Slog(&std).Debug("hidden")
		for name, line := range map[string]string{"go-kit": kit.String(), "slog": std.String()} {
			for _, w := range want {
				if !strings.Contains(line, w) {
					t.Errorf("%s %s lacks %s: %s", format, name, w, line)
				}
			}
			if strings.Count(line, "ts") != 1 && strings.Count(line, "ts=")+strings.Count(line, `"ts"`) != 1 || strings.Contains(line, "hidden") {
				t.Errorf("%s %s: %s", format, name, line)
			}
		}
	}
}
