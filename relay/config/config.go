// Package config reads and checks graphrelay's configuration file.
//
// It promises that a Config which Load returns is complete and consistent:
// defaults are filled in, relative paths are resolved against the folder of the
// file, secrets are read, certificates and password hashes are usable, and no
// setting opens the relay to strangers. A file that falls short is refused with
// every fault in it, each with file, line, key and remedy. An error never shows
// a secret's value.
//
// config.example.yaml at the root of the repository is the reference of all
// keys.
package config

import (
	"net/netip"
	"os"
	"slices"
	"time"
)

// Config is the whole configuration. It is not changed after it was loaded; a
// reload makes a new one.
type Config struct {
	Hostname    string       `yaml:"hostname"` // in greetings and Received fields
	DataDir     string       `yaml:"data_dir"`
	Listeners   []Listener   `yaml:"listeners"`
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
	Admin       Admin        `yaml:"admin"`
	Log         Log          `yaml:"log"`

	warnings []string
}

// Listener is one SMTP port.
type Listener struct {
	Name    string   `yaml:"name"`
	Address string   `yaml:"address"` // IP:port, localhost:port or :port
	TLS     TLSMode  `yaml:"tls"`
	Auth    AuthMode `yaml:"auth"`
	// PassThrough names the connection whose clients bring their own credential.
	PassThrough string         `yaml:"pass_through"`
	Networks    []netip.Prefix `yaml:"networks"` // who may connect; empty: anyone
	// ProxyNetworks are the load balancers that say with a PROXY header whom they speak for.
	ProxyNetworks []netip.Prefix `yaml:"proxy_networks"`
	Wait          Duration       `yaml:"wait_for_delivery"`
	// LineEndings says what becomes of messages with bare CRs and LFs.
	LineEndings LineEndings `yaml:"line_endings"`
	// Profile says whose mistakes are forgiven; see also PlainAuth and LineLimit.
	Profile    Profile `yaml:"profile"`
	LineLength Size    `yaml:"line_length"` // as given; see LineLimit
	AddDomain  string  `yaml:"add_domain"`  // completes names without a domain; empty: they are refused
	// OpenToEveryone lets Networks be as wide as the Internet without a password.
	OpenToEveryone bool       `yaml:"open_to_everyone"`
	Recipients     Recipients `yaml:"recipients"`

	CertFile     string        `yaml:"cert_file"` // in place of the tls section's; see CertificateOf
	KeyFile      string        `yaml:"key_file"`
	TLSMin       TLSFloor      `yaml:"tls_min"`
	TLSCiphers   []CipherSuite `yaml:"tls_ciphers"`    // up to TLS 1.2; empty: what TLSMin lets in
	ClientCAFile string        `yaml:"client_ca_file"` // PEM; whose certificates sign clients in
}

// TLS names the certificate of the listeners with TLS that have none of their
// own; it is empty without one.
type TLS struct {
	CertFile string `yaml:"cert_file"` // PEM, the chain included
	KeyFile  string `yaml:"key_file"`  // PEM
}

// Limits bounds what one client, one message and all of them can take.
type Limits struct {
	MessageSize           Size     `yaml:"message_size"` // RFC 1870 SIZE
	Recipients            int      `yaml:"recipients"`   // of one message
	Connections           int      `yaml:"connections"`  // at a time, in all
	ConnectionsPerAddress int      `yaml:"connections_per_address"`
	ConnectionsPerNetwork int      `yaml:"connections_per_network"`
	ConnectionsPerMinute  int      `yaml:"connections_per_minute"` // new ones from one address
	Commands              int      `yaml:"commands"`               // of a connection without a message
	Errors                int      `yaml:"errors"`                 // likewise
	BadRecipients         int      `yaml:"bad_recipients"`         // likewise
	SessionTimeout        Duration `yaml:"session_timeout"`        // longest time of a connection without a message
	AuthFailures          int      `yaml:"auth_failures"`          // of one user from one address
	AuthBlock             Duration `yaml:"auth_block"`             // what follows them
	Timeout               Duration `yaml:"timeout"`                // longest wait for a client's next bytes
	MessageTimeout        Duration `yaml:"message_timeout"`        // longest time for one message's data
	MinRate               Size     `yaml:"min_rate"`               // of it in a second; 0: any
	LineLength            Size     `yaml:"line_length"`
	Parts                 int      `yaml:"parts"`         // MIME parts of one message
	Depth                 int      `yaml:"depth"`         // nesting of MIME parts
	HeaderSize            Size     `yaml:"header_size"`   // of the message and of each part
	HeaderFields          int      `yaml:"header_fields"` // likewise
	HeaderValue           Size     `yaml:"header_value"`  // of one field, as far as it is read
}

