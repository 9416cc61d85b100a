package source_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
)

func TestInventory(t *testing.T) {
	const two = `# by hand
all:
  hosts:
    node-1:   # in the rack
      cl: lighthouse
      use_checkpoint_sync: false   # it often fails
      checkpoint_sync_url: "http://old.example"

      cl_extra_opts: "--target-peers=50"  # few
      el_extra_opts: >-
        --maxpeers=30
        --http

    node-2: {cl: teku, use_checkpoint_sync: false, checkpoint_sync_url: 'http://old.example', cl_extra_opts: "--a"}
`
	for name, tc := range map[string]struct {
		text, host string
		exact      bool
		do         func(*source.Inventory) error
		// from and to are the only difference; wrong is what the error begins with.
		from, to, wrong string
	}{
		"a plain value":            {text: two, host: "node-1", do: set("use_checkpoint_sync", "true"), from: "sync: false   # it", to: "sync: true   # it"},
		"a quoted value":           {text: two, host: "node-1", do: set("checkpoint_sync_url", "https://new.example"), from: `"http://old.example"`, to: `"https://new.example"`},
		"a value in a flow":        {text: two, host: "node-2", do: set("checkpoint_sync_url", "https://new.example"), from: `'http://old.example'`, to: `'https://new.example'`},
		"to a quoted text":         {text: two, host: "node-1", do: add("cl_extra_opts", "--x=1", "--y"), from: `peers=50"`, to: `peers=50 --x=1 --y"`},
		"to a text in a flow":      {text: two, host: "node-2", do: add("cl_extra_opts", "--x=1"), from: `"--a"`, to: `"--a --x=1"`},
		"to a folded block":        {text: two, host: "node-1", do: add("el_extra_opts", "--x=1"), from: "        --http\n", to: "        --http\n        --x=1\n"},
		"to a literal block":       {text: "a: |\n  --x\n  --y\nb: 1\n", host: "h", do: add("a", "--z"), from: "--y\n", to: "--y\n  --z\n"},
		"to a block at the end":    {text: "a: >-\n  --x", host: "h", do: add("a", "--z"), from: "--x", to: "--x\n  --z"},
		"to a block with returns":  {text: "a: >-\r\n  --x\r\nb: 1\r\n", host: "h", do: add("a", "--z"), from: "--x\r\n", to: "--x\r\n  --z\r\n"},
		"to an empty text":         {text: "a: \"\"\n", host: "h", do: add("a", "--z"), from: `""`, to: `"--z"`},
		"to a plain text":          {text: "a: --x  # why\n", host: "h", do: add("a", "--z"), from: "--x  #", to: "--x --z  #"},
		"a new value":              {text: two, host: "node-1", do: insert("el", "geth", false, "cl"), from: "cl: lighthouse\n", to: "cl: lighthouse\n      el: \"geth\"\n"},
		"a new value by a comment": {text: two, host: "node-1", do: insert("use", "true", true, "use_checkpoint_sync"), from: "often fails\n", to: "often fails\n      use: true\n"},
		"a new value at the end":   {text: "cl: x", host: "h", do: insert("el", "geth", false, "cl"), from: "cl: x", to: "cl: x\nel: \"geth\""},
		"cut":                      {text: two, host: "node-1", do: cut("cl_extra_opts", 0, len("--target-peers=50")), from: `"--target-peers=50"`, to: `""`},
		"the only host will do":    {text: "all: {hosts: {a: {cl: x}}}\n", host: "other", do: set("cl", "y"), from: "cl: x", to: "cl: y"},

		"but not where it was named":     {text: "all: {hosts: {a: {cl: x}}}\n", host: "other", exact: true, do: set("cl", "y"), wrong: "inventory.yaml:1: no host"},
		"a new value in a flow":          {text: two, host: "node-2", do: insert("el", "geth", false, "cl"), wrong: "inventory.yaml:14: there is no el"},
		"a host without the key":         {text: two, host: "node-2", do: add("el_extra_opts", "--x"), wrong: "inventory.yaml: el_extra_opts: no such value"},
		"a new value that is there":      {text: "cl: x\nel: [y]\n", host: "h", do: insert("el", "geth", false, "cl"), wrong: "inventory.yaml:1: there is no el, and none"},
		"a value of several hosts":       {text: two, host: "node-3", do: set("cl", "y"), wrong: `inventory.yaml:5: no host "node-3" has cl`},
		"an anchor":                      {text: "a: &x --one\nb: *x\n", host: "h", do: add("a", "--z"), wrong: "inventory.yaml:1: a carries an anchor"},
		"an alias":                       {text: "b: &x --one\na: *x\n", host: "h", do: add("a", "--z"), wrong: "inventory.yaml:2: a is the alias *x"},
		"a shared host":                  {text: "all: {hosts: {n: &n {a: --x}, m: *n}}\n", host: "n", do: add("a", "--z"), wrong: "inventory.yaml:1: all.hosts.n.a is shared"},
		"a list":                         {text: "a: [--x]\n", host: "h", do: add("a", "--z"), wrong: "inventory.yaml:1: a is not a single value"},
		"no value":                       {text: "a:\nb: 1\n", host: "h", do: add("a", "--z"), wrong: "inventory.yaml:1: a has no value"},
		"a number":                       {text: "a: 1\n", host: "h", do: add("a", "--z"), wrong: `inventory.yaml:1: a is "1", which is not text`},
		"a text on two lines":            {text: "a: \"--x\n  --y\"\n", host: "h", do: add("a", "--z"), wrong: "inventory.yaml:1: a is spread over several lines"},
		"a key twice":                    {text: "a: x\nb: {a: y}\n", host: "h", do: set("a", "z"), wrong: "inventory.yaml:1: no host"},
		"no YAML":                        {text: "a: [\n", host: "h", do: set("a", "z"), wrong: "inventory.yaml"},
		"a text that would end it":       {text: "a: \"x\"\n", host: "h", do: add("a", `"`), wrong: "inventory.yaml"},
		"a text that would be a comment": {text: "a: x\n", host: "h", do: add("a", "#y"), wrong: "inventory.yaml:1: changing a would change something else"},
		"a text that would not be read":  {text: "a: --x\n", host: "h", do: add("a", ""), wrong: "inventory.yaml:1: changing a would change something else"},
		"a cut across escapes":           {text: "a: \"x\\ty\"\n", host: "h", do: cut("a", 0, 1), wrong: "inventory.yaml:1: a is spread over several lines, or has escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			inv := source.NewInventory("inventory.yaml", tc.host, tc.exact, []byte(tc.text))
			err := tc.do(inv)
			if tc.wrong != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.wrong) {
					t.Errorf("%v, want %s…", err, tc.wrong)
				}
				if string(inv.Text()) != tc.text {
					t.Errorf("what failed has changed the text:\n%s", inv.Text())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(tc.text, tc.from); n != 1 {
				t.Fatalf("%q is there %d times", tc.from, n)
			}
			if want := strings.Replace(tc.text, tc.from, tc.to, 1); string(inv.Text()) != want {
				t.Errorf("got\n%s\nwant\n%s", inv.Text(), want)
			}
		})
	}
}

