package reason

// words say, in a sentence for people who do not know the program, why a message waits, is held or
// has failed, or why a lane is paused.
var words = map[Reason]string{
	Network:           "The relay could not reach Microsoft 365.",
	Storage:           "The relay could not read the stored message, or it is damaged.",
	InvalidMessage:    "Microsoft 365 rejected the message because something in it is not valid.",
	InvalidRecipients: "Microsoft 365 does not accept the address of a recipient.",
	TooLarge:          "The message is larger than Microsoft 365 or the mailbox takes.",
	LargeFile:         "The message has a file of 3 MB or more, which cannot be uploaded to this mailbox.",
	ItemNotFound:      "Microsoft 365 did not find the draft that the relay had made.",
	UploadSession:     "Microsoft 365 did not accept a large file completely.",
	MailboxUnknown:    "Microsoft 365 has no mailbox with the address that is to send.",
	MailboxFull:       "The mailbox that is to send is full.",
	SendDenied:        "The mailbox may not send with this From address.",
	AccessDenied:      "The relay may not use the mailbox that is to send.",
	SendingBlocked:    "Microsoft 365 has blocked the mailbox from sending: it sent too much mail, or mail that looked like spam.",
	SignIn:            "The relay cannot sign in to Microsoft 365.",
	NotConnected:      "The owner of the mailbox, or the client that sends, has to sign in first.",
	Throttled:         "Microsoft 365 asked the relay to send more slowly.",
	Unavailable:       "Microsoft 365 had a fault of its own.",
	Canceled:          "The relay stopped while it was sending the message.",
	NotDelivered:      "Microsoft 365 took the message, and could not deliver it to a recipient.",
	ExternalLimit:     "The organization has sent to as many outside recipients as Microsoft 365 allows in a day.",
	DailyLimit:        "The mailbox has sent to as many recipients as Microsoft 365 allows in a day.",
	Confirming:        "The answer of Microsoft 365 was lost, and the relay is looking whether the message was sent.",
	SendUnknown:       "It is not known whether the message was sent.",
	Operator:          "An operator asked for this.",
	ConnectionRemoved: "The connection of the message is no longer in the configuration.",
	InternalError:     "The relay failed on the message, which is a fault of the program.",
}

// refusalWords say why a listener refused mail or a connection.
var refusalWords = map[Reason]string{
	Network:     "The address of the client may not send here.",
	Connections: "There were too many connections at a time.",
	Protocol:    "The client did not speak SMTP, or a load balancer did not say for whom it connected.",
	Limits:      "The client sent too many commands, errors or bad recipients in one session.",
	Auth:        "The client did not sign in, or its password was wrong.",
	Blocked:     "The client is locked out for a while after too many wrong passwords.",
	Busy:        "Too many clients were signing in at the same time.",
	Sender:      "The sender is unknown, or this client may not use it.",
	Recipient:   "The address of a recipient is malformed or not allowed.",
	Size:        "The message is larger than the relay takes.",
	Content:     "The message is malformed, or it went round in a circle.",
	Rate:        "The client sent more mail than it may in that time.",
	Storage:     "The relay could not store the message: its disk is full or failed.",
	Full:        "The queue of the relay is full.",
	Graph:       "Microsoft 365 refused the message while the client waited.",
	Aborted:     "The client broke off before the message was complete.",
	Internal:    "The relay had a fault of its own.",
}

// Words returns a sentence that says why a message waits, is held or has failed, or why a lane is
// paused. It is empty for what is no such reason.
func (r Reason) Words() string { return words[r] }

// RefusalWords returns a sentence that says why a listener refused mail or a connection. It is
// empty for what is no such reason.
func (r Reason) RefusalWords() string { return refusalWords[r] }
