package simulate

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// api serves the Beacon API of one client from a view that is taken anew for each request.
type api struct {
	dialect
	view func() view
}

// newAPI is the handler with the routes that the client has.
func newAPI(c Client, v func() view) http.Handler {
	a := api{dialect{c}, v}
	mux := http.NewServeMux()
	route := func(path string, h func(http.ResponseWriter, *http.Request, view), except ...Client) {
		if slices.Contains(except, c) {
			return
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && (r.Method != http.MethodHead || c == Checkpointz) {
				a.wrongMethod(w, r)
				return
			}
			h(w, r, a.view())
		})
	}
	json := func(path string, h func(http.ResponseWriter, *http.Request, view), except ...Client) {
		route(path, func(w http.ResponseWriter, r *http.Request, v view) {
			if media, ok := a.accepts(r, mediaJSON); !ok {
				a.notAcceptable(w, media)
				return
			}
			h(w, r, v)
		}, except...)
	}
	json("/eth/v1/beacon/genesis", a.genesis)
	json("/eth/v1/beacon/blocks/{id}/root", a.blockRoot)
	json("/eth/v1/beacon/states/{id}/finality_checkpoints", a.finality)
	json("/eth/v1/config/spec", a.spec)
	json("/eth/v1/config/fork_schedule", a.forkSchedule)
	json("/eth/v1/config/deposit_contract", a.depositContract)
	json("/eth/v1/node/syncing", a.syncing)
	json("/eth/v1/node/version", a.version)
	json("/eth/v1/node/peers", a.peers)
	json("/eth/v1/node/peer_count", a.peerCount)
	route("/eth/v2/beacon/blocks/{id}", a.block)
	route("/eth/v2/debug/beacon/states/{id}", a.state)
	json("/eth/v1/beacon/blob_sidecars/{id}", a.blobSidecars)
	json("/eth/v1/beacon/headers/{id}", a.header, Checkpointz)
	json("/eth/v1/beacon/states/{id}/root", a.stateRoot, Checkpointz)
	json("/eth/v1/beacon/states/{id}/fork", a.stateFork, Checkpointz)
	json("/eth/v2/debug/beacon/heads", a.heads, Checkpointz)
	json("/eth/v1/node/identity", a.identity, Checkpointz)
	route("/eth/v1/node/health", a.health, Checkpointz)
	switch c {
	case Checkpointz:
		json("/checkpointz/v1/status", a.status)
		json("/checkpointz/v1/ready", a.ready)
		json("/checkpointz/v1/beacon/slots", a.slots)
		json("/checkpointz/v1/beacon/slots/{slot}", a.slot)
	case Lighthouse:
		json("/lighthouse/syncing", a.lighthouseSyncing)
		json("/lighthouse/database/info", a.lighthouseDatabase)
		json("/lighthouse/ui/health", a.lighthouseHealth)
		json("/lighthouse/peers/connected", a.lighthousePeers)
	}
	mux.HandleFunc("/", a.unknownRoute)
	return mux
}

// cache sets checkpointz' header, misspelt as it spells it.
func (a api) cache(w http.ResponseWriter, seconds string) {
	if a.client == Checkpointz {
		w.Header().Set("Cache-Control", "public, s-max-age="+seconds)
	}
}

func (a api) data(w http.ResponseWriter, data any) {
	a.json(w, http.StatusOK, map[string]any{"data": data})
}

func (a api) genesis(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "30")
	c := v.genesis.chain
	a.data(w, map[string]any{
		"genesis_time": dec(uint64(c.GenesisTime.Unix())), "genesis_validators_root": v.genesis.gvr.String(),
		"genesis_fork_version": forksOf(c)[0].version.String(),
	})
}

func (a api) spec(w http.ResponseWriter, _ *http.Request, v view) {
	spec, err := configSpec(a.client, v.spec.chain)
	if err != nil {
		a.fail(w, http.StatusInternalServerError, "%v", err)
		return
	}
	a.cache(w, "30")
	a.data(w, spec)
}

