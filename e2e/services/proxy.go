package services

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// startProxy starts an HTTP proxy at whose other end, for the names of the services, the services are.
func (s *Services) startProxy(tb testing.TB, certificates *tls.Config) *httptest.Server {
	hosts := map[string]http.Handler{
		"api.pushover.net":     s.handle("pushover", s.takePushover),
		"api.telegram.org":     s.handle("telegram", s.takeTelegram),
		"events.pagerduty.com": s.handle("pagerduty", s.takePagerDuty),
		"api.opsgenie.com":     s.handle("opsgenie", s.takeOpsgenie),
		"hooks.slack.com":      s.handle("slack", s.takeSlack),
		"hc-ping.com":          s.handle("heartbeat", s.takeHeartbeat),
	}
	tunnels := &tunnels{conns: make(chan net.Conn), closed: make(chan struct{})}
	end := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts[r.Host].ServeHTTP(w, r) // the proxy lets no other host through
	})}
	go func() { _ = end.Serve(tls.NewListener(tunnels, certificates)) }()
	tb.Cleanup(func() { end.Close() })

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, _ := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || hosts[host] == nil || port != "443" {
			s.complain("proxy", fmt.Errorf("%s %s is no service's address", r.Method, r.Host))
			http.Error(w, "no such service", http.StatusBadGateway)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		tunnels.add(conn)
	}))
	tb.Cleanup(proxy.Close)
	return proxy
}

// tunnels is a listener that accepts the connections that are given to it.
type tunnels struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (t *tunnels) add(c net.Conn) {
	select {
	case t.conns <- c:
	case <-t.closed:
		c.Close()
	}
}

func (t *tunnels) Accept() (net.Conn, error) {
	select {
	case c := <-t.conns:
		return c, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *tunnels) Close() error   { t.once.Do(func() { close(t.closed) }); return nil }
func (t *tunnels) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// certify makes a certificate authority, writes its certificate to a file, and returns a configuration with a certificate for all services.
func certify(file string) (*tls.Config, error) {
	root, rootErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, keyErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(rootErr, keyErr); err != nil {
		return nil, err
	}
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of the tests"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "services"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames: []string{"api.pushover.net", "api.telegram.org", "events.pagerduty.com", "api.opsgenie.com", "hooks.slack.com", "hc-ping.com"},
	}
	rootDER, rootErr := x509.CreateCertificate(rand.Reader, authority, authority, &root.PublicKey, root)
	leafDER, leafErr := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, root)
	if err := errors.Join(rootErr, leafErr); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), 0o600); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}}}, nil
}
