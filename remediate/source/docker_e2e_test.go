//go:build e2e

package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

const (
	dockerEnv = "CHECKPOINT_E2E_DOCKER"
	imageEnv  = "CHECKPOINT_E2E_DOCKER_IMAGE"
)

// boxes is a real engine.
type boxes struct {
	*client.Client
	host, image string
}

func newBoxes(t *testing.T) boxes {
	t.Helper()
	b := boxes{host: os.Getenv(dockerEnv), image: os.Getenv(imageEnv)}
	if b.host == "" || b.image == "" {
		t.Fatalf("%s or %s is not set", dockerEnv, imageEnv)
	}
	var err error
	if b.Client, err = client.New(client.WithHost(b.host)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b boxes) create(t *testing.T, config *container.Config, host *container.HostConfig, networks *network.NetworkingConfig) string {
	t.Helper()
	name := fmt.Sprintf("cl-%d", time.Now().UnixNano())
	if config.Image == "" {
		config.Image = b.image
	}
	made, err := b.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: config, HostConfig: host, NetworkingConfig: networks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.sweep(t, name) })
	if _, err := b.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// sweep removes a container and what was made of it.
func (b boxes) sweep(t *testing.T, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := b.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		t.Error(err)
	}
	for _, c := range all.Items {
		if slices.ContainsFunc(c.Names, func(n string) bool { return strings.HasPrefix(n, "/"+name) }) {
			_, _ = b.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
	}
}

func (b boxes) names(t *testing.T, name string) []string {
	t.Helper()
	all, err := b.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range all.Items {
		for _, n := range c.Names {
			if strings.HasPrefix(n, "/"+name) {
				out = append(out, strings.TrimPrefix(n, "/"+name)+" "+string(c.State))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (b boxes) inspect(t *testing.T, name string) (container.InspectResponse, map[string]any) {
	t.Helper()
	got, err := b.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(got.Raw, &raw); err != nil {
		t.Fatal(err)
	}
	mounts, _ := raw["Mounts"].([]any) // the engine tells them in any order
	slices.SortFunc(mounts, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["Destination"].(string), b.(map[string]any)["Destination"].(string))
	})
	return got.Container, raw
}

func (b boxes) source(t *testing.T, d source.Docker, step func(string) error) *source.DockerSource {
	t.Helper()
	d.Host = b.host
	if d.Environment == "" {
		d.Client = "lighthouse"
	}
	s, err := source.NewDocker(d, source.Options{Step: step})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	one = "http://one.example:1/a?b=c"
	two = "https://two.example/"
)

// rich is a container with one of everything that must be kept.
func (b boxes) rich(t *testing.T, env string) string {
	t.Helper()
	suffix := fmt.Sprint(time.Now().UnixNano())
	for i, subnet := range []string{"172.28.1.0/24", "172.28.2.0/24"} {
		name := fmt.Sprintf("net%d-%s", i, suffix)
		made, err := b.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix(subnet)}}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = b.NetworkRemove(context.Background(), made.ID, client.NetworkRemoveOptions{}) })
	}
	grace, pids := 7, int64(100)
	http := network.MustParsePort("5052/tcp")
	dir := t.TempDir()
	name := b.create(t, &container.Config{
		Image: b.image, User: "65534:65534", Cmd: []string{"-exit-on-term=3", "--checkpoint-sync-url", one}, Env: []string{"CHECKPOINT_URL=" + env, "B=c d=e", "EMPTY="},
		Labels: map[string]string{"mine": "yes", "b": ""}, ExposedPorts: network.PortSet{http: {}}, Volumes: map[string]struct{}{"/anonymous": {}},
		WorkingDir: "/tmp", StopSignal: "SIGTERM", StopTimeout: &grace, Domainname: "example", Hostname: "node",
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "/boxed", "-crash=0"}, Interval: time.Hour, Timeout: time.Second, Retries: 9, StartPeriod: time.Minute},
	}, &container.HostConfig{
		Binds: []string{dir + ":/bound:ro", "named-" + suffix + ":/named"},
		Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Target: "/nameless"}, {Type: mount.TypeTmpfs, Target: "/scratch", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20}},
			{Type: mount.TypeVolume, Source: "other-" + suffix, Target: "/other", ReadOnly: true},
		},
		Tmpfs: map[string]string{"/tmpfs": "size=1m"}, NetworkMode: container.NetworkMode("net0-" + suffix),
		PortBindings:  network.PortMap{http: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "15052"}}},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 5},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
		CapDrop:       []string{"ALL"}, CapAdd: []string{"NET_BIND_SERVICE"}, SecurityOpt: []string{"no-new-privileges"}, ReadonlyRootfs: true,
		DNSSearch: []string{"example"}, ExtraHosts: []string{"el:10.0.0.1"}, GroupAdd: []string{"100"}, OomScoreAdj: 100, ShmSize: 1 << 20,
		Sysctls: map[string]string{"net.core.somaxconn": "512"}, PidMode: "host", IpcMode: "shareable",
		Resources: container.Resources{Memory: 64 << 20, CPUShares: 512, PidsLimit: &pids, Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 1000, Hard: 2000}}},
	}, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"net0-" + suffix: {
		Aliases: []string{"consensus", "cl"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("172.28.1.77")}}}})
	if _, err := b.NetworkConnect(t.Context(), "net1-"+suffix, client.NetworkConnectOptions{Container: name, EndpointConfig: &network.EndpointSettings{
		Aliases: []string{"second"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("172.28.2.78")}}}); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestE2EDockerSourceKeepsEverything compares the whole of two inspects, and names what may differ.
