package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
)

// User is that of the remediator and of checkpointd.
const User = "checkpoint"

// Permissions are what the remediator has to be granted for a configuration.
type Permissions struct {
	// Units are those that it may restart, stop and start; Reload tells that it has to make systemd read its units again.
	Units  []string
	Reload bool
	// Paths are directories that its unit has to let it write to, and Groups those that it has to be in.
	Paths  []string
	Groups []string
	// Commands are for an operator: they change the owner or mode of what is not ours.
	Commands []string
}

// PermissionsOf works out what a configuration needs.
func PermissionsOf(c *config.Config) Permissions {
	var p Permissions
	restart := func(r *config.Restart) {
		switch {
		case r == nil:
		case r.Systemd != "":
			p.Units = append(p.Units, r.Systemd)
			p.Groups = append(p.Groups, "systemd-journal")
		case r.Docker != "", r.DockerCompose != nil:
			p.Groups = append(p.Groups, "docker")
		}
	}
	for _, n := range c.Nodes {
		restart(n.Restart)
		restart(n.RestartExecution)
		if n.Validator != nil {
			restart(n.Validator.Restart)
		}
		switch s := n.Source; {
		case s == nil:
		case s.YAML != nil:
			p.file(s.YAML.File)
		case s.Env != nil:
			p.file(s.Env.File)
		case s.Systemd != nil:
			p.Reload = true
			p.Paths = append(p.Paths, "/etc/systemd/system")
			p.Commands = append(p.Commands, fmt.Sprintf("setfacl -m u:%s:rwx /etc/systemd/system  # for %s; whoever may write units decides what root runs", User, s.Systemd.Unit))
		case s.Docker != nil:
			p.Groups = append(p.Groups, "docker")
		}
		if n.DataDir != "" && n.Consensus.Client != "" && c.Remediation.Mode == config.Act {
			p.Paths = append(p.Paths, n.DataDir)
			p.Commands = append(p.Commands, fmt.Sprintf("setfacl -R -m u:%s:rwX -m d:u:%s:rwX %s  # only if it is to resync; not on keys of validators", User, User, shellWord(n.DataDir)))
		}
	}
	for _, list := range []*[]string{&p.Units, &p.Paths, &p.Groups, &p.Commands} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return p
}

// file is one that is replaced as a whole.
func (p *Permissions) file(path string) {
	dir := filepath.Dir(path)
	p.Paths = append(p.Paths, dir)
	p.Commands = append(p.Commands, fmt.Sprintf("setfacl -m u:%s:rwx %s && setfacl -m u:%s:rw %s", User, shellWord(dir), User, shellWord(path)))
}

// shellWord is a text as a shell takes it for one word.
func shellWord(s string) string {
	if harmless.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Polkit is the rule that lets the remediator restart, stop and start the units, and nothing else; nil if it needs none.
func (p Permissions) Polkit() []byte {
	if len(p.Units) == 0 && !p.Reload {
		return nil
	}
	names := make([]string, len(p.Units))
	for i, u := range p.Units {
		names[i] = fmt.Sprintf("%q", u)
	}
	var b strings.Builder
	fmt.Fprintf(&b, polkit, strings.Join(names, ", "), p.Reload, User)
	return []byte(b.String())
}

// polkit is the shipped rule (deploy/polkit), with what a configuration names filled in.
const polkit = `// Written by checkpoint setup, from what checkpoint.yml names.
// The user of the remediator and of checkpointd may restart, stop and start these units, and nothing else. Without stop and start in verbs it
// can restart them, but neither resync nor reset a node.
polkit.addRule(function (action, subject) {
    var units = [%s];
    var verbs = ["restart", "stop", "start", "reset-failed"];
    // true only for a source that is a systemd unit: its drop-in takes effect when systemd reads its units again. polkit knows no unit
    // here, and the same action lets systemd execute itself anew.
    var reload = %t;
    if (subject.user != %q) {
        return polkit.Result.NOT_HANDLED;
    }
    if (action.id == "org.freedesktop.systemd1.manage-units" &&
        units.indexOf(action.lookup("unit")) >= 0 &&
        verbs.indexOf(action.lookup("verb")) >= 0) {
        return polkit.Result.YES;
    }
    if (action.id == "org.freedesktop.systemd1.reload-daemon" && reload) {
        return polkit.Result.YES;
    }
    return polkit.Result.NOT_HANDLED;
});
`

// DropIn is what the remediator's unit has to be told; nil if there is nothing. A path that is not there does no harm.
func (p Permissions) DropIn() []byte {
	if len(p.Paths)+len(p.Groups) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("# Written by checkpoint setup, from what checkpoint.yml names.\n[Service]\n")
	for _, path := range p.Paths {
		fmt.Fprintf(&b, "ReadWritePaths=%s\n", unitPath("-"+path))
	}
	if len(p.Groups) > 0 {
		fmt.Fprintf(&b, "SupplementaryGroups=%s\n", strings.Join(p.Groups, " "))
	}
	return []byte(b.String())
}

// unitPath is a path as a unit file has it: of its own characters a percent sign is one of systemd's, and blanks and quotes end a word.
func unitPath(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t\"'\\") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
	}
	return path
}
