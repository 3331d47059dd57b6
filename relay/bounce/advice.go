package bounce

import "graphrelay/graph"

// Advice is what the sender of a message is told of a reason.
type Advice struct {
	Status string // subject and detail of the enhanced status code (RFC 3463), behind its class
	Why    string
	Do     string
}

const (
	tellAdministrator = "Tell your administrator, and send the message again once this is settled."
	sendLater         = "Send the message again later."
)

// adviceOf is keyed by the reasons of package graph and those of this one that a
// message can fail for.
var adviceOf = map[string]Advice{
	string(graph.ReasonRecipients): {"1.3", "Microsoft 365 does not accept the address of at least one recipient, and then sends a message to none of them.",
		"Look for a mistake in the addresses, and send the message again."},
	string(graph.ReasonInvalid): {"6.0", "Microsoft 365 does not accept the message: something in it is not as it should be.",
		"Send it in a simpler form or from another program. If that fails too, give the details below to your administrator."},
	string(graph.ReasonTooLarge): {"3.4", "The message is too large for the way that it has to go.",
		"Send it with fewer or smaller attachments, or put large files where the recipients can fetch them."},
	string(graph.ReasonSendDenied): {"7.1", "The mailbox that sends for you may not send under this From address.",
		"Send from an address of your own, or ask your administrator for the right to send as this one."},
	string(graph.ReasonAccessDenied): {"7.1", "The relay may not use the mailbox that sends for you.", tellAdministrator},
	string(graph.ReasonMailbox): {"1.8", "The mailbox that is to send the message does not exist.",
		"Look for a mistake in the sender address that is set in your device or program, or ask your administrator."},
	string(graph.ReasonMailboxFull): {"3.1", "The mailbox that is to send the message is full.",
		"Make room in it, and send the message again."},
	string(graph.ReasonBlocked): {"7.0", "Microsoft 365 lets the mailbox send no more for now, as it does after too many messages.",
		"Send the message again tomorrow, and fewer at a time. If that fails too, tell your administrator."},
	string(graph.ReasonAuth):        {"3.5", "The relay cannot sign in to Microsoft 365.", tellAdministrator},
	string(graph.ReasonThrottled):   {"4.5", "Microsoft 365 asked the relay to send more slowly.", sendLater},
	string(graph.ReasonUnavailable): {"3.2", "Microsoft 365 could not process the message.", sendLater},
	string(graph.ReasonItemNotFound): {"3.0", "Microsoft 365 lost the message while the relay handed it over.",
		sendLater},
	string(graph.ReasonSession):  {"3.0", "Microsoft 365 did not take an attachment to its end.", sendLater},
	string(graph.ReasonNetwork):  {"4.1", "The relay could not reach Microsoft 365.", sendLater},
	string(graph.ReasonCanceled): {"3.0", "The relay was stopped while it sent the message.", sendLater},
	reasonStorage: {"3.0", "The relay could not read the message from its disk.",
		"Send the message again, and tell your administrator."},
}

// AdviceFor never has nothing to say.
func AdviceFor(reason string) Advice {
	if a, ok := adviceOf[reason]; ok {
		return a
	}
	return Advice{"0.0", "The relay could not send the message.", tellAdministrator}
}
