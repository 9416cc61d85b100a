package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/checkpoint-exporter/checkpoint_exporter/beacon"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Client is a client that was found.
type Client struct {
	// Name is one of config.ConsensusClients or config.ExecutionClients; "" for one that answers but is not known.
	Name  string `json:"client"`
	Layer Layer  `json:"layer"`
	// Version is its own word; "" if it does not answer.
	Version string `json:"version,omitempty"`
	// Unit, Container and Compose are what it runs as.
	Unit      string   `json:"unit,omitempty"`
	Container string   `json:"container,omitempty"`
	Compose   *Compose `json:"compose,omitempty"`
	Running   bool     `json:"running"`
	// API is the base URL of its API, and Answers whether it answered there.
	API     string `json:"api,omitempty"`
	Answers bool   `json:"answers"`
	// Metrics is the URL of its own metrics.
	Metrics string `json:"metrics,omitempty"`
	// DataDir is its data directory on this machine, Slashing the slashing protection of a validator client.
	DataDir string `json:"data_dir,omitempty"`
	// Source is the checkpoint URL on its command line.
	Source string `json:"source,omitempty"`
	// Flagged tells that the command line has the checkpoint flag, with Source as its value.
	Flagged bool `json:"flagged,omitempty"`
}

// Compose is the compose project and service of a container.
type Compose struct {
	Dir     string `json:"dir"`
	Service string `json:"service"`
}

// As is what it runs as, in words.
func (c Client) As() string {
	switch {
	case c.Unit != "":
		return c.Unit
	case c.Compose != nil:
		return fmt.Sprintf("compose service %s in %s", c.Compose.Service, c.Compose.Dir)
	case c.Container != "":
		return "container " + c.Container
	}
	return "not known"
}

// Found is what was found on a machine.
type Found struct {
	Clients []Client `json:"clients"`
	// Problems are places where nothing could be looked for, and why.
	Problems []string `json:"problems,omitempty"`
	// Systemd tells that systemd runs here.
	Systemd bool `json:"systemd"`
}

