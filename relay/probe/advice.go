package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"graphrelay/graph"
	"graphrelay/relay/config"
)

// remedy returns what to do about a refusal, or about a request without an answer.
func (p *Probe) remedy(err error) string {
	var proxy *graph.ProxyError
	var cert *tls.CertificateVerificationError
	switch {
	case err == nil:
		return "this answer is not known; send the output of --json to the project"
	case errors.As(err, &proxy):
		return "" // its text says it
	case errors.As(err, &cert):
		return "if a gateway or proxy of your own opens the TLS on the way, name its authority in ca_file"
	case graph.Unreachable(err):
		return "check the network, the proxy, the firewall, and cloud or endpoints"
	}
	if known := graph.Advice(err); known != "" {
		return known
	}
	e := asError(err)
	switch {
	case graph.NamesExhausted(err):
		return "the mailbox has no named properties left; set delivery.x_headers: []"
	case e.Code == "ErrorQuotaExceeded":
		return "the mailbox is full, or has no named properties left: empty it, or raise its quota; or set delivery.x_headers: []"
	case e.Status == http.StatusTooManyRequests || graph.Busy(err) && e.Reason == graph.ReasonThrottled:
		return "Graph asks for a pause; run the probe while the relay does not send from this mailbox, and try again later; if it goes on, lower delivery.mailbox_concurrency or delivery.mailbox_requests"
	case graph.Busy(err):
		return "Microsoft has a fault; try again in a few minutes"
	case e.Status == http.StatusUnauthorized:
		return "Graph does not accept the token; check cloud, endpoints and tenant"
	case graph.SendAsDenied(err):
		return p.sendAsRemedy(p.o.Mailbox)
	case graph.AccessDenied(err):
		return p.accessRemedy("Mail.ReadWrite and Mail.Send")
	case graph.MailboxUnknown(err):
		return "check the address: it has to be the primary one of a mailbox in this tenant, with a licence"
	case graph.RecipientRefused(err):
		return "Exchange does not accept the address of the recipient; check it"
	case e.Reason == graph.ReasonTooLarge:
		return "set message_size of the connection, or limits.message_size, to what the tenant takes"
	}
	return "this refusal is not known; send the output of --json to the project"
}

// accessRemedy says how the application gets permissions for the mailbox.
func (p *Probe) accessRemedy(permissions string) string {
	if p.delegated() {
		return "see that the account that has signed in has Full Access to the mailbox, and connect it again: graphrelay connect " + p.o.Mailbox + ", with --shared if it is a shared mailbox"
	}
	return fmt.Sprintf("grant the application %s with admin consent, or put the mailbox into the scope of its RBAC for Applications; Exchange shows what it may do with %s; after a change leave it idle for 30 minutes, since each request keeps the old answer alive",
		permissions, graph.TestAuthorization(p.o.Connection.ClientID, p.o.Mailbox))
}

// sendAsRemedy says how the mailbox may send as an address.
func (p *Probe) sendAsRemedy(address string) string {
	return fmt.Sprintf("grant the mailbox Send As: Add-RecipientPermission -Identity %s -Trustee %s -AccessRights SendAs; or have a sender rule show another From, or set send_denied: fallback",
		address, p.o.Mailbox)
}

// relayCopes is the end of advice about a difference that needs no setting.
const relayCopes = "nothing to set; the relay copes with it"

// usesUploads reports whether the relay would use upload sessions.
func usesUploads(c *config.Connection) bool { return !c.Missing().Uploads }
