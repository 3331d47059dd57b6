package simulator

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// World has the ways in which a tenant, its cloud or Exchange may differ from what the
// simulator shows by default. The zero value differs in nothing. A mailbox, recipient or
// address in a list is compared without regard to case; "*" stands for all.
//
// Each field gives its source: [documented] by Microsoft, [reported] by users, or [assumed]
// because no source settles it. A number sign is an issue of the named repository, or of
// microsoft-graph-docs if none is named.
type World struct {
	// FilterLag is the time from the creation of an item until $filter finds it by an
	// extended property or by internetMessageId. GET by id finds it at once. [assumed]: no
	// source says that the index is current.
	FilterLag time.Duration `json:"filterLag"`
	// FilterIgnored makes $filter on messages match all items of the folder. [assumed] for
	// messages; [documented] for /attachments, "Known issues with Microsoft Graph" 13635.
	FilterIgnored bool `json:"filterIgnored"`
	// FilterStatus is the status with which $filter on messages is refused; 0 is none.
	// [reported] for 504, #5853, #4988 and #11628, of large mailboxes; [assumed] for others.
	FilterStatus int `json:"filterStatus"`
	// WideFilterStatus is FilterStatus for look-ups in the whole mailbox only, not in a
	// folder. [reported] for 504, as above.
	WideFilterStatus int `json:"wideFilterStatus"`
	// ExpandIgnored makes lists leave out extended properties that $expand asks for; GET by
	// id shows them. [assumed]: other projects use $expand beside $filter, without a word on
	// its success.
	ExpandIgnored bool `json:"expandIgnored"`

	// AppearDelay is the time for which a new draft cannot be found, not by its id either.
	// [reported], olkcli #118.
	AppearDelay time.Duration `json:"appearDelay"`
	// AttachmentsPage is how many attachments a page of their list has; 0 is all. [assumed];
	// msgraph-sdk-powershell #1927 [reported] that $top is ignored there.
	AttachmentsPage int `json:"attachmentsPage"`
	// NewMessageIDOnCreate gives a draft an internetMessageId of the service's, whatever the
	// request asked for. [assumed], by two projects, for drafts created from JSON.
	NewMessageIDOnCreate bool `json:"newMessageIdOnCreate"`
	// MIMELosesBcc makes the Bcc field of a message in MIME lost. [assumed]: that its
	// addresses become recipients is the claim of a client's author only.
	MIMELosesBcc bool `json:"mimeLosesBcc"`

	// MIMEKeepsBcc leaves the Bcc field of a message in MIME in what recipients get, and
	// MIMELosesMethod takes the method of an invitation in MIME from it. [assumed]: no source
	// shows what recipients get of such a message.
	MIMEKeepsBcc    bool `json:"mimeKeepsBcc"`
	MIMELosesMethod bool `json:"mimeLosesMethod"`
	// CopyLoses are header fields that recipients do not get. [assumed]: no source shows which
	// of those that are set as properties leave with the message.
	CopyLoses []string `json:"copyLoses,omitempty"`
	// CopyTNEF makes recipients get a winmail.dat. [documented] for Exchange, "Set-RemoteDomain",
	// TNEFEnabled; [assumed] that mail by Graph can get it.
	CopyTNEF bool `json:"copyTnef"`
	// CopyToJunk makes mail come to Junk Email instead of the Inbox. [assumed] for mail of the
	// tenant's own.
	CopyToJunk bool `json:"copyToJunk"`
	// SavesAlways keeps a copy of what sendMail sends, whatever saveToSentItems says.
	// [assumed]
	SavesAlways bool `json:"savesAlways"`

	// NewIDOnSend gives an item a new immutable id when it moves to Sent Items. "Obtain
	// immutable identifiers for Outlook resources" says that it keeps it, "Overview of the
	// Outlook mail API" that it does not [documented, contradictory]; #1533 and #11969
	// [reported] that it did not.
	NewIDOnSend bool `json:"newIdOnSend"`
	// NewMessageIDOnSend gives an item a new internetMessageId when it is sent. [assumed], by
	// two projects, for drafts created from JSON.
	NewMessageIDOnSend bool `json:"newMessageIdOnSend"`
	// SendLosesProperties makes an item lose its extended properties when it moves to Sent
	// Items. [assumed]: no source says that they survive.
	SendLosesProperties bool `json:"sendLosesProperties"`
	// SendsAgain makes a send of an item that was submitted before send it once more, where
	// it is still found. [assumed]: no source says what is answered.
	SendsAgain bool `json:"sendsAgain"`
	// DeleteTo is where DELETE moves an item: "recoverable" is Recoverable Items [reported],
	// msgraph-sdk-powershell #3265, "deleted" is Deleted Items [reported] by a client's
	// author. Recoverable items answer GET by id, and a second DELETE gets 403
	// ErrorCannotDeleteObject [reported], #2894. "" removes the item for good.
	DeleteTo string `json:"deleteTo"`
	// NoPermanentDelete removes the action permanentDelete. [documented], "message:
	// permanentDelete": it is in the global cloud only.
	NoPermanentDelete bool `json:"noPermanentDelete"`

	// NoUploadSessions removes the action createUploadSession. [documented] in the metadata
	// of the clouds for the US government, and in a table of "attachment:
	// createUploadSession".
	NoUploadSessions bool `json:"noUploadSessions"`
	// MissingStatus is the status for an action that the cloud lacks; 0 is 400. [assumed]
	MissingStatus int `json:"missingStatus"`
	// NoSharedSessions refuses createUploadSession to an owner in another one's mailbox.
	// [documented], "Known issues with Microsoft Graph".
	NoSharedSessions bool `json:"noSharedSessions"`
	// SessionsLoseFields makes upload sessions lose contentType, isInline and contentId.
	// [reported], msgraph-sdk-dotnet #2941 for contentType, #9140 and #9185 for the others.
	SessionsLoseFields bool `json:"sessionsLoseFields"`
	// UploadStateStatus is the status with which a GET of an upload URL is refused; 0 is none.
	// [assumed]: no source shows such a request for mail.
	UploadStateStatus int `json:"uploadStateStatus"`
	// SharedScopes requires the .Shared form of a scope in a mailbox that is not the
	// signer's own. [documented], "Send Outlook messages from another user"; [reported] for
	// Mail.ReadWrite, microsoft-graph-explorer-v4 #3786.
	SharedScopes bool `json:"sharedScopes"`

	// DroppedProperties are properties of a message that a create loses silently, and
	// RefusedProperties those for which it gets 400: names such as "from", or ids of extended
	// properties such as "String 0x1042". [documented] in the metadata of the cloud in China,
	// that it lacks internetMessageHeaders; [assumed] what it answers, and all other
	// properties.
	DroppedProperties []string `json:"droppedProperties,omitempty"`
	RefusedProperties []string `json:"refusedProperties,omitempty"`
	// RefusedUnnamed makes the refusal of RefusedProperties say nothing of the property.
	// [assumed]: codes such as ErrorInvalidRequest have come with general texts.
	RefusedUnnamed bool `json:"refusedUnnamed"`
	// RefusedMIME are types of parts for which a message in MIME gets 400. [assumed]: no
	// source shows that an invitation or a report is accepted.
	RefusedMIME []string `json:"refusedMIME,omitempty"`
	// MessageSize is the tenant's limit for a message that is sent, in bytes; 0 is none
	// beside Limits.Message. [documented], "Exchange Online limits": 35 MB, see
	// DefaultMessageSize, unless an administrator raises it.
	MessageSize int64 `json:"messageSize"`
	// SizeAtAttachment refuses at the attachment or upload range that exceeds MessageSize,
	// not at the send. [reported], #15579.
	SizeAtAttachment bool `json:"sizeAtAttachment"`
	// Unresolved are recipients that a send refuses by name: 400 ErrorInvalidRecipients.
	// [reported], msgraph-sdk-dotnet #1891.
	Unresolved []string `json:"unresolved,omitempty"`
	// UnresolvedAtCreate refuses Unresolved at the create of a draft, not at its send.
	// [assumed]
	UnresolvedAtCreate bool `json:"unresolvedAtCreate"`

	// SendAsOnly allows as From the mailbox's own addresses and those in Options.SendAs,
	// also if that is nil. [documented], "Send Outlook messages from another user".
	SendAsOnly bool `json:"sendAsOnly"`
	// RewriteAlias replaces an alias in From by the primary address. [documented] in
	// Exchange's blog for a tenant without SendFromAliasEnabled.
	RewriteAlias bool `json:"rewriteAlias"`
	// ReplaceFromName replaces From's display name by that of its mailbox. [reported],
	// Mailozaurr #39.
	ReplaceFromName bool `json:"replaceFromName"`
	// ResolveRecipients shows recipients of the tenant with their primary address and the
	// name in the directory. [documented] for the name, in the samples of "Create message";
	// [assumed] for the address.
	ResolveRecipients bool `json:"resolveRecipients"`
	// AddressIsNoKey finds a mailbox in a path by its user principal name and object id
	// only. [assumed]: older pages name only these two, "Overview of the Outlook mail API"
	// names the address too.
	AddressIsNoKey bool `json:"addressIsNoKey"`
	// UserValueLimit is the longest value in a $filter on users; 0 is unlimited.
	// [documented], Entra's known issues: 120 characters.
	UserValueLimit int `json:"userValueLimit"`
	// NoUserOr refuses "or" in a $filter on users. [assumed]: no source shows a disjunction
	// of lambdas without advanced query parameters.
	NoUserOr bool `json:"noUserOr"`

	// Elsewhere are mailboxes that are on-premises or in another tenant: 404
	// ResourceNotFound. [reported] by several projects.
	Elsewhere []string `json:"elsewhere,omitempty"`
	// Moving are mailboxes that are moved to another server, for MoveDuration from when
	// the world was set; 0 is until it is set anew. The code ErrorMailboxMoveInProgress is
	// [reported], its status is not: MoveStatus; 0 is 400.
	Moving       []string      `json:"moving,omitempty"`
	MoveDuration time.Duration `json:"moveDuration"`
	MoveStatus   int           `json:"moveStatus"`
	// Denied are mailboxes that the role assignment of an application does not cover: 403.
	// Once they are not listed any more, the refusal stays until nothing has asked for
	// PermissionCache, and for four times as long if something keeps asking. [documented],
	// "Role Based Access Control for Applications in Exchange Online": 30 minutes for an idle
	// application, up to two hours otherwise.
	Denied          []string      `json:"denied,omitempty"`
	PermissionCache time.Duration `json:"permissionCache"`
	// DeniedByPolicy refuses Denied with the text of application access policies
	// [reported].
	DeniedByPolicy bool `json:"deniedByPolicy"`
	// ItemFirst answers a request for an item that does not exist with 404 also where the
	// token lacks the right. [assumed]: no source says what is looked at first.
	ItemFirst bool `json:"itemFirst"`

	// DirectoryLag is the time from a change of an application, a service principal or a role
	// assignment until it is found. [reported] as seconds up to minutes after a create, by
	// terraform-provider-azuread and others; the directory is replicated.
	DirectoryLag time.Duration `json:"directoryLag"`
	// KeyLag is the time until a new certificate of an application is accepted. [reported]:
	// about 20 seconds, at times minutes.
	KeyLag time.Duration `json:"keyLag"`
	// GrantLag is the time until new tokens have a role that was assigned. [reported]
	GrantLag time.Duration `json:"grantLag"`
	// RBACLag is the time until a role assignment in Exchange has effect. [documented], "Role
	// Based Access Control for Applications in Exchange Online": 30 minutes to two hours.
	RBACLag time.Duration `json:"rbacLag"`
	// HexKeyIdentifiers shows customKeyIdentifier in hex, not in base64. [reported]: both
	// forms were seen, of which the type Edm.Binary is the latter.
	HexKeyIdentifiers bool `json:"hexKeyIdentifiers"`
	// KeyRollDenied refuses addKey and removeKey for the application itself, without a
	// permission: 403. [reported], msgraph-sdk-powershell #779, against "application: addKey".
	KeyRollDenied bool `json:"keyRollDenied"`
	// DeviceCode is how a Conditional Access policy blocks device codes: "" not at all,
	// "refused" with AADSTS53003 for the token, "silent" on the sign-in page only. [documented]
	// that tenants block them, "Block authentication flows with Conditional Access policy";
	// [assumed] where the refusal is seen.
	DeviceCode string `json:"deviceCode"`
	// ClientConsented means that an administrator has consented to the public clients, so that
	// accounts without a role can sign in with them, and are refused at the request.
	// [documented] for delegated permissions in general.
	ClientConsented bool `json:"clientConsented"`

	// Returns maps recipients to the enhanced status code of the report that comes to the
	// Inbox of the sending mailbox, ReturnDelay after the message was sent: one for each
	// message, for all of its recipients. [documented]
	// codes, for instance 5.7.232, 5.7.233, 5.7.236 and 5.1.8; [assumed] form.
	Returns     map[string]string `json:"returns,omitempty"`
	ReturnDelay time.Duration     `json:"returnDelay"`
	// BareReturns makes the header of the returned message the only place of a report that
	// names the message. [assumed]
	BareReturns bool `json:"bareReturns"`
	// OddReturns makes reports differ in form: a subject in another language, the header of
	// the message alone instead of the message, other spellings, comments and folded lines in
	// the fields. [assumed], within RFC 3464; the language is the one of the sender
	// [documented], "DSNs and NDRs in Exchange".
	OddReturns bool `json:"oddReturns"`
	// Pace is how many messages of a mailbox are sent in a minute; others stay in Drafts
	// until later, without an error. 0 is unlimited. [documented], "Exchange Online limits":
	// 30.
	Pace int `json:"pace"`
}

