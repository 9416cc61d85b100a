package source

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

const inventory = `# production
all:
  children:
    ephemery:
      hosts:
        node-1:
          el: geth          # do not touch
          cl: lighthouse

          checkpoint_sync_url: "https://old.example"   # the one we use
          ports: [5052, 5054]
        node-2:
          checkpoint_sync_url: 'https://two.example'
        node.3:
          checkpoint_sync_url: https://three.example
      vars:
        note: |
          checkpoint_sync_url: "https://in-a-text.example"
`

const newURL = "https://new.example:8443/a?b=c&d=~1"

func TestSplice(t *testing.T) {
	key := yamlCodec{key: "url", node: "n"}
	tests := map[string]struct {
		codec        yamlCodec
		before, want string
		url          string
	}{
		"double quotes":          {key, "url: \"https://a\"\n", "url: \"" + newURL + "\"\n", ""},
		"single quotes":          {key, "url: 'https://a'\n", "url: '" + newURL + "'\n", ""},
		"plain":                  {key, "url: https://a\n", "url: " + newURL + "\n", ""},
		"plain, comment":         {key, "url: https://a  # c\n", "url: " + newURL + "  # c\n", ""},
		"plain, no newline":      {key, "url: https://a", "url: " + newURL, ""},
		"quotes, no newline":     {key, "url: \"https://a\"", "url: \"" + newURL + "\"", ""},
		"byte order mark":        {key, "\ufeffurl: 'https://a'\n", "\ufeffurl: '" + newURL + "'\n", ""},
		"carriage returns":       {key, "x: 1\r\nurl: https://a\r\ny: 2\r\n", "x: 1\r\nurl: " + newURL + "\r\ny: 2\r\n", ""},
		"old Mac line ends":      {key, "x: 1\rurl: https://a\ry: 2\r", "x: 1\rurl: " + newURL + "\ry: 2\r", ""},
		"NEL and line separator": {key, "x: 1\u0085y: 'a\u2028b'\nurl: https://a\n", "x: 1\u0085y: 'a\u2028b'\nurl: " + newURL + "\n", ""},
		"tab before the value":   {key, "url:\t\"https://a\"\t# c\n", "url:\t\"" + newURL + "\"\t# c\n", ""},
		"value on the next line": {key, "url:\n  https://a\nx: 1\n", "url:\n  " + newURL + "\nx: 1\n", ""},
		"quoted key":             {key, "\"url\": \"https://a\"\n", "\"url\": \"" + newURL + "\"\n", ""},
		"complex key":            {key, "? url\n: https://a\n", "? url\n: " + newURL + "\n", ""},
		"wide characters before": {key, "é😀: {x: 'ü', url: https://a, y: 'z'}\n", "é😀: {x: 'ü', url: https://b, y: 'z'}\n", "https://b"},
		"flow, last":             {key, "{x: 1, url: https://a}", "{x: 1, url: https://b}", "https://b"},
		"flow, no spaces":        {key, `{"url":"https://a","x":1}`, `{"url":"` + newURL + `","x":1}`, ""},
		"flow over lines":        {key, "{x: 1,\n url: 'https://a'\n}\n", "{x: 1,\n url: '" + newURL + "'\n}\n", ""},
		"in a list":              {key, "- x: 1\n- url: https://a\n", "- x: 1\n- url: " + newURL + "\n", ""},
		"second document":        {key, "x: 1\n---\nurl: https://a\n...\n", "x: 1\n---\nurl: " + newURL + "\n...\n", ""},
		"escapes in the old":     {key, `url: "https://a/\u0041\"" # c` + "\n", `url: "` + newURL + `" # c` + "\n", ""},
		"quotes in the old":      {key, "url: 'it''s' # c\n", "url: '" + newURL + "' # c\n", ""},
		"empty, quoted":          {key, "url: \"\"\n", "url: \"" + newURL + "\"\n", ""},
		"bracket, plain":         {key, "url: https://a\n", "url: \"http://[::1]:80\"\n", "http://[::1]:80"},
		"question mark in flow":  {key, "{url: https://a}\n", "{url: \"https://b/?c\"}\n", "https://b/?c"},
		"comma in flow":          {key, "{url: https://a, x: 1}\n", "{url: \"https://b/,c\", x: 1}\n", "https://b/,c"},
		"apostrophe, single":     {key, "url: 'https://a'\n", "url: 'https://b/it''s'\n", "https://b/it's"},
		"anchors elsewhere":      {key, "a: &a {x: 1}\nb: *a\nurl: https://a\n", "a: &a {x: 1}\nb: *a\nurl: " + newURL + "\n", ""},
		"own value over a merge": {
			yamlCodec{key: "url", node: "b"},
			"base: &base {x: 1}\nhosts:\n  a: {<<: *base, url: https://a}\n  b:\n    <<: *base\n    url: https://b\n",
			"base: &base {x: 1}\nhosts:\n  a: {<<: *base, url: https://a}\n  b:\n    <<: *base\n    url: " + newURL + "\n", "",
		},
		"host like the node": {
			yamlCodec{key: "checkpoint_sync_url", node: "node-1"}, inventory,
			strings.Replace(inventory, `"https://old.example"`, `"`+newURL+`"`, 1), "",
		},
		"host by name": {
			yamlCodec{key: "checkpoint_sync_url", node: "elsewhere", host: "node-2"}, inventory,
			strings.Replace(inventory, `'https://two.example'`, `'`+newURL+`'`, 1), "",
		},
		"host with a dot": {
			yamlCodec{key: "checkpoint_sync_url", node: "node.3"}, inventory,
			strings.Replace(inventory, `https://three.example`, newURL, 1), "",
		},
		"exact path": {
			yamlCodec{path: []string{"all", "children", "ephemery", "hosts", "node.3", "checkpoint_sync_url"}}, inventory,
			strings.Replace(inventory, `https://three.example`, newURL, 1), "",
		},
		"path to the mapping": {
			yamlCodec{key: "checkpoint_sync_url", path: []string{"all", "children", "ephemery", "hosts", "node-2"}}, inventory,
			strings.Replace(inventory, `'https://two.example'`, `'`+newURL+`'`, 1), "",
		},
		"path into a list": {
			yamlCodec{path: []string{"a", "1", "0"}}, "a: [1, [https://a]]", "a: [1, [https://b]]", "https://b",
		},
		"one host by another name": {
			yamlCodec{key: "url", node: "node-1"}, "all:\n  hosts:\n    localhost:\n      url: https://a\n",
			"all:\n  hosts:\n    localhost:\n      url: " + newURL + "\n", "",
		},
		"own among group's": {
			yamlCodec{key: "url", node: "a"}, "all:\n  vars: {url: https://g}\n  hosts:\n    a: {url: https://a}\n    b:\n",
			"all:\n  vars: {url: https://g}\n  hosts:\n    a: {url: https://b}\n    b:\n", "https://b",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.url == "" {
				tt.url = newURL
			}
			p, err := tt.codec.find([]byte(tt.before))
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.codec.splice([]byte(tt.before), p, tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("after (-want +got):\n%s", diff)
			}
			if again, err := tt.codec.find(got); err != nil || again.url != tt.url {
				t.Errorf("read back: %q, %v", again.url, err)
			}
			// And back again: the very bytes, unless the spelling had to change.
			back, err := tt.codec.splice(got, place{url: tt.url, key: p.key, line: p.line, start: p.start, end: p.start + len(got) - len(tt.before) + p.end - p.start}, p.url)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := tt.codec.find(back); err != nil || again.url != p.url {
				t.Errorf("taken back: %q, %v", again.url, err)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	key := yamlCodec{key: "url", node: "n"}
	tests := map[string]struct {
		codec  yamlCodec
		text   string
		line   int
		reason string
	}{
		"no such key":        {key, "x: 1\n", 0, `has no key "url"`},
		"empty file":         {key, "", 0, "has no key"},
		"not YAML":           {key, "a: b\n\t- x: [\n", 2, "is not YAML"},
		"tab as indentation": {key, "a:\n\turl: https://a\n", 2, "is not YAML"},
		"not text at all":    {key, "\x00\x01\x02", 0, "is not YAML"},
		"UTF-16":             {key, "\xff\xfeu\x00", 0, "UTF-16"},
		"block scalar":       {key, "url: |\n  https://a\n", 1, "block scalar"},
		"folded scalar":      {key, "x: 1\nurl: >-\n  https://a\n", 2, "block scalar"},
		"plain over lines":   {key, "url: https://a\n  b\n", 1, "several lines"},
		"double over lines":  {key, "url: \"https://a\\\n  b\"\n", 1, "several lines"},
		"single over lines":  {key, "url: 'https://a\n  b'\n", 1, "several lines"},
		"no value":           {key, "url:\n", 1, "has no value"},
		"null":               {key, "url: ~\n", 1, "has no value"},
		"number":             {key, "url: 12\n", 1, "not text"},
		"bool":               {key, "url: true\n", 1, "not text"},
		"tagged":             {key, "url: !vault \"x\"\n", 1, "an anchor or a tag"},
		"anchored":           {key, "url: &u https://a\n", 1, "an anchor or a tag"},
		"alias":              {key, "a: &u https://a\nurl: *u\n", 2, "alias *u"},
		"shared by an alias": {yamlCodec{key: "url", node: "a"}, "hosts:\n  a: &a\n    url: https://a\n  b: *a\n", 3, "shared with line 4 by the alias *a"},
		"shared by a merge":  {yamlCodec{key: "url", node: "base"}, "base: &b\n  url: https://a\nhosts:\n  a:\n    <<: *b\n", 2, "shared with line 5"},
		"only in the merged": {
			yamlCodec{key: "url", node: "a"}, "base: &b\n  url: https://a\nhosts:\n  a:\n    <<: *b\n", 4, `host "a" has no url of its own: it is at base.url (line 2)`,
		},
		"key twice":        {key, "n:\n  url: https://a\n  url: https://b\n", 3, "more than once"},
		"several hosts":    {yamlCodec{key: "checkpoint_sync_url", node: "node-9"}, inventory, 10, `no host "node-9" has checkpoint_sync_url: it is at all.children.ephemery.hosts.node-1.checkpoint_sync_url (line 10), `},
		"another's only":   {yamlCodec{key: "url", node: "c"}, "hosts:\n  a: {url: https://a}\n  b: {x: 1}\n", 2, `no host "c"`},
		"own without":      {yamlCodec{key: "url", node: "b"}, "hosts:\n  a: {url: https://a}\n  b: {x: 1}\n", 3, `host "b" has no url of its own`},
		"the group's":      {yamlCodec{key: "url", node: "a"}, "all:\n  vars: {url: https://a}\n  hosts:\n    a:\n    b:\n", 4, `host "a" has no url of its own`},
		"host not there":   {yamlCodec{key: "url", node: "n", host: "x"}, "url: https://a\n", 1, `no host "x"`},
		"in two groups":    {yamlCodec{key: "url", node: "a"}, "g1:\n  hosts: {a: {url: https://a}}\ng2:\n  hosts: {a: {url: https://a}}\n", 4, "more than once"},
		"path to nothing":  {yamlCodec{path: []string{"a", "c"}}, "a: {b: 1}\n", 0, "has nothing at a.c"},
		"path to mapping":  {yamlCodec{path: []string{"a"}}, "a: {b: 1}\n", 1, "not a single value"},
		"path in two docs": {yamlCodec{path: []string{"a"}}, "a: b\n---\na: c\n", 3, "more than once"},
		"path past list":   {yamlCodec{path: []string{"a", "2"}}, "a: [1, 2]\n", 0, "nothing at"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tt.codec.find([]byte(tt.text))
			var at *PlaceError
			if !errors.As(err, &at) || at.Line != tt.line || !strings.Contains(at.Error(), tt.reason) {
				t.Errorf("find: %v (%#v), want line %d: %s", err, at, tt.line, tt.reason)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	for text, want := range map[string][]string{
		`a`:           {"a"},
		`a.b-1.2`:     {"a", "b-1", "2"},
		`a."x.y".c`:   {"a", "x.y", "c"},
		`"".b`:        {"", "b"},
		`"q\"u".b`:    {`q"u`, "b"},
		`all.hosts.é`: {"all", "hosts", "é"},
	} {
		got, err := splitPath(text)
		if err != nil {
			t.Errorf("splitPath(%s): %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("splitPath(%s) (-want +got):\n%s", text, diff)
		}
		if joinPath(got) != text {
			t.Errorf("joinPath(splitPath(%s)) = %s", text, joinPath(got))
		}
	}
	for _, bad := range []string{"", ".", "a.", "a..b", `"a`, `"a"b`, `a."b"c`} {
		if got, err := splitPath(bad); err == nil {
			t.Errorf("splitPath(%q) = %q, want an error", bad, got)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{
		"https://a.example", "http://127.0.0.1:5052", "http://[::1]:5052/x", "https://user:pw@a.example/b/c?d=e&f=%20", "HTTPS://A.EXAMPLE/",
	} {
		if err := CheckURL(good); err != nil {
			t.Errorf("CheckURL(%q): %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a.example", "ftp://a.example", "file:///etc/passwd", "https://", "https:///x", "https://a:", "https://a:b", "https://a\nb", "https://a b",
		"https://a/#f", "https://a/{{ x }}", "https://a/\"", "https://a/\\", "https://a/%zz", "https://é.example", "javascript:alert(1)", "https://a\x00",
		"https://a/" + strings.Repeat("x", maxURL),
	} {
		if err := CheckURL(bad); err == nil {
			t.Errorf("CheckURL(%.80q) passed", bad)
		}
	}
}

// Whatever the file: the bytes around the value stay, and a decoder that knows nothing of lines and columns sees that value changed and
// no other.
func FuzzSplice(f *testing.F) {
	f.Add(inventory, "checkpoint_sync_url", "node-1", "", "https://b.example")
	f.Add("a: &a {url: 'x'}\nb: *a\n", "url", "a", "", "https://b")
	f.Add("{url: https://a, b: [1, {url: x}]}", "url", "n", "b.1.url", "https://b/[,")
	f.Add("\ufeffa: 1\r\nurl:\t\"\\u0041\" # c\r\n---\nx: |\n  url: y\n", "url", "n", "", "http://b")
	f.Add("? url\n: >-\n  a\n", "url", "n", "", "http://b")
	f.Add("url: 'a''b'\n# c\nx: !!binary aGk=\n", "url", "n", "", "http://b/'")
	f.Add("<<: &m {url: x}\ny: {<<: *m}\n", "url", "y", "", "http://b")
	f.Fuzz(func(t *testing.T, text, key, node, path, url string) {
		if CheckURL(url) != nil {
			return
		}
		c := yamlCodec{key: key, node: node}
		if path != "" {
			segments, err := splitPath(path)
			if err != nil {
				return
			}
			c.path = segments
		}
		data := []byte(text)
		p, err := c.find(data)
		if err != nil {
			return
		}
		after, err := c.splice(data, p, url)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(after, data[:p.start]) || !bytes.HasSuffix(after, data[p.end:]) || len(after)-len(data) > 2*len(url)+4 {
			t.Fatalf("bytes beside the value changed:\n%q\n%q", data, after)
		}
		segments, err := splitPath(p.key)
		if err != nil {
			t.Fatalf("the place that was told is no path: %v", err)
		}
		was, errWas := values(data)
		is, errIs := values(after)
		if (errWas == nil) != (errIs == nil) {
			t.Fatalf("decoding %v became %v", errWas, errIs)
		}
		if errWas != nil || len(was) != 1 || len(is) != 1 || merges(segments) {
			return
		}
		want, ok := put(was[0], segments, url)
		if !ok {
			return
		}
		if diff := cmp.Diff(want, is[0], cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("another value changed (-want +got):\n%s\nbefore %q\nafter %q", diff, data, after)
		}
	})
}

func merges(path []string) bool {
	for _, p := range path {
		if p == "<<" {
			return true
		}
	}
	return false
}

func values(data []byte) (out []any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var v any
		if err := dec.Decode(&v); err != nil {
			if err.Error() == "EOF" {
				return out, nil
			}
			return nil, err
		}
		out = append(out, v)
	}
}

// put returns a copy of v with value at path; false if v cannot be followed by the text of its keys.
func put(v any, path []string, value any) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	switch v := v.(type) {
	case map[string]any:
		old, ok := v[path[0]]
		if !ok {
			return nil, false
		}
		c := maps.Clone(v)
		c[path[0]], ok = put(old, path[1:], value)
		return c, ok
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		c := append([]any{}, v...)
		var ok bool
		c[i], ok = put(v[i], path[1:], value)
		return c, ok
	}
	return nil, false
}
