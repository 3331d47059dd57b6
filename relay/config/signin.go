package config

import (
	"os"
	"slices"
)

// SignIn is how a connection gets its tokens.
type SignIn string

// The ways to sign in. With the first four, the application signs in for every mailbox.
const (
	SignInSecret      SignIn = "client_secret"
	SignInCertificate SignIn = "certificate"
	SignInWorkload    SignIn = "workload_identity" // with a token that the platform issues
	SignInManaged     SignIn = "managed_identity"  // of an Azure resource
	SignInDelegated   SignIn = "delegated"         // the owner of each mailbox signs in
	SignInPassThrough SignIn = "pass_through"      // SMTP clients bring their own credential
)

// Values implements enumeration.
func (SignIn) Values() []string {
	return values(SignInSecret, SignInCertificate, SignInWorkload, SignInManaged, SignInDelegated, SignInPassThrough)
}

// The ways to sign in for which the configuration names the tenant and application, and those
// for which it lists domains.
var (
	ofOneTenant = []SignIn{SignInSecret, SignInCertificate, SignInWorkload, SignInDelegated}
	ofDomains   = append([]SignIn{SignInManaged}, ofOneTenant...)
)

// signInKeys lists the keys that belong only to certain ways to sign in.
var signInKeys = []struct {
	name string
	ways []SignIn
}{
	{"tenant", ofOneTenant},
	{"client_id", ofOneTenant},
	{"domains", ofDomains},
	{"client_secret", []SignIn{SignInSecret, SignInDelegated}},
	{"client_secret_file", []SignIn{SignInSecret, SignInDelegated}},
	{"client_secret_env", []SignIn{SignInSecret, SignInDelegated}},
	{"client_secret_expires", []SignIn{SignInSecret, SignInDelegated}},
	{"certificate_directory", []SignIn{SignInCertificate}},
	{"certificate_renewal", []SignIn{SignInCertificate}},
	{"certificate_file", []SignIn{SignInCertificate}},
	{"certificate_key_file", []SignIn{SignInCertificate}},
	{"certificate_password", []SignIn{SignInCertificate}},
	{"certificate_password_file", []SignIn{SignInCertificate}},
	{"certificate_password_env", []SignIn{SignInCertificate}},
	{"certificate_store", []SignIn{SignInCertificate}},
	{"certificate_chain", []SignIn{SignInCertificate}},
	{"federated_token_file", []SignIn{SignInWorkload}},
	{"managed_identity_client_id", []SignIn{SignInManaged}},
}

// signIn checks the keys of a connection that depend on its way to sign in.
func (v validator) signIn(key string, c *Connection) {
	v.signInKeys(key, c.SignIn)
	switch c.SignIn {
	case SignInSecret:
		v.secret(key, c.clientSecret())
	case SignInCertificate:
		v.certificate(key, c)
	case SignInWorkload:
		v.workload(key, c)
	case SignInDelegated:
		v.optionalSecret(key, c.clientSecret()) // a public client has none
		if !c.MailReadWrite {
			v.fault(key+".mail_readwrite", "is false, but with sign_in: delegated the relay needs this permission to verify that an owner may use the mailbox; remove the key")
		}
	case SignInManaged:
		if at := key + ".managed_identity_client_id"; v.has(at) && !isGUID(c.ManagedIdentityClientID) {
			v.fault(at, "is not a client ID such as 22222222-2222-2222-2222-222222222222; write that of the user-assigned identity, or remove the key for the system-assigned one")
		}
	case SignInPassThrough:
		v.passThrough(key, c)
	}
}

// signInKeys refuses keys that have no effect with the way to sign in.
func (v validator) signInKeys(key string, way SignIn) {
	for _, k := range signInKeys {
		if at := key + "." + k.name; v.has(at) && !slices.Contains(k.ways, way) && !v.isBad(key+".sign_in") {
			v.fault(at, "does not belong to sign_in: %s; remove the key, or write sign_in: %s", way, k.ways[0])
		}
	}
}

// federatedTokenEnv is the environment variable in which the webhook of Azure Workload
// Identity names the file with the token.
const federatedTokenEnv = "AZURE_FEDERATED_TOKEN_FILE"

func (v validator) workload(key string, c *Connection) {
	if c.FederatedTokenFile == "" {
		c.FederatedTokenFile = os.Getenv(federatedTokenEnv)
	}
	if c.FederatedTokenFile == "" {
		v.fault(key+".federated_token_file", "is missing, and %s is not in the environment either; name the file in which the platform keeps the token", federatedTokenEnv)
	}
}
