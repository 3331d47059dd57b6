// Package config reads and checks graphrelay's configuration file.
//
// A Config that Load returns is complete and consistent: it has all defaults, relative
// paths are resolved against the folder of the file, secrets are read, certificates and
// password hashes are usable, and no setting opens the relay to strangers. Load refuses any
// other file with a list of all faults, each with file, line, key and remedy. Errors never
// show the value of a secret.
//
// config.example.yaml at the root of the repository is the reference of all keys.
package config

import (
	"cmp"
	"net/netip"
	"os"
	"time"

	"graphrelay/relay/smtpd"
)

// Config is a whole configuration. It does not change after it was loaded; a reload loads a
// new one.
type Config struct {
	Hostname    string       `yaml:"hostname"` // in greetings and Received fields
	DataDir     string       `yaml:"data_dir"`
	Listeners   []Listener   `yaml:"listeners"`
	Pickup      Pickup       `yaml:"pickup"`
	TLS         TLS          `yaml:"tls"`
	Limits      Limits       `yaml:"limits"`
	Rates       Rates        `yaml:"rates"`
	Users       []User       `yaml:"users"`
	Connections []Connection `yaml:"connections"`
	Senders     []Sender     `yaml:"senders"` // the first match wins
	Signatures  []Signature  `yaml:"signatures"`
	Mailboxes   Mailboxes    `yaml:"mailboxes"`
	Queue       Queue        `yaml:"queue"`
	Delivery    Delivery     `yaml:"delivery"`
	Alerts      Alerts       `yaml:"alerts"`
	Admin       Admin        `yaml:"admin"`
	Log         Log          `yaml:"log"`

	warnings []string
}

// Listener is one SMTP port.
type Listener struct {
	Name    string         `yaml:"name"`
	Address string         `yaml:"address"` // IP:port, localhost:port or :port
	TLS     smtpd.TLSMode  `yaml:"tls"`
	Auth    smtpd.AuthMode `yaml:"auth"`
	// PassThrough is the name of the connection for clients that bring their own credential.
	PassThrough string         `yaml:"pass_through"`
	Networks    []netip.Prefix `yaml:"networks"` // of clients; empty: any
	// DenyNetworks may not connect, whatever else would let them in.
	DenyNetworks []netip.Prefix `yaml:"deny_networks"`
	// AllowDevices has the list of devices count, which operators keep while the relay runs.
	AllowDevices bool `yaml:"allow_devices"`
	// ProxyNetworks are the load balancers that give the client's address in a PROXY header.
	ProxyNetworks []netip.Prefix    `yaml:"proxy_networks"`
	Wait          Duration          `yaml:"wait_for_delivery"`
	LineEndings   smtpd.LineEndings `yaml:"line_endings"`
	Profile       Profile           `yaml:"profile"`     // see also PlainAuth and LineLimit
	LineLength    Size              `yaml:"line_length"` // as given; see LineLimit
	AddDomain     string            `yaml:"add_domain"`  // for addresses without a domain; empty: they are refused
	// OpenToEveryone allows Networks to be as wide as the Internet without a password.
	OpenToEveryone bool       `yaml:"open_to_everyone"`
	Recipients     Recipients `yaml:"recipients"`

	CertFile         string           `yaml:"cert_file"` // instead of the tls section's; see CertificateOf
	KeyFile          string           `yaml:"key_file"`
	CertificateStore CertificateStore `yaml:"certificate_store"` // instead of the two
	TLSMin           TLSFloor         `yaml:"tls_min"`
	TLSCiphers       []CipherSuite    `yaml:"tls_ciphers"`    // up to TLS 1.2; empty: those that TLSMin allows
	ClientCAFile     string           `yaml:"client_ca_file"` // PEM; authorities whose certificates sign clients in
}

// TLS names the certificate of those listeners with TLS that have none of their own. The
// zero value is none.
type TLS struct {
	CertFile         string           `yaml:"cert_file"`         // PEM, the chain included
	KeyFile          string           `yaml:"key_file"`          // PEM
	CertificateStore CertificateStore `yaml:"certificate_store"` // instead of the two
}

