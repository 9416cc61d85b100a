package source

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrNoValue is wrapped by Inventory's errors when the host has no value of that name.
var ErrNoValue = errors.New("no such value")

// Inventory changes several values of one host in a YAML file, in memory. What is not changed stays as it is, byte by byte: every change is
// made in the text, and then both texts are read and compared. Its errors are *PlaceError, or wrap ErrNoValue.
type Inventory struct {
	file, host string
	exact      bool
	data       []byte
}

// Value is a value of a host.
type Value struct {
	// Path is where it stands, such as all.hosts.node-1.el.
	Path string
	// Line is that in the file, from 1.
	Line int
	// Text is the value as YAML means it; "" for null.
	Text string
}

// NewInventory is the text of file. host is the name of the host that is meant; where exact is false and the file has but one, that one will do.
func NewInventory(file, host string, exact bool, text []byte) *Inventory {
	return &Inventory{file: file, host: host, exact: exact, data: slices.Clone(text)}
}

// Text is the file as it is with the changes made so far.
func (v *Inventory) Text() []byte { return slices.Clone(v.data) }

// Hosts are the names in the mappings called hosts, in alphabetical order.
func (v *Inventory) Hosts() ([]string, error) {
	docs, err := decode(v.data)
	if err != nil {
		return nil, v.at(err)
	}
	var s survey
	for _, d := range docs {
		s.walk(d, "", nil)
	}
	names := make([]string, 0, len(s.hosts))
	for name := range s.hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Value finds a value of the host.
func (v *Inventory) Value(key string) (Value, error) {
	_, e, err := v.find(key)
	if err != nil {
		return Value{}, err
	}
	text := e.value.Value
	if e.value.ShortTag() == "!!null" {
		text = ""
	}
	return Value{Path: joinPath(e.path), Line: e.value.Line, Text: text}, nil
}

func (v *Inventory) at(err error) error {
	if e, ok := errors.AsType[*PlaceError](err); ok && e.File == "" {
		e.File = v.file
	}
	return err
}

// find returns the one value that is meant.
func (v *Inventory) find(key string) ([]*yaml.Node, entry, error) {
	docs, err := decode(v.data)
	if err != nil {
		return nil, entry{}, v.at(err)
	}
	var s survey
	for _, d := range docs {
		s.walk(d, key, nil)
	}
	own := func(e entry) bool { return slices.Contains(e.path[:len(e.path)-1], v.host) }
	for _, d := range docs {
		if n := composed(d, key); n != nil {
			return nil, entry{}, v.at(&PlaceError{Line: n.Line, Reason: key + " is not a single value", Mend: "write it as one text"})
		}
	}
	if !slices.ContainsFunc(s.entries, own) && (len(s.entries) == 0 || s.hosts[v.host] > 0) {
		return nil, entry{}, fmt.Errorf("%s: %s: %w", v.file, key, ErrNoValue)
	}
	c := yamlCodec{key: key, node: v.host}
	if v.exact {
		c.host = v.host
	}
	e, err := c.choose(docs)
	if err != nil {
		return nil, entry{}, v.at(err)
	}
	if reason := foreign(docs, e); reason != nil {
		return nil, entry{}, v.at(reason)
	}
	return docs, e, nil
}

// composed is the first value of that name that is a mapping or a list.
func composed(n *yaml.Node, key string) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && keyName(n.Content[i-1]) == key && c.Kind != yaml.ScalarNode && c.Kind != yaml.AliasNode {
			return c
		}
		if found := composed(c, key); found != nil {
			return found
		}
	}
	return nil
}

// foreign tells why a value is not the host's own scalar.
func foreign(docs []*yaml.Node, e entry) error {
	n := e.value
	switch {
	case n.Kind == yaml.AliasNode:
		return &PlaceError{Line: n.Line, Reason: fmt.Sprintf("%s is the alias *%s", joinPath(e.path), n.Value), Mend: "write the value itself there"}
	case n.Kind != yaml.ScalarNode:
		return &PlaceError{Line: n.Line, Reason: joinPath(e.path) + " is not a single value", Mend: "write it as one text"}
	case n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
		return &PlaceError{Line: n.Line, Reason: joinPath(e.path) + " carries an anchor or a tag", Mend: "write the value alone there"}
	}
	if a := sharing(docs, n); a != nil {
		return &PlaceError{Line: n.Line, Reason: fmt.Sprintf("%s is shared with line %d by the alias *%s", joinPath(e.path), a.Line, a.Value),
			Mend: "give each host its own value"}
	}
	return nil
}

