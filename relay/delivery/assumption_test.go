package delivery_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// assumption is a world in which something that the relay takes for granted of Graph or
// Exchange is not so, and what then becomes of mail. docs/graph.md has the assumptions.
type assumption struct {
	world   simulator.World
	options func(*simulator.Options)
	prepare func(*rig)
	// ends returns how a message ends; nil: sent, whichever answer is lost.
	ends func(path, loss string) queue.State
	// leaves has the paths on which a draft may be left in Drafts if the answer to its
	// creation was lost.
	leaves string
	// differs is what the recipients may get otherwise than it was submitted.
	differs string
}

// The paths and losses of the trials of an assumption.
const (
	viaDraft, viaMIME = "draft", "mime"
	sendDone          = "send done" // and its answer lost
)

// losses are the answers that are lost, or requests that never arrive: none, or the first of
// an operation.
var losses = map[string]simulator.Fault{
	"nothing":         {},
	"create not done": {Operation: simulator.OpCreate, Reset: true},
	"create done":     {Operation: simulator.OpCreate, Reset: true, After: true},
	"file not done":   {Operation: simulator.OpAttachment, Reset: true},
	"file done":       {Operation: simulator.OpAttachment, Reset: true, After: true},
	"send not done":   {Operation: simulator.OpSend, Status: 504},
	sendDone:          {Operation: simulator.OpSend, Reset: true, After: true},
}

// always returns an end for every message of a path, or of both if path is empty.
func always(end queue.State, path string) func(string, string) queue.State {
	return func(p, _ string) queue.State {
		if path == "" || p == path {
			return end
		}
		return queue.Sent
	}
}

// unknowable has a message held if its send was requested and its item cannot be recognized.
func unknowable(paths ...string) func(string, string) queue.State {
	return func(path, loss string) queue.State {
		if loss == sendDone && slices.Contains(paths, path) {
			return queue.Held
		}
		return queue.Sent
	}
}

// searchedForAWhile has a message wait whose draft from MIME may exist: such a draft would stay.
func searchedForAWhile(path, loss string) queue.State {
	if path == viaMIME && strings.HasPrefix(loss, "create") {
		return queue.Deferred
	}
	return queue.Sent
}

