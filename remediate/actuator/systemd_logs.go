package actuator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// journalctl is where systemd puts it (meson.build, bindir). Its place is fixed, so that no PATH decides what is run.
const journalctl = "/usr/bin/journalctl"

// ErrNoJournal: the unit's log cannot be read by this user.
var ErrNoJournal = errors.New("only root and members of the group systemd-journal may read the journal (SupplementaryGroups=systemd-journal)")

// Logs reads the unit's last messages from the journal, by journalctl.
func (s *Systemd) Logs(ctx context.Context, n int) ([]string, error) {
	n, err := checkLines(n)
	if err != nil {
		return nil, err
	}
	argv := []string{journalctl, "--unit=" + s.unit, "--output=cat", "--lines=" + strconv.Itoa(n), "--no-pager"}
	if s.opts.Journal != "" {
		argv = append(argv, "--directory="+s.opts.Journal)
	}
	text, notes := newTail(maxLog), newTail(MaxOutput)
	_, _, err = process{argv: argv, dir: "/", stdout: text, stderr: notes, timeout: logTimeout}.run(ctx)
	said, _ := notes.text()
	said = strings.TrimSpace(said)
	switch {
	// Without the right it shows the messages of one's own user, and only a hint tells (systemd, src/shared/journal-util.c).
	case strings.Contains(said, "insufficient permissions"), strings.Contains(said, "not seeing messages"):
		return nil, fmt.Errorf("log of %s: %w", s.unit, ErrNoJournal)
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("log of %s: %s is not there", s.unit, journalctl)
	case err != nil:
		return nil, fmt.Errorf("log of %s: %w: %s", s.unit, err, strings.TrimSpace(tidy(said)))
	}
	got, cut := text.text()
	if strings.TrimSpace(got) == "-- No entries --" {
		return nil, nil
	}
	return lines(got, cut > 0, n), nil
}
