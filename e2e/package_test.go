//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// offline keeps a unit's default configuration, which asks the public providers, from the network, and its ports from those of other tests.
const offline = "[Service]\nPrivateNetwork=yes\n"

// TestPackage takes the Debian packages through their whole life in a real systemd: installed, started, upgraded, replaced by checkpointd,
// removed, purged.
func TestPackage(t *testing.T) {
	t.Parallel()
	dir := workDir(t)
	built, old := filepath.Join(dir, "dist"), filepath.Join(dir, "old")
	buildPackages(t, built)
	again := make(chan error, 1)
	go func() { again <- sameAgain(t, built) }()
	for _, name := range []string{"checkpoint-exporter", "checkpointd"} {
		olderPackage(t, debOf(t, built, name), filepath.Join(old, name))
	}
	m := startMachine(t)
	p := packaged{t: t, m: m}
	p.prepare()
	before := p.files()

	p.step("install", func() {
		m.install(filepath.Join(old, "checkpoint-exporter.deb"), "/tmp/old.deb", 0o644)
		m.mustRun("dpkg", "--install", "/tmp/old.deb")
		p.serves("checkpoint-exporter", "http://127.0.0.1:10177/metrics", "checkpoint_exporter_build_info")
		p.state("checkpoint-remediator", "inactive", "disabled")
		if out := m.mustRun("stat", "--format=%a %U:%G %s", "/etc/checkpoint/token"); out != "640 root:checkpoint 64\n" {
			t.Errorf("the token: %s", out)
		}
		m.mustRun("setpriv", "--reuid=checkpoint", "--regid=checkpoint", "--clear-groups", "checkpoint", "config", "check")
		for _, unit := range []string{"checkpoint-exporter.service", "checkpoint-remediator.service"} {
			if out, err := m.run("systemd-analyze", "verify", unitDir+"/"+unit); err != nil || strings.TrimSpace(out) != "" {
				t.Errorf("%s: %v\n%s", unit, err, out)
			}
		}
		for _, program := range []string{"checkpoint", "checkpoint_exporter", "checkpoint_remediator"} {
			out := m.mustRun(program, "--version")
			if !strings.HasPrefix(out, program+", version ") || strings.HasPrefix(out, program+", version  ") {
				t.Errorf("%s --version says %q", program, out)
			}
			if out := m.mustRun("man", "--local-file", "--warnings", "/usr/share/man/man1/"+program+".1.gz"); !strings.Contains(out, "--config.file") {
				t.Errorf("man %s: %s", program, out)
			}
		}
		out := m.mustRun("bash", "-c", `. /usr/share/bash-completion/completions/checkpoint; COMP_WORDS=(checkpoint sta) COMP_CWORD=1; _checkpoint_bash_autocomplete; echo "${COMPREPLY[@]}"`)
		if strings.TrimSpace(out) != "status" {
			t.Errorf("sta is completed to %q", out)
		}
	})

	p.step("start the remediator", func() {
		m.mustRun("systemctl", "start", "checkpoint-remediator")
		p.serves("checkpoint-remediator", "http://127.0.0.1:10178/metrics", "checkpoint_remediator_build_info")
		group := strings.Split(m.mustRun("getent", "group", "systemd-journal"), ":")[2]
		status := m.mustRun("cat", "/proc/"+p.pid("checkpoint-remediator")+"/status")
		if groups := lineOf(status, "Groups:"); !slices.Contains(strings.Fields(groups), group) {
			t.Errorf("it is not in the group systemd-journal, %s: %s", group, groups)
		}
	})

	p.step("upgrade", func() {
		m.write("/etc/checkpoint/checkpoint.yml", p.read("/etc/checkpoint/checkpoint.yml")+"# mine\n", 0o644)
		token, exporter, remediator := p.read("/etc/checkpoint/token"), p.invocation("checkpoint-exporter"), p.invocation("checkpoint-remediator")
		m.install(debOf(t, built, "checkpoint-exporter"), "/tmp/new.deb", 0o644)
		m.mustRun("dpkg", "--force-confdef", "--force-confold", "--install", "/tmp/new.deb")
		if text := p.read("/etc/checkpoint/checkpoint.yml"); !strings.HasSuffix(text, "# mine\n") || !strings.Contains(text, "# older\n") {
			t.Errorf("a file of the administrator's was overwritten:\n%s", text)
		}
		if text := p.read("/etc/default/checkpoint-remediator"); strings.Contains(text, "# older\n") {
			t.Errorf("a file that nobody has touched is still the old one:\n%s", text)
		}
		if now := p.read("/etc/checkpoint/token"); now != token {
			t.Error("there is another token")
		}
		if p.invocation("checkpoint-exporter") == exporter || p.invocation("checkpoint-remediator") == remediator {
			t.Error("what ran was not restarted")
		}
		p.serves("checkpoint-exporter", "http://127.0.0.1:10177/metrics", "checkpoint_exporter_build_info")
		m.mustRun("systemctl", "stop", "checkpoint-remediator")
		m.mustRun("dpkg", "--force-confdef", "--force-confold", "--install", "/tmp/new.deb")
		p.state("checkpoint-remediator", "inactive", "disabled")
	})

	p.step("checkpointd in their place", func() {
		m.install(debOf(t, built, "checkpointd"), "/tmp/checkpointd.deb", 0o644)
		m.mustRun("dpkg", "--install", "/tmp/checkpointd.deb")
		p.state("checkpointd", "inactive", "disabled")
		m.mustRun("systemctl", "enable", "--now", "checkpointd")
		p.serves("checkpointd", "http://127.0.0.1:10176/metrics", "prometheus_tsdb_head_series")
		p.state("checkpoint-exporter", "inactive", "enabled")
		run := p.invocation("checkpointd")
		m.mustRun("dpkg", "--force-confdef", "--force-confold", "--install", "/tmp/new.deb", "/tmp/checkpointd.deb")
		if p.invocation("checkpointd") == run {
			t.Error("checkpointd was not restarted")
		}
		p.state("checkpoint-exporter", "inactive", "enabled")
		p.state("checkpointd", "active", "enabled")
	})

	p.step("remove", func() {
		m.mustRun("systemctl", "start", "checkpoint-exporter") // which ends checkpointd
		m.mustRun("dpkg", "--remove", "checkpointd", "checkpoint-exporter")
		for _, unit := range []string{"checkpoint-exporter", "checkpoint-remediator", "checkpointd"} {
			if out, _ := m.run("systemctl", "is-active", unit); strings.TrimSpace(out) != "inactive" {
				t.Errorf("%s is %s", unit, out)
			}
		}
		m.mustRun("test", "-s", "/etc/checkpoint/token", "-a", "-s", "/etc/checkpoint/checkpoint.yml", "-a", "!", "-e", "/usr/bin/checkpoint")
	})

	p.step("install again", func() {
		m.mustRun("dpkg", "--force-confdef", "--force-confold", "--install", "/tmp/new.deb")
		p.state("checkpoint-exporter", "active", "enabled")
	})

	p.step("purge", func() {
		m.mustRun("dpkg", "--purge", "checkpointd", "checkpoint-exporter")
		after := p.files()
		for file := range after {
			if !before[file] {
				t.Errorf("left behind: %s", file)
			}
		}
		for file := range before {
			if !after[file] {
				t.Errorf("gone: %s", file)
			}
		}
	})
	if err := <-again; err != nil {
		t.Error(err)
	}
}

