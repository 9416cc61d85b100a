package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/moby/moby/api/types/container"
	moby "github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// planned is the container as it is to be: b with another URL. Beside it only this differs, which keeps more the same than leaving it would:
//
//   - volumes without a name of their own (VOLUME of the image, -v /data) are named, so that the new container gets the same ones;
//   - an image whose name has passed to another one meanwhile is named by its id;
//   - a host name made from the old id is left out, so that one is made from the new id.
func (s *DockerSource) planned(ctx context.Context, c *moby.Client, b box, url string) (box, error) {
	p, err := s.find(b)
	if err != nil {
		return box{}, err
	}
	next := box{typed: b.typed, raw: clone(b.raw)}
	config, host := next.part("Config"), next.part("HostConfig")
	args := texts(config[p.member])
	args[p.index] = p.with(url)
	config[p.member] = anys(args)
	if config["Hostname"] == b.id()[:shortID] {
		delete(config, "Hostname")
	}
	image, err := c.ImageInspect(ctx, b.typed.Config.Image)
	if err = docker.Explain(err); err != nil && !errors.Is(err, docker.ErrNotThere) {
		return box{}, fmt.Errorf("inspect image %s: %w", b.typed.Config.Image, err)
	}
	if err != nil || image.ID != b.typed.Image {
		if _, err := c.ImageInspect(ctx, b.typed.Image); err != nil {
			return box{}, fmt.Errorf("%s: its image %s is no longer there: %w", s, b.typed.Image, err)
		}
		config["Image"] = b.typed.Image
	}
	keepVolumes(b, host)
	return next, nil
}

// keepVolumes names the volumes of b that its HostConfig does not.
func keepVolumes(b box, host object) {
	bound := map[string]bool{}
	binds := texts(host["Binds"])
	for _, bind := range binds {
		if parts := strings.Split(bind, ":"); len(parts) > 1 {
			bound[parts[1]] = true
		}
	}
	mounts, _ := host["Mounts"].([]any)
	for _, m := range b.typed.Mounts {
		if m.Type != "volume" || m.Name == "" || bound[m.Destination] {
			continue
		}
		asMount := false
		for _, v := range mounts {
			mount := asObject(v)
			if mount["Target"] == m.Destination {
				mount["Source"], asMount = m.Name, true
			}
		}
		if asMount {
			continue
		}
		bind := m.Name + ":" + m.Destination
		if !m.RW {
			bind += ":ro"
		}
		binds = append(binds, bind)
	}
	if len(binds) > 0 {
		host["Binds"] = anys(binds)
	}
}

// macInEndpoint is the first version of the API in which a network's endpoint, not the container, has the hardware address.
const macInEndpoint = "1.44"

// request is the body of the request that creates a container like b, without a restart policy, and the networks that it has to be connected to
// afterwards: before version 1.44 of the API a container is created in one network.
func (b box) request(version string) (body object, further map[string]object, err error) {
	body = clone(b.part("Config"))
	host := clone(b.part("HostConfig"))
	host["RestartPolicy"] = object{"Name": string(container.RestartPolicyDisabled)}
	body["HostConfig"] = host
	mode := b.typed.HostConfig.NetworkMode
	if mode == "host" || mode == "none" || mode.IsContainer() {
		return body, nil, nil
	}
	further = map[string]object{}
	for name, v := range asObject(b.part("NetworkSettings")["Networks"]) {
		endpoint := b.endpoint(asObject(v))
		if mac, _ := asObject(v)["MacAddress"].(string); mac != "" && !versions.LessThan(version, macInEndpoint) {
			endpoint["MacAddress"] = mac
		}
		if name == string(mode) || asObject(v)["NetworkID"] == string(mode) || name == "bridge" && (mode == "default" || mode == "") {
			body["NetworkingConfig"] = object{"EndpointsConfig": object{name: endpoint}}
			continue
		}
		further[name] = endpoint
	}
	if body["NetworkingConfig"] == nil {
		return nil, nil, fmt.Errorf("docker %s: it is not connected to its own network %s", b.name(), mode)
	}
	return body, further, nil
}

