package console

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/checkpoint-exporter/checkpoint_exporter/config"
	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// Problem is what is wrong with a configuration, for machines.
type Problem struct {
	OK      bool   `json:"ok"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Problem string `json:"problem,omitempty"`
	Mend    string `json:"mend,omitempty"`
}

// CheckConfig says whether a configuration is right: c, or why it could not be loaded. It returns ErrNotFine when it is not.
func (t *Terminal) CheckConfig(c *config.Config, err error) error {
	if err == nil {
		err = tokenThere(c)
	}
	if err != nil {
		if !t.JSON {
			t.printf("%s\n", clean(err.Error()))
			return ErrNotFine
		}
		p := Problem{Problem: err.Error()}
		if e, ok := errors.AsType[*config.Error](err); ok {
			p = Problem{File: e.File, Line: e.Line, Key: e.Key, Problem: e.Problem, Mend: e.Mend}
		}
		return errors.Join(t.json(p), ErrNotFine)
	}
	if t.JSON {
		return t.json(Problem{OK: true, File: c.File()})
	}
	if c.File() == "" {
		t.printf("There is no file, and the defaults are right\n")
	} else {
		t.printf("%s is right\n", clean(c.File()))
	}
	nodes := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		nodes = append(nodes, n.Name)
	}
	t.printf("mode %s\n", modeWords(c.Remediation.Mode))
	t.printf("network %s; %s, of which %d have to agree; %s: %s\n", c.Network.Name, count(len(c.Providers), "provider", "providers"), c.Quorum,
		count(len(c.Nodes), "node", "nodes"), strings.Join(nodes, ", "))
	return nil
}

// tokenThere is why the token that the configuration names cannot be used. One that only this user may not read is the remediator's business.
func tokenThere(c *config.Config) error {
	if file := c.Remediation.Webhook.BearerTokenFile; file != "" {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return remediate.Check(c)
		}
	}
	return nil
}
