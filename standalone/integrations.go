package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	amconfig "github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/discord"
	"github.com/prometheus/alertmanager/notify/email"
	"github.com/prometheus/alertmanager/notify/mattermost"
	"github.com/prometheus/alertmanager/notify/msteamsv2"
	"github.com/prometheus/alertmanager/notify/opsgenie"
	"github.com/prometheus/alertmanager/notify/pagerduty"
	"github.com/prometheus/alertmanager/notify/pushover"
	"github.com/prometheus/alertmanager/notify/slack"
	"github.com/prometheus/alertmanager/notify/telegram"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	promcommon "github.com/prometheus/common/config"
)

// Two names a receiver may bear, in any alertmanager.yml, to reach what runs in
// this process. They act while the receiver has no integration of its own.
const (
	ReceiverRemediator = "remediator" // the remediator's webhook, with the credentials of this run
	ReceiverLog        = "log"        // one line an alert, in this program's log
)

// Webhook is an endpoint that takes Alertmanager's webhooks.
type Webhook struct {
	URL string
	// TokenFile holds the bearer token, and is read for each request; empty sends none.
	TokenFile string
	// Dial opens connections; nil means by TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (w Webhook) config() *webhook.WebhookConfig {
	client := promcommon.DefaultHTTPClientConfig
	if w.TokenFile != "" {
		client.Authorization = &promcommon.Authorization{Type: "Bearer", CredentialsFile: w.TokenFile}
	}
	return &webhook.WebhookConfig{
		NotifierConfig: amcommon.NotifierConfig{VSendResolved: true},
		HTTPConfig:     &client,
		URL:            amcommon.SecretTemplateURL(w.URL),
		Timeout:        notify.MinTimeout,
	}
}

func buildReceivers(
	receivers []amconfig.Receiver, remediator Webhook, tmpl *template.Template, logger, notifications *slog.Logger,
) (map[string][]notify.Integration, error) {
	built := make(map[string][]notify.Integration, len(receivers))
	var own []promcommon.HTTPClientOption
	if remediator.Dial != nil {
		own = append(own, promcommon.WithDialContextFunc(remediator.Dial))
	}
	var all error
	for _, r := range receivers {
		integrations, err := buildReceiver(r, tmpl, logger)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("receiver %q: %w", r.Name, err))
			continue
		}
		if len(integrations) == 0 {
			switch r.Name {
			case ReceiverRemediator:
				r.WebhookConfigs = append(r.WebhookConfigs, remediator.config())
				integrations, err = buildReceiver(r, tmpl, logger, own...)
				all = errors.Join(all, err)
			case ReceiverLog:
				integrations = append(integrations, notify.NewIntegration(logNotifier{notifications}, always{}, "log", 0, r.Name))
			}
		}
		built[r.Name] = integrations
	}
	return built, all
}

func buildReceiver(r amconfig.Receiver, t *template.Template, l *slog.Logger, webhooks ...promcommon.HTTPClientOption) ([]notify.Integration, error) {
	if err := unsupported(r); err != nil {
		return nil, err
	}
	b := builder{receiver: r.Name}
	add(&b, "webhook", r.WebhookConfigs, func(c *webhook.WebhookConfig) (notify.Notifier, error) { return webhook.New(c, t, l, webhooks...) })
	add(&b, "slack", r.SlackConfigs, func(c *amconfig.SlackConfig) (notify.Notifier, error) { return slack.New(c, t, l) })
	add(&b, "pagerduty", r.PagerdutyConfigs, func(c *pagerduty.PagerdutyConfig) (notify.Notifier, error) { return oneByOne(pagerduty.New(c, t, l)) })
	add(&b, "pushover", r.PushoverConfigs, func(c *amconfig.PushoverConfig) (notify.Notifier, error) { return pushover.New(c, t, l) })
	add(&b, "telegram", r.TelegramConfigs, func(c *telegram.TelegramConfig) (notify.Notifier, error) { return oneByOne(telegram.New(c, t, l)) })
	add(&b, "email", r.EmailConfigs, func(c *amconfig.EmailConfig) (notify.Notifier, error) { return email.New(c, t, l), nil })
	add(&b, "opsgenie", r.OpsGenieConfigs, func(c *opsgenie.OpsGenieConfig) (notify.Notifier, error) { return opsgenie.New(c, t, l) })
	add(&b, "discord", r.DiscordConfigs, func(c *discord.DiscordConfig) (notify.Notifier, error) { return discord.New(c, t, l) })
	add(&b, "msteamsv2", r.MSTeamsV2Configs, func(c *msteamsv2.MSTeamsV2Config) (notify.Notifier, error) { return msteamsv2.New(c, t, l) })
	add(&b, "mattermost", r.MattermostConfigs, func(c *mattermost.MattermostConfig) (notify.Notifier, error) { return mattermost.New(c, t, l) })
	return b.built, b.err
}

// unsupported says which kind of a receiver this program was built without. A
// receiver that is silently skipped would be found out on the worst day.
func unsupported(r amconfig.Receiver) error {
	for kind, n := range map[string]int{
		"incidentio_configs": len(r.IncidentioConfigs),
		"jira_configs":       len(r.JiraConfigs),
		"msteams_configs":    len(r.MSTeamsConfigs),
		"rocketchat_configs": len(r.RocketchatConfigs),
		"sns_configs":        len(r.SNSConfigs),
		"victorops_configs":  len(r.VictorOpsConfigs),
		"webex_configs":      len(r.WebexConfigs),
		"wechat_configs":     len(r.WechatConfigs),
	} {
		if n > 0 {
			return fmt.Errorf("%s is not built into checkpointd: send to an Alertmanager, or by webhook_configs", kind)
		}
	}
	return nil
}

type builder struct {
	receiver string
	built    []notify.Integration
	err      error
}

func add[C notify.ResolvedSender](b *builder, kind string, configs []C, build func(C) (notify.Notifier, error)) {
	for i, c := range configs {
		n, err := build(c)
		if err != nil {
			b.err = errors.Join(b.err, fmt.Errorf("%s_configs[%d]: %w", kind, i, err))
			continue
		}
		b.built = append(b.built, notify.NewIntegration(n, c, kind, i, b.receiver))
	}
}