// Rates bounds how much is taken from each user, client and sender; what is more is
// put off.
type Rates struct {
	User    Rate `yaml:"user"`    // who signed in
	Address Rate `yaml:"address"` // the client's IP address, of IPv6 its /64
	Sender  Rate `yaml:"sender"`  // the envelope's, and the header From
}

// Rate is a speed. A zero field bounds nothing.
type Rate struct {
	Messages   int `yaml:"messages_per_minute"`
	Recipients int `yaml:"recipients_per_day"`
}

// User is an account that mail clients sign in with (RFC 4954).
type User struct {
	Name         string     `yaml:"name"`
	PasswordHash Secret     `yaml:"password_hash"` // bcrypt; empty: no password signs the user in
	Certificate  string     `yaml:"certificate"`   // the name in the user's certificate, in lower case; empty: none does
	Senders      []Pattern  `yaml:"senders"`       // the addresses that the user may send from
	Connection   string     `yaml:"connection"`    // in place of their domains'; see ConnectionOf
	Recipients   Recipients `yaml:"recipients"`
}

// Sender maps the senders that match to a mailbox. All of its conditions have to hold.
type Sender struct {
	Match      Pattern        `yaml:"match"`    // of the sender; * is also one without an address
	Envelope   Pattern        `yaml:"envelope"` // of MAIL FROM; the zero value is any
	Networks   []netip.Prefix `yaml:"networks"` // of the client; empty: any
	Users      []string       `yaml:"users"`    // who signed in; empty: anybody
	Mailbox    string         `yaml:"mailbox"`
	From       SenderFrom     `yaml:"from"`         // what recipients see
	OnBehalfOf bool           `yaml:"on_behalf_of"` // the mailbox is shown as sending on behalf of From
	Connection string         `yaml:"connection"`   // in place of the user's and the domain's; see ConnectionOf
	ReplyTo    ReplyTo        `yaml:"reply_to"`
	Signature  string         `yaml:"signature"` // its name; empty: none
}

// SenderFrom says what recipients see as From: an address, or one of the choices.
type SenderFrom string

// The choices for From.
const (
	FromMailbox  SenderFrom = "mailbox"
	FromOriginal SenderFrom = "original"
)

// Queue bounds what is kept: mail that waits, and what has ended.
type Queue struct {
	MaxMessages      int      `yaml:"max_messages"` // that are not sent
	MaxSize          Size     `yaml:"max_size"`     // of those together
	MinFreeSpace     Size     `yaml:"min_free_space"`
	KeepSent         Duration `yaml:"keep_sent"` // the delivery log
	KeepSentMessages int      `yaml:"keep_sent_messages"`
	KeepFailed       Duration `yaml:"keep_failed"` // failed messages, with their content
}

// Delivery steers how queued messages go to Graph.
type Delivery struct {
	GiveUpAfter        Duration    `yaml:"give_up_after"`
	MailboxConcurrency int         `yaml:"mailbox_concurrency"` // requests at a time to one mailbox
	MailboxPace        int         `yaml:"mailbox_pace"`        // messages of one mailbox in a minute; 0: any
	MailboxRequests    int         `yaml:"mailbox_requests"`    // to one mailbox in 10 minutes; 0: any
	MailboxUpload      Size        `yaml:"mailbox_upload"`      // to one mailbox in 5 minutes; 0: any
	Concurrency        int         `yaml:"concurrency"`         // messages in delivery at a time, in all, of mailboxes that answer
	RetryDelays        []Duration  `yaml:"retry_delays"`        // the last one repeats
	RequestTimeout     Duration    `yaml:"request_timeout"`     // longest wait for the answer to one request
	SendSettle         Duration    `yaml:"send_settle"`         // watch of a send whose answer was lost
	OnUnknown          OnUnknown   `yaml:"on_unknown"`
	LargeSigned        LargeSigned `yaml:"large_signed"`
	XHeaders           []string    `yaml:"x_headers"`  // patterns of X- fields to carry
	Postmaster         string      `yaml:"postmaster"` // the mailbox that bounces come from; empty: the message's own
	WarnAfter          Duration    `yaml:"warn_after"` // when the sender is told of a delay; 0: never
}

// Admin is the console, the admin API, health and metrics.
type Admin struct {
	Address string `yaml:"address"` // loopback only
	URL     string `yaml:"url"`     // where browsers reach it; see BaseURL
}

// Log steers the program's log and the delivery log.
type Log struct {
	Level    LogLevel  `yaml:"level"`
	Format   LogFormat `yaml:"format"`
	Subjects bool      `yaml:"subjects"` // whether the delivery log keeps subjects
}

// TLSMode says how a listener uses TLS.
type TLSMode string

// The TLS modes of a listener.
const (
	TLSNone     TLSMode = "none"
	TLSStartTLS TLSMode = "starttls" // RFC 3207
	TLSImplicit TLSMode = "implicit" // RFC 8314
)

