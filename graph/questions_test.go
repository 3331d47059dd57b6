package graph_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"graphrelay/graph"
)

var questions = map[string]func(error) bool{
	"Ambiguous": graph.Ambiguous, "Temporary": graph.Temporary, "NotFound": graph.NotFound, "MessageRefused": graph.MessageRefused,
	"Invalid": graph.Invalid, "SendAsDenied": graph.SendAsDenied, "MailboxRefused": graph.MailboxRefused, "NotStarted": graph.NotStarted,
	"MaybeTooLarge": graph.MaybeTooLarge, "TooSmallForSession": graph.TooSmallForSession, "SessionLost": graph.SessionLost,
	"UploadsRefused": graph.UploadsRefused,
	"Inconclusive":   graph.Inconclusive, "TimedOut": graph.TimedOut, "AccessDenied": graph.AccessDenied, "MailboxUnknown": graph.MailboxUnknown,
	"Unreachable": graph.Unreachable, "CredentialRefused": graph.CredentialRefused,
}

func TestQuestions(t *testing.T) {
	for name, tt := range map[string]struct {
		err error
		yes []string
	}{
		"nil":   {nil, nil},
		"other": {errors.New("disk full"), nil},
		"no connection": {&graph.Error{Class: graph.ClassConnection, Reason: graph.ReasonNetwork},
			[]string{"Inconclusive", "Unreachable"}},
		"reset": {&graph.Error{Class: graph.ClassTemporary, Reason: graph.ReasonNetwork, Ambiguous: true},
			[]string{"Ambiguous", "Inconclusive", "Temporary", "TimedOut", "Unreachable"}},
		"canceled": {&graph.Error{Class: graph.ClassTemporary, Reason: graph.ReasonCanceled, Ambiguous: true},
			[]string{"Ambiguous", "Inconclusive", "Temporary"}},
		"server failed": {&graph.Error{Status: 500, Class: graph.ClassTemporary, Reason: graph.ReasonUnavailable, Ambiguous: true},
			[]string{"Ambiguous", "Temporary"}},
		"throttled": {&graph.Error{Status: 429, Class: graph.ClassTemporary, Reason: graph.ReasonThrottled, RetryAfter: time.Second},
			[]string{"Inconclusive", "Temporary"}},
		"put off": {&graph.Error{Status: 503, Class: graph.ClassTemporary, Reason: graph.ReasonThrottled, RetryAfter: time.Second, Ambiguous: true},
			[]string{"Ambiguous", "Inconclusive", "NotStarted", "Temporary"}},
		"503 alone": {&graph.Error{Status: 503, Class: graph.ClassTemporary, Reason: graph.ReasonThrottled, Ambiguous: true},
			[]string{"Ambiguous", "Inconclusive", "Temporary"}},
		"item missing": {&graph.Error{Status: 404, Class: graph.ClassTemporary, Reason: graph.ReasonItemNotFound},
			[]string{"NotFound", "Temporary"}},
		"mailbox missing": {&graph.Error{Status: 404, Class: graph.ClassMessage, Reason: graph.ReasonMailbox},
			[]string{"CredentialRefused", "MailboxUnknown", "MessageRefused"}},
		"recipients": {&graph.Error{Status: 400, Class: graph.ClassMessage, Reason: graph.ReasonRecipients},
			[]string{"MessageRefused"}},
		"invalid": {&graph.Error{Status: 400, Class: graph.ClassMessage, Reason: graph.ReasonInvalid},
			[]string{"Invalid", "MaybeTooLarge"}},
		"too large": {&graph.Error{Status: 413, Class: graph.ClassMessage, Reason: graph.ReasonTooLarge},
			[]string{"MaybeTooLarge", "MessageRefused"}},
		"too small": {&graph.Error{Status: 400, Code: "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", Class: graph.ClassMessage, Reason: graph.ReasonInvalid},
			[]string{"Invalid", "MaybeTooLarge", "TooSmallForSession"}},
		"send denied": {&graph.Error{Status: 403, Class: graph.ClassMessage, Reason: graph.ReasonSendDenied},
			[]string{"MessageRefused", "SendAsDenied"}},
		"access denied": {&graph.Error{Status: 403, Class: graph.ClassMailbox, Reason: graph.ReasonAccessDenied},
			[]string{"AccessDenied", "CredentialRefused", "MailboxRefused"}},
		"not connected": {&graph.Error{Class: graph.ClassMailbox, Reason: graph.ReasonNotConnected},
			[]string{"CredentialRefused", "Inconclusive", "MailboxRefused"}},
		"no uploads": {&graph.Error{Status: 405, Class: graph.ClassMessage, Reason: graph.ReasonLargeFile},
			[]string{"MessageRefused", "UploadsRefused"}},
		"session over": {fmt.Errorf("attachment 1: %w", &graph.Error{Status: 404, Class: graph.ClassTemporary, Reason: graph.ReasonSession}),
			[]string{"SessionLost", "Temporary"}},
	} {
		var yes []string
		for question, ask := range questions {
			if ask(tt.err) {
				yes = append(yes, question)
			}
		}
		slices.Sort(yes)
		if !slices.Equal(yes, tt.yes) {
			t.Errorf("%s: %q, want %q", name, yes, tt.yes)
		}
	}
}
