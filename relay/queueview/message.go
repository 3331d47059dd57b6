package queueview

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

// Messages prints one line for each message, under a heading if this is the first part of
// the list.
func (p Printer) Messages(list []operations.Message, first bool) error {
	if p.JSON {
		return encodeEach(p, list)
	}
	w := p.table()
	if first {
		fmt.Fprintln(w, "ID\tSTATE\tRECEIVED\tSIZE\tFROM\tTO\tWHY")
	}
	for _, m := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", m.ID, m.State, local(m.Received), m.Size,
			text.Printable(sender(m)), text.Printable(recipients(m.To)), text.Printable(why(m)))
	}
	return w.Flush()
}

// why returns why a message waits, or what became of it.
func why(m operations.Message) string {
	if m.Paused == nil {
		return string(m.Reason)
	}
	return strings.TrimPrefix(string(m.Reason)+", lane paused "+until(*m.Paused), ", ")
}

// until returns until when a lane is paused.
func until(t time.Time) string {
	if t.Before(queue.Forever) {
		return "until " + local(t)
	}
	return "until resume"
}

// Message prints all of one message, with its history.
func (p Printer) Message(m operations.Message) error {
	if p.JSON {
		return p.encoder().Encode(m)
	}
	w := p.table()
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text.Printable(value))
		}
	}
	line("id", m.ID)
	line("state", string(m.State))
	line("why", strings.TrimSpace(string(m.Reason)+" "+m.Detail))
	if m.Due != nil {
		line("next try", local(*m.Due))
	}
	line("attempts", strconv.Itoa(m.Attempts))
	line("received", local(m.Received)+" "+origin(m))
	line("reception", reception(m.Reception))
	line("user", m.User)
	line("size", strconv.FormatInt(m.Size, 10))
	line("envelope from", sender(m))
	line("envelope to", strings.Join(m.To, " "))
	notifications(line, m)
	line("from", m.HeaderFrom)
	line("subject", m.Subject)
	line("message id", m.MessageID)
	line("lane", m.Lane.String())
	if m.Paused != nil {
		line("lane paused", until(*m.Paused))
	}
	line("draft", m.Draft)
	line("refused", strings.Join(m.Refused, " "))
	for _, x := range m.Returns {
		line("returned", strings.Join(strings.Fields(local(x.At)+" "+x.Recipient+" "+x.Code+" "+x.Diagnostic), " "))
	}
	for _, ev := range m.Events {
		request := ev.RequestID
		if request != "" {
			request = "(request-id " + request + ")"
		}
		if ev.Took > 0 {
			request += " in " + ev.Took.Round(time.Millisecond).String()
		}
		line("  "+ev.At.Local().Format("2006-01-02 15:04:05.000"), strings.Join(strings.Fields(ev.What+" "+ev.Detail+" "+request), " "))
	}
	return w.Flush()
}

// sender returns the envelope's sender, with the null reverse-path of a bounce as in SMTP.
func sender(m operations.Message) string {
	if m.From == "" {
		return "<>"
	}
	return m.From
}

func recipients(to []string) string {
	if len(to) > 1 {
		return to[0] + " and " + strconv.Itoa(len(to)-1) + " more"
	}
	return strings.Join(to, "")
}

// origin returns where the message came from. A bounce has no client.
func origin(m operations.Message) string {
	if m.Client == "" {
		return "from the relay itself"
	}
	return "from " + m.Client + " on " + m.Listener
}

// reception returns how the client handed the message in.
func reception(r queue.Reception) string {
	if r == (queue.Reception{}) {
		return ""
	}
	tls := "without TLS"
	if r.TLS != "" {
		tls = r.TLS + " " + r.Cipher
	}
	return fmt.Sprintf("HELO %s, %s, accepted %s after it had connected", cmp.Or(r.HELO, "without a name"), tls, r.Took.Round(time.Millisecond))
}

// notifications prints what the client asked for (RFC 3461), decoded.
func notifications(line func(name, value string), m operations.Message) {
	pair := func(name, value string) string {
		if value == "" {
			return ""
		}
		return " " + name + "=" + value
	}
	line("notifications", strings.TrimSpace(pair("RET", m.DSN.Return)+pair("ENVID", m.DSN.EnvelopeID)))
	for _, to := range m.To {
		if r, ok := m.DSN.Recipients[to]; ok {
			line("  "+to, strings.TrimSpace(pair("NOTIFY", strings.Join(r.Notify, ","))+pair("ORCPT", r.Original)))
		}
	}
}
