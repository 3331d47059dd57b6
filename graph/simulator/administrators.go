package simulator

import (
	"slices"
	"strings"
)

// administratorScopes are delegated permissions that only an administrator can consent to:
// "Microsoft Graph permissions reference".
var administratorScopes = []string{"Application.Read.All", "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All", "Directory.Read.All",
	"Directory.ReadWrite.All", "Organization.Read.All", "User.Read.All"}

// The values of World.DeviceCode.
const (
	DeviceCodeRefused = "refused" // the request for a token gets AADSTS53003
	DeviceCodeSilent  = "silent"  // the sign-in page refuses, and the device code stays pending
)

const blockedText = "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."

// isAdmin reports whether the account is a Global Administrator.
func (s *Simulator) isAdmin(account string) bool {
	if s.options.Admins == nil {
		return strings.HasPrefix(account, "admin@")
	}
	return slices.ContainsFunc(s.options.Admins, func(a string) bool { return strings.EqualFold(a, account) })
}

// accountExists reports whether somebody can sign in with this lower-case address. An
// administrator needs no mailbox.
func (s *Simulator) accountExists(account string) bool {
	return s.mailboxExists(account) || s.isAdmin(account) && strings.Contains(account, "@")
}

// isPublicClient reports whether the client id is that of a public client of Microsoft's or of
// the options, which exists in every tenant.
func (s *Simulator) isPublicClient(id string) bool {
	return strings.EqualFold(id, commandLineClient) ||
		slices.ContainsFunc(s.options.PublicClients, func(known string) bool { return strings.EqualFold(known, id) })
}

// publicRedirects are the redirect URIs of public clients. The port of the first does not
// matter ("Redirect URI best practices and limitations"); 127.0.0.1 in its place is refused.
var publicRedirects = []string{"http://localhost", "https://login.microsoftonline.com/common/oauth2/nativeclient"}

// consentRefused returns the refusal of a sign-in that needs an administrator's consent, which
// the account cannot give. AADSTS90094 is [documented] in "Microsoft Entra authentication and
// authorization error codes"; [assumed] is error, which goes to the application.
func (s *Simulator) consentRefused(account string, scopes []string) *oauthError {
	needed := slices.ContainsFunc(scopes, func(name string) bool { return slices.Contains(administratorScopes, name) })
	if !needed || s.isAdmin(account) || s.world().ClientConsented {
		return nil
	}
	return &oauthError{0, "access_denied", 90094, "An administrator of the tenant has set a policy that prevents you from granting the application the permissions it is requesting. Contact an administrator, who can grant permissions to this application on your behalf."}
}
