package delivery_test

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/race"
	"graphrelay/internal/testpostgres"
)

var allWorlds = flag.Bool("worlds", false, "run the tests of lost answers and crashes in all worlds, not in some")

// otherWorld is a world in which the tests of lost answers and crashes run.
type otherWorld struct {
	simulator.World
	always bool // also without -worlds
	shared bool // the queue is in PostgreSQL
	// leaves: a draft whose id was never learned stays, as does one from MIME anywhere.
	leaves bool
	// copies: a copy that is not wanted stays, as its item has another id.
	copies bool
	// never ends the names of the calls that the relay does not make.
	never string
}

const usualWorld = "as assumed"

// matrix has the worlds, the usual one among them. TestAssumption has more, each with one
// difference.
var matrix = map[string]otherWorld{
	usualWorld: {always: true},
	"searches refused, deletes soft": {always: true, leaves: true, never: "removal of another draft",
		World: simulator.World{FilterStatus: 400, DeleteTo: simulator.DeleteToRecoverable}},
	"searches lie, new ids": {always: true, leaves: true, copies: true, never: "removal of the copy",
		World: simulator.World{FilterIgnored: true, NewIDOnSend: true, AttachmentsPage: 1}},
	"nothing but the Message-ID": {leaves: true, copies: true, never: "removal of the copy",
		World: simulator.World{NewIDOnSend: true, SendLosesProperties: true}},
	"late in everything": {leaves: true,
		World: simulator.World{FilterLag: 500 * time.Millisecond, AppearDelay: 200 * time.Millisecond, DeleteTo: simulator.DeleteToDeleted}},
	"properties not shown": {leaves: true, never: "removal of another draft", World: simulator.World{ExpandIgnored: true, NewMessageIDOnSend: true}},
	"sends again":          {World: simulator.World{SendsAgain: true, SendLosesProperties: true}},
}

// inWorlds runs a test in the worlds of the matrix, and in some of them also with the queue in
// PostgreSQL. With the race detector, with which that takes several times as long, it runs in the
// usual world alone, since the others differ in what Graph answers. make test runs them without it.
func inWorlds(t *testing.T, test func(*testing.T, otherWorld)) {
	if race.Enabled && !*allWorlds {
		test(t, matrix[usualWorld])
		return
	}
	for name, w := range matrix {
		if w.always || *allWorlds {
			t.Run(name, func(t *testing.T) { test(t, w) })
		}
		if name == usualWorld || *allWorlds {
			w.shared = true
			t.Run(name+", PostgreSQL", func(t *testing.T) { test(t, w) })
		}
	}
}

// newRig returns a rig in the world.
func (w otherWorld) newRig(t *testing.T, o simulator.Options) *rig {
	t.Helper()
	o.World = w.World
	database := ""
	if w.shared {
		database = testpostgres.Database(t)
	}
	return newRigOn(t, database, o)
}

// calls returns the calls that the relay makes in the world.
func (w otherWorld) calls() []graphCall {
	return slices.DeleteFunc(slices.Clone(graphCalls()), func(c graphCall) bool { return w.never != "" && strings.HasSuffix(c.name, w.never) })
}

// drafts checks that no draft is left, where none may be.
func (w otherWorld) drafts(r *rig) {
	r.t.Helper()
	if !w.leaves {
		r.noDrafts()
	}
}

// copiesIn returns how many copies of what was sent are in Sent Items of a mailbox.
func (r *rig) copiesIn(mailbox string) int {
	n := 0
	for _, m := range r.sim.Messages(mailbox) {
		if m.Folder == simulator.SentItems && !m.Planted {
			n++
		}
	}
	return n
}
