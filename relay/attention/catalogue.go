package attention

import (
	"fmt"
	"time"

	"graphrelay/relay/reason"
)

// clearAfter is how long a condition has to be gone before it is over, so that one that comes
// and goes is one.
const clearAfter = 5 * time.Minute

// Catalogue returns every kind of condition, in the order of deploy/prometheus/alerts.yml, and
// then those that Prometheus cannot see.
func Catalogue() []Kind {
	all := concat(relayKinds(), mailKinds(), connectionKinds(), edgeKinds(), ownKinds())
	for i := range all {
		if all[i].Clear == 0 {
			all[i].Clear = clearAfter
		}
	}
	return all
}

func concat(lists ...[]Kind) (all []Kind) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// relayKinds are about the process.
func relayKinds() []Kind {
	return []Kind{
		{
			ID: "RelayDown", Severity: Critical, Summary: "A relay does not answer", For: 2 * time.Minute, Outside: true,
			Expression: `up{job="graphrelay"} == 0 or absent(up{job="graphrelay"})`,
			Remedy:     "Read the end of its log, and start it again.", Command: "journalctl -u graphrelay",
		},
		{
			ID: "RelayNotReady", Severity: Critical, Summary: "A relay takes no mail", For: 2 * time.Minute,
			Metric: "graphrelay_ready", Compare: Is, Limit: 0,
			Remedy: "Make space on the disk, raise the limit of the queue that is reached, or bring the database back. Clients keep their mail meanwhile, and send it again.", Command: "graphrelay check",
			cause: func(map[string]string, float64) string { return "New mail is answered with 4xx." },
		},
		{
			ID: "RelayRestarts", Severity: Critical, Summary: "A relay is started again and again", Limit: 3, Within: time.Hour, Recorded: true,
			Expression: `changes(process_start_time_seconds{job="graphrelay"}[1h]) > 3`,
			Remedy:     "The log says why it ended, for example a disk that fails. Repair that first.", Command: "journalctl -u graphrelay",
		},
		{
			ID: "NoIntake", Severity: Warning, Summary: "No mail comes in", For: 10 * time.Minute, Shared: true, Limit: 10, Within: 2 * time.Hour, Recorded: true,
			Expression: `sum(increase(graphrelay_messages_accepted_total[2h])) == 0 and (sum(increase(graphrelay_messages_accepted_total[2h] offset 1w)) > 10 or (sum(increase(graphrelay_messages_accepted_total[2h] offset 1d)) > 10 and 1 < day_of_week() < 6 or sum(increase(graphrelay_messages_accepted_total[2h] offset 3d)) > 10 and day_of_week() == 1) unless sum(graphrelay_messages_accepted_total offset 1w))`,
			Remedy:     "See whether clients reach the relay (network, firewall, name), and whether it refuses them.", Command: "graphrelay check --relay", Page: "listeners",
		},
	}
}

// mailKinds are about messages.
func mailKinds() []Kind {
	return []Kind{
		{
			ID: "MailWaits", Severity: Warning, Summary: "Mail does not get out", For: 5 * time.Minute, Shared: true,
			Metric: "graphrelay_queue_oldest_seconds", Compare: Above, Limit: 900,
			Remedy: "See for which reason the oldest messages wait, and remove that.", Command: "graphrelay queue list", Page: "messages",
			cause: func(_ map[string]string, v float64) string {
				return "A message has waited for " + Span(seconds(v)) + "."
			},
		},
		{
			ID: "MailHeld", Severity: Warning, Summary: "Mail is held", For: 15 * time.Minute, Shared: true,
			Metric: "graphrelay_queue_messages", Where: []Match{{"state", []string{"held"}}}, Compare: Above, Limit: 0,
			Remedy: "Decide on each: release it once its reason is gone, or delete it.", Command: "graphrelay queue list --state held", Page: "messages?state=held",
			cause: func(_ map[string]string, v float64) string {
				return count(v, "message waits", "messages wait") + " for your decision."
			},
		},
		{
			ID: "MailFailed", Severity: Warning, Summary: "Mail was not delivered",
			Metric: "graphrelay_messages_failed_total", By: []string{"connection", "reason"}, Within: time.Hour, Compare: Above, Limit: 0,
			Remedy: "Look the reason up; where it can be removed, retry the messages. Their senders were told, unless the messages are held.", Command: "graphrelay queue list --state failed,held", Page: "messages?state=failed",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("%s of the connection %s failed within the last hour. %s.", count(v, "message", "messages"), l["connection"], why(reason.Reason(l["reason"])))
			},
		},
		{
			ID: "BounceImpossible", Severity: Warning, Summary: "A sender could not be told of a failure",
			Metric: "graphrelay_bounces_impossible_total", By: []string{"connection"}, Within: time.Hour, Compare: Above, Limit: 0,
			Remedy: "Tell the sender, or set delivery.postmaster to a mailbox that can send. A message that nobody got is held.", Command: "graphrelay queue list --state held", Page: "messages?state=held",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("%s of the connection %s failed within the last hour, and there is nobody to tell.", count(v, "message", "messages"), l["connection"])
			},
		},
		{
			ID: "MailReturned", Severity: Critical, Summary: "Microsoft 365 no longer delivers mail of a mailbox or of the tenant",
			Metric: "graphrelay_messages_returned_total", Where: []Match{{"code", []string{"5.7.232", "5.7.233", "5.7.236", "5.1.8", "5.1.90"}}}, By: []string{"connection", "code"}, Within: time.Hour, Compare: Above, Limit: 0,
			Remedy: "5.7.232: send the rest tomorrow, or spread bulk mail; 5.1.8: unblock the mailbox under Restricted entities in Microsoft Defender; 5.1.90: spread the mail over more mailboxes.", Command: "graphrelay queue list --state returned", Page: "messages?state=returned",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("Mail of the connection %s came back with %s, for %s within the last hour.", l["connection"], l["code"], count(v, "recipient", "recipients"))
			},
		},
	}
}

