//go:build e2e

package source_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

// machineEnv says that these tests run inside a machine whose systemd may be filled with units.
const machineEnv = "CHECKPOINT_E2E_MACHINE"

// standIn stays until it is ended, whatever its arguments are. It has no child: one that is being forked may lose the signal.
const standIn = "#!/bin/sh\nkill -STOP $$\n"

type machine struct {
	testing.TB
	*sd.Conn
}

func newMachine(t *testing.T) machine {
	t.Helper()
	if os.Getenv(machineEnv) == "" {
		t.Fatalf("%s is not set: these tests write to /etc/systemd/system", machineEnv)
	}
	c, err := sd.NewSystemConnectionContext(t.Context())
	must(t, err)
	t.Cleanup(c.Close)
	must(t, os.MkdirAll("/opt/e2e", 0o755))
	must(t, os.WriteFile("/opt/e2e/lighthouse", []byte(standIn), 0o755))
	return machine{t, c}
}

// put writes a file that goes when the test ends.
func (m machine) put(path, text string) {
	m.Helper()
	must(m, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m, os.WriteFile(path, []byte(text), 0o644))
	m.Cleanup(func() {
		_ = os.Remove(path)
		if strings.HasSuffix(filepath.Dir(path), ".d") {
			_ = os.Remove(filepath.Dir(path))
		}
	})
}

func (m machine) reload() {
	m.Helper()
	must(m, source.ReloadSystemd("")(context.Background()))
}

func (m machine) job(what string, do func(context.Context, string, string, chan<- string) (int, error), unit string) {
	m.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan string, 1)
	if _, err := do(ctx, unit, "replace", done); err != nil {
		m.Fatalf("%s %s: %v", what, unit, err)
	}
	select {
	case got := <-done:
		if got != "done" {
			m.Fatalf("%s %s: %s", what, unit, got)
		}
	case <-ctx.Done():
		m.Fatalf("%s %s: %v", what, unit, ctx.Err())
	}
}

// told is what the unit's process was told: its arguments and its environment.
func (m machine) told(unit string) string {
	m.Helper()
	p, err := m.GetUnitTypePropertiesContext(context.Background(), unit, "Service")
	must(m, err)
	var all []string
	for _, file := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%v/%s", p["MainPID"], file))
		must(m, err)
		all = append(all, strings.Split(string(text), "\x00")...)
	}
	return strings.Join(all, "\n")
}

func TestE2ESystemdSource(t *testing.T) {
	m := newMachine(t)
	const exec = "[Service]\nType=exec\nExecStart=/opt/e2e/lighthouse bn \\\n  # the provider\n  --checkpoint-sync-url=OLD --graffiti \"100%% $$\"\n"
	for name, tt := range map[string]struct {
		source source.Systemd
		files  map[string]string
		made   string // the drop-in that is created
	}{
		"administrator's": {source.Systemd{Unit: "e2e-a.service", Client: "lighthouse"}, map[string]string{"/etc/systemd/system/e2e-a.service": exec}, ""},
		"package's": {source.Systemd{Unit: "e2e-b.service", Client: "lighthouse"}, map[string]string{"/run/systemd/system/e2e-b.service": exec},
			"/etc/systemd/system/e2e-b.service.d/90-checkpoint.conf"},
		"instance": {source.Systemd{Unit: "e2e-c@hoodi.service", Client: "lighthouse"}, map[string]string{"/run/systemd/system/e2e-c@.service": exec},
			"/etc/systemd/system/e2e-c@hoodi.service.d/90-checkpoint.conf"},
		"variable": {source.Systemd{Unit: "e2e-d.service", Environment: "URL"},
			map[string]string{"/run/systemd/system/e2e-d.service": "[Service]\nType=exec\nEnvironment=A=1 'URL=OLD'\nExecStart=/opt/e2e/lighthouse\n"},
			"/etc/systemd/system/e2e-d.service.d/90-checkpoint.conf"},
		"environment file": {source.Systemd{Unit: "e2e-e@x.service", Client: "lighthouse"}, map[string]string{
			"/run/systemd/system/e2e-e@.service": "[Service]\nType=exec\nEnvironmentFile=/etc/e2e/%i.env\nExecStart=/opt/e2e/lighthouse --checkpoint-sync-url ${URL}\n",
			"/etc/e2e/x.env":                     "# ours\nURL=\"OLD\"\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine{t, m.Conn}
			for path, text := range tt.files {
				m.put(path, strings.Replace(text, "OLD", oldURL, 1))
			}
			m.reload()
			m.job("start", m.StartUnitContext, tt.source.Unit)
			t.Cleanup(func() { m.job("stop", m.StopUnitContext, tt.source.Unit) })
			s, err := source.NewSystemd(tt.source, source.Options{Backups: filepath.Join(t.TempDir(), "backups")})
			must(t, err)
			const url = goodTo + "/%20?a=$1"
			restarted := func(want, not string) {
				t.Helper()
				m.job("restart", m.RestartUnitContext, tt.source.Unit)
				told := m.told(tt.source.Unit)
				if !strings.Contains(told, want) || strings.Contains(told, not) {
					t.Errorf("it was told\n%s\nwant %s", told, want)
				}
			}
			restarted(oldURL, goodTo)
			to := url
			if name == "environment file" {
				to = goodTo
			}
			c := plan(t, s, to)
			must(t, s.Apply(t.Context(), c))
			restarted(to, oldURL)
			if tt.made != "" && (c.File != tt.made || c.Before != "") {
				t.Errorf("change %+v", c)
			}
			look(t, s, c, source.Applied)
			must(t, s.Restore(t.Context(), c))
			restarted(oldURL, goodTo)
			for path, text := range tt.files {
				wantFile(t, path, strings.Replace(text, "OLD", oldURL, 1))
			}
			if _, err := os.Stat(tt.made); tt.made != "" && !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", tt.made, err)
			}
		})
	}
}

