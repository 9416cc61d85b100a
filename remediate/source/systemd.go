package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
)

// Systemd names the checkpoint URL of a service: its client's flag in ExecStart=, or a variable of its environment.
type Systemd struct {
	// Unit is the full name of a service; it may be an alias or an instance of a template.
	Unit string
	// Environment is a variable's name; "" means the flag.
	Environment string
	// Client is the consensus client: lighthouse, teku, prysm, nimbus, lodestar or grandine. Only the flag needs it.
	Client string
}

// SystemdSource is a Source in the files of a systemd unit. The URL that counts is found as systemd finds it, through drop-ins, aliases,
// templates, variables and environment files. It is changed where it stands, unless that file belongs to a package or a generator: then
// a drop-in that repeats the setting is created, and removed again by Restore. After every change systemd's manager reads its files again.
type SystemdSource struct {
	Systemd
	opts    Options
	backups Backups
	write   writer
}

// DropIn is the file name of the drop-ins that are created.
const DropIn = "90-checkpoint.conf"

var serviceName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\@-]+)?\.service$`)

// NewSystemd is the source of the checkpoint URL of a service. Nothing is read yet.
func NewSystemd(s Systemd, opts Options) (*SystemdSource, error) {
	switch {
	case !serviceName.MatchString(s.Unit):
		return nil, fmt.Errorf("systemd source: %q is not the full name of a service, such as lighthouse.service", s.Unit)
	case s.Environment != "" && !envKey.MatchString(s.Environment):
		return nil, fmt.Errorf("systemd source of %s: %q is not a variable's name", s.Unit, s.Environment)
	case s.Environment == "" && client.CheckpointFlags(s.Client) == nil:
		return nil, fmt.Errorf("systemd source of %s: the checkpoint flag of client %q is not known: name the client, or a variable", s.Unit, s.Client)
	case opts.Backups == "":
		return nil, fmt.Errorf("systemd source of %s: no directory for backups is named", s.Unit)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Reload == nil {
		opts.Reload = ReloadSystemd("")
	}
	if opts.Root != "" {
		root, err := filepath.EvalSymlinks(opts.Root)
		if err != nil {
			return nil, fmt.Errorf("systemd source of %s: %w", s.Unit, err)
		}
		opts.Root = root
	}
	w := writer{hook: opts.Step}
	return &SystemdSource{Systemd: s, opts: opts, write: w, backups: Backups{Dir: opts.Backups, steps: w}}, nil
}

func (s *SystemdSource) String() string {
	return strings.TrimSuffix("systemd "+s.Unit+" "+s.Environment, " ")
}

// systemdDetail is the Detail of a Change here.
type systemdDetail struct {
	Kind string `json:"kind"`
	// NewDirectory tells that the drop-in's directory is created with it.
	NewDirectory bool `json:"new_directory,omitempty"`
}

func (s *SystemdSource) find(overlay map[string][]byte, virtual string) (*unit, unitPlace, error) {
	u, err := loadUnit(s.opts.Root, s.Unit, overlay, virtual)
	if err != nil {
		return nil, unitPlace{}, err
	}
	p, err := u.locate(s.Client, s.Environment)
	return u, p, err
}

// Read returns the URL that counts for the unit's next start, by its files.
func (s *SystemdSource) Read(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("read %s: %w", s, err)
	}
	_, p, err := s.find(nil, "")
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s, err)
	}
	return p.url, nil
}

// Plan works out the change of the URL, and leaves the disk alone.
func (s *SystemdSource) Plan(ctx context.Context, url string) (Change, error) {
	if err := CheckURL(url); err != nil {
		return Change{}, err
	}
	u, p, err := s.find(nil, "")
	if err != nil {
		return Change{}, fmt.Errorf("plan %s: %w", s, err)
	}
	if u.theirs(p.part) {
		return s.planDropIn(u, p, url)
	}
	f, err := s.file(p.part.path, p.part.real, p.kind)
	if err != nil {
		return Change{}, err
	}
	c, err := f.Plan(ctx, url)
	if err != nil {
		return Change{}, fmt.Errorf("plan %s: %w", s, err)
	}
	c.Detail, err = json.Marshal(systemdDetail{Kind: p.kind})
	return c, err
}

// Apply carries a planned change out and makes systemd's manager read it.
func (s *SystemdSource) Apply(ctx context.Context, c Change) error {
	d, err := s.detail(c)
	if err != nil {
		return err
	}
	if d.Kind == inDropIn {
		err = s.create(ctx, c)
	} else {
		err = s.edit(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("change %s: %w", s, err)
	}
	if err := s.reload(ctx, d); err != nil {
		return err
	}
	got, err := s.Read(ctx)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if got != c.To {
		return fmt.Errorf("read back %s: %q counts, not %q: %w", s, got, c.To, ErrEditedByOther)
	}
	return nil
}

func (s *SystemdSource) edit(ctx context.Context, c Change) error {
	_, p, err := s.find(nil, "")
	if err != nil {
		return err
	}
	f, err := s.file(p.part.path, p.part.real, p.kind)
	if err != nil {
		return err
	}
	return f.Apply(ctx, c)
}

func (s *SystemdSource) detail(c Change) (systemdDetail, error) {
	var d systemdDetail
	if err := json.Unmarshal(c.Detail, &d); err != nil {
		return d, fmt.Errorf("%s: detail of the change: %w", s, err)
	}
	if !slices.Contains([]string{inUnit, inEnvironmentFile, inDropIn}, d.Kind) {
		return d, fmt.Errorf("%s: the change is of a kind that is not known: %q", s, d.Kind)
	}
	return d, nil
}

// reload makes the manager read its files. An environment file it reads whenever it starts the service.
func (s *SystemdSource) reload(ctx context.Context, d systemdDetail) error {
	if d.Kind == inEnvironmentFile {
		return nil
	}
	err := s.write.step(StepReload)
	if err == nil {
		err = s.opts.Reload(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: the file is written, but systemd has not read it again (systemctl daemon-reload): %w", s, err)
	}
	return nil
}

// Look compares the file with what it was before the change and what it is to be after it, and makes systemd's manager read it: a process
// that ended between the two must not leave the manager behind.
func (s *SystemdSource) Look(ctx context.Context, c Change) (Condition, error) {
	return s.LookAmong(ctx, c, nil)
}

// LookAmong is Look that does not count what others of our own changes did to the same environment file.
func (s *SystemdSource) LookAmong(ctx context.Context, c Change, others []Change) (Condition, error) {
	d, err := s.detail(c)
	if err != nil {
		return "", err
	}
	var cond Condition
	if d.Kind == inDropIn {
		cond, err = s.lookCreated(ctx, c)
	} else {
		var f *File
		if f, err = s.file(c.File, c.File, d.Kind); err == nil {
			cond, err = f.LookAmong(ctx, c, others)
		}
	}
	if err != nil || cond == Edited || cond == Half {
		return cond, err
	}
	return cond, s.reload(ctx, d)
}

// Restore takes an applied change back: a drop-in that it created goes.
func (s *SystemdSource) Restore(ctx context.Context, c Change) error {
	return s.RestoreAmong(ctx, c, nil)
}

// RestoreAmong is Restore that leaves in place what others of our own changes did to the same environment file.
func (s *SystemdSource) RestoreAmong(ctx context.Context, c Change, others []Change) error {
	d, err := s.detail(c)
	if err != nil {
		return err
	}
	if d.Kind == inDropIn {
		err = s.removeCreated(ctx, c, d)
	} else {
		var f *File
		if f, err = s.file(c.File, c.File, d.Kind); err == nil {
			err = f.RestoreAmong(ctx, c, others)
		}
	}
	if err != nil {
		return err
	}
	return s.reload(ctx, d)
}

// file is one file of the unit; real is its path without symbolic links.
func (s *SystemdSource) file(path, real, kind string) (*File, error) {
	return newFile(s.String(), path, unitCodec{s: s, real: real, kind: kind}, s.opts)
}

// unitCodec is the codec of one file of a unit. What it finds there it finds by reading the others, too.
type unitCodec struct {
	s    *SystemdSource
	real string
	kind string
}

func (c unitCodec) find(data []byte) (place, error) {
	_, p, err := c.locate(data)
	return p.place, err
}

func (c unitCodec) locate(data []byte) (*unit, unitPlace, error) {
	u, p, err := c.s.find(map[string][]byte{c.real: data}, "")
	if err != nil {
		return nil, unitPlace{}, err
	}
	if p.part.real != c.real || p.kind != c.kind {
		return nil, unitPlace{}, &PlaceError{File: p.part.path, Line: p.line, Reason: "the URL that counts is here now"}
	}
	return u, p, nil
}

func (c unitCodec) splice(data []byte, at place, url string) ([]byte, error) {
	u, p, err := c.locate(data)
	if err != nil {
		return nil, err
	}
	if p.place != at {
		return nil, &PlaceError{Line: at.line, Reason: "the value moved while it was looked at"}
	}
	var after []byte
	if c.kind == inEnvironmentFile {
		after, err = envCodec{key: p.key, systemd: true}.splice(data, at, url)
	} else {
		after = bytes.Join([][]byte{data[:at.start], []byte(p.text(url)), data[at.end:]}, nil)
	}
	if err != nil {
		return nil, err
	}
	now, is, err := c.locate(after)
	if err != nil {
		return nil, err
	}
	if is.url != url || is.key != p.key {
		return nil, &PlaceError{Line: at.line, Reason: "the new URL would not be read back as it is"}
	}
	if !slices.Equal(u.without(p), now.without(is)) {
		return nil, &PlaceError{Line: at.line, Reason: "changing the URL would change something else"}
	}
	return after, nil
}

func (c unitCodec) sibling(key string) (codec, error) {
	if c.kind != inEnvironmentFile {
		return nil, errNoSibling
	}
	return envCodec{key: key, systemd: true}, nil
}

// notURL says that what stands at a place cannot be replaced.
func notURL(file string, p place) error {
	if err := CheckURL(strings.TrimSpace(p.url)); err == nil || p.url == "" {
		return nil
	}
	return &PlaceError{File: file, Line: p.line, Reason: fmt.Sprintf("%s is %.200q, which is not a URL", p.key, p.url),
		Mend: "if it is a template or a reference, name the place that holds the URL itself"}
}
