package netfiles

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// kind is what a fact is about.
type kind string

const (
	iteration      kind = "iteration"
	chainID        kind = "chain id"
	consensusStart kind = "consensus genesis time"
	executionStart kind = "execution genesis time"
	validatorsRoot kind = "genesis validators root"
)

// fact is one thing that a file says.
type fact struct {
	kind  kind
	where string // file and key
	value uint64
	root  network.Root // of validatorsRoot
}

// maxDelay bounds the time from the execution genesis to the consensus genesis (GENESIS_DELAY), which is 600 s on Ephemery and was 300 s.
const maxDelay = time.Hour

// The bounds, in bytes, of what is read of the files. Accounts make genesis.json large; the keys that we want stand anywhere in it.
const (
	maxText = 1 << 20
	maxJSON = 256 << 20
)

// Check proves that a directory holds the files of a chain: at least one of the facts that tell iterations apart (number, chain id,
// genesis times) must be in it and agree, and none may contradict. Fork versions are the same in every iteration and prove nothing. Its
// error is a *MismatchError if it could look at all.
func Check(dir string, c network.Chain) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("check network files: %w", err)
	}
	err = check(root, dir, c)
	return errors.Join(err, root.Close())
}

func check(root *os.Root, dir string, c network.Chain) error {
	facts, bad, err := read(root)
	if err != nil {
		return fmt.Errorf("check network files in %s: %w", dir, err)
	}
	decisive := 0
	for _, f := range facts {
		agrees, tells, want := f.judge(c)
		switch {
		case !agrees && f.kind == validatorsRoot:
			bad = append(bad, fmt.Sprintf("%s: %s is %s, not %s", f.where, f.kind, f.root, want))
		case !agrees:
			bad = append(bad, fmt.Sprintf("%s: %s is %d, not %s", f.where, f.kind, f.value, want))
		case tells:
			decisive++
		}
	}
	if len(bad) == 0 && decisive == 0 {
		bad = []string{"none of genesis.json, genesis.ssz, config.yaml, retention.vars, nodevars_env.txt tells which one they are of"}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return &MismatchError{Dir: dir, Why: slices.Compact(bad)}
	}
	return nil
}

// judge compares a fact with a chain. tells is whether agreement proves anything.
func (f fact) judge(c network.Chain) (agrees, tells bool, want string) {
	number := func(n uint64) (bool, bool, string) {
		return n == 0 || f.value == n, n != 0 && f.value == n, strconv.FormatUint(n, 10)
	}
	switch f.kind {
	case iteration:
		return number(c.Iteration)
	case chainID:
		return number(c.DepositChainID)
	case validatorsRoot:
		return c.GenesisValidatorsRoot.IsZero() || f.root == c.GenesisValidatorsRoot, f.root == c.GenesisValidatorsRoot, c.GenesisValidatorsRoot.String()
	}
	if c.GenesisTime.IsZero() {
		return true, false, ""
	}
	at := uint64(c.GenesisTime.Unix())
	if f.kind == consensusStart {
		return number(at)
	}
	return f.value <= at && at-f.value <= uint64(maxDelay/time.Second), false, fmt.Sprintf("at most %v before %d", maxDelay, at)
}

// readers are the files that tell something, by name, wherever in a release they are.
var readers = map[string]func(io.Reader, string) ([]fact, []string, error){
	"genesis.json":     readGenesisJSON,
	"besu.json":        readGenesisJSON,
	"chainspec.json":   readChainSpec,
	"genesis.ssz":      readState,
	"config.yaml":      readConfig,
	"retention.vars":   readVars,
	"nodevars_env.txt": readVars,
}

// maxWalk bounds how many files of a directory are looked at.
const maxWalk = 20000

// read collects the facts in a directory, and what is malformed.
func read(root *os.Root) (facts []fact, bad []string, err error) {
	seen := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxWalk {
			return fmt.Errorf("it holds more than %d files", maxWalk)
		}
		parse := readers[path.Base(name)]
		if parse == nil || d.IsDir() {
			return nil
		}
		f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			bad = append(bad, name+": it is not a plain file")
			return errors.Join(err, f.Close())
		}
		found, wrong, err := parse(f, name)
		facts, bad = append(facts, found...), append(bad, wrong...)
		return errors.Join(err, f.Close())
	})
	return facts, bad, err
}

// readGenesisJSON reads go-ethereum's genesis.json (core/genesis.go), which Besu's is like.
func readGenesisJSON(r io.Reader, name string) ([]fact, []string, error) {
	var g struct {
		Config struct {
			ChainID number `json:"chainId"`
		} `json:"config"`
		Timestamp number `json:"timestamp"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxJSON)).Decode(&g); err != nil {
		return nil, []string{name + ": it is no JSON: " + err.Error()}, nil
	}
	return numbers(name, map[string]number{"config.chainId": g.Config.ChainID, "timestamp": g.Timestamp},
		map[string]kind{"config.chainId": chainID, "timestamp": executionStart})
}

// readChainSpec reads Nethermind's chainspec.json (src/Nethermind/Chains).
func readChainSpec(r io.Reader, name string) ([]fact, []string, error) {
	var s struct {
		Params struct {
			ChainID number `json:"chainID"`
		} `json:"params"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxJSON)).Decode(&s); err != nil {
		return nil, []string{name + ": it is no JSON: " + err.Error()}, nil
	}
	return numbers(name, map[string]number{"params.chainID": s.Params.ChainID}, map[string]kind{"params.chainID": chainID})
}

