package graph_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"graphrelay/graph"
)

// One row for each code that Graph is known to answer with, then by status.
func TestClassification(t *testing.T) {
	for _, tt := range []struct {
		status    int
		code      string
		class     graph.Class
		reason    graph.Reason
		ambiguous bool
	}{
		{400, "ErrorInvalidRecipients", graph.ClassMessage, graph.ReasonRecipients, false},
		{400, "ErrorMimeContentInvalidBase64String", graph.ClassMessage, graph.ReasonInvalid, false},
		{400, "InvalidInternetMessageHeader", graph.ClassMessage, graph.ReasonInvalid, false},
		{400, "InvalidInternetMessageHeaderCollection", graph.ClassMessage, graph.ReasonInvalid, false},
		{400, "ParameterValueEmpty", graph.ClassMessage, graph.ReasonInvalid, false},
		{400, "RequestBodyRead", graph.ClassMessage, graph.ReasonInvalid, false},
		{400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", graph.ClassMessage, graph.ReasonInvalid, false},
		{401, "InvalidAuthenticationToken", graph.ClassConnection, graph.ReasonAuth, false},
		{401, "InvalidAudienceForResource", graph.ClassConnection, graph.ReasonAuth, false},
		{403, "ErrorSendAsDenied", graph.ClassMessage, graph.ReasonSendDenied, false},
		{403, "ErrorAccessDenied", graph.ClassMailbox, graph.ReasonAccessDenied, false},
		{403, "ErrorMessageSubmissionBlocked", graph.ClassMailbox, graph.ReasonBlocked, false},
		{403, "ErrorExceededMessageLimit", graph.ClassMailbox, graph.ReasonBlocked, false},
		{404, "ErrorItemNotFound", graph.ClassTemporary, graph.ReasonItemNotFound, false},
		{403, "ErrorCannotDeleteObject", graph.ClassTemporary, graph.ReasonItemNotFound, false},
		{404, "ErrorInvalidUser", graph.ClassMessage, graph.ReasonMailbox, false},
		{404, "MailboxNotEnabledForRESTAPI", graph.ClassMailbox, graph.ReasonMailbox, false},
		{404, "ErrorNonExistentMailbox", graph.ClassTemporary, graph.ReasonMailbox, false},
		{403, "ErrorQuotaExceeded", graph.ClassMailbox, graph.ReasonMailboxFull, false},
		{507, "ErrorQuotaExceeded", graph.ClassMailbox, graph.ReasonMailboxFull, true},
		{413, "ErrorMessageSizeExceeded", graph.ClassMessage, graph.ReasonTooLarge, false},
		{400, "ErrorMessageSizeExceeded", graph.ClassMessage, graph.ReasonTooLarge, false},
		{413, "BadRequest", graph.ClassMessage, graph.ReasonTooLarge, false},
		{400, "BadRequest", graph.ClassMessage, graph.ReasonInvalid, false},
		{429, "ApplicationThrottled", graph.ClassTemporary, graph.ReasonThrottled, false},
		{429, "TooManyRequests", graph.ClassTemporary, graph.ReasonThrottled, false},
		{429, "activityLimitReached", graph.ClassTemporary, graph.ReasonThrottled, false},
		{429, "UnknownError", graph.ClassTemporary, graph.ReasonThrottled, false},
		{429, "", graph.ClassTemporary, graph.ReasonThrottled, false},
		{429, "ErrorSubmissionQuotaExceeded", graph.ClassMailbox, graph.ReasonBlocked, false},
		{503, "CommandConcurrencyLimitReached", graph.ClassTemporary, graph.ReasonThrottled, true},
		{503, "ErrorServerBusy", graph.ClassTemporary, graph.ReasonThrottled, true},
		{503, "ErrorInternalServerTransientError", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{503, "ServiceUnavailable", graph.ClassTemporary, graph.ReasonThrottled, true},
		{500, "ErrorTooManyObjectsOpened", graph.ClassTemporary, graph.ReasonThrottled, true},
		{500, "ErrorInternalServerError", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{504, "UnknownError", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{401, "UnknownError", graph.ClassConnection, graph.ReasonAuth, false},
		{403, "UnknownError", graph.ClassMailbox, graph.ReasonAccessDenied, false},
		{404, "UnknownError", graph.ClassTemporary, graph.ReasonItemNotFound, false},
		{404, "ResourceNotFound", graph.ClassMailbox, graph.ReasonMailbox, false},
		{400, "ErrorMailboxMoveInProgress", graph.ClassMailbox, graph.ReasonUnavailable, false},
		{503, "ErrorMailboxMoveInProgress", graph.ClassMailbox, graph.ReasonUnavailable, true},
		{400, "ErrorExceededHourlyMessageLimit", graph.ClassMailbox, graph.ReasonBlocked, false},
		{429, "ErrorExceededHourlyMessageLimit", graph.ClassMailbox, graph.ReasonBlocked, false},
		{403, "ErrorAccountSuspend", graph.ClassMailbox, graph.ReasonBlocked, false},
		{400, "ErrorExceededMaxRecipientLimit", graph.ClassMessage, graph.ReasonRecipients, false},
		{400, "ErrorMessageBlocked", graph.ClassMessage, graph.ReasonInvalid, false},
		{400, "ErrorMailboxStoreUnavailable", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{400, "ErrorMailboxStoreUnavaiable", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{400, "ErrorMessageTimeout", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{400, "ErrorMessageTransientError", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{400, "ErrorMessageThrottled", graph.ClassTemporary, graph.ReasonThrottled, false},
		{412, "", graph.ClassTemporary, graph.ReasonUnavailable, false},

		{400, "", graph.ClassMessage, graph.ReasonInvalid, false},
		{401, "", graph.ClassConnection, graph.ReasonAuth, false},
		{403, "", graph.ClassMailbox, graph.ReasonAccessDenied, false},
		{404, "", graph.ClassTemporary, graph.ReasonItemNotFound, false},
		{408, "", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{409, "", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{410, "", graph.ClassTemporary, graph.ReasonItemNotFound, false},
		{418, "", graph.ClassMessage, graph.ReasonInvalid, false},
		{423, "", graph.ClassTemporary, graph.ReasonUnavailable, false},
		{500, "", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{502, "", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{503, "", graph.ClassTemporary, graph.ReasonThrottled, true},
		{504, "", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{509, "", graph.ClassTemporary, graph.ReasonThrottled, true},
		{200, "", graph.ClassTemporary, graph.ReasonUnavailable, true},
		{302, "", graph.ClassTemporary, graph.ReasonUnavailable, true},
	} {
		t.Run(fmt.Sprint(tt.status, tt.code), func(t *testing.T) {
			body := fmt.Sprintf(`{"error":{"code":%q,"message":"text","innererror":{"request-id":"x"}}}`, tt.code)
			c := answering(t, reply(tt.status, body, "request-id", "rid"))
			_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
			e := graphError(t, err)
			if e.Class != tt.class || e.Reason != tt.reason || e.Ambiguous != tt.ambiguous {
				t.Errorf("got %s %s ambiguous %v, want %s %s %v", e.Class, e.Reason, e.Ambiguous, tt.class, tt.reason, tt.ambiguous)
			}
			if e.Status != tt.status || e.Code != tt.code || e.Message != "text" || e.RequestID != "rid" {
				t.Errorf("got %d %q %q %q", e.Status, e.Code, e.Message, e.RequestID)
			}
		})
	}
}

// NotFound is true for a missing item only, not for a missing mailbox.
func TestNotFound(t *testing.T) {
	for code, want := range map[string]bool{"ErrorItemNotFound": true, "": true, "ErrorInvalidUser": false, "ErrorNonExistentMailbox": false} {
		c := answering(t, reply(404, `{"error":{"code":"`+code+`"}}`))
		_, _, err := c.Mailbox(mailbox).Item(t.Context(), "AAQ")
		if got := graph.NotFound(err); got != want {
			t.Errorf("%q: got %v", code, got)
		}
		if _, err := c.Mailbox(mailbox).Delete(t.Context(), "AAQ"); (err == nil) != want {
			t.Errorf("%q: delete gives %v", code, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	const s = time.Second
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		value    string
		min, max time.Duration
	}{
		{"", 0, 0},
		{"10", 10 * s, 10 * s},
		{"2.128", 2128 * time.Millisecond, 2128 * time.Millisecond},
		{" 7 ", 7 * s, 7 * s},
		{"0", 0, 0},
		{"-5", 0, 0},
		{"3600", time.Hour, time.Hour},
		{"86400", time.Hour, time.Hour},
		{"99999999999999999999999", time.Hour, time.Hour},
		{"1e999", time.Hour, time.Hour},
		{"Inf", time.Hour, time.Hour},
		{"NaN", 0, 0},
		{"soon", 0, 0},
		{date(90 * s), 80 * s, 90 * s},
		{date(-90 * s), 0, 0},
		{date(1000 * time.Hour), time.Hour, time.Hour},
	} {
		c := answering(t, reply(429, "", "Retry-After", tt.value))
		_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
		if got := graphError(t, err).RetryAfter; got < tt.min || got > tt.max {
			t.Errorf("%q: got %s, want %s to %s", tt.value, got, tt.min, tt.max)
		}
	}
}
