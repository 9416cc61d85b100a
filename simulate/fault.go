package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind names what is wrong with a provider or a node. It is also the word that the control endpoint takes.
type Kind string

// What can be wrong with the answers of any server, provider or node. Each can be narrowed to routes by Fault.Path.
const (
	// KindSlow delays every answer by Fault.Delay.
	KindSlow Kind = "slow"
	// KindHang accepts connections and requests, and never answers.
	KindHang Kind = "hang"
	// KindStatus answers Fault.Code, 500 when it is 0, with an error of the server's own shape.
	KindStatus Kind = "status"
	// KindHTML answers 200 with a web page, as a parked domain or a proxy's error page does.
	KindHTML Kind = "html"
	// KindTruncated ends the body early, after half of it or 100 bytes, whichever is less.
	KindTruncated Kind = "truncated"
	// KindJSONError answers 200 with an error object.
	KindJSONError Kind = "json_error"
	// KindRateLimited answers 429 with Retry-After from Fault.RetryAfter.
	KindRateLimited Kind = "rate_limited"
	// KindHuge begins a plausible answer and does not end it before Fault.Bytes, 1 GiB when it is 0.
	KindHuge Kind = "huge"
	// KindGzipBomb answers a small gzip body, asked for or not, that inflates to Fault.Bytes, 1 GiB when it is 0.
	KindGzipBomb Kind = "gzip_bomb"
	// KindRedirect sends the client to the same route below Fault.To.
	KindRedirect Kind = "redirect"
	// KindTrickle sends bodies at Fault.Bytes a second in real time, 8 KiB when it is 0: their beginning comes at once.
	KindTrickle Kind = "trickle"
	// KindClockSkew has a clock that is Fault.Delay ahead, as Date headers tell it; negative is behind.
	KindClockSkew Kind = "clock_skew"
)

// What can be wrong with the chain that a provider or a node serves.
const (
	// KindWrongNetwork serves the preset named by Fault.Network: mainnet when it is empty, hoodi on mainnet itself.
	KindWrongNetwork Kind = "wrong_network"
	// KindOldIteration serves the iteration before, for a provider only the Part of it.
	KindOldIteration Kind = "old_iteration"
)

// What can be wrong with a provider only.
const (
	// KindDown closes the listener, so that connections are refused, and opens it again on the same port when cleared.
	KindDown Kind = "down"
	// KindStale serves a finalized checkpoint that is Fault.Epochs older than the network's.
	KindStale Kind = "stale"
	// KindFrozen goes on serving the checkpoint of the moment the fault was set, as checkpointz does when its upstream dies.
	KindFrozen Kind = "frozen"
	// KindOtherRoot serves another fork: its own root for every block.
	KindOtherRoot Kind = "other_root"
	// KindNoFinality knows no finalized checkpoint.
	KindNoFinality Kind = "no_finality"
	// KindLightMode is checkpointz without states.
	KindLightMode Kind = "light_mode"
	// KindAdvancedState serves a state that was advanced over empty slots past an old block.
	KindAdvancedState Kind = "advanced_state"
	// KindUnaligned serves a finalized block that is not at its epoch's first slot.
	KindUnaligned Kind = "unaligned"
)

// What can be wrong with a node only.
const (
	// KindStall freezes the head, while all else looks as the client would show it.
	KindStall Kind = "stall"
	// KindNoPeers leaves the node without peers, and so without blocks.
	KindNoPeers Kind = "no_peers"
	// KindOptimistic keeps the head optimistic and the execution client stuck.
	KindOptimistic Kind = "optimistic"
	// KindExecutionDown refuses connections to the execution client; the head freezes.
	KindExecutionDown Kind = "execution_down"
	// KindExecutionSyncing keeps the execution client behind and syncing, the head optimistic.
	KindExecutionSyncing Kind = "execution_syncing"
	// KindAPIClosed refuses connections to the Beacon API while the process goes on.
	KindAPIClosed Kind = "api_closed"
	// KindAPIHang accepts requests to the Beacon API and never answers.
	KindAPIHang Kind = "api_hang"
	// KindBackfillStall freezes the backfill.
	KindBackfillStall Kind = "backfill_stall"
	// KindTooOld cannot read a state of the present fork, whoever serves it.
	KindTooOld Kind = "too_old"
	// KindCorruptDatabase ends the consensus client at once, and at each start that finds its database.
	KindCorruptDatabase Kind = "corrupt_database"
	// KindDiskFull ends the consensus client at once, and at each start.
	KindDiskFull Kind = "disk_full"
	// KindEngineAuth lets the execution client refuse the consensus client's JWT; the head freezes.
	KindEngineAuth Kind = "engine_auth"
	// KindInvalidPayload lets the execution client hold the chain for invalid: its head stands still and the node's is optimistic.
	KindInvalidPayload Kind = "invalid_payload"
	// KindExecutionNoPeers leaves the execution client without peers and so without blocks, and the head optimistic.
	KindExecutionNoPeers Kind = "execution_no_peers"
	// KindExecutionHealing keeps the execution client healing the state of a snap sync: it fetches and imports nothing.
	KindExecutionHealing Kind = "execution_healing"
	// KindExecutionIndexing lets the execution client build its indexes while it follows: eth_syncing is not false.
	KindExecutionIndexing Kind = "execution_indexing"
	// KindExecutionWrongNetwork puts the execution client alone on the preset of Fault.Network, the iteration before when it is empty.
	KindExecutionWrongNetwork Kind = "execution_wrong_network"
)