// connectionKinds are about Graph, credentials and certificates.
func connectionKinds() []Kind {
	return []Kind{
		{
			ID: "Throttled", Severity: Warning, Summary: "Microsoft Graph slows the relay down", For: 15 * time.Minute,
			Metric: "graphrelay_graph_throttled_total", By: []string{"connection"}, Within: 15 * time.Minute, Compare: Above, Limit: 100,
			Remedy: "See which mailboxes send so much; spread bulk mail over more mailboxes, or lower delivery.mailbox_concurrency.", Command: "graphrelay queue lanes", Page: "mailboxes",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("Graph answered %.0f requests of the connection %s with 429 within 15 minutes.", v, l["connection"])
			},
		},
		{
			ID: "MailboxNearLimit", Severity: Warning, Summary: "The limit of recipients of a day is near", Shared: true,
			Metric: "graphrelay_mailboxes_near_limit", By: []string{"connection", "limit"}, Compare: Above, Limit: 0,
			Remedy: "Spread the mail over more mailboxes, or send the rest tomorrow: at the limit, Exchange sends no more mail of the mailbox. The log names the mailboxes.", Command: "graphrelay queue lanes", Page: "mailboxes",
			cause: func(l map[string]string, v float64) string {
				if l["limit"] == "external_recipients" {
					return fmt.Sprintf("The connection %s has sent to 80 %% or more of the external recipients that its tenant may have in 24 hours.", l["connection"])
				}
				return fmt.Sprintf("%s of the connection %s sent to 80 %% or more of the recipients that Exchange allows in 24 hours.", count(v, "mailbox has", "mailboxes have"), l["connection"])
			},
		},
		{
			ID: "SignInFails", Severity: Critical, Summary: "A connection cannot sign in", For: 5 * time.Minute,
			Metric: "graphrelay_token_requests_total", Where: []Match{{"result", []string{"failed"}}}, By: []string{"connection"}, Within: 5 * time.Minute, Compare: Above, Limit: 0,
			Remedy: "The client secret expired, or the application was changed: renew the secret, or grant consent again, then reload.", Command: "graphrelay check --online", Page: "connections",
			cause: func(l map[string]string, _ float64) string {
				return fmt.Sprintf("Entra gives the connection %s no token. Its mail waits.", l["connection"])
			},
		},
		{
			ID: "CredentialExpires", Severity: Warning, Summary: "A connection's credential expires", Shared: true,
			Metric: "graphrelay_credential_expiry_timestamp_seconds", By: []string{"connection"}, Remaining: true, Compare: Below, Limit: 30 * day.Seconds(),
			Remedy: "Make a new client secret or certificate in the Entra admin center, put it into the configuration, and reload.", Command: "graphrelay check --online", Page: "connections",
			cause: func(l map[string]string, v float64) string {
				return "The client secret or certificate of the connection " + l["connection"] + " " + expiry(v)
			},
		},
		{
			ID: "CertificateExpires", Severity: Warning, Summary: "A listener's certificate expires",
			Metric: "graphrelay_tls_certificate_expiry_timestamp_seconds", By: []string{"listener"}, Remaining: true, Compare: Below, Limit: 14 * day.Seconds(),
			Remedy: "Renew the certificate and put it into its files, or into the certificate store of Windows; the relay takes it by itself.", Command: "graphrelay check", Page: "listeners",
			cause: func(l map[string]string, v float64) string {
				return "The TLS certificate of the listener " + l["listener"] + " " + expiry(v)
			},
		},
		{
			ID: "MailboxRefused", Severity: Warning, Summary: "Owners have to connect their mailboxes again",
			Metric: "graphrelay_connected_mailboxes", Where: []Match{{"state", []string{"refused"}}}, By: []string{"connection"}, Compare: Above, Limit: 0,
			Remedy: "Have the owners connect them again, on the page /connect or with graphrelay connect; their mail is held until then.", Command: "graphrelay connect --list", Page: "mailboxes",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("Microsoft refuses %s of the connection %s.", count(v, "connected mailbox", "connected mailboxes"), l["connection"])
			},
		},
		{
			ID: "LookupsUnreliable", Severity: Warning, Summary: "Graph returns items that nobody searched for",
			Metric: "graphrelay_lookups_unreliable_total", By: []string{"connection"}, Within: time.Hour, Compare: Above, Limit: 0,
			Remedy: "The items are left alone. If messages are held with send_unknown too, set delivery.on_unknown to what you prefer; please report it.", Command: "graphrelay queue list --reason send_unknown", Page: "connections",
			cause: func(l map[string]string, _ float64) string {
				return "A look-up in a mailbox of the connection " + l["connection"] + " returned what was not searched for."
			},
		},
		{
			ID: "ContentLost", Severity: Warning, Summary: "Mail lost something that matters on its way",
			Metric: "graphrelay_conversion_losses_total", Where: []Match{{"kind", []string{"recipient", "form", "subject"}}}, By: []string{"kind"}, Within: day, Compare: Above, Limit: 0,
			Remedy: "The log names the messages (lost in the conversion), and queue show says what each has lost.", Command: "graphrelay queue list --state sent --since 1d", Page: "messages?state=sent",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("%s lost a %s within a day.", count(v, "message", "messages"), l["kind"])
			},
		},
		{
			ID: "ReloadFailed", Severity: Warning, Summary: "The configuration file is not the one in use",
			Metric: "graphrelay_config_last_reload_successful", Compare: Is, Limit: 0,
			Remedy: "Correct the file, then reload. The configuration before it stays in use.", Command: "graphrelay check", Page: "configuration",
			cause: func(map[string]string, float64) string { return "The last reload failed." },
		},
		{
			ID: "NodeGone", Severity: Warning, Summary: "A relay that shared the queue has died", Shared: true,
			Metric: "graphrelay_nodes", Where: []Match{{"state", []string{"gone"}}}, Compare: Above, Limit: 0,
			Remedy: "The others have its mailboxes. Start it again, or leave it: it is forgotten after a day.", Command: "graphrelay nodes", Page: "nodes",
			cause: func(_ map[string]string, v float64) string {
				return count(v, "relay has", "relays have") + " not renewed its lease."
			},
		},
	}
}

