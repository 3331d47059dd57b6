package bounce

import (
	"fmt"
	"strings"
	"time"

	"graphrelay/internal/text"
)

// prose returns the part for people: what happened, why, and what the sender can do.
func (n *notice) prose() string {
	if n.returns != nil {
		return n.returnedProse()
	}
	var b strings.Builder
	a := n.advice()
	fmt.Fprintf(&b, "This is the mail relay %s.\n\n", n.host)
	switch n.action {
	case Failed:
		n.list(&b, "Your message was not sent to:")
		fmt.Fprintf(&b, "Why: %s\n", a.Why)
		if n.gaveUp > 0 {
			fmt.Fprintf(&b, "The relay tried for %s and then gave up.\n", plainly(n.gaveUp))
		}
		fmt.Fprintf(&b, "\nWhat you can do: %s\n", a.Do)
	case Delayed:
		n.list(&b, "Your message has not yet been sent to:")
		fmt.Fprintf(&b, "Why: %s\n", a.Why)
		fmt.Fprintf(&b, "\nWhat you can do: Nothing for now. The relay will keep trying until %s.\nPlease do not send the message again, or it will arrive twice.\n",
			n.until.Format(time.RFC1123Z))
	case Relayed:
		n.list(&b, "Your message was handed over to Microsoft 365, which will deliver it to:")
		b.WriteString("Microsoft 365 does not report when it arrives, so you will receive no further notice.\n")
	}
	n.particulars(&b)
	return b.String()
}

func (n *notice) advice() Advice {
	if n.refused != nil {
		return adviceRefused
	}
	return AdviceFor(n.reason)
}

func (n *notice) list(b *strings.Builder, title string) {
	b.WriteString(title + "\n\n")
	for _, r := range n.recipients {
		b.WriteString("    " + text.OneLine(r) + "\n")
	}
	b.WriteString("\n")
}

// particulars writes which message it is, and what an administrator will ask for.
func (n *notice) particulars(b *strings.Builder) {
	line := func(name, value string) {
		if value = text.Shorten(text.OneLine(value), maxField); value != "" {
			fmt.Fprintf(b, "    %-11s %s\n", name+":", value)
		}
	}
	b.WriteString("\nThe message:\n\n")
	line("Subject", n.original.subject)
	line("Date", n.original.date)
	line("Message-ID", n.original.messageID)
	if n.returns != nil && n.to != n.about.Envelope.From {
		line("Sender", n.about.Envelope.From)
	}
	line("Received", n.about.Received.Format(time.RFC1123Z))
	b.WriteString("\nFor your administrator:\n\n")
	line("Queue ID", n.about.ID)
	line("Mailbox", n.about.Lane.Mailbox)
	line("Reason", string(n.reason))
	line("Details", n.detail)
}

// plainly returns d without the zero units that its String prints.
func plainly(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
