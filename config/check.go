package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// validName keeps configured names safe as label values, in file names and on a command line.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (c *Config) check() error {
	if err := c.checkNetwork(); err != nil {
		return err
	}
	names, urls := map[string]bool{}, map[string]string{}
	for i, p := range c.Providers {
		if err := c.checkName(names, p.Name, "providers", i, "name"); err != nil {
			return err
		}
		if err := c.checkURL(p.URL, "providers", i, "url"); err != nil {
			return err
		}
		key := canonicalURL(p.URL)
		if other, twice := urls[key]; twice {
			return c.Problem(fmt.Sprintf("the same URL as that of provider %q", other), "keep one of them: a provider cannot confirm itself", "providers", i, "url")
		}
		urls[key] = p.Name
	}
	p := c.Probe
	for key, d := range map[string]Duration{"interval": p.Interval, "timeout": p.Timeout, "node_interval": p.NodeInterval,
		"state_header_interval": p.StateHeaderInterval, "verify_interval": p.VerifyInterval} {
		if d <= 0 {
			return c.Problem("zero", "write 1s or more", "probe", key)
		}
	}
	switch {
	case c.Quorum < 1:
		return c.Problem("fewer than one provider", "write 1 or more; 2 is the least that can agree", "quorum")
	case c.Quorum > len(c.Providers) && c.has("quorum"):
		return c.Problem(fmt.Sprintf("more than the %d providers there are", len(c.Providers)), "write fewer, or add providers", "quorum")
	}
	names = map[string]bool{}
	for i, n := range c.Nodes {
		if err := c.checkName(names, n.Name, "nodes", i, "name"); err != nil {
			return err
		}
		if err := c.checkNode(n, "nodes", i); err != nil {
			return err
		}
	}
	return c.checkRemediation()
}

func (c *Config) checkNode(n Node, at ...any) error {
	key := func(k ...any) []any { return append(slices.Clone(at), k...) }
	if err := c.checkURL(n.Consensus.URL, key("consensus", "url")...); err != nil {
		return err
	}
	if n.Consensus.MetricsURL != "" {
		if err := c.checkURL(n.Consensus.MetricsURL, key("consensus", "metrics_url")...); err != nil {
			return err
		}
	}
	if n.Execution.URL != "" {
		if err := c.checkURL(n.Execution.URL, key("execution", "url")...); err != nil {
			return err
		}
	}
	if n.StallAfter <= 0 {
		return c.Problem("zero", "write how long a head may stand still, such as 10m", key("stall_after")...)
	}
	for k, r := range map[string]*Restart{"restart": n.Restart, "restart_execution": n.RestartExecution} {
		if err := c.checkRestart(r, key(k)...); err != nil {
			return err
		}
	}
	if n.DataDir != "" {
		if err := c.checkPath(n.DataDir, key("data_dir")...); err != nil {
			return err
		}
	}
	return c.checkSource(n.Source, key("source")...)
}

// unitName is a plain service unit, not a template without instance and not a path.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]+)?\.service$`)

func (c *Config) checkRestart(r *Restart, at ...any) error {
	if r == nil {
		return nil
	}
	switch {
	case (r.Systemd != "") == (len(r.Command) > 0):
		return c.Problem("a restart is done in exactly one way", "write systemd: UNIT.service or command: [/path, arg]", at...)
	case r.Systemd != "" && !unitName.MatchString(r.Systemd):
		return c.Problem(fmt.Sprintf("%q is not a service unit", clip(r.Systemd)), "write its whole name, such as lighthouse.service", append(at, "systemd")...)
	case len(r.Command) > 0 && !filepath.IsAbs(r.Command[0]):
		return c.Problem(fmt.Sprintf("%q is not an absolute path", clip(r.Command[0])), "write the program's whole path; there is no shell and no PATH", append(at, "command")...)
	}
	return nil
}

func (c *Config) checkSource(s *Source, at ...any) error {
	if s == nil {
		return nil
	}
	if s.YAML == nil {
		return c.Problem("a source is in exactly one place", "write yaml: {file: …, key: …}", at...)
	}
	y := s.YAML
	at = append(at, "yaml")
	if err := c.checkPath(y.File, append(slices.Clone(at), "file")...); err != nil {
		return err
	}
	if (y.Key != "") == (y.Path != "") {
		return c.Problem("it does not say which value", "write key: or path:, not both", at...)
	}
	if y.Path != "" && y.Host != "" {
		return c.Problem("a path needs no host", "leave one of them out", append(at, "host")...)
	}
	return nil
}

func (c *Config) checkName(seen map[string]bool, name string, at ...any) error {
	switch {
	case name == "":
		return c.Problem("no name", "add one, such as node-1", at...)
	case !validName.MatchString(name):
		return c.Problem(fmt.Sprintf("%q is not a name", clip(name)), "use letters, digits, dots, dashes and underscores, at most 63", at...)
	case seen[name]:
		return c.Problem(fmt.Sprintf("the name %q is taken", name), "give each one its own name", at...)
	}
	seen[name] = true
	return nil
}

func (c *Config) checkURL(s string, at ...any) error {
	u, err := url.Parse(s)
	problem := ""
	switch {
	case s == "":
		problem = "no URL"
	case err != nil:
		problem = fmt.Sprintf("%q is not a URL", clip(s))
	case u.Scheme != "http" && u.Scheme != "https":
		problem = fmt.Sprintf("%q does not begin with http:// or https://", clip(s))
	case u.Hostname() == "":
		problem = fmt.Sprintf("%q has no host", clip(s))
	case u.User != nil:
		return c.Problem("a URL with a user or password in it", "take them out: URLs are shown in metrics and logs", at...)
	case u.RawQuery != "" || u.Fragment != "":
		return c.Problem("a URL with a query or fragment", "write the base only; routes are appended to it", at...)
	default:
		return nil
	}
	return c.Problem(problem, "write it like http://127.0.0.1:5052", at...)
}

// canonicalURL is a URL in the form in which two that reach the same server at the same path are equal.
func canonicalURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port) + strings.TrimRight(u.Path, "/")
}

func (c *Config) checkPath(p string, at ...any) error {
	switch {
	case p == "":
		return c.Problem("no path", "add one from the root, such as /var/lib/checkpoint/journal.jsonl", at...)
	case !filepath.IsAbs(p) || strings.ContainsRune(p, 0):
		return c.Problem(fmt.Sprintf("%q is not an absolute path", clip(p)), "write it from the root", at...)
	}
	return nil
}
