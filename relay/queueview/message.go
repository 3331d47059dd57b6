package queueview

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// record is the JSON form of a message. It has no upload URL, which carries a token.
type record struct {
	ID         string         `json:"id"`
	State      queue.State    `json:"state"`
	Received   time.Time      `json:"received"`
	Size       int64          `json:"size"`
	From       string         `json:"envelope_from"`
	To         []string       `json:"envelope_to"`
	DSN        queue.DSN      `json:"dsn,omitzero"` // RFC 3461
	Lane       laneName       `json:"lane"`
	HeaderFrom string         `json:"from"`
	Subject    string         `json:"subject,omitempty"`
	MessageID  string         `json:"message_id,omitempty"`
	Listener   string         `json:"listener"`
	User       string         `json:"user,omitempty"`
	Client     string         `json:"client"`
	Due        *time.Time     `json:"due,omitempty"`
	Paused     *time.Time     `json:"paused_until,omitempty"` // its lane
	Reason     reason.Reason  `json:"reason,omitempty"`
	Detail     string         `json:"detail,omitempty"`
	Attempts   int            `json:"attempts"`
	Finished   *time.Time     `json:"finished,omitempty"`
	Path       string         `json:"path,omitempty"`
	Draft      string         `json:"draft,omitempty"`
	Attached   int            `json:"attached,omitempty"`
	Returns    []queue.Return `json:"returns,omitempty"` // of non-delivery reports
	Events     *[]queue.Event `json:"events,omitempty"`
}

func recordOf(r queue.Record) record {
	steps := graphmail.StepsOf(r.Progress)
	v := record{
		ID: r.ID, State: r.State, Received: r.Received, Size: r.Size, From: r.Envelope.From, To: r.Envelope.To, DSN: r.Envelope.DSN,
		Lane: nameOf(r.Lane), HeaderFrom: r.From, Subject: r.Subject, MessageID: r.MessageID, Listener: r.Listener, User: r.User,
		Client: r.Client, Reason: r.Reason, Detail: r.Detail, Attempts: r.Attempts,
		Path: steps.Path, Draft: steps.DraftID, Attached: steps.Attached, Returns: r.Returns,
	}
	if r.State == queue.Queued || r.State == queue.Deferred {
		v.Due = &r.Due
	}
	if !r.PausedUntil.IsZero() {
		v.Paused = &r.PausedUntil
	}
	if !r.Finished.IsZero() {
		v.Finished = &r.Finished
	}
	return v
}

// Messages prints one line for each message, under a heading if this is the first part of
// the list.
func (p Printer) Messages(records []queue.Record, first bool) error {
	if p.JSON {
		return encodeEach(p, records, recordOf)
	}
	w := p.table()
	if first {
		fmt.Fprintln(w, "ID\tSTATE\tRECEIVED\tSIZE\tFROM\tTO\tWHY")
	}
	for _, r := range records {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, r.State, r.Received.Format(time.DateTime), r.Size,
			text.Printable(sender(r.Envelope)), text.Printable(recipients(r.Envelope.To)), text.Printable(why(r)))
	}
	return w.Flush()
}

// why returns why a message waits, or what became of it.
func why(r queue.Record) string {
	if r.PausedUntil.IsZero() {
		return string(r.Reason)
	}
	return strings.TrimPrefix(string(r.Reason)+", lane paused "+until(r.PausedUntil), ", ")
}

// until returns until when a lane is paused.
func until(t time.Time) string {
	if t.Before(queue.Forever) {
		return "until " + t.Format(time.DateTime)
	}
	return "until resume"
}

// Message prints all of one message, with its history.
func (p Printer) Message(r queue.Record, events []queue.Event) error {
	v := recordOf(r)
	if p.JSON {
		events = append([]queue.Event{}, events...) // [] if there are none
		v.Events = &events
		return p.encoder().Encode(v)
	}
	w := p.table()
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text.Printable(value))
		}
	}
	line("id", v.ID)
	line("state", string(v.State))
	line("why", strings.TrimSpace(string(v.Reason)+" "+v.Detail))
	if v.Due != nil {
		line("next try", v.Due.Format(time.DateTime))
	}
	line("attempts", strconv.Itoa(v.Attempts))
	line("received", v.Received.Format(time.DateTime)+" "+origin(r))
	line("user", v.User)
	line("size", strconv.FormatInt(v.Size, 10))
	line("envelope from", sender(r.Envelope))
	line("envelope to", strings.Join(v.To, " "))
	notifications(line, r.Envelope)
	line("from", v.HeaderFrom)
	line("subject", v.Subject)
	line("message id", v.MessageID)
	line("lane", r.Lane.String())
	if v.Paused != nil {
		line("lane paused", until(*v.Paused))
	}
	line("draft", v.Draft)
	for _, x := range v.Returns {
		line("returned", strings.Join(strings.Fields(x.At.Local().Format(time.DateTime)+" "+x.Recipient+" "+x.Code+" "+x.Diagnostic), " "))
	}
	for _, ev := range events {
		request := ev.RequestID
		if request != "" {
			request = "(request-id " + request + ")"
		}
		line("  "+ev.At.Format("2006-01-02 15:04:05.000"), strings.Join(strings.Fields(ev.What+" "+ev.Detail+" "+request), " "))
	}
	return w.Flush()
}

// sender returns the envelope's sender, with the null reverse-path of a bounce as in SMTP.
func sender(e queue.Envelope) string {
	if e.From == "" {
		return "<>"
	}
	return e.From
}

func recipients(to []string) string {
	if len(to) > 1 {
		return to[0] + " and " + strconv.Itoa(len(to)-1) + " more"
	}
	return strings.Join(to, "")
}

// origin returns where the message came from. A bounce has no client.
func origin(r queue.Record) string {
	if r.Client == "" {
		return "from the relay itself"
	}
	return "from " + r.Client + " on " + r.Listener
}

// notifications prints what the client asked for (RFC 3461), decoded.
func notifications(line func(name, value string), e queue.Envelope) {
	pair := func(name, value string) string {
		if value == "" {
			return ""
		}
		return " " + name + "=" + value
	}
	line("notifications", strings.TrimSpace(pair("RET", e.DSN.Return)+pair("ENVID", e.DSN.EnvelopeID)))
	for _, to := range e.To {
		if r, ok := e.DSN.Recipients[to]; ok {
			line("  "+to, strings.TrimSpace(pair("NOTIFY", strings.Join(r.Notify, ","))+pair("ORCPT", r.Original)))
		}
	}
}