// endpoint is what was configured of a connection to a network, without what the engine made of it.
func (b box) endpoint(v object) object {
	e := object{}
	for _, key := range []string{"IPAMConfig", "Links", "DriverOpts", "GwPriority"} {
		if v[key] != nil {
			e[key] = v[key]
		}
	}
	aliases := slices.DeleteFunc(texts(v["Aliases"]), func(a string) bool { return a == b.id()[:shortID] }) // the engine's own
	if len(aliases) > 0 {
		e["Aliases"] = anys(aliases)
	}
	return e
}

// shape is what a container was created with: everything that has to be the same in its successor. Members that are empty are left out, because the
// engine tells some of them as null, once as nothing.
type shape object

func (b box) shape() shape {
	config, host := clone(b.part("Config")), clone(b.part("HostConfig"))
	if config["Hostname"] == b.id()[:shortID] {
		delete(config, "Hostname")
	}
	if b.typed.HostConfig.RestartPolicy.IsNone() {
		delete(host, "RestartPolicy")
	}
	binds := texts(host["Binds"])
	slices.Sort(binds)
	host["Binds"] = anys(binds)

	mounts := slices.Clone(b.typed.Mounts)
	slices.SortFunc(mounts, func(a, b container.MountPoint) int { return strings.Compare(a.Destination, b.Destination) })
	var mounted []any
	for _, m := range mounts {
		is := object{"Type": string(m.Type), "Name": m.Name, "Driver": m.Driver, "Destination": m.Destination, "RW": m.RW, "Propagation": string(m.Propagation)}
		if m.Type != "volume" { // a volume's place need not be known before it is mounted
			is["Source"] = m.Source
		}
		mounted = append(mounted, is)
	}
	networks := object{}
	for name, v := range asObject(b.part("NetworkSettings")["Networks"]) {
		networks[name] = b.endpoint(asObject(v))
	}
	o, _ := tidy(object{"Image": b.typed.Image, "Config": config, "HostConfig": host, "Mounts": mounted}).(object)
	o["Networks"] = tidyEach(networks)
	return shape(o)
}

// tidyEach tidies the members, and keeps those that are empty: a network counts even if nothing is configured about it.
func tidyEach(o object) object {
	out := object{}
	for k, v := range o {
		out[k] = tidy(v)
	}
	return out
}

// tidy leaves out members without a value.
func tidy(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for k, member := range v {
			if t := tidy(member); !empty(t) {
				out[k] = t
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = tidy(x)
		}
		return out
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case object:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case json.Number:
		return v == "0"
	case string:
		return v == ""
	case bool:
		return !v
	}
	return false
}

// withPolicy is the shape with another restart policy.
func (s shape) withPolicy(p container.RestartPolicy) shape {
	out := maps.Clone(s)
	host := maps.Clone(asObject(s["HostConfig"]))
	delete(host, "RestartPolicy")
	if !p.IsNone() {
		policy := object{"Name": string(p.Name)}
		if p.MaximumRetryCount != 0 {
			policy["MaximumRetryCount"] = json.Number(fmt.Sprint(p.MaximumRetryCount))
		}
		host["RestartPolicy"] = policy
	}
	out["HostConfig"] = host
	return out
}

// hash is the SHA-256 of the shape, in lower-case hex.
func (s shape) hash() string {
	text, err := json.Marshal(s)
	if err != nil {
		return "" // it came from JSON
	}
	return sum(text)
}

// differ names the first member that differs, without its value, which may be a secret; "" if none does.
func (s shape) differ(other shape) string { return differAt("", object(s), object(other)) }

func differAt(at string, a, b any) string {
	x, isX := a.(object)
	y, isY := b.(object)
	if !isX || !isY {
		if reflect.DeepEqual(a, b) {
			return ""
		}
		return strings.TrimPrefix(at, ".")
	}
	keys := slices.Collect(maps.Keys(x))
	for k := range y {
		if _, ok := x[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if where := differAt(at+"."+k, x[k], y[k]); where != "" {
			return where
		}
	}
	return ""
}
