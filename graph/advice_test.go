package graph

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

func TestAdvice(t *testing.T) {
	for description, want := range map[string]string{
		"AADSTS7000222: The provided client secret keys are expired.":         "has expired",
		"AADSTS7000215: Invalid client secret provided.":                      "not its ID",
		"AADSTS700016: Application was not found.":                            "check client_id",
		"AADSTS90002: Tenant 'x' not found.":                                  "check tenant",
		"AADSTS500011: The resource principal was not found.":                 "check cloud",
		"AADSTS700027: Client assertion failed.":                              "upload it",
		"AADSTS700024: Client assertion is not within its time.":              "check the clock",
		"AADSTS700213: No matching federated identity.":                       "compare issuer",
		"AADSTS53003: Access has been blocked by Conditional Access.":         "Conditional Access",
		"AADSTS7000112: The application is disabled.":                         "enable sign-in",
		"AADSTS7000229: The client application is missing service principal.": "no service principal",
		"AADSTS501051: Application is not assigned to a role.":                "assign it",
		"AADSTS50105: The user is not assigned to a role.":                    "assign it",
		"AADSTS1: Something else.":                                            "",
		"nothing":                                                             "",
	} {
		got := Advice(tokenError(&oauth2.RetrieveError{ErrorCode: "invalid_client", ErrorDescription: description}))
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", description, got, want)
		}
	}
	if got := Advice(errors.New("AADSTS700027")); got != "" {
		t.Errorf("no error of a sign-in: %q", got)
	}
	if got := Advice(&Error{Op: "send", Message: "AADSTS700027"}); got != "" {
		t.Errorf("no error of a sign-in: %q", got)
	}
}

// Refusals of Graph's have advice of their own by their code, on mailboxes and on the
// directory.
func TestAdviceByCode(t *testing.T) {
	for _, tt := range []struct{ code, message, want string }{
		{"NoPermissionsInAccessToken", "", "no permission for Graph"},
		{"ErrorMailboxMoveInProgress", "", "nothing has to be done"},
		{"ResourceNotFound", "", "on-premises or in another tenant"},
		{"MailboxNotEnabledForRESTAPI", "", "still being set up"},
		{"ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.", "Test-ApplicationAccessPolicy"},
		{"ErrorAccessDenied", "Access is denied.", ""},
	} {
		got := Advice(&Error{Op: "create", Code: tt.code, Message: tt.message})
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tt.code, got, tt.want)
		}
	}
	for code, want := range map[string]string{"Authorization_RequestDenied": "grant it User.Read.All", "": "grant it User.Read.All",
		"Authorization_IdentityNotFound": "check tenant", "AccessBlocked": "another reason than a missing User.Read.All"} {
		if got := DirectoryAdvice(&Error{Op: opFindUser, Code: code}); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}
