// Package imports translates the configurations of other programs into one of graphrelay.
//
// A Result means what the other configuration means, as far as graphrelay can: what it cannot
// carry over, and what to check, is in Notes. Its YAML passes the checks of [config.Parse]. It
// has no secret but the hashes of passwords: a client secret is in Secrets, each of which
// belongs into a file of its own. No note has a secret.
//
// The other program's files may hold anything: sizes and counts are bounded, and what they say is
// never taken for YAML or shown to a terminal as it stands.
package imports

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

// Options are what the other configuration does not say.
type Options struct {
	Domains []string // of the tenant's mailboxes, in addition to those that are found
	Cost    int      // of the hashes of passwords; 0 is bcrypt's default
}

// Result is a configuration of graphrelay.
type Result struct {
	YAML    []byte
	Secrets []Secret
	Notes   []string // one line each
}

// Secret is the content of a file that the configuration names.
type Secret struct {
	Name string // of the file, in the folder of the configuration
	Text config.Secret
}

// Bounds of what is read.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxItems = 1000    // entries of one list
	maxNotes = 200
)

// exampleTenant and exampleClient stand where the other configuration has no application. They are
// those of config.example.yaml, of which check warns.
const (
	exampleTenant = "11111111-1111-1111-1111-111111111111"
	exampleClient = "22222222-2222-2222-2222-222222222222"
)

// relay is the configuration that is made.
type relay struct {
	Program    string // that it comes from
	Hostname   string
	Listeners  []listener
	Cert, Key  string // PEM files
	Users      []user
	Connection connection
	Senders    []rule
	Limits     []setting
	Rates      []setting
	Delivery   []setting
	Notes      []string

	options Options
	secrets []Secret
}

type listener struct {
	Name, Address, TLS, Auth string
	Networks, Deny           []string
	Legacy                   bool
	AddDomain                string
	Recipients               []string
}

type user struct {
	Name, Hash string
	Senders    []string
}

type connection struct {
	Name, Tenant, ClientID string
	SecretFile             string
	CertFile, KeyFile      string
	Domains                []string
	SendOnly               bool // the application has Mail.Send alone
	Proxy, ProxyUser       string
	ProxyPasswordFile      string
}

type rule struct{ Match, Mailbox, From, ReplyTo string }

type setting struct{ Key, Value string }

//go:embed relay.yaml.tmpl
var templateText string

// tmpl writes the configuration. quote writes a text as YAML, of which JSON is a part.
var tmpl = template.Must(template.New("relay.yaml").Funcs(template.FuncMap{
	"quote": func(s string) (string, error) { b, err := json.Marshal(s); return string(b), err },
	"list": func(l []string) (string, error) {
		b, err := json.Marshal(l)
		return strings.ReplaceAll(string(b), `","`, `", "`), err
	},
	"wrap": wrap,
}).Parse(templateText))

// note says what could not be carried over or is to be checked.
func (r *relay) note(format string, args ...any) {
	said := text.Shorten(text.OneLine(fmt.Sprintf(format, args...)), 600)
	if slices.Contains(r.Notes, said) || len(r.Notes) > maxNotes {
		return
	}
	if len(r.Notes) == maxNotes {
		said = "there is more to say; read the other configuration beside this one"
	}
	r.Notes = append(r.Notes, said)
}

// set adds a setting to a section, in the place of an earlier one.
func set(section *[]setting, key, value string) {
	*section = slices.DeleteFunc(*section, func(s setting) bool { return s.Key == key })
	*section = append(*section, setting{key, value})
}

// result writes the configuration and checks it.
func (r *relay) result() (*Result, error) {
	r.domains()
	var b bytes.Buffer
	if err := tmpl.Execute(&b, r); err != nil {
		return nil, err
	}
	if _, err := config.Parse(b.Bytes(), "relay.yaml"); err != nil {
		return nil, fmt.Errorf("what the file says does not make a configuration of graphrelay; correct it there, or write relay.yaml by hand:\n%w", err)
	}
	return &Result{YAML: b.Bytes(), Secrets: r.secrets, Notes: r.Notes}, nil
}

// domains completes the domains of the connection.
func (r *relay) domains() {
	c := &r.Connection
	for _, s := range r.Senders {
		c.Domains = append(c.Domains, domainOf(s.Mailbox))
	}
	c.Domains = append(c.Domains, r.options.Domains...)
	var valid []string
	for _, d := range c.Domains {
		if d, err := mailaddr.Domain(d); err == nil && strings.Contains(d, ".") {
			valid = append(valid, d)
		}
	}
	slices.Sort(valid)
	c.Domains = slices.Compact(valid)
	if len(c.Domains) > maxItems {
		c.Domains = c.Domains[:maxItems]
	}
	if len(c.Domains) == 0 {
		c.Domains = []string{"contoso.test"}
		r.note("connections[0].domains: no domain of yours was found; list the domains of your senders there, or give them with --domain")
	} else {
		r.note("connections[0].domains: these were found in addresses (%s); mail from any other domain is refused, so add those that are missing", some(c.Domains))
	}
	if c.Name = connectionName(c.Domains[0]); c.Name == "" {
		c.Name = "microsoft365"
	}
}

func connectionName(domain string) string {
	name, _, _ := strings.Cut(domain, ".")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, name)
}

// some returns a few texts of a list.
func some(list []string) string {
	const few = 8
	if len(list) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
	}
	return strings.Join(list, ", ")
}

// hash returns the hash of a password.
func (r *relay) hash(password string) (string, error) {
	cost := r.options.Cost
	if cost == 0 {
		cost = bcrypt.DefaultCost
	}
	b, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	return string(b), err
}

// secret keeps a secret in a file of its own, and returns the file's name.
func (r *relay) secret(name, value string) string {
	r.secrets = append(r.secrets, Secret{name, config.NewSecret(value + "\n")})
	return name
}

// privateNetworks are those from which no stranger on the Internet comes.
var privateNetworks = []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"}

// address reports whether the text is a mail address, whose domain has a dot.
func address(s string) bool {
	if _, err := config.ParsePattern(s); err != nil || strings.Contains(s, "*") {
		return false
	}
	return strings.Contains(domainOf(s), ".")
}

func domainOf(address string) string {
	_, domain := mailaddr.Split(address)
	return domain
}

// pattern reports whether the text can be a pattern of senders.
func pattern(s string) bool {
	_, err := config.ParsePattern(s)
	return err == nil
}

// errNotAFile is returned for devices, pipes and folders, which reading could block on.
var errNotAFile = errors.New("is not a file")

// readFile reads a text file of bounded size, as Windows programs may have written it.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w", path, errNotAFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %s, which no such file is", path, text.Size(maxFile))
	}
	if data, err = text.Decode(data); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return data, nil
}

// beside returns the absolute path of a file that another one names.
func beside(file, path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, "/") || len(path) > 1 && path[1] == ':' { // also one of Windows
		return path
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return path
	}
	return filepath.Join(folder, path)
}

// wrap returns the lines of a comment.
func wrap(prefix, s string) string {
	const width = 92
	var b strings.Builder
	line := prefix
	for word := range strings.FieldsSeq(s) {
		if len(line)+1+len(word) > width && line != prefix {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", len(prefix)-len(strings.TrimLeft(prefix, " "))) + "#  "
		}
		line += " " + word
	}
	return b.String() + line
}
