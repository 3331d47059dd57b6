package graphmail

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
)

var sentAt = time.Date(2026, 11, 5, 9, 30, 0, 123456000, time.UTC)

// The document of a message in delivery is read by later programs.
func TestProgressDocument(t *testing.T) {
	full := progress{Path: "draft", DraftWanted: true, DraftID: "AAk=", LateDraft: true, Attached: 2, UploadURL: "https://u",
		UploadOffset: 7, Send: sendAccepted, SendWanted: sentAt, Settle: sentAt.Add(time.Second), Lost: []uint32{7}}
	for want, p := range map[string]progress{
		`{}`: {},
		`{"path":"draft","draft_wanted":true,"draft_id":"AAk=","late_draft":true,"attached":2,"upload_url":"https://u","upload_offset":7,` +
			`"send":"accepted","send_wanted":"2026-11-05T09:30:00.123456Z","settle":"2026-11-05T09:30:01.123456Z","lost":[7]}`: full,
	} {
		if got := p.record(); string(got.Document) != want {
			t.Errorf("%+v is recorded as %s", p, got.Document)
		}
		if again, err := readProgress(queue.Progress{Document: json.RawMessage(want)}); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s is read as %+v, %v", want, again, err)
		}
	}
	for _, bad := range []string{`{"attached":"two"}`, `[]`, `{"path":`} {
		if p, err := readProgress(queue.Progress{Document: json.RawMessage(bad), Leftover: true}); err == nil {
			t.Errorf("%s is read as %+v", bad, p)
		}
	}
}

// A document of a later program may have fields that are not known.
func TestProgressOfLaterPrograms(t *testing.T) {
	const document = `{"send":"refused","send_wanted":"2026-11-05T09:30:00+01:00","settle":"2026-11-05T09:35:00Z","new":{"a":[1]}}`
	if p, err := readProgress(queue.Progress{Document: json.RawMessage(document)}); err != nil || p.Send != sendRefused || p.SendWanted.IsZero() {
		t.Errorf("%s: %+v, %v", document, p, err)
	}
}

func TestProgressFacts(t *testing.T) {
	later := time.Now().Add(time.Hour)
	for name, tt := range map[string]struct {
		p        progress
		leftover bool
		doubt    delivery.Doubt
	}{
		"nothing":           {},
		"draft wanted":      {progress{Path: pathDraft, DraftWanted: true}, true, delivery.NotSent},
		"before the plan":   {progress{DraftWanted: true}, true, delivery.NotSent},
		"unknown by MIME":   {progress{Path: pathMIME, DraftWanted: true}, false, delivery.NotSent},
		"known by MIME":     {progress{Path: pathMIME, DraftWanted: true, DraftID: "AAk="}, true, delivery.NotSent},
		"no draft":          {progress{Path: pathSendMail, DraftWanted: true}, false, delivery.NotSent},
		"late draft":        {progress{Path: pathDraft, LateDraft: true}, true, delivery.NotSent},
		"requested":         {progress{DraftID: "AAk=", Send: sendRequested, SendWanted: sentAt, Settle: later}, true, delivery.Watched},
		"settled":           {progress{DraftID: "AAk=", Send: sendRequested, SendWanted: sentAt, Settle: sentAt}, true, delivery.InDoubt},
		"refused":           {progress{DraftID: "AAk=", Send: sendRefused, SendWanted: sentAt, Settle: sentAt}, true, delivery.NotSent},
		"accepted":          {progress{DraftID: "AAk=", Send: sendAccepted, SendWanted: sentAt, Settle: sentAt}, false, delivery.Watched},
		"accepted, another": {progress{DraftID: "AAk=", LateDraft: true, Send: sendAccepted}, true, delivery.Watched},
	} {
		if tt.p.leftover() != tt.leftover || tt.p.doubt(time.Now()) != tt.doubt {
			t.Errorf("%s: leftover %v, doubt %v", name, tt.p.leftover(), tt.p.doubt(time.Now()))
		}
	}
}