// AuthMode says whether a listener's clients sign in.
type AuthMode string

// The AUTH modes of a listener.
const (
	AuthNone     AuthMode = "none"
	AuthOptional AuthMode = "optional"
	AuthRequired AuthMode = "required"
)

// LineEndings says what becomes of a message with a CR or LF that is not part of a
// CRLF (RFC 5321 section 2.3.8).
type LineEndings string

// The choices for bare line endings.
const (
	LineEndingsNormalize LineEndings = "normalize" // LF becomes CRLF, CR a space
	LineEndingsReject    LineEndings = "reject"
)

// Profile says whose mistakes a listener forgives.
type Profile string

// The profiles of a listener.
const (
	ProfileModern Profile = "modern" // nobody's
	ProfileLegacy Profile = "legacy" // those of old devices
)

// legacyLine is the line_length of a legacy listener that has none of its own.
const legacyLine = 1 * MiB

// ReplyTo says what becomes of a sender's address that a rule replaced.
type ReplyTo string

// The choices for Reply-To.
const (
	ReplyToOriginal ReplyTo = "original"
	ReplyToNone     ReplyTo = "none"
)

// OnUnknown says what becomes of a message of which nobody can tell whether it was sent.
type OnUnknown string

// The choices for a message whose fate is unknown.
const (
	OnUnknownHold   OnUnknown = "hold"   // for the operator
	OnUnknownResend OnUnknown = "resend" // rather twice than never
)

// LargeSigned says what becomes of a signed or encrypted message that is too large
// to be sent as it is.
type LargeSigned string

// The choices for a large signed or encrypted message.
const (
	LargeSignedFail    LargeSigned = "fail"
	LargeSignedConvert LargeSigned = "convert" // its parts as attachments, the signature void
)

// LogLevel is the least severity that is logged.
type LogLevel string

// The log levels.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// LogFormat is the form of a log line.
type LogFormat string

// The log formats. Auto is text on a terminal and JSON otherwise.
const (
	FormatAuto LogFormat = "auto"
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// Default returns the configuration of an empty file: every key that has a
// default, and no listener, user, connection or sender.
func Default() *Config {
	return &Config{
		Hostname: hostname(),
		DataDir:  "data",
		Limits: Limits{
			MessageSize:           150 * MiB,
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
			MaxMessages:      100_000,
			MaxSize:          20 * GiB,
			MinFreeSpace:     128 * MiB,
			KeepSent:         minutes(30 * 24 * 60),
			KeepSentMessages: 100_000,
			KeepFailed:       minutes(30 * 24 * 60),
		},
		Delivery: Delivery{
			GiveUpAfter:        minutes(48 * 60),
			MailboxConcurrency: 4,
			MailboxRequests:    10_000,
			MailboxUpload:      150_000_000,
			Concurrency:        32,
			RetryDelays: []Duration{
				Duration(30 * time.Second), minutes(1), minutes(2), minutes(5),
				minutes(10), minutes(20), minutes(30), minutes(60),
			},
			RequestTimeout: minutes(2),
			SendSettle:     Duration(5 * time.Minute),
			OnUnknown:      OnUnknownHold,
			LargeSigned:    LargeSignedFail,
			XHeaders:       []string{"X-*"},
		},
		Admin: Admin{Address: "127.0.0.1:9025"},
		Log:   Log{Level: LevelInfo, Format: FormatAuto, Subjects: true},
	}
}

// setDefaults is called on each element of a list before the file's keys.
func (l *Listener) setDefaults() {
	l.TLS, l.Auth, l.LineEndings, l.TLSMin = TLSNone, AuthRequired, LineEndingsNormalize, TLS12
	l.Profile = ProfileModern
}

// LineLimit is the longest line of a message, the CRLF included, that the listener takes.
func (c *Config) LineLimit(l Listener) Size {
	switch {
	case l.LineLength != 0:
		return l.LineLength
	case l.Profile == ProfileLegacy:
		return max(c.Limits.LineLength, legacyLine)
	}
	return c.Limits.LineLength
}

// PlainAuth says whether passwords are taken without TLS from other machines: from the
// listener's networks alone, none of which strangers are in.
func (l Listener) PlainAuth() bool {
	return l.Profile == ProfileLegacy && l.TLS == TLSNone && l.Auth != AuthNone &&
		len(l.Networks) > 0 && !slices.ContainsFunc(l.Networks, tooWide)
}

func (s *Sender) setDefaults() { s.From, s.ReplyTo = FromMailbox, ReplyToOriginal }

// Warnings lists what deserves a look but keeps nothing from working.
func (c *Config) Warnings() []string { return c.warnings }

func minutes(n int) Duration { return Duration(time.Duration(n) * time.Minute) }

func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
