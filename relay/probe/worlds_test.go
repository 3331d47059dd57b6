package probe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/probe"
)

// worldTest is a way in which a tenant differs, and what the probe has to say of it.
type worldTest struct {
	name    string
	world   simulator.World
	change  func(*simulator.Options) // may be nil
	options func(*probe.Options)     // may be nil
	want    map[int]probe.Verdict    // of the steps that are not ok
	step    int                      // whose advice has this
	advice  string
	left    bool // something cannot be removed
}

const (
	differs = probe.Differs
	fault   = probe.Fault
	skipped = probe.Skipped
)

// noDirectory takes away the right to ask the directory.
func noDirectory(o *simulator.Options) { o.Apps[0].Roles = []string{"Mail.ReadWrite", "Mail.Send"} }

// after returns the verdicts of a run in which a step is a fault and all later ones are
// skipped.
func after(step int, more map[int]probe.Verdict) map[int]probe.Verdict {
	all := map[int]probe.Verdict{step: fault}
	for n := step + 1; n <= 20; n++ {
		all[n] = skipped
	}
	for n, v := range more {
		all[n] = v
	}
	return all
}

// noDraft are the verdicts where no draft can be made and all is sent by sendMail.
func noDraft(step int, more map[int]probe.Verdict) map[int]probe.Verdict {
	all := map[int]probe.Verdict{step: fault, 18: skipped}
	for n := step + 1; n <= 15; n++ {
		all[n] = skipped
	}
	all[17] = skipped
	for n, v := range more {
		all[n] = v
	}
	return all
}

// Without --large, step 18 is skipped.
var usual = map[int]probe.Verdict{18: skipped}

func with(more map[int]probe.Verdict) map[int]probe.Verdict {
	all := map[int]probe.Verdict{18: skipped}
	for n, v := range more {
		all[n] = v
	}
	return all
}

func one(step int, v probe.Verdict) map[int]probe.Verdict {
	return with(map[int]probe.Verdict{step: v})
}

func large(o *probe.Options) { o.Large = true }

// fast and short are for worlds in which mail does not come, so that the wait for it is short
// but long enough for the mail that does.
func fast(o *simulator.Options) { o.SendDelay = 10 * time.Millisecond }

func short(o *probe.Options) {
	o.Waits.Send, o.Waits.Remove = 1500*time.Millisecond, 500*time.Millisecond
}

