package graph

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
)

// adviceByNumber says what an operator can do about a refused sign-in, by the number of
// Entra's AADSTS error ("Microsoft Entra authentication and authorization error codes").
// To give advice on another one, add a line.
var adviceByNumber = map[string]string{
	"7000222": "the client secret has expired; make a new one in the Entra admin center and put it into client_secret",
	"7000215": "the client secret is wrong; put its value, not its ID, into client_secret",
	"700016":  "the application was not found in the tenant; check client_id, tenant and cloud",
	"90002":   wrongTenant,
	"900023":  wrongTenant,
	"65001":   "the application's permissions lack an administrator's consent; grant admin consent in the Entra admin center",
	"500011":  wrongCloud,
	"50001":   wrongCloud,
	"700027":  "the certificate is not registered for the application, or its private key is another; upload it in the Entra admin center",
	"700024":  wrongTime,
	"700021":  wrongTime,
	"700023":  "the client assertion is for another tenant or cloud; check tenant and cloud",
	"53003":   "Conditional Access blocked the sign-in, as it often does for device codes; connect the mailbox on the page /connect, or have the policy leave the application out",
	"7000112": "the application is disabled in the tenant; enable sign-in for it under Enterprise applications in the Entra admin center",
	"7000229": notInTenant,
	"501051":  notAssigned,
	"50105":   notAssigned,
	"700213":  wrongFederation,
	"70021":   wrongFederation,
}

const (
	wrongTenant     = "the tenant was not found in this cloud; check tenant and cloud"
	wrongCloud      = "the Graph endpoint belongs to another cloud than the sign-in; check cloud or endpoints"
	wrongTime       = "the client assertion is not valid now; check the clock of this machine, and that the federated token is renewed"
	notInTenant     = "the application has no service principal in the tenant; grant admin consent, or create it under Enterprise applications in the Entra admin center"
	notAssigned     = "the application requires assignment, and this account or application is not assigned; assign it under Enterprise applications in the Entra admin center, or do not require assignment"
	wrongFederation = "no federated credential of the application matches the token; compare issuer, subject and audience in the Entra admin center"
)

var aadsts = regexp.MustCompile(`AADSTS(\d+)`)

// adviceByCode says what an operator can do about a refusal of Graph's with this code.
var adviceByCode = map[string]string{
	"NoPermissionsInAccessToken":  "the token has no permission for Graph; grant the application Mail.ReadWrite and Mail.Send, with admin consent", // reported
	"ErrorMailboxMoveInProgress":  "Microsoft is moving the mailbox to another server, which can take hours; nothing has to be done",
	"ResourceNotFound":            "the mailbox does not exist, or it is on-premises or in another tenant; check its address and where it is",
	"MailboxNotEnabledForRESTAPI": "the mailbox is on-premises, has no licence, or is still being set up, which can take a day",
}

// accessPolicy marks a refusal by an application access policy, the predecessor of RBAC for
// Applications (reported).
const accessPolicy = "[RAOP]"

// Advice returns one line on what to do about a refused sign-in, or a refusal of Graph's. It
// is empty if there is no advice on it.
func Advice(err error) string {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return ""
	case e.Op != opToken && strings.Contains(e.Message, accessPolicy):
		return "an application access policy of Exchange excludes the mailbox; test it with Test-ApplicationAccessPolicy, and wait an hour after a change"
	case e.Op != opToken:
		return adviceByCode[e.Code]
	}
	if number := aadsts.FindStringSubmatch(e.Message); number != nil {
		return adviceByNumber[number[1]]
	}
	return ""
}

// TestAuthorization returns the command of Exchange's that shows what an application may do
// in a mailbox. Unlike Graph it knows a change at once (application-rbac).
func TestAuthorization(clientID, mailbox string) string {
	return "Test-ServicePrincipalAuthorization -Identity " + cmp.Or(clientID, "APPLICATION") + " -Resource " + mailbox
}

// DirectoryAdvice returns one line on what to do where the directory refuses all look-ups.
func DirectoryAdvice(err error) string {
	var e *Error
	_ = errors.As(err, &e)
	switch {
	case e != nil && e.Code == "Authorization_IdentityNotFound": // resource-provider errors of the directory
		return "the directory does not know the application; check tenant; " + notInTenant
	case e == nil || e.Code == "" || e.Code == "Authorization_RequestDenied":
		return "the application is not allowed to read the directory; grant it User.Read.All, with admin consent, so that aliases find their mailbox and unknown senders are refused, or set directory: off for the connection"
	}
	return "the directory refuses the application for another reason than a missing User.Read.All, such as a policy of the tenant; until that is settled, set directory: off for the connection"
}
