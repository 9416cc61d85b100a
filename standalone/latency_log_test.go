package standalone_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
)

// eventLog is a log.Logger that remembers.
type eventLog struct {
	mu     sync.Mutex
	events []event
}

type event struct {
	at     time.Time
	fields map[string]string
}

func (l *eventLog) Log(keyvals ...any) error {
	e := event{time.Now(), map[string]string{}}
	for i := 0; i+1 < len(keyvals); i += 2 {
		v := keyvals[i+1]
		if f, ok := v.(log.Valuer); ok {
			v = f()
		}
		e.fields[fmt.Sprint(keyvals[i])] = fmt.Sprint(v)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

// since is when a message about a provider was logged first after a time; zero for never.
func (l *eventLog) since(after time.Time, message, provider string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.at.After(after) && e.fields["msg"] == message && e.fields["provider"] == provider {
			return e.at
		}
	}
	return time.Time{}
}

func (l *eventLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, e := range l.events {
		if e.fields["level"] == "debug" {
			continue
		}
		b.WriteString(e.at.Format(time.TimeOnly + ".000"))
		for _, k := range slices.Sorted(maps.Keys(e.fields)) {
			fmt.Fprintf(&b, " %s=%q", k, e.fields[k])
		}
		b.WriteByte('\n')
	}
	return b.String()
}