// Limits bounds the resources of a client, of a message and of all of them.
type Limits struct {
	MessageSize           Size     `yaml:"message_size"` // see MessageSize
	Recipients            int      `yaml:"recipients"`   // of one message
	Connections           int      `yaml:"connections"`  // at a time, in total
	ConnectionsPerAddress int      `yaml:"connections_per_address"`
	ConnectionsPerNetwork int      `yaml:"connections_per_network"`
	ConnectionsPerMinute  int      `yaml:"connections_per_minute"` // new ones from one address
	Commands              int      `yaml:"commands"`               // on a connection without a message
	Errors                int      `yaml:"errors"`                 // likewise
	BadRecipients         int      `yaml:"bad_recipients"`         // likewise
	SessionTimeout        Duration `yaml:"session_timeout"`        // longest time of a connection without a message
	AuthFailures          int      `yaml:"auth_failures"`          // of one user from one address
	AuthBlock             Duration `yaml:"auth_block"`             // after as many failures
	Timeout               Duration `yaml:"timeout"`                // longest wait for a client's next bytes
	MessageTimeout        Duration `yaml:"message_timeout"`        // longest time for one message's data
	MinRate               Size     `yaml:"min_rate"`               // of the data, in bytes a second; 0: any
	LineLength            Size     `yaml:"line_length"`
	Parts                 int      `yaml:"parts"`         // MIME parts of one message
	Depth                 int      `yaml:"depth"`         // nesting of MIME parts
	HeaderSize            Size     `yaml:"header_size"`   // of the message and of each part
	HeaderFields          int      `yaml:"header_fields"` // likewise
	HeaderValue           Size     `yaml:"header_value"`  // of one field; the rest is ignored
}

// Rates bounds how much is accepted from each user, client and sender. What exceeds it is
// refused for a while.
type Rates struct {
	User    Rate `yaml:"user"`    // that signed in
	Address Rate `yaml:"address"` // the client's IP address, or its /64 with IPv6
	Sender  Rate `yaml:"sender"`  // in MAIL FROM and in the header From
}

// Rate is how much is accepted in a time. A zero field is no limit.
type Rate struct {
	Messages   int `yaml:"messages_per_minute"`
	Recipients int `yaml:"recipients_per_day"`
}

// User is an account that mail clients sign in with (RFC 4954).
type User struct {
	Name         string     `yaml:"name"`
	PasswordHash Secret     `yaml:"password_hash"` // bcrypt; empty: the user has no password
	Certificate  string     `yaml:"certificate"`   // the name in the user's certificate, in lower case; empty: none
	Senders      []Pattern  `yaml:"senders"`       // the addresses that the user may send from
	Connection   string     `yaml:"connection"`    // instead of that of the sender's domain; see ConnectionOf
	Recipients   Recipients `yaml:"recipients"`
}

// Sender is a rule that maps senders to a mailbox. It applies if all of its conditions hold.
type Sender struct {
	Match      Pattern        `yaml:"match"`     // of the sender's address; * also matches a missing one
	Envelope   Pattern        `yaml:"envelope"`  // of MAIL FROM; the zero value matches any
	Networks   []netip.Prefix `yaml:"networks"`  // of clients; empty: any
	Users      []string       `yaml:"users"`     // that signed in; empty: any, or none
	Listeners  []string       `yaml:"listeners"` // through which the message came; empty: any
	Mailbox    string         `yaml:"mailbox"`
	From       SenderFrom     `yaml:"from"`         // that recipients see
	OnBehalfOf bool           `yaml:"on_behalf_of"` // the mailbox is shown as sending on behalf of From
	Connection string         `yaml:"connection"`   // instead of the user's and the domain's; see ConnectionOf
	ReplyTo    ReplyTo        `yaml:"reply_to"`
	SendDenied SendDenied     `yaml:"send_denied"`
	Signature  string         `yaml:"signature"` // the name of one; empty: none
	// WatchReports has non-delivery reports looked for in the mailbox's Inbox, also where the
	// connection does not.
	WatchReports bool `yaml:"watch_reports"`
}

