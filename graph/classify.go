package graph

import "net/http"

// Class says whose fault an error is, and so what stops and what goes on.
type Class string

// The classes of error.
const (
	ClassMessage    Class = "message"    // this message can never be sent as it is
	ClassMailbox    Class = "mailbox"    // nothing of this mailbox can be sent now
	ClassConnection Class = "connection" // nothing of this connection can be sent now
	ClassTemporary  Class = "temporary"  // the same request may succeed later
)

// Reason is the closed list that metrics, records and bounces share.
type Reason string

// The reasons.
const (
	ReasonInvalid      Reason = "invalid_message"
	ReasonRecipients   Reason = "invalid_recipients"
	ReasonTooLarge     Reason = "too_large"
	ReasonItemNotFound Reason = "item_not_found"
	ReasonSession      Reason = "upload_session"
	ReasonMailbox      Reason = "mailbox_unknown"
	ReasonMailboxFull  Reason = "mailbox_full"
	ReasonSendDenied   Reason = "send_denied"
	ReasonAccessDenied Reason = "access_denied"
	ReasonBlocked      Reason = "sending_blocked"
	ReasonAuth         Reason = "sign_in"
	ReasonNotConnected Reason = "not_connected"
	ReasonThrottled    Reason = "throttled"
	ReasonUnavailable  Reason = "unavailable"
	ReasonNetwork      Reason = "network"
	ReasonCanceled     Reason = "canceled"
)

type classification struct {
	class  Class
	reason Reason
}

// byCode is keyed by error.code. Where Microsoft documents none, the source is
// named.
var byCode = map[string]classification{
	// The message.
	"ErrorInvalidRecipients":                            {ClassMessage, ReasonRecipients}, // user reports of send
	"ErrorMimeContentInvalidBase64String":               {ClassMessage, ReasonInvalid},    // user-post-messages
	"InvalidInternetMessageHeader":                      {ClassMessage, ReasonInvalid},    // user reports of create
	"InvalidInternetMessageHeaderCollection":            {ClassMessage, ReasonInvalid},    // more than 5, or an empty array
	"ParameterValueEmpty":                               {ClassMessage, ReasonInvalid},
	"RequestBodyRead":                                   {ClassMessage, ReasonInvalid},
	"ErrorMessageSizeExceeded":                          {ClassMessage, ReasonTooLarge},   // outlook-large-attachments
	"ErrorAttachmentSizeShouldNotBeLessThanMinimumSize": {ClassMessage, ReasonInvalid},    // attachment-createuploadsession
	"ErrorSendAsDenied":                                 {ClassMessage, ReasonSendDenied}, // outlook-send-mail-from-other-user
	// The item: wanted again by a new draft.
	"ErrorItemNotFound": {ClassTemporary, ReasonItemNotFound},
	// The mailbox. ErrorNonExistentMailbox is also seen at random for one that exists.
	"ErrorInvalidUser":              {ClassMessage, ReasonMailbox},
	"MailboxNotEnabledForRESTAPI":   {ClassMessage, ReasonMailbox},
	"ErrorNonExistentMailbox":       {ClassTemporary, ReasonMailbox},
	"ErrorQuotaExceeded":            {ClassMailbox, ReasonMailboxFull},
	"ErrorMessageSubmissionBlocked": {ClassMailbox, ReasonBlocked},
	"ErrorExceededMessageLimit":     {ClassMailbox, ReasonBlocked},
	"ErrorSubmissionQuotaExceeded":  {ClassMailbox, ReasonBlocked},
	// The connection. Access may be denied for one mailbox by an access policy.
	"ErrorAccessDenied":          {ClassMailbox, ReasonAccessDenied}, // auth-limit-mailbox-access
	"InvalidAuthenticationToken": {ClassConnection, ReasonAuth},
	// Passing.
	"ApplicationThrottled":              {ClassTemporary, ReasonThrottled}, // throttling
	"TooManyRequests":                   {ClassTemporary, ReasonThrottled},
	"activityLimitReached":              {ClassTemporary, ReasonThrottled},
	"CommandConcurrencyLimitReached":    {ClassTemporary, ReasonThrottled},
	"ErrorServerBusy":                   {ClassTemporary, ReasonThrottled},
	"ErrorInternalServerTransientError": {ClassTemporary, ReasonUnavailable},
	"ErrorInternalServerError":          {ClassTemporary, ReasonUnavailable},
	"ErrorTooManyObjectsOpened":         {ClassTemporary, ReasonThrottled},
	"UnknownError":                      {ClassTemporary, ReasonUnavailable},
}

// classify decides by error.code, and by the status where the code is unknown.
// Throttling goes first: it is what 429 means whatever the code.
func classify(status int, code string) (Class, Reason) {
	if status == http.StatusTooManyRequests {
		if v, ok := byCode[code]; ok && v.class == ClassMailbox {
			return v.class, v.reason
		}
		return ClassTemporary, ReasonThrottled
	}
	if v, ok := byCode[code]; ok {
		return v.class, v.reason
	}
	return byStatus(status)
}

func byStatus(status int) (Class, Reason) {
	switch status {
	case http.StatusUnauthorized:
		return ClassConnection, ReasonAuth
	case http.StatusForbidden:
		return ClassMailbox, ReasonAccessDenied
	case http.StatusNotFound, http.StatusGone:
		return ClassTemporary, ReasonItemNotFound
	case http.StatusRequestEntityTooLarge:
		return ClassMessage, ReasonTooLarge
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked:
		return ClassTemporary, ReasonUnavailable
	case http.StatusServiceUnavailable, 509:
		return ClassTemporary, ReasonThrottled // with or without Retry-After, it asks to be left alone
	}
	if status >= 400 && status < 500 {
		return ClassMessage, ReasonInvalid
	}
	return ClassTemporary, ReasonUnavailable
}