func (a api) forkSchedule(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "30")
	a.data(w, forkSchedule(a.client, v.spec.chain))
}

func (a api) depositContract(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "30")
	a.data(w, map[string]any{"chain_id": dec(v.spec.chain.DepositChainID), "address": depositContract})
}

// block answers in JSON or SSZ. Lodestar v1.5.1 has only JSON.
func (a api) block(w http.ResponseWriter, r *http.Request, v view) {
	offered := []string{mediaJSON, mediaSSZ}
	if a.client == Lodestar {
		offered = offered[:1]
	}
	media, ok := a.accepts(r, offered...)
	if !ok {
		a.notAcceptable(w, media)
		return
	}
	slot, ok := a.findBlock(w, r.PathValue("id"), v)
	if !ok {
		return
	}
	c := v.chain.chain
	fork := forkNames[forkAt(forksOf(c), c.EpochOf(slot))]
	b := block{v.chain, slot, v.validators}
	if id := r.PathValue("id"); id == "finalized" {
		a.cache(w, "30")
	} else {
		a.cache(w, "6000")
	}
	if a.client != Checkpointz && a.client != Lodestar {
		w.Header().Set("Eth-Consensus-Version", fork)
	}
	if media == mediaSSZ {
		body := b.ssz()
		a.ssz(w, r, int64(len(body)), func(w io.Writer) error { _, err := w.Write(body); return err })
		return
	}
	a.json(w, http.StatusOK, merged(a.envelope(b.json(), v.optimistic, slot <= v.finalSlot()), map[string]any{"version": fork}))
}

// state answers in SSZ alone.
func (a api) state(w http.ResponseWriter, r *http.Request, v view) {
	media, ok := a.accepts(r, mediaSSZ)
	if !ok {
		a.notAcceptable(w, media)
		return
	}
	id := r.PathValue("id")
	if a.client == Checkpointz && id == "finalized" && !v.known {
		a.missing(w, "no finality known")
		return
	}
	slot, ok, valid := v.stateSlot(id)
	switch {
	case !valid:
		a.invalid(w, "state", id)
		return
	case !ok:
		a.missing(w, "state not found")
		return
	}
	if id == "finalized" {
		a.cache(w, "180")
	}
	c := v.chain.chain
	if a.client != Lodestar {
		w.Header().Set("Eth-Consensus-Version", forkNames[forkAt(forksOf(c), c.EpochOf(slot))])
	}
	img := v.state(slot)
	a.ssz(w, r, img.size, func(w io.Writer) error { _, err := img.WriteTo(w); return err })
}