// number is a JSON number, or a string of one, decimal or with 0x.
type number string

// UnmarshalJSON keeps the text.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = number(bytes.Trim(b, `"`))
	return nil
}

// numbers are facts of those keys that are there.
func numbers(name string, values map[string]number, kinds map[string]kind) (facts []fact, bad []string, err error) {
	for key, text := range values {
		if text == "" || text == "null" {
			continue
		}
		v, err := strconv.ParseUint(string(text), 0, 64)
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: %s is %q, not a number", name, key, clip(string(text))))
			continue
		}
		facts = append(facts, fact{kind: kinds[key], where: name + " (" + key + ")", value: v})
	}
	return facts, bad, nil
}

// readState reads the beginning of a genesis state: genesis_time and genesis_validators_root are the first two fields of BeaconState
// (consensus-specs phase0/beacon-chain.md), and fixed in length.
func readState(r io.Reader, name string) ([]fact, []string, error) {
	var head [40]byte
	switch _, err := io.ReadFull(r, head[:]); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, []string{name + ": it is too short for a state"}, nil
	case err != nil:
		return nil, nil, err
	}
	return []fact{
		{kind: consensusStart, where: name, value: binary.LittleEndian.Uint64(head[:8])},
		{kind: validatorsRoot, where: name, root: network.Root(head[8:])},
	}, nil, nil
}

// configLine is a key of config.yaml that matters here, as every consensus client writes it: at the beginning of a line.
var configLine = regexp.MustCompile(`^(MIN_GENESIS_TIME|GENESIS_DELAY|DEPOSIT_CHAIN_ID|DEPOSIT_NETWORK_ID)[ \t]*:(.*)$`)

// readConfig reads a consensus client's config.yaml (consensus-specs configs/). A chain that starts from a given state starts
// GENESIS_DELAY after MIN_GENESIS_TIME.
func readConfig(r io.Reader, name string) (facts []fact, bad []string, err error) {
	start, delay := []uint64{}, []uint64{}
	err = lines(r, func(line string) {
		m := configLine.FindStringSubmatch(line)
		if m == nil {
			return
		}
		text, _, _ := strings.Cut(m[2], "#")
		v, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(text), `"'`), 0, 64)
		switch {
		case err != nil:
			bad = append(bad, fmt.Sprintf("%s: %s is %q, not a number", name, m[1], clip(strings.TrimSpace(text))))
		case m[1] == "MIN_GENESIS_TIME":
			start = append(start, v)
		case m[1] == "GENESIS_DELAY":
			delay = append(delay, v)
		default:
			facts = append(facts, fact{kind: chainID, where: name + " (" + m[1] + ")", value: v})
		}
	})
	if len(start) > 1 || len(delay) > 1 {
		bad = append(bad, name+": MIN_GENESIS_TIME or GENESIS_DELAY is there twice")
	} else if len(start) == 1 && len(delay) == 1 {
		facts = append(facts, fact{kind: consensusStart, where: name + " (MIN_GENESIS_TIME + GENESIS_DELAY)", value: start[0] + delay[0]})
	}
	return facts, bad, err
}

// varKinds are the shell variables that tell something (ephemery-genesis scripts/build-genesis.sh and build-nodevars.sh). Of the two
// genesis times, retention.vars has the execution client's and nodevars_env.txt the consensus client's.
var varKinds = map[string]kind{"ITERATION_NUMBER": iteration, "CHAIN_ID": chainID, "GENESIS_TIMESTAMP": executionStart, "GENESIS_TIME": consensusStart}

var varLine = regexp.MustCompile(`^[ \t]*(?:export[ \t]+)?([A-Z_]+)=(.*)$`)

// readVars reads a file of shell assignments. Nothing in it is ever run.
func readVars(r io.Reader, name string) (facts []fact, bad []string, err error) {
	err = lines(r, func(line string) {
		m := varLine.FindStringSubmatch(line)
		if m == nil || varKinds[m[1]] == "" {
			return
		}
		text := strings.TrimSpace(m[2])
		v, err := strconv.ParseUint(strings.Trim(text, `"'`), 10, 64)
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: %s is %q, not a number", name, m[1], clip(text)))
			return
		}
		facts = append(facts, fact{kind: varKinds[m[1]], where: name + " (" + m[1] + ")", value: v})
	})
	return facts, bad, err
}

// lines calls do with each line of a small text.
func lines(r io.Reader, do func(string)) error {
	s := bufio.NewScanner(io.LimitReader(r, maxText))
	s.Buffer(nil, maxText+1)
	for s.Scan() {
		do(strings.TrimRight(s.Text(), "\r"))
	}
	return s.Err()
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "?") + "…"
	}
	return s
}
