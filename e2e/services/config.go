package services

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// secrets are the contents of the files that the shipped configuration names, in the forms that the services give out. They end as
// docs/alerting.md has them written: with a new line where Alertmanager takes it off.
var secrets = map[string]string{
	"pushover-user-key":     "uQiRzpo4DXghDmr9QzzfQu27cmVRsG",
	"pushover-token":        "azGDORePK8gMaC0QOYAMyEEuzJnyUi",
	"telegram-token":        "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawA\n",
	"slack-webhook-url":     "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX\n",
	"pagerduty-routing-key": "0123456789abcdef0123456789abcdef\n",
	"opsgenie-api-key":      "eb243592-faa2-4ba2-a551-1afdf565c889\n",
	"smtp-password":         "correct horse battery staple\n",
	"heartbeat-url":         "https://hc-ping.com/5f3c1f9e-6a3c-4b43-9d0a-2f3d9c1a7b11\n",
	"token":                 "the remediator's own\n",
}

func secret(name string) string { return strings.TrimSpace(secrets[name]) }

// Enable switches services on in the text of the shipped configuration, as its first lines tell an operator to.
func Enable(config string, names ...string) string {
	for _, name := range names {
		config = regexp.MustCompile(`(?m)^#`+regexp.QuoteMeta(name)+`\b`).ReplaceAllString(config, "")
	}
	return config
}

var (
	groupWait     = regexp.MustCompile(`group_wait: \S+`)
	groupInterval = regexp.MustCompile(`group_interval: \S+`)
)

// Configure returns the shipped configuration with every service switched on, for an Alertmanager to deliver to s: secrets and templates
// are looked for where they are, and nobody waits as long as in real life.
func (s *Services) Configure(tb testing.TB, shipped, templates string) string {
	tb.Helper()
	config := Enable(shipped, Names...)
	for _, change := range [][2]string{
		{"templates/*.tmpl", templates},
		{"/etc/alertmanager/", s.dir + "/"},
		{"/etc/checkpoint/token", s.dir + "/token"},
		{"http://127.0.0.1:10178", s.webhook.URL},
		{"smtp.example.org:587", fmt.Sprintf("%s\n        tls_config: {ca_file: %q}", s.mailbox.Addr(), s.dir+"/ca.pem")},
		{"group_interval: 30s\n      repeat_interval: 1m\n", "group_interval: 2s\n      repeat_interval: 2s\n"},
	} {
		if !strings.Contains(config, change[0]) {
			tb.Fatalf("the shipped configuration does not contain %q", change[0])
		}
		config = strings.ReplaceAll(config, change[0], change[1])
	}
	config = groupWait.ReplaceAllString(config, "group_wait: 1s")
	config = groupInterval.ReplaceAllString(config, "group_interval: 2s")
	return fmt.Sprintf("global:\n  http_config: {proxy_url: %q, tls_config: {ca_file: %q}}\n\n%s", s.proxy.URL, s.dir+"/ca.pem", config)
}
