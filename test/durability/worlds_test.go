package durability

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

var (
	worldMail  = flag.Int("world-messages", 40, "how many messages TestWorlds sends for each seed")
	worldKills = flag.Int("world-kills", 4, "how often it kills the relay for each seed")
	worldSeeds = flag.Int("world-seeds", 2, "how many seeds it takes, one after the other")
	worldSeed  = flag.Uint64("world-seed", 0, "the first of its seeds; 0 is one chosen at random")
)

// A knob changes a world in one way.
type knob struct {
	name string
	turn func(*simulator.World)
}

// harmless are knobs that never keep the relay from finding out what became of a send.
var harmless = []knob{
	{"appearDelay", func(w *simulator.World) { w.AppearDelay = 300 * time.Millisecond }},
	{"attachmentsPage", func(w *simulator.World) { w.AttachmentsPage = 1 }},
	{"filterLag", func(w *simulator.World) { w.FilterLag = time.Second }},
	{"deleteTo recoverable", func(w *simulator.World) { w.DeleteTo = simulator.DeleteToRecoverable }},
	{"deleteTo deleted", func(w *simulator.World) { w.DeleteTo = simulator.DeleteToDeleted }},
	{"noPermanentDelete", func(w *simulator.World) { w.NoPermanentDelete = true }},
	{"wideFilterStatus", func(w *simulator.World) { w.WideFilterStatus = 504 }},
	{"sessionsLoseFields", func(w *simulator.World) { w.SessionsLoseFields = true }},
	{"replaceFromName", func(w *simulator.World) { w.ReplaceFromName = true }},
	{"resolveRecipients", func(w *simulator.World) { w.ResolveRecipients = true }},
	{"noUserOr", func(w *simulator.World) { w.NoUserOr = true }},
	{"sendsAgain", func(w *simulator.World) { w.SendsAgain = true }},
}

// newID is the knob that makes the relay depend on searches.
var newID = knob{"newIdOnSend", func(w *simulator.World) { w.NewIDOnSend = true }}

// blinding are knobs with which searches may find nothing. A send whose answer was lost is
// still known by the id of its item, unless that changes.
var blinding = []knob{
	{"filterIgnored", func(w *simulator.World) { w.FilterIgnored = true }},
	{"expandIgnored", func(w *simulator.World) { w.ExpandIgnored = true }},
	{"filterStatus 400", func(w *simulator.World) { w.FilterStatus = 400 }},
	{"filterStatus 501", func(w *simulator.World) { w.FilterStatus = 501 }},
	{"filterStatus 504", func(w *simulator.World) { w.FilterStatus = 504 }},
	{"newMessageIdOnCreate", func(w *simulator.World) { w.NewMessageIDOnCreate = true }},
	{"newMessageIdOnSend", func(w *simulator.World) { w.NewMessageIDOnSend = true }},
	{"sendLosesProperties", func(w *simulator.World) { w.SendLosesProperties = true }},
}

// A family is a set of worlds that a run chooses from.
type family struct {
	name  string
	base  []knob
	knobs []knob
	// unknowable: a message may be held as send_unknown, if the answer to its send was lost.
	unknowable bool
}

// families are all worlds, by what can be known in them. Only in the last one, where an item has
// a new id after the send and searches fail or find it by nothing, may a message be held.
var families = []family{
	{"items keep their ids", nil, slices.Concat(harmless, blinding), false},
	{"items get new ids and lose their properties", []knob{newID}, append(slices.Clone(harmless), blinding[7]), false},
	{"items get new ids and are not found", []knob{newID}, slices.Concat(harmless, blinding), true},
}

// choose returns a world of the family, with up to four knobs, and its name.
func (f family) choose(random *rand.Rand) (w simulator.World, name string) {
	chosen := slices.Clone(f.base)
	for _, n := range random.Perm(len(f.knobs))[:random.IntN(4)+1] {
		chosen = append(chosen, f.knobs[n])
	}
	var names []string
	for _, k := range chosen {
		k.turn(&w)
		names = append(names, k.name)
	}
	return w, strings.Join(names, ", ")
}

