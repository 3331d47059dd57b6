package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/credential"
)

// Connection is an Entra application in a tenant. After Load, ClientSecret,
// CertificatePassword and ProxyPassword hold the secrets, also those that come from files
// and the environment, and Certificate and Authorities hold the content of their files.
type Connection struct {
	Name                    string              `yaml:"name"`
	SignIn                  SignIn              `yaml:"sign_in"`
	Tenant                  string              `yaml:"tenant"`
	ClientID                string              `yaml:"client_id"`
	ClientSecret            Secret              `yaml:"client_secret"`
	ClientSecretFile        string              `yaml:"client_secret_file"`
	ClientSecretEnv         string              `yaml:"client_secret_env"`
	ClientSecretExpires     Date                `yaml:"client_secret_expires"`
	CertificateFile         string              `yaml:"certificate_file"`     // PEM or PFX
	CertificateKeyFile      string              `yaml:"certificate_key_file"` // PEM; empty: CertificateFile has the key
	CertificatePassword     Secret              `yaml:"certificate_password"` // of a PFX file
	CertificatePasswordFile string              `yaml:"certificate_password_file"`
	CertificatePasswordEnv  string              `yaml:"certificate_password_env"`
	CertificateStore        CertificateStore    `yaml:"certificate_store"` // instead of the files
	CertificateChain        bool                `yaml:"certificate_chain"` // send the chain with each assertion
	Certificate             *tls.Certificate    // from the files or CertificateStore; nil with other ways to sign in
	CertificateDirectory    string              `yaml:"certificate_directory"` // of certificates that the relay made
	CertificateRenewal      bool                `yaml:"certificate_renewal"`   // renew those
	Managed                 *credential.Store   // from CertificateDirectory; nil without it
	ManagedIdentityClientID string              `yaml:"managed_identity_client_id"` // empty: the system-assigned one
	FederatedTokenFile      string              `yaml:"federated_token_file"`
	Domains                 []string            `yaml:"domains"` // in lower case and ASCII
	Cloud                   Cloud               `yaml:"cloud"`
	Endpoints               Endpoints           `yaml:"endpoints"` // those of the cloud, or others instead
	Proxy                   string              `yaml:"proxy"`     // see ProxyURL
	ProxyUser               string              `yaml:"proxy_user"`
	ProxyPassword           Secret              `yaml:"proxy_password"`
	ProxyPasswordFile       string              `yaml:"proxy_password_file"`
	ProxyPasswordEnv        string              `yaml:"proxy_password_env"`
	CAFile                  string              `yaml:"ca_file"` // PEM
	Authorities             []*x509.Certificate // trusted in addition to the system's
	Directory               Directory           `yaml:"directory"`
	MailReadWrite           bool                `yaml:"mail_readwrite"`            // the application may write to mailboxes, not only send
	SentItems               bool                `yaml:"sent_items"`                // keep copies in Sent Items
	WatchReports            bool                `yaml:"watch_reports"`             // look for non-delivery reports in the Inboxes of its mailboxes
	Uploads                 Uploads             `yaml:"uploads"`                   // see Missing
	MessageSize             Size                `yaml:"message_size"`              // 0: limits.message_size; see Config.MessageSize
	DailyRecipients         int                 `yaml:"daily_recipients"`          // of a mailbox, as Exchange limits them; 0: not known
	DailyExternal           int                 `yaml:"daily_external_recipients"` // of the tenant, as Exchange limits them; 0: not known
}

// Endpoints are base URLs, without a slash at the end.
type Endpoints struct {
	Login string `yaml:"login"`
	Graph string `yaml:"graph"`
}

func (c *Connection) setDefaults() {
	c.SignIn, c.Directory, c.MailReadWrite, c.SentItems = SignInSecret, DirectoryAuto, true, true
	c.CertificateRenewal = true
	c.DailyRecipients = 10_000 // Exchange Online limits
	c.Cloud, c.Endpoints, c.Uploads = CloudGlobal, CloudGlobal.about().endpoints, UploadsAuto
}

// ConnectionOf returns the connection with the first of names that is not empty or, without
// such, the one to which the domain of address belongs. It returns nil if there is none.
func (c *Config) ConnectionOf(address string, names ...string) *Connection {
	for _, name := range names {
		if name != "" {
			return c.connection(name)
		}
	}
	_, domain := mailaddr.Split(address)
	for i := range c.Connections {
		for _, d := range c.Connections[i].Domains {
			if d == domain && d != "" {
				return &c.Connections[i]
			}
		}
	}
	return nil
}

