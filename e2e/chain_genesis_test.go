//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pace is how fast a chain goes and how many validators carry it.
type pace struct {
	slot       time.Duration
	validators int
}

const (
	slotsPerEpoch   = 8
	executionChain  = 1337
	depositContract = "0x4242424242424242424242424242424242424242"
	feeRecipient    = "0x123463a4b065722e99115d6c222f267d9cabb524"
)

// genesis names the files that a chain starts from.
type genesis struct {
	config    string // the consensus chain's parameters
	state     string // its first state, SSZ
	execution string // the execution chain's genesis
	secret    string // the JWT secret between the two
}

// makeGenesis writes the genesis of a chain that is in Electra from its first slot and begins after the delay. Its execution genesis
// holds the system contracts of geth's development chain and Prysm's deposit contract: without the one blocks are invalid, without the
// other Prysm calls its execution client offline for ever.
func makeGenesis(tb testing.TB, dir string, p pace, delay time.Duration) (genesis, error) {
	g := genesis{
		config:    filepath.Join(dir, "config.yml"),
		state:     filepath.Join(dir, "genesis.ssz"),
		execution: filepath.Join(dir, "genesis.json"),
		secret:    filepath.Join(dir, "jwt.hex"),
	}
	if err := os.WriteFile(g.config, []byte(chainConfig(p)), 0o644); err != nil {
		return g, err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return g, err
	}
	if err := os.WriteFile(g.secret, []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		return g, err
	}

	before, err := executionGenesis(tb, dir, g.config)
	if err != nil {
		return g, err
	}
	_, err = output(tb, tool(tb, "nodes/prysm", "prysmctl"), "testnet", "generate-genesis", "--fork=electra",
		fmt.Sprintf("--num-validators=%d", p.validators), fmt.Sprintf("--genesis-time-delay=%d", int(delay.Seconds())),
		"--chain-config-file="+g.config, "--geth-genesis-json-in="+before, "--geth-genesis-json-out="+g.execution, "--output-ssz="+g.state)
	return g, err
}

func chainConfig(p pace) string {
	var text strings.Builder
	fmt.Fprintf(&text, `CONFIG_NAME: devnet
PRESET_BASE: mainnet
MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: %d
GENESIS_DELAY: 0
GENESIS_FORK_VERSION: 0x20000089
TERMINAL_TOTAL_DIFFICULTY: 0
SECONDS_PER_SLOT: %d
SLOT_DURATION_MS: %d
SLOTS_PER_EPOCH: %d
DEPOSIT_CONTRACT_ADDRESS: %s
DEPOSIT_CHAIN_ID: %d
DEPOSIT_NETWORK_ID: %[6]d
`, p.validators, int(p.slot.Seconds()), p.slot.Milliseconds(), slotsPerEpoch, depositContract, executionChain)
	for i, fork := range []string{"ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"} {
		epoch := uint64(0)
		if fork == "FULU" {
			epoch = 1<<64 - 1 // its look-ahead vector needs 32 slots an epoch
		}
		fmt.Fprintf(&text, "%s_FORK_EPOCH: %d\n%[1]s_FORK_VERSION: 0x200000%[3]d\n", fork, epoch, 90+i)
	}
	return text.String()
}

// executionGenesis writes the execution genesis that prysmctl completes, and returns its file.
func executionGenesis(tb testing.TB, dir, config string) (string, error) {
	text, err := output(tb, tool(tb, "nodes/geth", "geth"), "--dev", "dumpgenesis")
	if err != nil {
		return "", err
	}
	var development, deposits struct {
		Config map[string]any            `json:"config"`
		Alloc  map[string]map[string]any `json:"alloc"`
		Rest   map[string]any            `json:"-"`
	}
	if err := json.Unmarshal([]byte(text), &development); err != nil {
		return "", fmt.Errorf("read geth's development genesis: %w", err)
	}
	if err := json.Unmarshal([]byte(text), &development.Rest); err != nil {
		return "", err
	}

	own := filepath.Join(dir, "deposits.json")
	if _, err := output(tb, tool(tb, "nodes/prysm", "prysmctl"), "testnet", "generate-genesis", "--fork=bellatrix", "--num-validators=1",
		"--chain-config-file="+config, "--geth-genesis-json-out="+own, "--output-ssz="+filepath.Join(dir, "deposits.ssz")); err != nil {
		return "", err
	}
	encoded, err := os.ReadFile(own)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(encoded, &deposits); err != nil {
		return "", fmt.Errorf("read prysmctl's genesis: %w", err)
	}
	found := false
	for address, account := range deposits.Alloc {
		if strings.EqualFold(strings.TrimPrefix(address, "0x"), strings.TrimPrefix(depositContract, "0x")) {
			development.Alloc[address] = account
			found = true
		}
	}
	if !found {
		return "", fmt.Errorf("prysmctl's genesis has no account %s", depositContract)
	}

	development.Config["mergeNetsplitBlock"] = 0
	development.Config["depositContractAddress"] = depositContract
	all := development.Rest
	all["config"], all["alloc"], all["gasLimit"] = development.Config, development.Alloc, "0x3938700"
	file := filepath.Join(dir, "before.json")
	encoded, err = json.MarshalIndent(all, "", " ")
	if err != nil {
		return "", err
	}
	return file, os.WriteFile(file, encoded, 0o644)
}
