package receiver

import (
	"fmt"
	"testing"
	"time"
)

func TestPenaltiesAreBounded(t *testing.T) {
	var p penalties
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for i := range 20 * maxSources {
		p.count(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff), now.Add(time.Duration(i)*time.Millisecond))
		if len(p.sources) > maxSources {
			t.Fatalf("%d addresses are remembered", len(p.sources))
		}
	}
	now = now.Add(time.Minute)
	// Who was quiet for longest is forgotten first: one that goes on and on is not.
	for i := range 2 * maxSources {
		now = now.Add(time.Minute / 100)
		p.count("192.0.2.7:1", now)
		p.count(fmt.Sprintf("[2001:db9:%x:%x::1]:1", i>>16, i&0xffff), now)
	}
	if _, tried, _ := p.count("192.0.2.7:1", now); tried != 2*maxSources+1 {
		t.Errorf("%d tries are remembered", tried)
	}
	p.count("192.0.2.8:1", now.Add(forgetAfter+time.Minute))
	if len(p.sources) != 1 {
		t.Errorf("%d addresses after a long pause", len(p.sources))
	}
}