func (c *Config) connection(name string) *Connection {
	i := slices.IndexFunc(c.Connections, func(c Connection) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Connections[i]
}

func (v validator) connections() {
	v.requireList("connections", len(v.cfg.Connections), "add at least one, with the Entra application that sends the mail")
	names := v.names()
	owners := map[string]string{} // the key where a domain is first claimed
	for i := range v.cfg.Connections {
		c := &v.cfg.Connections[i]
		key := fmt.Sprintf("connections[%d]", i)
		names.check(key+".name", c.Name, plainName, "write a name of at most 64 letters, digits, dots, dashes and underscores")
		v.signIn(key, c)
		if slices.Contains(ofOneTenant, c.SignIn) {
			v.tenant(key+".tenant", c.Tenant)
			v.clientID(key+".client_id", c.ClientID)
		}
		if slices.Contains(ofDomains, c.SignIn) {
			v.domains(key+".domains", c.Domains, owners)
		}
		v.dailyLimits(key, c)
		v.cloud(key, c)
		if at := key + ".message_size"; v.has(at) {
			within(v, at, c.MessageSize, 64*KiB, MaxMessageSize)
		}
		if !c.SentItems && c.MailReadWrite && c.Missing().PermanentDelete {
			v.warn(key+".sent_items", "is false, but in this cloud copies that are deleted stay in Recoverable Items for a time, which take 30 GB and then stop the mailbox from sending; keep copies if the mailbox sends much, or watch how full it is")
		}
		v.proxy(key, c)
		if v.has(key+".ca_file") && c.CAFile == "" {
			v.fault(key+".ca_file", "is empty; name a PEM file with the certificates to trust, or remove the key")
		}
	}
}

// dailyLimits checks the limits that mail is counted against.
func (v validator) dailyLimits(key string, c *Connection) {
	within(v, key+".daily_recipients", c.DailyRecipients, 0, 100_000_000)
	within(v, key+".daily_external_recipients", c.DailyExternal, 0, 100_000_000)
	if c.DailyExternal > 0 && !slices.Contains(ofDomains, c.SignIn) {
		v.fault(key+".daily_external_recipients", "is set, but without domains nobody knows who is external; remove the key")
	}
}

// IsExternal reports whether a recipient is outside of the connection's tenant, as far as the
// domains of connections tell.
func (c *Config) IsExternal(of *Connection, recipient string) bool {
	its := c.ConnectionOf(recipient)
	return its == nil || its.Name != of.Name && !strings.EqualFold(its.Tenant, of.Tenant)
}

// WatchesReports reports whether non-delivery reports are looked for in a mailbox of the
// connection.
func (c *Config) WatchesReports(of *Connection) bool {
	return of.WatchReports || slices.ContainsFunc(c.Senders, func(s Sender) bool {
		its := c.ConnectionOf(s.Mailbox, s.Connection)
		return s.WatchReports && its != nil && its.Name == of.Name
	})
}

// connectionName checks a key that names a connection, if it is given.
func (v validator) connectionName(key, name string) {
	if v.has(key) && v.cfg.connection(name) == nil {
		v.fault(key, "is %s, but no connection has that name; write the name of a connection, or remove the key", quote(name))
	}
}

// tenant checks the tenant's ID or domain. Names such as "common" are refused: an
// application that signs in as itself must name the tenant to which it belongs.
func (v validator) tenant(key, tenant string) {
	const remedy = "write the directory (tenant) ID from the application's overview page, or the tenant's domain"
	if !v.require(key, tenant, remedy) || isGUID(tenant) {
		return
	}
	if _, err := mailaddr.Domain(tenant); err != nil || !strings.Contains(tenant, ".") {
		v.fault(key, "is %s, which is not a tenant; %s", quote(tenant), remedy)
	}
}

func (v validator) clientID(key, id string) {
	const remedy = "write the application (client) ID from the application's overview page"
	if v.require(key, id, remedy) && !isGUID(id) {
		v.fault(key, "is not an application ID such as 22222222-2222-2222-2222-222222222222; %s", remedy)
	}
}

func isGUID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }

func (c *Connection) clientSecret() secretSource {
	return secretSource{name: "client_secret", value: &c.ClientSecret, file: c.ClientSecretFile, env: c.ClientSecretEnv}
}

// domains checks a connection's domains, and puts them into the form in which addresses are
// compared. owners is updated.
func (v validator) domains(key string, domains []string, owners map[string]string) {
	v.requireList(key, len(domains), "list the domains whose senders go through this connection")
	for i, text := range domains {
		at := fmt.Sprintf("%s[%d]", key, i)
		domain, err := mailaddr.Domain(text)
		if err != nil {
			v.fault(at, "is %s, which is not a domain; write one such as contoso.test, without @ or *", quote(text))
			continue
		}
		if owner, taken := owners[domain]; taken {
			v.fault(at, "is %s, which %s already lists; keep the domain in one place", domain, owner)
			continue
		}
		owners[domain], domains[i] = at, domain
	}
}

// cloud sets the endpoints of the cloud, or checks those that are given instead.
func (v validator) cloud(key string, c *Connection) {
	switch {
	case !v.has(key + ".endpoints"):
		c.Endpoints = c.Cloud.about().endpoints
		return
	case v.has(key + ".cloud"):
		v.fault(key+".cloud", "is given together with endpoints; keep one of the two")
	}
	v.endpoint(key+".endpoints.login", &c.Endpoints.Login)
	v.endpoint(key+".endpoints.graph", &c.Endpoints.Graph)
}

// endpoint checks a base URL and removes the slash at its end. Faults do not show the URL,
// which could contain a password.
func (v validator) endpoint(key string, endpoint *string) {
	base, err := url.Parse(*endpoint)
	if err != nil || base.Hostname() == "" || !slices.Contains([]string{"https", "http"}, base.Scheme) {
		v.fault(key, "is not a URL; write one such as https://graph.microsoft.com, or remove the key")
		return
	}
	if err := checkBase(base); err != nil {
		v.fault(key, "%s", err)
	}
	*endpoint = strings.TrimRight(*endpoint, "/")
}

func checkBase(base *url.URL) error {
	if base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "" {
		return errors.New("has a user, a query or a fragment; write only scheme, host and path")
	}
	if strings.HasSuffix(strings.TrimRight(base.Path, "/"), "/v1.0") {
		return errors.New("ends with /v1.0, which the relay adds itself; remove it")
	}
	if base.Scheme == "http" && !isLoopbackHost(base.Hostname()) {
		return errors.New("is http:// to another machine, so tokens and mail would cross the network in plain text; write https://")
	}
	return nil
}

func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