// TestWorlds sends mail through worlds that are chosen at random and change while it flows, loses
// answers, and kills the relay. Every message that had a 250 is sent once, or is held where it
// cannot be known whether it was. No item of a mailbox's owner is touched. In the end, where
// searches work again, the relay removes the drafts that it has left.
func TestWorlds(t *testing.T) {
	t.Parallel()
	seed := *worldSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	for n := range *worldSeeds {
		seed := seed + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			(&journey{t: t, random: rand.New(rand.NewPCG(seed, 0)), family: families[seed%uint64(len(families))]}).run()
		})
	}
}

// journey is a run of TestWorlds with one seed.
type journey struct {
	t      *testing.T
	random *rand.Rand
	family family
	sim    *harness.Sim
	relay  *harness.Relay
	outbox *harness.Outbox
	// forgetful: after a send, nothing tells the item that was sent from a draft that is left.
	forgetful bool
}

// begin starts a simulator that loses answers, and a relay, and plants items of owners.
func (j *journey) begin() {
	t := j.t
	j.sim = harness.StartSim(t)
	j.relay = harness.NewRelay(t, j.sim, harness.DeliveryKey("send_settle: 5s"), harness.DeliveryKey("retry_delays: [100ms, 500ms]"))
	j.plant()
	j.loseAnswers()
	j.outbox = worldlyMail()
	j.outbox.Dial = func() (*harness.Dialog, error) { return j.relay.Dial("devices") }
	j.relay.Start(t)
}

func (j *journey) run() {
	t := j.t
	j.begin()
	done := j.outbox.Start()
	defer j.outbox.Stop.Store(true)
	for k := range *worldKills {
		w, name := j.family.choose(j.random)
		t.Logf("world %d (%s): %s", k+1, j.family.name, name)
		j.sim.SetWorld(t, w)
		j.forgetful = j.forgetful || w.NewIDOnSend && w.SendLosesProperties
		harness.WaitFor(t, "mail to flow", func() bool { return j.outbox.AcceptedCount() >= *worldMail*(k+1)/(*worldKills+1) })
		time.Sleep(time.Duration(j.random.IntN(1500)) * time.Millisecond) // the kill may fall anywhere
		j.relay.Kill(t)
		j.relay.Start(t)
	}
	j.outbox.Await(t, done)
	j.check()
}

// plant puts items of their owners into all mailboxes.
func (j *journey) plant() {
	for n := range worldBoxes {
		for _, folder := range []string{simulator.Drafts, simulator.SentItems} {
			j.sim.Plant(j.t, simulator.Message{Mailbox: worldBox(n), Folder: folder, Subject: "private", To: []simulator.Address{{Address: "friend@example.net"}}})
		}
	}
}

// loseAnswers loses answers after their effect and requests before it, and refuses some.
func (j *journey) loseAnswers() {
	for _, op := range []simulator.Operation{simulator.OpCreate, simulator.OpCreateMIME, simulator.OpAttachment, simulator.OpUpload,
		simulator.OpSend, simulator.OpGet, simulator.OpDelete} {
		for _, f := range []simulator.Fault{
			{Reset: true, After: true, Probability: 0.08}, {Status: 504, After: true, Probability: 0.04}, {Reset: true, Probability: 0.05},
		} {
			f.Operation = op
			j.sim.Fault(j.t, f)
		}
	}
	j.sim.Fault(j.t, simulator.Fault{Status: 503, RetryAfter: "0.3", Probability: 0.02})
}

const worldBoxes = 8

func worldBox(n int) string { return fmt.Sprintf("box-%d@contoso.test", n%worldBoxes) }

// worldlyMail returns an outbox of plain messages, messages with files and signed ones.
func worldlyMail() *harness.Outbox {
	small := harness.File{Name: "small.bin", Type: "application/octet-stream", Content: harness.Noise("small", 20_000)}
	large := harness.File{Name: "large.bin", Type: "application/octet-stream", Content: harness.Noise("large", 3_400_000)}
	o := &harness.Outbox{Connections: 4, Messages: *worldMail}
	o.Make = func(n int) harness.Sample {
		subject := fmt.Sprintf("worlds %04d", n)
		s := harness.Sample{From: worldBox(n), To: []string{fmt.Sprintf("to-%d@example.com", n)}, Subject: subject,
			Text: harness.WrappedText(harness.Noise(subject, 3000))}
		switch n % 5 {
		case 1:
			s.Files = []harness.File{small, small}
		case 2, 4:
			s.Signed = true
		}
		if n%25 == 3 {
			s.Files = []harness.File{small, large}
		}
		return s
	}
	return o
}

