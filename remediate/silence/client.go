package silence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	requestTimeout = 5 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 16 << 20
	// maxComplaint bounds what is repeated of an answer that says what is wrong, in bytes.
	maxComplaint = 200
)

// silenced is a silence as POST /api/v2/silences takes it and GET /api/v2/silences gives it: alertmanager's api/v2/openapi.yaml,
// postableSilence and gettableSilence.
type silenced struct {
	ID       string    `json:"id,omitempty"`
	Matchers []matcher `json:"matchers"`
	StartsAt time.Time `json:"startsAt"`
	EndsAt   time.Time `json:"endsAt"`
	// CreatedBy and Comment are for people, and for us to know our own by.
	CreatedBy string  `json:"createdBy"`
	Comment   string  `json:"comment"`
	Status    *status `json:"status,omitempty"`
}

type status struct {
	State string `json:"state"`
}

type matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual,omitempty"` // absent means true
}

// errUnknown is for a silence that an Alertmanager does not have.
var errUnknown = errors.New("no such silence")

// client asks one Alertmanager.
type client struct {
	http *http.Client
	base string
}

// post creates a silence, or changes the one with its id, and returns its id, which may be another then.
func (c client) post(ctx context.Context, s silenced) (id string, err error) {
	body, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	var answer struct {
		SilenceID string `json:"silenceID"`
	}
	if err := c.do(ctx, http.MethodPost, "/api/v2/silences", body, &answer); err != nil {
		return "", err
	}
	if answer.SilenceID == "" {
		return "", errors.New("the answer names no silence")
	}
	return answer.SilenceID, nil
}

// expire ends a silence now.
func (c client) expire(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/api/v2/silence/"+url.PathEscape(id), nil, nil)
}

func (c client) list(ctx context.Context) (all []silenced, err error) {
	return all, c.do(ctx, http.MethodGet, "/api/v2/silences", nil, &all)
}

func (c client) do(ctx context.Context, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return errUnknown
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %.*q", resp.StatusCode, maxComplaint, answer)
	case err != nil:
		return err
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}