// edgeKinds are about clients.
func edgeKinds() []Kind {
	return []Kind{
		{
			ID: "PasswordsGuessed", Severity: Warning, Summary: "Passwords are being guessed",
			Metric: "graphrelay_smtp_auth_total", Where: []Match{{"result", []string{"blocked"}}}, By: []string{"listener"}, Within: time.Hour, Compare: Above, Limit: 100,
			Remedy: "The log names the clients (authentication blocked). Correct the password of a device of yours; keep others out with fail2ban or a firewall.", Command: "graphrelay check --relay", Page: "listeners",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("The listener %s has not checked %.0f passwords within the last hour, since too many wrong ones came before. It may also be a device with an old password.", l["listener"], v)
			},
		},
		{
			ID: "SessionPanic", Severity: Warning, Summary: "A fault of the relay ended an SMTP session",
			Metric: "graphrelay_smtp_panics_total", By: []string{"listener"}, Within: time.Hour, Compare: Above, Limit: 0,
			Remedy: "No other session was affected. Please report the line of the log.", Command: "graphrelay version", Page: "listeners",
			cause: func(l map[string]string, _ float64) string {
				return "A session of the listener " + l["listener"] + " met a fault of the program."
			},
		},
		{
			ID: "StorageRefuses", Severity: Critical, Summary: "The disk is full or failed",
			Metric: "graphrelay_messages_rejected_total", Where: []Match{{"reason", []string{"storage"}}}, By: []string{"listener"}, Within: 5 * time.Minute, Compare: Above, Limit: 0,
			Remedy: "Make space, or look at the disk (dmesg, SMART), or at the way to the database. Clients keep their mail, and send it again.", Command: "df -h", Page: "listeners",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("The listener %s has put off mail %s within 5 minutes, since it cannot be stored.", l["listener"], count(v, "time", "times"))
			},
		},
		{
			ID: "QueueFull", Severity: Critical, Summary: "The queue is full",
			Metric: "graphrelay_messages_rejected_total", Where: []Match{{"reason", []string{"full"}}}, By: []string{"listener"}, Within: 5 * time.Minute, Compare: Above, Limit: 0,
			Remedy: "See why so much mail waits; or raise queue.max_messages or queue.max_size.", Command: "graphrelay queue lanes", Page: "messages",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("The listener %s has put off mail %s within 5 minutes: the queue, or the share of a client, is full.", l["listener"], count(v, "time", "times"))
			},
		},
		{
			ID: "RateExceeded", Severity: Warning, Summary: "A client sends more than it may",
			Metric: "graphrelay_messages_rejected_total", Where: []Match{{"reason", []string{"rate"}}}, By: []string{"listener"}, Within: time.Hour, Compare: Above, Limit: 0,
			Remedy: "The log names the client (refused, rate). It is a loop, a script that runs wild, a stolen password, or a limit of rates that is too low.", Command: "graphrelay check", Page: "listeners",
			cause: func(l map[string]string, v float64) string {
				return fmt.Sprintf("The listener %s has put off mail %s within an hour, since its client had sent as much as it may.", l["listener"], count(v, "time", "times"))
			},
		},
	}
}

