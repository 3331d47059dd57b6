package probe

import "context"

// step is one row of the table in docs/probe.md.
type step struct {
	number   int
	what     string
	expected string
	needs    []capability
	run      func(*Probe, context.Context, *Result)
}

// capability is something that a step establishes for later ones.
type capability int

const (
	signedIn capability = iota // step 1
	mailbox                    // step 3: the mailbox answers
	drafts                     // step 4: drafts can be made
	sent                       // step 11: a message was accepted and is in Sent Items
	writes                     // the configuration has the relay write to mailboxes
)

// missing returns why a step that needs the capability is skipped.
func missing(c capability) string {
	switch c {
	case signedIn:
		return "step 1 got no token"
	case mailbox:
		return "step 3 found no way into the mailbox"
	case drafts:
		return "step 4 made no draft"
	case sent:
		return "step 11 sent nothing"
	}
	return "mail_readwrite is false, so the relay does not write to mailboxes"
}

// Steps returns how many steps a probe has.
func Steps() int { return len(steps()) }

// steps returns the steps in their order.
func steps() []step {
	in := []capability{signedIn, mailbox}
	write := []capability{signedIn, writes, mailbox}
	made := append([]capability{drafts}, write...)
	was := append([]capability{sent}, made...)
	return []step{
		{1, "sign-in", "a token with Mail.ReadWrite and Mail.Send or, with RBAC for Applications, neither; a right clock", nil, (*Probe).signIn},
		{2, "the directory", "the mailbox is found by its address and its alias; nothing, or 400, for 130 characters", []capability{signedIn}, (*Probe).directory},
		{3, "the mailbox by its keys", "200 by address, by user principal name and by object ID", []capability{signedIn}, (*Probe).keys},
		{4, "a draft with all that the relay sets", "201", write, (*Probe).createDraft},
		{5, "the draft, read at once", "200, a draft, with all that it was given", made, (*Probe).readDraft},
		{6, "$filter by the queue ID", "our draft alone, at once; nothing for a value that nobody has", made, (*Probe).filterProperty},
		{7, "$filter by Message-ID", "our draft, with 40 and with 200 characters", made, (*Probe).filterMessageID},
		{8, "files in one request", "201 up to 2,999,999 bytes", made, (*Probe).postFiles},
		{9, "an upload session", "201; 200 with the next range; the state or an error; 201; type, inline and Content-ID kept", made, (*Probe).uploadFile},
		{10, "the list of 12 files", "12 on one page", made, (*Probe).listFiles},
		{11, "send", "202; the same ID in Sent Items, with its property and its Message-ID", made, (*Probe).sendDraft},
		{12, "a second send of the same item", "a refusal, ErrorItemNotFound or ErrorInvalidRequest", was, (*Probe).sendAgain},
		{13, "the copy in the Inbox", "as it was sent", was, (*Probe).readCopy},
		{14, "an invitation as MIME, to a Bcc", "delivered, without a Bcc field, with its method", made, (*Probe).sendMIME},
		{15, "another address in From", "202", made, (*Probe).sendAs},
		{16, "sendMail", "202 for JSON and for MIME, without a copy in Sent Items where none is wanted", in, (*Probe).sendMail},
		{17, "delete", "204, then 404, in no folder; permanentDelete 204", made, (*Probe).deleteDrafts},
		{18, "large messages", "accepted up to the configured size", was, (*Probe).sendLarge},
		{19, "five requests at a time", "four are served", in, (*Probe).concurrency},
		{20, "non-delivery reports", "none", []capability{signedIn, mailbox}, (*Probe).returns},
	}
}
