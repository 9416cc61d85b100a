package beacon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	// metricsLimit bounds a /metrics page, in bytes; Prysm's and Lodestar's have some 200 kB.
	metricsLimit = 16 << 20
	// metricsLine bounds one line of it.
	metricsLine = 64 << 10
)

// Metrics reads what a client tells only in its own Prometheus metrics: how far backfill is in Prysm, Teku and Lodestar.
type Metrics struct{ door *door }

// NewMetrics makes a reader for the URL of a /metrics page.
func NewMetrics(url string, o Options) (*Metrics, error) {
	d, err := newDoor(url, o)
	if err != nil {
		return nil, err
	}
	return &Metrics{door: d}, nil
}

// String is the URL without a password.
func (m *Metrics) String() string { return m.door.String() }

// CloseIdle closes connections that wait for another request.
func (m *Metrics) CloseIdle() { m.door.closeIdle() }

// The series read, by client: Prysm beacon-chain/sync/backfill/metrics.go, Teku HistoricalBlockSyncService.java, Lodestar
// packages/beacon-node/src/metrics/metrics/lodestar.ts and sync/backfill/backfill.ts.
const (
	prysmRemaining = "backfill_remaining_batches"
	prysmImported  = "backfill_batches_imported"
	tekuEarliest   = "beacon_historical_block_sync_earliest_block"
	lodestarTill   = "lodestar_backfill_till_slot"
	lodestarStatus = "lodestar_backfill_sync_status"
)

// prysmBatch is Prysm's default --backfill-batch-size, in slots.
const prysmBatch = 32

// Backfill reads what the metrics tell of backfill. All fields are nil when they tell nothing, as where it is turned off.
func (m *Metrics) Backfill(ctx context.Context) (Backfill, error) {
	const route = "metrics"
	var b Backfill
	q := request{method: http.MethodGet, route: route, accept: mediaText}
	err := m.door.ask(ctx, q, func(res *http.Response) error {
		if isHTML(mediaType(res)) {
			return malformed(route, "an HTML page where metrics were asked for")
		}
		if res.ContentLength > metricsLimit {
			return tooLarge(route, metricsLimit)
		}
		page := &io.LimitedReader{R: res.Body, N: metricsLimit + 1}
		found, err := readMetrics(page)
		if page.N <= 0 {
			return tooLarge(route, metricsLimit)
		}
		var parse *metricsError
		if errors.As(err, &parse) {
			return &Error{Reason: Malformed, Route: route, Status: http.StatusOK, Message: clean(parse.Error(), 200), Err: err}
		}
		b = backfillOf(found)
		return err
	})
	if err != nil {
		return Backfill{}, err
	}
	return b, nil
}

func backfillOf(found map[string]float64) Backfill {
	slots := func(v float64) *uint64 {
		if math.IsNaN(v) || v < 0 || v >= math.MaxInt64 {
			return nil
		}
		n := uint64(v)
		return &n
	}
	if batches, ok := found[prysmRemaining]; ok {
		// Both are 0 before the first batch, and for ever where backfill is turned off.
		if batches == 0 && found[prysmImported] == 0 {
			return Backfill{}
		}
		return Backfill{Left: slots(batches * prysmBatch)}
	}
	if oldest, ok := found[tekuEarliest]; ok {
		return Backfill{OldestSlot: slots(oldest)}
	}
	switch found[lodestarStatus] {
	case 1, 2: // pending, syncing
		return Backfill{OldestSlot: slots(found[lodestarTill])}
	case 3: // completed
		return Backfill{Left: new(uint64)}
	}
	return Backfill{}
}

// metricsError is a page that is not in the text format.
type metricsError struct{ err error }

func (e *metricsError) Error() string { return "not metrics: " + e.err.Error() }

// readMetrics reads the few unlabelled series that are wanted. Only their lines go to the parser: a page has thousands.
func readMetrics(r io.Reader) (map[string]float64, error) {
	wanted := []string{prysmRemaining, prysmImported, tekuEarliest, lodestarTill, lodestarStatus}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), metricsLine)
	var kept bytes.Buffer
	for lines.Scan() {
		line := lines.Bytes()
		for _, name := range wanted {
			if rest, ok := bytes.CutPrefix(line, []byte(name)); ok && len(rest) > 0 && bytes.IndexByte([]byte(" \t{"), rest[0]) >= 0 && kept.Len() < metricsLine {
				kept.Write(line)
				kept.WriteByte('\n')
			}
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &metricsError{err}
	} else if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(&kept)
	if err != nil {
		return nil, &metricsError{err}
	}
	found := make(map[string]float64, len(families))
	for name, f := range families {
		if len(f.GetMetric()) > 0 {
			found[name] = value(f.GetMetric()[0])
		}
	}
	return found, nil
}

// value is that of a series whose TYPE line was dropped with the others.
func value(m *dto.Metric) float64 {
	if u := m.GetUntyped(); u != nil {
		return u.GetValue()
	}
	return math.NaN()
}