func TestE2EDockerSourceKeepsEverything(t *testing.T) {
	b := newBoxes(t)
	for name, d := range map[string]source.Docker{"flag": {}, "variable": {Environment: "CHECKPOINT_URL"}} {
		t.Run(name, func(t *testing.T) {
			d.Container = b.rich(t, one)
			before, was := b.inspect(t, d.Container)
			s := b.source(t, d, nil)
			if got, err := s.Read(t.Context()); err != nil || got != one {
				t.Fatalf("Read = %q, %v", got, err)
			}
			change, err := s.Plan(t.Context(), two)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(change.Diff+string(change.Detail), "c d=e") {
				t.Errorf("the plan tells other variables: %s", change.Diff)
			}
			if cond, err := s.Look(t.Context(), change); err != nil || cond != source.NotApplied {
				t.Errorf("planned: %s, %v", cond, err)
			}
			if err := s.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if cond, err := s.Look(t.Context(), change); err != nil || cond != source.Applied {
				t.Errorf("applied: %s, %v", cond, err)
			}
			if got, err := s.Read(t.Context()); err != nil || got != two {
				t.Errorf("Read = %q, %v", got, err)
			}
			after, is := b.inspect(t, d.Container)
			if !after.State.Running || after.ID == before.ID {
				t.Errorf("%+v", after.State)
			}
			checkKept(t, was, is)
			if err := s.Apply(t.Context(), change); !errors.Is(err, source.ErrChanged) {
				t.Errorf("applied twice: %v", err)
			}

			// Back, and everything as it was.
			if err := s.Restore(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			again, raw := b.inspect(t, d.Container)
			if again.ID != before.ID || !again.State.Running {
				t.Errorf("restored: %s, %+v", again.ID, again.State)
			}
			for _, part := range []string{"Config", "HostConfig", "Mounts", "Image", "Name"} {
				if diff := cmp.Diff(was[part], raw[part]); diff != "" {
					t.Errorf("restored %s (-want +got):\n%s", part, diff)
				}
			}
			if got := b.names(t, d.Container); !slices.Equal(got, []string{" running"}) {
				t.Errorf("left over: %q", got)
			}
			if err := s.Restore(t.Context(), change); err != nil {
				t.Errorf("restored twice: %v", err)
			}

			// Forth again, and settled.
			if change, err = s.Plan(t.Context(), two); err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Settle(t.Context(), change); err != nil {
					t.Error(err)
				}
			}
			if cond, err := s.Look(t.Context(), change); err != nil || cond != source.Applied {
				t.Errorf("settled: %s, %v", cond, err)
			}
			if got := b.names(t, d.Container); !slices.Equal(got, []string{" running"}) {
				t.Errorf("settled, and left: %q", got)
			}
			_, is = b.inspect(t, d.Container)
			checkKept(t, was, is)
			if err := s.Restore(t.Context(), change); err == nil {
				t.Error("restored what was settled")
			}
		})
	}
}