// Finder looks at a machine.
type Finder struct {
	Machine Machine
	// Dial opens connections to clients; nil means by TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// apiPorts are the default ports of the clients' APIs.
var apiPorts = map[Layer][]uint16{Consensus: {5052, 5051, 3500, 9596}, Execution: {8545}}

// answersWithin bounds how long a client may take to tell its version.
const answersWithin = 3 * time.Second

// Find looks for clients among units and containers, and asks those ports on which clients usually listen. It does not fail: what could not be
// looked at is told.
func (f Finder) Find(ctx context.Context) Found {
	found := Found{Systemd: true}
	services, err := f.Machine.Services(ctx)
	switch {
	case errors.Is(err, ErrNoSystemd):
		found.Systemd = false
	case err != nil:
		found.Problems = append(found.Problems, err.Error())
	}
	for _, s := range services {
		if c, ok := clientOf(s.Args, ""); ok {
			c.Unit, c.Running = s.Unit, s.Running
			found.Clients = append(found.Clients, c)
		}
	}
	containers, err := f.Machine.Containers(ctx)
	if err != nil {
		found.Problems = append(found.Problems, err.Error())
	}
	for _, b := range containers {
		if c, ok := clientOf(b.Args, b.Image); ok {
			found.Clients = append(found.Clients, b.place(c))
		}
	}
	ports, err := f.Machine.Ports()
	if err != nil {
		found.Problems = append(found.Problems, err.Error())
	}
	f.listen(&found, ports)
	f.ask(ctx, &found)
	found.Clients = slices.DeleteFunc(found.Clients, func(c Client) bool { return c.Name == "" && !c.Answers })
	slices.SortStableFunc(found.Clients, func(a, b Client) int { return a.rank() - b.rank() })
	return found
}

// rank puts those first that run and answer.
func (c Client) rank() int {
	n := 0
	if !c.Answers {
		n++
	}
	if !c.Running {
		n += 2
	}
	return n
}

// clientOf is the client of a command line, as if it ran on this machine itself.
func clientOf(args []string, image string) (Client, bool) {
	args = unwrap(args)
	p, layer := recognise(args, image)
	if p == nil {
		return Client{}, false
	}
	c := Client{Name: p.client, Layer: layer}
	if slices.Contains(engines, filepath.Base(args[0])) {
		if layer != Validator {
			c.API = "http://127.0.0.1:" + p.apiPort
		}
		return c, true
	}
	if dir, ok := flagValue(args, p.data); ok && filepath.IsAbs(dir) {
		c.DataDir = filepath.Clean(dir)
	}
	if layer == Validator {
		return c, true
	}
	port, ok := flagValue(args, p.port)
	if _, err := strconv.ParseUint(port, 10, 16); !ok || err != nil {
		port = p.apiPort
	}
	c.API = "http://127.0.0.1:" + port
	if layer == Consensus {
		if at := p.metricsAt(args); at != "" {
			c.Metrics = "http://127.0.0.1:" + at + "/metrics"
		}
		if place, err := client.FindFlag(args, p.client); err == nil {
			c.Source, c.Flagged = place.Value, true
		}
	}
	return c, true
}

// place gives a client the names that things in its container have on this machine.
func (b Container) place(c Client) Client {
	c.Container, c.Running = b.Name, b.Running
	if dir, service := b.Labels["com.docker.compose.project.working_dir"], b.Labels["com.docker.compose.service"]; filepath.IsAbs(dir) && service != "" {
		c.Compose = &Compose{Dir: filepath.Clean(dir), Service: service}
	}
	c.DataDir = b.outside(c.DataDir)
	if b.Host {
		return c
	}
	c.API = b.published(c.API, "")
	c.Metrics = b.published(c.Metrics, "/metrics")
	return c
}

// outside is the path on this machine of one in the container; "" if it is none.
func (b Container) outside(dir string) string {
	if dir == "" {
		return ""
	}
	for at := dir; ; at = filepath.Dir(at) {
		if host := b.Mounts[at]; filepath.IsAbs(host) {
			return filepath.Join(host, strings.TrimPrefix(dir, at))
		}
		if at == "/" || at == "." {
			return ""
		}
	}
}

// published is the URL on this machine of one in the container; "" if its port is not published.
func (b Container) published(url, path string) string {
	at := strings.TrimSuffix(url, path)
	port := at[strings.LastIndexByte(at, ':')+1:]
	if host := b.Ports[port+"/tcp"]; url != "" && host != "" {
		return "http://127.0.0.1:" + host + path
	}
	return ""
}

// listen adds a client for each well-known port on which something listens that no client has been found for.
func (f Finder) listen(found *Found, ports []uint16) {
	for _, layer := range []Layer{Consensus, Execution} {
		for _, p := range apiPorts[layer] {
			api := fmt.Sprintf("http://127.0.0.1:%d", p)
			if slices.Contains(ports, p) && !slices.ContainsFunc(found.Clients, func(c Client) bool { return c.API == api && c.Running }) {
				found.Clients = append(found.Clients, Client{Layer: layer, API: api})
			}
		}
	}
}

// ask asks every client for its version, by which it is known if nothing else told.
func (f Finder) ask(ctx context.Context, found *Found) {
	const atOnce = 8
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range found.Clients {
		c := &found.Clients[i]
		if c.API == "" {
			continue
		}
		g.Go(func() error { f.askOne(ctx, c); return nil })
	}
	_ = g.Wait() // what failed stands in the clients
	// One that stands still and one that answers at the same place are one and the same where nobody else is known to answer there.
	for i := range found.Clients {
		c := &found.Clients[i]
		if !c.Running && c.Answers && (c.Unit != "" || c.Container != "") {
			c.Answers, c.Version = false, ""
		}
	}
}

func (f Finder) askOne(ctx context.Context, c *Client) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	o := beacon.Options{UserAgent: "checkpoint", Timeout: answersWithin, Dial: f.Dial}
	var v beacon.ClientVersion
	if c.Layer == Execution {
		e, err := beacon.NewExecution(c.API, o)
		if err != nil {
			return
		}
		defer e.CloseIdle()
		if v, err = e.Version(ctx); err != nil {
			return
		}
	} else {
		b, err := beacon.NewClient(c.API, o)
		if err != nil {
			return
		}
		defer b.CloseIdle()
		if v, err = b.Version(ctx); err != nil {
			return
		}
	}
	name := strings.ToLower(v.Client)
	if c.Name == "" && !known(name) {
		return
	}
	c.Answers, c.Version = true, v.Version
	if c.Name == "" {
		c.Name, c.Running = name, true
	}
	if c.Name != name && known(name) { // something else has the port
		c.Answers, c.Version = false, ""
	}
}

func known(name string) bool {
	return slices.ContainsFunc(programs, func(p program) bool { return p.client == name })
}

// Of are the clients of a layer, by name if that is not "".
func (f Found) Of(layer Layer, name string) []Client {
	var out []Client
	for _, c := range f.Clients {
		if c.Layer == layer && (name == "" || c.Name == name) {
			out = append(out, c)
		}
	}
	return out
}