// The values of World.DeleteTo.
const (
	DeleteToRecoverable = "recoverable"
	DeleteToDeleted     = "deleted"
)

// DefaultMessageSize is the limit of a tenant that has not raised it: 35 MB. [documented]
const DefaultMessageSize = 35 << 20

// settings is a World and the time since which it is in force.
type settings struct {
	World
	since time.Time
}

// world returns the world in force. It must not be changed.
func (s *Simulator) world() *settings { return s.settings.Load() }

// World returns a copy of the world in force.
func (s *Simulator) World() World { return s.world().clone() }

// SetWorld puts a world in force, also while requests are served. It returns an error if a
// value is out of range.
func (s *Simulator) SetWorld(w World) error {
	if err := w.check(); err != nil {
		return err
	}
	s.settings.Store(&settings{World: w.clone(), since: time.Now()})
	return nil
}

// ChangeWorld calls change with a copy of the world in force, and puts the copy in force. Of
// concurrent changes one may be lost.
func (s *Simulator) ChangeWorld(change func(*World)) error {
	w := s.World()
	change(&w)
	return s.SetWorld(w)
}

// clone returns a copy that shares no list or map with w.
func (w World) clone() World {
	for _, list := range []*[]string{&w.DroppedProperties, &w.RefusedProperties, &w.RefusedMIME, &w.CopyLoses, &w.Unresolved, &w.Elsewhere, &w.Moving, &w.Denied} {
		*list = slices.Clone(*list)
	}
	w.Returns = maps.Clone(w.Returns)
	return w
}

