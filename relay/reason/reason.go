// Package reason lists why mail was refused, waits, is held or failed. The log, the
// metrics, the queue, the command line and the console share this one closed list. Words has each
// in plain English; docs/operations.md says what to do.
package reason

import "slices"

// Reason is one of the list.
type Reason string

// The reasons for which a listener refuses mail or a connection
// (graphrelay_messages_rejected_total). Network and Storage have a second meaning for a
// queued message.
const (
	Network     Reason = "network"     // the client's address is not in the listener's networks; for a message: Graph was not reached
	Connections Reason = "connections" // too many connections
	Protocol    Reason = "protocol"    // not SMTP, or no PROXY header
	Limits      Reason = "limits"      // too many commands, errors or bad recipients in a session
	Auth        Reason = "auth"        // not authenticated, or with a wrong password
	Blocked     Reason = "blocked"     // too many wrong passwords before
	Busy        Reason = "busy"        // too many sign-ins at the same time
	Sender      Reason = "sender"      // the sender is unknown, or not allowed for this client
	Recipient   Reason = "recipient"   // bad recipient address
	Size        Reason = "size"        // larger than SIZE
	Content     Reason = "content"     // the message itself is not acceptable
	Rate        Reason = "rate"        // more mail than the client may send in that time
	Storage     Reason = "storage"     // the disk is full, or failed; for a message: it cannot be read, or is damaged
	Full        Reason = "full"        // the queue holds as much as it may
	Graph       Reason = "graph"       // Graph refused the message while the client waited
	Aborted     Reason = "aborted"     // the client did not finish the message
	Internal    Reason = "internal"    // a fault of the relay
)

// The reasons of a queued message, or of a paused lane, that come from Graph or the way
// to it. Each is one of package graph's.
const (
	InvalidMessage    Reason = "invalid_message"    // Graph does not accept the message
	InvalidRecipients Reason = "invalid_recipients" // Graph does not accept a recipient
	TooLarge          Reason = "too_large"          // larger than Graph or the mailbox takes
	LargeFile         Reason = "large_file"         // a file needs an upload session, and there are none
	ItemNotFound      Reason = "item_not_found"     // the draft was not found
	UploadSession     Reason = "upload_session"     // an upload was not completed
	MailboxUnknown    Reason = "mailbox_unknown"    // there is no such mailbox
	MailboxFull       Reason = "mailbox_full"       // the mailbox is full
	SendDenied        Reason = "send_denied"        // the mailbox may not send with this From
	AccessDenied      Reason = "access_denied"      // the application may not use the mailbox
	SendingBlocked    Reason = "sending_blocked"    // Exchange has blocked the mailbox from sending
	SignIn            Reason = "sign_in"            // no token, or one that Graph does not accept
	NotConnected      Reason = "not_connected"      // the owner or the client has to sign in first
	Throttled         Reason = "throttled"          // Graph asked the relay to slow down
	Unavailable       Reason = "unavailable"        // Graph failed
	Canceled          Reason = "canceled"           // the relay stopped during a request
)

// The reasons of a message for which a non-delivery report came after it was sent.
const (
	NotDelivered  Reason = "not_delivered"  // it was not delivered to a recipient
	ExternalLimit Reason = "external_limit" // the tenant has sent to as many external recipients as it may in a day
	DailyLimit    Reason = "daily_limit"    // the mailbox has sent to as many recipients as it may in a day
)

// The other reasons of a queued message, or of a paused lane.
const (
	Confirming        Reason = "confirming"         // the answer to a send was lost; the item is being watched
	SendUnknown       Reason = "send_unknown"       // it cannot be known whether the message was sent
	Operator          Reason = "operator"           // an operator held, paused or deleted it
	ConnectionRemoved Reason = "connection_removed" // its connection is no longer configured
	InternalError     Reason = "internal_error"     // the program failed on the message
)

// Refusals returns the reasons for which a listener refuses.
func Refusals() []Reason {
	return []Reason{Network, Connections, Protocol, Limits, Auth, Blocked, Busy, Sender, Recipient, Size, Content,
		Rate, Storage, Full, Graph, Aborted, Internal}
}

// OfMessages returns the reasons of queued messages and of paused lanes.
func OfMessages() []Reason {
	return []Reason{Network, Storage, InvalidMessage, InvalidRecipients, TooLarge, LargeFile, ItemNotFound, UploadSession,
		MailboxUnknown, MailboxFull, SendDenied, AccessDenied, SendingBlocked, SignIn, NotConnected, Throttled, Unavailable,
		Canceled, NotDelivered, ExternalLimit, DailyLimit, Confirming, SendUnknown, Operator, ConnectionRemoved, InternalError}
}

// All returns every reason, each once.
func All() []Reason {
	own := func(r Reason) bool { return r == Network || r == Storage } // which refusals have too
	return slices.Concat(Refusals(), slices.DeleteFunc(OfMessages(), own))
}