// A send whose state was not recorded may have happened.
func TestProgressWithoutSendState(t *testing.T) {
	const document = `{"path":"draft","draft_id":"AAk=","send_wanted":"2026-11-05T09:30:00Z"}`
	if p, err := readProgress(queue.Progress{Document: json.RawMessage(document)}); err != nil || p.doubt(time.Now()) == delivery.NotSent {
		t.Errorf("%s: %+v, %v", document, p, err)
	}
}

// A claim that ended without a record may have requested a draft. Where a late draft was
// recorded before, the claim's record does not show, and so is not relied on.
func TestProgressAfterALostClaim(t *testing.T) {
	for name, tt := range map[string]struct {
		before           progress
		wanted, recorded bool
	}{
		"first attempt": {progress{}, true, true},
		"by sendMail":   {progress{Path: pathSendMail}, true, true},
		"late draft":    {progress{Path: pathDraft, LateDraft: true}, false, false},
		"both":          {progress{Path: pathDraft, LateDraft: true, DraftWanted: true}, true, true},
	} {
		q := tt.before.record()
		q.Leftover = true // by the claim
		r, err := newRecorder(&delivery.Attempt{Progress: q}, nil)
		if err != nil || r.p.DraftWanted != tt.wanted || r.draftRecorded != tt.recorded {
			t.Errorf("%s: draft wanted %v, recorded %v, %v", name, r.p.DraftWanted, r.draftRecorded, err)
		}
	}
}

// A send that was never requested is neither in doubt nor refused, whatever failed.
func TestSendIsRequestedFirst(t *testing.T) {
	var p progress
	p.doubtSend(time.Now().Add(time.Hour))
	p.refuseSend()
	if !reflect.DeepEqual(p, progress{}) {
		t.Errorf("%+v", p)
	}
	p.requestSend(sentAt, sentAt.Add(time.Minute))
	p.refuseSend()
	if p.Send != sendRefused || p.doubt(time.Now()) != delivery.NotSent {
		t.Errorf("refused: %+v", p)
	}
	p.doubtSend(time.Now().Add(time.Hour))
	if p.Send != sendRequested || p.doubt(time.Now()) != delivery.Watched {
		t.Errorf("in doubt: %+v", p)
	}
	p.forgetSend()
	if !reflect.DeepEqual(p, progress{}) {
		t.Errorf("forgotten: %+v", p)
	}
}

// What an earlier process recorded is watched anew, and what lies ahead was recorded by a
// clock that was wrong.
func TestResume(t *testing.T) {
	started := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	now := started.Add(10 * time.Second)
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	for name, tt := range map[string]struct {
		send         sendState
		wanted       time.Time
		settle, want int // seconds from now
	}{
		"requested by this process":          {sendRequested, at(-5), 55, 55},
		"watch over, by this process":        {sendRequested, at(-5), -1, -1},
		"requested before, the watch over":   {sendRequested, at(-600), -300, 50},
		"requested before, nearly over":      {sendRequested, at(-20), 40, 50},
		"requested before, to wait longer":   {sendRequested, at(-20), 400, 400},
		"refused before":                     {sendRefused, at(-600), -600, -600},
		"accepted before":                    {sendAccepted, at(-600), -540, -540},
		"requested by a clock a year ahead":  {sendRequested, at(365 * 86400), 365*86400 + 60, 60},
		"refused by a clock that was ahead":  {sendRefused, at(3600), 3600, 0},
		"a bulk run, by a clock an hour off": {sendRequested, at(3600), 3600 + 900, 900},
	} {
		p := progress{Send: tt.send, SendWanted: tt.wanted, Settle: at(tt.settle), Unexplained: at(3600)}
		p.resume(now, started, time.Minute)
		if !p.Settle.Equal(at(tt.want)) || p.SendWanted.After(now) || !p.Unexplained.Equal(now) {
			t.Errorf("%s: wanted %s, settles in %s", name, p.SendWanted, p.Settle.Sub(now))
		}
	}
	p := progress{}
	p.resume(now, started, time.Minute)
	if !reflect.DeepEqual(p, progress{}) {
		t.Errorf("a message that was not sent has %+v", p)
	}
}
