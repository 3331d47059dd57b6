package console

import (
	"fmt"
	"time"

	"graphrelay/internal/look"
	"graphrelay/relay/reason"
)

// meter is how much of a limit is used.
type meter struct {
	Used, Limit float64
	High        float64 // from where it is nearly used up
	Text        string
}

// newMeter returns the meter of counts or, of millions and more, of bytes.
func newMeter(used, limit any, per string) meter {
	u, l := toFloat(used), toFloat(limit)
	m := meter{Used: u, Limit: l, High: .8 * l, Text: fmt.Sprintf("%s of %s %s", look.Count(int64(u)), look.Count(int64(l)), per)}
	if l >= 1e6 {
		m.Text = fmt.Sprintf("%s of %s %s", look.Bytes(int64(u)), look.Bytes(int64(l)), per)
	}
	return m
}

// within returns the time of a budget in words.
func within(d time.Duration) string { return "in " + look.Duration(d) }

// budget returns what a budget of package graph is called on the page.
func budget(of string) string {
	switch of {
	case "uploaded bytes":
		return "Upload"
	case "messages":
		return "Messages"
	}
	return "Requests"
}

// reasons say why a lane is paused, in words.
var reasons = map[reason.Reason]string{
	reason.Operator:       "an operator asked for it.",
	reason.SignIn:         "the connection cannot sign in to Microsoft 365. Look at Connections for what is wrong with its credential.",
	reason.AccessDenied:   "the application may not use this mailbox. Grant it the right in Exchange or Entra; graphrelay check --online says which.",
	reason.NotConnected:   "its owner, or its client, has to sign in first.",
	reason.MailboxUnknown: "Microsoft 365 has no such mailbox. Correct the address, or make the mailbox.",
	reason.MailboxFull:    "the mailbox is full. Make space in it, or give it a larger quota.",
	reason.SendingBlocked: "Microsoft has blocked the mailbox from sending, since it sent too much or suspicious mail. An administrator unblocks it in Microsoft Defender under Restricted entities.",
	reason.Throttled:      "Microsoft Graph asked to slow down. It goes on by itself.",
	reason.Unavailable:    "Microsoft Graph does not work for it now. It goes on by itself.",
	reason.DailyLimit:     "the mailbox has sent to as many recipients as Exchange allows in a day.",
	reason.ExternalLimit:  "the tenant has sent to as many external recipients as Exchange allows in a day.",
}

// why says why a lane is paused.
func why(r reason.Reason) string {
	if text := reasons[r]; text != "" {
		return text
	}
	return string(r)
}
