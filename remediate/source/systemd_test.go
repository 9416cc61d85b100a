package source_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/client"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

const (
	admin   = "etc/systemd/system/beacon.service"
	vendor  = "usr/lib/systemd/system/beacon.service"
	ourDrop = "etc/systemd/system/beacon.service.d/90-checkpoint.conf"
)

// host is a tree of files that stands for /.
type host struct {
	testing.TB
	root    string
	reloads int
	fails   error // of a reload
	step    func(string) error
}

func newHost(t testing.TB, files map[string]string) *host {
	t.Helper()
	h := &host{TB: t, root: t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(h.root, "etc/systemd/system"), 0o755))
	for path, text := range files {
		h.put(path, text)
	}
	return h
}

func (h *host) put(path, text string) {
	h.Helper()
	at := filepath.Join(h.root, path)
	must(h, os.MkdirAll(filepath.Dir(at), 0o755))
	if to, ok := strings.CutPrefix(text, "-> "); ok {
		must(h, os.Symlink(to, at))
		return
	}
	must(h, os.WriteFile(at, []byte(text), 0o644))
}

func (h *host) source(s source.Systemd) *source.SystemdSource {
	h.Helper()
	src, err := source.NewSystemd(s, source.Options{Backups: filepath.Join(h.root, "var/backups"), Root: h.root, Step: h.step,
		Reload: func(context.Context) error { h.reloads++; return h.fails }})
	must(h, err)
	return src
}

func (h *host) lighthouse() *source.SystemdSource {
	h.Helper()
	return h.source(source.Systemd{Unit: "beacon.service", Client: "lighthouse"})
}

