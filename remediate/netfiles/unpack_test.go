package netfiles

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

func tarGz(t testing.TB, name, body string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	_, err := w.Write([]byte(body))
	if err := errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// FuzzUnpack feeds tar archives, compressed here so that the fuzzer need not guess checksums.
func FuzzUnpack(f *testing.F) {
	for _, seed := range [][2]string{{"retention.vars", small}, {"../evil", "x"}, {"/etc/evil", "x"}, {"a/b/../../../c", "x"}, {"a\\..\\b", "x"}, {"", ""}} {
		z, err := gzip.NewReader(bytes.NewReader(tarGz(f, seed[0], seed[1])))
		if err != nil {
			f.Fatal(err)
		}
		var plain bytes.Buffer
		if _, err := plain.ReadFrom(z); err != nil {
			f.Fatal(err)
		}
		f.Add(plain.Bytes())
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		if _, err := z.Write(plain); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		above := t.TempDir()
		dir := filepath.Join(above, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = root.Close() }()
		limits := Limits{Compressed: 1 << 20, Unpacked: 1 << 16, Entries: 20}
		_, _, _ = unpack(root, bytes.NewReader(buf.Bytes()), limits)
		if names, err := os.ReadDir(above); err != nil || len(names) != 1 {
			t.Fatalf("it led out: %v %v", names, err)
		}
		size, count := int64(0), 0
		err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if !d.IsDir() && !info.Mode().IsRegular() || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				t.Errorf("it made a %s", info.Mode())
			}
			if count++; !d.IsDir() {
				size += info.Size()
			}
			return nil
		})
		if err != nil || size > limits.Unpacked || count > limits.Entries*(maxNesting+1)+1 {
			t.Errorf("%d bytes in %d files: %v", size, count, err)
		}
	})
}

// FuzzFacts feeds all readers: whatever stands in a file, what agrees with one iteration contradicts another.
func FuzzFacts(f *testing.F) {
	f.Add("retention.vars", small+"export CHAIN_ID=\"39438166\"\nGENESIS_TIMESTAMP=1795114800")
	f.Add("nodevars_env.txt", "CHAIN_ID=x\nGENESIS_TIME=-1\nITERATION_NUMBER=\"\"")
	f.Add("config.yaml", "MIN_GENESIS_TIME: 1795114800\nGENESIS_DELAY: 600\nDEPOSIT_CHAIN_ID: '39438166' # c\r\n")
	f.Add("genesis.json", `{"config":{"chainId":39438166},"timestamp":"0x6aff1234"}`)
	f.Add("chainspec.json", `{"params":{"chainID":"0x259c8d6"}}`)
	f.Add("genesis.ssz", strings.Repeat("\x01", 100))
	f.Fuzz(func(t *testing.T, name, text string) {
		parse := readers[name]
		if parse == nil {
			return
		}
		facts, _, _ := parse(strings.NewReader(text), name)
		for _, fact := range facts {
			agrees, tells, _ := fact.judge(network.Chain{Iteration: 166, DepositChainID: 39438166})
			other, _, _ := fact.judge(network.Chain{Iteration: 165, DepositChainID: 39438165})
			if tells && (!agrees || other) {
				t.Errorf("%s: %v", text, fact)
			}
		}
	})
}