// buildPackages makes the packages of the programs under test.
func buildPackages(tb testing.TB, out string) {
	tb.Helper()
	tool(tb, "package", "nfpm")
	tool(tb, "sbom", "cyclonedx-gomod")
	programs := filepath.Join(workDir(tb), "programs")
	for _, name := range []string{"checkpoint", "checkpoint_exporter", "checkpoint_remediator", "checkpointd"} {
		copyProgram(tb, ourProgram(tb, name), filepath.Join(programs, runtime.GOARCH, name))
	}
	if err := runBuild(out, programs); err != nil {
		tb.Fatal(err)
	}
}

// runBuild runs deploy/package/build.sh. Version and time are fixed: whoever commits meanwhile does not make another package of it.
func runBuild(out, programs string) error {
	cmd := exec.Command(filepath.Join(repository(), "deploy", "package", "build.sh"), out, programs, runtime.GOARCH)
	cmd.Env = append(os.Environ(), "PACKAGE_VERSION=1.2.3", "SOURCE_DATE_EPOCH=1790000000")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("deploy/package/build.sh: %w\n%s", err, text)
	}
	return nil
}

// sameAgain builds the packages once more, at another time, and compares.
func sameAgain(tb testing.TB, built string) error {
	out := filepath.Join(workDir(tb), "again")
	if err := runBuild(out, filepath.Join(workDir(tb), "programs")); err != nil {
		return err
	}
	first, err := os.ReadFile(filepath.Join(built, "SHA256SUMS"))
	if err != nil {
		return err
	}
	second, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		return err
	}
	if string(first) != string(second) || strings.Count(string(first), "\n") != 8 {
		return fmt.Errorf("built twice:\n%s\nand\n%s", first, second)
	}
	return nil
}

