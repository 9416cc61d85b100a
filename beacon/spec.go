package beacon

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// Spec is what /eth/v1/config/spec tells: constants by name, each as raw JSON, because newer ones are arrays and objects.
type Spec map[string]json.RawMessage

// Spec asks for the chain's constants.
func (c *Client) Spec(ctx context.Context) (Spec, error) {
	return get(ctx, c.door, "/eth/v1/config/spec", specLimit, unwrap[Spec])
}

// String is a constant that is a string or a number; false when absent or something else.
func (s Spec) String(key string) (string, bool) {
	raw := strings.TrimSpace(string(s[key]))
	if raw == "" || strings.ContainsAny(raw[:1], "[{ntf") {
		return "", false
	}
	if raw[0] != '"' {
		return raw, true
	}
	var v string
	if json.Unmarshal([]byte(raw), &v) != nil {
		return "", false
	}
	return clean(v, 200), true
}

// Uint is a constant that is an unsigned integer; false when absent or something else.
func (s Spec) Uint(key string) (uint64, bool) {
	v, ok := s.String(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 64)
	return n, err == nil
}

// ConfigName is CONFIG_NAME.
func (s Spec) ConfigName() (string, bool) { return s.String("CONFIG_NAME") }

// DepositChainID is DEPOSIT_CHAIN_ID, the execution chain's id.
func (s Spec) DepositChainID() (uint64, bool) { return s.Uint("DEPOSIT_CHAIN_ID") }

// SlotsPerEpoch is SLOTS_PER_EPOCH, in slots.
func (s Spec) SlotsPerEpoch() (uint64, bool) { return s.positive("SLOTS_PER_EPOCH", 1) }

// SecondsPerSlot is SECONDS_PER_SLOT, or SLOT_DURATION_MS where a client has only the newer constant, in whole seconds.
func (s Spec) SecondsPerSlot() (uint64, bool) {
	if n, ok := s.positive("SECONDS_PER_SLOT", 1); ok {
		return n, true
	}
	return s.positive("SLOT_DURATION_MS", 1000)
}

func (s Spec) positive(key string, unit uint64) (uint64, bool) {
	n, ok := s.Uint(key)
	if !ok || n == 0 || n%unit != 0 {
		return 0, false
	}
	return n / unit, true
}
