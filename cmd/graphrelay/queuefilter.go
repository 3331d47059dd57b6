package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// filterFlags select messages.
type filterFlags struct {
	states, from, to, lane, reasons, subject, messageID, user, id, client, text string

	since, older time.Time
	limit        int
}

// filterNames are the flags that select messages. A limit alone selects none.
var filterNames = []string{"state", "reason", "lane", "from", "to", "subject", "message-id", "user", "id", "client", "text", "since", "older"}

// add adds the flags to a command. limit is the default of --limit, 0 for none.
func (l *filterFlags) add(c *cobra.Command, limit int) {
	fs := c.Flags()
	fs.StringVar(&l.states, "state", "", "only messages in these `states`, separated by commas, or all: "+strings.Join(stateNames(), ", ")+" (default: all but sent and deleted)")
	fs.StringVar(&l.reasons, "reason", "", "only messages that wait or failed for one of these `reasons`, separated by commas")
	fs.StringVar(&l.lane, "lane", "", "only messages of this `lane`, written as connection/mailbox, or of a whole connection")
	fs.StringVar(&l.from, "from", "", "only messages whose envelope sender contains this `text`")
	fs.StringVar(&l.to, "to", "", "only messages with a recipient that contains this `text`")
	fs.StringVar(&l.subject, "subject", "", "only messages whose subject contains this `text`")
	fs.StringVar(&l.messageID, "message-id", "", "only messages with this Message-`ID`, with or without its angle brackets")
	fs.StringVar(&l.user, "user", "", "only messages of this SMTP `user`")
	fs.StringVar(&l.id, "id", "", "only messages whose queue ID begins with this `text`")
	fs.StringVar(&l.client, "client", "", "only messages from clients whose IP address contains this `text`")
	fs.StringVar(&l.text, "text", "", "only messages with this `text` in the queue ID, the Message-ID, the sender, a recipient or the subject")
	fs.Var((*moment)(&l.since), "since", "only messages that were received since this `time`, such as 2h or 2026-11-29 14:00")
	fs.Var((*moment)(&l.older), "older", "only messages that were received before this `time`, such as 2h or 2026-11-29 14:00")
	fs.IntVar(&l.limit, "limit", limit, "at most this `number` of messages, the oldest first; 0: no limit")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(append(stateNames(), "all"), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("reason", cobra.FixedCompletions(reasonNames(), cobra.ShellCompDirectiveNoFileComp))
}

// given reports whether a flag selects messages.
func (l *filterFlags) given(fs *pflag.FlagSet) bool {
	return slices.ContainsFunc(filterNames, fs.Changed)
}

// empty returns the name of a flag that was given an empty value, such as that of a shell
// variable that is not set, or nothing. It selects all messages.
func (l *filterFlags) empty(fs *pflag.FlagSet) string {
	i := slices.IndexFunc(filterNames, func(name string) bool {
		return fs.Changed(name) && strings.TrimSpace(fs.Lookup(name).Value.String()) == ""
	})
	if i < 0 {
		return ""
	}
	return filterNames[i]
}

func stateNames() []string {
	var names []string
	for _, s := range queue.States() {
		names = append(names, string(s))
	}
	return names
}

func reasonNames() []string {
	var names []string
	for _, r := range reason.All() {
		names = append(names, string(r))
	}
	return names
}

// filter leaves out sent and deleted messages unless they are asked for: they are no longer
// queued.
func (l *filterFlags) filter() (queue.Filter, error) {
	f := queue.Filter{From: l.from, To: l.to, Lane: l.lane, Subject: l.subject, User: l.user,
		ID: l.id, Client: l.client, Text: l.text, MessageID: l.messageID, Since: l.since, Before: l.older, Limit: l.limit}
	if l.messageID != "" && !strings.HasPrefix(l.messageID, "<") {
		f.MessageID = "<" + l.messageID + ">"
	}
	if l.limit < 0 {
		return f, errors.New("--limit is negative")
	}
	var err error
	if f.Reasons, err = parseReasons(l.reasons); err != nil {
		return f, err
	}
	switch l.states {
	case "":
		f.States = operations.Waiting()
	case "all":
		f.States = queue.States()
	default:
		f.States, err = queue.ParseStates(l.states)
	}
	return f, err
}

// parseReasons parses reasons that are separated by commas.
func parseReasons(names string) (list []reason.Reason, err error) {
	if names == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(reason.All(), reason.Reason(name)) {
			return nil, fmt.Errorf("unknown reason %q%s; docs/operations.md lists them", name, suggestion(name, "", reasonNames()))
		}
		list = append(list, reason.Reason(name))
	}
	return list, nil
}

// moment is a flag for a time. It is written as a duration before now or as a local time.
type moment time.Time

var layouts = []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly}

func (m *moment) Set(s string) error {
	var d duration
	if d.Set(s) == nil && d >= 0 {
		*m = moment(time.Now().Add(-time.Duration(d)))
		return nil
	}
	for _, layout := range layouts {
		// The zero time is a filter's word for no bound.
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil && !t.IsZero() {
			*m = moment(t)
			return nil
		}
	}
	return errors.New("write how long ago, such as 90s, 2h or 7d, or a time such as 2026-11-29 14:00")
}

func (m *moment) String() string {
	if time.Time(*m).IsZero() {
		return ""
	}
	return time.Time(*m).Format(time.RFC3339)
}

func (m *moment) Type() string { return "time" }