var (
	serverKinds   = []Kind{KindSlow, KindHang, KindStatus, KindHTML, KindTruncated, KindJSONError, KindRateLimited, KindHuge, KindGzipBomb, KindRedirect, KindTrickle, KindClockSkew}
	providerKinds = slices.Concat(serverKinds, []Kind{KindWrongNetwork, KindOldIteration, KindDown, KindStale, KindFrozen,
		KindOtherRoot, KindNoFinality, KindLightMode, KindAdvancedState, KindUnaligned})
	nodeKinds = slices.Concat(serverKinds, []Kind{KindWrongNetwork, KindOldIteration, KindStall, KindNoPeers, KindOptimistic,
		KindExecutionDown, KindExecutionSyncing, KindAPIClosed, KindAPIHang, KindBackfillStall, KindTooOld, KindCorruptDatabase, KindDiskFull,
		KindEngineAuth, KindInvalidPayload, KindExecutionNoPeers, KindExecutionHealing, KindExecutionIndexing, KindExecutionWrongNetwork})
)

// ProviderKinds are the faults that a provider can have.
func ProviderKinds() []Kind { return slices.Clone(providerKinds) }

// NodeKinds are the faults that a node can have.
func NodeKinds() []Kind { return slices.Clone(nodeKinds) }

// Part says which of a provider's answers come from the iteration before.
type Part string

const (
	// PartAll is all of them: the provider still follows the old chain.
	PartAll Part = "all"
	// PartGenesis is the genesis alone, cached, while finality is of the new chain: checkpointz after a reset.
	PartGenesis Part = "genesis"
	// PartFinality is finality, blocks and states, cached, while genesis and spec are of the new chain.
	PartFinality Part = "finality"
)

// Cure is what ends a node's fault, beside clearing it.
type Cure string

const (
	// CureDefault is CureRestart for a stall, a hanging or closed API and a stalled backfill, CureRestartExecution for an execution client
	// that is dead or without peers, CureWipe for a wrong chain and a corrupt database, CureWipeExecution for an execution client on a
	// wrong chain, and CureNever for the others.
	CureDefault Cure = ""
	// CureNever leaves the fault in force until it is cleared.
	CureNever Cure = "never"
	// CureRestart is a restart of the consensus client.
	CureRestart Cure = "restart"
	// CureRestartExecution is a restart of the execution client.
	CureRestartExecution Cure = "restart_execution"
	// CureWipe is a start without the database, as in a resync.
	CureWipe Cure = "wipe"
	// CureWipeExecution is a start of the execution client without its database.
	CureWipeExecution Cure = "wipe_execution"
	// CureReset is a start of both clients without their databases, with the network files of the present chain.
	CureReset Cure = "reset"
)

// Fault is one thing that is wrong. Its zero fields take the defaults told at the kinds.
type Fault struct {
	Kind Kind `json:"kind" yaml:"kind"`
	// Path narrows a fault of the server to routes that begin with it.
	Path string `json:"path,omitempty" yaml:"path,omitempty"`
	// Delay of KindSlow, in real time, and of KindClockSkew.
	Delay time.Duration `json:"delay,omitempty" yaml:"delay,omitempty"`
	// Code of KindStatus.
	Code int `json:"code,omitempty" yaml:"code,omitempty"`
	// RetryAfter of KindRateLimited, sent in whole seconds; no header when 0.
	RetryAfter time.Duration `json:"retry_after,omitempty" yaml:"retry_after,omitempty"`
	// Bytes of KindHuge and KindGzipBomb; of KindTrickle in a second.
	Bytes int64 `json:"bytes,omitempty" yaml:"bytes,omitempty"`
	// To is the base URL of KindRedirect.
	To string `json:"to,omitempty" yaml:"to,omitempty"`
	// Network of KindWrongNetwork and KindExecutionWrongNetwork.
	Network string `json:"network,omitempty" yaml:"network,omitempty"`
	// Part of KindOldIteration; PartAll when empty.
	Part Part `json:"part,omitempty" yaml:"part,omitempty"`
	// Epochs of KindStale; 10 when 0.
	Epochs uint64 `json:"epochs,omitempty" yaml:"epochs,omitempty"`
	// Cure of a node's fault.
	Cure Cure `json:"cure,omitempty" yaml:"cure,omitempty"`
}