// ssz streams a body. Checkpointz compresses it when asked, and does not tell a state's length.
func (a api) ssz(w http.ResponseWriter, r *http.Request, size int64, write func(io.Writer) error) {
	a.head(w)
	h := w.Header()
	h.Set("Content-Type", mediaSSZ)
	const long = 2048 // what net/http buffers, and so gives a length, by itself
	switch {
	case a.client == Checkpointz && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"):
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
		z := gzip.NewWriter(w)
		if write(z) == nil {
			_ = z.Close()
		}
		return
	case a.client != Checkpointz || size < long:
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	_ = write(w) // the client may well hang up after the first bytes
}

// findBlock resolves a block id or answers the error.
func (a api) findBlock(w http.ResponseWriter, id string, v view) (uint64, bool) {
	slot, ok, valid := v.blockSlot(id)
	switch {
	case !valid:
		a.invalid(w, "block", id)
	case !ok && a.client == Checkpointz && id == "finalized":
		a.missing(w, "no finality")
	case !ok && a.client == Checkpointz:
		a.missing(w, "block not found")
	case !ok && a.client == Prysm:
		a.missing(w, "Block not found: no blocks found at slot %s", id)
	case !ok && a.client == Lodestar:
		a.missing(w, "No block found for id '%s'", id)
	case !ok:
		a.missing(w, "beacon block %s", id)
	default:
		return slot, true
	}
	return 0, false
}

func (a api) blockRoot(w http.ResponseWriter, r *http.Request, v view) {
	slot, ok := a.findBlock(w, r.PathValue("id"), v)
	if !ok {
		return
	}
	root := v.chain.blockRoot(slot).String()
	if a.client == Checkpointz {
		root = strings.TrimPrefix(root, "0x")
	}
	a.json(w, http.StatusOK, a.envelope(map[string]any{"root": root}, v.optimistic && slot > v.finalSlot(), slot <= v.finalSlot()))
}

// header answers the genesis and any block of the chain.
func (a api) header(w http.ResponseWriter, r *http.Request, v view) {
	slot, ok := a.findBlock(w, r.PathValue("id"), v)
	if !ok {
		return
	}
	b := block{v.chain, slot, v.validators}
	signature := b.signature()
	if slot == 0 {
		clear(signature)
	}
	a.json(w, http.StatusOK, a.envelope(map[string]any{
		"root": v.chain.blockRoot(slot).String(), "canonical": true,
		"header": map[string]any{"message": b.header(), "signature": hexed(signature)},
	}, v.optimistic && slot > v.finalSlot(), slot <= v.finalSlot()))
}

// finality answers for head what is served, and for finalized what the finalized state says of itself. Checkpointz answers both alike.
func (a api) finality(w http.ResponseWriter, r *http.Request, v view) {
	id := r.PathValue("id")
	slot, ok, valid := v.stateSlot(id)
	if a.client == Checkpointz {
		ok, valid = v.known, id == "head" || id == "finalized"
	}
	switch {
	case !valid:
		a.invalid(w, "state", id)
		return
	case !ok && a.client == Checkpointz:
		a.missing(w, "no finalized state known")
		return
	case !ok:
		a.missing(w, "state not found")
		return
	}
	f := v.final
	if id != "head" && a.client != Checkpointz {
		f = v.chain.finality(v.chain.chain.EpochOf(slot))
	}
	a.cache(w, "5")
	a.json(w, http.StatusOK, a.envelope(finalityJSON(f), v.optimistic && id == "head", false))
}

func finalityJSON(f finality) map[string]any {
	point := func(c checkpoint) any { return map[string]any{"epoch": dec(c.epoch), "root": c.root.String()} }
	return map[string]any{"previous_justified": point(f.previous), "current_justified": point(f.current), "finalized": point(f.finalized)}
}

func (a api) stateRoot(w http.ResponseWriter, r *http.Request, v view) {
	a.withState(w, r, v, func(slot uint64) any { return map[string]any{"root": v.chain.stateRoot(slot).String()} })
}

func (a api) stateFork(w http.ResponseWriter, r *http.Request, v view) {
	a.withState(w, r, v, func(slot uint64) any {
		forks := forksOf(v.chain.chain)
		at := forkAt(forks, v.chain.chain.EpochOf(slot))
		return map[string]any{
			"previous_version": forks[max(at-1, 0)].version.String(), "current_version": forks[at].version.String(),
			"epoch": dec(forks[at].epoch),
		}
	})
}

func (a api) withState(w http.ResponseWriter, r *http.Request, v view, data func(slot uint64) any) {
	id := r.PathValue("id")
	slot, ok, valid := v.stateSlot(id)
	switch {
	case !valid:
		a.invalid(w, "state", id)
	case !ok:
		a.missing(w, "state not found")
	default:
		a.json(w, http.StatusOK, a.envelope(data(slot), v.optimistic && slot > v.finalSlot(), false))
	}
}

func (a api) heads(w http.ResponseWriter, _ *http.Request, v view) {
	a.data(w, []any{map[string]any{"root": v.chain.blockRoot(v.head).String(), "slot": dec(v.head), "execution_optimistic": v.optimistic}})
}

func (a api) blobSidecars(w http.ResponseWriter, r *http.Request, v view) {
	if _, ok := a.findBlock(w, r.PathValue("id"), v); ok {
		a.data(w, []any{})
	}
}
