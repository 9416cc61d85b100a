package source_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/source"
	"github.com/google/go-cmp/cmp"
)

const envName = "CHECKPOINT_SYNC_URL"

// envFile is a file of assignments with a source on it.
func envFile(t testing.TB, content string) (string, *source.File) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	s, err := source.NewEnv(source.Env{File: path, Key: envName}, source.Options{Backups: filepath.Join(dir, "backups")})
	must(t, err)
	return path, s
}

func wantFile(t testing.TB, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestEnvChangesNothingElse(t *testing.T) {
	ctx := context.Background()
	// OLD stands for the URL: what it is replaced by is all that may differ.
	for name, file := range map[string]string{
		"plain":               "A=1\nCHECKPOINT_SYNC_URL=OLD\nB=2\n",
		"no last break":       "A=1\nCHECKPOINT_SYNC_URL=OLD",
		"double quotes":       "CHECKPOINT_SYNC_URL=\"OLD\"\n",
		"single quotes":       "CHECKPOINT_SYNC_URL='OLD'\n",
		"export":              "export CHECKPOINT_SYNC_URL=OLD\nexport B=2\n",
		"export and tab":      "\texport\t CHECKPOINT_SYNC_URL = OLD\n",
		"spaces":              "  CHECKPOINT_SYNC_URL  =  OLD  \nB=2\n",
		"comment":             "CHECKPOINT_SYNC_URL=OLD # ours\n",
		"comment, quoted":     "CHECKPOINT_SYNC_URL='OLD'\t# ours 'too'\n",
		"CRLF":                "A=1\r\nCHECKPOINT_SYNC_URL=OLD\r\nB=2\r\n",
		"CRLF, quoted":        "A=1\r\nCHECKPOINT_SYNC_URL=\"OLD\"\r\nB=2\r\n",
		"BOM":                 "\ufeffCHECKPOINT_SYNC_URL=OLD\n",
		"BOM before others":   "\ufeffA=1\nCHECKPOINT_SYNC_URL=OLD\n",
		"in a value of lines": "A=\"x\nCHECKPOINT_SYNC_URL=https://not.example\ny\"\nCHECKPOINT_SYNC_URL=OLD\n",
		"commented out":       "#CHECKPOINT_SYNC_URL=x\n; CHECKPOINT_SYNC_URL=y\nCHECKPOINT_SYNC_URL=OLD\n",
		"longer names":        "CHECKPOINT_SYNC_URL_TIMEOUT=3\nMY_CHECKPOINT_SYNC_URL=z\nCHECKPOINT_SYNC_URL=OLD\n",
		"others refer":        "CHECKPOINT_SYNC_URL=OLD\nB=${CHECKPOINT_SYNC_URL}/x\nC=\"a\\\"b\"\nD=a\\\n",
		"not UTF-8 beside":    "A=\xff\xfe\n# \xe9t\xe9\nCHECKPOINT_SYNC_URL=OLD\n",
		"apostrophe beside":   "# don't\nA=don't\nCHECKPOINT_SYNC_URL=OLD\n",
		"yaml-like beside":    "A: 1\nB\nCHECKPOINT_SYNC_URL=OLD\n",
		"long":                strings.Repeat("A=1\n", 20_000) + "CHECKPOINT_SYNC_URL=OLD\n",
	} {
		t.Run(name, func(t *testing.T) {
			old, new := strings.ReplaceAll(file, "OLD", oldURL), strings.ReplaceAll(file, "OLD", goodTo)
			path, s := envFile(t, old)
			if got, err := s.Read(ctx); err != nil || got != oldURL {
				t.Fatalf("Read: %q, %v", got, err)
			}
			c := plan(t, s, goodTo)
			must(t, s.Apply(ctx, c))
			wantFile(t, path, new)
			if want := 1 + strings.Count(file[:strings.Index(file, "OLD")], "\n"); c.Line != want || c.Key != envName {
				t.Errorf("key %q, line %d, want %d", c.Key, c.Line, want)
			}
			must(t, s.Restore(ctx, c))
			wantFile(t, path, old)
		})
	}
}

func TestEnvFillsAnEmptyValue(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"nothing":       {"CHECKPOINT_SYNC_URL=\nB=2\n", "CHECKPOINT_SYNC_URL=URL\nB=2\n"},
		"end of file":   {"CHECKPOINT_SYNC_URL=", "CHECKPOINT_SYNC_URL=URL"},
		"CRLF":          {"CHECKPOINT_SYNC_URL=\r\n", "CHECKPOINT_SYNC_URL=URL\r\n"},
		"double quotes": {"CHECKPOINT_SYNC_URL=\"\"\n", "CHECKPOINT_SYNC_URL=\"URL\"\n"},
		"single quotes": {"CHECKPOINT_SYNC_URL=''\n", "CHECKPOINT_SYNC_URL='URL'\n"},
		"comment":       {"CHECKPOINT_SYNC_URL= # none\n", "CHECKPOINT_SYNC_URL=URL # none\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path, s := envFile(t, tt.file)
			c := plan(t, s, goodTo)
			must(t, s.Apply(context.Background(), c))
			wantFile(t, path, fill(tt.want))
			if c.From != "" {
				t.Errorf("from %q", c.From)
			}
		})
	}
}

