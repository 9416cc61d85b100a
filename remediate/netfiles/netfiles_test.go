package netfiles_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate/netfiles"
	"github.com/google/go-cmp/cmp"
)

// chain is an iteration of Ephemery.
func chain(n uint64) network.Chain {
	preset, _ := network.Preset("ephemery")
	i := preset.Iterations
	return network.Chain{Network: "ephemery", Iteration: n, GenesisTime: i.Genesis(n), DepositChainID: i.BaseChainID + n, SecondsPerSlot: 12, SlotsPerEpoch: 32}
}

// release is what ephemery-genesis publishes for an iteration, without what does not matter.
func release(n uint64) map[string]string {
	c := chain(n)
	at := c.GenesisTime.Unix()
	state := binary.LittleEndian.AppendUint64(nil, uint64(at))
	state = append(state, bytes.Repeat([]byte{byte(n)}, 1000)...)
	return map[string]string{
		"genesis.json":   fmt.Sprintf(`{"config":{"chainId":%d,"homesteadBlock":0},"alloc":{"0x0":{"balance":"1"}},"timestamp":"0x%x","extraData":""}`, c.DepositChainID, at-600),
		"besu.json":      fmt.Sprintf(`{"config":{"chainId":%d},"timestamp":"%d"}`, c.DepositChainID, at-600),
		"chainspec.json": fmt.Sprintf(`{"name":"Testnet","params":{"chainID":"0x%x"}}`, c.DepositChainID),
		"genesis.ssz":    string(state),
		"config.yaml": fmt.Sprintf("PRESET_BASE: mainnet\nCONFIG_NAME: testnet # comment\nMIN_GENESIS_TIME: %d\nGENESIS_FORK_VERSION: 0x1000101b\nGENESIS_DELAY: 600 # s\n"+
			"DEPOSIT_CHAIN_ID: %d\nDEPOSIT_NETWORK_ID: %d\nEPHEMERY_RESET_PERIOD: 2419200\n", at-600, c.DepositChainID, c.DepositChainID),
		"retention.vars": fmt.Sprintf("export ITERATION_NUMBER=\"%d\"\nexport ITERATION_RELEASE=\"ephemery-%d\"\nexport GENESIS_TIMESTAMP=\"%d\"\n"+
			"export GENESIS_RESET_INTERVAL=\"2419200\"\nexport CHAIN_ID=\"%d\"\n", n, n, at-600, c.DepositChainID),
		"nodevars_env.txt": fmt.Sprintf("ITERATION_NUMBER=\"%d\"\nCHAIN_ID=%d\nGENESIS_TIME='%d'\nBOOTNODE_ENR=\"enr:-abc\"\n", n, c.DepositChainID, at),
		"boot_enr.txt":     "enr:-abc\n",
		"bootnode-keys/a":  "b",
	}
}

