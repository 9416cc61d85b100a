package simulate

import (
	"net/http"
	"time"
)

// status is /checkpointz/v1/status.
func (a api) status(w http.ResponseWriter, _ *http.Request, v view) {
	a.cache(w, "5")
	mode := "full"
	if v.light {
		mode = "light"
	}
	name := v.spec.chain.Network
	if name == "ephemery" {
		name = "testnet"
	}
	upstream := map[string]any{"name": "upstream-1", "healthy": true, "network_name": name}
	data := map[string]any{
		"upstreams": map[string]any{"upstream-1": upstream}, "operating_mode": mode,
		"version": map[string]any{"full": v.version, "short": "dev-dev", "release": "dev", "git_commit": "dev"},
	}
	data["finality"] = map[string]any{"finalized": nil, "current_justified": nil, "previous_justified": nil}
	if v.known {
		data["finality"] = finalityJSON(v.final)
		upstream["finality"] = finalityJSON(v.final)
	}
	a.data(w, data)
}

func (a api) ready(w http.ResponseWriter, _ *http.Request, v view) {
	if !v.known {
		a.missing(w, "no finalized checkpoint")
		return
	}
	a.data(w, "true")
}

func (a api) slots(w http.ResponseWriter, _ *http.Request, v view) {
	list := []any{}
	for _, slot := range v.boundaries() {
		c := v.chain.chain
		list = append(list, map[string]any{
			"slot": dec(slot), "block_root": v.chain.blockRoot(slot).String(), "state_root": v.chain.stateRoot(slot).String(),
			"epoch": dec(c.EpochOf(slot)), "time": slotTime(v, slot),
		})
	}
	a.cache(w, "30")
	a.data(w, map[string]any{"slots": list})
}

func (a api) slot(w http.ResponseWriter, r *http.Request, v view) {
	slot, err := parseSlot(r.PathValue("slot"))
	if err != nil {
		a.fail(w, http.StatusBadRequest, "invalid slot: %s", r.PathValue("slot"))
		return
	}
	if !v.holds(slot) {
		a.missing(w, "block not found")
		return
	}
	a.cache(w, "6000")
	a.data(w, map[string]any{
		"block": block{v.chain, slot, v.validators}.json(), "epoch": dec(v.chain.chain.EpochOf(slot)), "time": slotTime(v, slot),
	})
}

func slotTime(v view, slot uint64) any {
	c := v.chain.chain
	at := func(s uint64) string { return c.SlotTime(s).UTC().Format(time.RFC3339) }
	return map[string]any{"start_time": at(slot), "end_time": at(slot + 1)}
}
