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

// pauseRemedies say what ends the pause of a lane.
var pauseRemedies = map[reason.Reason]string{
	reason.SignIn:         "Look at Connections for what is wrong with its credential.",
	reason.AccessDenied:   "Grant the application the right in Exchange or Entra; graphrelay check --online says which.",
	reason.NotConnected:   "Have the owner connect it on the page /connect.",
	reason.MailboxUnknown: "Correct the address, or make the mailbox.",
	reason.MailboxFull:    "Make space in it, or give it a larger quota.",
	reason.SendingBlocked: "An administrator unblocks it in Microsoft Defender under Restricted entities.",
	reason.Network:        "It goes on by itself.",
	reason.Throttled:      "It goes on by itself.",
	reason.Unavailable:    "It goes on by itself.",
}

// pauseRemedy returns what ends a pause, or nothing.
func pauseRemedy(r reason.Reason) string { return pauseRemedies[r] }
