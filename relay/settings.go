package relay

import (
	"crypto/tls"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/bounce"
	"graphrelay/relay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/quota"
	"graphrelay/relay/refusals"
	"graphrelay/relay/signature"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/verdict"
)

// The functions here translate the configuration into the settings of each part. They
// decide nothing else.

func listenerConfig(cfg *config.Config, l config.Listener, t *tls.Config, verdicts verdict.Source, refused *refusals.Log) smtpd.Config {
	return smtpd.Config{
		Name: l.Name, Hostname: cfg.Hostname,
		TLS:      smtpd.TLSConfig{Mode: l.TLS, Config: t},
		Auth:     smtpd.AuthConfig{Mode: l.Auth, Bearer: l.PassThrough != "", Plain: l.PlainAuth()},
		Networks: l.Networks, DenyNetworks: l.DenyNetworks, ProxyNetworks: l.ProxyNetworks,
		Leniency: smtpd.Leniency{LineEndings: l.LineEndings, Commands: l.Profile == config.ProfileLegacy, Domain: l.AddDomain},
		Timeout:  time.Duration(cfg.Limits.Timeout), Session: sessionLimits(cfg), Message: messageLimits(cfg, l), Queue: queueLimits(cfg),
		Verdict: smtpd.VerdictConfig{Wait: time.Duration(l.Wait), Source: verdicts}, Refusals: refused,
	}
}

func listenerNames(cfg *config.Config) (names []string) {
	for _, l := range cfg.Listeners {
		names = append(names, l.Name)
	}
	if l := cfg.PickupListener(); l != nil {
		names = append(names, l.Name)
	}
	return names
}

func messageLimits(cfg *config.Config, l config.Listener) smtpd.MessageLimits {
	return smtpd.MessageLimits{
		Bytes: int64(cfg.ListenerSize(l)), Recipients: cfg.Limits.Recipients,
		LineBytes: int(cfg.LineLimit(l)), HeaderBytes: int(cfg.Limits.HeaderSize),
		Time: time.Duration(cfg.Limits.MessageTimeout), MinRate: int64(cfg.Limits.MinRate),
	}
}

func connectionLimits(cfg *config.Config) smtpd.ConnectionLimits {
	l := cfg.Limits
	return smtpd.ConnectionLimits{
		Total: l.Connections, PerAddress: l.ConnectionsPerAddress, PerNetwork: l.ConnectionsPerNetwork, PerMinute: l.ConnectionsPerMinute,
	}
}

func sessionLimits(cfg *config.Config) smtpd.SessionLimits {
	l := cfg.Limits
	return smtpd.SessionLimits{
		Commands: l.Commands, Errors: l.Errors, BadRecipients: l.BadRecipients, Time: time.Duration(l.SessionTimeout),
		Delay: 500 * time.Millisecond,
	}
}

func queueLimits(cfg *config.Config) queue.Limits {
	return queue.Limits{Messages: int64(cfg.Queue.MaxMessages), Bytes: int64(cfg.Queue.MaxSize), FreeSpace: int64(cfg.Queue.MinFreeSpace), Folder: cfg.DataDir}
}

func retention(cfg *config.Config) queue.Retention {
	q := cfg.Queue
	return queue.Retention{Sent: time.Duration(q.KeepSent), SentMessages: int64(q.KeepSentMessages), Failed: time.Duration(q.KeepFailed),
		FailedMessages: int64(q.MaxMessages), FailedBytes: int64(q.MaxSize) / 4,
		SentContent: time.Duration(q.KeepSentContent), LeftBytes: int64(q.MaxSize) / 8, FreeSpace: int64(q.MinFreeSpace)}
}

func mimeLimits(cfg *config.Config) mime.Limits {
	l := mime.DefaultLimits()
	l.Depth, l.Parts, l.HeaderBytes = cfg.Limits.Depth, cfg.Limits.Parts, int(cfg.Limits.HeaderSize)
	l.HeaderFields, l.ValueBytes = cfg.Limits.HeaderFields, int(cfg.Limits.HeaderValue)
	return l
}

