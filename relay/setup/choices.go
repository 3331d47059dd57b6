package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

// Clients is what will send through the relay.
type Clients string

// The values of Clients.
const (
	Devices  Clients = "devices"  // devices on a network, without a password
	Programs Clients = "programs" // programs with a user name and a password
	Both     Clients = "both"
)

// Values returns the values of Clients.
func (Clients) Values() []string { return []string{string(Devices), string(Programs), string(Both)} }

// Scope is from which mailboxes the application may send.
type Scope string

// The values of Scope.
const (
	Limited Scope = "limited" // from those that RBAC for Applications names
	Tenant  Scope = "tenant"  // from every mailbox of the tenant
)

// Values returns the values of Scope.
func (Scope) Values() []string { return []string{string(Limited), string(Tenant)} }

// Choices are what the operator decides. The set-up asks for a zero field, or gives it its
// default.
type Choices struct {
	Clients   Clients      `json:"clients,omitempty"`
	Networks  []string     `json:"networks,omitempty"`  // of the devices: IP addresses and prefixes
	Mailboxes []string     `json:"mailboxes,omitempty"` // that send; the first is tried, and sends bounces
	Scope     Scope        `json:"scope,omitempty"`
	ReadUsers string       `json:"read_users,omitempty"` // yes or no: grant User.Read.All
	Domains   []string     `json:"domains,omitempty"`    // of the connection
	Name      string       `json:"name,omitempty"`       // of the application
	Attribute string       `json:"attribute,omitempty"`  // of the mailboxes that a limited application may use
	Cloud     config.Cloud `json:"cloud,omitempty"`
	LoginURL  string       `json:"login_url,omitempty"` // with GraphURL, instead of those of the cloud
	GraphURL  string       `json:"graph_url,omitempty"`
	Tenant    string       `json:"tenant,omitempty"`    // ID or domain
	AdminApp  string       `json:"admin_app,omitempty"` // client ID of the application through which the administrator signs in

	DevicesAddress  string `json:"devices_address,omitempty"`  // of the listener
	ProgramsAddress string `json:"programs_address,omitempty"` // likewise
	CertFile        string `json:"cert_file,omitempty"`        // with which programs on other machines are served over TLS
	KeyFile         string `json:"key_file,omitempty"`
	User            string `json:"user,omitempty"` // with which programs sign in
	DataDir         string `json:"data_dir,omitempty"`

	// An application that was registered before, by the script that Print prints.
	ClientID    string `json:"client_id,omitempty"`
	AppObjectID string `json:"app_object_id,omitempty"`
	PrincipalID string `json:"principal_id,omitempty"` // object ID of its service principal
}

// commandLineTools is the client ID of Microsoft Graph Command Line Tools, a public client of
// Microsoft's that every tenant knows but those in the cloud of 21Vianet (authentication-commands
// of Microsoft Graph PowerShell: "Globally registered apps don't replicate to Azure China").
const commandLineTools = "14d82eec-204b-4c2f-b7e8-296a70dab67e"

// anyTenant is the tenant of whoever signs in (v2-oauth2-device-code).
const anyTenant = "organizations"

// serviceFolder is where the service of systemd has its configuration, and serviceData its
// data (deploy/graphrelay.service).
const (
	serviceFolder = "/etc/graphrelay"
	serviceData   = "/var/lib/graphrelay"
)

// merge returns the choices of a set-up that was begun, with what the command line adds. It
// refuses another choice than the one that was made.
func (c Choices) merge(given Choices) (Choices, error) {
	old, fresh := reflect.ValueOf(&c).Elem(), reflect.ValueOf(given)
	for i := range old.NumField() {
		name, _, _ := strings.Cut(old.Type().Field(i).Tag.Get("json"), ",")
		switch {
		case fresh.Field(i).IsZero():
		case old.Field(i).IsZero():
			old.Field(i).Set(fresh.Field(i))
		case !reflect.DeepEqual(old.Field(i).Interface(), fresh.Field(i).Interface()):
			return c, fmt.Errorf("the set-up that was begun has %v as %s, and the command line %v; go on without that flag, or undo the set-up first (--undo)",
				old.Field(i).Interface(), strings.ReplaceAll(name, "_", " "), fresh.Field(i).Interface())
		}
	}
	return c, nil
}

