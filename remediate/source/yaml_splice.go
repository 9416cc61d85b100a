package source

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// usable tells why a value that was found cannot be changed, or even trusted to be this node's own.
func usable(docs []*yaml.Node, e entry) error {
	v := e.value
	switch {
	case v.Kind == yaml.AliasNode:
		return &PlaceError{Line: v.Line, Reason: fmt.Sprintf("%s is the alias *%s", joinPath(e.path), v.Value), Mend: "write the URL itself there"}
	case v.Kind != yaml.ScalarNode:
		return &PlaceError{Line: v.Line, Reason: joinPath(e.path) + " is not a single value", Mend: "lead the path: to the URL, or give the key: in it"}
	case v.Anchor != "" || v.Style&yaml.TaggedStyle != 0:
		return &PlaceError{Line: v.Line, Reason: joinPath(e.path) + " carries an anchor or a tag", Mend: "write the URL alone there"}
	case v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return &PlaceError{Line: v.Line, Reason: joinPath(e.path) + " is a block scalar", Mend: "write the URL on the line of its key"}
	case v.ShortTag() == "!!null":
		return &PlaceError{Line: v.Line, Reason: joinPath(e.path) + " has no value", Mend: `write "" or a URL there`}
	case v.ShortTag() != "!!str":
		return &PlaceError{Line: v.Line, Reason: fmt.Sprintf("%s is %.80q, which is not text", joinPath(e.path), v.Value)}
	}
	if a := sharing(docs, v); a != nil {
		return &PlaceError{Line: v.Line, Reason: fmt.Sprintf("%s is shared with line %d by the alias *%s", joinPath(e.path), a.Line, a.Value),
			Mend: "give each host its own value"}
	}
	return nil
}

// sharing returns an alias through which v is read at another place too.
func sharing(docs []*yaml.Node, v *yaml.Node) *yaml.Node {
	around := map[*yaml.Node]bool{}
	for _, d := range docs {
		enclosing(d, v, around)
	}
	for _, d := range docs {
		if a := aliasTo(d, around); a != nil {
			return a
		}
	}
	return nil
}

// enclosing adds v and all that it is within to around.
func enclosing(n, v *yaml.Node, around map[*yaml.Node]bool) bool {
	in := n == v
	for _, c := range n.Content {
		in = in || enclosing(c, v, around)
	}
	if in {
		around[n] = true
	}
	return in
}

func aliasTo(n *yaml.Node, set map[*yaml.Node]bool) *yaml.Node {
	if n.Kind == yaml.AliasNode && set[n.Alias] {
		return n
	}
	for _, c := range n.Content {
		if a := aliasTo(c, set); a != nil {
			return a
		}
	}
	return nil
}

// span is where in data the scalar v is written, its quotes included.
func span(data []byte, v *yaml.Node) (start, end int, err error) {
	start = offset(data, v.Line, v.Column)
	rest := data[start:]
	n := -1
	switch v.Style {
	case yaml.DoubleQuotedStyle:
		n = quotedLength(rest, '"')
	case yaml.SingleQuotedStyle:
		n = quotedLength(rest, '\'')
	case 0:
		if bytes.HasPrefix(rest, []byte(v.Value)) {
			n = len(v.Value)
		}
	}
	if n < 0 {
		return 0, 0, &PlaceError{Line: v.Line, Reason: "the URL is spread over several lines", Mend: "write it on one"}
	}
	return start, start + n, nil
}

// offset is the byte at a line and column, both from 1, the column in characters: as the YAML reader counts them.
func offset(data []byte, line, column int) int {
	at := 0
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		at = len("\ufeff")
	}
	for ; line > 1 && at < len(data); line-- {
		at += lineLength(data[at:])
	}
	for ; column > 1 && at < len(data); column-- {
		_, n := utf8.DecodeRune(data[at:])
		at += n
	}
	return at
}

// lineLength is the length of the first line of b with its break. YAML 1.1 (section 5.4) knows more breaks than most.
func lineLength(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		i += n
		switch r {
		case '\r':
			if i < len(b) && b[i] == '\n' {
				i++
			}
			return i
		case '\n', '\u0085', '\u2028', '\u2029':
			return i
		}
	}
	return len(b)
}

// quotedLength is the length of a quoted scalar that begins b and ends on the same line; -1 if it does not.
func quotedLength(b []byte, quote byte) int {
	if len(b) == 0 || b[0] != quote {
		return -1
	}
	most := lineLength(b)
	for i := 1; i < most; i++ {
		switch {
		case b[i] == '\\' && quote == '"':
			i++
		case b[i] == quote && quote == '\'' && i+1 < most && b[i+1] == quote:
			i++
		case b[i] == quote:
			return i + 1
		}
	}
	return -1
}

// spellings are the ways to write url, the way of the old one first.
func spellings(style yaml.Style, url string) []string {
	double := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(url) + `"`
	switch style {
	case yaml.SingleQuotedStyle:
		return []string{"'" + strings.ReplaceAll(url, "'", "''") + "'", double}
	case 0:
		if !strings.ContainsAny(url, "[],") {
			return []string{url, double}
		}
	}
	return []string{double}
}

// differ returns the line of the first difference between two files other than in the value itself; 0 if there is none.
func differ(a, b located) int {
	if len(a.docs) != len(b.docs) {
		return a.value.Line
	}
	for i := range a.docs {
		if line := differIn(a.docs[i], b.docs[i], a.value, b.value); line > 0 {
			return line
		}
	}
	return 0
}

func differIn(a, b, valueA, valueB *yaml.Node) int {
	if (a == valueA) != (b == valueB) {
		return a.Line
	}
	same := a.Kind == b.Kind && a.Line == b.Line && a.Anchor == b.Anchor && a.ShortTag() == b.ShortTag() && len(a.Content) == len(b.Content) &&
		a.HeadComment == b.HeadComment && a.LineComment == b.LineComment && a.FootComment == b.FootComment
	if a != valueA {
		same = same && a.Value == b.Value && a.Style == b.Style
	}
	if !same {
		return max(a.Line, 1)
	}
	for i := range a.Content {
		if line := differIn(a.Content[i], b.Content[i], valueA, valueB); line > 0 {
			return line
		}
	}
	return 0
}
