package network

import (
	"testing"
	"time"
)

func utc(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestEphemeryIterations(t *testing.T) {
	eph, _ := Preset("ephemery")
	for _, tc := range []struct {
		name, at  string
		iteration uint64
		genesis   string
	}{
		{"anchor", "2024-07-04T19:10:00Z", 135, "2024-07-04T19:10:00Z"},
		{"162 as observed in the field", "2026-08-15T00:00:00Z", 162, "2026-07-30T19:10:00Z"},
		{"execution genesis is not yet the new chain", "2026-11-19T19:00:00Z", 165, "2026-10-22T19:10:00Z"},
		{"a second before consensus genesis", "2026-11-19T19:09:59Z", 165, "2026-10-22T19:10:00Z"},
		{"at consensus genesis", "2026-11-19T19:10:00Z", 166, "2026-11-19T19:10:00Z"},
		{"before the anchor", "2020-01-01T00:00:00Z", 135, "2024-07-04T19:10:00Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := eph.ChainAt(utc(tc.at))
			if c.Iteration != tc.iteration || !c.GenesisTime.Equal(utc(tc.genesis)) {
				t.Fatalf("got iteration %d, genesis %s", c.Iteration, c.GenesisTime.UTC())
			}
			if want := 39438000 + tc.iteration; c.DepositChainID != want {
				t.Errorf("chain id %d, want %d", c.DepositChainID, want)
			}
			if want := c.GenesisTime.Add(2419200 * time.Second); !c.ResetAt.Equal(want) {
				t.Errorf("reset at %s, want %s", c.ResetAt, want)
			}
		})
	}
	// Iteration 162: consensusGenesisTime 1785438600 was seen on a running network.
	if got := eph.Iterations.Genesis(162).Unix(); got != 1785438600 {
		t.Errorf("genesis of 162 is %d", got)
	}
}

