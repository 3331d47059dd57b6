package simulator

import (
	"crypto/rsa"
	"log/slog"
	"time"
)

// QueueProperty is the extended property by which graphrelay marks its drafts.
const QueueProperty = "String {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Name graphrelay-id"

// Options says how the simulated tenant behaves. Every zero value has a default.
type Options struct {
	// Apps are the Entra applications that get tokens. None means: any tenant, any
	// client id, the secret "simulated".
	Apps []App

	// Mailboxes lists what exists: addresses ("a@contoso.test") and whole domains
	// ("contoso.test"). None means every domain. In a domain every address exists
	// except those whose local part starts with "missing" or "unknown".
	Mailboxes []string

	// Users are the mailboxes that have aliases, or more in the directory than an address.
	Users []User

	// SendAs gives, for each mailbox (lower case), the other addresses it may send
	// as. Nil lets a mailbox send as any address that exists; a map that is empty
	// allows no address but the mailbox's own.
	SendAs map[string][]string

	// FullAccess lists, for each mailbox (lower case), the owners of others who may use it.
	FullAccess map[string][]string

	Latency         time.Duration // that each mail call takes at least, upload ranges included
	AppearDelay     time.Duration // for which a new draft is not found [reported]; 0 is none
	SendDelay       time.Duration // from the 202 to Sent Items; 0 is 200 ms, negative is none
	InFlight        InFlight      // what an accepted item looks like until then
	TokenLifetime   time.Duration // 0 is one hour
	DeviceLife      time.Duration // of a device code; 0 is 15 minutes
	DeviceInterval  time.Duration // between polls for it, in seconds; 0 is 5 s
	RevokeRotated   bool          // a refresh token is refused once it gave a newer one; Entra documents that it is not
	SessionLife     time.Duration // of an upload session, from its creation; 0 is one hour
	Concurrency     int           // requests at a time per app and mailbox; 0 is 4, negative is unlimited
	RetryAfter      time.Duration // that a 429 of the simulator's own asks for; 0 is 1 s
	RequestQuota    int           // requests in ten minutes per app and mailbox; 0 is 10,000, negative is unlimited
	UploadQuota     int64         // request bytes in five minutes per app and mailbox; 0 is unlimited
	Limits          Limits        // sizes; zero fields are those of DecimalLimits
	Ranges          RangeForm     // how nextExpectedRanges is written
	MessageFlags    bool          // show PidTagMessageFlags where a GET asks for it [assumed]; else it is as if unset
	SessionQuirks   bool          // upload sessions lose contentType, isInline and contentId, as reported in the field
	ContentBytes    int64         // attachment, MIME and body bytes kept for viewing; 0 is 256 MiB
	MaxItems        int           // items held; the oldest sent ones go first; 0 is 100,000
	JournalSize     int           // calls held; 0 is 10,000
	LedgerSize      int           // sends held; 0 is 1,000,000
	Seed            uint64        // of faults with a probability
	QueueProperty   string        // whose value the ledger shows as queue id; "" is QueueProperty
	RequireContract bool          // collect what breaks graphrelay's own contract, see Violations

	// Logger gets one line a call. Nil discards.
	Logger *slog.Logger
}

// App is an Entra application. Empty Tenant or ClientID match any.
type App struct {
	Tenant   string
	ClientID string
	Secret   string   // "" is "simulated"
	Roles    []string // application permissions; nil is Mail.ReadWrite and Mail.Send, not User.Read.All

	// Certificates that are registered, in DER. With none and no Federated, the claims of
	// an assertion are read, but any signature is taken.
	Certificates [][]byte
	// Federated are the identities elsewhere that may sign in as the application.
	Federated []Federated

	// Confidential applications have to show their secret also where an owner signs in.
	Confidential bool
	// RedirectURIs that owners may be led back to after they signed in; nil is any.
	RedirectURIs []string
}

// Federated is a federated identity credential ("Workload identity federation").
type Federated struct {
	Issuer, Subject string
	Key             *rsa.PublicKey // of the issuer, for RS256; required
}

// InFlight says what an item looks like between the 202 and Sent Items.
type InFlight int

const (
	// InFlightBoth shows the draft for the first half of the delay and nothing for the
	// second. Clients have to stand both.
	InFlightBoth InFlight = iota
	// InFlightDraft keeps showing it as a draft in Drafts. [assumed]
	InFlightDraft
	// InFlightHidden answers 404. [documented] on "Obtain immutable identifiers for
	// Outlook resources".
	InFlightHidden
)

// RangeForm is the way nextExpectedRanges is written after a range of an upload.
type RangeForm int

const (
	RangeBare      RangeForm = iota // "2097152", [documented] on "Attach large files to Outlook messages"
	RangeOpen                       // "2097152-"
	RangeClosed                     // "2097152-3483321"
	RangeAlternate                  // each of them in turn
)

func (o Options) withDefaults() Options {
	setDefault(&o.SendDelay, 200*time.Millisecond)
	setDefault(&o.TokenLifetime, time.Hour)
	setDefault(&o.SessionLife, time.Hour)
	setDefault(&o.DeviceLife, deviceLife)
	setDefault(&o.DeviceInterval, pollInterval)
	setDefault(&o.Concurrency, 4)
	setDefault(&o.RetryAfter, time.Second)
	setDefault(&o.RequestQuota, 10_000)
	setDefault(&o.ContentBytes, 256<<20)
	setDefault(&o.MaxItems, 100_000)
	setDefault(&o.JournalSize, 10_000)
	setDefault(&o.LedgerSize, 1_000_000)
	setDefault(&o.QueueProperty, QueueProperty)
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
