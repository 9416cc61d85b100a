package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Media types of the Beacon API.
const (
	mediaJSON = "application/json"
	mediaSSZ  = "application/octet-stream"
)

// dialect is a client's manner of answering.
type dialect struct{ client Client }

// head sets the headers that every answer of the client has.
func (d dialect) head(w http.ResponseWriter) {
	h := w.Header()
	switch d.client {
	case Prysm:
		h.Set("Vary", "Origin")
	case Lodestar:
		h.Set("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", "*")
	case Lighthouse:
		h.Set("Server", Lighthouse.version())
	}
}

func (d dialect) mediaJSON() string {
	if d.client == Lodestar {
		return mediaJSON + "; charset=utf-8"
	}
	return mediaJSON
}

// json writes an answer. Lodestar always tells its length; the others leave it to net/http, which chunks what is long, as the servers
// written in Go do.
func (d dialect) json(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	d.head(w)
	if d.client == Prysm {
		b = append(b, '\n')
	}
	w.Header().Set("Content-Type", d.mediaJSON())
	if d.client == Lodestar {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// fail writes an error in the client's shape.
func (d dialect) fail(w http.ResponseWriter, status int, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	body := map[string]any{"code": status, "message": message}
	switch d.client {
	case Lodestar:
		body = map[string]any{"statusCode": status, "error": http.StatusText(status), "message": message}
	case Lighthouse:
		word := strings.ToUpper(strings.ReplaceAll(http.StatusText(status), " ", "_"))
		body = map[string]any{"code": status, "message": word + ": " + message, "stacktraces": []any{}}
	}
	d.json(w, status, body)
}

// missing is the answer for a thing that is not there.
func (d dialect) missing(w http.ResponseWriter, format string, args ...any) {
	status := http.StatusNotFound
	if d.client == Checkpointz {
		status = http.StatusInternalServerError
	}
	d.fail(w, status, format, args...)
}

// invalid is the answer for an id that cannot be read.
func (d dialect) invalid(w http.ResponseWriter, kind, id string) {
	switch d.client {
	case Checkpointz:
		d.fail(w, http.StatusInternalServerError, "invalid %s id: %s", kind, id)
	case Prysm:
		d.fail(w, http.StatusInternalServerError, "Could not get %s root: could not parse %s ID: strconv.ParseUint: parsing %q: invalid syntax", kind, kind, id)
	case Lodestar:
		d.fail(w, http.StatusBadRequest, "Invalid %s id '%s'", kind, id)
	default:
		d.fail(w, http.StatusBadRequest, "invalid %s ID: %s", kind, id)
	}
}

// unknownRoute is the answer for a path that the client does not have.
func (d dialect) unknownRoute(w http.ResponseWriter, r *http.Request) {
	switch d.client {
	case Checkpointz, Prysm:
		d.head(w)
		http.NotFound(w, r)
	case Lodestar:
		d.fail(w, http.StatusNotFound, "Route %s:%s not found", r.Method, r.URL.RequestURI())
	case Lighthouse:
		d.json(w, http.StatusNotFound, map[string]any{"code": 404, "message": "NOT_FOUND", "stacktraces": []any{}})
	default:
		d.fail(w, http.StatusNotFound, "Not found")
	}
}

// wrongMethod is the answer for a method that a route does not have.
func (d dialect) wrongMethod(w http.ResponseWriter, r *http.Request) {
	switch d.client {
	case Checkpointz: // httprouter's
		w.Header().Set("Allow", "GET, OPTIONS")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	case Lodestar:
		d.unknownRoute(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD")
		d.fail(w, http.StatusMethodNotAllowed, "Method not allowed")
	}
}

// envelope is data with the flags that the client puts beside it.
func (d dialect) envelope(data any, optimistic, finalized bool) map[string]any {
	switch d.client {
	case Checkpointz:
		return map[string]any{"data": data}
	case Lodestar:
		return map[string]any{"data": data, "execution_optimistic": optimistic}
	}
	return map[string]any{"data": data, "execution_optimistic": optimistic, "finalized": finalized}
}

// accepts finds which media type a request gets, among those that the route has; false means 406. Checkpointz takes the first type it
// knows and does not look at weights; Prysm and Teku refuse what they do not have; the others then answer what they have.
func (d dialect) accepts(r *http.Request, offered ...string) (string, bool) {
	accept := r.Header.Get("Accept")
	has := func(media string) bool {
		for _, o := range offered {
			if o == media {
				return true
			}
		}
		return false
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch {
		case media == "" || media == "*/*" || media == "application/*":
			media = mediaJSON
		case media != mediaJSON && media != mediaSSZ:
			continue
		}
		if has(media) {
			return media, true
		}
		if d.client == Checkpointz {
			return media, false
		}
	}
	if d.client == Prysm || d.client == Teku || d.client == Checkpointz {
		return accept, false
	}
	return offered[0], true
}

// notAcceptable is the answer to a wish that accepts refused.
func (d dialect) notAcceptable(w http.ResponseWriter, media string) {
	switch d.client {
	case Checkpointz:
		if media != mediaJSON && media != mediaSSZ {
			media = "unknown"
		}
		d.fail(w, http.StatusNotAcceptable, "unsupported content-type: %s", media)
	default:
		d.fail(w, http.StatusNotAcceptable, "Accept header value not supported")
	}
}

func parseSlot(s string) (uint64, error) { return strconv.ParseUint(s, 10, 62) }
