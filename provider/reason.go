package provider

import (
	"errors"
	"net/http"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
)

// Reason says in one word why a provider is not usable. The same words stand in metric labels, log lines, the API and the docs.
type Reason = beacon.Reason

// The reasons, in the order in which they are listed everywhere.
const (
	DNS         = beacon.DNS
	Connect     = beacon.Connect
	TLS         = beacon.TLS
	Timeout     = beacon.Timeout
	HTTPStatus  = beacon.HTTPStatus
	RateLimited = beacon.RateLimited
	Malformed   = beacon.Malformed
	TooLarge    = beacon.TooLarge
	// WrongNetwork means that the genesis time, the genesis validators root, the deposit chain id or the slot clock is not this network's.
	WrongNetwork Reason = "wrong_network"
	// OldIteration means that all or some of its answers are of an earlier iteration of this network.
	OldIteration Reason = "old_iteration"
	// NoState means that it does not serve a finalized state of this chain as SSZ.
	NoState Reason = "no_state"
	// Stale means that its finalized checkpoint lags the clock by more than is allowed.
	Stale Reason = "stale"
	// OutsideWeakSubjectivity means that its checkpoint is older than the weak subjectivity period.
	OutsideWeakSubjectivity Reason = "outside_weak_subjectivity"
	// Unaligned means that the block of the state that it serves is not in an epoch's first slot.
	Unaligned Reason = "unaligned"
	// Disagrees means that its root differs from the one that a quorum of the others serves for the same epoch.
	Disagrees Reason = "disagrees"
	// InvalidState means that the state that it serves contradicts itself or the block that it calls finalized.
	InvalidState Reason = "invalid_state"
)

// Reasons are all reasons, in their order.
func Reasons() []Reason {
	return []Reason{
		DNS, Connect, TLS, Timeout, HTTPStatus, RateLimited, Malformed, TooLarge,
		WrongNetwork, OldIteration, NoState, Stale, OutsideWeakSubjectivity, Unaligned, Disagrees, InvalidState,
	}
}

// Finding is a reason that holds and a sentence, with the numbers, for the operator.
type Finding struct {
	Reason Reason
	Text   string
}

// withheld tells whether an error means that the server is there but does not give what was asked for. Gateways' own errors and
// redirects do not count: behind them may be anything.
func withheld(err error) bool {
	if beacon.ReasonOf(err) != HTTPStatus {
		return false
	}
	switch status := beacon.StatusOf(err); status {
	case http.StatusBadGateway, http.StatusGatewayTimeout, 0:
		return false
	default:
		return status >= 400
	}
}

// sentence is an error's message without the layers that name the provider.
func sentence(err error) string {
	var e *beacon.Error
	if errors.As(err, &e) {
		return e.Route + ": " + e.Message
	}
	return err.Error()
}