// checkKept compares inspects but for what belongs to one run of one container.
func checkKept(t *testing.T, was, is map[string]any) {
	t.Helper()
	member := func(o map[string]any, path ...string) map[string]any {
		for _, p := range path {
			o, _ = o[p].(map[string]any)
		}
		return o
	}
	normal := func(o map[string]any) map[string]any {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), two, one)), &out); err != nil { // the one thing that differs
			t.Fatal(err)
		}
		id, _ := out["Id"].(string)
		for _, k := range []string{"Id", "Created", "State", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver", "RestartCount"} {
			delete(out, k)
		}
		settings := member(out, "NetworkSettings")
		for _, k := range []string{"SandboxID", "SandboxKey", "EndpointID"} {
			delete(settings, k)
		}
		for _, v := range member(settings, "Networks") {
			n := v.(map[string]any)
			delete(n, "EndpointID")
			var aliases []string
			list, _ := n["Aliases"].([]any)
			for _, a := range list {
				if a != id[:12] {
					aliases = append(aliases, a.(string))
				}
			}
			slices.Sort(aliases)
			n["Aliases"] = aliases
		}
		// Volumes without a name have one now.
		host := member(out, "HostConfig")
		var binds []string
		list, _ := host["Binds"].([]any)
		for _, bind := range list {
			if name, _, _ := strings.Cut(bind.(string), ":"); len(name) != 64 {
				binds = append(binds, bind.(string))
			}
		}
		host["Binds"] = binds
		mounts, _ := host["Mounts"].([]any)
		for _, m := range mounts {
			if source, _ := m.(map[string]any)["Source"].(string); len(source) == 64 {
				delete(m.(map[string]any), "Source")
			}
		}
		list, _ = out["Mounts"].([]any)
		for _, m := range list {
			delete(m.(map[string]any), "Mode")
		}
		return out
	}
	if diff := cmp.Diff(normal(was), normal(is)); diff != "" {
		t.Errorf("more than the URL differs (-before +after):\n%s", diff)
	}
}

