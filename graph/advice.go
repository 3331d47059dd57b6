package graph

import (
	"errors"
	"regexp"
)

var aadsts = regexp.MustCompile(`AADSTS(\d+)`)

// Advice says in a line what to do about a refused sign-in, by the number that Entra gives
// ("Microsoft Entra authentication and authorization error codes"); it is empty for others.
func Advice(err error) string {
	var e *Error
	if !errors.As(err, &e) || e.Op != opToken {
		return ""
	}
	number := aadsts.FindStringSubmatch(e.Message)
	if number == nil {
		return ""
	}
	switch number[1] {
	case "7000222":
		return "the client secret has expired; make a new one in the Entra admin center and put it into client_secret"
	case "7000215":
		return "the client secret is wrong; put its value, not its ID, into client_secret"
	case "700016":
		return "the application is not in this tenant; check client_id, tenant and cloud"
	case "90002", "900023":
		return "the tenant is not in this cloud; check tenant and cloud"
	case "65001":
		return "an administrator has not agreed to the permissions; grant admin consent in the Entra admin center"
	case "500011", "50001":
		return "this Graph is not of the cloud that signs in; check cloud or endpoints"
	case "700027":
		return "the certificate is not registered for the application, or its key is another; upload it in the Entra admin center"
	case "700024", "700021":
		return "the assertion is not valid now; check the clock of this machine, and that the federated token is renewed"
	case "700023":
		return "the assertion is for another tenant or cloud; check tenant and cloud"
	case "700213", "70021":
		return "no federated credential of the application fits the token; compare issuer, subject and audience in the Entra admin center"
	}
	return ""
}