// ownKinds are those that no metric shows.
func ownKinds() []Kind {
	const pause = 5 * time.Minute
	return []Kind{
		{
			ID: "ConnectionPaused", Severity: Critical, Summary: "A connection is paused", For: pause, Shared: true,
			Remedy: "Remove the reason; then resume it, or wait for the end of the pause.", Command: "graphrelay queue lanes", Page: "connections",
		},
		{
			ID: "MailboxPaused", Severity: Warning, Summary: "Mailboxes are paused", For: pause, Shared: true,
			Remedy: "Remove the reason; then resume them, or wait for the end of the pause.", Command: "graphrelay queue lanes", Page: "mailboxes",
		},
		{
			ID: "MailDamaged", Severity: Critical, Summary: "Stored mail is damaged", Shared: true, Limit: 0,
			Remedy: "Look at the disk (dmesg, SMART). Put the file of the message back from a backup and release it, or export what is left of it and delete it.", Command: "graphrelay queue list --state held --reason storage", Page: "messages?state=held&reason=storage",
		},
		{
			ID: "NodesDiffer", Severity: Warning, Summary: "The relays on the queue have configurations that differ", For: pause, Shared: true,
			Remedy: "Give all of them the same configuration, apart from addresses, files and folders.", Command: "graphrelay nodes", Page: "nodes",
		},
		{
			ID: "RedirectAll", Severity: Warning, Summary: "All mail is redirected", Shared: true,
			Remedy: "Remove delivery.redirect_all where mail is to arrive, then reload.", Command: "graphrelay check", Page: "configuration",
		},
		{
			ID: "DeviceRefused", Severity: Warning, Summary: "A device is refused again and again", Limit: 10, Within: time.Hour,
			Remedy: "Correct the device, or allow what it does.", Page: "listeners",
		},
		{
			ID: "LearningWindow", Severity: Info, Summary: "Devices are let in and learnt",
			Remedy: "Close the window once every device has sent a message. It ends by itself.", Command: "graphrelay devices", Page: "listeners",
		},
	}
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// count returns a number with its noun.
func count(v float64, one, many string) string {
	if v < 1.5 {
		return "1 " + one
	}
	return fmt.Sprintf("%.0f %s", v, many)
}

func expiry(left float64) string {
	if left <= 0 {
		return "has expired."
	}
	return "expires in " + Span(seconds(left)) + "."
}

// Span returns a length of time for people: "40 seconds", "16 minutes", "2 hours", "3 days".
func Span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return count(d.Seconds(), "second", "seconds")
	case d < 2*time.Hour:
		return count(d.Minutes(), "minute", "minutes")
	case d < 2*day:
		return count(d.Hours(), "hour", "hours")
	}
	return count(d.Hours()/24, "day", "days")
}

// IDs returns the names of all kinds that a relay can see itself.
func IDs() (ids []string) {
	for _, k := range Catalogue() {
		if !k.Outside {
			ids = append(ids, k.ID)
		}
	}
	return ids
}