func worldTests() []worldTest {
	return []worldTest{
		{name: "filterLag", world: simulator.World{FilterLag: 3 * time.Second}, want: with(map[int]probe.Verdict{6: differs, 7: differs}), step: 6, advice: "within ten minutes"},
		{name: "filterIgnored", world: simulator.World{FilterIgnored: true}, want: with(map[int]probe.Verdict{6: differs, 7: differs}), step: 6, advice: "$filter is ignored"},
		{name: "filterStatus", world: simulator.World{FilterStatus: 504}, want: with(map[int]probe.Verdict{6: differs, 7: differs}), step: 6, advice: "delivery.on_unknown"},
		{name: "filterStatus 400", world: simulator.World{FilterStatus: 400}, want: with(map[int]probe.Verdict{6: differs, 7: differs}), step: 7, advice: "delivery.on_unknown"},
		{name: "wideFilterStatus", world: simulator.World{WideFilterStatus: 504}, want: one(6, differs), step: 6, advice: "searches in folders"},
		{name: "expandIgnored", world: simulator.World{ExpandIgnored: true}, want: one(6, differs), step: 6, advice: "does not show the property"},
		{name: "appearDelay", world: simulator.World{AppearDelay: time.Second}, want: with(map[int]probe.Verdict{5: differs}), step: 5, advice: "missing for a while"},
		{name: "attachmentsPage", world: simulator.World{AttachmentsPage: 5}, want: one(10, differs), step: 10, advice: "pages"},
		{name: "newMessageIdOnCreate", world: simulator.World{NewMessageIDOnCreate: true}, want: with(map[int]probe.Verdict{5: differs, 7: differs}), step: 7, advice: "delivery.on_unknown"},
		{name: "mimeLosesBcc", world: simulator.World{MIMELosesBcc: true}, want: one(14, differs), step: 14, advice: "the Bcc field of MIME is lost"},
		{name: "mimeKeepsBcc", world: simulator.World{MIMEKeepsBcc: true}, want: one(14, differs), step: 14, advice: "recipients may see"},
		{name: "mimeLosesMethod", world: simulator.World{MIMELosesMethod: true}, want: one(14, differs), step: 14, advice: "not as invitations"},
		{name: "copyLoses", world: simulator.World{CopyLoses: []string{"References", "List-Unsubscribe"}}, want: one(13, differs), step: 13, advice: "do not get List-Unsubscribe"},
		{name: "copyTnef", world: simulator.World{CopyTNEF: true}, want: with(map[int]probe.Verdict{13: differs, 14: differs}), step: 13, advice: "Set-RemoteDomain"},
		{name: "copyToJunk", world: simulator.World{CopyToJunk: true}, want: with(map[int]probe.Verdict{13: differs, 14: differs, 16: differs}), step: 13, advice: "counts as junk"},
		{name: "savesAlways", world: simulator.World{SavesAlways: true}, want: one(16, differs), step: 16, advice: "whatever sent_items says"},
		{name: "newIdOnSend", world: simulator.World{NewIDOnSend: true}, want: one(11, differs), step: 11, advice: "immutable ID changes"},
		{name: "newMessageIdOnSend", world: simulator.World{NewMessageIDOnSend: true}, want: one(11, differs), step: 11, advice: "another Message-ID"},
		{name: "sendLosesProperties", world: simulator.World{SendLosesProperties: true}, want: with(map[int]probe.Verdict{11: differs, 13: differs}), step: 11, advice: "not found by its queue ID"},
		{name: "sendsAgain", world: simulator.World{SendsAgain: true}, want: one(12, differs), step: 12, advice: "delivery.send_settle"},
		{name: "deleteTo recoverable", world: simulator.World{DeleteTo: "recoverable"}, want: one(17, differs), step: 17, advice: "permanentDelete"},
		{name: "deleteTo deleted", world: simulator.World{DeleteTo: "deleted"}, want: one(17, differs), step: 17, advice: "permanentDelete"},
		{name: "noPermanentDelete", world: simulator.World{NoPermanentDelete: true}, want: one(17, differs), step: 17, advice: "sent_items: true"},
		{name: "noPermanentDelete, kept", world: simulator.World{NoPermanentDelete: true, DeleteTo: "recoverable"}, want: one(17, differs), step: 17, advice: "takes up space", left: true},
		{name: "noUploadSessions", world: simulator.World{NoUploadSessions: true}, want: one(9, differs), step: 9, advice: "uploads: off"},
		{name: "missingStatus", world: simulator.World{NoUploadSessions: true, NoPermanentDelete: true, MissingStatus: 405}, want: with(map[int]probe.Verdict{9: differs, 17: differs}), step: 9, advice: "uploads: off"},
		{name: "sessionsLoseFields", world: simulator.World{SessionsLoseFields: true}, want: one(9, differs), step: 9, advice: "contentType, isInline, contentId"},
		{name: "uploadStateStatus", world: simulator.World{UploadStateStatus: 405}, want: usual},
		{name: "droppedProperties", world: simulator.World{DroppedProperties: []string{"internetMessageHeaders", "String 0x1042"}}, want: one(5, differs), step: 5, advice: "delivery.x_headers: []"},
		{name: "refusedProperties", world: simulator.World{RefusedProperties: []string{"internetMessageHeaders", "String 0x1042"}}, want: one(4, differs), step: 4, advice: "delivery.x_headers: []"},
		{name: "refusedUnnamed", world: simulator.World{RefusedProperties: []string{"Integer 0x36"}, RefusedUnnamed: true}, want: one(4, differs), step: 4, advice: "the sensitivity"},
		{name: "refusedMIME", world: simulator.World{RefusedMIME: []string{"text/calendar"}}, want: one(14, differs), step: 14, advice: "ordinary drafts"},
		{name: "messageSize", world: simulator.World{MessageSize: 3_900_000}, options: large, want: map[int]probe.Verdict{18: differs}, step: 18, advice: "set message_size"},
		{name: "sizeAtAttachment", world: simulator.World{MessageSize: 3_900_000, SizeAtAttachment: true}, options: large, want: map[int]probe.Verdict{18: differs}, step: 18, advice: "set message_size"},
		{name: "unresolved", world: simulator.World{Unresolved: []string{"*"}}, want: with(map[int]probe.Verdict{11: fault, 12: skipped, 13: skipped, 14: fault, 15: fault, 16: fault, 20: skipped}), step: 11, advice: "recipient"},
		{name: "unresolvedAtCreate", world: simulator.World{Unresolved: []string{"*"}, UnresolvedAtCreate: true}, want: noDraft(4, map[int]probe.Verdict{16: fault, 20: skipped}), step: 4, advice: "recipient"},
		{name: "sendAsOnly", world: simulator.World{SendAsOnly: true}, want: one(15, differs), step: 15, advice: "Add-RecipientPermission -Identity ben@contoso.test"},
		{name: "rewriteAlias", world: simulator.World{RewriteAlias: true}, want: one(13, differs), step: 13, advice: "SendFromAliasEnabled"},
		{name: "replaceFromName", world: simulator.World{ReplaceFromName: true}, want: one(13, differs), step: 13, advice: "the name in From"},
		{name: "resolveRecipients", world: simulator.World{ResolveRecipients: true}, want: one(5, differs), step: 5, advice: "delivery.on_unknown"},
		{name: "addressIsNoKey", world: simulator.World{AddressIsNoKey: true}, want: one(3, differs), step: 3, advice: "User.Read.All"},
		{name: "addressIsNoKey without directory", world: simulator.World{AddressIsNoKey: true}, change: noDirectory, want: after(3, map[int]probe.Verdict{2: differs}), step: 3, advice: "user principal name as mailbox"},
		{name: "userValueLimit", world: simulator.World{UserValueLimit: 120}, want: usual},
		{name: "noUserOr", world: simulator.World{NoUserOr: true}, want: one(2, differs), step: 2, advice: "each condition"},
		{name: "elsewhere", world: simulator.World{Elsewhere: []string{"*"}}, want: after(3, nil), step: 3, advice: "on-premises or in another tenant"},
		{name: "moving", world: simulator.World{Moving: []string{"*"}, MoveStatus: 503}, want: after(3, nil), step: 3, advice: "moving the mailbox"},
		{name: "denied", world: simulator.World{Denied: []string{"*"}}, want: after(3, nil), step: 3, advice: "Test-ServicePrincipalAuthorization"},
		{name: "deniedByPolicy", world: simulator.World{Denied: []string{"*"}, DeniedByPolicy: true}, want: after(3, nil), step: 3, advice: "Test-ApplicationAccessPolicy"},
		{name: "returns", world: simulator.World{Returns: map[string]string{"*": "5.7.232"}}, change: fast, options: short, left: true, want: with(map[int]probe.Verdict{13: differs, 14: differs, 16: differs, 20: fault}), step: 20, advice: "trial tenant"},
		{name: "bareReturns", world: simulator.World{Returns: map[string]string{"*": "5.1.8"}, BareReturns: true}, change: fast, options: short, left: true, want: with(map[int]probe.Verdict{13: differs, 14: differs, 16: differs, 20: fault}), step: 20, advice: "looked like spam"},
		{name: "oddReturns", world: simulator.World{Returns: map[string]string{"*": "5.7.236"}, OddReturns: true}, change: fast, options: short, left: true, want: with(map[int]probe.Verdict{13: differs, 14: differs, 16: differs, 20: fault}), step: 20, advice: "onmicrosoft.com"},
		{name: "pace", world: simulator.World{Pace: 1}, change: fast, options: short, left: true, want: with(map[int]probe.Verdict{13: differs, 14: differs, 16: differs}), step: 14, advice: "message trace"},

		// What Options say.
		{name: "concurrency", change: func(o *simulator.Options) { o.Concurrency, o.Latency = 2, 50*time.Millisecond }, want: one(19, differs), step: 19, advice: "delivery.mailbox_concurrency: 2"},
		{name: "ranges", change: func(o *simulator.Options) { o.Ranges = simulator.RangeClosed }, want: usual},
		{name: "binary limits", change: func(o *simulator.Options) { o.Limits = simulator.BinaryLimits() }, options: large, want: map[int]probe.Verdict{}},
		{name: "no flags, hidden", change: func(o *simulator.Options) { o.MessageFlags, o.InFlight = false, simulator.InFlightHidden }, want: usual},
		{name: "no directory", change: noDirectory, want: one(2, differs), step: 2, advice: "User.Read.All"},
		{name: "no Mail.Send", change: func(o *simulator.Options) { o.Apps[0].Roles = []string{"Mail.ReadWrite", "User.Read.All"} },
			want: with(map[int]probe.Verdict{1: differs, 11: fault, 12: skipped, 13: skipped, 14: fault, 15: fault, 16: fault, 20: skipped}), step: 11, advice: "Mail.Send"},
		{name: "no Mail.ReadWrite", left: true, change: func(o *simulator.Options) { o.Apps[0].Roles = []string{"Mail.Read", "Mail.Send", "User.Read.All"} },
			want: noDraft(4, map[int]probe.Verdict{1: differs, 20: probe.OK}), step: 4, advice: "Mail.ReadWrite"},
		{name: "rbac", change: func(o *simulator.Options) {
			o.Apps[0].Roles, o.Apps[0].RBAC = []string{"User.Read.All"}, []string{"Mail.ReadWrite", "Mail.Send"}
		}, want: usual},
	}
}

