package graph

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// This file has the questions that callers ask of an error. Each of them is false for nil
// and for errors that are no *Error.

func is(err error, ok func(*Error) bool) bool {
	var e *Error
	return errors.As(err, &e) && ok(e)
}

// Ambiguous reports whether the effect may have happened although the request failed. It
// must be looked for before the request is made again.
func Ambiguous(err error) bool {
	return is(err, func(e *Error) bool { return e.Ambiguous })
}

// Temporary reports whether the same request may succeed later, with nothing changed in
// the message, the mailbox or the connection.
func Temporary(err error) bool {
	return is(err, func(e *Error) bool { return e.Class == ClassTemporary })
}

// NotFound reports whether the item, not the mailbox, is missing.
func NotFound(err error) bool {
	return is(err, func(e *Error) bool { return e.Status == http.StatusNotFound && e.Reason == ReasonItemNotFound })
}

// MessageRefused reports whether Graph names a fault of the message, which it does not
// for one that it has accepted. An unexplained refusal is not meant: a second request to
// send an item that is on its way gets one too.
func MessageRefused(err error) bool {
	return is(err, func(e *Error) bool { return e.Class == ClassMessage && e.Reason != ReasonInvalid })
}

// Invalid reports whether Graph finds the request invalid without naming a fault that is
// known.
func Invalid(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonInvalid })
}

// Malformed reports whether Graph may accept the message without the part that it objects
// to, whether it names that or not.
func Malformed(err error) bool {
	return is(err, func(e *Error) bool {
		return e.Reason == ReasonInvalid && e.Code != "ErrorMessageBlocked" && e.Code != "ParameterValueEmpty" || NamesExhausted(err)
	})
}

// Unexplained reports whether Graph refused the request with a code and a status that are
// in no table.
func Unexplained(err error) bool {
	return is(err, func(e *Error) bool { return e.Unexplained })
}

// NamesExhausted reports whether the mailbox can have no more named properties, which X-
// fields need (reported: "Cannot get ID from name").
func NamesExhausted(err error) bool {
	return is(err, func(e *Error) bool {
		return e.Code == "ErrorQuotaExceeded" && strings.Contains(strings.ToLower(e.Message), "id from name")
	})
}

// MIMERefused reports whether Graph refuses the form or the size of a message in MIME.
func MIMERefused(err error) bool {
	return is(err, func(e *Error) bool {
		return e.Class == ClassMessage && (e.Reason == ReasonInvalid || e.Reason == ReasonTooLarge) && e.Code != "ErrorMessageBlocked"
	})
}

// RecipientRefused reports whether the address of at least one recipient is refused. The
// error's text may name it.
func RecipientRefused(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonRecipients })
}

// SendAsDenied reports whether the mailbox may not send as the From or Sender of the
// message (outlook-send-mail-from-other-user).
func SendAsDenied(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonSendDenied })
}

// MailboxRefused reports whether nothing can be done in this mailbox now: access is
// denied, or it is full or blocked.
func MailboxRefused(err error) bool {
	return is(err, func(e *Error) bool { return e.Class == ClassMailbox })
}

// AccessDenied reports whether the application, or the signed-in user, lacks a permission
// for the mailbox or the directory (auth-limit-mailbox-access).
func AccessDenied(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonAccessDenied })
}

// MailboxUnknown reports whether Graph knows no such mailbox.
func MailboxUnknown(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonMailbox })
}

// Busy reports whether Microsoft asks to slow down, or has a fault of its own.
func Busy(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonThrottled || e.Reason == ReasonUnavailable })
}

// Unreachable reports whether no answer came from Graph or from the sign-in.
func Unreachable(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonNetwork })
}

// CredentialRefused reports whether the credential, or its right to use the mailbox, was
// refused, rather than that it could not be checked.
func CredentialRefused(err error) bool {
	return is(err, func(e *Error) bool {
		switch e.Reason {
		case ReasonAuth, ReasonMailbox, ReasonNotConnected, ReasonAccessDenied:
			return true
		}
		return false
	})
}

// NotStarted reports whether Graph put the request off before it began with it: 503 with
// Retry-After is how it throttles. Where the effect can be looked up, do not rely on it.
func NotStarted(err error) bool {
	return is(err, func(e *Error) bool { return e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0 })
}

// MaybeTooLarge reports whether the request may have been refused for its size. Requests
// over the limit have also been refused with 400 BadRequest, where only the text says why.
func MaybeTooLarge(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonTooLarge || e.Reason == ReasonInvalid })
}

// TooSmallForSession reports whether a file is too small for an upload session
// (attachment-createuploadsession).
func TooSmallForSession(err error) bool {
	return is(err, func(e *Error) bool { return e.Code == "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize" })
}

// UploadsRefused reports whether no upload session was created, as where there are none.
func UploadsRefused(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonLargeFile })
}

// ActionRefused reports whether Graph refuses an action for nothing that is known of its item
// or mailbox, as where its cloud lacks the action.
func ActionRefused(err error) bool {
	return is(err, func(e *Error) bool {
		switch e.Status {
		case http.StatusBadRequest, http.StatusMethodNotAllowed:
			return e.Reason == ReasonInvalid
		case http.StatusForbidden:
			return e.Reason == ReasonAccessDenied
		case http.StatusNotFound:
			return e.Reason == ReasonItemNotFound
		}
		return e.Status == http.StatusNotImplemented
	})
}

// actions are the names in Graph's paths of what only some clouds have, by operation.
var actions = map[string]string{opCreateSession: "createUploadSession", opPermanentDelete: "permanentDelete"}

// ActionMissing reports whether a refusal of an action means that there is none of that name,
// so that it would be refused for every item.
func ActionMissing(err error) bool {
	return is(err, func(e *Error) bool {
		switch e.Status {
		case http.StatusMethodNotAllowed, http.StatusNotImplemented:
			return true
		case http.StatusNotFound:
			return e.Code != codeItemNotFound
		case http.StatusBadRequest: // "Resource not found for the segment 'name'": only the text tells
			name := actions[e.Op]
			return name != "" && strings.Contains(e.Message, name)
		}
		return false
	})
}

// SessionLost reports whether an upload session is over and cannot be continued.
func SessionLost(err error) bool {
	return is(err, func(e *Error) bool { return e.Reason == ReasonSession })
}

// SearchFailed reports whether a search was answered, but not with a result, and not with
// a request to ask later: asking again may well bring the same answer.
func SearchFailed(err error) bool {
	return is(err, func(e *Error) bool {
		return e.Status != 0 && (e.Class == ClassMessage || e.Class == ClassTemporary) && e.Reason != ReasonThrottled && e.RetryAfter == 0
	})
}

// Inconclusive reports whether the error says nothing about what was asked: no answer
// came, or only one that asks for later requests.
func Inconclusive(err error) bool {
	return is(err, func(e *Error) bool { return e.Status == 0 || e.Reason == ReasonThrottled })
}

// TimedOut reports whether a server was reached and then did not answer in time, or
// closed the connection.
func TimedOut(err error) bool {
	return is(err, func(e *Error) bool { return e.Status == 0 && e.Ambiguous && e.Reason != ReasonCanceled })
}

// WhyAndWhen returns the reason of an error, and how long Graph asks to wait; the zero values
// for an error that is no *Error.
func WhyAndWhen(err error) (why Reason, wait time.Duration) {
	is(err, func(e *Error) bool { why, wait = e.Reason, e.RetryAfter; return true })
	return why, wait
}
