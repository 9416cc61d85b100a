package console_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/checkpoint-exporter/checkpoint_exporter/console"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/journal"
)

// kinds of records, as they stand in a journal.
var kinds = []string{"started", "opened", "closed", "decision", "skipped", "intent", "outcome", "verified", "observed", "settled", "exhausted", "cleared",
	"acked", "clock", "rotated", "carried", "of another version"}

// FuzzTell puts whatever stands in a journal into words, and shows it: a line each, the first byte for the kind.
func FuzzTell(f *testing.F) {
	for i, payload := range []string{
		`{"version":"1","mode":"act"}`, `{"incident":"a-1","fingerprint":"a","alert":"A","node":"n","playbook":"p","summary":"s"}`,
		`{"incident":"a-1","reason":"resolved"}`, `{"incident":"a-1","verdict":"act","answers":[{"guard":"pause","blocks":true,"why":"w 2026-03-01T00:00:00Z"}]}`,
		`{"incident":"a-1","step":1}`, `{"id":"a-1.1","incident":"a-1","action":"failover","change":{"diff":"--- a\n+++ b\n-x\n+y"},"moves":[{"places":null}]}`,
		`{"intent":"a-1.1","incident":"a-1","result":"done","evidence":{"a":[1,{"b":null}],"took_ns":3}}`, `{"incident":"a-1","ok":true}`,
		`{"incident":"a-1","logs":{"c":["\u001b"]},"api":{"x":{"y":1}},"disk":{"/":{}}}`, `{"intent":"a-1.1"}`, `{"incident":"a-1","node":"n"}`, `{"node":"n"}`,
		`{"node":"n","by":"b"}`, `{"seconds":1e300}`, `{"archive":"x","counters":{"opened":1}}`, `{"seq":1,"time":"2026-03-01T00:00:00Z","kind":"acked","payload":{}}`, `null`,
	} {
		opened := string(rune('a'+1)) + `{"incident":"a-1","fingerprint":"a","node":"n","playbook":"p"}` + "\n"
		f.Add([]byte(opened + string(rune('a'+i)) + payload))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newScreen("")
		teller := remediate.NewTeller()
		for i, line := range bytes.Split(data, []byte("\n")) {
			if len(line) == 0 || !json.Valid(line[1:]) {
				continue
			}
			r := journal.Record{Seq: uint64(i + 1), Time: now.Add(time.Duration(i) * time.Second), Kind: kinds[int(line[0]-'a')%len(kinds)], Payload: line[1:]}
			l, fresh, err := teller.Tell(r)
			if err != nil || !fresh {
				continue
			}
			console.Event(s.Terminal, l)
		}
		teller.Kept()
		teller.Pending()
		if i := strings.IndexFunc(s.text(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
			t.Error("a control character is shown")
		}
	})
}
