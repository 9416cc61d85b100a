package setup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
	"github.com/checkpoint-exporter/checkpoint_exporter/setup/setuptest"
)

// apis are servers behind ports of 127.0.0.1.
type apis map[string]string

func (a apis) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := a[address]
	if !ok {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

// says puts a server with that version behind a port.
func (a apis) says(t *testing.T, port int, version string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			var q struct{ ID json.RawMessage }
			_ = json.NewDecoder(r.Body).Decode(&q)
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%q}`, q.ID, version)
			return
		}
		fmt.Fprintf(w, `{"data":{"version":%q}}`, version)
	}))
	t.Cleanup(s.Close)
	a[fmt.Sprintf("127.0.0.1:%d", port)] = s.Listener.Addr().String()
}

func TestFind(t *testing.T) {
	for name, tc := range map[string]struct {
		machine *setuptest.Machine
		says    map[int]string
		want    []string
	}{
		"units": {
			machine: &setuptest.Machine{Running: []setup.Service{
				{Unit: "beacon.service", Running: true, Args: []string{"/usr/bin/lighthouse", "bn", "--datadir=/var/lib/lighthouse", "--http", "--metrics", "--checkpoint-sync-url", "http://one.example"}},
				{Unit: "vc.service", Running: true, Args: []string{"/usr/bin/lighthouse", "vc", "--datadir", "/var/lib/lighthouse"}},
				{Unit: "geth.service", Running: true, Args: []string{"/usr/bin/geth", "--datadir", "/var/lib/geth", "--http.port=8645"}},
				{Unit: "ssh.service", Running: true, Args: []string{"/usr/sbin/sshd", "-D"}},
			}, Listening: []uint16{22, 5052, 8645}},
			says: map[int]string{5052: "Lighthouse/v8.0.1/x86_64-linux", 8645: "Geth/v1.16.7/linux/go1.24"},
			want: []string{
				"lighthouse consensus v8.0.1 beacon.service http://127.0.0.1:5052 http://127.0.0.1:5054/metrics /var/lib/lighthouse from http://one.example",
				"geth execution v1.16.7 geth.service http://127.0.0.1:8645  /var/lib/geth from ",
				"lighthouse validator  vc.service   /var/lib/lighthouse from ",
			},
		},
		"a unit that stands still beside a container": {
			machine: &setuptest.Machine{
				Running: []setup.Service{{Unit: "teku.service", Args: []string{"/opt/teku/bin/teku", "--data-path=/var/lib/teku"}}},
				Boxes: []setup.Container{{
					Name: "ephemery-lighthouse", Image: "pk910/ephemery-lighthouse:latest", Running: true, Args: []string{"./wrapper.sh", "--datadir=/data", "--http-port=5052"},
					Ports: map[string]string{"5052/tcp": "15052"}, Mounts: map[string]string{"/data": "/opt/ephemery/data/lighthouse"},
				}},
			},
			says: map[int]string{15052: "Lighthouse/v7.1.0"},
			want: []string{
				"lighthouse consensus v7.1.0 container ephemery-lighthouse http://127.0.0.1:15052  /opt/ephemery/data/lighthouse from ",
				"teku consensus  teku.service http://127.0.0.1:5051  /var/lib/teku from ",
			},
		},
		"compose": {
			machine: &setuptest.Machine{Boxes: []setup.Container{{
				Name: "eth-execution-1", Image: "ethereum/client-go:stable", Running: true, Host: true, Args: []string{"docker-entrypoint.sh", "--datadir", "/data/geth"},
				Labels: map[string]string{"com.docker.compose.project.working_dir": "/opt/eth-docker", "com.docker.compose.service": "execution"},
				Mounts: map[string]string{"/data": "/var/lib/docker/volumes/x/_data"},
			}}},
			says: map[int]string{8545: "Geth/v1.17.4"},
			want: []string{"geth execution v1.17.4 compose service execution in /opt/eth-docker http://127.0.0.1:8545  /var/lib/docker/volumes/x/_data/geth from "},
		},
		"nobody knows what runs it": {
			machine: &setuptest.Machine{NoSystemd: true, Listening: []uint16{3500, 8545, 9596}},
			says:    map[int]string{3500: "Prysm/v7.1.2 (linux amd64)", 8545: "nginx", 9596: "Checkpointz/v1"},
			want:    []string{"prysm consensus v7.1.2 not known http://127.0.0.1:3500   from "},
		},
		"a shell's line": {
			machine: &setuptest.Machine{Running: []setup.Service{{Unit: "n.service", Running: true, Args: []string{"/bin/sh", "-c", "exec nimbus_beacon_node --data-dir=/d --rest-port=5059"}}}},
			says:    map[int]string{5059: "Nimbus/v25.1.0"},
			want:    []string{"nimbus consensus v25.1.0 n.service http://127.0.0.1:5059  /d from "},
		},
		"a unit around docker": {
			machine: &setuptest.Machine{Running: []setup.Service{{Unit: "r.service", Running: true, Args: []string{"/usr/bin/docker", "start", "-a", "reth"}}}},
			want:    []string{"reth execution  r.service http://127.0.0.1:8545   from "},
		},
		"another client has the port": {
			machine: &setuptest.Machine{Running: []setup.Service{{Unit: "g.service", Running: true, Args: []string{"grandine"}}}},
			says:    map[int]string{5052: "Lighthouse/v8.0.1"},
			want:    []string{"grandine consensus  g.service http://127.0.0.1:5052   from "},
		},
		"a program called validator": {
			machine: &setuptest.Machine{Running: []setup.Service{
				{Unit: "w3c.service", Args: []string{"/usr/bin/validator", "--html"}}, {Unit: "p.service", Args: []string{"/opt/validator", "--wallet-dir=/w", "--datadir=/d"}},
			}},
			want: []string{"prysm validator  p.service   /d from "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			at := apis{}
			for port, version := range tc.says {
				at.says(t, port, version)
			}
			found := setup.Finder{Machine: tc.machine, Dial: at.dial}.Find(t.Context())
			var got []string
			for _, c := range found.Clients {
				got = append(got, strings.Join([]string{c.Name, string(c.Layer), c.Version, c.As(), c.API, c.Metrics, c.DataDir, "from " + c.Source}, " "))
			}
			if !slices.Equal(got, tc.want) || len(found.Problems) > 0 {
				t.Errorf("got  %q %q\nwant %q", got, found.Problems, tc.want)
			}
		})
	}
	m := setuptest.Machine{BoxesErr: errors.New("this user may not")}
	if found := (setup.Finder{Machine: &m, Dial: apis{}.dial}).Find(t.Context()); len(found.Problems) != 1 {
		t.Errorf("what could not be looked at is not told: %q", found.Problems)
	}
}