// Delivery configures the delivery of queued messages to Graph.
type Delivery struct {
	GiveUpAfter        Duration    `yaml:"give_up_after"`
	MailboxConcurrency int         `yaml:"mailbox_concurrency"` // requests at a time to one mailbox
	MailboxPace        int         `yaml:"mailbox_pace"`        // messages of one mailbox a minute; 0: any
	MailboxRequests    int         `yaml:"mailbox_requests"`    // to one mailbox in 10 minutes; 0: any
	MailboxUpload      Size        `yaml:"mailbox_upload"`      // to one mailbox in 5 minutes; 0: any
	Concurrency        int         `yaml:"concurrency"`         // messages in delivery at a time, of all mailboxes that are responsive
	Memory             Size        `yaml:"memory"`              // that these hold together; half as much again the others
	RetryDelays        []Duration  `yaml:"retry_delays"`        // the last one is repeated
	RequestTimeout     Duration    `yaml:"request_timeout"`     // longest wait for the answer to one request
	SendSettle         Duration    `yaml:"send_settle"`         // how long to look for a message after the answer to its send was lost
	RetryUnexplained   Duration    `yaml:"retry_unexplained"`   // how long a refusal that is not known is retried before it is final
	OnUnknown          OnUnknown   `yaml:"on_unknown"`
	LargeSigned        LargeSigned `yaml:"large_signed"`
	XHeaders           []string    `yaml:"x_headers"`        // patterns of X- fields to carry, and auto
	Postmaster         string      `yaml:"postmaster"`       // the mailbox that sends bounces; empty: that of the message
	BounceCopy         string      `yaml:"bounce_copy"`      // gets every bounce too; empty: nobody does
	RedirectAll        string      `yaml:"redirect_all"`     // gets all mail in place of its recipients; empty: nobody does
	WarnAfter          Duration    `yaml:"warn_after"`       // when the sender is notified of a delay; 0: never
	ReportsInterval    Duration    `yaml:"reports_interval"` // between two looks for non-delivery reports into a mailbox
}

// Log configures the program's log and the delivery log.
type Log struct {
	Level    LogLevel  `yaml:"level"`
	Format   LogFormat `yaml:"format"`
	Subjects bool      `yaml:"subjects"` // the delivery log records subjects
	// Recipients has the log name the recipients and the Message-ID of what was sent.
	Recipients bool `yaml:"recipients"`
	Traces     bool `yaml:"traces"` // are exported by OTLP

	File     string   `yaml:"file"`      // instead of standard error; empty: none
	MaxSize  Size     `yaml:"max_size"`  // of the file; at this size it is rotated
	MaxFiles int      `yaml:"max_files"` // rotated ones that are kept
	MaxAge   Duration `yaml:"max_age"`   // of those
}

// legacyLine is the least line_length of a legacy listener that has none of its own.
const legacyLine = 1 * MiB

