package simulator

import (
	"crypto/rsa"
	"log/slog"
	"time"
)

// QueueProperty is the extended property with which graphrelay marks its drafts.
const QueueProperty = "String {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Name graphrelay-id"

// Options configures the simulated tenant. The zero value of each field is a usable default;
// where a default has to be turned off, a negative value does that.
type Options struct {
	// Apps are the Entra applications that get tokens. Without any, every tenant and
	// client id gets them with the secret "simulated".
	Apps []App

	// Mailboxes lists the mailboxes that exist: addresses ("a@contoso.test") and whole
	// domains ("contoso.test"). Without any, all domains exist. In a domain every address
	// exists, except those that begin with "missing" or "unknown".
	Mailboxes []string

	// Users are the mailboxes that have aliases or other data in the directory.
	Users []User

	// TenantID is the id of the tenant, which "organizations" and "common" in a path stand for
	// when somebody signs in; "" is a fixed one.
	TenantID string
	// Admins are the accounts of Global Administrators; nil is every account that begins with
	// "admin@".
	Admins []string
	// PublicClients are client ids with which people can sign in, beside that of Microsoft
	// Graph Command Line Tools, 14d82eec-204b-4c2f-b7e8-296a70dab67e.
	PublicClients []string

	// SendAs maps each mailbox (lower case) to the other addresses that it may send as. If
	// it is nil, a mailbox may send as any address that exists. An empty map allows no
	// address but the mailbox's own. In another one's mailbox, the rights are those of the
	// owner who signed in.
	SendAs map[string][]string

	// FullAccess maps each mailbox (lower case) to the addresses of other users who may use it.
	FullAccess map[string][]string

	Latency         time.Duration // minimum duration of a mail request, upload ranges included
	SendDelay       time.Duration // from the 202 until the item is in Sent Items; 0 is 200 ms, negative is none
	InFlight        InFlight      // how a submitted item looks until then
	TokenLifetime   time.Duration // 0 is one hour
	DeviceLife      time.Duration // of a device code; 0 is 15 minutes
	DeviceInterval  time.Duration // between polls for a device code, whole seconds; 0 is 5 s
	RevokeRotated   bool          // refuse a refresh token once a newer one was issued, which Entra does not do
	SessionLife     time.Duration // of an upload session, from its creation; 0 is one hour
	Concurrency     int           // requests at a time per app and mailbox; 0 is 4, negative is unlimited
	RetryAfter      time.Duration // of a 429 for a limit; 0 is 1 s
	RequestQuota    int           // requests in ten minutes per app and mailbox; 0 is 10,000, negative is unlimited
	UploadQuota     int64         // request bytes in five minutes per app and mailbox; 0 is unlimited
	Limits          Limits        // zero fields are those of DecimalLimits
	Ranges          RangeForm     // how nextExpectedRanges is written
	MessageFlags    bool          // show PidTagMessageFlags if a GET asks for it [assumed]
	ContentBytes    int64         // bytes of attachments, MIME messages and bodies that are kept; 0 is 256 MiB
	MaxItems        int           // after which the oldest sent items are removed; 0 is 100,000
	JournalSize     int           // number of calls; 0 is 10,000
	LedgerSize      int           // number of sends; 0 is 1,000,000
	Arrivals        int           // number of sends of which the recipients' copies are kept; 0 is 10,000
	Seed            uint64        // of the random numbers for Fault.Probability
	QueueProperty   string        // extended property that the ledger shows as queue id; "" is the constant QueueProperty
	Deliver         bool          // put what is sent into the Inboxes of recipients who have a mailbox here
	RequireContract bool          // check requests against graphrelay's own rules, see Violations

	// World is the world that New and Reset put in force. See Simulator.SetWorld.
	World World

	// Logger logs each call. It may be nil.
	Logger *slog.Logger
}

// App is an Entra application. An empty Tenant or ClientID matches any.
type App struct {
	Tenant   string
	ClientID string
	Secret   string   // "" is "simulated"
	Roles    []string // application permissions; nil is Mail.ReadWrite and Mail.Send, not User.Read.All

	// Certificates are the registered certificates, in DER. Without any, and without
	// Federated, the claims of an assertion are checked, but not its signature.
	Certificates [][]byte
	// Federated are the identities of other issuers that may sign in as the application.
	Federated []Federated

	// RBAC are application permissions that the tokens do not show ("Role Based Access
	// Control for Applications in Exchange Online").
	RBAC []string
	// AdminConsent are the delegated permissions to which an administrator has agreed for all
	// users. Other ones need the sign-in page, where whoever signs in agrees to all.
	AdminConsent []string
	// DeniedScopes are delegated permissions that Entra leaves out of the tokens.
	DeniedScopes []string
	// Confidential requires the secret also where an owner signs in.
	Confidential bool
	// RedirectURIs are the registered redirect URIs; nil allows any.
	RedirectURIs []string

	public     bool   // a client of Microsoft's, which cannot sign in as itself
	registered bool   // through Graph: all assertions are verified
	objectID   string // of its service principal
}

// Federated is a federated identity credential ("Workload identity federation").
type Federated struct {
	Issuer, Subject string
	Key             *rsa.PublicKey // public key of the issuer, for RS256; required
}

// InFlight selects how an item looks between the 202 and Sent Items.
type InFlight int

const (
	// InFlightBoth shows the draft for the first half of the delay and hides it for the
	// second. Clients have to cope with both.
	InFlightBoth InFlight = iota
	// InFlightDraft shows it as a draft in Drafts. [assumed]
	InFlightDraft
	// InFlightHidden hides it: 404. [documented] "Obtain immutable identifiers for Outlook
	// resources".
	InFlightHidden
)

// RangeForm selects the form of nextExpectedRanges in the answers to ranges.
type RangeForm int

const (
	RangeBare      RangeForm = iota // "2097152" [documented], "Attach large files to Outlook messages"
	RangeOpen                       // "2097152-"
	RangeClosed                     // "2097152-3483321"
	RangeAlternate                  // the three in turn
)

func (o Options) withDefaults() Options {
	setDefault(&o.TenantID, defaultTenantID)
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
	setDefault(&o.Arrivals, 10_000)
	setDefault(&o.QueueProperty, QueueProperty)
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// setDefault sets a field that has its zero value.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
