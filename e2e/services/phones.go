package services

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// takePushover is POST /1/messages.json of https://pushover.net/api.
func (s *Services) takePushover(r *http.Request) (*Message, answer, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/1/messages.json" {
		return nil, answer{}, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	if err := r.ParseForm(); err != nil {
		return nil, answer{}, err
	}
	f := r.Form
	known := []string{"token", "user", "message", "title", "url", "url_title", "priority", "retry", "expire", "device", "sound", "html", "monospace", "ttl", "timestamp", "tags", "callback"}
	for name := range f {
		if !slices.Contains(known, name) {
			return nil, answer{}, fmt.Errorf("there is no parameter %q", name)
		}
	}
	if f.Get("user") != secret("pushover-user-key") {
		return nil, answer{}, fmt.Errorf("user key is invalid: %q", f.Get("user"))
	}
	if f.Get("token") != secret("pushover-token") {
		return nil, answer{}, fmt.Errorf("application token is invalid: %q", f.Get("token"))
	}
	priority, err := strconv.Atoi(f.Get("priority"))
	if err != nil || priority < -2 || priority > 2 {
		return nil, answer{}, fmt.Errorf("priority %q is not one of -2 to 2", f.Get("priority"))
	}
	if priority == 2 {
		retry, _ := strconv.Atoi(f.Get("retry"))
		expire, _ := strconv.Atoi(f.Get("expire"))
		if retry < 30 || expire < 1 || expire > 10800 {
			return nil, answer{}, fmt.Errorf("retry %q must be 30 at the least and expire %q 10800 at the most", f.Get("retry"), f.Get("expire"))
		}
	}
	err = within(limit{"message", f.Get("message"), 1, 1024}, limit{"title", f.Get("title"), 0, 250}, limit{"url", f.Get("url"), 0, 512}, limit{"url_title", f.Get("url_title"), 0, 100})
	if u, bad := url.Parse(f.Get("url")); bad != nil || f.Get("url") != "" && u.Host == "" {
		err = errors.Join(err, fmt.Errorf("url is %q", f.Get("url")))
	}
	if strings.Contains(f.Get("message"), "…\n…") || strings.HasSuffix(f.Get("message"), "...") {
		err = errors.Join(err, errors.New("the message was cut"))
	}
	m := Message{Title: f.Get("title"), Text: f.Get("message") + "\n" + f.Get("url"), Urgency: f.Get("priority"), Silent: priority < 0, Resolved: strings.HasPrefix(f.Get("title"), "Resolved: ")}
	return &m, answer{http.StatusOK, "application/json", `{"status":1,"request":"647d2300-702c-4b38-8b2f-d56326ae460b"}`}, err
}

// telegramTag are those of https://core.telegram.org/bots/api#html-style that messages of ours may hold.
var (
	telegramTag    = regexp.MustCompile(`</?(?:b|strong|i|em|u|s|code|pre|blockquote)>|<a href="[^"<>]*">|</a>`)
	telegramEntity = regexp.MustCompile(`&(?:lt|gt|amp|quot|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});`)
)

// takeTelegram is sendMessage of https://core.telegram.org/bots/api.
func (s *Services) takeTelegram(r *http.Request) (*Message, answer, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/bot"+secret("telegram-token")+"/sendMessage" {
		return nil, answer{}, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	var b struct {
		ChatID                string `json:"chat_id"`
		Text                  string `json:"text"`
		ParseMode             string `json:"parse_mode"`
		DisableNotification   string `json:"disable_notification"`
		DisableWebPagePreview string `json:"disable_web_page_preview"`
	}
	if err := decode(r, &b); err != nil {
		return nil, answer{}, err
	}
	if b.ChatID != "123456789" || b.ParseMode != "HTML" {
		return nil, answer{}, fmt.Errorf("chat not found: %q, or parse_mode %q", b.ChatID, b.ParseMode)
	}
	bare, err := telegramText(b.Text)
	if err == nil {
		err = within(limit{"text", bare, 1, 4096})
	}
	title, text, _ := strings.Cut(bare, "\n")
	urgency := string([]rune(title)[:min(1, len([]rune(title)))])
	m := Message{Title: title, Text: text, Urgency: urgency, Silent: b.DisableNotification == "true", Resolved: strings.HasPrefix(title, "✅")}
	return &m, answer{http.StatusOK, "application/json", `{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":123456789,"type":"private"},"text":"."}}`}, err
}

// telegramText is a message after its entities were parsed, or what Telegram says it cannot parse.
func telegramText(text string) (string, error) {
	var open []string
	for _, tag := range telegramTag.FindAllString(text, -1) {
		name := strings.Trim(strings.Fields(tag)[0], "</>")
		if !strings.HasPrefix(tag, "</") {
			open = append(open, name)
			continue
		}
		if len(open) == 0 || open[len(open)-1] != name {
			return "", fmt.Errorf("can't parse entities: unexpected %s in %q", tag, text)
		}
		open = open[:len(open)-1]
	}
	bare := telegramTag.ReplaceAllString(text, "")
	if len(open) > 0 || strings.ContainsAny(bare, "<>") || strings.Contains(telegramEntity.ReplaceAllString(bare, ""), "&") {
		return "", fmt.Errorf("can't parse entities: %q", text)
	}
	return html.UnescapeString(bare), nil
}