func TestE2EDockerSourceEveryCrash(t *testing.T) {
	b := newBoxes(t)
	always := container.RestartPolicy{Name: container.RestartPolicyAlways}
	died := errors.New("the process died")
	further := fmt.Sprintf("further-%d", time.Now().UnixNano())
	if _, err := b.NetworkCreate(t.Context(), further, client.NetworkCreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = b.NetworkRemove(context.Background(), further, client.NetworkRemoveOptions{}) })
	start := func(t *testing.T) (string, container.InspectResponse) {
		name := b.create(t, &container.Config{Cmd: []string{"--checkpoint-sync-url=" + one}}, &container.HostConfig{RestartPolicy: always}, nil)
		if _, err := b.NetworkConnect(t.Context(), further, client.NetworkConnectOptions{Container: name}); err != nil {
			t.Fatal(err)
		}
		is, _ := b.inspect(t, name)
		return name, is
	}
	restored := func(t *testing.T, name string, was container.InspectResponse) {
		t.Helper()
		is, _ := b.inspect(t, name)
		if is.ID != was.ID || !is.State.Running || is.HostConfig.RestartPolicy != always {
			t.Errorf("not as it was: %+v, %+v", is.State, is.HostConfig.RestartPolicy)
		}
		if got := b.names(t, name); !slices.Equal(got, []string{" running"}) {
			t.Errorf("left over: %q", got)
		}
	}
	// How many calls there are is found out first.
	var steps []string
	name, was := start(t)
	s := b.source(t, source.Docker{Container: name}, func(step string) error { steps = append(steps, step); return nil })
	change, err := s.Plan(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	forth := len(steps)
	if err := s.Restore(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	back := len(steps) - forth
	restored(t, name, was)
	if forth < 8 || back < 7 || !slices.Contains(steps, source.StepConnect) {
		t.Fatalf("%d steps forth and %d back: %q", forth, back, steps)
	}
	t.Logf("%d steps forth, %d back", forth, back)

	for k := range forth {
		t.Run(fmt.Sprintf("dies before step %d (%s)", k, steps[k]), func(t *testing.T) {
			name, was := start(t)
			calls := 0
			dies := func(string) error {
				if calls++; calls > k {
					return died
				}
				return nil
			}
			s := b.source(t, source.Docker{Container: name}, dies)
			change, err := s.Plan(t.Context(), two)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(t.Context(), change); !errors.Is(err, died) {
				t.Fatalf("Apply: %v", err)
			}
			b.neverTwo(t, name)
			s = b.source(t, source.Docker{Container: name}, nil)
			want := source.Half
			if k == 0 {
				want = source.NotApplied
			}
			if cond, err := s.Look(t.Context(), change); err != nil || cond != want {
				t.Errorf("Look = %s, %v, want %s", cond, err, want)
			}
			if err := s.Restore(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			restored(t, name, was)
		})
		t.Run(fmt.Sprintf("step %d fails (%s)", k, steps[k]), func(t *testing.T) {
			name, was := start(t)
			calls := 0
			s := b.source(t, source.Docker{Container: name}, func(string) error {
				if calls++; calls == k+1 {
					return died
				}
				return nil
			})
			change, err := s.Plan(t.Context(), two)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(t.Context(), change); !errors.Is(err, died) {
				t.Fatalf("Apply: %v", err)
			}
			if cond, err := s.Look(t.Context(), change); err != nil || cond != source.NotApplied {
				t.Errorf("Look = %s, %v", cond, err)
			}
			restored(t, name, was)
		})
	}
	for k := range back {
		t.Run(fmt.Sprintf("dies on the way back before step %d (%s)", k, steps[forth+k]), func(t *testing.T) {
			name, was := start(t)
			s := b.source(t, source.Docker{Container: name}, nil)
			change, err := s.Plan(t.Context(), two)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			calls := 0
			dies := b.source(t, source.Docker{Container: name}, func(string) error {
				if calls++; calls > k {
					return died
				}
				return nil
			})
			if err := dies.Restore(t.Context(), change); !errors.Is(err, died) {
				t.Fatalf("Restore: %v", err)
			}
			b.neverTwo(t, name)
			if cond, err := s.Look(t.Context(), change); err != nil || cond == source.Edited || cond == source.NotApplied {
				t.Errorf("Look = %s, %v", cond, err)
			}
			if err := s.Restore(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			restored(t, name, was)
		})
	}
}

// neverTwo makes sure that at most one container runs, or would when the machine comes up.
func (b boxes) neverTwo(t *testing.T, name string) {
	t.Helper()
	all, err := b.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	runs, would := 0, 0
	for _, c := range all.Items {
		if !slices.ContainsFunc(c.Names, func(n string) bool { return strings.HasPrefix(n, "/"+name) }) {
			continue
		}
		is, _ := b.inspect(t, c.ID)
		if is.State.Running {
			runs++
		}
		if !is.HostConfig.RestartPolicy.IsNone() {
			would++
		}
	}
	if runs > 1 || would > 1 {
		t.Errorf("%d run, %d would at boot: %q", runs, would, b.names(t, name))
	}
}

func TestE2EDockerSourceRefuses(t *testing.T) {
	b := newBoxes(t)
	url := []string{"--checkpoint-sync-url", one}
	plan := func(t *testing.T, name, say string) {
		t.Helper()
		s := b.source(t, source.Docker{Container: name}, nil)
		before := b.names(t, name)
		if _, err := s.Plan(t.Context(), two); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("Plan: %v, want it to say %q", err, say)
		}
		if after := b.names(t, name); !slices.Equal(before, after) {
			t.Errorf("%q became %q", before, after)
		}
	}
	t.Run("of a compose project", func(t *testing.T) {
		name := b.create(t, &container.Config{Cmd: url, Labels: map[string]string{
			"com.docker.compose.project": "eth-docker", "com.docker.compose.service": "consensus", "com.docker.compose.project.working_dir": "/home/eth/eth-docker"}}, nil, nil)
		plan(t, name, "/home/eth/eth-docker/.env")
		if _, err := b.source(t, source.Docker{Container: name}, nil).Read(t.Context()); err == nil {
			t.Error("it is read")
		}
	})
	t.Run("removes itself", func(t *testing.T) {
		plan(t, b.create(t, &container.Config{Cmd: url}, &container.HostConfig{AutoRemove: true}, nil), "--rm")
	})
	t.Run("keeps files of its own", func(t *testing.T) {
		name := b.create(t, &container.Config{Cmd: append([]string{"-write=/slashing_protection.sqlite"}, url...)}, nil, nil)
		eventuallySaid(t, b, name, "ready")
		plan(t, name, "/slashing_protection.sqlite")
	})
	t.Run("shares its network", func(t *testing.T) {
		name := b.create(t, &container.Config{Cmd: url}, nil, nil)
		other := b.create(t, &container.Config{}, &container.HostConfig{NetworkMode: container.NetworkMode("container:" + name)}, nil)
		plan(t, name, other)
	})
	t.Run("paused", func(t *testing.T) {
		name := b.create(t, &container.Config{Cmd: url}, nil, nil)
		if _, err := b.ContainerPause(t.Context(), name, client.ContainerPauseOptions{}); err != nil {
			t.Fatal(err)
		}
		plan(t, name, "paused")
	})
	t.Run("no flag", func(t *testing.T) { plan(t, b.create(t, &container.Config{}, nil, nil), "--checkpoint-sync-url") })
	t.Run("not there", func(t *testing.T) { plan(t, "checkpoint-nope", docker.ErrNotThere.Error()) })
	t.Run("the same URL", func(t *testing.T) {
		s := b.source(t, source.Docker{Container: b.create(t, &container.Config{Cmd: url}, nil, nil)}, nil)
		if _, err := s.Plan(t.Context(), one); !errors.Is(err, source.ErrUnchanged) {
			t.Error(err)
		}
	})
	t.Run("no engine", func(t *testing.T) {
		s, err := source.NewDocker(source.Docker{Container: "cl", Client: "teku", Host: "unix:///nowhere/docker.sock"}, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(t.Context()); !errors.Is(err, docker.ErrNoEngine) {
			t.Error(err)
		}
	})
}

func TestE2EDockerSourceOthersHands(t *testing.T) {
	b := newBoxes(t)
	planned := func(t *testing.T, host *container.HostConfig, args ...string) (string, *source.DockerSource, source.Change) {
		name := b.create(t, &container.Config{Cmd: append(args, "--checkpoint-sync-url="+one)}, host, nil)
		s := b.source(t, source.Docker{Container: name}, nil)
		change, err := s.Plan(t.Context(), two)
		if err != nil {
			t.Fatal(err)
		}
		return name, s, change
	}
	update := func(t *testing.T, name string) {
		p := container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}
		if _, err := b.ContainerUpdate(t.Context(), name, client.ContainerUpdateOptions{RestartPolicy: &p}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("changed before", func(t *testing.T) {
		name, s, change := planned(t, nil)
		update(t, name)
		if err := s.Apply(t.Context(), change); !errors.Is(err, source.ErrChanged) {
			t.Error(err)
		}
		if got := b.names(t, name); !slices.Equal(got, []string{" running"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("changed after", func(t *testing.T) {
		name, s, change := planned(t, nil)
		if err := s.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		update(t, name)
		if cond, err := s.Look(t.Context(), change); err != nil || cond != source.Edited {
			t.Errorf("%s, %v", cond, err)
		}
		before := b.names(t, name)
		if err := s.Restore(t.Context(), change); !errors.Is(err, source.ErrEditedByOther) {
			t.Error(err)
		}
		if after := b.names(t, name); !slices.Equal(before, after) {
			t.Errorf("%q became %q", before, after)
		}
	})
	t.Run("the new one removed", func(t *testing.T) {
		name, s, change := planned(t, nil)
		if err := s.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ContainerRemove(t.Context(), name, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		if cond, err := s.Look(t.Context(), change); err != nil || cond != source.Edited {
			t.Errorf("%s, %v", cond, err)
		}
	})
	t.Run("the new one does not start", func(t *testing.T) {
		name, s, change := planned(t, &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}, Binds: []string{"/var/tmp/checkpoint-e2e-bound:/bound"}})
		was, _ := b.inspect(t, name)
		bad := b.source(t, source.Docker{Container: name}, func(step string) error {
			if step == source.StepStart { // somebody takes the new container's right to start at the last moment
				all := b.names(t, name)
				if slices.Contains(all, " created") {
					if _, err := b.ContainerRemove(t.Context(), name, client.ContainerRemoveOptions{Force: true}); err != nil {
						t.Fatal(err)
					}
				}
			}
			return nil
		})
		if err := bad.Apply(t.Context(), change); err == nil {
			t.Error("applied")
		}
		if is, _ := b.inspect(t, name); is.ID != was.ID || !is.State.Running {
			t.Errorf("%+v", is.State)
		}
		if cond, err := s.Look(t.Context(), change); err != nil || cond != source.NotApplied {
			t.Errorf("%s, %v", cond, err)
		}
	})
	t.Run("a crash loop takes the new URL", func(t *testing.T) {
		for range 5 { // at whatever point of the loop it is caught
			name, s, change := planned(t, &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}}, "-crash=1")
			if err := s.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if is, _ := b.inspect(t, name); is.HostConfig.RestartPolicy.Name != container.RestartPolicyAlways {
				t.Errorf("%+v", is.HostConfig.RestartPolicy)
			}
			if err := s.Settle(t.Context(), change); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("what was stopped stays stopped", func(t *testing.T) {
		name := b.create(t, &container.Config{Cmd: []string{"--checkpoint-sync-url=" + one}}, nil, nil)
		if _, err := b.ContainerStop(t.Context(), name, client.ContainerStopOptions{}); err != nil {
			t.Fatal(err)
		}
		s := b.source(t, source.Docker{Container: name}, nil)
		change, err := s.Plan(t.Context(), two)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if is, _ := b.inspect(t, name); is.State.Status != container.StateCreated {
			t.Errorf("%+v", is.State)
		}
		if cond, err := s.Look(t.Context(), change); err != nil || cond != source.Applied {
			t.Errorf("%s, %v", cond, err)
		}
		if err := s.Restore(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if got := b.names(t, name); !slices.Equal(got, []string{" exited"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("the image's name moved on", func(t *testing.T) {
		tag := fmt.Sprintf("checkpoint/moves:%d", time.Now().UnixNano())
		if _, err := b.ImageTag(t.Context(), client.ImageTagOptions{Source: b.image, Target: tag}); err != nil {
			t.Fatal(err)
		}
		name := b.create(t, &container.Config{Image: tag, Cmd: []string{"--checkpoint-sync-url=" + one}}, nil, nil)
		was, _ := b.inspect(t, name)
		if _, err := b.ImageRemove(t.Context(), tag, client.ImageRemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		s := b.source(t, source.Docker{Container: name}, nil)
		change, err := s.Plan(t.Context(), two)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if is, _ := b.inspect(t, name); is.Image != was.Image || is.Config.Image != was.Image {
			t.Errorf("image %s (%s), was %s", is.Image, is.Config.Image, was.Image)
		}
	})
}

func eventuallySaid(t *testing.T, b boxes, name, what string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		out, err := b.ContainerLogs(t.Context(), name, client.ContainerLogsOptions{ShowStdout: true})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, _ := out.Read(buf)
		_ = out.Close()
		if strings.Contains(string(buf[:n]), what) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s did not say %s", name, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
