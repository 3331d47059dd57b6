package probe

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Facts are what a run has found out about a tenant, by the names below: truth values, whole
// numbers, texts, and lists of texts. None of them is an address, an ID or a text of the
// tenant's.
type Facts map[string]any

// The names of the facts. docs/probe.md says what each means, and simulated.go how the
// simulator is made to behave in that way.
const (
	factClock                = "clock_ahead_seconds"
	factRights               = "token_rights"
	factRBAC                 = "rbac_rights"
	factDirectory            = "directory_status"
	factNoUserOr             = "no_user_or"
	factLongAddress          = "long_address_status"
	factAddressIsNoKey       = "address_is_no_key"
	factElsewhere            = "mailbox_elsewhere"
	factMoving               = "mailbox_moving_status"
	factDenied               = "mailbox_denied"
	factSharedScopes         = "needs_shared_scopes"
	factCreate               = "create_refused_status"
	factRecipients           = "recipient_refused_at"
	factRefused              = "refused_properties"
	factRefusedUnnamed       = "refused_unnamed"
	factDropped              = "dropped_properties"
	factAppear               = "appear_ms"
	factNewMessageIDOnCreate = "new_message_id_on_create"
	factResolves             = "resolves_recipients"
	factFilterLag            = "filter_lag_ms"
	factFilterIgnored        = "filter_ignored"
	factFilterStatus         = "filter_status"
	factWideFilterStatus     = "wide_filter_status"
	factExpandIgnored        = "expand_ignored"
	factMessageIDLost        = "message_id_not_found"
	factPostLargest          = "post_file_largest"
	factRequestLargest       = "request_largest"
	factSession              = "upload_session_status"
	factNoSharedSessions     = "no_shared_sessions"
	factUploadHost           = "upload_host"
	factRanges               = "next_ranges_form"
	factSessionState         = "upload_state_status"
	factSessionLoses         = "session_loses"
	factFilesPage            = "attachments_page"
	factSend                 = "send_status"
	factInFlight             = "in_flight"
	factFlags                = "message_flags"
	factSent                 = "sent_ms"
	factNewIDOnSend          = "new_id_on_send"
	factNewMessageIDOnSend   = "new_message_id_on_send"
	factSendLosesProperties  = "send_loses_properties"
	factSecondSend           = "second_send_status"
	factSendsAgain           = "sends_again"
	factJunk                 = "arrives_as_junk"
	factCopyLoses            = "copy_loses_fields"
	factCopyParts            = "copy_loses_parts"
	factReplacesName         = "replaces_from_name"
	factTNEF                 = "winmail_dat"
	factRewritesAlias        = "rewrites_alias"
	factMIMERefused          = "mime_refused"
	factMIMELosesBcc         = "mime_loses_bcc"
	factMIMEKeepsBcc         = "mime_keeps_bcc_field"
	factMIMEMethod           = "mime_keeps_method"
	factSendAs               = "send_as"
	factSendMail             = "sendmail_status"
	factSavesAlways          = "sendmail_saves_always"
	factDeleteTo             = "delete_to"
	factReadableDeleted      = "deleted_is_readable"
	factSecondDelete         = "second_delete_status"
	factPermanentDelete      = "permanent_delete_status"
	factLargeAccepted        = "large_accepted_bytes"
	factLargeRefused         = "large_refused_bytes"
	factLargeAt              = "large_refused_at"
	factConcurrency          = "requests_at_a_time"
	factRetryAfter           = "retry_after_form"
	factReturned             = "returned_codes"
)

// set records a fact. It leaves out an empty list, except for the permissions.
func (f Facts) set(name string, value any) {
	if list, ok := value.([]string); ok {
		if len(list) == 0 && name != factRights {
			return
		}
		value = append([]string{}, list...)
	}
	f[name] = value
}

// setTime records a time in milliseconds, rounded to two digits.
func (f Facts) setTime(name string, d time.Duration) {
	ms := float64(d.Milliseconds())
	if ms >= 100 {
		unit := math.Pow(10, math.Floor(math.Log10(ms))-1)
		ms = math.Round(ms/unit) * unit
	}
	f[name] = int(ms)
}

// rightsOfGraph are the permissions that may be a fact. Another one could have any name.
var rightsOfGraph = []string{"Mail.ReadWrite", "Mail.Send", "Mail.Read", "Mail.ReadWrite.Shared", "Mail.Send.Shared", "Mail.Read.Shared", "Mail.ReadBasic.All",
	"User.Read.All", "User.Read", "User.ReadBasic.All", "Directory.Read.All"}

// known returns those of the permissions that are known to concern mail or the directory.
func known(rights []string) (list []string) {
	for _, right := range rightsOfGraph {
		if slices.Contains(rights, right) {
			list = append(list, right)
		}
	}
	return list
}

// knownHost returns an upload host of Microsoft's, or "other".
func knownHost(host string) string {
	host = strings.ToLower(host)
	for _, domain := range []string{"office.com", "office365.com", "office365.us", "outlook.cn", "office.cn", "microsoft.com", "microsoft.us", "outlook.com", "office.net"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return text80(host)
		}
	}
	return "other"
}

// text80 returns s if it has nothing but letters, digits, dots, dashes and underscores, and no
// more than 80 of them; otherwise "other".
func text80(s string) string {
	if len(s) > 80 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "" {
		return "other"
	}
	return s
}