func TestIdentify(t *testing.T) {
	eph, _ := Preset("ephemery")
	main, _ := Preset("mainnet")
	now := utc("2026-11-22T00:00:00Z")
	cur := uint64(eph.ChainAt(now).GenesisTime.Unix())
	const interval = 2419200
	for _, tc := range []struct {
		name    string
		net     Network
		genesis uint64
		want    Identity
	}{
		{"current iteration", eph, cur, Same},
		{"last iteration", eph, cur - interval, Earlier},
		{"ten iterations ago", eph, cur - 10*interval, Earlier},
		{"earlier, with the old delay of 300 s", eph, cur - 3*interval - 300, Earlier},
		{"next iteration", eph, cur + interval, Next},
		{"after next", eph, cur + 2*interval, Other},
		{"mainnet seen from ephemery", eph, 1606824023, Other},
		{"absurd", eph, 1<<64 - 1, Other},
		{"mainnet", main, 1606824023, Same},
		{"hoodi seen from mainnet", main, 1742213400, Other},
		{"nothing known", Network{}, 5, Same},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.net.Identify(tc.genesis, now); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestIdentifyChainID(t *testing.T) {
	eph, _ := Preset("ephemery")
	now := utc("2026-11-22T00:00:00Z")
	for id, want := range map[uint64]Identity{
		39438166: Same, 39438165: Earlier, 39438001: Earlier, 39438167: Next, 39438168: Other, 39438000: Other, 1: Other,
	} {
		if got := eph.IdentifyChainID(id, now); got != want {
			t.Errorf("chain id %d: got %d, want %d", id, got, want)
		}
	}
}

func TestQuiet(t *testing.T) {
	eph, _ := Preset("ephemery")
	const before, after = 10 * time.Minute, 150 * time.Minute
	for _, tc := range []struct {
		name, at string
		quiet    bool
		until    string
	}{
		{"mid iteration", "2026-11-01T00:00:00Z", false, ""},
		{"before the window", "2026-11-19T18:49:59Z", false, ""},
		{"window opens before the execution genesis", "2026-11-19T18:50:00Z", true, "2026-11-19T21:40:00Z"},
		{"between the two geneses", "2026-11-19T19:05:00Z", true, "2026-11-19T21:40:00Z"},
		{"after genesis", "2026-11-19T20:00:00Z", true, "2026-11-19T21:40:00Z"},
		{"window closes", "2026-11-19T21:40:00Z", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, until := eph.Quiet(utc(tc.at), before, after)
			if got != tc.quiet || (got && !until.Equal(utc(tc.until))) {
				t.Errorf("got %v until %s", got, until.UTC())
			}
		})
	}
	main, _ := Preset("mainnet")
	if q, _ := main.Quiet(utc("2026-11-19T19:05:00Z"), before, after); q {
		t.Error("a network that does not reset has no quiet window")
	}
}

func TestSlotClock(t *testing.T) {
	c := Chain{GenesisTime: time.Unix(1000, 0), SecondsPerSlot: 12, SlotsPerEpoch: 32}
	for _, tc := range []struct {
		at          int64
		slot, epoch uint64
	}{{0, 0, 0}, {1000, 0, 0}, {1011, 0, 0}, {1012, 1, 0}, {1000 + 12*32, 32, 1}} {
		at := time.Unix(tc.at, 0)
		if c.Slot(at) != tc.slot || c.Epoch(at) != tc.epoch {
			t.Errorf("at %d: slot %d epoch %d", tc.at, c.Slot(at), c.Epoch(at))
		}
	}
	if got := c.SlotTime(c.EpochStart(2)).Unix(); got != 1000+2*32*12 {
		t.Errorf("epoch 2 begins at %d", got)
	}
	if c.Distance(5, time.Unix(1120, 0)) != 5 || c.Distance(50, time.Unix(1120, 0)) != 0 {
		t.Error("distance")
	}
	if (Chain{}).Slot(time.Unix(5, 0)) != 0 {
		t.Error("an unknown clock has no slots")
	}
}

// The figures are those of the tables in consensus-specs' weak-subjectivity documents.
func TestWeakSubjectivityPeriod(t *testing.T) {
	const eth = 1_000_000_000
	for _, tc := range []struct{ eth, epochs uint64 }{
		{1_048_576, 665}, {2_097_152, 1075}, {4_194_304, 1894}, {8_388_608, 3532}, {16_777_216, 3532}, {33_554_432, 3532},
		{30_200 * 32, 633},
	} {
		if got := WeakSubjectivityPeriod(tc.eth * eth); got != tc.epochs {
			t.Errorf("%d ETH: %d epochs, want %d", tc.eth, got, tc.epochs)
		}
	}
	for _, tc := range []struct{ avg, validators, epochs uint64 }{
		{28, 32768, 504}, {28, 65536, 752}, {28, 131072, 1248}, {28, 262144, 2241}, {28, 524288, 2241}, {28, 1048576, 2241},
		{32, 32768, 665}, {32, 65536, 1075}, {32, 131072, 1894}, {32, 262144, 3532}, {32, 1048576, 3532},
	} {
		if got := WeakSubjectivityPeriodPhase0(tc.validators, tc.avg*tc.validators*eth); got != tc.epochs {
			t.Errorf("%d validators of %d ETH: %d epochs, want %d", tc.validators, tc.avg, got, tc.epochs)
		}
	}
	if got := WeakSubjectivityPeriodPhase0(0, 0); got != 256 {
		t.Errorf("no validators: %d", got)
	}
}

func TestParseRoot(t *testing.T) {
	const digits = "f022eb17c7c5a76fef977c9d2c6ed9dc37e2ba9195e0f37ef28bc5db0c223ef3"
	for _, in := range []string{digits, "0x" + digits} {
		r, err := ParseRoot(in)
		if err != nil || r.String() != "0x"+digits {
			t.Errorf("%s: %v %v", in, r, err)
		}
	}
	for _, in := range []string{"", "0x", digits[1:], digits + "00", "zz" + digits[2:]} {
		if _, err := ParseRoot(in); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
	if v, err := ParseVersion("0x1000101b"); err != nil || v.String() != "0x1000101b" {
		t.Error(v, err)
	}
}

func FuzzParseRoot(f *testing.F) {
	f.Add("0xf022eb17c7c5a76fef977c9d2c6ed9dc37e2ba9195e0f37ef28bc5db0c223ef3")
	f.Add("0x")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRoot(s); err == nil {
			if again, err := ParseRoot(r.String()); err != nil || again != r {
				t.Errorf("%q does not survive a round trip", s)
			}
		}
	})
}

func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		n, ok := Preset(name)
		if !ok || n.Network != name || n.WeakSubjectivityEpochs < 256 || len(PublicProviders(name)) < 2 {
			t.Errorf("%s: %+v", name, n)
		}
		if !n.ChainAt(utc("2026-11-22T00:00:00Z")).HasClock() {
			t.Errorf("%s has no clock", name)
		}
	}
	if _, ok := Preset("holesky"); ok {
		t.Error("holesky is no preset")
	}
}