// normalize writes addresses and domains in the form in which they are compared.
func (c *Choices) normalize() {
	for _, list := range [][]string{c.Mailboxes, c.Domains} {
		for i, entry := range list {
			list[i] = mailaddr.Canonical(entry)
		}
	}
}

// ask completes the choices that have to be made before anybody signs in, and checks them.
// Mailboxes may stay empty, which stands for the mailbox of the administrator.
func (r *run) ask(ctx context.Context) error {
	c := &r.state.Choices
	if err := checkGiven(*c); err != nil {
		return err
	}
	defer c.normalize()
	if c.Clients == "" {
		answer, err := r.choose(ctx, "clients", "What will send mail through this relay?", []option{
			{string(Devices), "devices and programs on your network, without a password"},
			{string(Programs), "programs with a user name and a password"},
			{string(Both), ""},
		}, string(Both))
		if err != nil {
			return err
		}
		c.Clients = Clients(answer)
	}
	if c.Clients != Programs && len(c.Networks) == 0 {
		answer, err := r.line(ctx, "networks", "From which networks? Whoever is in them may send.", strings.Join(ownNetworks(), ", "), func(s string) error { return checkNetworks(fields(s)) })
		if err != nil {
			return err
		}
		c.Networks = fields(answer)
	}
	if len(c.Mailboxes) == 0 && (c.ClientID != "" || r.o.Script != "") {
		answer, err := r.line(ctx, "mailboxes", "Which mailboxes will send? Write their addresses, separated by commas.", "", checkMailboxList)
		if err != nil {
			return err
		}
		c.Mailboxes = fields(answer)
	} else if len(c.Mailboxes) == 0 {
		answer, err := r.line(ctx, "mailboxes", "Which mailboxes will send? Write their addresses, separated by commas.", ownMailbox, func(s string) error {
			if s == ownMailbox {
				return nil
			}
			return checkMailboxList(s)
		})
		if err != nil {
			return err
		}
		if answer != ownMailbox {
			c.Mailboxes = fields(answer)
		}
	}
	if err := r.askRights(ctx, c); err != nil {
		return err
	}
	c.setDefaults(r.o.Config)
	return nil
}

// askRights asks what the application may do.
func (r *run) askRights(ctx context.Context, c *Choices) error {
	if c.Scope == "" {
		answer, err := r.choose(ctx, "scope", "Which mailboxes may the application use?", []option{
			{string(Limited), "only these; an Exchange administrator pastes a few commands afterwards"},
			{string(Tenant), "EVERY mailbox of the tenant, to read and to send"},
		}, string(Limited))
		if err != nil {
			return err
		}
		c.Scope = Scope(answer)
	}
	if c.ReadUsers == "" && c.Scope == Tenant {
		answer, err := r.choose(ctx, "read-users", "May it read the directory (User.Read.All), so that aliases find their mailbox and unknown senders are refused?",
			[]option{{"yes", ""}, {"no", ""}}, "yes")
		if err != nil {
			return err
		}
		c.ReadUsers = answer
	}
	return nil
}

// ownMailbox stands for the mailbox of the administrator who signs in.
const ownMailbox = "that of the administrator who signs in"

// setDefaults fills what is not asked for.
func (c *Choices) setDefaults(file string) {
	c.Name = cmp.Or(c.Name, "graphrelay")
	c.Attribute = cmp.Or(c.Attribute, "CustomAttribute1")
	if c.LoginURL == "" {
		c.Cloud = cmp.Or(c.Cloud, config.CloudGlobal)
	}
	c.Tenant = cmp.Or(c.Tenant, anyTenant)
	if c.Cloud != config.CloudChina {
		c.AdminApp = cmp.Or(c.AdminApp, commandLineTools)
	}
	c.ReadUsers = cmp.Or(c.ReadUsers, "no")
	c.User = cmp.Or(c.User, "app")
	devices, programs, host := "2525", "2587", "127.0.0.1"
	if os.Geteuid() <= 0 { // root, or Windows
		devices, programs = "25", "587"
	}
	if c.CertFile != "" {
		host = "0.0.0.0"
	}
	c.DevicesAddress = cmp.Or(c.DevicesAddress, net.JoinHostPort("0.0.0.0", devices))
	c.ProgramsAddress = cmp.Or(c.ProgramsAddress, net.JoinHostPort(host, programs))
	if c.DataDir == "" && filepath.Dir(file) == serviceFolder {
		c.DataDir = serviceData
	}
}

