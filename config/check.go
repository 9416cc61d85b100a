package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
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
