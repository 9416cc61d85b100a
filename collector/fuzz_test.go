package collector

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzQuestion: whatever is asked of /probe is refused with a 4xx, or is a plain base URL and a time within bounds.
func FuzzQuestion(f *testing.F) {
	f.Add("target=http://127.0.0.1:5052&module=node", "10")
	f.Add("target=https://user:password@example/path/&debug=true", "0.001")
	f.Add("target=http://[::1]:1//&target=", "1e300")
	f.Add("module=%zz;target=http://a?b#c", "-1")
	f.Add("target=HTTP://EXAMPLE%2F%2F", "NaN")
	f.Add("target=http://%25ff", "1")
	f.Fuzz(func(t *testing.T, query, header string) {
		r := httptest.NewRequest(http.MethodGet, "/probe", nil)
		r.URL.RawQuery = query
		r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", header)
		const most = 10 * time.Second
		q, err := parseQuestion(r, most)
		if err != nil {
			var refused refusal
			if !errors.As(err, &refused) || refused.status != http.StatusBadRequest || refused.reason == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		u, err := url.Parse(q.target)
		if err != nil || u.User != nil || u.Host == "" || u.Host != q.name || u.RawQuery != "" || u.Fragment != "" || !utf8.ValidString(q.name) || strings.HasSuffix(q.target, "/") {
			t.Errorf("%q is let through as %q", q.target, q.name)
		}
		if q.timeout <= 0 || q.timeout > most {
			t.Errorf("a header of %q gives %s", header, q.timeout)
		}
	})
}
