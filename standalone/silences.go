package standalone

import (
	"context"
	"errors"
	"fmt"
	"time"

	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// ErrNoSilence is returned for an id that no silence has.
var ErrNoSilence = errors.New("no such silence")

// Silence keeps alerts whose labels match from being sent.
type Silence struct {
	ID        string // empty for a new one
	Matchers  amlabels.Matchers
	StartsAt  time.Time
	EndsAt    time.Time
	UpdatedAt time.Time // set when it is stored
	CreatedBy string
	Comment   string
}

// State is the word of Alertmanager's API for a silence at a time: pending,
// active or expired.
func (s Silence) State(now time.Time) string {
	switch {
	case now.Before(s.StartsAt):
		return string(silence.SilenceStatePending)
	case now.Before(s.EndsAt):
		return string(silence.SilenceStateActive)
	default:
		return string(silence.SilenceStateExpired)
	}
}

// Silence stores s, or changes the one with its ID, and returns the ID, which
// is a new one when the old cannot be changed without falsifying the past.
func (a *Alertmanager) Silence(ctx context.Context, s Silence) (string, error) {
	set := &silencepb.MatcherSet{}
	for _, m := range s.Matchers {
		set.Matchers = append(set.Matchers, &silencepb.Matcher{
			Type: matcherTypes[m.Type], Name: m.Name, Pattern: m.Value,
		})
	}
	stored := &silencepb.Silence{
		Id: s.ID, MatcherSets: []*silencepb.MatcherSet{set},
		StartsAt: timestamppb.New(s.StartsAt), EndsAt: timestamppb.New(s.EndsAt),
		CreatedBy: s.CreatedBy, Comment: s.Comment,
	}
	if err := a.silences.Set(ctx, stored); err != nil {
		return "", silenceError(s.ID, err)
	}
	return stored.Id, nil
}

// Unsilence ends a silence now.
func (a *Alertmanager) Unsilence(ctx context.Context, id string) error {
	return silenceError(id, a.silences.Expire(ctx, id))
}

func silenceError(id string, err error) error {
	if errors.Is(err, silence.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrNoSilence, id)
	}
	return err
}

// Silences returns all that are kept: those that are still to come, those in
// force, and those that ended within the last days.
func (a *Alertmanager) Silences(ctx context.Context) ([]Silence, error) {
	stored, _, err := a.silences.Query(ctx)
	if err != nil {
		return nil, fmt.Errorf("read silences: %w", err)
	}
	all := make([]Silence, 0, len(stored))
	for _, s := range stored {
		out := Silence{
			ID: s.Id, StartsAt: s.StartsAt.AsTime(), EndsAt: s.EndsAt.AsTime(), UpdatedAt: s.UpdatedAt.AsTime(),
			CreatedBy: s.CreatedBy, Comment: s.Comment,
		}
		// Several sets come only from a newer program's snapshot; the first is
		// all that the API of version 2 can show.
		for _, m := range s.MatcherSets[0].Matchers {
			match, err := amlabels.NewMatcher(matchType(m.Type), m.Name, m.Pattern)
			if err != nil {
				return nil, fmt.Errorf("silence %s: %w", s.Id, err)
			}
			out.Matchers = append(out.Matchers, match)
		}
		all = append(all, out)
	}
	return all, nil
}

var matcherTypes = map[amlabels.MatchType]silencepb.Matcher_Type{
	amlabels.MatchEqual:     silencepb.Matcher_EQUAL,
	amlabels.MatchNotEqual:  silencepb.Matcher_NOT_EQUAL,
	amlabels.MatchRegexp:    silencepb.Matcher_REGEXP,
	amlabels.MatchNotRegexp: silencepb.Matcher_NOT_REGEXP,
}

func matchType(stored silencepb.Matcher_Type) amlabels.MatchType {
	for t, s := range matcherTypes {
		if s == stored {
			return t
		}
	}
	return amlabels.MatchEqual
}
