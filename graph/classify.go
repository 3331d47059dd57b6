package graph

import "net/http"

// Class says what an error concerns, and so what has to stop and what can go on.
type Class string

// The classes of errors.
const (
	ClassMessage    Class = "message"    // permanent: the message fails, also where its mailbox does not exist
	ClassMailbox    Class = "mailbox"    // nothing can be sent from this mailbox now
	ClassConnection Class = "connection" // nothing can be sent by this connection now
	ClassTemporary  Class = "temporary"  // the same request may succeed later
)

// Reason names the cause of an error. Metrics, records and bounces show it; the list is
// closed.
type Reason string

// The reasons.
const (
	// ReasonInvalid: Graph found the request malformed, or refused it without a known code.
	ReasonInvalid Reason = "invalid_message"
	// ReasonRecipients: a recipient's address is not valid, or there are none.
	ReasonRecipients Reason = "invalid_recipients"
	// ReasonTooLarge: the message or an attachment exceeds a limit.
	ReasonTooLarge Reason = "too_large"
	// ReasonLargeFile: a file needs an upload session, and none can be created.
	ReasonLargeFile Reason = "large_file"
	// ReasonItemNotFound: the draft, message or attachment is not in the mailbox.
	ReasonItemNotFound Reason = "item_not_found"
	// ReasonSession: the upload session has ended; a new one can be created.
	ReasonSession Reason = "upload_session"
	// ReasonMailbox: the mailbox does not exist, or is not in Exchange Online.
	ReasonMailbox Reason = "mailbox_unknown"
	// ReasonMailboxFull: the mailbox is over its storage quota.
	ReasonMailboxFull Reason = "mailbox_full"
	// ReasonSendDenied: the mailbox may not send as the address in From or Sender.
	ReasonSendDenied Reason = "send_denied"
	// ReasonAccessDenied: the application lacks a permission, or an access policy excludes
	// the mailbox.
	ReasonAccessDenied Reason = "access_denied"
	// ReasonBlocked: Microsoft has blocked the mailbox from sending, such as for having
	// sent too much.
	ReasonBlocked Reason = "sending_blocked"
	// ReasonAuth: Entra refused the sign-in, or Graph the token.
	ReasonAuth Reason = "sign_in"
	// ReasonNotConnected: the mailbox's owner has not signed in, or has to sign in again.
	ReasonNotConnected Reason = "not_connected"
	// ReasonThrottled: a limit of Graph's was reached, as Graph says or by our own count.
	ReasonThrottled Reason = "throttled"
	// ReasonUnavailable: Microsoft answered with a fault of its own, or unreadably.
	ReasonUnavailable Reason = "unavailable"
	// ReasonNetwork: no answer came, or a proxy on the way refused the request.
	ReasonNetwork Reason = "network"
	// ReasonCanceled: the caller's context was canceled.
	ReasonCanceled Reason = "canceled"
)

type classification struct {
	class  Class
	reason Reason
}

// Codes that are asked for in more than one place.
const (
	codeItemNotFound = "ErrorItemNotFound"
	codeCannotDelete = "ErrorCannotDeleteObject"
)