func deliveryConfig(cfg *config.Config, node queue.Node) delivery.Config {
	perLane := 2 * cfg.Delivery.MailboxConcurrency // the next is ready when a request ends; the gate in graph counts those
	d := delivery.Config{
		Node: node, Lease: lease(cfg), Host: cfg.Hostname, Concurrency: cfg.Delivery.Concurrency, Memory: int64(cfg.Delivery.Memory), PerLane: perLane,
		GiveUpAfter: time.Duration(cfg.Delivery.GiveUpAfter), WarnAfter: time.Duration(cfg.Delivery.WarnAfter),
		SweepEvery: maintenanceInterval, MIME: mimeLimits(cfg), LogRecipients: cfg.Log.Recipients,
	}
	d.BounceCopy = cfg.Delivery.BounceCopy
	if c := cfg.ConnectionOf(cfg.Delivery.Postmaster); c != nil {
		d.Postmaster = queue.Lane{Connection: c.Name, Mailbox: mailaddr.Canonical(cfg.Delivery.Postmaster)}
	}
	for _, delay := range cfg.Delivery.RetryDelays {
		d.RetryDelays = append(d.RetryDelays, time.Duration(delay))
	}
	return d
}

// lease returns how long a node's claims last. Where it has no others, they last long: its
// disk may take its time.
func lease(cfg *config.Config) time.Duration {
	if !cfg.Queue.Shared() {
		return delivery.DefaultLease
	}
	return time.Duration(cfg.Queue.Lease)
}

// notifier writes the notifications about returned messages like those about failed ones.
func notifier(cfg *config.Config, to func(sender string) string, receives func(queue.Lane, string) bool) bounce.Notifier {
	d := deliveryConfig(cfg, queue.Node{})
	return bounce.Notifier{Host: d.Host, Postmaster: d.Postmaster, To: to, Copy: d.BounceCopy, GiveUpAfter: d.GiveUpAfter, Receives: receives}
}

// dailyLimits returns the limits that recipients are counted against.
func dailyLimits(cfg *config.Config) map[string]quota.Limits {
	all := map[string]quota.Limits{}
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		all[c.Name] = quota.Limits{Recipients: int64(c.DailyRecipients), External: int64(c.DailyExternal),
			IsExternal: func(address string) bool { return cfg.IsExternal(c, address) }}
	}
	return all
}

func outletConfig(cfg *config.Config) graphmail.Config {
	o := graphmail.Config{
		Host: cfg.Hostname, MIME: mimeLimits(cfg), XHeaders: cfg.Delivery.XHeaders,
		SendSettle: time.Duration(cfg.Delivery.SendSettle), RetryUnexplained: time.Duration(cfg.Delivery.RetryUnexplained), GiveUpAfter: time.Duration(cfg.Delivery.GiveUpAfter),
		RedirectAll:        cfg.Delivery.RedirectAll,
		ConvertLargeSigned: cfg.Delivery.LargeSigned == config.LargeSignedConvert,
		ResendUnknown:      cfg.Delivery.OnUnknown == config.OnUnknownResend,
		Signatures:         map[string]*signature.Template{}, Connections: map[string]graphmail.Connection{},
	}
	for _, s := range cfg.Signatures {
		o.Signatures[s.Name] = s.Template
	}
	for _, c := range cfg.Connections {
		missing := c.Missing()
		o.Connections[c.Name] = graphmail.Connection{
			SendOnly: !c.MailReadWrite, DropCopies: !c.SentItems, Delegated: c.SignIn == config.SignInDelegated, ClientID: c.ClientID,
			NoUploads: missing.Uploads, NoPermanentDelete: missing.PermanentDelete, NoHeaders: missing.Headers,
		}
	}
	return o
}
