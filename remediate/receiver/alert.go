package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/template"
)

// Bounds of what is kept of an alert, in bytes and numbers. One alert is at most about 250 kB, and twice that as JSON.
const (
	MaxLabels          = 64
	MaxAnnotations     = 32
	MaxName            = 256  // of a label or annotation; longer ones are malformed
	MaxLabelValue      = 1024 // longer ones are cut, and then match nothing that is configured
	MaxAnnotationValue = 4096
	MaxGeneratorURL    = 2048
)

// Status of an alert.
type Status string

// The two that Alertmanager sends.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// Alert is one alert of a notification, bounded and without control characters. What it says is data from outside: a label may
// be compared with a configured name, and nothing else.
type Alert struct {
	// Fingerprint is Alertmanager's hash of the labels, 16 lower-case hex digits; the same for every repetition and from every peer.
	Fingerprint string `json:"fingerprint"`
	// Status is this alert's own, whatever the group's is.
	Status      Status            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// StartsAt differs between peers and can move; it only tells a late duplicate from a new alert.
	StartsAt time.Time `json:"starts_at"`
	// EndsAt is zero while the alert fires.
	EndsAt       time.Time `json:"ends_at,omitzero"`
	GeneratorURL string    `json:"generator_url,omitempty"`
}

// Decode reads a webhook message, version 4, as Alertmanager's notify/webhook sends it. Fields that it does not know are ignored.
// truncated is how many alerts the sender left out. One alert that is malformed makes the whole message so.
func Decode(body []byte) (alerts []Alert, truncated uint64, err error) {
	var m struct {
		Version         string  `json:"version"`
		TruncatedAlerts uint64  `json:"truncatedAlerts"`
		Alerts          *listed `json:"alerts"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, 0, fmt.Errorf("webhook message: %w", err)
	}
	if m.Version != "" && m.Version != "4" {
		return nil, 0, fmt.Errorf("webhook message: version %.20q, want 4", m.Version)
	}
	if m.Alerts == nil {
		return nil, 0, errors.New("webhook message: no alerts in it")
	}
	return *m.Alerts, m.TruncatedAlerts, nil
}

// listed is decoded one by one, so that a message of nothing but brackets is refused before it takes memory.
type listed []Alert

// UnmarshalJSON stops at the first alert that is malformed.
func (l *listed) UnmarshalJSON(b []byte) error {
	*l = listed{}
	dec := json.NewDecoder(bytes.NewReader(b))
	open, err := dec.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('[') {
		return errors.New("alerts: want a list")
	}
	for i := 0; dec.More(); i++ {
		var in template.Alert
		if err := dec.Decode(&in); err != nil {
			return fmt.Errorf("alerts[%d]: %w", i, err)
		}
		a, err := Check(in)
		if err != nil {
			return fmt.Errorf("alerts[%d]: %w", i, err)
		}
		*l = append(*l, a)
	}
	if _, err := dec.Token(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Check bounds one alert, whichever way it came, or says why it is malformed.
func Check(in template.Alert) (Alert, error) {
	a := Alert{Fingerprint: in.Fingerprint, Status: Status(in.Status), StartsAt: in.StartsAt, EndsAt: in.EndsAt}
	if len(a.Fingerprint) != 16 || strings.Trim(a.Fingerprint, "0123456789abcdef") != "" {
		return Alert{}, fmt.Errorf("fingerprint %.40q: want 16 hex digits (Alertmanager 0.20 and later send it)", a.Fingerprint)
	}
	if a.Status != Firing && a.Status != Resolved {
		return Alert{}, fmt.Errorf("status %.40q: want firing or resolved", in.Status)
	}
	if len(in.Labels) == 0 || len(in.Labels) > MaxLabels {
		return Alert{}, fmt.Errorf("%d labels: want 1 to %d", len(in.Labels), MaxLabels)
	}
	var err error
	if a.Labels, err = bounded(in.Labels, MaxLabelValue, "label"); err != nil {
		return Alert{}, err
	}
	annotations := maps.Clone(in.Annotations)
	for _, name := range slices.Sorted(maps.Keys(annotations))[min(len(annotations), MaxAnnotations):] {
		delete(annotations, name)
	}
	if a.Annotations, err = bounded(annotations, MaxAnnotationValue, "annotation"); err != nil {
		return Alert{}, err
	}
	a.GeneratorURL = clean(in.GeneratorURL, MaxGeneratorURL)
	return a, nil
}

func bounded(in template.KV, most int, what string) (map[string]string, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(in))
	for name, value := range in {
		if name == "" || name != clean(name, MaxName) {
			return nil, fmt.Errorf("%s name %.40q: want 1 to %d bytes without control characters", what, name, MaxName)
		}
		out[name] = clean(value, most)
	}
	return out, nil
}

// clean cuts s to most bytes and replaces what would act on a terminal or deceive a reader: control characters other than
// tab and line feed, and marks that turn the direction of writing.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if (unicode.IsControl(r) && r != '\t' && r != '\n') || unicode.Is(unicode.Bidi_Control, r) {
			return utf8.RuneError
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	const mark = "…"
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