// checkGiven checks the choices of the command line.
func checkGiven(c Choices) error {
	switch {
	case (c.LoginURL == "") != (c.GraphURL == ""):
		return errors.New("give both, the address of the sign-in and that of Graph, or neither")
	case c.LoginURL != "" && c.Cloud != "":
		return errors.New("give the cloud, or the addresses of the sign-in and of Graph, not both")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("give both, the certificate and its key, or neither")
	case c.ClientID != "" && (c.Tenant == "" || c.AppObjectID == "" || c.PrincipalID == ""):
		return errors.New("an application that is registered already also needs its tenant, its object ID and that of its service principal, as the script prints them")
	case c.ReadUsers != "" && c.ReadUsers != "yes" && c.ReadUsers != "no":
		return errors.New("whether the directory may be read is yes or no")
	case c.Attribute != "" && !isAttribute(c.Attribute):
		return fmt.Errorf("%q is none of CustomAttribute1 to CustomAttribute15", c.Attribute)
	case strings.ContainsAny(c.Name, "\"'`$\\\r\n") || len(c.Name) > 60:
		return errors.New("the name of the application has a quote or another special character in it, or is too long; write letters, digits, spaces and dashes")
	case strings.ContainsFunc(c.User, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@", r)
	}):
		return errors.New("the name of the user has other characters than letters, digits, dots, dashes, underscores and @")
	}
	for _, address := range []string{c.LoginURL, c.GraphURL} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname()))) {
			return fmt.Errorf("%s is not the address of a service; write one such as https://graph.microsoft.com", text.Printable(address))
		}
	}
	for _, id := range []string{c.AdminApp, c.ClientID, c.AppObjectID, c.PrincipalID} {
		if err := uuid.Validate(id); id != "" && (err != nil || len(id) != 36) {
			return fmt.Errorf("%s is not an ID such as %s", text.Printable(id), commandLineTools)
		}
	}
	if _, err := mailaddr.Domain(c.Tenant); c.Tenant != "" && err != nil {
		return fmt.Errorf("%s is not a tenant; write its ID or one of its domains", text.Printable(c.Tenant))
	}
	for _, domain := range c.Domains {
		if _, err := mailaddr.Domain(domain); err != nil {
			return fmt.Errorf("%q is not a domain", domain)
		}
	}
	if err := checkMailboxes(c.Mailboxes); err != nil {
		return err
	}
	return checkNetworks(c.Networks)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func isAttribute(name string) bool {
	number, ok := strings.CutPrefix(name, "CustomAttribute")
	return ok && slices.Contains([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"}, number)
}

// fields splits an answer with several values.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' })
}

func checkMailboxList(s string) error {
	if len(fields(s)) == 0 {
		return errors.New("name at least one mailbox")
	}
	return checkMailboxes(fields(s))
}

// checkMailboxes refuses what could not be written into a command or the configuration.
func checkMailboxes(list []string) error {
	for _, address := range list {
		local, domain := mailaddr.Split(address)
		if _, err := mailaddr.Domain(domain); err != nil || local == "" || !text.IsASCII(address) || strings.ContainsAny(address, "\"`$\\*:()<>,; ") {
			return fmt.Errorf("%s is not the address of a mailbox; write one such as scanner@contoso.com", text.Printable(address))
		}
	}
	return nil
}

func checkNetworks(list []string) error {
	for _, n := range list {
		if _, err := netip.ParseAddr(n); err == nil {
			continue
		}
		if _, err := netip.ParsePrefix(n); err != nil {
			return fmt.Errorf("%s is not an IP address or a network such as 192.168.1.0/24", text.Printable(n))
		}
	}
	return nil
}

// ownNetworks returns this machine, and the private networks that it is in.
func ownNetworks() []string {
	list := []string{"127.0.0.1", "::1"}
	addresses, _ := net.InterfaceAddrs() // without them: this machine alone
	for _, a := range addresses {
		of, ok := a.(*net.IPNet)
		if !ok || !of.IP.IsPrivate() || of.IP.To4() == nil {
			continue
		}
		ones, _ := of.Mask.Size()
		ip, _ := netip.AddrFromSlice(of.IP.To4())
		if network := netip.PrefixFrom(ip, ones).Masked().String(); ones >= 16 && !slices.Contains(list, network) {
			list = append(list, network)
		}
	}
	return list
}
