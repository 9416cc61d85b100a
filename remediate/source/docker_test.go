package source_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/docker/dockertest"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/google/go-cmp/cmp"
)

const boxID = "5e86bbee2b23668a1913e7813d33795c4830891d77c3de2e190f428c22a6e053"

// recorded is an engine's answer to an inspect (Docker 20.10.24, API 1.41) of a container with two networks, and with named and nameless volumes.
func recorded(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("testdata/docker/running.json")
	if err != nil {
		t.Fatal(err)
	}
	var is map[string]any
	if err := json.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	return is
}

// member is what is found in JSON by its names.
func member(o map[string]any, path ...string) map[string]any {
	for _, p := range path {
		o, _ = o[p].(map[string]any)
	}
	return o
}

// boxEngine has that container, and its image.
func boxEngine(t *testing.T, is map[string]any) *dockertest.Engine {
	e := dockertest.New(t)
	for _, name := range []string{"lighthouse", boxID} {
		e.Answer("GET /containers/"+name+"/json", dockertest.JSON(200, is))
	}
	e.Answer("GET /containers/json", dockertest.JSON(200, []any{map[string]any{"Id": boxID, "HostConfig": map[string]any{"NetworkMode": "eth"}}}))
	e.Answer("GET /containers/"+boxID+"/changes", dockertest.JSON(200, json.RawMessage("null")))
	e.Answer("GET /images/checkpoint/boxed:e2e/json", dockertest.JSON(200, map[string]any{"Id": is["Image"]}))
	return e
}

func dockerSource(t *testing.T, e *dockertest.Engine, d source.Docker) *source.DockerSource {
	t.Helper()
	d.Container, d.Host = "lighthouse", e.Host
	if d.Environment == "" && d.Client == "" {
		d.Client = "lighthouse"
	}
	s, err := source.NewDocker(d, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// created is the request that Apply makes, which is then refused.
func created(t *testing.T, e *dockertest.Engine, s *source.DockerSource, url string) map[string]any {
	t.Helper()
	change, err := s.Plan(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	e.Answer("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		if name := r.URL.Query().Get("name"); !strings.HasPrefix(name, "lighthouse.checkpoint-new-") {
			t.Errorf("the new container is called %q", name)
		}
		text, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(text, &body) != nil {
			t.Errorf("the request is %q, %v", text, err)
		}
		dockertest.JSON(500, map[string]string{"message": "no space left on device"})(w, r)
	})
	if err := s.Apply(t.Context(), change); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("Apply: %v", err)
	}
	if diff := cmp.Diff([]string{"POST /containers/create"}, e.Asked()); diff != "" {
		t.Errorf("the old one was touched:\n%s", diff)
	}
	return body
}

