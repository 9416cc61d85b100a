package provider_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/provider"
)

func clock() time.Time { return now }

func panel(t *testing.T, fakes ...*fake) *provider.Panel {
	t.Helper()
	var probers []*provider.Prober
	for i, f := range fakes {
		probers = append(probers, prober(t, string(rune('a'+i)), f.URL, provider.ProberOptions{Client: beacon.Options{Timeout: 5 * time.Second}}))
	}
	return provider.NewPanel(testnet, probers, provider.Options{}, clock)
}

// TestPanel compares providers that lag differently although nobody remembers anything yet.
func TestPanel(t *testing.T) {
	ahead, middle, behind, dead := newFake(t, 100), newFake(t, 99), newFake(t, 98), newFake(t, 100)
	dead.Close()
	p := panel(t, ahead, middle, behind, dead)
	j := p.ProbeAll(context.Background(), false)
	if got := agreements(j); got != "a:yes b:yes c:yes d:?" || j.Quorum.Providers != 3 || j.Quorum.Epoch != 98 || !j.Quorum.OK {
		t.Errorf("agree %s, quorum %+v", got, j.Quorum)
	}
	expectReasons(t, j.Verdicts[3], "connection refused", provider.Connect)
	if asked := ahead.requests(); !slices.Contains(asked, "blocks/3168/root") || !slices.Contains(asked, "blocks/3136/root") {
		t.Errorf("the one ahead was asked %q", asked)
	}
	// All is remembered: the next look asks no more than the usual, and the state only when told to.
	p.ProbeAll(context.Background(), false)
	if asked := ahead.requests(); len(asked) != 5 {
		t.Errorf("asked again %q", asked)
	}
	p.ProbeAll(context.Background(), true)
	if asked := ahead.requests(); len(asked) != 6 || asked[5] != "debug/states/finalized" {
		t.Errorf("forced, asked %q", asked)
	}
}

func TestPanelWithoutProviders(t *testing.T) {
	j := provider.NewPanel(testnet, nil, provider.Options{}, clock).ProbeAll(context.Background(), true)
	if len(j.Verdicts) != 0 || j.Quorum.OK || j.Usable() != 0 {
		t.Errorf("judged %+v", j)
	}
}

// TestPanelAsksFourAtOnce counts the providers that are being asked, and proves that a slow one ends with the context.
func TestPanelAsksFourAtOnce(t *testing.T) {
	var (
		mu          sync.Mutex
		under, most int
	)
	four := make(chan struct{})
	var fakes []*fake
	for range 6 {
		f := newFake(t, 100)
		f.override["genesis"] = func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			under++
			most = max(most, under)
			if under == 4 {
				close(four)
			}
			mu.Unlock()
			<-r.Context().Done()
			mu.Lock()
			under--
			mu.Unlock()
		}
		fakes = append(fakes, f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-four:
		case <-time.After(20 * time.Second):
		}
		cancel()
	}()
	j := panel(t, fakes...).ProbeAll(ctx, false)
	for _, v := range j.Verdicts {
		expectReasons(t, v, "called off", provider.Timeout)
	}
	mu.Lock()
	defer mu.Unlock()
	if most != 4 {
		t.Errorf("%d providers were asked at once", most)
	}
}

func ExampleRank() {
	j := provider.Judge(testnet, []provider.Observation{down("first", provider.Connect), seen("second", 1, 100), seen("third", 1, 100)}, provider.Options{}, now)
	best := provider.Rank(j)[0]
	fmt.Println(best.Provider, best.Usable, j.Quorum.Providers, "of", j.Quorum.Threshold)
	fmt.Println(j.Verdicts[0].Reasons[0].Reason)
	// Output:
	// second true 2 of 2
	// connect
}