// A file that somebody has changed since it was planned stays, also where a backup of what it was is there already.
func TestWholeChanged(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	b := source.Backups{Dir: filepath.Join(dir, "backups")}
	at := time.Unix(1e9, 0)
	write("one")
	w, err := b.PlanWhole(file, []byte("one"), []byte("two"), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(w, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.RestoreWhole(t.Context(), w, at); err != nil {
		t.Fatal(err)
	}
	write("mine")
	if err := b.Write(w, []byte("two"), 0o600); !errors.Is(err, source.ErrChanged) {
		t.Error(err)
	}
	if err := b.Write(w, []byte("three"), 0o600); !errors.Is(err, source.ErrChanged) {
		t.Error("another content than the planned one:", err)
	}
	if err := b.RestoreWhole(t.Context(), w, at); !errors.Is(err, source.ErrEditedByOther) {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("%s %v", text, err)
	}
	made := filepath.Join(dir, "new.d", "made")
	if w, err = b.PlanWhole(made, nil, []byte("x"), at); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(w, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(w, []byte("x"), 0o644); !errors.Is(err, source.ErrChanged) {
		t.Error("made twice:", err)
	}
	if err := b.RestoreWhole(t.Context(), w, at); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(made)); !os.IsNotExist(err) {
		t.Error("its directory is left", err)
	}
}

func set(key, text string) func(*source.Inventory) error {
	return func(v *source.Inventory) error { return v.Set(key, text) }
}

func add(key string, words ...string) func(*source.Inventory) error {
	return func(v *source.Inventory) error { return v.Append(key, words...) }
}

func insert(key, text string, bare bool, below string) func(*source.Inventory) error {
	return func(v *source.Inventory) error { return v.Insert(key, text, bare, below) }
}

func cut(key string, start, end int) func(*source.Inventory) error {
	return func(v *source.Inventory) error { return v.Cut(key, start, end) }
}

// Whatever the file, an edit either fails and changes nothing, or what it was to do can be read back and all other bytes are as before.
func FuzzInventory(f *testing.F) {
	for _, s := range []string{"a: --x\n", "a: >-\n  --x\n\nb: 1\n", "all: {hosts: {h: {a: '--x', b: 1}}}\n", "a: \"x\\\n y\"\n", "- a: x\n", "a: |+\n  x\n\n\n# c\n", "\ufeffa: x\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, do := range []func(*source.Inventory) error{set("a", "true"), add("a", "--z=1"), insert("zz", "--z=1", false, "a")} {
			inv := source.NewInventory("f", "h", false, text)
			err := do(inv)
			now := inv.Text()
			if err != nil {
				if !bytes.Equal(now, text) {
					t.Fatalf("%v changed %q to %q", err, text, now)
				}
				place := new(source.PlaceError)
				if !errors.As(err, &place) && !errors.Is(err, source.ErrNoValue) {
					t.Fatalf("%q: %T %v", text, err, err)
				}
				continue
			}
			key := "a"
			if bytes.Contains(now, []byte("zz: ")) && !bytes.Contains(text, []byte("zz")) {
				key = "zz"
			}
			v, err := inv.Value(key)
			if err != nil {
				t.Fatalf("%q became %q: %v", text, now, err)
			}
			if !strings.Contains(v.Text, "--z=1") && v.Text != "true" {
				t.Fatalf("%q became %q: %q", text, now, v.Text)
			}
		}
	})
}
