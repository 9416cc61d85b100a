// Package docker reaches a Docker Engine by its API, and tells how a container came to run or not.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// MaxAnswer bounds what the engine may send in one connection, in bytes. A connection serves one action or look; the largest of its
// answers is a list of containers.
const MaxAnswer = 32 << 20

var (
	// ErrNoEngine: nothing answers as a Docker Engine there.
	ErrNoEngine = errors.New("the Docker Engine does not answer")
	// ErrNotPermitted: this user may not talk to the engine.
	ErrNotPermitted = errors.New("this user may not talk to the Docker Engine (the group that owns its socket may, and is as powerful as root)")
	// ErrNotThere: the engine has no such container.
	ErrNotThere = errors.New("there is no such container")
)

// Host is the engine's address: host itself, or if that is empty $DOCKER_HOST, or unix:///var/run/docker.sock. Sockets and TCP can be
// dialled; TLS is taken from DOCKER_CERT_PATH and DOCKER_TLS_VERIFY, as by the docker command.
func Host(host string) (string, error) {
	if host == "" {
		host = os.Getenv(client.EnvOverrideHost)
	}
	if host == "" {
		host = client.DefaultDockerHost
	}
	u, err := client.ParseHostURL(host)
	if err != nil {
		return "", fmt.Errorf("Docker Engine %q: want unix:///PATH or tcp://HOST:PORT", host)
	}
	switch u.Scheme {
	case "unix":
		if !filepath.IsAbs(u.Host) {
			return "", fmt.Errorf("Docker Engine %q: want an absolute path", host)
		}
	case "tcp":
		if _, _, err := net.SplitHostPort(u.Host); err != nil {
			return "", fmt.Errorf("Docker Engine %q: %w", host, err)
		}
	default:
		return "", fmt.Errorf("Docker Engine %q: only unix:// and tcp:// can be dialled", host)
	}
	return host, nil
}

// Open makes a client of the engine at host (see Host), which speaks the newest version of the API that both know. Nothing is asked yet.
// The client is for one action or look, because what it reads is bounded by MaxAnswer, and has to be closed.
func Open(host string) (*client.Client, error) {
	host, err := Host(host)
	if err != nil {
		return nil, err
	}
	u, err := client.ParseHostURL(host)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, u.Scheme, u.Host)
		if err != nil {
			return nil, err
		}
		return &bounded{Conn: c, left: MaxAnswer}, nil
	}
	c, err := client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(host), client.WithDialContext(dial),
		client.WithUserAgent("checkpoint"))
	if err != nil {
		return nil, fmt.Errorf("Docker Engine %s: %w", host, err)
	}
	return c, nil
}

// bounded is a connection that ends after so many bytes.
type bounded struct {
	net.Conn
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the Docker Engine sent more than %d bytes", MaxAnswer)
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Explain gives the client's errors the words of this package.
func Explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrNotThere, err)
	case client.IsErrConnectionFailed(err) && strings.Contains(err.Error(), "permission denied"):
		return fmt.Errorf("%w: %w", ErrNotPermitted, err)
	case client.IsErrConnectionFailed(err) && !strings.HasPrefix(err.Error(), "error during connect"): // that is a connection that broke, or time that is up
		return fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	return err
}

// Refused tells whether the engine has certainly not begun what it was asked to do to a container: it was not reached, or does not know the
// container. Every other error leaves that open, because the engine may have stopped a container before it finds that it cannot start it.
func Refused(err error) bool {
	var op *net.OpError
	switch {
	case errdefs.IsNotFound(err):
		return strings.Contains(err.Error(), "No such container")
	case errors.As(err, &op):
		return op.Op == "dial"
	}
	return client.IsErrConnectionFailed(err) && strings.Contains(err.Error(), "permission denied")
}

// StopGrace is how long a container without a stop timeout of its own may take to end before it is killed. Docker's default of 10 s is
// too short for a client that flushes its database; this is systemd's (DefaultTimeoutStopSec).
const StopGrace = 90 * time.Second

// Grace is the timeout to stop or restart a container with, in seconds; nil: the engine is to take the container's own.
func Grace(in container.InspectResponse) *int {
	if in.Config != nil && in.Config.StopTimeout != nil {
		return nil
	}
	seconds := int(StopGrace / time.Second)
	return &seconds
}

// Create creates a container from a request's JSON, such as HostConfig is a part of. The client's own ContainerCreate would leave out what its types
// do not know.
func Create(ctx context.Context, c *client.Client, name string, body any) (id string, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dialer()(ctx) }, DisableKeepAlives: true}
	at := "http://docker/v" + c.ClientVersion() + "/containers/create?name=" + url.QueryEscape(name)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxCreated))
	if err != nil {
		return "", err
	}
	var made struct {
		ID      string `json:"Id"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer, &made); err != nil {
		return "", fmt.Errorf("create %s: HTTP %d: %w", name, resp.StatusCode, err)
	}
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("create %s: HTTP %d: %.500s", name, resp.StatusCode, made.Message)
	}
	return made.ID, nil
}

// maxCreated bounds the engine's answer to the creation of a container, in bytes.
const maxCreated = 64 << 10