// What we make of units is what systemd makes of them.
func TestE2ESystemdReadsAsWeDo(t *testing.T) {
	m := newMachine(t)
	for n, text := range []string{
		"ExecStart=/bin/a b  c\td\n",
		"ExecStart=/bin/a 'b c' \"d e\" f'g h'i \"\" ''\n",
		"ExecStart=/bin/a \\x41\\101\\u00e9\\t\\s\\\\ 'a\\'b' \"a\\\"b\" \\q a\\ b\n",
		"ExecStart=/bin/a \\\n  b \\\n# comment \\\n   ; another\n  c\\\n\\\n  d\n",
		"ExecStart=/bin/a b\\\\\nUser=root\n",
		"ExecStart=-@/bin/a me b\nExecStart=\nExecStart=:/bin/b $A ${B} $$\n",
		"Type=oneshot\nExecStart=/bin/a ; /bin/b \\; ';' c; d ;\nExecStart=+/bin/c\n",
		"  ExecStart  =  /bin/a 100%%  \r\nEnvironment=A=1 \"B=2 3\" 'C=4'\r\nEnvironment=A=5\n",
		"ExecStart=/bin/a\nEnvironment=A=1\nEnvironment=\nEnvironment=\"B=\\x41\" C='x'y D=\n",
	} {
		unit := fmt.Sprintf("e2e-form-%d.service", n)
		m.put("/etc/systemd/system/"+unit, "\ufeff[Unit]\nDescription=x\n[Service]\n"+text)
		m.put("/etc/systemd/system/"+unit+".d/20.conf", "[Service]\nEnvironment=Z=1\n")
		m.put("/run/systemd/system/"+unit+".d/20.conf", "[Service]\nEnvironment=Z=2\n")
		m.put("/run/systemd/system/"+unit+".d/10.conf", "[Service]\nEnvironment=Y=1\n")
		m.put("/etc/systemd/system/e2e-form-.service.d/15.conf", "[Service]\nEnvironment=X=1\n")
		m.put("/etc/systemd/system/service.d/30.conf", "[Service]\nEnvironment=W=1\n")
		m.reload()
		p, err := m.GetUnitTypePropertiesContext(t.Context(), unit, "Service")
		must(t, err)
		all, err := m.GetUnitPropertiesContext(t.Context(), unit)
		must(t, err)
		if all["LoadState"] != "loaded" {
			t.Errorf("%q: %v", text, all["LoadError"])
			continue
		}
		want := source.UnitView{Fragment: fmt.Sprint(all["FragmentPath"]), DropIns: all["DropInPaths"].([]string), Environment: p["Environment"].([]string)}
		for _, c := range p["ExecStart"].([][]any) {
			want.Commands = append(want.Commands, c[1].([]string))
		}
		slices.Sort(want.Environment)
		for i, e := range want.Environment {
			want.Environment[i] = "environment " + e
		}
		got, err := source.ViewUnit(unit)
		must(t, err)
		for i, c := range got.Commands {
			if strings.HasPrefix(strings.TrimLeft(c[0], "-:+!"), "@") {
				c = c[1:]
			}
			c[0] = strings.TrimLeft(c[0], "-:+!@")
			for k := range c {
				c[k] = strings.ReplaceAll(c[k], "%%", "%")
			}
			got.Commands[i] = c
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-systemd +we):\n%s", text, diff)
		}
	}
}
