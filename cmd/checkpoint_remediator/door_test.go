package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The bcrypt hash of "correct", of the least cost, in the form that exporter-toolkit's web configuration wants.
const correctHash = "$2a$04$1xkgbRgH.b0LbBUs/hoHLu4tjXT5fPfnZn2Gg8xZm/B5LlPpYujEe"

// program is the binary that users run.
func program(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "checkpoint_remediator")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// authority signs certificates and writes them as files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.file, _ = a.issue(t, name, template)
	b, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue writes a certificate and its key; the first one is the authority's own.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if a.key == nil {
		a.key, a.cert = key, template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return write(t, filepath.Join(a.dir, name+".crt"), encode("CERTIFICATE", der)), write(t, filepath.Join(a.dir, name+".key"), encode("PRIVATE KEY", keyDER))
}

// sender is a client that trusts the authority and, if it has one, shows a certificate.
func (a *authority) sender(t *testing.T, pair ...string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if len(pair) == 2 {
		c, err := tls.LoadX509KeyPair(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{c}
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// door is a running program.
type door struct {
	address string
	logs    *logs
}

// logs may be read while they are written.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func open(t *testing.T, bin, remediation, web string) *door {
	t.Helper()
	dir := t.TempDir()
	d := &door{address: freeAddress(t), logs: new(logs)}
	config := write(t, filepath.Join(dir, "checkpoint.yml"), fmt.Sprintf(`nodes: [{name: node-1, consensus: {url: "http://127.0.0.1:1"}}]
remediation: {journal: %q, alertmanagers: [], %s}
`, filepath.Join(dir, "journal.jsonl"), remediation))
	cmd := exec.Command(bin, "--config.file="+config, "--web.listen-address="+d.address, "--web.config.file="+write(t, filepath.Join(dir, "web.yml"), web))
	cmd.Stderr = d.logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%v\n%s", err, d.logs)
		}
	})
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", d.address)
		if err == nil {
			c.Close()
			return d
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%v\n%s", err, d.logs)
		}
	}
}

// post sends an alert and returns the status of the answer, or why there is none.
func (d *door) post(t *testing.T, c *http.Client, scheme string, edit func(*http.Request)) (int, error) {
	t.Helper()
	body := `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"},"fingerprint":"0123456789abcdef"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://"+d.address+"/api/v1/alerts", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// TestDoor is who is let in at the program's public door, with each way that a sender can prove itself.
func TestDoor(t *testing.T) {
	bin := program(t)
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	cert, key := ours.issue(t, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	client := func(a *authority, name string, usage x509.ExtKeyUsage) []string {
		c, k := a.issue(t, name, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{usage}})
		return []string{c, k}
	}
	server := fmt.Sprintf("tls_server_config:\n  cert_file: %q\n  key_file: %q\n", cert, key)
	want := func(t *testing.T, what string, wanted, got int, err error) {
		t.Helper()
		if got != wanted {
			t.Errorf("%s: %d %v, want %d", what, got, err, wanted)
		}
	}
	token := write(t, filepath.Join(t.TempDir(), "token"), "secret\n")

	t.Run("TLS", func(t *testing.T) {
		d := open(t, bin, fmt.Sprintf("webhook: {bearer_token_file: %q}", token), server)
		c := ours.sender(t)
		code, err := d.post(t, c, "https", bearer("secret"))
		want(t, "right token", http.StatusOK, code, err)
		code, err = d.post(t, c, "https", nil)
		want(t, "no token", http.StatusUnauthorized, code, err)
		code, err = d.post(t, c, "https", bearer("guess"))
		want(t, "wrong token", http.StatusForbidden, code, err)
		code, err = d.post(t, theirs.sender(t), "https", bearer("secret"))
		want(t, "a sender who does not trust the server", 0, code, err)
		code, err = d.post(t, c, "http", bearer("secret"))
		want(t, "without TLS", http.StatusBadRequest, code, err)
		write(t, token, "renewed\n")
		code, err = d.post(t, c, "https", bearer("renewed"))
		want(t, "a new token in the file", http.StatusOK, code, err)
		code, err = d.post(t, c, "https", bearer("secret"))
		want(t, "the old token", http.StatusForbidden, code, err)
		if text := d.logs.String(); strings.Contains(text, "renewed") || strings.Contains(text, "guess") {
			t.Errorf("a token is in the log: %s", text)
		}
	})

	t.Run("mTLS", func(t *testing.T) {
		d := open(t, bin, "", server+fmt.Sprintf("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: %q\n  client_allowed_sans: [alertmanager]\n", ours.file))
		code, err := d.post(t, ours.sender(t, client(ours, "alertmanager", x509.ExtKeyUsageClientAuth)...), "https", nil)
		want(t, "Alertmanager's certificate", http.StatusOK, code, err)
		for what, pair := range map[string][]string{
			"none": nil, "of another authority": client(theirs, "alertmanager", x509.ExtKeyUsageClientAuth),
			"of another name": client(ours, "somebody", x509.ExtKeyUsageClientAuth), "a server's": client(ours, "alertmanager", x509.ExtKeyUsageServerAuth),
		} {
			code, err := d.post(t, ours.sender(t, pair...), "https", nil)
			want(t, "certificate: "+what, 0, code, err)
		}
	})

	t.Run("basic", func(t *testing.T) {
		d := open(t, bin, "", server+fmt.Sprintf("basic_auth_users:\n  alertmanager: %s\n", correctHash))
		c := ours.sender(t)
		code, err := d.post(t, c, "https", basic("alertmanager", "correct"))
		want(t, "right password", http.StatusOK, code, err)
		for what, edit := range map[string]func(*http.Request){
			"none": nil, "wrong": basic("alertmanager", "horse"), "another user": basic("root", "correct"), "a token": bearer("correct"),
		} {
			code, err := d.post(t, c, "https", edit)
			want(t, "password: "+what, http.StatusUnauthorized, code, err)
		}
	})

	t.Run("a web configuration that is wrong", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), bin, "--web.config.file="+write(t, filepath.Join(t.TempDir(), "web.yml"), "tls_server_config: {cert_file: /none}\n")).CombinedOutput()
		if err == nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "web.yml") {
			t.Errorf("%v: %s", err, out)
		}
	})
}
