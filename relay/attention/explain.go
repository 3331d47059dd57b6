package attention

import (
	"context"
	"fmt"
	"strings"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// explainers add to what a metric shows what is known beside it, by kind.
var explainers = map[string]func(s *State, ctx context.Context, found []Observation){
	"RelayNotReady":     (*State).explainReady,
	"MailWaits":         (*State).explainWait,
	"MailHeld":          (*State).explainHeld,
	"CredentialExpires": (*State).explainCredential,
	"MailboxRefused":    (*State).explainRefused,
	"ReloadFailed":      (*State).explainReload,
	"NodeGone":          (*State).explainGone,
}

func (s *State) explainReady(_ context.Context, found []Observation) {
	if s.Ready == nil {
		return
	}
	if err := s.Ready(); err != nil {
		found[0].Cause += " " + sentence(err.Error())
	}
}

// explainWait says why the oldest message waits.
func (s *State) explainWait(ctx context.Context, found []Observation) {
	if s.Queue == nil {
		return
	}
	list, err := s.Queue.List(ctx, queue.Filter{States: []queue.State{queue.Queued, queue.Deferred, queue.Delivering, queue.Held}, Limit: 1})
	if err != nil || len(list) == 0 {
		return
	}
	m := list[0]
	found[0].Examples = []string{m.ID}
	found[0].Cause += fmt.Sprintf(" It is %s of the lane %s, %s.", m.ID, m.Lane, m.State)
	if m.Reason != "" {
		found[0].Cause += " " + sentence(strings.TrimSuffix(why(m.Reason)+": "+m.Detail, ": "))
	}
}

func (s *State) explainHeld(ctx context.Context, found []Observation) {
	found[0].Count = int(found[0].Value)
	if s.Queue == nil {
		return
	}
	list, err := s.Queue.List(ctx, queue.Filter{States: []queue.State{queue.Held}, Limit: maxExamples})
	if err != nil {
		return
	}
	for i, m := range list {
		found[0].Examples = append(found[0].Examples, m.ID)
		if i == 0 {
			found[0].Cause += " The oldest: " + sentence(strings.TrimSuffix(why(m.Reason)+": "+m.Detail, ": "))
		}
	}
}

func (s *State) explainCredential(_ context.Context, found []Observation) {
	if s.ExpiryNotice == nil {
		return
	}
	for i := range found {
		if notice := s.ExpiryNotice(found[i].Subject); notice != "" {
			found[i].Remedy = sentence(notice)
		}
	}
}

func (s *State) explainRefused(ctx context.Context, found []Observation) {
	if s.RefusedMailboxes == nil {
		return
	}
	all, err := s.RefusedMailboxes(ctx)
	if err != nil {
		return
	}
	for i := range found {
		list := all[found[i].Subject]
		found[i].Count, found[i].Examples = len(list), list
		if len(list) > 0 {
			found[i].Remedy = fmt.Sprintf("Have the owner connect it again, on the page /connect or with graphrelay connect %s; its mail is held until then.", list[0])
		}
	}
}

func (s *State) explainReload(_ context.Context, found []Observation) {
	if s.ReloadFault == nil {
		return
	}
	if fault := s.ReloadFault(); fault != "" {
		found[0].Cause += " " + sentence(fault)
	}
}

func (s *State) explainGone(ctx context.Context, found []Observation) {
	if s.Queue == nil {
		return
	}
	list, err := s.Queue.Nodes(ctx)
	if err != nil {
		return
	}
	now := s.Queue.Wall(s.Queue.Now())
	for _, n := range list {
		if n.State(now) == queue.Gone {
			found[0].Count++
			found[0].Examples = append(found[0].Examples, fmt.Sprintf("%s (last seen %s)", n.Name, n.Seen.Local().Format("2006-01-02 15:04 MST")))
		}
	}
}

// sentence returns text of an error with an end.
func sentence(s string) string { return strings.TrimRight(line(s, maxText), ". ") + "." }

// why returns what a reason means, without the full stop, and the reason itself.
func why(r reason.Reason) string { return named(r, r.Words()) }

func named(r reason.Reason, words string) string {
	if words == "" {
		return string(r)
	}
	return strings.TrimSuffix(words, ".") + " (" + string(r) + ")"
}

// resume returns what to do about a pause.
func resume(r reason.Reason, l queue.Lane) string {
	command := "graphrelay queue resume " + l.String()
	switch r {
	case reason.Operator:
		return "Resume it when the work is done: " + command + "."
	case reason.SignIn:
		return "Renew the client secret, or grant consent again (graphrelay check --online says which), then reload."
	case reason.AccessDenied:
		return "Grant the application Mail.ReadWrite and Mail.Send, or put the mailbox into its scope; then " + command + "."
	case reason.NotConnected:
		return "Have the owner connect the mailbox, on the page /connect or with graphrelay connect; mail then goes on by itself."
	case reason.MailboxFull, reason.SendingBlocked, reason.DailyLimit, reason.ExternalLimit:
		return "Look at the mailbox in Microsoft 365; to try at once, " + command + "."
	case reason.Throttled, reason.Network, reason.Unavailable:
		return "Nothing, unless it lasts: then look at the way to Microsoft (proxy, firewall) and at the service health of Microsoft 365."
	}
	return "Remove the reason; to try at once, " + command + "."
}