// Down refuses connections to a provider.
func Down() Fault { return Fault{Kind: KindDown} }

// Hang accepts requests and never answers them.
func Hang() Fault { return Fault{Kind: KindHang} }

// Slow delays answers by d.
func Slow(d time.Duration) Fault { return Fault{Kind: KindSlow, Delay: d} }

// Status answers with an HTTP status and the server's own kind of error.
func Status(code int) Fault { return Fault{Kind: KindStatus, Code: code} }

// HTML answers 200 with a web page.
func HTML() Fault { return Fault{Kind: KindHTML} }

// Truncated ends bodies early.
func Truncated() Fault { return Fault{Kind: KindTruncated} }

// JSONError answers 200 with an error object.
func JSONError() Fault { return Fault{Kind: KindJSONError} }

// RateLimited answers 429.
func RateLimited(retryAfter time.Duration) Fault {
	return Fault{Kind: KindRateLimited, RetryAfter: retryAfter}
}

// Huge sends a body of n bytes.
func Huge(n int64) Fault { return Fault{Kind: KindHuge, Bytes: n} }

// GzipBomb sends a body that inflates to n bytes.
func GzipBomb(n int64) Fault { return Fault{Kind: KindGzipBomb, Bytes: n} }

// Redirect sends clients to another base URL.
func Redirect(to string) Fault { return Fault{Kind: KindRedirect, To: to} }

// WrongNetwork serves another network, a preset by its name.
func WrongNetwork(preset string) Fault { return Fault{Kind: KindWrongNetwork, Network: preset} }

// OldIteration serves the iteration before. Of a network that does not reset it is the same chain begun 28 days earlier.
func OldIteration(part Part) Fault { return Fault{Kind: KindOldIteration, Part: part} }

// Stale serves a checkpoint older than the network's by some epochs.
func Stale(epochs uint64) Fault { return Fault{Kind: KindStale, Epochs: epochs} }

// Frozen serves the present checkpoint for ever.
func Frozen() Fault { return Fault{Kind: KindFrozen} }

// OtherRoot serves another fork.
func OtherRoot() Fault { return Fault{Kind: KindOtherRoot} }

// NoFinality knows no finalized checkpoint.
func NoFinality() Fault { return Fault{Kind: KindNoFinality} }

// LightMode serves no states.
func LightMode() Fault { return Fault{Kind: KindLightMode} }

// AdvancedState serves a state dialled forward past its block.
func AdvancedState() Fault { return Fault{Kind: KindAdvancedState} }

// Unaligned serves a finalized block before its epoch's first slot.
func Unaligned() Fault { return Fault{Kind: KindUnaligned} }

// Stall freezes a node's head until it is restarted.
func Stall() Fault { return Fault{Kind: KindStall} }

// NoPeers takes a node's peers away.
func NoPeers() Fault { return Fault{Kind: KindNoPeers} }

// Optimistic keeps a node's head optimistic.
func Optimistic() Fault { return Fault{Kind: KindOptimistic} }

// ExecutionDown kills the execution client until that is restarted.
func ExecutionDown() Fault { return Fault{Kind: KindExecutionDown} }

// ExecutionSyncing keeps the execution client syncing.
func ExecutionSyncing() Fault { return Fault{Kind: KindExecutionSyncing} }

// APIClosed closes the Beacon API.
func APIClosed() Fault { return Fault{Kind: KindAPIClosed} }

// APIHang lets the Beacon API hang.
func APIHang() Fault { return Fault{Kind: KindAPIHang} }

// BackfillStall freezes the backfill.
func BackfillStall() Fault { return Fault{Kind: KindBackfillStall} }

// Trickle sends bodies at some bytes a second.
func Trickle(perSecond int64) Fault { return Fault{Kind: KindTrickle, Bytes: perSecond} }

// ClockSkew sets a server's clock ahead.
func ClockSkew(ahead time.Duration) Fault { return Fault{Kind: KindClockSkew, Delay: ahead} }

// TooOld is a client from before the present fork.
func TooOld() Fault { return Fault{Kind: KindTooOld} }

// CorruptDatabase ends a consensus client until it starts without its database.
func CorruptDatabase() Fault { return Fault{Kind: KindCorruptDatabase} }

// DiskFull ends a consensus client until there is room again.
func DiskFull() Fault { return Fault{Kind: KindDiskFull} }

