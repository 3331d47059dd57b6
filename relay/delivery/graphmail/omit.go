package graphmail

import (
	"errors"
	"slices"
	"strings"

	"graphrelay/graph"
)

// An omission is a part of a draft that is left out since Graph refuses it. The progress of
// a message records it before the draft is created.
type omission string

// The omissions, in the order in which they are tried: what is missed least goes first. The
// queue ID goes last, since a draft without it is found by its Message-ID only.
const (
	omitSubject    omission = "subject" // its end
	omitHeaders    omission = "headers" // the X- fields
	omitProperties omission = "properties"
	omitSender     omission = "sender"
	omitFrom       omission = "from" // the mailbox's own address, which Graph adds
	omitQueueID    omission = "queue_id"
)

// String returns what an operator calls it.
func (o omission) String() string {
	return map[omission]string{
		omitSubject: "the end of the subject", omitHeaders: "X- fields", omitProperties: "extended properties",
		omitSender: "Sender", omitFrom: "From", omitQueueID: "the queue ID",
	}[o]
}

func omissionsText(list []omission) string {
	var names []string
	for _, o := range list {
		names = append(names, o.String())
	}
	return strings.Join(names, ", ")
}

// omit leaves these parts, and no others, out of the draft.
func (p *plan) omit(list []omission) {
	d := *p.full
	if p.suppress != nil && slices.Contains(list, omitProperties) {
		h := slices.Concat([]graph.Header{*p.suppress}, d.InternetMessageHeaders)
		d.InternetMessageHeaders = h[:min(len(h), graph.MaxHeaders)]
	}
	for _, o := range list {
		switch o {
		case omitSubject:
			subject := []rune(d.Subject)
			d.Subject = string(subject[:min(len(subject), graph.MaxSubject)])
		case omitHeaders:
			d.InternetMessageHeaders = nil
		case omitProperties:
			d.Properties = slices.DeleteFunc(slices.Clone(d.Properties), func(p graph.Property) bool { return p.ID != graph.PropertyQueueID })
		case omitQueueID:
			d.Properties = slices.DeleteFunc(slices.Clone(d.Properties), func(p graph.Property) bool { return p.ID == graph.PropertyQueueID })
		case omitSender:
			d.Sender = nil
		case omitFrom:
			d.From = nil
		}
	}
	p.draft, p.omitted = &d, slices.Sorted(slices.Values(list))
}

// candidates returns what can still be left out of the draft.
func (p *plan) candidates() (list []omission) {
	add := func(o omission, there bool) {
		if there {
			list = append(list, o)
		}
	}
	hasID := slices.ContainsFunc(p.draft.Properties, func(p graph.Property) bool { return p.ID == graph.PropertyQueueID })
	others := len(p.draft.Properties)
	if hasID {
		others--
	}
	add(omitSubject, len([]rune(p.draft.Subject)) > graph.MaxSubject)
	add(omitHeaders, len(p.draft.InternetMessageHeaders) > 0)
	add(omitProperties, others > 0)
	add(omitSender, p.draft.Sender != nil)
	add(omitFrom, p.draft.From != nil && p.own)
	add(omitQueueID, hasID)
	return list
}

// losses returns what the message loses by what is left out.
func (p *plan) losses() (list []finding) {
	for _, o := range p.omitted {
		switch o {
		case omitSubject:
			list = append(list, finding{LossSubject, "cut: Graph accepts 255 characters"})
		case omitHeaders:
			var names []string
			for _, h := range p.full.InternetMessageHeaders {
				names = append(names, h.Name)
			}
			if len(names) > 0 {
				list = append(list, finding{LossHeader, "not carried: " + strings.Join(names, ", ") + ": Graph refuses X- fields"})
			}
		case omitProperties:
			if n := len(p.full.InternetMessageHeaders); n == graph.MaxHeaders && p.suppress != nil && len(p.draft.InternetMessageHeaders) > 0 {
				list = append(list, finding{LossHeader, "not carried: " + p.full.InternetMessageHeaders[n-1].Name + ", to make room for " + suppressField})
			}
			if names := p.lostProperties(); names != "" {
				list = append(list, finding{LossProperty, "not carried: " + names + ": Graph refuses their extended properties"})
			}
		case omitSender:
			if p.full.Sender != nil {
				list = append(list, finding{LossSender, "dropped the sender " + p.full.Sender.EmailAddress.Address})
			}
		case omitFrom:
			list = append(list, finding{LossSender, "Graph refuses From: it shows the mailbox with the name that it has there"})
		case omitQueueID:
			list = append(list, finding{"", "the draft goes without the queue ID, which Graph refuses: it is found by its Message-ID"})
		}
	}
	return list
}

// lostProperties returns the fields whose values are lost with the properties.
func (p *plan) lostProperties() string {
	lost := p.full.Properties
	if p.suppress != nil && len(p.draft.InternetMessageHeaders) > 0 { // it goes as a field
		lost = slices.DeleteFunc(slices.Clone(lost), func(p graph.Property) bool { return p.ID == graph.PropertyAutoReplies })
	}
	return propertyNames(lost)
}

