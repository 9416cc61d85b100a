package setup

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestListening(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:13BC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:2161 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0101A8C0:0DAC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 0100007F:257C 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
   4: 00000000000000000000000000000000:257C 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5 1 0 100 0 0 10 0
   5: rubbish
`
	if got, want := listening([]byte(table)), []uint16{5052, 8545, 9596}; !slices.Equal(got, want) {
		t.Errorf("%d, want %d", got, want)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ports, err := Host{}.Ports()
	if err != nil || !slices.Contains(ports, uint16(l.Addr().(*net.TCPAddr).Port)) {
		t.Errorf("%d: %v", ports, err)
	}
}

func TestExecStart(t *testing.T) {
	property := any([][]any{{"/usr/bin/geth", []string{"geth", "--http"}, false}})
	if got := execStart(property); strings.Join(got, " ") != "geth --http" {
		t.Errorf("%q", got)
	}
	for _, odd := range []any{nil, 1, [][]any{}, [][]any{{"x"}}, [][]any{{"x", 1}}} {
		if got := execStart(odd); got != nil {
			t.Errorf("%v: %q", odd, got)
		}
	}
}

// Every client is told by its own program's name, and by those of its images.
func TestRecognise(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/lighthouse --network hoodi bn":                     "lighthouse consensus",
		"lighthouse validator_client":                                "lighthouse validator",
		"/opt/teku/bin/teku validator-client":                        "teku validator",
		"/opt/prysm/prysm.sh beacon-chain --x":                       "prysm consensus",
		"/opt/prysm/prysm.sh validator":                              "prysm validator",
		"/usr/bin/beacon-chain":                                      "prysm consensus",
		"nimbus_validator_client":                                    "nimbus validator",
		"/usr/bin/node /usr/app/packages/cli/bin/lodestar beacon":    "lodestar consensus",
		"/usr/bin/node /usr/app/packages/cli/bin/lodestar validator": "lodestar validator",
		"/usr/bin/nethermind -c ephemery":                            "nethermind execution",
		"dotnet /nethermind/nethermind.dll":                          "nethermind execution",
		"besu":                                                       "besu execution",
		"erigon":                                                     "erigon execution",
		"reth node":                                                  "reth execution",
		"/bin/echo a b c geth":                                       "",
		"/bin/sleep infinity":                                        "",
	} {
		p, layer := recognise(strings.Fields(line), "")
		got := ""
		if p != nil {
			got = fmt.Sprintf("%s %s", p.client, layer)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for image, want := range map[string]string{
		"sigp/lighthouse:v8.0.1": "lighthouse", "ethereum/client-go@sha256:ab": "geth", "gcr.io/prysmaticlabs/prysm/beacon-chain": "prysm", "pk910/ephemery-geth:latest": "geth",
		"statusim/nimbus-eth2:multiarch-latest": "nimbus", "localhost:5000/hyperledger/besu:25": "besu", "postgres:17": "",
	} {
		p, _ := recognise([]string{"./entry.sh"}, image)
		got := ""
		if p != nil {
			got = p.client
		}
		if got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
