package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// YAML names one value in a YAML file, such as an Ansible inventory.
type YAML struct {
	// File is its path.
	File string
	// Key is the name of the value. Of several hosts in File the one named like the node is meant.
	Key string
	// Host, if set, is the host's name in File where that is not the node's.
	Host string
	// Path, if set, is the exact place: keys from the top, separated by dots; a key with a dot in it in double quotes; an element of a
	// list by its number, from 0. It leads to the value, or to the mapping that has Key.
	Path string
}

// NewYAML is the source of the checkpoint URL of node in a YAML file. Nothing is read yet.
func NewYAML(y YAML, node string, opts Options) (*File, error) {
	c := yamlCodec{key: y.Key, host: y.Host, node: node}
	if y.Path != "" {
		path, err := splitPath(y.Path)
		if err != nil {
			return nil, fmt.Errorf("yaml source of %s: %w", y.File, err)
		}
		c.path = path
	}
	switch {
	case y.Key == "" && y.Path == "":
		return nil, fmt.Errorf("yaml source of %s: want a key or a path", y.File)
	case y.Host != "" && y.Path != "":
		return nil, fmt.Errorf("yaml source of %s: host and path exclude each other", y.File)
	}
	name := "yaml " + y.File
	if y.Path != "" {
		name += " " + y.Path
	} else {
		name += " " + y.Key
	}
	return newFile(name, y.File, c, opts)
}

// yamlCodec is the codec of one value. Documents are decoded to nodes, which know line and column; the change is made in the bytes,
// because an encoder would re-indent and drop blank lines; then both are decoded and compared node by node.
type yamlCodec struct {
	key, host, node string
	path            []string
}

func (c yamlCodec) find(data []byte) (place, error) {
	_, p, err := c.locate(data)
	return p, err
}

func (c yamlCodec) locate(data []byte) (located, place, error) {
	docs, err := decode(data)
	if err != nil {
		return located{}, place{}, err
	}
	e, err := c.choose(docs)
	if err != nil {
		return located{}, place{}, err
	}
	if err := usable(docs, e); err != nil {
		return located{}, place{}, err
	}
	start, end, err := span(data, e.value)
	if err != nil {
		return located{}, place{}, err
	}
	return located{docs: docs, value: e.value},
		place{url: e.value.Value, key: joinPath(e.path), line: e.value.Line, start: start, end: end}, nil
}

// located is the value among the documents that it was found in.
type located struct {
	docs  []*yaml.Node
	value *yaml.Node
}

func (c yamlCodec) splice(data []byte, p place, url string) ([]byte, error) {
	old, at, err := c.locate(data)
	if err != nil {
		return nil, err
	}
	if at != p {
		return nil, &PlaceError{Line: p.line, Reason: "the value moved while it was looked at"}
	}
	var after []byte
	for _, text := range spellings(old.value.Style, url) {
		after = bytes.Join([][]byte{data[:p.start], []byte(text), data[p.end:]}, nil)
		var is located
		var now place
		if is, now, err = c.locate(after); err != nil {
			continue
		}
		if now.url != url || now.key != p.key {
			err = &PlaceError{Line: p.line, Reason: "the new URL would not be read back as it is"}
			continue
		}
		if line := differ(old, is); line > 0 {
			err = &PlaceError{Line: line, Reason: "changing the URL would change something else"}
			continue
		}
		return after, nil
	}
	return nil, err
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)`)

// decode returns the documents of a file.
func decode(data []byte) (docs []*yaml.Node, err error) {
	defer func() {
		// The parser panics on some malformed input, comments above all; that must not take the remediator down.
		if r := recover(); r != nil {
			docs, err = nil, &PlaceError{Reason: fmt.Sprintf("is not YAML that can be read: %v", r)}
		}
	}()
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, &PlaceError{Reason: "is UTF-16", Mend: "store it as UTF-8"}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			e := &PlaceError{Reason: "is not YAML: " + err.Error()}
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				e.Line, _ = strconv.Atoi(m[1])
				e.Reason = "is not YAML: " + m[2]
			}
			return nil, e
		}
		docs = append(docs, &n)
	}
}
