package standalone

import (
	"errors"
	"net/http"
	"slices"
	"time"

	amlabels "github.com/prometheus/alertmanager/pkg/labels"
)

type apiSilence struct {
	ID        string       `json:"id,omitempty"`
	Status    *apiState    `json:"status,omitempty"`
	UpdatedAt *time.Time   `json:"updatedAt,omitempty"`
	Matchers  []apiMatcher `json:"matchers"`
	StartsAt  time.Time    `json:"startsAt"`
	EndsAt    time.Time    `json:"endsAt"`
	CreatedBy string       `json:"createdBy"`
	Comment   string       `json:"comment"`
}

type apiState struct {
	State string `json:"state"`
}

type apiMatcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual"` // absent means true
}

func (m apiMatcher) matcher() (*amlabels.Matcher, error) {
	equal := m.IsEqual == nil || *m.IsEqual
	t := amlabels.MatchEqual
	switch {
	case m.IsRegex && equal:
		t = amlabels.MatchRegexp
	case m.IsRegex:
		t = amlabels.MatchNotRegexp
	case !equal:
		t = amlabels.MatchNotEqual
	}
	return amlabels.NewMatcher(t, m.Name, m.Value)
}

func newAPIMatcher(m *amlabels.Matcher) apiMatcher {
	equal := m.Type == amlabels.MatchEqual || m.Type == amlabels.MatchRegexp
	return apiMatcher{
		Name: m.Name, Value: m.Value, IsEqual: &equal,
		IsRegex: m.Type == amlabels.MatchRegexp || m.Type == amlabels.MatchNotRegexp,
	}
}

func newAPISilence(s Silence) apiSilence {
	out := apiSilence{
		ID: s.ID, Status: &apiState{s.State(time.Now())}, UpdatedAt: &s.UpdatedAt,
		StartsAt: s.StartsAt, EndsAt: s.EndsAt, CreatedBy: s.CreatedBy, Comment: s.Comment,
	}
	for _, m := range s.Matchers {
		out.Matchers = append(out.Matchers, newAPIMatcher(m))
	}
	return out
}

// silences answers with those that last longest first.
func (a API) silences(w http.ResponseWriter, r *http.Request) {
	match, err := filters(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	stored, err := a.Alertmanager.Silences(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	slices.SortFunc(stored, func(a, b Silence) int { return b.EndsAt.Compare(a.EndsAt) })
	found := []apiSilence{}
	for _, s := range stored {
		if hasAll(s.Matchers, match) {
			found = append(found, newAPISilence(s))
		}
	}
	answer(w, found)
}

func (a API) oneSilence(w http.ResponseWriter, r *http.Request) {
	stored, err := a.Alertmanager.Silences(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	i := slices.IndexFunc(stored, func(s Silence) bool { return s.ID == r.PathValue("id") })
	if i < 0 {
		http.Error(w, ErrNoSilence.Error(), http.StatusNotFound)
		return
	}
	answer(w, newAPISilence(stored[i]))
}

func hasAll(have, want amlabels.Matchers) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h *amlabels.Matcher) bool { return h.Name == w.Name && w.Matches(h.Value) }) {
			return false
		}
	}
	return true
}

func (a API) silence(w http.ResponseWriter, r *http.Request) {
	var in apiSilence
	if err := decode(w, r, &in); err != nil {
		http.Error(w, "silence: "+err.Error(), http.StatusBadRequest)
		return
	}
	s := Silence{ID: in.ID, StartsAt: in.StartsAt, EndsAt: in.EndsAt, CreatedBy: in.CreatedBy, Comment: in.Comment}
	for _, m := range in.Matchers {
		match, err := m.matcher()
		if err != nil {
			http.Error(w, "matcher: "+err.Error(), http.StatusBadRequest)
			return
		}
		s.Matchers = append(s.Matchers, match)
	}
	switch {
	case !s.EndsAt.After(time.Now()):
		http.Error(w, "the end of a silence cannot be in the past", http.StatusBadRequest)
		return
	case !s.EndsAt.After(s.StartsAt):
		http.Error(w, "a silence must end after it starts", http.StatusBadRequest)
		return
	}
	id, err := a.Alertmanager.Silence(r.Context(), s)
	switch {
	case errors.Is(err, ErrNoSilence):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		answer(w, map[string]string{"silenceID": id})
	}
}

func (a API) unsilence(w http.ResponseWriter, r *http.Request) {
	if err := a.Alertmanager.Unsilence(r.Context(), r.PathValue("id")); err != nil {
		code := http.StatusInternalServerError
		if errors.Is(err, ErrNoSilence) {
			code = http.StatusNotFound
		}
		http.Error(w, err.Error(), code)
	}
}