// assumptions has a world for each assumption, by its name.
var assumptions = map[string]assumption{
	// Searches.
	"filter_is_honoured":                {world: simulator.World{FilterIgnored: true}},
	"filter_is_honoured_and_expand_too": {world: simulator.World{FilterIgnored: true, ExpandIgnored: true}, leaves: viaDraft + viaMIME},
	"filter_is_immediate":               {world: simulator.World{FilterLag: 500 * time.Millisecond}, leaves: viaMIME},
	"filter_is_accepted":                {world: simulator.World{FilterStatus: 400}, leaves: viaDraft + viaMIME},
	"filter_is_implemented":             {world: simulator.World{FilterStatus: 501}, leaves: viaDraft + viaMIME, ends: searchedForAWhile},
	"filter_is_answered":                {world: simulator.World{FilterStatus: 504}, leaves: viaDraft + viaMIME, ends: searchedForAWhile},
	"filter_covers_the_whole_mailbox":   {world: simulator.World{WideFilterStatus: 504}},
	"expand_shows_the_property":         {world: simulator.World{ExpandIgnored: true}, leaves: viaDraft + viaMIME},
	"create_keeps_the_property":         {world: simulator.World{DroppedProperties: []string{"singleValueExtendedProperties"}}, leaves: viaDraft + viaMIME},

	// Items.
	"draft_is_found_at_once":             {world: simulator.World{AppearDelay: 300 * time.Millisecond}, leaves: viaMIME},
	"immutable_id_survives_send":         {world: simulator.World{NewIDOnSend: true}},
	"property_survives_send":             {world: simulator.World{SendLosesProperties: true}},
	"id_or_property_survives_send":       {world: simulator.World{NewIDOnSend: true, SendLosesProperties: true}},
	"message_id_survives_send":           {world: simulator.World{NewMessageIDOnSend: true}},
	"id_or_message_id_survives_send":     {world: simulator.World{NewIDOnSend: true, NewMessageIDOnSend: true}, ends: unknowable(viaMIME)},
	"json_draft_keeps_its_message_id":    {world: simulator.World{NewMessageIDOnCreate: true}, leaves: viaDraft + viaMIME, differs: viaMIME},
	"mime_draft_keeps_its_message_id":    {world: simulator.World{NewMessageIDOnCreate: true, NewIDOnSend: true}, leaves: viaDraft + viaMIME, ends: unknowable(viaMIME)},
	"recipients_are_shown_as_written":    {world: simulator.World{ResolveRecipients: true}, options: aliasOfBob, leaves: viaDraft + viaMIME},
	"delete_is_final":                    {world: simulator.World{DeleteTo: simulator.DeleteToRecoverable}},
	"filter_or_delete_can_be_relied_on":  {world: simulator.World{FilterIgnored: true, DeleteTo: simulator.DeleteToRecoverable}},
	"delete_does_not_fill_deleted_items": {world: simulator.World{DeleteTo: simulator.DeleteToDeleted}},
	"second_send_is_refused":             {world: simulator.World{SendsAgain: true}},
	"item_leaves_within_the_watch":       {options: func(o *simulator.Options) { o.SendDelay, o.InFlight = 3*time.Second, simulator.InFlightDraft }},

	// Attachments.
	"attachments_have_one_page":    {world: simulator.World{AttachmentsPage: 1}},
	"session_keeps_its_attachment": {world: simulator.World{SessionsLoseFields: true}, differs: "attachments"},

	// Senders and keys.
	"from_is_shown_as_written":      {world: simulator.World{ReplaceFromName: true, RewriteAlias: true}},
	"address_is_a_key":              {world: simulator.World{AddressIsNoKey: true}, options: principalNames, prepare: knowOwners},
	"address_is_a_key_or_is_known":  {world: simulator.World{AddressIsNoKey: true}, options: principalNames, ends: always(queue.Held, "")},
	"tenant_takes_any_message_size": {world: simulator.World{MessageSize: 10_000}, ends: always(queue.Failed, viaDraft)},
	"message_size_counts_at_send":   {world: simulator.World{MessageSize: 10_000, SizeAtAttachment: true}, ends: always(queue.Failed, viaDraft)},
}

// aliasOfBob makes bob@contoso.test the primary address of the recipient.
func aliasOfBob(o *simulator.Options) {
	o.Users = []simulator.User{{Address: "bob@contoso.test", Aliases: []string{recipient}}}
}

// recipient is the recipient of every message of TestAssumption.
const recipient = "bob@fabrikam.test"

// principalNames gives each mailbox a user principal name that is not its address.
func principalNames(o *simulator.Options) {
	for _, path := range []string{viaDraft, viaMIME} {
		for loss := range losses {
			m := mailboxOf(path + " " + loss)
			o.Users = append(o.Users, simulator.User{Address: m, UPN: principalName(m)})
		}
	}
}

func principalName(mailbox string) string { return "upn-" + mailbox }

// knowOwners has the owners of mailboxes looked up in the directory.
func knowOwners(r *rig) {
	r.out.Owner = func(_ context.Context, lane queue.Lane) (graph.User, bool) {
		return graph.User{ID: principalName(lane.Mailbox)}, false
	}
}

// TestAssumption lets each assumption be false, on both paths to a draft and with answers
// lost: no message is lost or doubled, none reaches anyone else, and no item of a mailbox's
// owner is touched, not even one that looks like the message.
func TestAssumption(t *testing.T) {
	for name, a := range assumptions {
		t.Run(name, func(t *testing.T) {
			o := simulator.Options{World: a.world, Limits: smallLimits()}
			if a.options != nil {
				a.options(&o)
			}
			r := newRig(t, o)
			if a.prepare != nil {
				a.prepare(r)
			}
			trials := map[string]string{} // ids by name
			for _, path := range []string{viaDraft, viaMIME} {
				for loss, f := range losses {
					if f.Operation == simulator.OpAttachment && path == viaMIME {
						continue
					}
					trials[path+", "+loss] = r.tryAssumption(path, loss, f)
				}
			}
			defer r.start(nil)()
			for name, id := range trials {
				path, loss, _ := strings.Cut(name, ", ")
				want := queue.Sent
				if a.ends != nil {
					want = a.ends(path, loss)
				}
				r.endsWell(name, id, want, a.differs)
			}
			r.untouched()
			r.leavesDrafts(a.leaves)
		})
	}
}

