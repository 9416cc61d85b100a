package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-kit/log/level"
)

// Control lets other processes drive the simulation. Answers are JSON; a refused request answers 4xx with {"error": …}, and everything
// else the Listing of what was changed.
//
//	GET    /                                  the network, every provider and every node
//	POST   /network/fault?kind=no_finality    DELETE /network/fault
//	GET    /providers/{name}                  one provider
//	POST   /providers/{name}/fault?kind=…     DELETE /providers/{name}/fault[?kind=…]
//	GET    /nodes/{name}                      one node
//	POST   /nodes/{name}/fault?kind=…         DELETE /nodes/{name}/fault[?kind=…]
//	POST   /nodes/{name}/{restart|stop|start|start_consensus|wipe|reconfigure|reset}
//	POST   /nodes/{name}/{restart|stop|start|wipe}_execution
//	GET    /nodes/{name}/logs                 the last lines of both clients
//
// The other query parameters of a fault are the fields of Fault by their JSON names, durations as Go writes them: delay=2s,
// retry_after=30s, code, bytes, to, network, part, epochs, path, cure. A restart answers when the process was started, which is not yet
// when its API is open.
func (s *Simulation) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, s.Listing()) })
	mux.HandleFunc("POST /network/fault", func(w http.ResponseWriter, r *http.Request) {
		if k := r.FormValue("kind"); Kind(k) != KindNoFinality {
			refuse(w, http.StatusBadRequest, fmt.Errorf("unknown fault %q of the network; one of no_finality", k))
			return
		}
		s.HaltFinality()
		tell(w, http.StatusOK, s.Listing())
	})
	mux.HandleFunc("DELETE /network/fault", func(w http.ResponseWriter, _ *http.Request) {
		s.ResumeFinality()
		tell(w, http.StatusOK, s.Listing())
	})

	provider := func(pattern string, do func(*Provider, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			p := s.Provider(r.PathValue("name"))
			if p == nil {
				refuse(w, http.StatusNotFound, fmt.Errorf("no provider %q", r.PathValue("name")))
				return
			}
			if err := do(p, r); err != nil {
				refuse(w, http.StatusBadRequest, err)
				return
			}
			tell(w, http.StatusOK, p.listing())
		})
	}
	provider("GET /providers/{name}", func(*Provider, *http.Request) error { return nil })
	provider("POST /providers/{name}/fault", func(p *Provider, r *http.Request) error { return setFrom(r, p.SetFault) })
	provider("DELETE /providers/{name}/fault", func(p *Provider, r *http.Request) error { return p.ClearFaults(kindsOf(r)...) })

	node := func(pattern string, do func(*Node, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			n := s.Node(r.PathValue("name"))
			if n == nil {
				refuse(w, http.StatusNotFound, fmt.Errorf("no node %q", r.PathValue("name")))
				return
			}
			if err := do(n, r); err != nil {
				refuse(w, http.StatusBadRequest, err)
				return
			}
			tell(w, http.StatusOK, n.listing())
		})
	}
	node("GET /nodes/{name}", func(*Node, *http.Request) error { return nil })
	mux.HandleFunc("GET /nodes/{name}/logs", func(w http.ResponseWriter, r *http.Request) {
		n := s.Node(r.PathValue("name"))
		if n == nil {
			refuse(w, http.StatusNotFound, fmt.Errorf("no node %q", r.PathValue("name")))
			return
		}
		tell(w, http.StatusOK, map[string][]string{"consensus": n.Logs(maxLogLines), "execution": n.ExecutionLogs(maxLogLines)})
	})
	node("POST /nodes/{name}/fault", func(n *Node, r *http.Request) error { return setFrom(r, n.SetFault) })
	node("DELETE /nodes/{name}/fault", func(n *Node, r *http.Request) error { return n.ClearFaults(kindsOf(r)...) })
	// A client that hangs up must not leave the process half started.
	lasting := func(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }
	for verb, do := range map[string]func(*Node, *http.Request) error{
		"start":             func(n *Node, r *http.Request) error { return n.Start(lasting(r)) },
		"restart":           func(n *Node, r *http.Request) error { return n.Restart(lasting(r)) },
		"restart_execution": func(n *Node, r *http.Request) error { return n.RestartExecution(lasting(r)) },
		"stop":              func(n *Node, _ *http.Request) error { n.Stop(); return nil },
		"stop_execution":    func(n *Node, _ *http.Request) error { n.StopExecution(); return nil },
		"start_consensus":   func(n *Node, r *http.Request) error { return n.StartConsensus(lasting(r)) },
		"start_execution":   func(n *Node, r *http.Request) error { return n.StartExecution(lasting(r)) },
		"reset":             func(n *Node, r *http.Request) error { return n.Reset(lasting(r)) },
		"wipe":              func(n *Node, _ *http.Request) error { n.Wipe(); return nil },
		"wipe_execution":    func(n *Node, _ *http.Request) error { n.WipeExecution(); return nil },
		"reconfigure":       func(n *Node, _ *http.Request) error { n.Reconfigure(); return nil },
	} {
		node("POST /nodes/{name}/"+verb, do)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		level.Debug(s.logger).Log("msg", "control", "method", r.Method, "path", r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}

func tell(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	tell(w, status, map[string]string{"error": err.Error()})
}

func setFrom(r *http.Request, set func(Fault) error) error {
	f, err := ParseFault(r.URL.Query())
	if err != nil {
		return err
	}
	return set(f)
}

func kindsOf(r *http.Request) []Kind {
	var kinds []Kind
	for _, k := range r.URL.Query()["kind"] {
		kinds = append(kinds, Kind(k))
	}
	return kinds
}

// ParseFault reads a fault from query parameters named as in Control. Whether its bearer can have it is for SetFault to say.
func ParseFault(q url.Values) (Fault, error) {
	f := Fault{
		Kind: Kind(q.Get("kind")), Path: q.Get("path"), To: q.Get("to"), Network: q.Get("network"), Part: Part(q.Get("part")), Cure: Cure(q.Get("cure")),
	}
	for key, read := range map[string]func(string) error{
		"delay":       func(s string) (err error) { f.Delay, err = time.ParseDuration(s); return err },
		"retry_after": func(s string) (err error) { f.RetryAfter, err = time.ParseDuration(s); return err },
		"code":        func(s string) (err error) { f.Code, err = strconv.Atoi(s); return err },
		"bytes":       func(s string) (err error) { f.Bytes, err = strconv.ParseInt(s, 10, 64); return err },
		"epochs":      func(s string) (err error) { f.Epochs, err = strconv.ParseUint(s, 10, 32); return err },
	} {
		if s := q.Get(key); s != "" {
			if err := read(s); err != nil {
				return Fault{}, fmt.Errorf("parameter %s of the fault: %w", key, err)
			}
		}
	}
	return f, nil
}

// Values are the query parameters that ParseFault reads.
func (f Fault) Values() url.Values {
	q := url.Values{}
	set := func(key, value string, zero bool) {
		if !zero {
			q.Set(key, value)
		}
	}
	set("kind", string(f.Kind), false)
	set("path", f.Path, f.Path == "")
	set("to", f.To, f.To == "")
	set("network", f.Network, f.Network == "")
	set("part", string(f.Part), f.Part == "")
	set("cure", string(f.Cure), f.Cure == "")
	set("delay", f.Delay.String(), f.Delay == 0)
	set("retry_after", f.RetryAfter.String(), f.RetryAfter == 0)
	set("code", strconv.Itoa(f.Code), f.Code == 0)
	set("bytes", strconv.FormatInt(f.Bytes, 10), f.Bytes == 0)
	set("epochs", strconv.FormatUint(f.Epochs, 10), f.Epochs == 0)
	return q
}
