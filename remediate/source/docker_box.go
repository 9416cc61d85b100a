package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/moby/moby/api/types/container"
	moby "github.com/moby/moby/client"
)

// object is JSON of which not every member need be known to us: what a newer engine adds has to be carried over, too.
type object = map[string]any

// box is what the engine tells of a container.
type box struct {
	typed container.InspectResponse
	raw   object
}

// lookAt inspects a container by name or id; ok is false if there is none.
func lookAt(ctx context.Context, c *moby.Client, name string) (b box, ok bool, err error) {
	got, err := c.ContainerInspect(ctx, name, moby.ContainerInspectOptions{})
	if err = docker.Explain(err); errors.Is(err, docker.ErrNotThere) {
		return box{}, false, nil
	}
	if err != nil {
		return box{}, false, fmt.Errorf("inspect container %s: %w", name, err)
	}
	b, err = newBox(got.Raw)
	if err != nil {
		return box{}, false, fmt.Errorf("inspect container %s: %w", name, err)
	}
	return b, true, nil
}

func newBox(text []byte) (box, error) {
	var b box
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := errors.Join(d.Decode(&b.raw), json.Unmarshal(text, &b.typed)); err != nil {
		return box{}, err
	}
	in := b.typed
	if len(in.ID) < shortID || in.Name == "" || in.State == nil || in.Config == nil || in.HostConfig == nil || in.NetworkSettings == nil {
		return box{}, errors.New("the engine's answer is incomplete")
	}
	return b, nil
}

// shortID is how much of an id the engine uses as a host name and as an alias (moby pkg/stringid).
const shortID = 12

func (b box) id() string   { return b.typed.ID }
func (b box) name() string { return strings.TrimPrefix(b.typed.Name, "/") }

// up tells whether it runs, or is about to.
func (b box) up() bool {
	s := b.typed.State
	return s.Running || s.Restarting || s.Paused
}

// begun tells whether it was ever started.
func (b box) begun() bool { return !docker.Time(b.typed.State.StartedAt).IsZero() }

// part is a member of the engine's answer.
func (b box) part(name string) object { return asObject(b.raw[name]) }

func asObject(v any) object {
	o, _ := v.(object)
	if o == nil {
		return object{}
	}
	return o
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, x := range list {
		out[i], _ = x.(string)
	}
	return out
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

func clone(o object) object {
	text, err := json.Marshal(o)
	if err != nil {
		return object{} // it came from JSON
	}
	var out object
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return object{}
	}
	return out
}

// boxPlace is where the URL stands in a container's configuration.
type boxPlace struct {
	member string // of Config: Env, Entrypoint or Cmd
	index  int
	start  int    // of the URL in that text
	text   string // the whole of it
	url    string
	key    string
}

func (p boxPlace) with(url string) string { return p.text[:p.start] + url }

// find finds the variable or the flag.
func (s *DockerSource) find(b box) (boxPlace, error) {
	if s.Environment != "" {
		return findVariable(texts(b.part("Config")["Env"]), s.Environment, s)
	}
	entrypoint, cmd := texts(b.part("Config")["Entrypoint"]), texts(b.part("Config")["Cmd"])
	args := slices.Concat(entrypoint, cmd)
	f, err := client.FindFlag(args, s.Client)
	if err != nil {
		return boxPlace{}, fmt.Errorf("%s: %w", s, err)
	}
	p := boxPlace{member: "Entrypoint", index: f.Arg, start: f.Start, text: args[f.Arg], url: f.Value}
	if f.Arg >= len(entrypoint) {
		p.member, p.index = "Cmd", f.Arg-len(entrypoint)
	}
	p.key = fmt.Sprintf("%s[%d]", p.member, p.index)
	return p, nil
}

func findVariable(env []string, name string, of fmt.Stringer) (boxPlace, error) {
	var found []boxPlace
	for i, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			found = append(found, boxPlace{member: "Env", index: i, start: len(name) + 1, text: e, url: value, key: "Env[" + name + "]"})
		}
	}
	switch len(found) {
	case 0:
		return boxPlace{}, fmt.Errorf("%s: the container has no such variable", of)
	case 1:
		return found[0], nil
	}
	return boxPlace{}, fmt.Errorf("%s: the container has that variable %d times", of, len(found))
}