// leavesDrafts waits until no draft of the relay's is left, except in the mailboxes of
// messages that went on these paths and whose first draft it never learned of.
func (r *rig) leavesDrafts(paths string) {
	r.t.Helper()
	var left []string
	if !r.eventually(func() bool {
		left = nil
		for _, m := range r.sim.Drafts() {
			path, loss, _ := strings.Cut(m.Mailbox, "-")
			if !m.Planted && !(strings.Contains(paths, path) && strings.HasPrefix(loss, "create-done")) {
				left = append(left, m.Mailbox)
			}
		}
		return len(left) == 0
	}) {
		r.t.Errorf("drafts were left in %q", left)
	}
}

// tryAssumption submits a message from a mailbox of its own, in which the owner has items that
// look like it.
func (r *rig) tryAssumption(path, loss string, f simulator.Fault) string {
	r.t.Helper()
	mailbox := mailboxOf(path + " " + loss)
	head := strings.ReplaceAll(header("assumed"), "bob@example.org", recipient)
	head = strings.ReplaceAll(head, anna, mailbox)
	raw := compose(head, "text", smallFiles...)
	if path == viaMIME {
		raw = strings.ReplaceAll(strings.ReplaceAll(signed("assumed"), "bob@example.org", recipient), anna, mailbox)
		if f.Operation == simulator.OpCreate {
			f.Operation = simulator.OpCreateMIME
		}
	}
	long := time.Now().Add(-time.Hour)
	for _, folder := range []string{simulator.Drafts, simulator.SentItems} {
		r.plant(mailbox, folder, 2)
		m := simulator.Message{Mailbox: mailbox, Folder: folder, Subject: "assumed", InternetMessageID: "<assumed@client.test>",
			To: []simulator.Address{{Address: recipient}}, Created: long, Sent: long}
		if _, err := r.sim.Plant(m); err != nil {
			r.t.Fatal(err)
		}
	}
	if f.Operation != "" {
		f.Mailbox, f.Nth = mailbox, 1
		r.fault(f)
	}
	return r.submit(raw, r.to(mailbox, recipient))
}

// endsWell waits for the end of a message. What ends as sent was sent once, whole and to its
// recipient alone; what failed was not sent, and its sender knows.
func (r *rig) endsWell(name, id string, want queue.State, differs string) {
	r.t.Helper()
	rec := r.await(id, want)
	var sent []simulator.Delivery
	for _, d := range r.sim.Ledger() {
		if d.Mailbox == rec.Lane.Mailbox && d.Subject == "assumed" && !d.Planted {
			sent = append(sent, d)
		}
	}
	for _, d := range sent {
		if to := d.Recipients(); len(to) != 1 || to[0] != recipient && to[0] != "bob@contoso.test" {
			r.t.Errorf("%s: sent to %v", name, to)
		}
	}
	switch rec.State {
	case queue.Sent:
		if len(sent) != 1 {
			r.t.Errorf("%s: sent %d times\n%s", name, len(sent), r.history(id))
		} else if strings.HasPrefix(name, viaDraft) && differs != "attachments" {
			sameFiles(r.t, r.attachmentsOf(sent[0]), smallFiles)
		}
	case queue.Failed:
		if len(sent) != 0 || len(r.notifications(id)) != 1 {
			r.t.Errorf("%s: failed, was sent %d times, and its sender has %d notifications\n%s", name, len(sent), len(r.notifications(id)), r.history(id))
		}
	case queue.Held:
		if len(sent) > 1 || rec.Detail == "" {
			r.t.Errorf("%s: held for %q, was sent %d times\n%s", name, rec.Detail, len(sent), r.history(id))
		}
	}
}

// attachmentsOf returns the attachments of what was sent, also where its item has another id
// since.
func (r *rig) attachmentsOf(d simulator.Delivery) []simulator.Attachment {
	r.t.Helper()
	for _, m := range r.sim.Messages(d.Mailbox) {
		if m.Subject == d.Subject && !m.Planted && m.Submitted {
			return m.Attachments
		}
	}
	r.t.Errorf("the item that was sent is not in %s", d.Mailbox)
	return nil
}