// fill puts the URL where the second URL of a text stands: the first is in the variable's name.
func fill(text string) string {
	n := strings.LastIndex(text, "URL")
	return text[:n] + goodTo + text[n+len("URL"):]
}

func TestEnvRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ file, say string }{
		"missing":             {"A=1\n", "has no variable CHECKPOINT_SYNC_URL: add a line CHECKPOINT_SYNC_URL=URL"},
		"commented out":       {"#CHECKPOINT_SYNC_URL=https://x.example\n", "has no variable"},
		"other case":          {"checkpoint_sync_url=https://x.example\n", "has no variable"},
		"twice":               {"CHECKPOINT_SYNC_URL=https://x.example\nA=1\nexport CHECKPOINT_SYNC_URL=https://x.example\n", ".env:3: CHECKPOINT_SYNC_URL is there more than once, in lines 1, 3: leave one"},
		"without value":       {"A=1\nCHECKPOINT_SYNC_URL\n", ".env:2: CHECKPOINT_SYNC_URL has no value here"},
		"colon":               {"CHECKPOINT_SYNC_URL: https://x.example\n", "colon"},
		"reference":           {"CHECKPOINT_SYNC_URL=${URL}\n", ".env:1: CHECKPOINT_SYNC_URL refers to another variable: write the URL itself"},
		"reference in quotes": {"CHECKPOINT_SYNC_URL=\"https://$HOST/\"\n", "refers to another variable"},
		"dollar in single":    {"CHECKPOINT_SYNC_URL='${URL}'\n", `is "${URL}", which is not a URL`},
		"several lines":       {"CHECKPOINT_SYNC_URL=\"https://x.example\n\"\n", "spread over several lines"},
		"not closed":          {"A=1\nCHECKPOINT_SYNC_URL=\"https://x.example\n", ".env:2: has a quote that is not closed"},
		"not closed above":    {"A='\nCHECKPOINT_SYNC_URL=https://x.example\n", ".env:1: has a quote that is not closed"},
		"escaped single":      {"A='it\\'s'\nCHECKPOINT_SYNC_URL=https://x.example\n", ".env:1: has \\' in single quotes"},
		"behind the quote":    {"CHECKPOINT_SYNC_URL=\"https://x.example\"/y\n", "more behind its closing quote"},
		"hash at the quote":   {"CHECKPOINT_SYNC_URL=\"https://x.example\"#y\n", "more behind its closing quote"},
		"hash in it":          {"CHECKPOINT_SYNC_URL=https://x.example#y\n", "has a # or a quote"},
		"quote in it":         {"CHECKPOINT_SYNC_URL=https://x\"y\"\n", "has a # or a quote"},
		"backslash":           {"CHECKPOINT_SYNC_URL=https://x.example\\\nA=1\n", "has a backslash"},
		"after a backslash":   {"A=1\\\nCHECKPOINT_SYNC_URL=https://x.example\n", ".env:2: CHECKPOINT_SYNC_URL follows a line that ends with a backslash"},
		"after such comment":  {"# a \\\r\nCHECKPOINT_SYNC_URL=https://x.example\n", "follows a line that ends with a backslash"},
		"lines after that":    {"A=1\\\nB=\"\nCHECKPOINT_SYNC_URL=https://x.example\n\"\n", ".env:2: a value of several lines follows"},
		"a lone return":       {"A=1\rCHECKPOINT_SYNC_URL=https://x.example\n", "carriage return"},
		"NUL":                 {"A=1\nB=\x00\nCHECKPOINT_SYNC_URL=https://x.example\n", ".env:2: has a NUL byte"},
		"UTF-16":              {"\xff\xfeA\x00=\x00", "is UTF-16"},
		"not UTF-8":           {"CHECKPOINT_SYNC_URL=https://\xff.example\n", "is not UTF-8"},
		"not a URL":           {"CHECKPOINT_SYNC_URL=hoodi\n", `.env:1: CHECKPOINT_SYNC_URL is "hoodi", which is not a URL`},
	} {
		t.Run(name, func(t *testing.T) {
			path, s := envFile(t, tt.file)
			c, err := s.Plan(context.Background(), goodTo)
			if err == nil || !strings.Contains(err.Error(), tt.say) || !strings.Contains(err.Error(), path) {
				t.Errorf("Plan: %+v, %v, want %q", c, err, tt.say)
			}
		})
	}
}

