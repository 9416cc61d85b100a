package receiver

import (
	"container/list"
	"context"
	"math/bits"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How wrong tokens are answered: late, and later each time, by the sender's address and, when they come from many, by all of them. Only
// the answer waits. Every token is compared at once, so whoever knows the right one is never kept waiting, whatever others try.
const (
	// firstDelay is the wait after an address' first wrong token; it doubles up to mostDelay, which stays below the grace that a
	// stopping program gives its requests.
	firstDelay = 250 * time.Millisecond
	mostDelay  = 5 * time.Second
	// freeTries is how many wrong tokens from everywhere delay only their own address.
	freeTries = 20
	// forgetAfter is the time without a wrong token after which the earlier ones no longer count.
	forgetAfter = 10 * time.Minute
	// maxSources bounds the addresses that are remembered, maxHeld the answers that wait. Beyond that an answer goes out at once, and its
	// connection is closed.
	maxSources = 1024
	maxHeld    = 64
)

// tries are wrong tokens of one source in a row, with no long pause between them.
type tries struct {
	source netip.Prefix
	n      int
	last   time.Time
}

func (t *tries) add(now time.Time) int {
	if now.Sub(t.last) > forgetAfter {
		t.n = 0
	}
	t.n, t.last = t.n+1, now
	return t.n
}

// penalties remember wrong tokens. The zero value is ready for use.
type penalties struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*list.Element
	recent  list.List // of *tries, the last one to try first
	all     tries
	held    int
}

// count remembers a wrong token. It returns how long its answer is to wait, how many there were from that address, and whether that is
// worth a line in the log, which an attack must not fill.
func (p *penalties) count(remote string, now time.Time) (delay time.Duration, tried int, tell bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own, all := p.of(sourceOf(remote), now).add(now), p.all.add(now)
	return max(delayAfter(own), delayAfter(all-freeTries)), own, powerOf2(own) && (all <= freeTries || powerOf2(all))
}

// of finds a source's tries, or forgets whoever has been quiet for longest to make room for them.
func (p *penalties) of(source netip.Prefix, now time.Time) *tries {
	if p.sources == nil {
		p.sources = map[netip.Prefix]*list.Element{}
	}
	if e, ok := p.sources[source]; ok {
		p.recent.MoveToFront(e)
		return e.Value.(*tries)
	}
	for e := p.recent.Back(); e != nil; e = p.recent.Back() {
		quietest := e.Value.(*tries)
		if len(p.sources) < maxSources && now.Sub(quietest.last) <= forgetAfter {
			break
		}
		p.recent.Remove(e)
		delete(p.sources, quietest.source)
	}
	t := &tries{source: source}
	p.sources[source] = p.recent.PushFront(t)
	return t
}

func delayAfter(n int) time.Duration {
	if n < 1 {
		return 0
	}
	return min(firstDelay<<min(n-1, 10), mostDelay)
}

func powerOf2(n int) bool { return bits.OnesCount(uint(n)) == 1 }

// sourceOf is what one sender controls: an IPv4 address, or an IPv6 network of 64 bits.
func sourceOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	length := 32
	if a.Is6() {
		length = 64
	}
	network, _ := a.Prefix(length) // either length fits its kind of address
	return network
}

// hold waits. It returns false at once when too many do.
func (p *penalties) hold(ctx context.Context, delay time.Duration) bool {
	p.mu.Lock()
	if p.held >= maxHeld {
		p.mu.Unlock()
		return false
	}
	p.held++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.held--
		p.mu.Unlock()
	}()
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return true
}
