package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Remote is one of our programs, reached over HTTP.
type Remote struct {
	name, base string
	tokenFile  string
	client     *http.Client
}

const (
	remoteTimeout = 10 * time.Second
	// maxAnswer bounds an answer, in bytes; a hundred incidents of two hundred lines each need a part of it.
	maxAnswer = 16 << 20
	maxToken  = 4 << 10
)

// NewRemote makes one of a base URL. tokenFile holds the bearer token that it asks for; "" for none. dial is how connections are opened; nil
// means by TCP.
func NewRemote(name, base, tokenFile string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Remote, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &UsageError{fmt.Sprintf("%q is not the URL of %s", base, name), "write it like http://127.0.0.1:10178"}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dial, TLSHandshakeTimeout: remoteTimeout, DisableKeepAlives: true}
	return &Remote{
		name: name, base: strings.TrimRight(base, "/"), tokenFile: tokenFile,
		client: &http.Client{
			Transport: transport, Timeout: remoteTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token is for one host
		},
	}, nil
}

// AnswerError is an answer that is no success.
type AnswerError struct {
	// Name is who answered, Code the HTTP status, and Message the answer's own words.
	Name    string
	Code    int
	Message string
}

func (e *AnswerError) Error() string {
	text := fmt.Sprintf("%s answers %d", e.Name, e.Code)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Get asks for JSON.
func (r *Remote) Get(ctx context.Context, path string, into any) error {
	body, err := r.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s at %s does not answer as expected: is it another program? %w", r.name, r.base, err)
	}
	return nil
}

// Post sends JSON. The token has to be readable.
func (r *Remote) Post(ctx context.Context, path string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = r.do(ctx, http.MethodPost, path, body)
	return err
}

func (r *Remote) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	bearer, err := r.token()
	switch {
	case err != nil && method == http.MethodPost:
		return nil, err
	case err == nil && bearer != "":
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("%s does not answer at %s: %w", r.name, r.base, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", r.name, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("%s answers with more than %d bytes", r.name, maxAnswer)
	case resp.StatusCode/100 != 2:
		const most = 300
		return nil, &AnswerError{r.name, resp.StatusCode, strings.TrimSpace(string(answer[:min(len(answer), most)]))}
	}
	return answer, nil
}

func (r *Remote) token() (string, error) {
	if r.tokenFile == "" {
		return "", nil
	}
	f, err := os.Open(r.tokenFile)
	if err != nil {
		return "", permitted(fmt.Errorf("read the token that %s asks for: %w", r.name, err), r.tokenFile, false)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read the token that %s asks for: %w", r.name, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(text) > maxToken || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("%s does not hold a token", r.tokenFile)
	}
	return token, nil
}