// Set writes another value in the place of one that stands on one line, in the same quotes.
func (v *Inventory) Set(key, text string) error {
	docs, e, err := v.find(key)
	if err != nil {
		return err
	}
	if e.value.ShortTag() == "!!null" {
		return v.at(&PlaceError{Line: e.value.Line, Reason: joinPath(e.path) + " has no value", Mend: `write "" there`})
	}
	start, end, err := span(v.data, e.value)
	if err != nil || e.value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return v.at(&PlaceError{Line: e.value.Line, Reason: joinPath(e.path) + " is spread over several lines", Mend: "write it on one"})
	}
	var last error
	for _, spelled := range spellings(e.value.Style, text) {
		after := bytes.Join([][]byte{v.data[:start], []byte(spelled), v.data[end:]}, nil)
		if last = v.prove(docs, after, e.path, func(now *yaml.Node) bool { return now.Value == text }); last == nil {
			v.data = after
			return nil
		}
	}
	return last
}

// Append adds words to the end of a text. What the text is written as stays; where it is a block, another line is added.
func (v *Inventory) Append(key string, words ...string) error {
	docs, e, err := v.find(key)
	if err != nil {
		return err
	}
	addition := strings.Join(words, " ")
	at, chunk, err := v.end(e, addition)
	if err != nil {
		return v.at(err)
	}
	want := append(strings.Fields(e.value.Value), words...)
	after := bytes.Join([][]byte{v.data[:at], []byte(chunk), v.data[at:]}, nil)
	if err := v.prove(docs, after, e.path, func(now *yaml.Node) bool { return slices.Equal(strings.Fields(now.Value), want) }); err != nil {
		return err
	}
	v.data = after
	return nil
}

// end is where words are to be added to a value, and what is to be written there.
func (v *Inventory) end(e entry, addition string) (at int, chunk string, err error) {
	n := e.value
	switch {
	case n.ShortTag() == "!!null":
		return 0, "", &PlaceError{Line: n.Line, Reason: joinPath(e.path) + " has no value", Mend: `write "" there`}
	case n.ShortTag() != "!!str":
		return 0, "", &PlaceError{Line: n.Line, Reason: fmt.Sprintf("%s is %.80q, which is not text", joinPath(e.path), n.Value), Mend: "write it in quotes"}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return v.endOfBlock(e, addition)
	}
	start, end, err := span(v.data, n)
	if err != nil {
		return 0, "", &PlaceError{Line: n.Line, Reason: joinPath(e.path) + " is spread over several lines", Mend: "write it on one, or as a block (>-)"}
	}
	if n.Style != 0 {
		end-- // before the closing quote
	}
	if end > start && n.Value != "" && !strings.HasSuffix(n.Value, " ") {
		addition = " " + addition
	}
	return end, addition, nil
}

// endOfBlock is the end of the last line of a block scalar that holds anything.
func (v *Inventory) endOfBlock(e entry, addition string) (at int, chunk string, err error) {
	at = offset(v.data, e.value.Line, 1)
	at += lineLength(v.data[at:]) // the line of the key
	indent, last := "", -1
	for at < len(v.data) {
		n := lineLength(v.data[at:])
		line := strings.TrimRight(string(v.data[at:at+n]), "\r\n")
		text := strings.TrimLeft(line, " ")
		switch {
		case text == "":
		case last < 0:
			indent, last = line[:len(line)-len(text)], at+len(line)
		case !strings.HasPrefix(line, indent):
			at = len(v.data)
			continue
		default:
			last = at + len(line)
		}
		at += n
	}
	if last < 0 || indent == "" {
		return 0, "", &PlaceError{Line: e.value.Line, Reason: joinPath(e.path) + " is an empty block", Mend: `write "" there`}
	}
	eol := "\n"
	if bytes.Contains(v.data, []byte("\r\n")) {
		eol = "\r\n"
	}
	return last, eol + indent + addition, nil
}

// Cut takes the bytes from start to end out of a text on one line that is written just as it is meant.
func (v *Inventory) Cut(key string, start, end int) error {
	docs, e, err := v.find(key)
	if err != nil {
		return err
	}
	old := e.value.Value
	from, to, err := span(v.data, e.value)
	if e.value.Style != 0 {
		from, to = from+1, to-1
	}
	if err != nil || from < 0 || to > len(v.data) || string(v.data[from:to]) != old || start < 0 || end > len(old) || start > end {
		return v.at(&PlaceError{Line: e.value.Line, Reason: joinPath(e.path) + " is spread over several lines, or has escapes in it", Mend: "take it out by hand"})
	}
	want := old[:start] + old[end:]
	after := bytes.Join([][]byte{v.data[:from+start], v.data[from+end:]}, nil)
	if err := v.prove(docs, after, e.path, func(now *yaml.Node) bool { return now.Value == want }); err != nil {
		return err
	}
	v.data = after
	return nil
}