func TestEnvRefusesURLsThatNeedOtherQuotes(t *testing.T) {
	for name, tt := range map[string]struct {
		file, url string
		ok        bool
	}{
		"IPv6, plain":        {"CHECKPOINT_SYNC_URL=https://x.example\n", "http://[::1]:5052", true},
		"ampersand, plain":   {"CHECKPOINT_SYNC_URL=https://x.example\n", "https://y.example/?a=1&b=2", false},
		"dollar, double":     {"CHECKPOINT_SYNC_URL=\"https://x.example\"\n", "https://y.example/$1", false},
		"ampersand, double":  {"CHECKPOINT_SYNC_URL=\"https://x.example\"\n", "https://y.example/?a=1&b=2", true},
		"dollar, single":     {"CHECKPOINT_SYNC_URL='https://x.example'\n", "https://y.example/$1", true},
		"apostrophe, single": {"CHECKPOINT_SYNC_URL='https://x.example'\n", "https://y.example/'", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := envFile(t, tt.file)
			c, err := s.Plan(context.Background(), tt.url)
			if (err == nil) != tt.ok {
				t.Fatalf("Plan: %v", err)
			}
			if err == nil {
				must(t, s.Apply(context.Background(), c))
				if got, err := s.Read(context.Background()); err != nil || got != tt.url {
					t.Errorf("Read: %q, %v", got, err)
				}
			}
		})
	}
}

func TestNewEnvRefuses(t *testing.T) {
	for name, e := range map[string]source.Env{"no file": {Key: "A"}, "no key": {File: "f"}, "bad key": {File: "f", Key: "A-B"}} {
		if s, err := source.NewEnv(e, source.Options{Backups: "b"}); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
}

// Files as they are in the world: one value changes, and back.
func TestWildFiles(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	opts := source.Options{Backups: filepath.Join(dir, "backups"), Root: dir, Reload: func(context.Context) error { return nil }}
	for name, tt := range map[string]struct {
		file, to, from string
		source         func(path string) (source.Source, error)
	}{
		"eth-docker": {"eth-docker.env", "opt/.env", "https://ephemery.beaconstate.ethstaker.cc",
			func(path string) (source.Source, error) {
				return source.NewEnv(source.Env{File: path, Key: envName}, opts)
			}},
		"EthPillar": {"consensus.service", "etc/systemd/system/consensus.service", "https://checkpoint-sync.ephemery.ethpandaops.io",
			func(string) (source.Source, error) {
				return source.NewSystemd(source.Systemd{Unit: "consensus.service", Client: "lighthouse"}, opts)
			}},
		"Ansible, block": {"inventory.yaml", "opt/1.yaml", "https://checkpoint-sync.ephemery.ethpandaops.io",
			func(path string) (source.Source, error) {
				return source.NewYAML(source.YAML{File: path, Key: "checkpoint_sync_url"}, "node-1", opts)
			}},
		"Ansible, flow": {"inventory.yaml", "opt/2.yaml", "https://ephemery.beaconstate.ethstaker.cc",
			func(path string) (source.Source, error) {
				return source.NewYAML(source.YAML{File: path, Key: "checkpoint_sync_url"}, "node-2", opts)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			sample, err := os.ReadFile(filepath.Join("testdata", tt.file))
			must(t, err)
			if bytes.Count(sample, []byte(tt.from)) != 1 {
				t.Fatalf("the sample has %s not just once", tt.from)
			}
			path := filepath.Join(dir, tt.to)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, sample, 0o644))
			s, err := tt.source(path)
			must(t, err)
			c := plan(t, s, goodTo)
			must(t, s.Apply(ctx, c))
			wantFile(t, path, strings.Replace(string(sample), tt.from, goodTo, 1))
			if got, err := s.Read(ctx); err != nil || got != goodTo {
				t.Errorf("Read: %q, %v", got, err)
			}
			must(t, s.Restore(ctx, c))
			wantFile(t, path, string(sample))
		})
	}
}

// Whatever the file is: what is written is read back, and nothing but the value's bytes changes.
func FuzzEnv(f *testing.F) {
	for _, s := range []string{"CHECKPOINT_SYNC_URL=https://a.example\n", "export CHECKPOINT_SYNC_URL='https://a.example' # x\r\nB=\"\n\"\n",
		"A='\\\\'\nCHECKPOINT_SYNC_URL=\"https://a.example\"", "\ufeffA=\\\nCHECKPOINT_SYNC_URL=\n", "A:b\nCHECKPOINT_SYNC_URL= # x\n"} {
		f.Add([]byte(s), goodTo)
		f.Add([]byte(s), "http://[::1]:5052/?a=$1&b='")
	}
	f.Fuzz(func(t *testing.T, data []byte, url string) {
		old, now, from, start, end, err := source.SpliceEnv(data, envName, url)
		if err != nil {
			return
		}
		if old.URL != from || now.URL != url {
			t.Fatalf("%q: read back %q", data, now.URL)
		}
		if !bytes.Equal(now.Data[:start], data[:start]) || !bytes.Equal(now.Data[len(now.Data)-(len(data)-end):], data[end:]) {
			t.Fatalf("%q became %q", data, now.Data)
		}
	})
}
