package simulate

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// page is what a parked domain answers to everything.
const page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>\n"

// upset answers as a server with faults does: the first one that answers by itself ends the request.
func (fs faults) upset(w http.ResponseWriter, r *http.Request, d dialect, next http.Handler) {
	if f, ok := fs.get(KindClockSkew); ok {
		w.Header().Set("Date", time.Now().Add(f.Delay).UTC().Format(http.TimeFormat))
	}
	for _, f := range fs {
		if !strings.HasPrefix(r.URL.Path, f.Path) {
			continue
		}
		switch f.Kind {
		case KindSlow:
			if pause(r.Context(), f.Delay) != nil {
				drop(w)
				return
			}
		case KindHang, KindAPIHang:
			<-r.Context().Done()
			drop(w) // or net/http would answer an empty 200
			return
		case KindRateLimited:
			if f.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
			}
			http.Error(w, "rate limit exceeded", http.StatusTooManyRequests)
			return
		case KindRedirect:
			http.Redirect(w, r, strings.TrimSuffix(f.To, "/")+r.URL.RequestURI(), http.StatusFound)
			return
		case KindStatus:
			code := f.Code
			if code == 0 {
				code = http.StatusInternalServerError
			}
			d.fail(w, code, "%s", strings.ToLower(http.StatusText(code)))
			return
		case KindHTML:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, page)
			return
		case KindJSONError:
			d.json(w, http.StatusOK, map[string]any{"code": http.StatusInternalServerError, "message": "internal server error"})
			return
		case KindHuge:
			huge(w, r, f.Bytes)
			return
		case KindGzipBomb:
			bomb(w, r, f.Bytes)
			return
		case KindTruncated:
			truncate(w, r, next)
			return
		case KindTrickle:
			rate := f.Bytes
			if rate == 0 {
				rate = 8 << 10
			}
			next.ServeHTTP(&trickler{w, r, rate, rate}, r)
			return
		}
	}
	next.ServeHTTP(w, r)
}

// filler is the media type that a request wants, how such a body plausibly begins, and what it goes on with.
func filler(r *http.Request) (media, begin string, more byte) {
	if strings.Contains(r.Header.Get("Accept"), mediaSSZ) {
		return mediaSSZ, "", 0
	}
	return mediaJSON, `{"data":{"version":"`, 'x'
}

const endless = 1 << 30

func huge(w http.ResponseWriter, r *http.Request, n int64) {
	if n == 0 {
		n = endless
	}
	media, begin, more := filler(r)
	w.Header().Set("Content-Type", media)
	if _, err := io.WriteString(w, begin); err != nil {
		return
	}
	b := bytes.Repeat([]byte{more}, 64<<10)
	for left := n - int64(len(begin)); left > 0; left -= int64(len(b)) {
		if _, err := w.Write(b[:min(left, int64(len(b)))]); err != nil || r.Context().Err() != nil {
			return
		}
	}
}

// bomb sends one gzip member again and again: members inflate one after the other (RFC 1952, section 2.2).
func bomb(w http.ResponseWriter, r *http.Request, n int64) {
	if n == 0 {
		n = endless
	}
	media, begin, more := filler(r)
	squeeze := func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write(b)
		_ = z.Close()
		return out.Bytes()
	}
	const member = 1 << 20
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Encoding", "gzip")
	if _, err := w.Write(squeeze([]byte(begin))); err != nil {
		return
	}
	b := squeeze(bytes.Repeat([]byte{more}, member))
	for left := n; left > 0; left -= member {
		if _, err := w.Write(b); err != nil || r.Context().Err() != nil {
			return
		}
	}
}

// truncate announces the whole length and sends less, so that net/http closes the connection in the midst of the body.
func truncate(w http.ResponseWriter, r *http.Request, next http.Handler) {
	const most = 100
	c := &cutter{header: w.Header(), keep: most}
	next.ServeHTTP(c, r)
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.total > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(c.total, 10))
	}
	w.WriteHeader(c.status)
	_, _ = w.Write(c.kept[:min(int64(len(c.kept)), c.total/2)])
}

// trickler sends a second's worth at a time.
type trickler struct {
	http.ResponseWriter
	request   *http.Request
	perSecond int64
	// room is what may be sent before the next second.
	room int64
}

// Unwrap is for http.ResponseController.
func (t *trickler) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *trickler) Write(b []byte) (sent int, err error) {
	for len(b) > 0 {
		if t.room == 0 {
			_ = http.NewResponseController(t.ResponseWriter).Flush() // where it cannot, nothing is lost
			if err := pause(t.request.Context(), time.Second); err != nil {
				return sent, err
			}
			t.room = t.perSecond
		}
		n, err := t.ResponseWriter.Write(b[:min(int64(len(b)), t.room)])
		sent, t.room, b = sent+n, t.room-int64(n), b[n:]
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// cutter counts a body and keeps its beginning.
type cutter struct {
	header http.Header
	status int
	keep   int
	kept   []byte
	total  int64
}

func (c *cutter) Header() http.Header { return c.header }

func (c *cutter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *cutter) Write(b []byte) (int, error) {
	c.total += int64(len(b))
	if room := c.keep - len(c.kept); room > 0 {
		c.kept = append(c.kept, b[:min(room, len(b))]...)
	}
	return len(b), nil
}
