package services

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// startMailbox starts a submission server: it takes mail over TLS alone, and from who has shown a password (RFC 6409, 3207 and 4954).
func (s *Services) startMailbox(tb testing.TB, certificates *tls.Config) net.Listener {
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				session := &session{ctx: tb.Context(), services: s, certificates: certificates, conn: conn}
				if err := session.serve(); err != nil && !errors.Is(err, io.EOF) {
					s.complain("email", err)
				}
			}()
		}
	}()
	return listener
}

type session struct {
	ctx          context.Context // of the test
	services     *Services
	certificates *tls.Config
	conn         net.Conn
	secure, user bool
	from, to     string
}

func (c *session) say(line string) { fmt.Fprintf(c.conn, "%s\r\n", line) }

func (c *session) serve() error {
	c.say("220 smtp.example.org ESMTP")
	lines := bufio.NewReader(c.conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		line, crlf := strings.CutSuffix(line, "\r\n")
		if !crlf {
			return fmt.Errorf("a line ends without CR: %q", line)
		}
		verb, argument, _ := strings.Cut(line, " ")
		switch verb := strings.ToUpper(verb); {
		case verb == "EHLO" && c.secure:
			c.say("250-smtp.example.org\r\n250-AUTH PLAIN\r\n250 8BITMIME")
		case verb == "EHLO":
			c.say("250-smtp.example.org\r\n250 STARTTLS")
		case verb == "STARTTLS" && !c.secure:
			c.say("220 go ahead")
			secured := tls.Server(c.conn, c.certificates)
			if err := secured.HandshakeContext(c.ctx); err != nil {
				return fmt.Errorf("handshake: %w", err)
			}
			c.conn, c.secure = secured, true
			lines = bufio.NewReader(secured)
		case verb == "AUTH" && c.secure:
			if err := c.authenticate(argument); err != nil {
				c.say("535 5.7.8 authentication failed")
				return err
			}
			c.say("235 2.7.0 welcome")
		case verb == "QUIT":
			c.say("221 bye")
			return nil
		case !c.user:
			c.say("530 5.7.0 authentication required")
			return fmt.Errorf("%q before authentication", line)
		case strings.HasPrefix(line, "MAIL FROM:"):
			c.from = line
			c.say("250 ok")
		case strings.HasPrefix(line, "RCPT TO:") && c.from != "":
			c.to = line
			c.say("250 ok")
		case verb == "DATA" && c.to != "":
			c.say("354 go on")
			message, err := readData(lines)
			if err == nil {
				err = c.take(message)
			}
			if err != nil {
				c.say("554 5.6.0 not understood")
				return err
			}
			c.say("250 2.0.0 taken")
		default:
			c.say("503 5.5.1 not now")
			return fmt.Errorf("%q is out of order", line)
		}
	}
}

func (c *session) authenticate(argument string) error {
	text, ok := strings.CutPrefix(argument, "PLAIN ")
	decoded, err := base64.StdEncoding.DecodeString(text)
	if want := "\x00checkpoint@example.org\x00" + secret("smtp-password"); !ok || err != nil || string(decoded) != want {
		return fmt.Errorf("AUTH %q", decoded)
	}
	c.user = true
	return nil
}

// readData reads up to the line with a dot. No line may be longer than 998 characters (RFC 5322, 2.1.1).
func readData(lines *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return all.String(), nil
		}
		if len(line) > 1000 {
			return "", fmt.Errorf("a line of %d characters", len(line))
		}
		all.WriteString(strings.TrimPrefix(line, "."))
	}
}

func (c *session) take(text string) error {
	if c.from != "MAIL FROM:<checkpoint@example.org> BODY=8BITMIME" || c.to != "RCPT TO:<you@example.org>" {
		return fmt.Errorf("%s, %s", c.from, c.to)
	}
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	for _, header := range []string{"From", "To", "Subject", "Date", "Message-Id", "Mime-Version"} {
		if m.Header.Get(header) == "" {
			err = errors.Join(err, fmt.Errorf("there is no header %s", header))
		}
	}
	subject, subjectErr := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	kind, parameters, kindErr := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err := errors.Join(err, subjectErr, kindErr, within(limit{"Subject", subject, 1, 300})); err != nil {
		return err
	}
	if kind != "multipart/alternative" {
		return fmt.Errorf("the message is %s", kind)
	}
	parts := map[string]string{}
	for reader := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read a part: %w", err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("read a part: %w", err)
		}
		parts[part.Header.Get("Content-Type")] = string(body)
	}
	plain, page := parts["text/plain; charset=UTF-8"], parts["text/html; charset=UTF-8"]
	if plain == "" || !strings.Contains(page, "<html") || strings.Contains(page, "<script") {
		return fmt.Errorf("the parts are %q", parts)
	}
	c.services.keep(Message{Service: "email", Title: subject, Text: plain, Resolved: strings.HasPrefix(subject, "Resolved: ")})
	return nil
}