// Each way in which a tenant can differ shows at its step, with advice.
func TestProbeTellsWorldsApart(t *testing.T) {
	for _, test := range worldTests() {
		inTime(t, strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			r, o := test.rig(t)
			report := r.run(o)
			wantVerdicts(t, report, test.want)
			if test.step != 0 && !strings.Contains(strings.Join(resultOf(t, report, test.step).Advice, " | "), test.advice) {
				t.Errorf("the advice does not have %q: %s", test.advice, resultOf(t, report, test.step).Line())
			}
			if t.Failed() {
				t.Log("\n" + lines(report))
			}
			if !test.left {
				r.wantClean(report)
			} else {
				r.wantGone(report)
			}
		})
	}
}

func (test worldTest) rig(t *testing.T) (*rig, probe.Options) {
	t.Helper()
	r := newRig(t, tenant(func(o *simulator.Options) {
		o.World = test.world
		if test.change != nil {
			test.change(o)
		}
	}))
	o := r.options()
	if test.options != nil {
		test.options(&o)
	}
	return r, o
}

// Each field of World that an application can see in these steps has a test.
func TestProbeHasATestForEachWorld(t *testing.T) {
	// These show to an owner's sign-in only, to one that lacks a right, or as how long something takes.
	elsewhere := []string{"itemFirst", "noSharedSessions", "sharedScopes", "moveDuration", "moveStatus", "permissionCache", "returnDelay"}
	names := simulator.WorldNames()
	for _, name := range names[:slices.Index(names, "directoryLag")] { // the rest is about the registration of applications
		if !slices.Contains(elsewhere, name) && !slices.ContainsFunc(worldTests(), func(w worldTest) bool { return strings.HasPrefix(w.name, name) }) {
			t.Errorf("no test has %s", name)
		}
	}
}