// Default returns the default values, without any listener, user, connection or sender.
func Default() *Config {
	return &Config{
		Hostname: hostname(),
		DataDir:  "data",
		Pickup:   Pickup{Settle: seconds(2)},
		Limits: Limits{
			MessageSize:           35 * MiB, // what a tenant takes unless its administrator raises it (Exchange Online limits)
			Recipients:            500,
			Connections:           1000,
			ConnectionsPerAddress: 100,
			ConnectionsPerNetwork: 500,
			ConnectionsPerMinute:  120,
			Commands:              100,
			Errors:                20,
			BadRecipients:         100,
			SessionTimeout:        minutes(30),
			AuthFailures:          10,
			AuthBlock:             minutes(15),
			Timeout:               minutes(5),
			MessageTimeout:        minutes(30),
			MinRate:               500,
			LineLength:            64 * KiB,
			Parts:                 1000,
			Depth:                 100,
			HeaderSize:            256 * KiB,
			HeaderFields:          2000,
			HeaderValue:           64 * KiB,
		},
		Queue: Queue{
			Lease:            seconds(15),
			MaxMessages:      100_000,
			MaxSize:          20 * GiB,
			MinFreeSpace:     128 * MiB,
			KeepSent:         minutes(30 * 24 * 60),
			KeepSentMessages: 100_000,
			KeepSentContent:  minutes(2 * 24 * 60),
			KeepFailed:       minutes(30 * 24 * 60),
		},
		Delivery: Delivery{
			GiveUpAfter:        minutes(48 * 60),
			MailboxConcurrency: 4,
			MailboxRequests:    10_000,
			MailboxUpload:      150_000_000,
			Concurrency:        2000,
			Memory:             64 * MiB,
			RetryDelays: []Duration{
				Duration(30 * time.Second), minutes(1), minutes(2), minutes(5),
				minutes(10), minutes(20), minutes(30), minutes(60),
			},
			RequestTimeout: minutes(2),
			SendSettle:     Duration(5 * time.Minute),

			RetryUnexplained: Duration(30 * time.Minute),
			OnUnknown:        OnUnknownHold,
			LargeSigned:      LargeSignedFail,
			XHeaders:         []string{"auto"},
			ReportsInterval:  Duration(5 * time.Minute),
		},
		Alerts: Alerts{
			CheckEvery: seconds(15), CloseAfter: minutes(5), PerHour: 20,
			Heartbeat: AlertHeartbeat{Every: minutes(5)},
		},
		Admin: Admin{Address: "127.0.0.1:9025", ShowContent: true, TLS: AdminTLS{TLSMin: TLS12}},
		Log:   Log{Level: LevelInfo, Format: FormatAuto, Subjects: true, Recipients: true, MaxSize: 20 * MiB, MaxFiles: 10, MaxAge: minutes(30 * 24 * 60)},
	}
}

// MaxMessageSize is the most that an administrator of Exchange Online can allow a message to
// have (outlook-large-attachments).
const MaxMessageSize = 150 * MiB

// MessageSize returns the size of the largest message that a connection takes.
func (c *Config) MessageSize(of *Connection) Size {
	return min(cmp.Or(of.MessageSize, c.Limits.MessageSize), MaxMessageSize)
}

// ListenerSize returns the size of the largest message that any of the connections takes by
// which mail of the listener may go.
func (c *Config) ListenerSize(l Listener) (most Size) {
	for i := range c.Connections {
		of := &c.Connections[i]
		if of.SignIn == SignInPassThrough && of.Name != l.PassThrough {
			continue
		}
		most = max(most, c.MessageSize(of))
	}
	return most
}

// setDefaults implements defaulter.
func (l *Listener) setDefaults() {
	l.TLS, l.Auth, l.LineEndings, l.TLSMin = smtpd.TLSNone, smtpd.AuthRequired, smtpd.LineEndingsNormalize, TLS12
	l.Profile = ProfileModern
}

// LineLimit returns the longest line of a message that the listener accepts, in bytes and
// with the CRLF.
func (c *Config) LineLimit(l Listener) Size {
	switch {
	case l.LineLength != 0:
		return l.LineLength
	case l.Profile == ProfileLegacy:
		return max(c.Limits.LineLength, legacyLine)
	}
	return c.Limits.LineLength
}

// PlainAuth reports whether the listener accepts passwords without TLS from other machines,
// which must be in its networks.
func (l Listener) PlainAuth() bool {
	return l.Profile == ProfileLegacy && l.TLS == smtpd.TLSNone && l.Auth != smtpd.AuthNone &&
		len(l.Networks) > 0 && !tooWide(l.Networks...)
}

func (s *Sender) setDefaults() {
	s.From, s.ReplyTo, s.SendDenied = FromMailbox, ReplyToOriginal, SendDeniedFail
}

// Warnings returns warnings: settings that work but probably should be changed.
func (c *Config) Warnings() []string { return c.warnings }

func minutes(n int) Duration { return Duration(time.Duration(n) * time.Minute) }

func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