// text is what a file holds; "" if it is not there.
func (h *host) text(path string) string {
	h.Helper()
	data, err := os.ReadFile(filepath.Join(h.root, path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.Fatal(err)
	}
	return string(data)
}

func (h *host) reads(s source.Source, want string) {
	h.Helper()
	if got, err := s.Read(context.Background()); err != nil || got != want {
		h.Errorf("Read: %q, %v, want %q", got, err, want)
	}
}

func TestSystemdFlagOfEveryClient(t *testing.T) {
	for _, name := range config.ConsensusClients {
		for _, flag := range client.CheckpointFlags(name) {
			text := "[Service]\nExecStart=/usr/bin/" + name + " " + flag + "=OLD --x y\n"
			h := newHost(t, map[string]string{admin: strings.Replace(text, "OLD", oldURL, 1)})
			s := h.source(source.Systemd{Unit: "beacon.service", Client: name})
			c := plan(t, s, goodTo)
			must(t, s.Apply(context.Background(), c))
			if got := h.text(admin); got != strings.Replace(text, "OLD", goodTo, 1) || c.Key != "ExecStart "+flag {
				t.Errorf("%s: %s\n%s", name, c.Key, got)
			}
		}
	}
}

func TestSystemdChangesNothingElse(t *testing.T) {
	ctx := context.Background()
	const flag = "--checkpoint-sync-url"
	// OLD stands for the URL.
	for name, tt := range map[string]struct {
		text        string
		environment string
	}{
		"joined":                 {"[Service]\nExecStart=/usr/bin/lighthouse bn " + flag + "=OLD --http\n", ""},
		"apart":                  {"[Service]\nExecStart=/usr/bin/lighthouse bn " + flag + "   OLD\n", ""},
		"prefixes":               {"[Service]\nExecStart=-+/usr/bin/lighthouse bn " + flag + "=OLD\n", ""},
		"own name":               {"[Service]\nExecStart=@/usr/bin/lighthouse beacon bn " + flag + "=OLD\n", ""},
		"no variables":           {"[Service]\nExecStart=:/usr/bin/lighthouse bn " + flag + "=OLD $HOME\n", ""},
		"double quotes":          {"[Service]\nExecStart=/usr/bin/lighthouse bn " + flag + "=\"OLD\" x\n", ""},
		"all in quotes":          {"[Service]\nExecStart=\"/usr/bin/lighthouse\" 'bn' '" + flag + "=OLD' \"a b\"\n", ""},
		"single, apart":          {"[Service]\nExecStart=/usr/bin/lighthouse bn " + flag + " 'OLD' x\n", ""},
		"escapes elsewhere":      {"[Service]\nExecStart=/usr/bin/lighthouse bn --graffiti=\"a\\x20\\u00e9 \\\"b\\\" \\q\" " + flag + "=OLD\n", ""},
		"several lines":          {"[Service]\nExecStart=/usr/bin/lighthouse bn \\\n  --http \\\n\\\n  " + flag + "=OLD \\\n  --metrics\n", ""},
		"comments between":       {"[Service]\nExecStart=/usr/bin/lighthouse bn \\\n# one \\\n  ; two\n  " + flag + "=OLD \\\n # three\n\n[Install]\nWantedBy=x\n", ""},
		"value on the next line": {"[Service]\nExecStart=/usr/bin/lighthouse bn " + flag + " \\\nOLD\n", ""},
		"CRLF":                   {"[Service]\r\nExecStart=/usr/bin/lighthouse bn \\\r\n  " + flag + "=OLD\r\nUser=x\r\n", ""},
		"BOM":                    {"\ufeff[Service]\nExecStart=/usr/bin/lighthouse " + flag + "=OLD", ""},
		"spaces around":          {" [Service] \n  ExecStart  =  /usr/bin/lighthouse " + flag + "=OLD  \n", ""},
		"reset before":           {"[Service]\nExecStart=/usr/bin/lighthouse " + flag + "=https://not.example\nExecStart=\nExecStart=/usr/bin/lighthouse " + flag + "=OLD\n", ""},
		"commands before":        {"[Service]\nExecStartPre=/bin/true --x\nExecStart=/usr/bin/lighthouse " + flag + "=OLD\nExecStop=/bin/kill " + flag + "=https://not.example\n", ""},
		"two in a line":          {"[Service]\nType=oneshot\nExecStart=/bin/echo \\; ';' a ; /usr/bin/lighthouse " + flag + "=OLD ; /bin/true\n", ""},
		"other sections":         {"[Unit]\nExecStart=/x " + flag + "=https://not.example\n[Service]\nExecStart=/usr/bin/lighthouse " + flag + "=OLD\n[X-Me]\nExecStart=/y " + flag + "=https://no.example\n", ""},
		"specifiers elsewhere":   {"[Service]\nExecStart=/usr/bin/lighthouse --datadir=%S/x --graffiti=100%% " + flag + "=OLD\n", ""},
		"variables elsewhere":    {"[Service]\nExecStart=/usr/bin/lighthouse $OPTIONS --x=${X} $$ " + flag + "=OLD\n", ""},
		"commented out":          {"[Service]\n#ExecStart=/usr/bin/lighthouse " + flag + "=https://not.example\nExecStart=/usr/bin/lighthouse " + flag + "=OLD\n", ""},
		"not UTF-8 elsewhere":    {"[Unit]\n# \xe9\nDescription=\xff\n[Service]\nExecStart=/usr/bin/lighthouse " + flag + "=OLD\n", ""},
		"variable":               {"[Service]\nEnvironment=A=1 CHECKPOINT_SYNC_URL=OLD B=2\nExecStart=/usr/bin/x\n", envName},
		"variable, quoted":       {"[Service]\nEnvironment=\"A=b c\" \"CHECKPOINT_SYNC_URL=OLD\" 'B=2'\nExecStart=/usr/bin/x\n", envName},
		"variable, value quoted": {"[Service]\nEnvironment=CHECKPOINT_SYNC_URL='OLD'\nExecStart=/usr/bin/x\n", envName},
		"variable, the last":     {"[Service]\nEnvironment=CHECKPOINT_SYNC_URL=https://not.example\nEnvironment=A=1\nEnvironment=CHECKPOINT_SYNC_URL=OLD\nExecStart=/usr/bin/x\n", envName},
		"variable, reset":        {"[Service]\nEnvironment=CHECKPOINT_SYNC_URL=https://not.example\nEnvironment=\nEnvironment=CHECKPOINT_SYNC_URL=OLD\nExecStart=/usr/bin/x\n", envName},
		"followed":               {"[Service]\nEnvironment=U=OLD\nExecStart=/usr/bin/lighthouse " + flag + "=${U} --http\n", ""},
		"followed, apart":        {"[Service]\nEnvironment=U=OLD\nExecStart=/usr/bin/lighthouse " + flag + " $U --http\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			old, new := strings.Replace(tt.text, "OLD", oldURL, 1), strings.Replace(tt.text, "OLD", goodTo, 1)
			h := newHost(t, map[string]string{admin: old})
			s := h.source(source.Systemd{Unit: "beacon.service", Client: "lighthouse", Environment: tt.environment})
			h.reads(s, oldURL)
			c := plan(t, s, goodTo)
			if want := 1 + strings.Count(tt.text[:strings.Index(tt.text, "OLD")], "\n"); c.Line != want {
				t.Errorf("line %d, want %d", c.Line, want)
			}
			text, err := json.Marshal(c)
			must(t, err)
			var read source.Change
			must(t, json.Unmarshal(text, &read))
			must(t, s.Apply(ctx, read))
			if diff := cmp.Diff(new, h.text(admin)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			h.reads(s, goodTo)
			look(t, s, c, source.Applied)
			must(t, s.Restore(ctx, c))
			if diff := cmp.Diff(old, h.text(admin)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			look(t, s, c, source.NotApplied)
			if h.reloads != 4 {
				t.Errorf("%d reloads, want one at each of Apply, Look, Restore, Look", h.reloads)
			}
		})
	}
}

func TestSystemdWritesWhatSystemdReplaces(t *testing.T) {
	const url = "https://new.example/%20?a=$1"
	for name, tt := range map[string]struct{ text, want, environment string }{
		"command":      {"ExecStart=/usr/bin/lighthouse --checkpoint-sync-url=OLD", "https://new.example/%%20?a=$$1", ""},
		"no variables": {"ExecStart=:/usr/bin/lighthouse --checkpoint-sync-url=OLD", "https://new.example/%%20?a=$1", ""},
		"variable":     {"ExecStart=/usr/bin/x\nEnvironment=U=OLD", "https://new.example/%%20?a=$1", "U"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, map[string]string{admin: "[Service]\n" + strings.Replace(tt.text, "OLD", oldURL, 1) + "\n"})
			s := h.source(source.Systemd{Unit: "beacon.service", Client: "lighthouse", Environment: tt.environment})
			must(t, s.Apply(context.Background(), plan(t, s, url)))
			if got, want := h.text(admin), "[Service]\n"+strings.Replace(tt.text, "OLD", tt.want, 1)+"\n"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			h.reads(s, url)
		})
	}
}

