package services

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// What https://api.slack.com/reference/surfaces/formatting makes of angle brackets and entities: anything in brackets that is no link with
// a text calls people, and what is data must not get that far.
var (
	slackLink   = regexp.MustCompile(`<(https?://[^<>|]+)\|([^<>|]+)>`)
	slackEntity = regexp.MustCompile(`&(amp|lt|gt);`)
	slackColor  = regexp.MustCompile(`^(good|warning|danger|#[0-9A-Fa-f]{6})$`)
)

// takeSlack is an incoming webhook, https://api.slack.com/messaging/webhooks, with secondary attachments.
func (s *Services) takeSlack(r *http.Request) (*Message, answer, error) {
	if r.Method != http.MethodPost || "https://"+r.Host+r.URL.Path != secret("slack-webhook-url") {
		return nil, answer{}, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	var b struct {
		Text        string `json:"text"`
		Channel     string `json:"channel"`
		Username    string `json:"username"`
		IconEmoji   string `json:"icon_emoji"`
		IconURL     string `json:"icon_url"`
		LinkNames   bool   `json:"link_names"`
		Attachments []struct {
			Fallback   string   `json:"fallback"`
			Color      string   `json:"color"`
			Pretext    string   `json:"pretext"`
			Title      string   `json:"title"`
			TitleLink  string   `json:"title_link"`
			Text       string   `json:"text"`
			CallbackID string   `json:"callback_id"`
			ImageURL   string   `json:"image_url"`
			ThumbURL   string   `json:"thumb_url"`
			Footer     string   `json:"footer"`
			MrkdwnIn   []string `json:"mrkdwn_in"`
		} `json:"attachments"`
	}
	if err := decode(r, &b); err != nil {
		return nil, answer{}, err
	}
	if len(b.Attachments) != 1 || b.Attachments[0].Fallback == "" || b.LinkNames {
		return nil, answer{}, errors.New("no_text: one attachment with a fallback is wanted, and no names that are made links")
	}
	a := b.Attachments[0]
	if !slackColor.MatchString(a.Color) {
		return nil, answer{}, fmt.Errorf("the color is %q", a.Color)
	}
	if a.TitleLink != "" && !strings.HasPrefix(a.TitleLink, "https://") {
		return nil, answer{}, fmt.Errorf("the title's link is %q", a.TitleLink)
	}
	title, titleErr := slackText(a.Title)
	text, textErr := slackText(a.Text)
	err := errors.Join(titleErr, textErr, within(limit{"title", title, 1, 300}, limit{"text", text, 1, 4000}))
	return &Message{Title: title, Text: text, Urgency: a.Color, Resolved: strings.HasPrefix(title, "Resolved: ")}, answer{http.StatusOK, "text/html", "ok"}, err
}

// slackText is what people see.
func slackText(text string) (string, error) {
	rest := slackLink.ReplaceAllString(text, "$2 ($1)")
	if strings.ContainsAny(rest, "<>") || strings.Contains(slackEntity.ReplaceAllString(rest, ""), "&") {
		return "", fmt.Errorf("some of it would be taken for a command: %q", text)
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(rest), nil
}
