package network

import "time"

// Provider is a public checkpoint provider.
type Provider struct {
	Name string
	// URL is the base that a client is given; routes of the Beacon API are appended to it.
	URL string
}

// Presets are the names that Preset knows.
func Presets() []string { return []string{"ephemery", "hoodi", "mainnet", "sepolia"} }

// Preset is a well-known network by its name.
//
// Genesis times, roots and chain ids: eth-clients/{mainnet,hoodi,sepolia}. Ephemery: ephemery-testnet/ephemery-genesis values.env,
// iteration 135. Weak subjectivity periods are computed from a cautious estimate of the active balance, which only a whole
// state can tell exactly.
func Preset(name string) (Network, bool) {
	c := Chain{Network: name, SecondsPerSlot: 12, SlotsPerEpoch: 32}
	const eth = 1_000_000_000
	switch name {
	case "ephemery":
		c.WeakSubjectivityEpochs = WeakSubjectivityPeriod(30_200 * 32 * eth)
		return Network{Chain: c, Iterations: &Iterations{
			Anchor: 135, AnchorGenesis: time.Unix(1720119600, 0), Interval: 28 * 24 * time.Hour, Delay: 10 * time.Minute,
			BaseChainID: 39438000,
		}}, true
	case "mainnet":
		c.GenesisTime, c.DepositChainID = time.Unix(1606824023, 0), 1
		c.GenesisValidatorsRoot = mustRoot("0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95")
		c.WeakSubjectivityEpochs = WeakSubjectivityPeriod(30_000_000 * eth)
	case "hoodi":
		c.GenesisTime, c.DepositChainID = time.Unix(1742213400, 0), 560048
		c.GenesisValidatorsRoot = mustRoot("0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f")
		c.WeakSubjectivityEpochs = WeakSubjectivityPeriod(30_000_000 * eth)
	case "sepolia":
		c.GenesisTime, c.DepositChainID = time.Unix(1655733600, 0), 11155111
		c.GenesisValidatorsRoot = mustRoot("0xd8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078")
		// Sepolia's validators are permissioned and few; MIN_GENESIS_ACTIVE_VALIDATOR_COUNT is its floor.
		c.WeakSubjectivityEpochs = WeakSubjectivityPeriod(1_300 * 32 * eth)
	default:
		return Network{}, false
	}
	return Network{Chain: c}, true
}

// PublicProviders are a preset's providers as listed by eth-clients/checkpoint-sync-endpoints and, for Ephemery, by
// ephemery-testnet/ephemery-resources. Listing is no recommendation: each is judged like any other.
func PublicProviders(name string) []Provider {
	switch name {
	case "ephemery":
		return []Provider{
			{"ethpandaops", "https://checkpoint-sync.ephemery.ethpandaops.io"},
			{"ethstaker", "https://ephemery.beaconstate.ethstaker.cc"},
			{"bordel", "https://checkpointz.bordel.wtf"},
			{"chainsafe", "https://beaconstate-ephemery.chainsafe.dev"},
		}
	case "mainnet":
		return []Provider{
			{"beaconstate.info", "https://beaconstate.info"},
			{"ethstaker", "https://beaconstate.ethstaker.cc"},
			{"invis", "https://sync.invis.tools"},
			{"pietjepuk", "https://checkpointz.pietjepuk.net"},
		}
	case "hoodi":
		return []Provider{
			{"ethpandaops", "https://checkpoint-sync.hoodi.ethpandaops.io"},
			{"ethstaker", "https://hoodi.beaconstate.ethstaker.cc"},
		}
	case "sepolia":
		return []Provider{
			{"beaconstate.info", "https://sepolia.beaconstate.info"},
			{"ethpandaops", "https://checkpoint-sync.sepolia.ethpandaops.io"},
			{"chainsafe", "https://beaconstate-sepolia.chainsafe.io"},
		}
	}
	return nil
}

func mustRoot(s string) Root {
	r, err := ParseRoot(s)
	if err != nil {
		panic(err)
	}
	return r
}