func copyProgram(tb testing.TB, from, to string) {
	tb.Helper()
	copyFile(tb, from, to)
	if err := os.Chmod(to, 0o755); err != nil {
		tb.Fatal(err)
	}
}

func debOf(tb testing.TB, dir, name string) string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
	if err != nil || len(found) != 1 {
		tb.Fatalf("%s: %v, %v", name, found, err)
	}
	return found[0]
}

// olderPackage makes dir.deb of a package: version 0, and a line more in each conffile.
func olderPackage(tb testing.TB, deb, dir string) {
	tb.Helper()
	must := func(args ...string) {
		tb.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		tb.Fatal(err)
	}
	must("dpkg-deb", "--raw-extract", deb, dir)
	must("sed", "-i", "-E", `s/^Version: .*/Version: 0/; s/\(= [^)]*\)/(= 0)/`, dir+"/DEBIAN/control")
	conffiles, err := os.ReadFile(dir + "/DEBIAN/conffiles")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range strings.Fields(string(conffiles)) {
		must("sed", "-i", "$a # older", dir+file)
	}
	must("dpkg-deb", "--build", "-Znone", "--root-owner-group", dir, dir+".deb")
}

// packaged is a machine on which packages are installed.
type packaged struct {
	t *testing.T
	m *machine
}

func (p packaged) step(name string, do func()) {
	began := time.Now()
	do()
	p.t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
	if p.t.Failed() {
		p.t.FailNow()
	}
}

// prepare makes the machine one on which packages may start services, whose systemd reads the units that they bring, and on which nobody
// has made the group that the units name.
func (p packaged) prepare() {
	p.m.mustRun("rm", "-rf", "/usr/sbin/policy-rc.d", "/var/lib/checkpoint", "/etc/checkpoint",
		"/var/lib/man-db/auto-update") // which would read all manual pages of the machine at each step
	p.m.mustRun("mount", "--bind", unitDir, "/usr/lib/systemd/system")
	if _, err := p.m.run("getent", "group", "systemd-journal"); err == nil {
		p.m.mustRun("groupdel", "systemd-journal")
	}
	for _, unit := range []string{"checkpoint-exporter", "checkpoint-remediator", "checkpointd"} {
		p.m.write("/etc/systemd/system/"+unit+".service.d/e2e.conf", offline, 0o644)
	}
}

// files are all that a package could leave behind. What the tools of the system keep for themselves is not among them.
func (p packaged) files() map[string]bool {
	p.t.Helper()
	files := map[string]bool{}
	list := p.m.mustRun("sh", "-c", "find /etc /usr /opt /srv /home /var /run/checkpoint /run/e2e "+
		"-path /var/lib/dpkg -prune -o -path /var/cache -prune -o -path /var/log -prune -o -path /usr/local/go -prune -o -print 2>/dev/null || true")
	for file := range strings.Lines(list) {
		file = strings.TrimSpace(file)
		switch file {
		case "/etc/.pwd.lock", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", // of the user, who stays
			"/var/lib/systemd", "/var/lib/private", "/etc/systemd/system/multi-user.target.wants",
			"/var/lib/systemd/deb-systemd-helper-enabled", "/var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants": // shared directories
			continue
		}
		files[file] = true
	}
	return files
}

// serves waits until a unit answers, in the network that is its own.
func (p packaged) serves(unit, url, want string) {
	p.t.Helper()
	eventually(p.t, time.Minute, unit+" to serve "+url, func() error {
		out, err := p.m.run("nsenter", "--target", p.pid(unit), "--net", "curl", "--silent", "--fail", url)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("no %s in %.200s", want, out)
		}
		return err
	})
}

func (p packaged) state(unit, active, enabled string) {
	p.t.Helper()
	if out, _ := p.m.run("systemctl", "is-active", unit); strings.TrimSpace(out) != active {
		p.t.Errorf("%s is %s, want %s\n%s", unit, strings.TrimSpace(out), active, p.m.journal(unit))
	}
	if out, _ := p.m.run("systemctl", "is-enabled", unit); strings.TrimSpace(out) != enabled {
		p.t.Errorf("%s is %s, want %s", unit, strings.TrimSpace(out), enabled)
	}
}

func (p packaged) pid(unit string) string {
	p.t.Helper()
	return strings.TrimSpace(p.m.mustRun("systemctl", "show", "--property=MainPID", "--value", unit))
}

func (p packaged) invocation(unit string) string {
	p.t.Helper()
	id, err := p.m.invocation(unit + ".service")
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p packaged) read(file string) string {
	p.t.Helper()
	text, err := os.ReadFile(p.m.path(file))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func lineOf(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}
