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
