package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/checkpoint-exporter/checkpoint_exporter/remediate"
)

// Ack tells the remediator that a person has seen to a node.
func (t *Terminal) Ack(ctx context.Context, a remediate.Acked, remediator *Remote) error {
	a.By, a.Reason = clean(a.By), clean(a.Reason)
	err := remediator.Post(ctx, "/api/v1/ack", a)
	if e, ok := errors.AsType[*AnswerError](err); ok {
		return fmt.Errorf("%w; %s", err, mendOf(e.Code, remediator))
	}
	if err != nil {
		return err
	}
	if t.JSON {
		type acked remediate.Acked
		return t.json(struct {
			Acknowledged bool `json:"acknowledged"`
			acked
		}{true, acked(a)})
	}
	what := a.Node
	if a.Playbook != "" {
		what += ", " + a.Playbook
	}
	t.printf("Acknowledged for %s by %s.\n", clean(what), a.By)
	t.printf("Calls for people are taken back, and so is what its past actions count for in budget and cooldown. An alert that goes on firing begins a new incident.\n")
	return nil
}

// mendOf is what can be done about an answer.
func mendOf(code int, r *Remote) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		if r.tokenFile == "" {
			return "it asks for a token: name its file in remediation.webhook.bearer_token_file of the checkpoint.yml that is used here"
		}
		return fmt.Sprintf("it does not take the token in %s: is that the file that it reads itself?", r.tokenFile)
	case http.StatusNotFound:
		return "it knows the nodes and playbooks of its own checkpoint.yml: checkpoint status lists the nodes"
	case http.StatusServiceUnavailable:
		return "it cannot write its journal: is its disk full? Its log says more; nothing was acknowledged"
	case http.StatusTooManyRequests:
		return "it was sent too many wrong tokens lately: wait a minute"
	}
	return "nothing was acknowledged"
}