// byCode classifies errors by their error.code. To add a code, add a line here, with its
// source, and one to the table in TestClassification. The source is a page of Microsoft's
// Graph documentation, or "reported" where only users have described the code.
var byCode = map[string]classification{
	// Faults of the message.
	"ErrorInvalidRecipients":                            {ClassMessage, ReasonRecipients}, // reported, by send
	"ErrorMimeContentInvalidBase64String":               {ClassMessage, ReasonInvalid},    // user-post-messages
	"InvalidInternetMessageHeader":                      {ClassMessage, ReasonInvalid},    // reported: a name without x-
	"InvalidInternetMessageHeaderCollection":            {ClassMessage, ReasonInvalid},    // reported: more than 5, or none
	"ParameterValueEmpty":                               {ClassMessage, ReasonInvalid},    // reported: toRecipients is empty
	"RequestBodyRead":                                   {ClassMessage, ReasonInvalid},    // reported: a property of the wrong type
	"ErrorMessageSizeExceeded":                          {ClassMessage, ReasonTooLarge},   // outlook-large-attachments
	"ErrorAttachmentSizeShouldNotBeLessThanMinimumSize": {ClassMessage, ReasonInvalid},    // attachment-createuploadsession
	"ErrorSendAsDenied":                                 {ClassMessage, ReasonSendDenied}, // outlook-send-mail-from-other-user
	"ErrorExceededMaxRecipientLimit":                    {ClassMessage, ReasonRecipients}, // Outlook on the web knows it as an answer to a send
	"ErrorMessageBlocked":                               {ClassMessage, ReasonInvalid},    // likewise

	// The item is missing. Another draft can be created.
	codeItemNotFound: {ClassTemporary, ReasonItemNotFound}, // reported
	codeCannotDelete: {ClassTemporary, ReasonItemNotFound}, // reported: the item was deleted before

	// Faults of the mailbox.
	"ErrorInvalidUser":                {ClassMessage, ReasonMailbox},      // reported
	"MailboxNotEnabledForRESTAPI":     {ClassMailbox, ReasonMailbox},      // reported: on premises, unlicensed or deleted; also while it is set up
	"ErrorNonExistentMailbox":         {ClassTemporary, ReasonMailbox},    // known-issues; also reported at random for a mailbox that exists
	"ErrorQuotaExceeded":              {ClassMailbox, ReasonMailboxFull},  // reported
	"ErrorMessageSubmissionBlocked":   {ClassMailbox, ReasonBlocked},      // reported
	"ErrorExceededHourlyMessageLimit": {ClassMailbox, ReasonBlocked},      // Outlook on the web knows it as an answer to a send
	"ErrorAccountSuspend":             {ClassMailbox, ReasonBlocked},      // likewise
	"ErrorMailboxMoveInProgress":      {ClassMailbox, ReasonUnavailable},  // reported, for hours
	"ResourceNotFound":                {ClassMailbox, ReasonMailbox},      // reported: the mailbox is not there, or elsewhere
	"ErrorExceededMessageLimit":       {ClassMailbox, ReasonBlocked},      // reported
	"ErrorSubmissionQuotaExceeded":    {ClassMailbox, ReasonBlocked},      // reported: 10,000 recipients a day
	"ErrorAccessDenied":               {ClassMailbox, ReasonAccessDenied}, // auth-limit-mailbox-access: may concern one mailbox only

	// Faults of the connection.
	"InvalidAuthenticationToken": {ClassConnection, ReasonAuth}, // reported: invalid or expired token

	// Faults that pass.
	"ApplicationThrottled":              {ClassTemporary, ReasonThrottled},   // throttling
	"TooManyRequests":                   {ClassTemporary, ReasonThrottled},   // throttling
	"activityLimitReached":              {ClassTemporary, ReasonThrottled},   // errors
	"CommandConcurrencyLimitReached":    {ClassTemporary, ReasonThrottled},   // reported
	"ErrorServerBusy":                   {ClassTemporary, ReasonThrottled},   // reported
	"ErrorTooManyObjectsOpened":         {ClassTemporary, ReasonThrottled},   // reported
	"ErrorInternalServerTransientError": {ClassTemporary, ReasonUnavailable}, // reported
	"ErrorInternalServerError":          {ClassTemporary, ReasonUnavailable}, // reported
	"ErrorMailboxStoreUnavailable":      {ClassTemporary, ReasonUnavailable}, // Outlook on the web knows it as an answer to a send
	"ErrorMailboxStoreUnavaiable":       {ClassTemporary, ReasonUnavailable}, // likewise, so spelled
	"ErrorMessageTimeout":               {ClassTemporary, ReasonUnavailable}, // likewise
	"ErrorMessageTransientError":        {ClassTemporary, ReasonUnavailable}, // likewise
	"ErrorMessageThrottled":             {ClassTemporary, ReasonThrottled},   // likewise
}

// byStatus classifies errors whose code is not in byCode (source: Microsoft's page "errors").
// UnknownError, which says nothing, is among them: it has come with 401, 404 and 504 (reported).
var byStatus = map[int]classification{
	http.StatusUnauthorized:          {ClassConnection, ReasonAuth},
	http.StatusForbidden:             {ClassMailbox, ReasonAccessDenied},
	http.StatusNotFound:              {ClassTemporary, ReasonItemNotFound},
	http.StatusGone:                  {ClassTemporary, ReasonItemNotFound},
	http.StatusRequestEntityTooLarge: {ClassMessage, ReasonTooLarge},
	http.StatusRequestTimeout:        {ClassTemporary, ReasonUnavailable},
	http.StatusConflict:              {ClassTemporary, ReasonUnavailable},
	http.StatusPreconditionFailed:    {ClassTemporary, ReasonUnavailable},
	http.StatusLocked:                {ClassTemporary, ReasonUnavailable},
	http.StatusServiceUnavailable:    {ClassTemporary, ReasonThrottled}, // even without Retry-After (best-practices-concept)
	509:                              {ClassTemporary, ReasonThrottled}, // Bandwidth Limit Exceeded
}

// classify decides by error.code, and by the status if the code is unknown. A 429 is
// throttling whatever its code, unless the code says that the mailbox is blocked or full.
//
// unexplained reports whether neither table has the answer: then it is a refusal of the
// request, but not known to be the message's fault.
func classify(status int, code string) (known classification, unexplained bool) {
	known, ok := byCode[code]
	switch {
	case status == http.StatusTooManyRequests && known.class != ClassMailbox:
		return classification{ClassTemporary, ReasonThrottled}, false
	case ok:
		return known, false
	}
	known = classifyStatus(status)
	return known, known.class == ClassMessage && known.reason == ReasonInvalid
}

func classifyStatus(status int) classification {
	if known, ok := byStatus[status]; ok {
		return known
	}
	if status >= 400 && status < 500 {
		return classification{ClassMessage, ReasonInvalid}
	}
	return classification{ClassTemporary, ReasonUnavailable}
}
