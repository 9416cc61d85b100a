package beacon

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// acceptable refuses what cannot be an answer before its body is read.
func acceptable(q request, res *http.Response) error {
	if code := res.StatusCode; code >= 300 && code < 400 {
		message := fmt.Sprintf("status %d", code)
		if to, err := res.Location(); err == nil {
			message += ": a redirect to " + clean(to.Scheme+"://"+to.Host, 200)
			if sameHost(res.Request.URL, to) {
				message += ", one too many"
			} else {
				message += ", which is another host"
			}
		}
		return &Error{Reason: HTTPStatus, Route: q.route, Status: code, Message: message}
	}
	if encoding := res.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return malformed(q.route, "the answer is encoded as %q, which was not asked for", clean(encoding, 40))
	}
	if res.StatusCode != http.StatusOK {
		return refusal(q.route, res)
	}
	return nil
}

// refusal turns an answer with an error status into an Error, with the message that its body may hold.
func refusal(route string, res *http.Response) *Error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, errorBytes))
	message := ""
	if e, ok := errorBody(body); ok {
		message = e.Message
	} else if mediaType(res) == mediaText {
		message = string(body)
	}
	e := statusError(route, res.StatusCode, message)
	e.RetryAfter = retryAfter(res.Header.Get("Retry-After"), time.Now())
	if e.Reason == RateLimited && e.RetryAfter > 0 {
		e.Message += ", to be asked again after " + e.RetryAfter.String()
	}
	return e
}

func statusError(route string, status int, message string) *Error {
	e := &Error{Reason: HTTPStatus, Route: route, Status: status, Message: fmt.Sprintf("status %d", status)}
	if status == http.StatusTooManyRequests {
		e.Reason = RateLimited
	}
	if message = clean(message, 200); message != "" {
		e.Message += ": " + message
	}
	return e
}

// retryAfter reads RFC 9110 section 10.2.3: seconds, or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil && t.After(now) {
		return t.Sub(now).Round(time.Second)
	}
	return 0
}

func mediaType(res *http.Response) string {
	t, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func isHTML(media string) bool { return media == "text/html" || media == "application/xhtml+xml" }

// bounded reads a whole body, or fails when it is larger than the limit.
func bounded(route string, res *http.Response, limit int64) ([]byte, error) {
	if res.ContentLength > limit {
		return nil, tooLarge(route, limit)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(route, limit)
	}
	return b, nil
}
