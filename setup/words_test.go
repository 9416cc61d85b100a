package setup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/checkpoint-exporter/checkpoint_exporter/setup"
)

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":                         nil,
		"  ":                       nil,
		"--a --b=1":                {"--a", "--b=1"},
		" --a\n\t--b ":             {"--a", "--b"},
		`--graffiti="two words" x`: {"--graffiti=two words", "x"},
		`--a='it''s' b`:            {"--a=its", "b"},
		`--a=\"x\" "a\"b" "\c"`:    {`--a="x"`, `a"b`, `\c`},
		`a\ b ''`:                  {"a b", ""},
		"a\\\nb":                   {"ab"},
	} {
		words, err := setup.Words(in)
		var got []string
		for _, w := range words {
			got = append(got, w.Text)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`"`, `'a`, `a\`, `"a\`} {
		if _, err := setup.Words(in); err == nil {
			t.Errorf("%q is no shell's", in)
		}
	}
}

// FuzzWords: words stand where they say they do, in order, apart from each other; what is quoted anew is read back as it was; and what is looked
// for in any text is found or not, and never breaks.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"--a --b=1", `--g="two words" 'x'\ y`, "--txlookuplimit 0", "{{ x }} $Y", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		words, err := setup.Words(in)
		if err != nil {
			return
		}
		at := 0
		var again strings.Builder
		for _, w := range words {
			if w.Start < at || w.End <= w.Start || w.End > len(in) {
				t.Fatalf("%q: %+v", in, w)
			}
			at = w.End
			again.WriteString("'" + strings.ReplaceAll(w.Text, "'", `'\''`) + "' ")
		}
		back, err := setup.Words(again.String())
		if err != nil || len(back) != len(words) {
			t.Fatalf("%q: %q %v", in, again.String(), err)
		}
		for i := range words {
			if back[i].Text != words[i].Text {
				t.Fatalf("%q: %q is read back as %q", in, words[i].Text, back[i].Text)
			}
		}
		for _, client := range []string{"lighthouse", "geth", "nethermind"} {
			o, _ := setup.Look(in, client, setup.Version{1, 17, 4}, "ephemery")
			for _, h := range o.Harmful {
				if h.Start < 0 || h.End > len(in) || h.Start >= h.End || !strings.Contains(strings.ToLower(in[h.Start:h.End]), strings.ToLower(strings.TrimLeft(h.Flag, "-")[:1])) {
					t.Fatalf("%q: %+v", in, h)
				}
			}
		}
	})
}
