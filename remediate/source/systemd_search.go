package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unitDirs is where systemd's system manager looks for units, the first one that has a name winning (systemd.unit(5), "Unit File Load
// Path", and src/libsystemd/sd-path/path-lookup.c of systemd 252).
var unitDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early",
	"/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
}

// notOurs are the directories whose unit files belong to packages and generators. What is in them is overridden, not edited.
var notOurs = []string{"/usr", "/lib", "/run", "/nix", "/gnu"}

const configDir = "/etc/systemd/system"

// IsUnitFile tells whether systemd's system manager reads path, so that a change of it counts only after systemctl daemon-reload.
func IsUnitFile(path string) bool {
	return slices.ContainsFunc(unitDirs, func(dir string) bool { return strings.HasPrefix(path, dir+"/") })
}

// unitSearch finds the files of a unit below a root directory.
type unitSearch struct {
	root string
	// virtual is a drop-in that is not written yet; "" for none.
	virtual string

	files   map[string]string // names to the paths that count
	aliases map[string]string // names that are links to other names
}

// unitFiles are the files that make up a unit, in the order in which they are read.
type unitFiles struct {
	name     string // without aliases
	fragment string
	dropins  []string
}

func (s *unitSearch) path(dir string) string { return filepath.Join(s.root, dir) }

// find returns the files of a unit, whose name may be an alias or an instance.
func (s *unitSearch) find(unit string) (unitFiles, error) {
	if err := s.scan(); err != nil {
		return unitFiles{}, err
	}
	name, err := s.resolve(unit)
	if err != nil {
		return unitFiles{}, err
	}
	u := unitFiles{name: name, fragment: s.files[name]}
	if t, ok := template(name); ok && u.fragment == "" {
		u.fragment = s.files[t]
	}
	if u.fragment == "" {
		return unitFiles{}, fmt.Errorf("systemd has no unit file of %s", unit)
	}
	names := []string{name}
	for alias := range s.aliases {
		if to, err := s.resolve(alias); err == nil && to == name {
			names = append(names, alias)
		}
	}
	if !slices.Contains(names, unit) {
		names = append(names, unit)
	}
	slices.Sort(names[1:])
	u.dropins, err = s.dropins(names)
	return u, err
}

// scan lists all services once.
func (s *unitSearch) scan() error {
	s.files, s.aliases = map[string]string{}, map[string]string{}
	for _, dir := range unitDirs {
		entries, err := os.ReadDir(s.path(dir))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for units: %w", err)
		}
		for _, e := range entries {
			name := e.Name()
			if _, seen := s.files[name]; seen || !strings.HasSuffix(name, ".service") || e.IsDir() {
				continue
			}
			path := filepath.Join(s.path(dir), name)
			s.files[name] = path
			if e.Type()&os.ModeSymlink == 0 {
				continue
			}
			to, err := os.Readlink(path)
			if err != nil {
				return fmt.Errorf("look for units: %w", err)
			}
			if to := s.alias(path, to); to != "" && to != name {
				s.aliases[name] = to
			}
		}
	}
	return nil
}

// alias is the name that a link gives another name to; "" if it leads out of the directories of units.
func (s *unitSearch) alias(link, to string) string {
	if filepath.IsAbs(to) {
		to = s.path(to)
	} else {
		to = filepath.Join(filepath.Dir(link), to)
	}
	if slices.ContainsFunc(unitDirs, func(dir string) bool { return s.path(dir) == filepath.Dir(to) }) {
		return filepath.Base(to)
	}
	return ""
}

// resolve follows aliases.
func (s *unitSearch) resolve(unit string) (string, error) {
	const most = 32
	for range most {
		to, ok := s.aliases[unit]
		if t, isInstance := template(unit); !ok && isInstance && s.files[unit] == "" {
			to, ok = s.aliases[t]
		}
		if !ok {
			return unit, nil
		}
		if prefix, ok := strings.CutSuffix(to, "@.service"); ok {
			_, instance, isInstance := strings.Cut(unit, "@")
			if !isInstance {
				return "", fmt.Errorf("unit %s is a link to the template %s", unit, to)
			}
			to = prefix + "@" + instance
			if to == unit { // an instance that is a link to its own template
				return unit, nil
			}
		}
		unit = to
	}
	return "", fmt.Errorf("unit %s has too many names", unit)
}

// template is the template of an instance.
func template(unit string) (string, bool) {
	prefix, instance, ok := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	if !ok || instance == "" {
		return "", false
	}
	return prefix + "@.service", true
}

// dropins lists the drop-ins of a unit with those names (src/shared/dropin.c of systemd): of the same file name the first one in the order
// of directories counts, and they are read in the order of file names.
func (s *unitSearch) dropins(names []string) ([]string, error) {
	var dirs []string
	for _, n := range names {
		for _, dir := range unitDirs {
			for _, d := range dropinNames(n) {
				dirs = append(dirs, filepath.Join(s.path(dir), d+".d"))
			}
		}
	}
	for _, dir := range unitDirs {
		dirs = append(dirs, filepath.Join(s.path(dir), "service.d"))
	}
	found := map[string]string{}
	var order []string
	add := func(path string) {
		name := filepath.Base(path)
		if _, seen := found[name]; !seen && strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".") {
			found[name] = path
			order = append(order, name)
		}
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look for drop-ins: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				add(filepath.Join(dir, e.Name()))
			}
		}
		if filepath.Dir(s.virtual) == dir {
			add(s.virtual)
		}
	}
	slices.Sort(order)
	paths := make([]string, len(order))
	for i, name := range order {
		paths[i] = found[name]
	}
	return paths, nil
}

// dropinNames are the names whose .d directories a unit's drop-ins may be in: its own, its template's, and those of its prefixes that end in
// a dash.
func dropinNames(unit string) []string {
	names := []string{unit}
	if t, ok := template(unit); ok {
		names = append(names, dropinNames(t)...)
	}
	prefix, instance, isInstance := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	trimmed := strings.TrimSuffix(prefix, "-")
	n := strings.LastIndexByte(trimmed, '-')
	if n <= 0 {
		return names
	}
	chopped := trimmed[:n+1]
	if isInstance {
		chopped += "@" + instance
	}
	return append(names, dropinNames(chopped+".service")...)
}
