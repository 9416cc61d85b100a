package receiver

import (
	"errors"
	"net/http"
)

// Authorize lets through only who could also send alerts: with the bearer token, if one is asked for. Wrong ones are answered as slowly.
func (r *Receiver) Authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		err := r.authenticate(req.Header.Get("Authorization"))
		if err == nil {
			next.ServeHTTP(w, req)
			return
		}
		no := &refusal{code: http.StatusServiceUnavailable, reason: "cannot tell who may do this"}
		_ = errors.As(err, &no)
		switch no.code {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Bearer realm="checkpoint_remediator"`)
		case http.StatusForbidden:
			r.punish(w, req)
		}
		http.Error(w, no.reason, no.code)
	})
}
