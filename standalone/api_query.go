package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/checkpoint-exporter/checkpoint_exporter/standalone/internal/param"
)

// maxPoints is how many steps a range may have, as in Prometheus.
const maxPoints = 11_000

type apiResult struct {
	Status    string `json:"status"`
	Data      any    `json:"data,omitempty"`
	ErrorType string `json:"errorType,omitempty"`
	Error     string `json:"error,omitempty"`
}

type apiData struct {
	Type   parser.ValueType `json:"resultType"`
	Result parser.Value     `json:"result"`
}

func (a API) query(w http.ResponseWriter, r *http.Request) {
	at, err := timeOr(r, "time", time.Now())
	if err != nil {
		refuse(w, err)
		return
	}
	v, err := a.Prometheus.Query(r.Context(), r.FormValue("query"), at)
	result(w, v, err)
}

func (a API) queryRange(w http.ResponseWriter, r *http.Request) {
	start, err := timeOr(r, "start", time.Time{})
	end, errEnd := timeOr(r, "end", time.Time{})
	step, errStep := param.Duration(r.FormValue("step"))
	if err := errors.Join(err, errEnd, errStep); err != nil {
		refuse(w, err)
		return
	}
	switch {
	case step <= 0:
		refuse(w, errors.New("step must be positive"))
		return
	case end.Before(start):
		refuse(w, errors.New("end is before start"))
		return
	case end.Sub(start)/step > maxPoints:
		refuse(w, fmt.Errorf("more than %d points: use a longer step", maxPoints))
		return
	}
	v, err := a.Prometheus.QueryRange(r.Context(), r.FormValue("query"), start, end, step)
	result(w, v, err)
}

func (a API) labelNames(w http.ResponseWriter, r *http.Request) {
	a.labels(w, r, func(match []string, start, end time.Time) ([]string, error) {
		return a.Prometheus.LabelNames(r.Context(), match, start, end)
	})
}

func (a API) labelValues(w http.ResponseWriter, r *http.Request) {
	a.labels(w, r, func(match []string, start, end time.Time) ([]string, error) {
		return a.Prometheus.LabelValues(r.Context(), r.PathValue("name"), match, start, end)
	})
}

func (a API) labels(w http.ResponseWriter, r *http.Request, read func([]string, time.Time, time.Time) ([]string, error)) {
	start, err := timeOr(r, "start", time.UnixMilli(0))
	end, errEnd := timeOr(r, "end", time.Now())
	if err := errors.Join(err, errEnd); err != nil {
		refuse(w, err)
		return
	}
	found, err := read(r.Form["match[]"], start, end)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, apiResult{Status: "success", Data: append([]string{}, found...)})
}

func result(w http.ResponseWriter, v parser.Value, err error) {
	var storage promql.ErrStorage
	switch {
	case err == nil:
		answer(w, apiResult{Status: "success", Data: apiData{v.Type(), v}})
	case errors.As(err, &storage):
		fail(w, http.StatusInternalServerError, "internal", err)
	case errors.As(err, new(promql.ErrQueryTimeout)), errors.As(err, new(promql.ErrQueryCanceled)):
		fail(w, http.StatusServiceUnavailable, "timeout", err)
	case errors.As(err, new(parser.ParseErrors)), errors.As(err, new(*parser.ParseErr)):
		refuse(w, err)
	default:
		fail(w, http.StatusUnprocessableEntity, "execution", err)
	}
}

func refuse(w http.ResponseWriter, err error) { fail(w, http.StatusBadRequest, "bad_data", err) }

func fail(w http.ResponseWriter, code int, kind string, err error) {
	text, marshalErr := json.Marshal(apiResult{Status: "error", ErrorType: kind, Error: err.Error()})
	if marshalErr != nil {
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // whoever asked has gone
}

// timeOr reads a parameter that is a time. A zero fallback makes it a needed one.
func timeOr(r *http.Request, name string, fallback time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		if fallback.IsZero() {
			return fallback, fmt.Errorf("%s is missing", name)
		}
		return fallback, nil
	}
	t, err := param.Time(text)
	if err != nil {
		return t, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}
