package setup

import (
	"errors"
	"slices"
)

var errReplaced = errors.New("parts of it are put in only later, so that what is there cannot be told")

// Setting is an option that makes a client's sync faster or steadier than its defaults do.
type Setting struct {
	Client string
	// Flag and Value are written as Flag=Value, or as Flag alone if Value is "".
	Flag, Value string
	// Since is the first version that knows it, Until the first for which it is not written any more; zero for no bound. With a bound it is not
	// written for a client whose version is not known.
	Since, Until Version
	// Networks are those on which it is of use; nil for all.
	Networks []string
	// Default is the client's own value, and Why what the setting is good for, and what it costs.
	Default, Why string
	// Source is where that was read.
	Source string
}

// String is the option as it is written.
func (s Setting) String() string {
	if s.Value == "" {
		return s.Flag
	}
	return s.Flag + "=" + s.Value
}

// fits tells whether it is for that version on that network.
func (s Setting) fits(v Version, network string) bool {
	bounded := s.Since.Known() || s.Until.Known()
	switch {
	case bounded && !v.Known():
		return false
	case s.Since.Known() && v.Before(s.Since), s.Until.Known() && !v.Before(s.Until):
		return false
	}
	return s.Networks == nil || slices.Contains(s.Networks, network)
}

var ephemery = []string{"ephemery"}

// settings are all of them. Clients that are not in the list need none: their defaults reach as far.
var settings = []Setting{
	{Client: "lighthouse", Flag: "--checkpoint-sync-url-timeout", Value: "300", Default: "180",
		Why:    "waits five minutes, not three, for the state of a provider that is slow; without it the client exits and begins anew",
		Source: "sigp/lighthouse beacon_node/src/cli.rs"},
	{Client: "lighthouse", Flag: "--execution-timeout-multiplier", Value: "5", Default: "1",
		Why:    "is patient with an execution client that syncs on a slow disk, in place of taking it for offline",
		Source: "sigp/lighthouse beacon_node/src/cli.rs"},
	{Client: "lighthouse", Flag: "--disable-backfill-rate-limiting", Networks: ephemery, Default: "less than 20 slots a second",
		Why:    "fetches the history before the checkpoint as fast as peers give it. An iteration has 201600 slots at most, so it is soon over; until then attestations may suffer",
		Source: "sigp/lighthouse beacon_node/src/cli.rs"},
	{Client: "prysm", Flag: "--p2p-max-peers", Value: "100", Default: "70",
		Why:    "more peers to sync from; costs bandwidth",
		Source: "OffchainLabs/prysm cmd/flags.go, v7.1.2"},
	{Client: "prysm", Flag: "--engine-endpoint-timeout-seconds", Value: "40", Default: "8",
		Why:    "is patient with an execution client that syncs on a slow disk",
		Source: "OffchainLabs/prysm cmd/beacon-chain/flags/base.go and config/params/mainnet_config.go, v7.1.2"},
	{Client: "lodestar", Flag: "--execution.timeout", Value: "60000", Default: "12000",
		Why:    "is patient, for a minute, with an execution client that syncs on a slow disk",
		Source: "ChainSafe/lodestar packages/cli/src/options/beaconNodeOptions/execution.ts"},
	{Client: "geth", Flag: "--maxpeers", Value: "100", Default: "50",
		Why:    "more peers to sync from; costs bandwidth",
		Source: "ethereum/go-ethereum node/defaults.go, v1.16.9"},
	{Client: "geth", Flag: "--cache", Value: "4096", Until: Version{1, 17}, Networks: []string{"ephemery", "hoodi", "sepolia"}, Default: "1024, and 4096 on mainnet",
		Why:    "4 GiB of cache, as on mainnet: fewer reads from the disk. Later versions have it on every network",
		Source: "ethereum/go-ethereum cmd/utils/flags.go and cmd/geth/main.go, v1.16.9"},
	{Client: "nethermind", Flag: "--Network.MaxActivePeers", Value: "100", Default: "50",
		Why:    "more peers to sync from; costs bandwidth",
		Source: "docs.nethermind.io, performance tuning, 1.36"},
	{Client: "besu", Flag: "--max-peers", Value: "100", Default: "25",
		Why:    "more peers to sync from; costs bandwidth",
		Source: "besu.hyperledger.org, manage peers"},
	{Client: "erigon", Flag: "--maxpeers", Value: "100", Default: "32",
		Why:    "more peers to sync from; costs bandwidth",
		Source: "erigontech/erigon cmd/utils/flags.go"},
}

// Settings are all settings there are, for the documentation.
func Settings() []Setting { return slices.Clone(settings) }

// Omission is an option of the scripts that came before, or what takes its place in another client, that is not written, and why.
type Omission struct {
	Client, Flag, Why string
}

