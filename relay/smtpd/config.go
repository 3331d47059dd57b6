package smtpd

import (
	"crypto/tls"
	"net/netip"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
	"graphrelay/relay/verdict"
)

// Config holds the settings of one listener. A limit of 0 allows nothing, unless its field
// defines otherwise.
type Config struct {
	Name     string
	Hostname string // in the greeting and in Received (RFC 5321 sections 4.2 and 4.4)

	TLS           TLSConfig
	Auth          AuthConfig
	Networks      []netip.Prefix // that clients may connect from; empty: anywhere
	DenyNetworks  []netip.Prefix // that clients may not connect from, whatever the Policy says
	ProxyNetworks []netip.Prefix // of load balancers that send a PROXY header
	Leniency      Leniency

	Timeout time.Duration // longest wait for a client's next bytes (RFC 5321 section 4.5.3.2)
	Session SessionLimits
	Message MessageLimits
	Queue   queue.Limits // beyond which no mail is accepted
	Verdict VerdictConfig

	Refusals *refusals.Log // remembers whom the listener refuses; nil: nobody does
	// Accepted is called for each message that got as far as the queue, before its session is
	// answered; nil: it is not.
	Accepted func(Acceptance)
}

// Acceptance is what the listener knows of a message.
type Acceptance struct {
	ID      string
	Started time.Time // when its data began
	Size    int64     // of the data
	Entry   queue.Entry
	Refused reason.Reason // why the session is told that it is not accepted; empty: it is
}

// TLSConfig is how a listener uses TLS.
type TLSConfig struct {
	Mode   TLSMode
	Config *tls.Config // nil with TLSNone
}

// TLSMode is when TLS begins.
type TLSMode string

// The TLS modes of a listener.
const (
	TLSNone     TLSMode = "none"
	TLSStart    TLSMode = "starttls" // RFC 3207
	TLSImplicit TLSMode = "implicit" // RFC 8314 section 3.3
)

// Values returns the modes as they are configured.
func (TLSMode) Values() []string {
	return []string{string(TLSNone), string(TLSStart), string(TLSImplicit)}
}

// AuthConfig is how clients authenticate (RFC 4954).
type AuthConfig struct {
	Mode   AuthMode
	Bearer bool // accepts the clients' own tokens too (OAUTHBEARER, RFC 7628, and XOAUTH2)
	Plain  bool // accepts passwords without TLS from other hosts; Networks must be set
}

// AuthMode is whether clients authenticate.
type AuthMode string

// The authentication modes of a listener.
const (
	AuthNone     AuthMode = "none"
	AuthOptional AuthMode = "optional"
	AuthRequired AuthMode = "required"
)

// Values returns the modes as they are configured.
func (AuthMode) Values() []string {
	return []string{string(AuthNone), string(AuthOptional), string(AuthRequired)}
}

// Leniency is which violations of RFC 5321 are corrected.
type Leniency struct {
	LineEndings LineEndings
	Commands    bool   // those of old devices in command lines, see tidy
	Domain      string // added to addresses without one in MAIL and RCPT; empty: they are refused
}

// LineEndings is what happens to a CR or LF in a message that is not part of a CRLF, which
// RFC 5321 section 2.3.8 forbids.
type LineEndings string

// The values of LineEndings. With either, only the five bytes CRLF.CRLF end a message.
const (
	LineEndingsNormalize LineEndings = "normalize" // LF becomes CRLF, CR a space
	LineEndingsReject    LineEndings = "reject"
)

// Values returns the choices as they are configured.
func (LineEndings) Values() []string {
	return []string{string(LineEndingsNormalize), string(LineEndingsReject)}
}

// SessionLimits bound what a client may do on one connection without a message.
type SessionLimits struct {
	Commands      int
	Errors        int // refused commands; from half of them on, replies are delayed
	BadRecipients int // recipients refused for good, which do not count as errors
	Time          time.Duration
	Delay         time.Duration // by which each delayed reply waits longer than the one before
}

// MessageLimits bound one message.
type MessageLimits struct {
	Bytes       int64         // announced as SIZE (RFC 1870)
	Recipients  int           // announced as RCPTMAX (RFC 9422)
	LineBytes   int           // of a line, the CRLF included (RFC 5321 section 4.5.3.1.6)
	HeaderBytes int           // of the header that Policy.Route is given
	Time        time.Duration // for the whole of its data
	MinRate     int64         // bytes a second; a client may be behind it by Timeout. 0: any rate
}

// VerdictConfig is how long the reply to a message waits for Graph's verdict, so that the
// client learns of a refusal in its session.
type VerdictConfig struct {
	Wait   time.Duration // 0: it does not wait
	Source verdict.Source
}
