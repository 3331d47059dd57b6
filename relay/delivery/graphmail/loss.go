package graphmail

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"graphrelay/internal/text"
	"graphrelay/mime"
)

// Loss names what a message has lost on its way into Graph. The list is closed: metrics and
// docs/operations.md have it.
type Loss string

// The kinds of loss.
const (
	// LossAddress: an address that only the header names is not shown.
	LossAddress Loss = "address"
	// LossAttachmentField: a file has lost its Content-ID, its type or its place in the text.
	LossAttachmentField Loss = "attachment_field"
	// LossBody: the text goes as an attachment, since it is too long for Graph.
	LossBody Loss = "body"
	// LossForm: an invitation, a report, or a message that is signed or encrypted goes as
	// an ordinary message.
	LossForm Loss = "form"
	// LossFrom: From, or the name in it, is not shown as it was written.
	LossFrom Loss = "from"
	// LossHeader: header fields, or entries of them, are not carried.
	LossHeader Loss = "header"
	// LossLimit: the message exceeds a limit of the relay, which keeps the rest as it came.
	LossLimit Loss = "limit"
	// LossPart: a part of the message is left out.
	LossPart Loss = "part"
	// LossProperty: In-Reply-To, References, the sensitivity, List-Unsubscribe or
	// X-Auto-Response-Suppress is not carried, since Graph refuses its property.
	LossProperty Loss = "property"
	// LossRecipient: a recipient does not get the message, since Graph refuses the address.
	LossRecipient Loss = "recipient"
	// LossSender: Sender is not shown.
	LossSender Loss = "sender"
	// LossSubject: the subject is cut.
	LossSubject Loss = "subject"
)

// Losses lists every kind of loss.
func Losses() []Loss {
	return []Loss{LossAddress, LossAttachmentField, LossBody, LossForm, LossFrom, LossHeader, LossLimit, LossPart, LossProperty,
		LossRecipient, LossSender, LossSubject}
}

// finding is one line of the conversion report. One without a kind tells of a change that
// loses nothing.
type finding struct {
	kind   Loss
	detail string
}

// findings returns what reading the message has found. What was only mapped or repaired is
// no loss.
func findings(r mime.Report) (list []finding) {
	for _, n := range r.Notes {
		list = append(list, finding{lossOf(n), strings.TrimSuffix(n.Kind+" "+n.What+": "+n.Detail, ": ")})
	}
	return list
}

func lossOf(n mime.Note) Loss {
	isPart := n.What == "message" || n.What != "" && n.What[0] >= '0' && n.What[0] <= '9'
	switch {
	case n.What == "report": // which is too long itself
		return ""
	case n.Kind == "limit":
		return LossLimit
	case n.Kind == "dropped" && isPart:
		return LossPart
	case n.Kind == "dropped":
		return LossHeader
	}
	return ""
}

// maxLosses bounds the losses of a message that are recorded, counted and shown.
const maxLosses = 50

// lose reports a loss: in the message's history, in the metric and, at the end of the
// attempt, in the log. It does nothing if this loss of the message was reported before, also
// in an earlier attempt.
func (r *recorder) lose(kind Loss, detail string) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(kind) + " " + detail)) // in memory
	if slices.Contains(r.p.Lost, h.Sum32()) || len(r.p.Lost) >= maxLosses {
		return
	}
	r.p.Lost = append(slices.Clip(r.p.Lost), h.Sum32())
	r.note("lost", string(kind)+": "+detail)
	r.metrics.lost(kind)
	if r.lost == nil {
		r.lost = map[Loss]string{}
	}
	r.lost[kind] = strings.TrimPrefix(r.lost[kind]+"; "+detail, "; ")
}

// maxLogged bounds what the log says of a message's losses.
const maxLogged = 1000

// logLosses logs the losses that this attempt has reported, in one line.
func (r *recorder) logLosses() {
	if len(r.lost) == 0 {
		return
	}
	var kinds, details []string
	for _, kind := range slices.Sorted(maps.Keys(r.lost)) {
		kinds = append(kinds, string(kind))
		details = append(details, r.lost[kind])
	}
	r.Log.Info("lost in the conversion", "kinds", strings.Join(kinds, ","),
		"detail", text.Shorten(text.Printable(strings.Join(details, "; ")), maxLogged))
	r.lost = nil
}