// entry is one of an archive; of a file unless said otherwise.
type entry struct {
	name, body string
	kind       byte
	link       string
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o6777, Uid: 12345, Gid: 12345, ModTime: time.Unix(0, 0)}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.body))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(e.body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func entriesOf(files map[string]string, under string) []entry {
	out := []entry{{name: "./", kind: tar.TypeDir}}
	for name, body := range files {
		out = append(out, entry{name: under + name, body: body})
	}
	return out
}

// published serves the releases of some iterations.
func published(t *testing.T, bodies map[uint64][]byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n, body := range bodies {
			if r.URL.Path == fmt.Sprintf("/ephemery-%d/testnet-all.tar.gz", n) {
				_, _ = w.Write(body)
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/ephemery-{iteration}/testnet-all.tar.gz"
}

// present makes a directory with the files of an iteration.
func present(t *testing.T, n uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "opt", "network")
	for name, body := range release(n) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o2775); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o775|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree is everything below a directory.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if s := info.Sys().(*syscall.Stat_t); d.IsDir() {
			text += fmt.Sprint(" ", s.Uid, s.Gid)
		} else {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprint(" ", s.Uid, s.Gid, " ", string(data))
		}
		rel, err := filepath.Rel(dir, path)
		out[rel] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func stage(t *testing.T, o netfiles.Options) *netfiles.Staged {
	t.Helper()
	s, err := netfiles.Fetch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return again(t, s)
}

// again is what another process reads of it in a journal.
func again(t *testing.T, s *netfiles.Staged) *netfiles.Staged {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out netfiles.Staged
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func look(t *testing.T, s *netfiles.Staged, want netfiles.Condition) {
	t.Helper()
	if c, err := s.Look(); err != nil || c != want {
		t.Fatalf("it is %s, not %s: %v", c, want, err)
	}
}

func TestANewIteration(t *testing.T) {
	for name, under := range map[string]string{"flat": "", "with a dot": "./", "in a directory": "metadata/"} {
		t.Run(name, func(t *testing.T) {
			dir := present(t, 165)
			all := filepath.Dir(dir)
			before := tree(t, all)
			url := published(t, map[uint64][]byte{166: archive(t, entriesOf(release(166), under)...)})
			o := netfiles.Options{URL: url, Chain: chain(166), Dir: dir}

			s := stage(t, o)
			look(t, s, netfiles.NotApplied)
			if s.Iteration != 166 || s.Files != len(release(166)) || len(s.SHA256) != 64 || !strings.Contains(s.URL, "ephemery-166") {
				t.Errorf("%+v", s)
			}
			if err := netfiles.Check(dir, chain(165)); err != nil {
				t.Errorf("fetching touched the present files: %v", err)
			}
			if err := s.Settle(t.Context()); !errors.Is(err, netfiles.ErrNotApplied) {
				t.Errorf("settled: %v", err)
			}
			if err := s.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			look(t, s, netfiles.Applied)
			if err := netfiles.Check(dir, chain(166)); err != nil {
				t.Error(err)
			}
			var wrong *netfiles.MismatchError
			if err := netfiles.Check(dir, chain(165)); !errors.As(err, &wrong) || len(wrong.Why) < 5 {
				t.Errorf("it is taken for the old one: %v", err)
			}
			got, old := tree(t, dir), before["network"]
			if got["."] != old {
				t.Errorf("the directory is %s, was %s", got["."], old)
			}
			if mode := got[filepath.Join(under, "genesis.json")]; !strings.HasPrefix(mode, "-rw-r--r--") {
				t.Errorf("a file is %s", mode)
			}
			if err := s.Apply(t.Context()); err != nil {
				t.Errorf("again: %v", err)
			}
			if err := s.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			look(t, s, netfiles.NotApplied)
			if diff := cmp.Diff(before, tree(t, all)); diff != "" {
				t.Errorf("after putting back: %s", diff)
			}
			if err := s.Apply(t.Context()); !errors.Is(err, netfiles.ErrChanged) {
				t.Errorf("what is gone was put in place: %v", err)
			}

			s = stage(t, o)
			if err := s.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if names, _ := os.ReadDir(all); len(names) != 1 {
				t.Errorf("left behind: %v", names)
			}
			if err := s.Restore(t.Context()); err == nil {
				t.Error("what is deleted was put back")
			}
			if err := netfiles.Check(dir, chain(166)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoFilesYet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "opt", "network")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	s := stage(t, netfiles.Options{URL: published(t, map[uint64][]byte{166: archive(t, entriesOf(release(166), "")...)}), Chain: chain(166), Dir: dir})
	look(t, s, netfiles.NotApplied)
	if err := s.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(t, s, netfiles.Applied)
	if err := netfiles.Check(dir, chain(166)); err != nil {
		t.Error(err)
	}
	if err := s.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(filepath.Dir(dir)); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestFetchRefuses(t *testing.T) {
	good := release(166)
	with := func(more ...entry) []byte { return archive(t, append(entriesOf(good, ""), more...)...) }
	old := release(165)
	mixed := release(166)
	mixed["genesis.ssz"] = old["genesis.ssz"]
	whole := with()
	for _, tc := range []struct {
		name, want string
		body       []byte
		limits     netfiles.Limits
	}{
		{"the iteration before", "(config.chainId): chain id is 39438165, not 39438166", archive(t, entriesOf(old, "")...), netfiles.Limits{}},
		{"a mixture", "genesis.ssz: consensus genesis time", archive(t, entriesOf(mixed, "")...), netfiles.Limits{}},
		{"nothing that tells", "none of genesis.json", archive(t, entry{name: "boot_enr.txt", body: "enr:-abc"}), netfiles.Limits{}},
		{"a path that leads out", "leads out", with(entry{name: "../../evil", body: "x"}), netfiles.Limits{}},
		{"an absolute path", "leads out", with(entry{name: "/etc/evil", body: "x"}), netfiles.Limits{}},
		{"a symbolic link", "is a link", with(entry{name: "genesis", kind: tar.TypeSymlink, link: "/etc/passwd"}), netfiles.Limits{}},
		{"a hard link", "is a link", with(entry{name: "genesis", kind: tar.TypeLink, link: "/etc/passwd"}), netfiles.Limits{}},
		{"a device", "neither a file nor a directory", with(entry{name: "sda", kind: tar.TypeBlock}), netfiles.Limits{}},
		{"a pipe", "neither a file nor a directory", with(entry{name: "pipe", kind: tar.TypeFifo}), netfiles.Limits{}},
		{"a file twice", "file exists", with(entry{name: "genesis.json", body: "{}"}), netfiles.Limits{}},
		{"a file in a file", "file exists", with(entry{name: "boot_enr.txt/x", body: "x"}), netfiles.Limits{}},
		{"our marker", "name of ours", with(entry{name: "./.checkpoint-network.json", body: "{}"}), netfiles.Limits{}},
		{"deep directories", "nested too deeply", with(entry{name: strings.Repeat("a/", 20) + "b", body: "x"}), netfiles.Limits{}},
		{"too much compressed", "larger than is accepted", whole, netfiles.Limits{Compressed: 200}},
		{"a bomb", "more than 100000 bytes", with(entry{name: "zeros", body: strings.Repeat("\x00", 1<<20)}), netfiles.Limits{Unpacked: 100000}},
		{"too many entries", "more than 5 entries", whole, netfiles.Limits{Entries: 5}},
		{"half of it", "", whole[:len(whole)/2], netfiles.Limits{}},
		{"a damaged end", "", append(bytes.Clone(whole[:len(whole)-8]), 1, 2, 3, 4, 5, 6, 7, 8), netfiles.Limits{}},
		{"a page of HTML", "no gzip", []byte("<html><body>Not what you expect</body></html>"), netfiles.Limits{}},
		{"nothing", "no gzip", nil, netfiles.Limits{}},
		{"an empty archive", "it is empty", archive(t), netfiles.Limits{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := present(t, 165)
			before := tree(t, filepath.Dir(dir))
			_, err := netfiles.Fetch(t.Context(), netfiles.Options{URL: published(t, map[uint64][]byte{166: tc.body}), Chain: chain(166), Dir: dir, Limits: tc.limits})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("it says %v", err)
			}
			if diff := cmp.Diff(before, tree(t, filepath.Dir(dir))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNotReleasedYet(t *testing.T) {
	dir := present(t, 165)
	before := tree(t, filepath.Dir(dir))
	_, err := netfiles.Fetch(t.Context(), netfiles.Options{URL: published(t, nil), Chain: chain(166), Dir: dir})
	if !errors.Is(err, netfiles.ErrNotReleased) {
		t.Errorf("it says %v", err)
	}
	if diff := cmp.Diff(before, tree(t, filepath.Dir(dir))); diff != "" {
		t.Error(diff)
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer broken.Close()
	_, err = netfiles.Fetch(t.Context(), netfiles.Options{URL: strings.Replace(broken.URL, "http://", "http://me:secret@", 1), Chain: chain(166), Dir: dir})
	if err == nil || errors.Is(err, netfiles.ErrNotReleased) || strings.Contains(err.Error(), "secret") {
		t.Errorf("it says %v", err)
	}
}

func TestDirectoriesThatAreNotReplaced(t *testing.T) {
	body := archive(t, entriesOf(release(166), "")...)
	for name, prepare := range map[string]func(t *testing.T, dir string) string{
		"the root":                      func(*testing.T, string) string { return "/" },
		"a directory of the system":     func(*testing.T, string) string { return "/var/lib" },
		"one below /etc":                func(*testing.T, string) string { return "/etc/ephemery" },
		"a relative one":                func(*testing.T, string) string { return "network" },
		"one with the engine's JWT":     func(t *testing.T, dir string) string { put(t, dir, "jwt.hex"); return dir },
		"one with keys":                 func(t *testing.T, dir string) string { put(t, dir, "keys/keystore-1.json"); return dir },
		"one with a client's data":      func(t *testing.T, dir string) string { put(t, dir, "geth/chaindata/CURRENT"); return dir },
		"a file":                        func(t *testing.T, dir string) string { return filepath.Join(dir, "genesis.json") },
		"one whose parent is not there": func(t *testing.T, dir string) string { return filepath.Join(dir, "a", "b") },
		"one with old files kept": func(t *testing.T, dir string) string {
			put(t, filepath.Dir(dir), ".checkpoint-network-network-166/genesis.json")
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := prepare(t, present(t, 165))
			if _, err := netfiles.Fetch(t.Context(), netfiles.Options{URL: published(t, map[uint64][]byte{166: body}), Chain: chain(166), Dir: dir}); err == nil {
				t.Error("it says nothing")
			}
		})
	}
}

func put(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedByOthers(t *testing.T) {
	dir := present(t, 165)
	s := stage(t, netfiles.Options{URL: published(t, map[uint64][]byte{166: archive(t, entriesOf(release(166), "")...)}), Chain: chain(166), Dir: dir})
	if err := os.Rename(dir, dir+".mine"); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "mine")
	look(t, s, netfiles.Edited)
	if err := s.Apply(t.Context()); !errors.Is(err, netfiles.ErrChanged) {
		t.Errorf("apply: %v", err)
	}
	if err := s.Restore(t.Context()); !errors.Is(err, netfiles.ErrEdited) {
		t.Errorf("restore: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
}

// A server may send without end, and without saying how much.
func TestEndlessArchives(t *testing.T) {
	dir := present(t, 165)
	before := tree(t, filepath.Dir(dir))
	for name, write := range map[string]func(w http.ResponseWriter) error{
		"zeros": func(w http.ResponseWriter) error {
			z := gzip.NewWriter(w)
			if err := tar.NewWriter(z).WriteHeader(&tar.Header{Name: "genesis.ssz", Typeflag: tar.TypeReg, Size: 1 << 40, Mode: 0o644}); err != nil {
				return err
			}
			for {
				if _, err := z.Write(make([]byte, 1<<16)); err != nil {
					return err
				}
			}
		},
		"noise": func(w http.ResponseWriter) error {
			z, err := gzip.NewWriterLevel(w, gzip.NoCompression)
			if err != nil {
				return err
			}
			tw := tar.NewWriter(z)
			for i := 0; ; i++ {
				if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeReg, Size: 1 << 12, Mode: 0o644}); err != nil {
					return err
				}
				if _, err := tw.Write(make([]byte, 1<<12)); err != nil {
					return err
				}
			}
		},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = write(w) }))
		_, err := netfiles.Fetch(t.Context(), netfiles.Options{URL: srv.URL, Chain: chain(166), Dir: dir,
			Limits: netfiles.Limits{Compressed: 1 << 18, Unpacked: 1 << 30, Entries: 1 << 20}})
		srv.CloseClientConnections()
		srv.Close()
		if err == nil {
			t.Errorf("%s: it says nothing", name)
		}
	}
	if diff := cmp.Diff(before, tree(t, filepath.Dir(dir))); diff != "" {
		t.Error(diff)
	}
}
