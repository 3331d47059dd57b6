package bounce

import (
	"strconv"
	"strings"

	"graphrelay/relay/reason"
)

// Advice is what the sender of a message is told about a reason.
type Advice struct {
	Status string // subject and detail of the enhanced status code (RFC 3463), without its class
	Why    string // what happened
	Do     string // what the sender can do
}

// Enhanced returns the enhanced status code of this class: 4 or 5.
func (a Advice) Enhanced(class int) (code [3]int) {
	code[0] = class
	for i, digits := range strings.SplitN(a.Status, ".", 2) {
		code[i+1], _ = strconv.Atoi(digits) // the table holds numbers
	}
	return code
}

const (
	tellAdministrator = "Tell your administrator, and send the message again once the problem is solved."
	sendLater         = "Send the message again later."
)

// adviceOf has the reasons for which a message can fail.
var adviceOf = map[reason.Reason]Advice{
	reason.InvalidRecipients: {"1.3", "Microsoft 365 does not accept the address of at least one recipient, so it did not send the message to any of them.",
		"Check the addresses for mistakes and send the message again."},
	reason.InvalidMessage: {"6.0", "Microsoft 365 rejected the message because something in it is not valid.",
		"Send it again in a simpler form or from another program. If that fails too, ask your administrator."},
	reason.TooLarge: {"3.4", "The message is too large to be sent through the relay.",
		"Send it with fewer or smaller attachments, or send a link to the large files instead."},
	reason.LargeFile: {"3.4", "An attachment of the message has 3 MB or more, and Microsoft 365 does not take so large a file from this mailbox.",
		"Send smaller attachments, or send a link to the file instead."},
	reason.SendDenied: {"7.1", "The mailbox that sends your mail is not allowed to send from this From address.",
		"Send from an address of your own, or ask your administrator for permission to send from this one."},
	reason.AccessDenied: {"7.1", "The relay is not allowed to use the mailbox that sends your mail.", tellAdministrator},
	reason.MailboxUnknown: {"1.8", "The mailbox that should send the message does not exist.",
		"Check the sender address that is set in your device or program, or ask your administrator."},
	reason.MailboxFull: {"3.1", "The mailbox that should send the message is full.",
		"Free some space in it and send the message again."},
	reason.SendingBlocked: {"7.0", "Microsoft 365 has temporarily blocked the mailbox because it sent too many messages.",
		"Send the message again tomorrow, and send fewer messages at a time. If that fails too, tell your administrator."},
	reason.SignIn:      {"3.5", "The relay cannot sign in to Microsoft 365.", tellAdministrator},
	reason.Throttled:   {"4.5", "Microsoft 365 asked the relay to send more slowly.", sendLater},
	reason.Unavailable: {"3.2", "Microsoft 365 could not process the message.", sendLater},
	reason.ItemNotFound: {"3.0", "Microsoft 365 lost the message while the relay was handing it over.",
		sendLater},
	reason.UploadSession: {"3.0", "Microsoft 365 did not accept an attachment completely.", sendLater},
	reason.Network:       {"4.1", "The relay could not reach Microsoft 365.", sendLater},
	reason.Canceled:      {"3.0", "The relay was stopped while it was sending the message.", sendLater},
	reason.Storage: {"3.0", "The relay could not read the message from its disk.",
		"Send the message again, and tell your administrator."},
}

// adviceRefused is the advice where only some of the recipients were refused.
var adviceRefused = Advice{"1.3", "Microsoft 365 does not accept the address. The message was sent to all other recipients.",
	"Check the address for mistakes and send the message to it again, and not to the others."}

// AdviceFor returns the advice for a reason. It falls back to general advice.
func AdviceFor(r reason.Reason) Advice {
	if a, ok := adviceOf[r]; ok {
		return a
	}
	return Advice{"0.0", "The relay could not send the message.", tellAdministrator}
}
