package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// tone is how good or bad something is. It is shown by a sign and a colour beside words, never alone.
type tone string

const (
	good tone = "good" // as it should be
	busy tone = "busy" // on its way
	warn tone = "warn" // worth a look
	bad  tone = "bad"  // wrong
	idle tone = "idle" // nothing is known
)

// Sign is the tone as a character, for those who do not see its colour.
func (t tone) Sign() string {
	return map[tone]string{good: "✓", busy: "↻", warn: "▲", bad: "✕"}[t]
}

// Badge is a word in a tone, and what it means.
type Badge struct {
	Tone  tone
	Word  string
	Means string
}

// phaseBadge is a node's phase in plain words.
func phaseBadge(phase string) Badge {
	words := map[string]Badge{
		"unreachable":   {bad, "unreachable", "It does not answer."},
		"bootstrapping": {busy, "starting", "It has no API yet, as while it downloads its first state."},
		"syncing":       {busy, "syncing", "It is behind and catches up."},
		"optimistic":    {warn, "optimistic", "It is at the head, but its execution client has not verified that."},
		"backfilling":   {good, "in sync", "It is at the head and still fetches older blocks."},
		"synced":        {good, "in sync", "It is at the head."},
		"stalled":       {bad, "stalled", "It is behind, and its head does not move."},
		"wrong_network": {bad, "wrong network", "It follows another network."},
		"old_iteration": {bad, "old iteration", "It follows an earlier iteration of this network, which has been reset since."},
	}
	if b, ok := words[phase]; ok {
		return b
	}
	return Badge{idle, strings.ReplaceAll(phase, "_", " "), ""}
}

// reasonWords say in plain words why a provider, or a node, is not as it should be.
func reasonWords(reason string) string {
	words := map[string]string{
		"dns":                       "Its name cannot be resolved.",
		"connect":                   "No connection comes about.",
		"tls":                       "Its TLS certificate or handshake fails.",
		"timeout":                   "It does not answer in time.",
		"http_status":               "It answers with an error.",
		"rate_limited":              "It asks to be left alone for a while.",
		"malformed":                 "What it answers is not what was asked for.",
		"too_large":                 "It answers more than it should.",
		"wrong_network":             "It serves another network.",
		"old_iteration":             "It serves an earlier iteration of this network, which has been reset since.",
		"no_state":                  "It does not give out the state that a node starts from.",
		"stale":                     "Its finalized checkpoint is too old.",
		"outside_weak_subjectivity": "Its checkpoint is so old that starting from it is not safe.",
		"unaligned":                 "Its finalized block is not the first of an epoch, and some clients cannot start from it.",
		"disagrees":                 "It serves another block than the others do for the same epoch.",
		"invalid_state":             "The state that it serves contradicts itself or its block.",
	}
	if w, ok := words[reason]; ok {
		return w
	}
	return strings.ReplaceAll(reason, "_", " ")
}

// stageBadge is where an incident stands, in plain words.
func stageBadge(stage string) Badge {
	words := map[string]Badge{
		"open":      {busy, "open", "A step is due when the guards let it."},
		"acting":    {busy, "acting", "A step is under way."},
		"verifying": {busy, "verifying", "A step is done, and whether it helped is being looked at."},
		"settled":   {good, "settled", "It helped; the alert has yet to end."},
		"exhausted": {bad, "needs a person", "No step is left."},
		"closed":    {idle, "closed", ""},
	}
	if b, ok := words[stage]; ok {
		return b
	}
	return Badge{idle, stage, ""}
}

// count is a number of things with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// grouped is a number with commas between its thousands.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// slots is a number of them.
func slots(n uint64) string {
	if n == 1 {
		return "1 slot"
	}
	return grouped(n) + " slots"
}

// sentence begins and ends a text as people do.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if r, size := utf8.DecodeRuneInString(s); r != utf8.RuneError {
		s = string(unicode.ToUpper(r)) + s[size:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// span is a duration for people, given in seconds: two units at most.
func span(seconds float64) string {
	if math.IsNaN(seconds) || seconds < 0 {
		return "?"
	}
	// A century is for ever.
	d := time.Duration(min(seconds, 3.2e9)) * time.Second
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour && minutes == 0:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), minutes)
	case d < 30*24*time.Hour && hours > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	default:
		return fmt.Sprintf("%d d", days)
	}
}

// pace is a speed for people.
func pace(slotsPerSecond float64) string {
	digits := 0
	switch v := math.Abs(slotsPerSecond); {
	case v < 0.005:
		slotsPerSecond = 0 // not -0.00
	case v < 1:
		digits = 2
	case v < 100:
		digits = 1
	}
	return strconv.FormatFloat(slotsPerSecond, 'f', digits, 64) + " slots/s"
}

// Moment is a time as the page writes it.
type Moment struct {
	// Machine is RFC 3339, Text for people, in UTC; the day is left out when it is the reader's.
	Machine, Text string
}

func moment(t, now time.Time) *Moment {
	t, now = t.UTC(), now.UTC()
	layout := "15:04:05"
	if t.Year() != now.Year() || t.YearDay() != now.YearDay() {
		layout = "2 Jan 15:04"
	}
	return &Moment{t.Format(time.RFC3339), t.Format(layout)}
}

func momentOf(t *time.Time, now time.Time) *Moment {
	if t == nil || t.IsZero() {
		return nil
	}
	return moment(*t, now)
}

// listing joins words as people do.
func listing(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// humps are the words of a name like CheckpointNodeDown, between which a line may end.
func humps(name string) []string {
	var all []string
	from := 0
	for i, r := range name {
		if i > from && unicode.IsUpper(r) {
			all = append(all, name[from:i])
			from = i
		}
	}
	return append(all, name[from:])
}
