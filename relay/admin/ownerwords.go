package admin

import (
	"cmp"
	"errors"
	"regexp"

	"graphrelay/graph"
	"graphrelay/internal/text"
	"graphrelay/relay/mailboxes"
)

// A trouble is why a mailbox was not connected, in the words of its owner.
type trouble struct {
	Text string // what happened, and what the owner can do
	Code string // what a help desk wants to know, in the words of the program or of Microsoft
}

// What owners are told of the sign-in. Each text says what they can do.
const (
	startAgain     = "Start again below."
	askConsent     = "Your organisation lets only an administrator allow this application. Ask your help desk for “admin consent” to it, then start again."
	declined       = "You did not allow the relay to send mail for you, so nothing was connected. If that was not meant, start again and choose Accept."
	otherAccount   = "You signed in with an account that does not belong to this organisation, such as a guest or a personal account. Start again, choose “Use another account”, and sign in with the account of the mailbox."
	wrongPassword  = "Microsoft did not accept the user name or the password. " + startAgain
	accountClosed  = "Your account is locked or disabled. Ask your help desk to unlock it, then start again."
	newPassword    = "Your password has expired. Sign in at office.com to choose a new one, then start again."
	secondStep     = "Your organisation wants a second step when you sign in, such as a code or an approval on your phone. Start again and complete it. If you have no second step yet, set one up at aka.ms/mysecurityinfo, or ask your help desk."
	policyBlocked  = "A rule of your organisation (Conditional Access) does not allow this sign-in from here. Try again on your work computer or in the office network, or ask your help desk to allow the application."
	notAssigned    = "Your account has not been given access to this application. Ask your help desk to assign it to you, then start again."
	tooLong        = "The sign-in took too long, or was used already. " + startAgain
	wrongSetUp     = "The relay is not set up correctly at Microsoft, which you cannot change. Tell your administrator what is below."
	passingFault   = "Microsoft could not sign you in just now. Try again in a few minutes."
	severalSignIns = "Microsoft could not tell which of your accounts to use. Start again and choose the account of the mailbox."
	unknownReason  = "Microsoft did not sign you in. Try again; if it happens again, tell your help desk what is below."
)

// byNumber has what owners are told by the number of Entra's AADSTS error ("Microsoft Entra
// authentication and authorization error codes").
var byNumber = map[string]string{
	"65004": declined,
	"65001": askConsent, "90008": askConsent, "90093": askConsent, "90094": askConsent, "90095": askConsent, "90097": askConsent, "900941": askConsent,
	"16000": severalSignIns, "16001": severalSignIns, "160021": severalSignIns, "50058": severalSignIns, "51004": otherAccount,
	"50020": otherAccount, "50034": otherAccount, "50059": otherAccount, "50128": otherAccount, "50177": otherAccount, "50178": otherAccount,
	"90072": otherAccount, "500212": otherAccount, "500213": otherAccount, "50194": wrongSetUp,
	"50126": wrongPassword, "50056": wrongPassword, "50064": wrongPassword,
	"50053": accountClosed, "50057": accountClosed,
	"50055": newPassword, "50144": newPassword, "50142": newPassword,
	"50072": secondStep, "50074": secondStep, "50076": secondStep, "50078": secondStep, "50079": secondStep, "50158": secondStep,
	"50203": secondStep, "500121": secondStep, "53004": secondStep, "53010": secondStep, "53011": secondStep,
	"53000": policyBlocked, "53001": policyBlocked, "53002": policyBlocked, "53003": policyBlocked, "530002": policyBlocked, "530003": policyBlocked,
	"530031": policyBlocked, "530032": policyBlocked, "530033": policyBlocked, "530034": policyBlocked, "50131": policyBlocked, "50005": policyBlocked,
	"50097": policyBlocked, "50129": policyBlocked,
	"50105": notAssigned, "501051": notAssigned,
	"50089": tooLong, "50133": tooLong, "50173": tooLong, "54005": tooLong, "70000": tooLong, "70008": tooLong, "70043": tooLong, "700082": tooLong, "700084": tooLong,
	"50011": wrongSetUp, "50001": wrongSetUp, "500011": wrongSetUp, "500113": wrongSetUp, "50012": wrongSetUp, "70001": wrongSetUp, "700016": wrongSetUp,
	"70011": wrongSetUp, "700054": wrongSetUp, "650052": wrongSetUp, "650053": wrongSetUp, "650057": wrongSetUp, "7000112": wrongSetUp,
	"7000215": wrongSetUp, "7000218": wrongSetUp, "7000222": wrongSetUp, "90002": wrongSetUp, "9002325": wrongSetUp, "9002327": wrongSetUp, "7000229": wrongSetUp,
	"90033": passingFault, "50000": passingFault, "50196": passingFault, "90024": passingFault, "90006": passingFault,
}

// byError has what owners are told by the error of OAuth (RFC 6749 section 4.1.2.1) where
// Entra gives no number.
var byError = map[string]string{
	"access_denied": declined, "consent_required": askConsent, "login_required": startAgain, "interaction_required": secondStep,
	"server_error": passingFault, "temporarily_unavailable": passingFault, "invalid_grant": tooLong,
	"invalid_client": wrongSetUp, "unauthorized_client": wrongSetUp, "invalid_scope": wrongSetUp, "invalid_request": wrongSetUp,
}

var aadsts = regexp.MustCompile(`AADSTS(\d+)`)

// maxHelpDesk bounds the text for the help desk, in bytes.
const maxHelpDesk = 1000

// refusedSignIn returns what the owner is told if Entra sent the browser back with an error.
func refusedSignIn(oauthError, description string) trouble {
	t := trouble{Code: text.Truncate(text.OneLine(oauthError+": "+description), maxHelpDesk)}
	if number := aadsts.FindStringSubmatch(description); number != nil {
		t.Text = byNumber[number[1]]
	}
	t.Text = cmp.Or(t.Text, byError[oauthError], unknownReason)
	return t
}

// failedSignIn returns what the owner is told of an error after the browser came back.
func failedSignIn(err error) trouble {
	var refused *mailboxes.NotAllowedError
	var e *graph.Error
	code := text.Truncate(text.OneLine(err.Error()), maxHelpDesk)
	switch {
	case errors.As(err, &refused):
		return trouble{notAllowed(refused), code}
	case errors.As(err, &e) && aadsts.MatchString(e.Message):
		t := refusedSignIn(e.Code, e.Message)
		t.Code = code
		return t
	case errors.As(err, &e) && (e.Class == graph.ClassTemporary || e.Status == 0):
		return trouble{passingFault, code}
	}
	return trouble{"The mailbox could not be connected. Tell your administrator what is below.", code}
}

// notAllowed says that the account may not use the mailbox.
func notAllowed(e *mailboxes.NotAllowedError) string {
	account := "The account with which you signed in"
	if e.Account != "" {
		account = "You signed in as " + text.Printable(e.Account) + ". This account"
	}
	switch {
	case e.Unsure:
		return "Microsoft did not tell whether your account may use the mailbox " + e.Mailbox + ". Try again in a few minutes."
	case e.Shared:
		return account + " may not use the shared mailbox " + e.Mailbox + ". Ask your help desk for Full Access and Send As in it, which can take an hour to work, and start again."
	}
	return account + " may not use the mailbox " + e.Mailbox + ". Start again, choose “Use another account”, and sign in as the owner of the mailbox. If it is a shared mailbox, tick the box for that."
}