// managed tells who else creates this container. Whoever that is would undo the change.
func (b box) managed() error {
	l := b.typed.Config.Labels
	switch {
	case l["com.docker.compose.project"] != "":
		dir := l["com.docker.compose.project.working_dir"]
		return fmt.Errorf("docker %s: it is the service %s of a compose project, and compose would undo a change of the container itself: the source is the project's .env "+
			"(source: {env: {file: %s, key: …}}, with restart: {docker_compose: {dir: %s, service: %[2]s}})",
			b.name(), l["com.docker.compose.service"], path.Join(dir, ".env"), dir)
	case l["com.docker.swarm.service.name"] != "":
		return fmt.Errorf("docker %s: it belongs to the swarm service %s, which would undo the change", b.name(), l["com.docker.swarm.service.name"])
	case l["io.kubernetes.pod.name"] != "":
		return fmt.Errorf("docker %s: it belongs to the pod %s, which would undo the change", b.name(), l["io.kubernetes.pod.name"])
	}
	return nil
}

// obstacle tells why a container cannot be created anew without losing something.
func obstacle(ctx context.Context, c *moby.Client, b box) error {
	h := b.typed.HostConfig
	switch {
	case h.AutoRemove:
		return errors.New("it was created with --rm: whoever runs it creates it, and it cannot be kept")
	case len(h.Links) > 0:
		return errors.New("it has legacy links to other containers (--link), which cannot be carried over: use a network")
	}
	all, err := c.ContainerList(ctx, moby.ContainerListOptions{All: true})
	if err != nil {
		return fmt.Errorf("list containers: %w", docker.Explain(err))
	}
	for _, other := range all.Items {
		if other.HostConfig.NetworkMode == "container:"+b.id() {
			return fmt.Errorf("container %s uses its network, and would lose it", strings.TrimPrefix(strings.Join(other.Names, " "), "/"))
		}
	}
	return ownFiles(ctx, c, b)
}

// passing are directories in whose files nobody would miss anything.
var passing = []string{"/tmp", "/var/tmp", "/run", "/var/run", "/var/log", "/var/cache", "/dev", "/proc", "/sys", "/root/.cache", "/home/.cache"}

// maxStat bounds how many paths are looked at one by one.
const maxStat = 64

// ownFiles refuses a container that keeps files in its own layer, outside any volume: a new one would begin without them, and they may be its
// database or its keys.
func ownFiles(ctx context.Context, c *moby.Client, b box) error {
	diff, err := c.ContainerDiff(ctx, b.id(), moby.ContainerDiffOptions{})
	if err != nil {
		return fmt.Errorf("list the container's own files: %w", docker.Explain(err))
	}
	looked := 0
	for _, change := range diff.Changes {
		p := change.Path
		if change.Kind == container.ChangeDelete || isMount(b, p) || slices.ContainsFunc(passing, func(dir string) bool { return within(p, dir) }) {
			continue
		}
		if looked++; looked > maxStat {
			return fmt.Errorf("it keeps many files outside any volume, such as %s, which a new container would not have: put them into a volume", p)
		}
		stat, err := c.ContainerStatPath(ctx, b.id(), moby.ContainerStatPathOptions{Path: p})
		if errors.Is(docker.Explain(err), docker.ErrNotThere) {
			continue // it is gone meanwhile
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", p, docker.Explain(err))
		}
		if !stat.Stat.Mode.IsDir() {
			return fmt.Errorf("it keeps %s outside any volume, which a new container would not have: put it into a volume", p)
		}
	}
	return nil
}

// isMount tells whether something is mounted at a path, or the engine itself put it there.
func isMount(b box, p string) bool {
	switch p {
	case "/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab":
		return true
	}
	return slices.ContainsFunc(b.typed.Mounts, func(m container.MountPoint) bool { return p == path.Clean(m.Destination) })
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