// culprit returns the part of the draft that a refusal names, or nothing.
func (p *plan) culprit(refused error) omission {
	var e *graph.Error
	if !errors.As(refused, &e) {
		return ""
	}
	text, left := strings.ToLower(e.Code+" "+e.Target+" "+e.Message), p.candidates()
	pick := func(wanted ...omission) omission {
		for _, o := range wanted {
			if slices.Contains(left, o) {
				return o
			}
		}
		return ""
	}
	for _, property := range p.draft.Properties {
		if strings.Contains(text, strings.ToLower(property.ID)) {
			if property.ID == graph.PropertyQueueID {
				return pick(omitQueueID)
			}
			return pick(omitProperties)
		}
	}
	mentions := func(name string) bool {
		return strings.Contains(text, "'"+name+"'") || strings.EqualFold(e.Target, name)
	}
	switch {
	case graph.NamesExhausted(refused):
		return pick(omitHeaders, omitQueueID)
	case strings.Contains(text, "internetmessageheader"):
		return pick(omitHeaders)
	case strings.Contains(text, "extendedpropert"), strings.Contains(text, "extended propert"):
		return pick(omitProperties, omitQueueID)
	case mentions("sender"):
		return pick(omitSender)
	case mentions("from"):
		return pick(omitFrom)
	case mentions("subject"):
		return pick(omitSubject)
	}
	return ""
}

// trial finds out which part of a draft Graph refuses.
type trial struct {
	first error        // the refusal of the draft as it was
	start []omission   // what was left out then
	named []omission   // that, and what refusals have named since
	rest  [][]omission // what is left out next
}

// sequence returns what to leave out, one after the other: each part alone, so that only the
// one at fault is lost, then all extended properties, then one part more each time.
func sequence(always, candidates []omission) (list [][]omission) {
	for _, o := range candidates {
		list = append(list, append(slices.Clone(always), o))
	}
	if slices.Contains(candidates, omitProperties) && slices.Contains(candidates, omitQueueID) {
		list = append(list, append(slices.Clone(always), omitProperties, omitQueueID))
	}
	for n := 2; n <= len(candidates); n++ {
		list = append(list, append(slices.Clone(always), candidates[:n]...))
	}
	return list
}

// omitNext leaves another part out of the draft that was refused. It reports whether there
// is one: if nothing helps, the draft is as it was, and later attempts do not try again.
func (t *transfer) omitNext(refused error) bool {
	if t.p.Tried || !graph.Malformed(refused) {
		return false
	}
	o := t.plan.culprit(refused)
	if o == "" && graph.Unexplained(refused) && t.trial == nil && t.p.Unexplained.IsZero() && t.o.cfg.RetryUnexplained > 0 {
		return false // it may pass: the message is first tried once more as it is
	}
	if t.trial == nil {
		t.trial = &trial{first: refused, start: t.plan.omitted, named: t.plan.omitted}
		t.trial.rest = sequence(t.trial.named, t.plan.candidates())
	}
	x := t.trial
	if o != "" && !slices.Contains(x.named, o) {
		x.named = append(slices.Clone(x.named), o)
		t.leaveOut(x.named)
		x.rest = sequence(x.named, t.plan.candidates())
	} else if len(x.rest) > 0 {
		t.leaveOut(x.rest[0])
		x.rest = x.rest[1:]
	} else {
		t.leaveOut(x.start)
		t.p.Tried = true
		return false
	}
	t.noteRefused("trying again", "without "+omissionsText(t.plan.omitted)+": "+refused.Error(), refused)
	return true
}

// leaveOut leaves parts out of the draft, which has to be recorded before it is created.
func (t *transfer) leaveOut(list []omission) {
	t.plan.omit(list)
	t.p.Omit, t.draftRecorded = t.plan.omitted, false
}

// refusal returns the error that ends the attempt: the refusal of the whole message, if
// nothing that was left out has helped.
func (t *transfer) refusal(err error) error {
	if t.trial != nil && t.p.Tried && graph.Malformed(err) {
		return t.trial.first
	}
	return err
}

// accepted reports what was left out of the draft that Graph has accepted, and remembers
// what has helped.
func (t *transfer) accepted() {
	t.report(t.plan.losses())
	if t.plan.draft != nil {
		for _, o := range t.plan.candidates() {
			t.o.habits.unlearn(t.Message.Lane.Connection, o)
		}
	}
	if x := t.trial; x != nil {
		t.trial = nil
		helped := slices.DeleteFunc(slices.Clone(t.plan.omitted), func(o omission) bool { return slices.Contains(x.start, o) })
		for _, o := range helped {
			if t.o.habits.learn(t.Message.Lane.Connection, o) {
				t.o.cfg.Log.Warn("Graph refuses a part of each message of this connection; it is left out, and tried again after "+habitTime.String(),
					"connection", t.Message.Lane.Connection, "part", o.String(), "error", x.first)
			}
		}
	}
}
