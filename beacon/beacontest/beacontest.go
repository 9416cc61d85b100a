// Package beacontest replays recorded answers of real servers, as they were given. It is for tests.
package beacontest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/textproto"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed recorded
var files embed.FS

// Recording is one server's answers.
type Recording struct{ name string }

// The recordings.
var (
	PrysmElectra       = Recording{"prysm/synced_electra_v7.1.2"}
	PrysmFulu          = Recording{"prysm/synced_fulu_v7.1.2"}
	PrysmSyncing       = Recording{"prysm/node2_syncing_no_peers"}
	CheckpointzFulu    = Recording{"checkpointz/over_prysm_fulu"}
	CheckpointzMinimal = Recording{"checkpointz/over_lodestar_minimal_altair"}
	Lodestar           = Recording{"lodestar/synced_minimal_altair_v1.5.1"}
	LodestarSyncing    = Recording{"lodestar/syncing_minimal_altair_v1.5.1"}
	GethDev            = Recording{"geth/dev"}
	GethSynced         = Recording{"geth/synced"}
)

// All are the recordings of Beacon APIs.
func All() []Recording {
	return []Recording{PrysmElectra, PrysmFulu, PrysmSyncing, CheckpointzFulu, CheckpointzMinimal, Lodestar, LodestarSyncing}
}

// String is the recording's directory.
func (r Recording) String() string { return r.name }

// Names are the answers that the recording has, without their suffixes.
func (r Recording) Names() []string {
	headers, _ := fs.Glob(files, path.Join("recorded", r.name, "*.hdr"))
	for i, h := range headers {
		headers[i] = strings.TrimSuffix(path.Base(h), ".hdr")
	}
	return headers
}

// Body is the body of an answer, such as "config_spec"; nil when there is none.
func (r Recording) Body(name string) []byte {
	for _, suffix := range []string{".json", ".txt", ".ssz.gz", ".ssz"} {
		if b := read(path.Join(r.name, name+suffix)); b != nil {
			return b
		}
	}
	return nil
}

// Metrics is a /metrics page: "prysm/metrics_synced", "prysm/metrics_syncing_no_peers" or "lodestar/metrics_syncing".
func Metrics(name string) []byte { return read(name + ".txt.gz") }

func read(name string) []byte {
	b, err := files.ReadFile(path.Join("recorded", name))
	if err != nil {
		return nil
	}
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	b, err = io.ReadAll(z)
	if err != nil {
		return nil
	}
	return b
}

// Header is the status and the header of an answer; 0 when there is none.
func (r Recording) Header(name string) (int, http.Header) {
	b := read(path.Join(r.name, name+".hdr"))
	line, rest, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return 0, nil
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0, nil
	}
	h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.TrimRight(rest, "\r\n") + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		return 0, nil
	}
	return status, http.Header(h)
}

// Time is when the recording was made, by the server's clock.
func (r Recording) Time() time.Time {
	for _, name := range []string{"beacon_genesis", "node_syncing", "eth_syncing"} {
		if _, h := r.Header(name); h != nil {
			if t, err := http.ParseTime(h.Get("Date")); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}

// ServeHTTP implements http.Handler: the answer that was recorded for the request, or else for an unknown route or block.
func (r Recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := route(req)
	status, header := r.Header(name)
	if status == 0 {
		http.NotFound(w, req)
		return
	}
	for k, v := range header {
		switch k {
		case "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length":
			// These belong to the connection, which is another one now.
		default:
			w.Header()[k] = v
		}
	}
	body := r.Body(name)
	if header.Get("Content-Length") != "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func route(req *http.Request) string {
	if req.Method == http.MethodPost {
		var q struct {
			Method string            `json:"method"`
			Params []json.RawMessage `json:"params"`
		}
		if json.NewDecoder(io.LimitReader(req.Body, 1<<16)).Decode(&q) != nil {
			return "eth_nope"
		}
		if q.Method == "eth_getBlockByNumber" {
			return q.Method + "__latest__false"
		}
		return q.Method
	}
	switch p := req.URL.Path; p {
	case "/eth/v1/beacon/genesis":
		return "beacon_genesis"
	case "/eth/v1/config/spec":
		return "config_spec"
	case "/eth/v1/node/version", "/eth/v1/node/syncing", "/eth/v1/node/health", "/eth/v1/node/peer_count":
		return "node_" + path.Base(p)
	case "/eth/v1/beacon/states/head/finality_checkpoints":
		return "finality_head"
	case "/eth/v1/beacon/states/finalized/finality_checkpoints":
		return "finality_finalized"
	case "/eth/v1/beacon/blocks/head/root":
		return "block_root_head"
	case "/eth/v1/beacon/blocks/finalized/root":
		return "block_root_finalized"
	case "/eth/v1/beacon/headers/head", "/eth/v1/beacon/headers/finalized":
		return "headers_" + path.Base(p)
	case "/eth/v2/debug/beacon/states/finalized":
		if req.Header.Get("Accept") == "application/octet-stream" {
			return "state_v2_finalized_ssz"
		}
		return "state_v2_finalized_json"
	case "/checkpointz/v1/status":
		return "checkpointz_status"
	default:
		if strings.HasPrefix(p, "/eth/v1/beacon/blocks/") {
			return "not_found_block"
		}
		return "unknown_route"
	}
}