func TestSystemdFillsAnEmptyValue(t *testing.T) {
	for was, is := range map[string]string{
		"ExecStart=/usr/bin/lighthouse --checkpoint-sync-url= x":     "ExecStart=/usr/bin/lighthouse --checkpoint-sync-url=URL x",
		"ExecStart=/usr/bin/lighthouse --checkpoint-sync-url=\"\" x": "ExecStart=/usr/bin/lighthouse --checkpoint-sync-url=URL x",
		"ExecStart=/usr/bin/lighthouse --checkpoint-sync-url '' x":   "ExecStart=/usr/bin/lighthouse --checkpoint-sync-url URL x",
	} {
		h := newHost(t, map[string]string{admin: "[Service]\n" + was + "\n"})
		s := h.lighthouse()
		must(t, s.Apply(context.Background(), plan(t, s, goodTo)))
		if got, want := h.text(admin), "[Service]\n"+strings.Replace(is, "URL", goodTo, 1)+"\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// One unit in many files: the URL that counts is found where systemd finds it.
func TestSystemdPrecedence(t *testing.T) {
	const exec = "[Service]\nExecStart=/usr/bin/lighthouse --checkpoint-sync-url="
	const again = "[Service]\nExecStart=\nExecStart=/usr/bin/lighthouse --checkpoint-sync-url="
	const follow = "[Service]\nExecStart=/usr/bin/lighthouse --checkpoint-sync-url=${U}\n"
	for name, tt := range map[string]struct {
		unit  string
		files map[string]string // OLD is the URL that counts
		file  string            // the one that has it
	}{
		"admin over vendor":         {"", map[string]string{admin: exec + "OLD", vendor: exec + "https://no.example"}, admin},
		"run over vendor":           {"", map[string]string{"run/systemd/system/beacon.service": exec + "OLD", vendor: exec + "https://no.example"}, ""},
		"drop-in":                   {"", map[string]string{admin: exec + "https://no.example", "etc/systemd/system/beacon.service.d/a.conf": again + "OLD"}, "etc/systemd/system/beacon.service.d/a.conf"},
		"drop-ins by name":          {"", map[string]string{admin: exec + "https://no.example", "etc/systemd/system/beacon.service.d/10-a.conf": again + "https://no.example", "usr/lib/systemd/system/beacon.service.d/05.conf": again + "https://no.example", "etc/systemd/system/beacon.service.d/20-b.conf": again + "OLD", "etc/systemd/system/beacon.service.d/30-c": again + "https://no.example", "etc/systemd/system/beacon.service.d/.40.conf": again + "https://no.example"}, "etc/systemd/system/beacon.service.d/20-b.conf"},
		"same name, admin over run": {"", map[string]string{vendor: exec + "https://no.example", "run/systemd/system/beacon.service.d/a.conf": again + "https://no.example", "etc/systemd/system/beacon.service.d/a.conf": again + "OLD"}, "etc/systemd/system/beacon.service.d/a.conf"},
		"same name, masked":         {"", map[string]string{admin: exec + "OLD", vendor + ".d/a.conf": again + "https://no.example", "etc/systemd/system/beacon.service.d/a.conf": "-> /dev/null"}, admin},
		"for all services":          {"", map[string]string{admin: follow, "etc/systemd/system/service.d/x.conf": "[Service]\nEnvironment=U=OLD"}, "etc/systemd/system/service.d/x.conf"},
		"alias":                     {"", map[string]string{admin: "-> lighthouse.service", "etc/systemd/system/lighthouse.service": exec + "OLD", vendor: exec + "https://no.example"}, "etc/systemd/system/lighthouse.service"},
		"alias, absolute":           {"", map[string]string{admin: "-> /usr/lib/systemd/system/lighthouse.service", "usr/lib/systemd/system/lighthouse.service": exec + "https://no.example", "etc/systemd/system/lighthouse.service": exec + "OLD"}, "etc/systemd/system/lighthouse.service"},
		"drop-in of an alias":       {"lighthouse.service", map[string]string{admin: "-> lighthouse.service", "etc/systemd/system/lighthouse.service": exec + "https://no.example", "etc/systemd/system/beacon.service.d/a.conf": again + "OLD"}, "etc/systemd/system/beacon.service.d/a.conf"},
		"linked":                    {"", map[string]string{admin: "-> ../../../opt/beacon.service", "opt/beacon.service": exec + "OLD"}, "opt/beacon.service"},
		"instance":                  {"lighthouse@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": exec + "OLD"}, "etc/systemd/system/lighthouse@.service"},
		"instance of its own":       {"lighthouse@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": exec + "https://no.example", "etc/systemd/system/lighthouse@hoodi.service": exec + "OLD"}, "etc/systemd/system/lighthouse@hoodi.service"},
		"instance's drop-in":        {"lighthouse@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": exec + "https://no.example", "etc/systemd/system/lighthouse@.service.d/b.conf": again + "https://no.example", "etc/systemd/system/lighthouse@hoodi.service.d/c.conf": again + "OLD"}, "etc/systemd/system/lighthouse@hoodi.service.d/c.conf"},
		"template's drop-in":        {"lighthouse@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": exec + "https://no.example", "etc/systemd/system/lighthouse@.service.d/b.conf": again + "OLD"}, "etc/systemd/system/lighthouse@.service.d/b.conf"},
		"instance linked to own":    {"lighthouse@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": exec + "OLD", "etc/systemd/system/lighthouse@hoodi.service": "-> lighthouse@.service"}, "etc/systemd/system/lighthouse@.service"},
		"alias of a template":       {"beacon@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": exec + "OLD", "etc/systemd/system/beacon@.service": "-> lighthouse@.service"}, "etc/systemd/system/lighthouse@.service"},
		"prefix":                    {"eth-beacon-a.service", map[string]string{"etc/systemd/system/eth-beacon-a.service": follow, "etc/systemd/system/eth-.service.d/x.conf": "[Service]\nEnvironment=U=https://no.example", "etc/systemd/system/eth-beacon-.service.d/y.conf": "[Service]\nEnvironment=U=OLD"}, "etc/systemd/system/eth-beacon-.service.d/y.conf"},
		"environment file":          {"", map[string]string{admin: follow + "Environment=U=https://no.example\nEnvironmentFile=-/etc/default/none\nEnvironmentFile=/etc/default/beacon\n", "etc/default/beacon": "A=1\nU=OLD"}, "etc/default/beacon"},
		"the last of them":          {"", map[string]string{admin: follow + "EnvironmentFile=/etc/a\nEnvironmentFile=/etc/b\nEnvironmentFile=/etc/c\n", "etc/a": "U=https://no.example", "etc/b": "U=OLD", "etc/c": "V=1"}, "etc/b"},
		"of an instance":            {"lighthouse@hoodi.service", map[string]string{"etc/systemd/system/lighthouse@.service": follow + "EnvironmentFile=/etc/%p/%i.env\n", "etc/lighthouse/hoodi.env": "U=\"OLD\""}, "etc/lighthouse/hoodi.env"},
		"files reset":               {"", map[string]string{admin: follow + "EnvironmentFile=/etc/a\nEnvironmentFile=\nEnvironment=U=OLD\n", "etc/a": "U=https://no.example"}, admin},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.unit == "" {
				tt.unit = "beacon.service"
			}
			h := newHost(t, nil)
			for path, text := range tt.files {
				h.put(path, strings.Replace(text, "OLD", oldURL, 1))
			}
			s := h.source(source.Systemd{Unit: tt.unit, Client: "lighthouse"})
			h.reads(s, oldURL)
			c := plan(t, s, goodTo)
			must(t, s.Apply(context.Background(), c))
			h.reads(s, goodTo)
			if tt.file != "" {
				if got, want := h.text(tt.file), strings.Replace(tt.files[tt.file], "OLD", goodTo, 1); got != want || c.File != filepath.Join(h.root, tt.file) {
					t.Errorf("%s, %q, want %s, %q", c.File, got, tt.file, want)
				}
			}
			if reloads := map[bool]int{false: 1}[strings.HasPrefix(tt.file, "etc/default") || strings.HasSuffix(tt.file, ".env") || tt.file == "etc/b"]; h.reloads != reloads {
				t.Errorf("%d reloads, want %d: an environment file needs none", h.reloads, reloads)
			}
			must(t, s.Restore(context.Background(), c))
			for path, text := range tt.files {
				if !strings.HasPrefix(text, "->") && h.text(path) != strings.Replace(text, "OLD", oldURL, 1) {
					t.Errorf("%s is %q", path, h.text(path))
				}
			}
		})
	}
}

