package bounce

import (
	"strconv"
	"strings"

	"graphrelay/relay/reason"
)

// ReturnAdvice is what a status code of a non-delivery report means.
type ReturnAdvice struct {
	Reason reason.Reason
	Why    string
	Do     string
}

const (
	sendTomorrow   = "Send the message again tomorrow."
	askRecipient   = "Ask the recipient, in another way than by mail, to have it changed."
	checkAddress   = "Check the address for mistakes and send the message again."
	tellTheirAdmin = "Tell the administrator of the other mail system."
)

// adviceOfCode has the codes of "Email non-delivery reports and SMTP errors in Exchange
// Online" (NDR), of posts in the blog of the Exchange team (blog), and of RFC 3463 (RFC).
var adviceOfCode = map[string]ReturnAdvice{
	// Limits of Microsoft 365 on what is sent.
	"5.7.232": {reason.ExternalLimit, "The trial tenant of Microsoft 365 has sent to as many recipients outside as it may in 24 hours.", sendTomorrow}, // blog 4372797
	"5.7.233": {reason.ExternalLimit, "The tenant of Microsoft 365 has sent to as many recipients outside as it may in 24 hours.", sendTomorrow},       // blog 4372797
	"5.7.236": {reason.ExternalLimit, "Mail from addresses in onmicrosoft.com may go to 100 recipients outside in 24 hours, of the whole tenant.",
		"Tell your administrator to let the mailbox send from a domain of your own."}, // blog 4446167
	"5.1.90": {reason.DailyLimit, "The mailbox has sent to as many recipients as it may in 24 hours.", sendTomorrow}, // NDR

	// Microsoft 365 has blocked the sender.
	"5.1.8": {reason.SendingBlocked, "Microsoft 365 has blocked the mailbox, since mail of it looked like spam.",
		"Tell your administrator to look for the cause, and then to release it under Restricted entities in Microsoft Defender."}, // NDR
	"5.7.501": {reason.SendingBlocked, "Microsoft 365 has blocked the mailbox, since mail of it looked like spam.", tellAdministrator},                           // NDR
	"5.7.502": {reason.SendingBlocked, "Microsoft 365 has blocked the mailbox, since mail of it looked like spam.", tellAdministrator},                           // NDR
	"5.7.503": {reason.SendingBlocked, "Microsoft 365 has blocked the mailbox, since mail of it looked like spam.", tellAdministrator},                           // NDR
	"5.7.705": {reason.SendingBlocked, "Microsoft 365 has blocked the whole tenant, since much of its mail looked like spam.", tellAdministrator},                // NDR
	"5.7.708": {reason.SendingBlocked, "Microsoft 365 takes no mail from this tenant, as it does with new ones or ones of bad reputation.", tellAdministrator},   // NDR
	"5.7.750": {reason.SendingBlocked, "Microsoft 365 has blocked mail of the tenant from domains that are not registered there.", tellAdministrator},            // NDR
	"5.7.509": {reason.NotDelivered, "The other mail system refuses mail of the sender's domain, whose DMARC check failed.", tellAdministrator},                  // NDR
	"5.7.23":  {reason.NotDelivered, "The other mail system refuses the message, since the sender's domain does not allow its server (SPF).", tellAdministrator}, // NDR

	// The address.
	"5.1.0":  {reason.NotDelivered, "The other mail system does not accept the address of the sender or of the recipient.", checkAddress}, // NDR
	"5.1.1":  {reason.NotDelivered, "There is no mailbox with this address.", checkAddress},                                               // NDR
	"5.1.10": {reason.NotDelivered, "There is no mailbox with this address.", checkAddress},                                               // NDR
	"5.1.2":  {reason.NotDelivered, "There is no mail system for the domain of this address.", checkAddress},                              // RFC
	"5.1.3":  {reason.NotDelivered, "The address is not written as an address.", checkAddress},                                            // RFC
	"5.1.20": {reason.NotDelivered, "The message has several addresses in From and no Sender.", "Send it with one address in From."},      // NDR
	"5.4.1":  {reason.NotDelivered, "The other mail system does not accept mail for this address or its domain.", checkAddress},           // NDR
	"5.4.4":  {reason.NotDelivered, "The domain of this address has no mail server.", checkAddress},                                       // RFC

	// The recipient's mailbox.
	"5.2.1":   {reason.NotDelivered, "The recipient's mailbox is disabled.", askRecipient},                                                 // RFC
	"5.2.2":   {reason.NotDelivered, "The recipient's mailbox is full, or the sender has sent too much.", "Send the message again later."}, // RFC; NDR has the second meaning
	"5.2.3":   {reason.NotDelivered, "The message is larger than the recipient may receive.", "Send it with smaller attachments."},         // RFC
	"5.2.121": {reason.NotDelivered, "The recipient gets too much mail from this sender in an hour.", sendLater},                           // NDR
	"5.2.122": {reason.NotDelivered, "The recipient gets too much mail in an hour.", sendLater},                                            // NDR
	"5.3.4":   {reason.NotDelivered, "The message is larger than the other mail system takes.", "Send it with smaller attachments."},       // RFC

	// The way.
	"4.4.7":   {reason.NotDelivered, "The other mail system could not be reached for so long that Microsoft 365 gave up.", checkAddress}, // NDR
	"5.4.300": {reason.NotDelivered, "The other mail system could not be reached for so long that Microsoft 365 gave up.", checkAddress}, // NDR
	"5.4.6":   {reason.NotDelivered, "The message went round in a circle.", tellTheirAdmin},                                              // NDR
	"5.4.14":  {reason.NotDelivered, "The message went round in a circle.", tellTheirAdmin},                                              // NDR

	// Rules.
	"5.7.1":   {reason.NotDelivered, "The other mail system, or a rule of it, does not allow this message.", askRecipient},                                               // NDR
	"5.7.12":  {reason.NotDelivered, "The recipient takes mail from its own organization only.", askRecipient},                                                           // NDR
	"5.7.64":  {reason.NotDelivered, "A mail system on the way does not pass on mail of this tenant.", "Tell your administrator to look at the connectors in Exchange."}, // NDR
	"5.7.124": {reason.NotDelivered, "The sender is not among those who may write to this group.", askRecipient},                                                         // NDR
	"5.7.133": {reason.NotDelivered, "The group takes mail from its own organization only.", askRecipient},                                                               // NDR
	"5.7.134": {reason.NotDelivered, "The recipient takes mail from its own organization only.", askRecipient},                                                           // NDR
	"5.7.136": {reason.NotDelivered, "The recipient takes mail from its own organization only.", askRecipient},                                                           // NDR
}

// AdviceForCode returns what is known of a status code. It falls back to general advice.
func AdviceForCode(code string) ReturnAdvice {
	if a, ok := adviceOfCode[code]; ok {
		return a
	}
	return ReturnAdvice{reason.NotDelivered, "The message could not be delivered.", "See what the other mail system answered. If you cannot tell what to do, ask your administrator."}
}

// ValidCode reports whether code is an enhanced status code of a failure (RFC 3463 section 2):
// also 4.x.y, after which Microsoft 365 gave up.
func ValidCode(code string) bool {
	parts := strings.Split(code, ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || strconv.Itoa(n) != p || len(p) > 3 {
			return false
		}
	}
	return true
}