// EngineAuth gives the two clients of a node different JWT secrets.
func EngineAuth() Fault { return Fault{Kind: KindEngineAuth} }

// InvalidPayload has the execution client refuse the chain.
func InvalidPayload() Fault { return Fault{Kind: KindInvalidPayload} }

// ExecutionNoPeers takes the execution client's peers away until it is restarted.
func ExecutionNoPeers() Fault { return Fault{Kind: KindExecutionNoPeers} }

// ExecutionHealing keeps the execution client healing.
func ExecutionHealing() Fault { return Fault{Kind: KindExecutionHealing} }

// ExecutionIndexing has the execution client build indexes.
func ExecutionIndexing() Fault { return Fault{Kind: KindExecutionIndexing} }

// ExecutionWrongNetwork puts the execution client on another network, a preset by its name, or on the iteration before.
func ExecutionWrongNetwork(preset string) Fault {
	return Fault{Kind: KindExecutionWrongNetwork, Network: preset}
}

// CuredBy is the fault with another cure.
func (f Fault) CuredBy(c Cure) Fault {
	f.Cure = c
	return f
}

// On is the fault narrowed to routes that begin with a path.
func (f Fault) On(path string) Fault {
	f.Path = path
	return f
}

// cure is the cure in force.
func (f Fault) cure() Cure {
	if f.Cure != CureDefault {
		return f.Cure
	}
	switch f.Kind {
	case KindStall, KindAPIClosed, KindAPIHang, KindHang, KindBackfillStall:
		return CureRestart
	case KindExecutionDown, KindExecutionNoPeers:
		return CureRestartExecution
	case KindWrongNetwork, KindOldIteration, KindCorruptDatabase:
		return CureWipe
	case KindExecutionWrongNetwork:
		return CureWipeExecution
	}
	return CureNever
}

// check refuses a fault that its bearer cannot have or that makes no sense.
func (f Fault) check(known []Kind) error {
	if !slices.Contains(known, f.Kind) {
		words := make([]string, len(known))
		for i, k := range known {
			words[i] = string(k)
		}
		return fmt.Errorf("unknown fault %q; one of %s", f.Kind, strings.Join(words, " "))
	}
	switch {
	case f.Delay < 0 && f.Kind != KindClockSkew || f.RetryAfter < 0 || f.Bytes < 0:
		return fmt.Errorf("fault %s: a negative length makes no sense", f.Kind)
	case f.Epochs > 1<<32:
		return fmt.Errorf("fault %s: %d epochs are more than any chain has", f.Kind, f.Epochs)
	case f.Kind == KindStatus && f.Code != 0 && (f.Code < 400 || f.Code > 599):
		return fmt.Errorf("fault status: code %d is no error status", f.Code)
	case f.Kind == KindRedirect && f.To == "":
		return fmt.Errorf("fault redirect: needs the base URL to send clients to")
	case f.Path != "" && !slices.Contains(serverKinds, f.Kind):
		return fmt.Errorf("fault %s cannot be narrowed to a path", f.Kind)
	case !slices.Contains([]Part{"", PartAll, PartGenesis, PartFinality}, f.Part):
		return fmt.Errorf("fault %s: unknown part %q; one of all genesis finality", f.Kind, f.Part)
	case !slices.Contains([]Cure{CureDefault, CureNever, CureRestart, CureRestartExecution, CureWipe, CureWipeExecution, CureReset}, f.Cure):
		return fmt.Errorf("fault %s: unknown cure %q; one of never restart restart_execution wipe wipe_execution reset", f.Kind, f.Cure)
	}
	return nil
}

// faults are what is wrong with one bearer, at most one of a kind and path.
type faults []Fault

func (fs faults) get(k Kind) (Fault, bool) {
	for _, f := range fs {
		if f.Kind == k {
			return f, true
		}
	}
	return Fault{}, false
}

func (fs faults) has(k Kind) bool { _, ok := fs.get(k); return ok }

// with is a copy in which f replaces one of the same kind and path.
func (fs faults) with(f Fault) faults {
	out := slices.DeleteFunc(slices.Clone(fs), func(g Fault) bool { return g.Kind == f.Kind && g.Path == f.Path })
	return append(out, f)
}

// without is a copy that lacks some kinds, or all when none is named.
func (fs faults) without(kinds ...Kind) faults {
	if len(kinds) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(fs), func(f Fault) bool { return slices.Contains(kinds, f.Kind) })
}

// curedBy is a copy that lacks what c cures.
func (fs faults) curedBy(c Cure) faults {
	return slices.DeleteFunc(slices.Clone(fs), func(f Fault) bool { return f.cure() == c })
}