// check compares what arrived with what was accepted, once everything works as assumed: a search
// that fails is repeated for half an hour where its result is needed.
func (j *journey) check() {
	t := j.t
	j.sim.ClearFaults(t)
	j.sim.SetWorld(t, simulator.World{})
	j.relay.Idle(t)
	held := map[string]bool{}
	for _, q := range j.relay.Queue(t) {
		if q.State != "held" || q.Reason != "send_unknown" || !j.family.unknowable {
			t.Errorf("%q is %s, %s: %s", q.Subject, q.State, q.Reason, q.Detail)
		}
		held[q.Subject] = true
	}
	j.outbox.CheckSends(t, j.sim, held)
	j.sim.WantUntouched(t)
	var left []simulator.Message
	harness.WaitFor(t, "the drafts to be removed", func() bool {
		left = slices.DeleteFunc(j.sim.Drafts(t), func(m simulator.Message) bool { return m.MIME != nil || held[m.Subject] || j.forgetful })
		return len(left) == 0
	})
	if len(held) > 0 {
		t.Logf("held: %v", slices.Sorted(maps.Keys(held)))
	}
	t.Logf("%d messages, %d held, %d drafts left (from MIME, or of those held)", *worldMail, len(held), len(j.sim.Drafts(t)))
}

var worldTime = flag.Duration("world-time", 0, "how long TestEachWorld sends mail through each world; 0 leaves the test out")

// eachWorld are the worlds that TestEachWorld measures, each with what differs in it.
var eachWorld = []knob{
	{"as assumed", func(*simulator.World) {}},
	{"$filter ignored", func(w *simulator.World) { w.FilterIgnored = true }},
	{"$filter answered with 504", func(w *simulator.World) { w.FilterStatus = 504 }},
	{"$filter answered with 400", func(w *simulator.World) { w.FilterStatus = 400 }},
	{"$filter lags 4 s", func(w *simulator.World) { w.FilterLag = 4 * time.Second }},
	{"new id after the send", func(w *simulator.World) { w.NewIDOnSend = true }},
	{"deletes are soft", func(w *simulator.World) { w.DeleteTo = simulator.DeleteToRecoverable }},
	{"no upload sessions", func(w *simulator.World) { w.NoUploadSessions = true }},
}

// TestEachWorld sends mail through one world after the other for a time, with answers lost and
// three kills in each, and prints what became of it.
func TestEachWorld(t *testing.T) {
	if *worldTime == 0 {
		t.Skip("needs -world-time")
	}
	for _, k := range eachWorld {
		t.Run(k.name, func(t *testing.T) { (&journey{t: t, random: rand.New(rand.NewPCG(1, 1))}).stay(k) })
	}
}

// stay sends mail in one world, all of it small enough for one request.
func (j *journey) stay(k knob) {
	t := j.t
	j.begin()
	j.outbox.Messages = 1 << 20
	mail := j.outbox.Make
	j.outbox.Make = func(n int) harness.Sample {
		time.Sleep(100 * time.Millisecond) // a pace at which the relay keeps up
		s := mail(n)
		if len(s.Files) > 1 {
			s.Files = s.Files[:1]
		}
		return s
	}
	var w simulator.World
	k.turn(&w)
	j.sim.SetWorld(t, w)
	done := j.outbox.Start()
	for range 3 {
		time.Sleep(*worldTime / 4)
		j.relay.Kill(t)
		j.relay.Start(t)
	}
	time.Sleep(*worldTime / 4)
	j.outbox.Stop.Store(true)
	<-done
	j.sim.ClearFaults(t)
	time.Sleep(10 * time.Second) // twice send_settle: what waits for more than that is counted
	waiting, before := len(j.relay.Queue(t)), len(j.sim.Drafts(t))
	j.check()
	touched := harness.View[[]simulator.Touch](t, j.sim, "touched")
	t.Logf("%s: %d accepted, %d sent, %d still waiting after 10 s, %d held or failed, %d items of owners touched, %d drafts left, %d after the clean-up",
		k.name, j.outbox.AcceptedCount(), j.sim.Sends(t), waiting, len(j.relay.Queue(t)), len(touched), before, len(j.sim.Drafts(t)))
}
