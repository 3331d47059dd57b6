package graphmail

import (
	"cmp"
	"net/http"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
)

// remedy returns, in a line, what the operator can do about a refusal. It is empty if there
// is nothing but to wait, or if the refusal already explains it.
func (t *transfer) remedy(e *graph.Error) string {
	mailbox := t.Message.Lane.Mailbox
	if known := graph.Advice(e); known != "" {
		return known
	}
	switch e.Reason {
	case graph.ReasonNotConnected:
		if t.Message.Lane.Principal != "" { // its client brings the credential
			return ""
		}
		return "have its owner connect it: graphrelay connect " + mailbox + ", or the page /connect"
	case graph.ReasonSendDenied:
		if t.connection().Delegated && mailaddr.Same(cmp.Or(t.Message.From, mailbox), mailbox) {
			return mailbox + " was connected with an account that may not send as it; grant that account Send As on the mailbox in Exchange (Add-RecipientPermission)"
		}
		return "grant " + mailbox + " Send As on " + cmp.Or(t.Message.From, "the address in From") + " in Exchange (Add-RecipientPermission), or have a sender rule show another From"
	case graph.ReasonAccessDenied:
		return t.accessRemedy()
	case graph.ReasonLargeFile:
		if e.Status == http.StatusForbidden && t.connection().Delegated {
			return "Graph allows no files of 3 MB or more to an owner in another one's mailbox: have the mailbox of the owner who signed in send, use a connection with application permissions, or set uploads: off, so that such mail is refused at once"
		}
		return "if this cloud or mailbox takes no uploads, set uploads: off, so that mail with files of 3 MB or more is refused at once"
	case graph.ReasonNetwork:
		if e.Op == "upload" || e.Op == "upload_state" { // attachment-createuploadsession
			return "files of 3 MB and more are uploaded to another host than Graph's, usually outlook.office.com; let this machine reach it"
		}
	case graph.ReasonMailbox:
		return "correct the sender, or write a sender rule for it; an alias finds its mailbox where the application has User.Read.All"
	}
	return ""
}

// accessRemedy says what to do about a mailbox to which access is denied.
func (t *transfer) accessRemedy() string {
	lane := t.Message.Lane
	retry := "; Exchange remembers a refusal for 30 minutes, and for up to two hours if it is asked meanwhile, so the relay tries again after 5 minutes, then less and less often, up to 35 minutes apart; graphrelay queue resume " +
		lane.String() + " tries at once"
	if t.connection().Delegated {
		return "see that the account with which " + lane.Mailbox + " was connected has Full Access to it, and connect it again: graphrelay connect " + lane.Mailbox + ", with --shared if it is a shared mailbox" + retry
	}
	return "grant the application Mail.ReadWrite and Mail.Send with admin consent, or put " + lane.Mailbox + " into the scope of its RBAC for Applications; what Exchange would say now is shown by " +
		graph.TestAuthorization(t.connection().ClientID, lane.Mailbox) + retry
}
