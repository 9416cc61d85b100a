package beacon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// number is an unsigned integer, which the Beacon API writes as a decimal string and some servers as a number.
type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not an unsigned integer", clean(string(b), 40))
	}
	*n = number(v)
	return nil
}

func (n *number) ptr() *uint64 {
	if n == nil {
		return nil
	}
	v := uint64(*n)
	return &v
}

// flag is a boolean, which checkpointz writes as a string in places.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "true":
		*f = true
	case "false":
		*f = false
	default:
		return fmt.Errorf("%s is not a boolean", clean(string(b), 40))
	}
	return nil
}

func (f *flag) ptr() *bool {
	if f == nil {
		return nil
	}
	v := bool(*f)
	return &v
}

// errorReply is an error as the Beacon API, checkpointz and Lodestar write it.
type errorReply struct {
	Code       json.Number     `json:"code"`
	StatusCode json.Number     `json:"statusCode"`
	Message    string          `json:"message"`
	Data       json.RawMessage `json:"data"`
	status     int
}

// errorBody tells whether a body is a JSON error: an object with a status of at least 400 and no data.
func errorBody(b []byte) (errorReply, bool) {
	var e errorReply
	if json.Unmarshal(b, &e) != nil || e.Data != nil {
		return errorReply{}, false
	}
	for _, n := range []json.Number{e.Code, e.StatusCode} {
		if code, err := strconv.Atoi(n.String()); err == nil && code >= 400 && code < 600 {
			e.status = code
			return e, true
		}
	}
	return errorReply{}, false
}

// get asks a route for JSON and decodes what comes, known to be JSON and no error.
func get[T any](ctx context.Context, d *door, path string, limit int64, decode func([]byte) (T, error)) (T, error) {
	var v, none T
	q := request{method: http.MethodGet, path: path, accept: mediaJSON}
	err := d.ask(ctx, q, func(res *http.Response) error {
		body, err := bounded(path, res, limit)
		if err != nil {
			return err
		}
		v, err = decodeJSON(path, mediaType(res), body, decode)
		return err
	})
	if err != nil {
		return none, err
	}
	return v, nil
}

func decodeJSON[T any](route, media string, body []byte, decode func([]byte) (T, error)) (T, error) {
	var none T
	if start := bytes.TrimLeft(body, " \t\r\n"); isHTML(media) || len(start) > 0 && start[0] == '<' {
		return none, malformed(route, "an HTML page where JSON was asked for")
	}
	if e, ok := errorBody(body); ok {
		// A status that only the body has is an error all the same.
		return none, statusError(route, e.status, e.Message)
	}
	v, err := decode(body)
	if err != nil {
		return none, &Error{Reason: Malformed, Route: route, Status: http.StatusOK, Message: clean(jsonFault(err), 200), Err: err}
	}
	return v, nil
}

func jsonFault(err error) string {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON: %v at byte %d", err, syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("field %q holds a JSON %s", kind.Field, kind.Value)
	}
	return err.Error()
}

// unwrap decodes the data of the Beacon API's envelope, which has to be there.
func unwrap[T any](body []byte) (T, error) {
	var envelope struct {
		Data *T `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return *new(T), err
	}
	return need("data", envelope.Data)
}

func missing(field string) error { return fmt.Errorf("the field %q is missing", field) }

// need gives the value of a required field.
func need[T any](field string, p *T) (T, error) {
	if p == nil {
		var none T
		return none, missing(field)
	}
	return *p, nil
}

// wireCheckpoint is a checkpoint on the wire.
type wireCheckpoint struct {
	Epoch *number       `json:"epoch"`
	Root  *network.Root `json:"root"`
}

func (w *wireCheckpoint) checkpoint() (Checkpoint, error) {
	if w == nil {
		return Checkpoint{}, missing("finalized")
	}
	epoch, err := need("epoch", w.Epoch)
	if err != nil {
		return Checkpoint{}, err
	}
	root, err := need("root", w.Root)
	return Checkpoint{Epoch: uint64(epoch), Root: root}, err
}
