package beacon

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Syncing is what /eth/v1/node/syncing tells. The fields mean different things in each client; see docs/metrics.md.
type Syncing struct {
	HeadSlot uint64
	// SyncDistance is in slots; nil when absent.
	SyncDistance *uint64
	IsSyncing    bool
	// IsOptimistic and ELOffline are nil when absent: older clients leave them out.
	IsOptimistic, ELOffline *bool
}

// Syncing asks how far the node says that it is.
func (c *Client) Syncing(ctx context.Context) (Syncing, error) {
	return get(ctx, c.door, "/eth/v1/node/syncing", smallLimit, decodeSyncing)
}

func decodeSyncing(b []byte) (Syncing, error) {
	w, err := unwrap[struct {
		Head       *number `json:"head_slot"`
		Distance   *number `json:"sync_distance"`
		Syncing    *flag   `json:"is_syncing"`
		Optimistic *flag   `json:"is_optimistic"`
		Offline    *flag   `json:"el_offline"`
	}](b)
	if err != nil {
		return Syncing{}, err
	}
	head, err := need("head_slot", w.Head)
	if err != nil {
		return Syncing{}, err
	}
	syncing, err := need("is_syncing", w.Syncing)
	return Syncing{
		HeadSlot: uint64(head), SyncDistance: w.Distance.ptr(), IsSyncing: bool(syncing),
		IsOptimistic: w.Optimistic.ptr(), ELOffline: w.Offline.ptr(),
	}, err
}

// PeerCount is what /eth/v1/node/peer_count tells. States other than connected are nil when absent.
type PeerCount struct {
	Connected                               uint64
	Connecting, Disconnected, Disconnecting *uint64
}

// PeerCount asks for the number of peers by state.
func (c *Client) PeerCount(ctx context.Context) (PeerCount, error) {
	return get(ctx, c.door, "/eth/v1/node/peer_count", smallLimit, decodePeerCount)
}

func decodePeerCount(b []byte) (PeerCount, error) {
	w, err := unwrap[struct {
		Connected     *number `json:"connected"`
		Connecting    *number `json:"connecting"`
		Disconnected  *number `json:"disconnected"`
		Disconnecting *number `json:"disconnecting"`
	}](b)
	if err != nil {
		return PeerCount{}, err
	}
	connected, err := need("connected", w.Connected)
	return PeerCount{
		Connected: uint64(connected), Connecting: w.Connecting.ptr(), Disconnected: w.Disconnected.ptr(), Disconnecting: w.Disconnecting.ptr(),
	}, err
}

// Health asks /eth/v1/node/health and gives its status code: 200 ready, 206 syncing, 503 not initialised or, in Lighthouse, without
// its execution client. Only an answer that is none of a health route's is an error; checkpointz has no such route (404).
func (c *Client) Health(ctx context.Context) (int, error) {
	const path = "/eth/v1/node/health"
	q := request{method: http.MethodGet, path: path, accept: mediaJSON}
	err := c.door.ask(ctx, q, func(*http.Response) error { return nil })
	var e *Error
	if errors.As(err, &e) && (e.Status == http.StatusPartialContent || e.Status == http.StatusBadRequest || e.Status == http.StatusServiceUnavailable) {
		return e.Status, nil
	}
	if err != nil {
		return 0, err
	}
	return http.StatusOK, nil
}

// ClientVersion is what /eth/v1/node/version tells.
type ClientVersion struct {
	// Client is Lighthouse, Teku, Prysm, Nimbus, Lodestar, Grandine, Checkpointz, or the name of another as it gives it.
	Client string
	// Version is the part after the name; empty when there is none.
	Version string
	// Full is the whole string, clipped and cleaned.
	Full string
}

// Version asks what the server is.
func (c *Client) Version(ctx context.Context) (ClientVersion, error) {
	return get(ctx, c.door, "/eth/v1/node/version", smallLimit, decodeVersion)
}

func decodeVersion(b []byte) (ClientVersion, error) {
	w, err := unwrap[struct {
		Version *string `json:"version"`
	}](b)
	if err != nil {
		return ClientVersion{}, err
	}
	s, err := need("version", w.Version)
	if err != nil {
		return ClientVersion{}, err
	}
	return ParseVersion(s), nil
}

var consensusClients = []string{"Lighthouse", "Teku", "Prysm", "Nimbus", "Lodestar", "Grandine", "Checkpointz"}

// ParseVersion reads "Name/version/platform" or "Name/version (platform)" as clients write it.
func ParseVersion(s string) ClientVersion {
	v := ClientVersion{Full: clean(s, 128)}
	name, rest, _ := strings.Cut(v.Full, "/")
	v.Client = clean(name, 40)
	for _, known := range consensusClients {
		if strings.EqualFold(known, v.Client) {
			v.Client = known
		}
	}
	rest, _, _ = strings.Cut(rest, "/")
	rest, _, _ = strings.Cut(rest, " ")
	v.Version = clean(rest, 64)
	return v
}