func (w World) check() error {
	for name, status := range map[string]int{"filterStatus": w.FilterStatus, "wideFilterStatus": w.WideFilterStatus,
		"missingStatus": w.MissingStatus, "moveStatus": w.MoveStatus, "uploadStateStatus": w.UploadStateStatus} {
		if status != 0 && (status < 400 || status > 599) {
			return fmt.Errorf("%s %d is not between 400 and 599", name, status)
		}
	}
	if !slices.Contains([]string{"", DeleteToRecoverable, DeleteToDeleted}, w.DeleteTo) {
		return fmt.Errorf("deleteTo %q is not %q or %q", w.DeleteTo, DeleteToRecoverable, DeleteToDeleted)
	}
	if !slices.Contains([]string{"", DeviceCodeRefused, DeviceCodeSilent}, w.DeviceCode) {
		return fmt.Errorf("deviceCode %q is not %q or %q", w.DeviceCode, DeviceCodeRefused, DeviceCodeSilent)
	}
	for _, name := range slices.Concat(w.DroppedProperties, w.RefusedProperties) {
		_, ok := schema["message"][name]
		if _, err := normalizeProperty(name); !ok && err != nil {
			return fmt.Errorf("a message has no property %q", name)
		}
	}
	if min(w.FilterLag, w.AppearDelay, w.MoveDuration, w.PermissionCache, w.ReturnDelay,
		w.DirectoryLag, w.KeyLag, w.GrantLag, w.RBACLag) < 0 || min(w.Pace, w.UserValueLimit, w.AttachmentsPage) < 0 || w.MessageSize < 0 {
		return fmt.Errorf("a duration or number of the world is negative")
	}
	return nil
}
