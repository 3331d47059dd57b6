package graphmail

import (
	"cmp"
	"strings"

	"graphrelay/graph"
)

// remedy returns, in a line, what the operator can do about a refusal. It is empty if there
// is nothing but to wait, or if the refusal already explains it.
func (t *transfer) remedy(e *graph.Error) string {
	mailbox := t.Message.Lane.Mailbox
	switch e.Reason {
	case graph.ReasonAuth:
		return graph.Advice(e)
	case graph.ReasonNotConnected:
		if t.Message.Lane.Principal != "" { // its client brings the credential
			return ""
		}
		return "have its owner connect it: graphrelay connect " + mailbox + ", or the page /connect"
	case graph.ReasonSendDenied:
		return "grant " + mailbox + " Send As on " + cmp.Or(t.Message.From, "the address in From") + " in Exchange (Add-RecipientPermission), or have a sender rule show another From"
	case graph.ReasonAccessDenied:
		if strings.Contains(e.Message, "[RAOP]") { // Application access policies, the predecessor of RBAC for Applications
			return "an application access policy of Exchange excludes " + mailbox + "; test it with Test-ApplicationAccessPolicy, and wait an hour after a change"
		}
		return "grant the application Mail.ReadWrite and Mail.Send with admin consent, or put " + mailbox + " into the scope of its RBAC for Applications"
	case graph.ReasonNetwork:
		if e.Op == "upload" || e.Op == "upload_state" { // attachment-createuploadsession
			return "files of 3 MB and more are uploaded to another host than Graph's, usually outlook.office.com; let this machine reach it"
		}
	case graph.ReasonUnavailable:
		if e.Code == "ErrorMailboxMoveInProgress" {
			return "Microsoft is moving the mailbox to another server; nothing has to be done"
		}
	case graph.ReasonMailbox:
		return "correct the sender, or write a sender rule for it; an alias finds its mailbox where the application has User.Read.All"
	}
	return ""
}