var omissions = []Omission{
	{"lighthouse", "--allow-insecure-genesis-sync", "excludes a checkpoint URL: the client does not start with both"},
	{"lighthouse", "--target-peers=100", "is the default since v5.0.0, and half the default since v8.0.0"},
	{"lighthouse", "--genesis-backfill", "an iteration of Ephemery is shorter than what is fetched anyway; elsewhere it fetches years of history"},
	{"teku", "--p2p-peer-upper-bound=100", "is the default"},
	{"prysm", "--enable-backfill", "fetches history, which a sync does not wait for"},
	{"nimbus", "--max-peers=100", "is less than the default of 160"},
	{"lodestar", "--targetPeers=100", "is the default, or less than it"},
	{"grandine", "--target-peers=100", "is less than the default of 200"},
	{"geth", "--txlookuplimit=0", "since v1.17.4 geth does not start with it; before, it builds an index that no sync needs"},
	{"geth", "--syncmode=snap", "is the default"},
	{"nethermind", "--Sync.SnapSync=true", "is part of the network's own configuration where it is of use"},
	{"besu", "--sync-mode=SNAP", "is the default of the networks that have it"},
	{"besu", "--cache=4096", "is geth's: the client does not start with it"},
	{"nethermind", "--cache=4096", "is geth's: the client does not start with it"},
	{"erigon", "--syncmode=snap", "is geth's; what erigon keeps is a matter of --prune.mode"},
	{"reth", "--cache=4096", "is geth's: the client does not start with it"},
	{"reth", "--max-outbound-peers=100", "is the default"},
}

// Omissions are those of a client; of all if it is "".
func Omissions(client string) []Omission {
	var out []Omission
	for _, o := range omissions {
		if client == "" || o.Client == client {
			out = append(out, o)
		}
	}
	return out
}

// Harm is an option that should not be there.
type Harm struct {
	Client, Flag string
	// Since is the first version that it harms; zero for all.
	Since Version
	// Bars tells that the client does not start with it, and Beside that this is so beside a checkpoint URL only.
	Bars, Beside bool
	Why          string
}

var harms = []Harm{
	{Client: "lighthouse", Flag: "--allow-insecure-genesis-sync", Bars: true, Beside: true,
		Why: "it excludes a checkpoint URL: Lighthouse does not start with both"},
	{Client: "lighthouse", Flag: "--purge-db-force", Why: "it deletes the database at every start"},
	{Client: "teku", Flag: "--force-clear-db", Why: "it deletes the database at every start"},
	{Client: "prysm", Flag: "--force-clear-db", Why: "it deletes the database at every start"},
	{Client: "lodestar", Flag: "--forceCheckpointSync", Why: "it throws the database away at every start"},
	{Client: "grandine", Flag: "--force-checkpoint-sync", Why: "it throws the database away at every start"},
	{Client: "geth", Flag: "--txlookuplimit", Since: Version{1, 17, 4}, Bars: true, Why: "geth does not know it since v1.17.4, and does not start"},
	{Client: "erigon", Flag: "--txlookuplimit", Bars: true, Why: "it is geth's: the client does not start with it"},
	{Client: "nethermind", Flag: "--txlookuplimit", Bars: true, Why: "it is geth's: the client does not start with it"},
	{Client: "besu", Flag: "--txlookuplimit", Bars: true, Why: "it is geth's: the client does not start with it"},
	{Client: "reth", Flag: "--txlookuplimit", Bars: true, Why: "it is geth's: the client does not start with it"},
}

// Harms are all options that should not be there, for the documentation.
func Harms() []Harm { return slices.Clone(harms) }

// applies tells whether it harms a client of that version. A client whose version is not known may be one that does not start because of it.
func (h Harm) applies(v Version) bool {
	return !h.Since.Known() || !v.Known() || !v.Before(h.Since)
}

// Options is a client's extra options, looked at.
type Options struct {
	// Add are the settings that are to be added.
	Add []Setting
	// Has are those that are there already, with whatever value: they stay.
	Has []Setting
	// Harmful are options that should not be there, and where they stand, value included.
	Harmful []Present
}

// Present is a harmful option and its words, from byte Start to End.
type Present struct {
	Harm
	Text       string
	Start, End int
}

// Look decides what is to be added to a client's extra options. It fails on options that cannot be told apart.
func Look(text, client string, v Version, network string) (Options, error) {
	var o Options
	words, err := Words(text)
	if err != nil {
		return o, err
	}
	fold := client == "nethermind"
	for _, h := range harms {
		if h.Client != client || !h.applies(v) {
			continue
		}
		if i := hasFlag(words, h.Flag, fold); i >= 0 {
			o.Harmful = append(o.Harmful, present(h, text, words, i))
		}
	}
	if Replaced(text) {
		return o, errReplaced
	}
	for _, s := range settings {
		switch {
		case s.Client != client || !s.fits(v, network):
		case hasFlag(words, s.Flag, fold) >= 0:
			o.Has = append(o.Has, s)
		default:
			o.Add = append(o.Add, s)
		}
	}
	return o, nil
}

// valued are the harmful flags that take a value, which may be a word of its own.
var valued = map[string]bool{"--txlookuplimit": true}

func present(h Harm, text string, words []Word, i int) Present {
	p := Present{Harm: h, Start: words[i].Start, End: words[i].End}
	if valued[h.Flag] && words[i].Text == h.Flag && i+1 < len(words) {
		i++
		p.End = words[i].End
	}
	p.Text = text[p.Start:p.End]
	// The blanks after it go with it, or, of the last one, those before it.
	switch {
	case i+1 < len(words):
		p.End = words[i+1].Start
	default:
		for p.Start > 0 && (text[p.Start-1] == ' ' || text[p.Start-1] == '\t') {
			p.Start--
		}
	}
	return p
}