func TestDockerRequest(t *testing.T) {
	is := recorded(t)
	member(is, "HostConfig")["NewInTheFuture"] = map[string]any{"a": 1.0}
	member(is, "Config")["AlsoNew"] = "b"
	e := boxEngine(t, is)
	body := created(t, e, dockerSource(t, e, source.Docker{}), "https://two.example/")

	// The same as it was created with, but for these.
	want := maps.Clone(member(is, "Config"))
	want["Cmd"] = []any{"--checkpoint-sync-url", "https://two.example/"}
	delete(want, "Hostname") // was made from the id
	host := maps.Clone(member(is, "HostConfig"))
	host["RestartPolicy"] = map[string]any{"Name": "no"} // for now
	var anonymous, nameless, data string
	for _, m := range is["Mounts"].([]any) {
		switch m := m.(map[string]any); m["Destination"] {
		case "/anonymous":
			anonymous = m["Name"].(string)
		case "/nameless":
			nameless = m["Name"].(string)
		case "/data":
			data = m["Name"].(string)
		}
	}
	got := member(body, "HostConfig")["Binds"]
	if bound, _ := got.([]any); len(bound) != 4 || !strings.Contains(strings.Join(strs(bound), " "), anonymous+":/anonymous") || !strings.Contains(strings.Join(strs(bound), " "), data+":/data") {
		t.Errorf("binds %q", got)
	}
	host["Binds"] = got
	mounts := host["Mounts"].([]any)[0].(map[string]any)
	mounts["Source"] = nameless
	want["HostConfig"] = host
	want["NetworkingConfig"] = map[string]any{"EndpointsConfig": map[string]any{"eth": map[string]any{"IPAMConfig": map[string]any{"IPv4Address": "172.29.1.9"}, "Aliases": []any{"consensus"}}}}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func strs(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}

func TestDockerRequestKeepsTheHardwareAddress(t *testing.T) {
	for version, want := range map[string]any{"1.41": nil, "1.43": nil, "1.44": "02:42:ac:1d:01:09", "1.51": "02:42:ac:1d:01:09"} {
		t.Run(version, func(t *testing.T) {
			e := boxEngine(t, recorded(t))
			e.Version = version
			body := created(t, e, dockerSource(t, e, source.Docker{}), "https://two.example/")
			if got := member(body, "NetworkingConfig", "EndpointsConfig", "eth")["MacAddress"]; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestDockerFindsTheURL(t *testing.T) {
	list := func(s ...string) []any {
		out := make([]any, len(s))
		for i := range s {
			out[i] = s[i]
		}
		return out
	}
	tests := map[string]struct {
		source          source.Docker
		entrypoint, cmd []any
		env             []any
		key, line       string
		fails           string
	}{
		"an argument of its own":  {source.Docker{}, list("/boxed"), list("bn", "--checkpoint-sync-url", "http://one"), nil, "Cmd[2]", "-http://one\n+http://two\n", ""},
		"joined":                  {source.Docker{}, nil, list("lighthouse", "--checkpoint-sync-url=http://one"), nil, "Cmd[1]", "-…=http://one", ""},
		"in the entry point":      {source.Docker{}, list("lighthouse", "--checkpoint-sync-url=http://one"), nil, nil, "Entrypoint[1]", "", ""},
		"over the border":         {source.Docker{}, list("lighthouse", "--checkpoint-sync-url"), list("http://one"), nil, "Cmd[0]", "", ""},
		"Lodestar":                {source.Docker{Client: "lodestar"}, nil, list("beacon", "--checkpointSyncUrl", "http://one"), nil, "Cmd[2]", "", ""},
		"Nimbus":                  {source.Docker{Client: "nimbus"}, nil, list("trustedNodeSync", "--trusted-node-url=http://one"), nil, "Cmd[1]", "", ""},
		"variable":                {source.Docker{Environment: "URL"}, nil, nil, list("A=b", "URL=http://one", "URLS=x"), "Env[URL]", "-URL=http://one\n+URL=http://two\n", ""},
		"empty variable":          {source.Docker{Environment: "URL"}, nil, nil, list("URL="), "Env[URL]", "-URL=\n+URL=http://two\n", ""},
		"no variable":             {source.Docker{Environment: "URL"}, nil, nil, list("A=b"), "", "", "no such variable"},
		"variable twice":          {source.Docker{Environment: "URL"}, nil, nil, list("URL=http://one", "URL=http://a"), "", "", "2 times"},
		"not a URL":               {source.Docker{Environment: "URL"}, nil, nil, list("URL=$OTHER"), "", "", "not a URL"},
		"flag twice":              {source.Docker{}, nil, list("--checkpoint-sync-url=http://one", "--checkpoint-sync-url=http://a"), nil, "", "", "more than once"},
		"no flag":                 {source.Docker{}, nil, list("lighthouse", "bn"), nil, "", "", "no --checkpoint-sync-url"},
		"in a shell":              {source.Docker{}, list("sh", "-c"), list("exec lighthouse bn --checkpoint-sync-url=http://one"), nil, "", "", "shell"},
		"another client's":        {source.Docker{Client: "lodestar"}, nil, list("--trusted-node-url=http://one"), nil, "", "", "no --checkpointSyncUrl"},
		"the same URL already":    {source.Docker{}, nil, list("--checkpoint-sync-url=http://two"), nil, "", "", "already"},
		"a flag without its URL ": {source.Docker{}, nil, list("--checkpoint-sync-url"), nil, "", "", "no value"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			is := recorded(t)
			c := member(is, "Config")
			c["Entrypoint"], c["Cmd"], c["Env"] = tt.entrypoint, tt.cmd, tt.env
			e := boxEngine(t, is)
			change, err := dockerSource(t, e, tt.source).Plan(t.Context(), "http://two")
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("%v, want it to say %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if change.Key != tt.key || change.To != "http://two" || change.Before == change.After {
				t.Errorf("%+v", change)
			}
			if tt.line != "" && !strings.Contains(change.Diff, strings.ReplaceAll(tt.line, "…", "--checkpoint-sync-url")) {
				t.Errorf("diff:\n%s", change.Diff)
			}
			if asked := e.Asked(); len(asked) > 0 {
				t.Errorf("a plan asked for %q", asked)
			}
		})
	}
}

func TestDockerObstacles(t *testing.T) {
	tests := map[string]struct {
		change func(is map[string]any, e *dockertest.Engine)
		says   string
	}{
		"compose": {func(is map[string]any, _ *dockertest.Engine) {
			member(is, "Config")["Labels"] = map[string]any{"com.docker.compose.project": "p", "com.docker.compose.service": "consensus", "com.docker.compose.project.working_dir": "/home/p"}
		}, "/home/p/.env"},
		"swarm": {func(is map[string]any, _ *dockertest.Engine) {
			member(is, "Config")["Labels"] = map[string]any{"com.docker.swarm.service.name": "web"}
		}, "swarm service web"},
		"Kubernetes": {func(is map[string]any, _ *dockertest.Engine) {
			member(is, "Config")["Labels"] = map[string]any{"io.kubernetes.pod.name": "cl-0"}
		}, "pod cl-0"},
		"--rm":   {func(is map[string]any, _ *dockertest.Engine) { member(is, "HostConfig")["AutoRemove"] = true }, "--rm"},
		"--link": {func(is map[string]any, _ *dockertest.Engine) { member(is, "HostConfig")["Links"] = []any{"/a:/b"} }, "--link"},
		"paused": {func(is map[string]any, _ *dockertest.Engine) { member(is, "State")["Status"] = "paused" }, "paused"},
		"its network is another's": {func(_ map[string]any, e *dockertest.Engine) {
			e.Answer("GET /containers/json", dockertest.JSON(200, []any{map[string]any{"Id": "x", "Names": []string{"/validator"}, "HostConfig": map[string]any{"NetworkMode": "container:" + boxID}}}))
		}, "validator uses its network"},
		"its image is gone": {func(_ map[string]any, e *dockertest.Engine) {
			e.Answer("GET /images/checkpoint/boxed:e2e/json", dockertest.JSON(404, map[string]string{"message": "No such image"}))
		}, "no longer there"},
		"its own network is gone": {func(is map[string]any, _ *dockertest.Engine) { member(is, "HostConfig")["NetworkMode"] = "other" }, ""},
		"an answer without sense": {func(is map[string]any, _ *dockertest.Engine) { delete(is, "HostConfig") }, "incomplete"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			is := recorded(t)
			e := boxEngine(t, is)
			tt.change(is, e)
			s := dockerSource(t, e, source.Docker{})
			change, err := s.Plan(t.Context(), "http://two")
			if tt.says == "" { // found when it would be done
				err = s.Apply(t.Context(), change)
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want it to say %q", err, tt.says)
			}
			if asked := e.Asked(); len(asked) > 0 {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

// Files in a container's own layer would not be in a new one.
func TestDockerOwnFiles(t *testing.T) {
	const directory, file = uint32(1 << 31), uint32(0o600)
	type changed struct {
		kind int // 0 changed, 1 added, 2 deleted
		path string
		mode uint32
	}
	many := make([]changed, 100)
	for i := range many {
		many[i] = changed{1, "/db/" + strings.Repeat("x", i+1), directory}
	}
	tests := map[string]struct {
		changes []changed
		says    string
	}{
		"none":                      {nil, ""},
		"mount points, directories": {[]changed{{0, "/root", directory}, {1, "/root/.lighthouse", file}, {1, "/data", file}}, ""},
		"files of no account":       {[]changed{{1, "/tmp/x", file}, {1, "/run/lock", file}, {0, "/var/log/a", file}, {1, "/root/.cache/a", file}}, ""},
		"the engine's":              {[]changed{{0, "/etc", directory}, {0, "/etc/hosts", file}, {1, "/.dockerenv", file}}, ""},
		"deleted":                   {[]changed{{2, "/etc/motd", file}}, ""},
		"a database":                {[]changed{{0, "/root", directory}, {1, "/root/.teku", directory}, {1, "/root/.teku/beacon.db", file}}, "/root/.teku/beacon.db"},
		"a changed file":            {[]changed{{0, "/etc/passwd", file}}, "/etc/passwd"},
		"beside a volume":           {[]changed{{1, "/database", file}}, "/database"},
		"more than can be told":     {many, "many files"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := boxEngine(t, recorded(t))
			var diff []any
			modes := map[string]uint32{}
			for _, c := range tt.changes {
				diff = append(diff, map[string]any{"Path": c.path, "Kind": c.kind})
				modes[c.path] = c.mode
			}
			e.Answer("GET /containers/"+boxID+"/changes", dockertest.JSON(200, diff))
			e.Answer("HEAD /containers/"+boxID+"/archive", func(w http.ResponseWriter, r *http.Request) {
				stat, err := json.Marshal(map[string]any{"name": "x", "mode": modes[r.URL.Query().Get("path")]})
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
			})
			_, err := dockerSource(t, e, source.Docker{}).Plan(t.Context(), "http://two")
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want it to say %q", err, tt.says)
			}
		})
	}
}

func TestDockerChangesOfOthers(t *testing.T) {
	e := boxEngine(t, recorded(t))
	s := dockerSource(t, e, source.Docker{})
	change, err := s.Plan(t.Context(), "http://two")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the plan tells a secret: %s", text)
	}
	var again source.Change
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if cond, err := s.Look(t.Context(), again); err != nil || cond != source.NotApplied {
		t.Errorf("%s, %v", cond, err)
	}
	for name, c := range map[string]source.Change{
		"another source's": {Source: "yaml /a b", Detail: change.Detail}, "without detail": {Source: change.Source}, "with nonsense": {Source: change.Source, Detail: json.RawMessage(`{"id": 1}`)},
	} {
		if cond, err := s.Look(t.Context(), c); err == nil {
			t.Errorf("%s: %s", name, cond)
		}
		for what, do := range map[string]error{"Apply": s.Apply(t.Context(), c), "Restore": s.Restore(t.Context(), c), "Settle": s.Settle(t.Context(), c)} {
			if do == nil {
				t.Errorf("%s: %s succeeded", name, what)
			}
		}
	}
	change.Before = strings.Repeat("0", 64)
	if err := s.Apply(t.Context(), change); !errors.Is(err, source.ErrChanged) {
		t.Errorf("Apply: %v", err)
	}
	if asked := e.Asked(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
}

func TestNewDockerRefuses(t *testing.T) {
	for _, bad := range []source.Docker{
		{}, {Container: "cl"}, {Container: "cl", Client: "parity"}, {Container: "/cl", Client: "teku"}, {Container: "c l", Client: "teku"},
		{Container: "cl", Environment: "A-B"}, {Container: "cl", Client: "teku", Host: "ssh://there"},
	} {
		if s, err := source.NewDocker(bad, source.Options{}); err == nil {
			t.Errorf("NewDocker(%+v) = %v", bad, s)
		}
	}
}

// An engine that makes something else of the request is found out before the old container is touched.
func TestDockerProof(t *testing.T) {
	const newID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := map[string]struct {
		differ func(is map[string]any)
		says   string
	}{
		"a label is lost":        {func(is map[string]any) { delete(member(is, "Config", "Labels"), "owner") }, "Config.Labels.owner"},
		"the memory has a limit": {func(is map[string]any) { member(is, "HostConfig")["Memory"] = 1 }, "HostConfig.Memory"},
		"another volume":         {func(is map[string]any) { is["Mounts"].([]any)[0].(map[string]any)["Name"] = "other" }, "Mounts"},
		"one network less":       {func(is map[string]any) { delete(member(is, "NetworkSettings", "Networks"), "monitoring") }, "Networks.monitoring"},
		"another address": {func(is map[string]any) {
			member(is, "NetworkSettings", "Networks", "eth", "IPAMConfig")["IPv4Address"] = "172.29.1.10"
		}, "Networks.eth.IPAMConfig.IPv4Address"},
		"another image":    {func(is map[string]any) { is["Image"] = "sha256:0" }, "Image"},
		"another variable": {func(is map[string]any) { member(is, "Config")["Env"] = []any{"SECRET=hunter3"} }, "Config.Env"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := boxEngine(t, recorded(t))
			s := dockerSource(t, e, source.Docker{})
			change, err := s.Plan(t.Context(), "http://two")
			if err != nil {
				t.Fatal(err)
			}
			e.Answer("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
				is := recorded(t)
				for _, n := range member(is, "NetworkSettings", "Networks") {
					n.(map[string]any)["Aliases"] = []any{"consensus", newID[:12]} // the engine adds the id
				}
				delete(member(is, "NetworkSettings", "Networks", "monitoring"), "Aliases")
				is["Id"], is["Name"] = newID, "/"+r.URL.Query().Get("name")
				is["State"] = map[string]any{"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}
				var body map[string]any
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				member(is, "Config")["Cmd"], is["HostConfig"] = body["Cmd"], body["HostConfig"]
				delete(member(is, "Config"), "Hostname")
				tt.differ(is)
				for _, name := range []string{newID, r.URL.Query().Get("name")} {
					e.Answer("GET /containers/"+name+"/json", dockertest.JSON(200, is))
				}
				dockertest.JSON(201, map[string]any{"Id": newID})(w, r)
			})
			for _, request := range []string{"POST /networks/monitoring/connect", "POST /containers/" + newID + "/stop", "DELETE /containers/" + newID} {
				e.Answer(request, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			}
			err = s.Apply(t.Context(), change)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("Apply: %v, want it to say %s", err, tt.says)
			}
			want := []string{"POST /containers/create", "POST /networks/monitoring/connect", "POST /containers/" + newID + "/stop", "DELETE /containers/" + newID}
			if diff := cmp.Diff(want, e.Asked()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}
