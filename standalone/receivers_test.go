package standalone_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/internal/synctext"
	"github.com/prometheus/common/model"
)

// TestReceivers sends one alert through every kind of receiver that users know, to a server that stands for the real one.
func TestReceivers(t *testing.T) {
	t.Parallel()
	var plain, secret, mail synctext.Buffer
	services := httptest.NewServer(recorder(&plain))
	t.Cleanup(services.Close)
	pushover := tunnel(t, recorder(&secret))
	smtp := mailbox(t, &mail)

	am, _, _ := runAlertmanager(t, t.TempDir(), fmt.Sprintf(`
global: {smtp_require_tls: false, smtp_from: loop@example.org}
route: {receiver: people, group_by: ['...'], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h}
receivers:
  - name: people
    slack_configs: [{api_url: '%[1]s/slack', channel: '#checkpoint'}]
    pagerduty_configs: [{routing_key: key, url: '%[1]s/pagerduty'}]
    telegram_configs: [{api_url: '%[1]s/telegram', bot_token: token, chat_id: 1}]
    opsgenie_configs: [{api_key: key, api_url: '%[1]s/opsgenie/'}]
    discord_configs: [{webhook_url: '%[1]s/discord'}]
    msteamsv2_configs: [{webhook_url: '%[1]s/teams'}]
    mattermost_configs: [{webhook_url: '%[1]s/mattermost'}]
    webhook_configs: [{url: '%[1]s/webhook'}]
    email_configs: [{to: people@example.org, smarthost: '%[2]s'}]
    pushover_configs:
      - {user_key: key, token: token, http_config: {proxy_url: '%[3]s', tls_config: {insecure_skip_verify: true}}}
`, services.URL, smtp, pushover), "http://127.0.0.1:0")
	put(t, am, model.AlertFiring, "NodeStalled")

	for _, kind := range []string{"slack", "pagerduty", "telegram", "opsgenie", "discord", "teams", "mattermost", "webhook"} {
		eventually(t, "sent to "+kind, func() bool { return told(plain.String(), "/"+kind) })
	}
	eventually(t, "sent to pushover", func() bool { return told(secret.String(), "/1/messages.json") })
	eventually(t, "sent by mail", func() bool { return strings.Contains(mail.String(), "NodeStalled") })
}

// told looks for a request to a path with the alert's name in it.
func told(log, path string) bool {
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, path) && strings.Contains(line, "NodeStalled") {
			return true
		}
	}
	return false
}

// recorder writes each request on a line. What it answers satisfies all of the services.
func recorder(log io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(log, "%s %q\n", r.URL.RequestURI(), body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/slack"):
			fmt.Fprint(w, "ok")
		case strings.HasPrefix(r.URL.Path, "/pagerduty"):
			w.WriteHeader(http.StatusAccepted)
		default:
			fmt.Fprint(w, `{"ok":true,"result":{"message_id":1,"chat":{"id":1}}}`)
		}
	})
}

// tunnel is a proxy at whose other end, whatever the address, h answers by TLS: it stands for a service whose address is fixed.
func tunnel(t *testing.T, h http.Handler) string {
	t.Helper()
	end := httptest.NewUnstartedServer(h)
	end.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	end.StartTLS()
	t.Cleanup(end.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		out, err := net.Dial("tcp", end.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		fmt.Fprint(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, in); out.Close() }()
		_, _ = io.Copy(in, out) // either end may hang up
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// mailbox is as much of an SMTP server as one message needs.
func mailbox(t *testing.T, log io.Writer) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			take(conn, log)
		}
	}()
	return ln.Addr().String()
}

func take(conn net.Conn, log io.Writer) {
	defer conn.Close()
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 mailbox.example ESMTP")
	lines := bufio.NewScanner(conn)
	data := false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case data && line == ".":
			data = false
			say("250 taken")
		case data:
			fmt.Fprintln(log, line)
		case strings.HasPrefix(line, "DATA"):
			data = true
			say("354 go on")
		case strings.HasPrefix(line, "QUIT"):
			say("221 bye")
			return
		default:
			say("250 mailbox.example")
		}
	}
}