func TestSystemdRefuses(t *testing.T) {
	const exec = "[Service]\nExecStart=/usr/bin/lighthouse "
	const url = "--checkpoint-sync-url=https://x.example"
	for name, tt := range map[string]struct {
		files       map[string]string
		environment string
		say         string
	}{
		"no unit":                  {nil, "", "systemd has no unit file of beacon.service"},
		"masked":                   {map[string]string{admin: "-> /dev/null", vendor: exec + url}, "", "masked"},
		"empty":                    {map[string]string{admin: ""}, "", "masked"},
		"broken link":              {map[string]string{admin: "-> ../nowhere"}, "", "no such file"},
		"links in a ring":          {map[string]string{admin: "-> b.service", "etc/systemd/system/b.service": "-> beacon.service"}, "", "too many names"},
		"link to a template":       {map[string]string{admin: "-> b@.service", "etc/systemd/system/b@.service": exec + url}, "", "is a link to the template"},
		"no command":               {map[string]string{admin: "[Service]\nUser=x\n"}, "", "has no ExecStart="},
		"no flag":                  {map[string]string{admin: exec + "bn"}, "", "beacon.service:2: ExecStart= has no --checkpoint-sync-url"},
		"perhaps in a variable":    {map[string]string{admin: exec + "bn $OPTIONS"}, "", "if it is in $OPTIONS, write it into the command itself"},
		"in a shell":               {map[string]string{admin: "[Service]\nExecStart=/bin/sh -c \\\n 'exec lighthouse bn " + url + "'\n"}, "", "beacon.service:3: ExecStart= --checkpoint-sync-url is inside a longer argument"},
		"twice":                    {map[string]string{admin: exec + url + " \\\n " + url}, "", "beacon.service:3: ExecStart= --checkpoint-sync-url is there more than once"},
		"in two commands":          {map[string]string{admin: exec + url + "\nExecStartPre=/usr/bin/lighthouse " + url}, "", "more than one command"},
		"a specifier":              {map[string]string{admin: exec + "--checkpoint-sync-url=https://%i.example"}, "", `has "%i", which systemd replaces, within the URL`},
		"a variable in it":         {map[string]string{admin: exec + "--checkpoint-sync-url=https://${H}"}, "", `has "${", which systemd replaces`},
		"in pieces":                {map[string]string{admin: exec + "--checkpoint-sync-url=https://'x'.example"}, "", "in pieces"},
		"an escape":                {map[string]string{admin: exec + `--checkpoint-sync-url=https\x3a//x.example`}, "", "in pieces or with escapes"},
		"quote not closed":         {map[string]string{admin: exec + "'" + url}, "", "beacon.service:2: has a quote that is not closed in ExecStart="},
		"section not closed":       {map[string]string{admin: "[Service\nExecStart=x"}, "", "section that is not closed"},
		"NUL":                      {map[string]string{admin: "[Service]\n\x00" + exec + url}, "", "beacon.service:2: has a NUL byte"},
		"lone return":              {map[string]string{admin: "[Service]\rExecStart=x\n"}, "", "carriage return"},
		"not UTF-8":                {map[string]string{admin: exec + "--x=\xff " + url}, "", "is not UTF-8, and systemd ignores it"},
		"not a URL":                {map[string]string{admin: exec + "--checkpoint-sync-url=hoodi"}, "", `"hoodi", which is not a URL`},
		"too large":                {map[string]string{admin: "[Service]\n" + strings.Repeat("# x\n", source.MaxFile/4) + exec + url}, "", "larger than"},
		"directory":                {map[string]string{admin + "/x": ""}, "", "has no unit file"},
		"drop-in not readable":     {map[string]string{admin: exec + url, "etc/systemd/system/beacon.service.d/a.conf": "-> nowhere"}, "", "no such file"},
		"unknown variable":         {map[string]string{admin: exec + "--checkpoint-sync-url=${U}"}, "", "sets no variable U"},
		"taken back":               {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironment=U=https://x.example\nEnvironment=\n"}, "", "sets no variable U"},
		"not replaced by systemd":  {map[string]string{admin: exec + "--checkpoint-sync-url=$U\nEnvironment=U=https://x.example\n"}, "", `has "$U"`},
		"unset":                    {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironment=U=https://x.example\nUnsetEnvironment=U\n"}, "", "beacon.service:4: UnsetEnvironment= takes U away"},
		"file missing":             {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=/etc/none\n"}, "", "beacon.service:3: EnvironmentFile= cannot be read"},
		"file by pattern":          {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=/etc/*.env\n"}, "", "has a pattern"},
		"file by specifier":        {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=%h/x\n"}, "", "has a %h, which only systemd can replace"},
		"file with a comment":      {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=/etc/x\n", "etc/x": "U=https://x.example # x\n"}, "", "takes for a part of the value"},
		"file with export":         {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=/etc/x\n", "etc/x": "export U=https://x.example\n"}, "", "which systemd does not know"},
		"file with it twice":       {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=/etc/x\n", "etc/x": "U=https://x.example\nU=https://y.example\n"}, "", "etc/x:2: U is there more than once"},
		"a package's file":         {map[string]string{admin: exec + "--checkpoint-sync-url=${U}\nEnvironmentFile=/usr/share/x\n", "usr/share/x": "U=https://x.example\n"}, "", "no drop-in would override it"},
		"variable not there":       {map[string]string{admin: exec}, "U", "sets no variable U"},
		"drop-in of another after": {map[string]string{vendor: exec + url, "run/systemd/system/beacon.service.d/99-x.conf": "[Service]\nExecStart=\nExecStart=/x " + url}, "", "would override a drop-in"},
		"commands added after":     {map[string]string{vendor: exec + url, "etc/systemd/system/beacon.service.d/99-x.conf": "[Service]\nType=oneshot\nExecStart=/bin/b\n"}, "", "a drop-in would change something else"},
		"drop-in there already":    {map[string]string{vendor: exec + url, ourDrop: "[Service]\nNice=1\n"}, "", "overrides"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, tt.files)
			s := h.source(source.Systemd{Unit: "beacon.service", Client: "lighthouse", Environment: tt.environment})
			c, err := s.Plan(context.Background(), goodTo)
			if err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("Plan: %+v, %v, want %q", c, err, tt.say)
			}
		})
	}
}

func TestNewSystemdRefuses(t *testing.T) {
	for name, s := range map[string]source.Systemd{
		"no unit": {Client: "teku"}, "a path": {Unit: "/etc/x.service", Client: "teku"}, "a socket": {Unit: "x.socket", Client: "teku"},
		"a template": {Unit: "x@.service", Client: "teku"}, "no client": {Unit: "x.service"}, "unknown client": {Unit: "x.service", Client: "geth"},
		"bad variable": {Unit: "x.service", Environment: "A B"},
	} {
		if got, err := source.NewSystemd(s, source.Options{Backups: "b"}); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := source.NewSystemd(source.Systemd{Unit: "x.service", Client: "teku"}, source.Options{}); err == nil {
		t.Error("no backups")
	}
}

// A package's unit is overridden, and the override taken away again.
func TestSystemdDropIn(t *testing.T) {
	ctx := context.Background()
	const unit = "[Service]\nUser=beacon\nEnvironment=A=1\nExecStartPre=/bin/true\nExecStart=/usr/bin/lighthouse bn \\\n  # ours\n  --checkpoint-sync-url=OLD --graffiti \"100%% $$\"\n"
	for name, tt := range map[string]struct {
		unit, want, environment, client string
	}{
		"command":  {unit, "[Service]\nExecStart=\nExecStart=/usr/bin/lighthouse bn \\\n  # ours\n  --checkpoint-sync-url=NEW --graffiti \"100%% $$\"\n", "", "lighthouse"},
		"variable": {"[Service]\nEnvironment=A=1 \"U=OLD\"\nExecStart=/usr/bin/lighthouse --checkpoint-sync-url ${U}\n", "[Service]\nEnvironment=\"U=NEW\"\n", "", "lighthouse"},
		"trusted node, first of two": {"[Service]\nExecStartPre=/usr/bin/nimbus trustedNodeSync --trusted-node-url=OLD\nExecStartPre=-/bin/chown x\nExecStart=/usr/bin/nimbus\n",
			"[Service]\nExecStartPre=\nExecStartPre=/usr/bin/nimbus trustedNodeSync --trusted-node-url=NEW\nExecStartPre=-/bin/chown x\n", "", "nimbus"},
		"two in a line": {"[Service]\nType=oneshot\nExecStart=/bin/a ; /bin/teku --checkpoint-sync-url OLD\nExecStart=/bin/b\n",
			"[Service]\nExecStart=\nExecStart=/bin/a ; /bin/teku --checkpoint-sync-url NEW\nExecStart=/bin/b\n", "", "teku"},
	} {
		t.Run(name, func(t *testing.T) {
			old := strings.Replace(tt.unit, "OLD", oldURL, 1)
			h := newHost(t, map[string]string{vendor: old, "etc/systemd/system/other.service": "x"})
			s := h.source(source.Systemd{Unit: "beacon.service", Environment: tt.environment, Client: tt.client})
			c := plan(t, s, goodTo)
			if c.Before != "" || c.File != filepath.Join(h.root, ourDrop) || c.From != oldURL || !strings.Contains(c.Diff, "--- /dev/null") {
				t.Errorf("change %+v", c)
			}
			look(t, s, c, source.NotApplied)
			must(t, s.Apply(ctx, c))
			got := h.text(ourDrop)
			n := strings.Index(got, "[Service]")
			if diff := cmp.Diff(strings.Replace(tt.want, "NEW", goodTo, 1), got[n:]); diff != "" || !strings.Contains(got[:n], "beacon.service, line") {
				t.Errorf("drop-in (-want +got):\n%s\n%s", diff, got)
			}
			if h.text(vendor) != old {
				t.Error("the package's file was changed")
			}
			h.reads(s, goodTo)
			look(t, s, c, source.Applied)
			if err := s.Apply(ctx, c); !errors.Is(err, source.ErrChanged) {
				t.Errorf("second Apply: %v", err)
			}
			// The next change is made in the drop-in itself.
			second := plan(t, s, "https://third.example")
			if second.File != c.File || second.Before != c.After {
				t.Errorf("second change %+v", second)
			}
			must(t, s.Apply(ctx, second))
			h.reads(s, "https://third.example")
			look(t, s, c, source.Edited)
			if err := s.Restore(ctx, c); !errors.Is(err, source.ErrEditedByOther) {
				t.Errorf("Restore below another change: %v", err)
			}
			must(t, s.Restore(ctx, second))
			must(t, s.Restore(ctx, c))
			h.reads(s, oldURL)
			look(t, s, c, source.NotApplied)
			if _, err := os.Stat(filepath.Dir(c.File)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is left: %v", err)
			}
			must(t, s.Restore(ctx, c))
		})
	}
}

func TestSystemdDropInLeavesOthersAlone(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, map[string]string{vendor: "[Service]\nExecStart=/x --checkpoint-sync-url=" + oldURL + "\n"})
	s := h.lighthouse()
	c := plan(t, s, goodTo)
	h.put(ourDrop, "[Service]\nNice=1\n")
	if err := s.Apply(ctx, c); !errors.Is(err, source.ErrChanged) {
		t.Errorf("Apply over another's file: %v", err)
	}
	must(t, os.Remove(filepath.Join(h.root, ourDrop)))
	h.put(vendor, "[Service]\nExecStart=/y --checkpoint-sync-url="+oldURL+"\n")
	if err := s.Apply(ctx, c); !errors.Is(err, source.ErrChanged) {
		t.Errorf("Apply after an update of the package: %v", err)
	}
	c = plan(t, s, goodTo)
	h.put(vendor, "[Service]\nExecStart=/y --checkpoint-sync-url=https://third.example\n")
	if err := s.Apply(ctx, c); !errors.Is(err, source.ErrChanged) {
		t.Errorf("Apply after another's change of the URL: %v", err)
	}
	c = plan(t, s, goodTo)
	must(t, s.Apply(ctx, c))
	h.put("etc/systemd/system/beacon.service.d/other.conf", "[Service]\nNice=1\n")
	must(t, s.Restore(ctx, c))
	if h.text("etc/systemd/system/beacon.service.d/other.conf") == "" {
		t.Error("another drop-in went with ours")
	}
}

func TestSystemdReloadFails(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, map[string]string{admin: "[Service]\nExecStart=/x --checkpoint-sync-url=" + oldURL + "\n"})
	h.fails = errors.New("no bus")
	s := h.lighthouse()
	c := plan(t, s, goodTo)
	if err := s.Apply(ctx, c); err == nil || !strings.Contains(err.Error(), "the file is written, but systemd has not read it again (systemctl daemon-reload): no bus") {
		t.Errorf("Apply: %v", err)
	}
	if _, err := s.Look(ctx, c); err == nil {
		t.Error("Look hides that systemd knows nothing of the change")
	}
	h.fails = nil
	look(t, s, c, source.Applied)
	h.fails = errors.New("no bus")
	if err := s.Restore(ctx, c); err == nil {
		t.Error("Restore hides it")
	}
	h.fails = nil
	must(t, s.Restore(ctx, c))
	h.reads(s, oldURL)
}

func TestSystemdChangedUnderneath(t *testing.T) {
	ctx := context.Background()
	const text = "[Service]\nExecStart=/x --checkpoint-sync-url=" + oldURL + "\n"
	for name, harm := range map[string]func(h *host){
		"edited": func(h *host) { h.put(admin, text+"# x\n") },
		"gone":   func(h *host) { must(h, os.Remove(filepath.Join(h.root, admin))) },
		"new drop-in": func(h *host) {
			h.put("etc/systemd/system/beacon.service.d/a.conf", strings.Replace(text, "ExecStart=", "ExecStart=\nExecStart=", 1))
		},
		"not parseable": func(h *host) { h.put(admin, text+"[") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, map[string]string{admin: text})
			s := h.lighthouse()
			c := plan(t, s, goodTo)
			harm(h)
			was := h.text(admin)
			if err := s.Apply(ctx, c); err == nil || name != "gone" && name != "not parseable" && !errors.Is(err, source.ErrChanged) {
				t.Errorf("Apply: %v", err)
			}
			if h.text(admin) != was || h.reloads > 0 {
				t.Error("something was done")
			}
		})
	}
	t.Run("read-only", func(t *testing.T) {
		h := newHost(t, map[string]string{admin: text})
		h.step = fails(syscall.EROFS, source.StepTemporary, source.StepInPlace)
		s := h.lighthouse()
		if err := s.Apply(ctx, plan(t, s, goodTo)); !errors.Is(err, syscall.EROFS) || h.text(admin) != text {
			t.Errorf("Apply: %v", err)
		}
	})
	t.Run("details", func(t *testing.T) {
		h := newHost(t, map[string]string{admin: text})
		s := h.lighthouse()
		for _, detail := range []string{"", "{}", `{"kind":"x"}`} {
			c := plan(t, s, goodTo)
			c.Detail = json.RawMessage(detail)
			if err := s.Apply(ctx, c); err == nil {
				t.Errorf("detail %q passed", detail)
			}
			if err := s.Restore(ctx, c); err == nil {
				t.Errorf("detail %q passed", detail)
			}
		}
	})
}

// Whatever step the process dies at, the next one finds the unit whole, systemd told of it, and can take it back.
func TestSystemdDeathAtEveryStep(t *testing.T) {
	ctx := context.Background()
	const text = "[Service]\nExecStart=/x --checkpoint-sync-url=" + oldURL + "\n"
	type death struct{}
	for _, file := range []string{admin, vendor} {
		points := 0
		for _, undo := range []bool{false, true} {
			for n := 1; ; n++ {
				h := newHost(t, map[string]string{file: text})
				s := h.lighthouse()
				c := plan(t, s, goodTo)
				if undo {
					must(t, s.Apply(ctx, c))
				}
				steps := 0
				h.step = func(string) error {
					if steps++; steps == n {
						panic(death{})
					}
					return nil
				}
				died := func() (died bool) {
					defer func() {
						if r := recover(); r != nil {
							if died = r == (death{}); !died {
								panic(r)
							}
						}
					}()
					if undo {
						must(t, h.lighthouse().Restore(ctx, c))
					} else {
						must(t, h.lighthouse().Apply(ctx, c))
					}
					return false
				}()
				if !died {
					break
				}
				points++
				h.step = nil
				h.reloads = 0
				s = h.lighthouse()
				cond, err := s.Look(ctx, c)
				if err != nil || cond != source.Applied && cond != source.NotApplied || h.reloads == 0 {
					t.Fatalf("%s: step %d (undo %t): %s, %v, %d reloads", file, n, undo, cond, err, h.reloads)
				}
				h.reads(s, map[source.Condition]string{source.Applied: goodTo, source.NotApplied: oldURL}[cond])
				must(t, s.Restore(ctx, c))
				h.reads(s, oldURL)
				must(t, s.Apply(ctx, plan(t, s, goodTo)))
				h.reads(s, goodTo)
			}
		}
		t.Logf("%s: %d points", file, points)
		if points < 10 {
			t.Errorf("%s: only %d points", file, points)
		}
	}
}

// Whatever the unit is: what is written is read back, and nothing but the value's bytes changes.
func FuzzUnit(f *testing.F) {
	for _, s := range []string{
		"[Service]\nExecStart=/x --checkpoint-sync-url=https://a.example\n",
		"[Service]\nExecStart=/x \\\n# y\n '--checkpoint-sync-url' \"https://a.example\" ; /z \\;\n",
		"[Service]\nEnvironment='U=https://a.example' V=\\x41\\101\\u0041\nExecStart=/x --checkpoint-sync-url=${U} %% $$\n",
		"\ufeff[Service]\r\nExecStart=/no\r\nExecStart=\r\nExecStart=:/x --checkpoint-sync-url=\r\n",
	} {
		f.Add([]byte(s), goodTo)
		f.Add([]byte(s), "http://[::1]:5052/%20?a=$1&b='")
	}
	h := newHost(f, map[string]string{admin: "[Service]\n"})
	s, path := h.lighthouse(), filepath.Join(h.root, admin)
	f.Fuzz(func(t *testing.T, data []byte, url string) {
		_, now, _, start, end, err := source.SpliceUnit(s, path, data, url)
		if err != nil {
			return
		}
		if now.URL != url {
			t.Fatalf("%q: read back %q", data, now.URL)
		}
		if !bytes.Equal(now.Data[:start], data[:start]) || !bytes.Equal(now.Data[len(now.Data)-(len(data)-end):], data[end:]) {
			t.Fatalf("%q became %q", data, now.Data)
		}
	})
}