// Insert adds a value that the host does not have, as text in double quotes or, with bare, as it is, on a line below that of another one.
func (v *Inventory) Insert(key, text string, bare bool, below string) error {
	docs, e, err := v.find(below)
	if err != nil {
		return err
	}
	flow := &PlaceError{Line: e.value.Line, Reason: fmt.Sprintf("there is no %s, and none can be added on a line of its own here", key),
		Mend: fmt.Sprintf("write %s: %q beside %s", key, text, below)}
	if bare {
		flow.Mend = fmt.Sprintf("write %s: %s beside %s", key, text, below)
	}
	start := offset(v.data, e.value.Line, 1)
	line := string(v.data[start : start+lineLength(v.data[start:])])
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	rest := line[len(indent):]
	body := strings.TrimRight(line, "\r\n")
	if !strings.HasPrefix(rest, below+":") || e.value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return v.at(flow)
	}
	if _, _, err := span(v.data, e.value); err != nil {
		return v.at(flow)
	}
	spelled := text
	if !bare {
		spelled = spellings(yaml.DoubleQuotedStyle, text)[0]
	}
	eol := line[len(body):]
	if eol == "" {
		eol = "\n"
	}
	at := start + len(body)
	after := bytes.Join([][]byte{v.data[:at], []byte(eol + indent + key + ": " + spelled), v.data[at:]}, nil)
	now, err := decode(after)
	if err != nil {
		return v.at(err)
	}
	parent := e.path[:len(e.path)-1]
	if len(now) != len(docs) {
		return v.at(flow)
	}
	for i := range docs {
		if !grown(docs[i], now[i], parent, nil, key, text) {
			return v.at(flow)
		}
	}
	v.data = after
	if got, err := v.Value(key); err != nil || got.Text != text {
		v.data = bytes.Join([][]byte{after[:at], after[at+len(eol+indent+key+": "+spelled):]}, nil)
		return v.at(flow)
	}
	return nil
}

// prove reads the new text and makes sure that nothing but the value at a path differs, and that this is as it should be.
func (v *Inventory) prove(old []*yaml.Node, after []byte, path []string, right func(*yaml.Node) bool) error {
	now, err := decode(after)
	if err != nil {
		return v.at(err)
	}
	if len(old) != len(now) {
		return v.at(&PlaceError{Reason: "changing " + joinPath(path) + " would change something else"})
	}
	for i := range old {
		if n := unlike(old[i], now[i], path, nil, right); n != nil {
			return v.at(&PlaceError{Line: n.Line, Reason: "changing " + joinPath(path) + " would change something else"})
		}
	}
	return nil
}

// unlike is the first node of a that is another in b, the value at a path excepted, which has to be right.
func unlike(a, b *yaml.Node, path, here []string, right func(*yaml.Node) bool) *yaml.Node {
	changed := slices.Equal(path, here) && a.Kind == yaml.ScalarNode
	same := a.Kind == b.Kind && a.Anchor == b.Anchor && len(a.Content) == len(b.Content) &&
		a.HeadComment == b.HeadComment && a.LineComment == b.LineComment && a.FootComment == b.FootComment
	if changed {
		same = same && right(b)
	} else {
		same = same && a.Value == b.Value && a.Style == b.Style && a.ShortTag() == b.ShortTag()
	}
	if !same {
		return a
	}
	for i := range a.Content {
		if n := unlike(a.Content[i], b.Content[i], path, childPath(a, i, here), right); n != nil {
			return n
		}
	}
	return nil
}

// childPath is that of the i-th part of a node; of a key it is none that a value has.
func childPath(n *yaml.Node, i int, here []string) []string {
	switch n.Kind {
	case yaml.MappingNode:
		if i%2 == 0 {
			return append(slices.Clip(here), "", "")
		}
		return append(slices.Clip(here), keyName(n.Content[i-1]))
	case yaml.SequenceNode:
		return append(slices.Clip(here), fmt.Sprint(i))
	}
	return here
}

// grown tells whether b is a with one more pair in the mapping at a path. Comments are compared nowhere: their bytes stay.
func grown(a, b *yaml.Node, path, here []string, key, text string) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Style != b.Style || a.Anchor != b.Anchor || a.ShortTag() != b.ShortTag() {
		return false
	}
	content := b.Content
	if a.Kind == yaml.MappingNode && slices.Equal(path, here) {
		i := 0
		for i+1 < len(content) && keyName(content[i]) != key {
			i += 2
		}
		if slices.ContainsFunc(a.Content, func(n *yaml.Node) bool { return keyName(n) == key && slices.Index(a.Content, n)%2 == 0 }) {
			return false // a second one of that name
		}
		if i+1 >= len(content) || content[i+1].Kind != yaml.ScalarNode || content[i+1].Value != text {
			return false
		}
		content = slices.Delete(slices.Clone(content), i, i+2)
	}
	if len(a.Content) != len(content) {
		return false
	}
	for i := range a.Content {
		if !grown(a.Content[i], content[i], path, childPath(a, i, here), key, text) {
			return false
		}
	}
	return true
}
