package queueview

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

var received = time.Date(2026, 11, 1, 9, 0, 0, 0, time.Local)

func message() operations.Message {
	return operations.MessageOf(queue.Record{
		ID: "0M1", Received: received, Size: 12,
		Status: queue.Status{State: queue.Deferred, Due: received.Add(time.Minute), Reason: "throttled", Detail: "in 30s"},
		Entry: queue.Entry{
			Envelope: queue.Envelope{To: []string{"a@x.test", "b@x.test"}, DSN: queue.DSN{Return: "HDRS", Recipients: map[string]queue.RecipientDSN{"a@x.test": {Notify: []string{"NEVER"}}}}},
			Lane:     queue.Lane{Connection: "contoso", Mailbox: "crm@contoso.test"}, Subject: "two\nlines \x1b[2J",
		},
	})
}

func withEvents(events ...queue.Event) operations.Message {
	m := message()
	m.Events = append([]queue.Event{}, events...)
	return m
}

// returnedMessage is one that came back from one of its recipients.
func returnedMessage() operations.Message {
	m := message()
	m.State, m.Due = queue.Returned, nil
	m.Returns = []queue.Return{{Recipient: "b@x.test", At: time.Date(2026, 11, 1, 10, 0, 0, 0, time.Local), Code: "5.1.10", Diagnostic: "550 \n not\x07found", Report: "AAk="}}
	return m
}

func printed(t *testing.T, asJSON bool, do func(Printer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := do(Printer{Out: &b, JSON: asJSON}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTables(t *testing.T) {
	name := func(s string) operations.LaneName { return operations.NameOf(queue.ParseLane(s)) }
	lanes := []operations.Lane{
		{Lane: name("contoso"), PausedUntil: &queue.Forever, PausedFor: "operator"},
		{Lane: name("contoso/crm@contoso.test"), Messages: map[queue.State]int64{queue.Queued: 2}},
		{Lane: name("contoso+anna@x.test/a@x.test"), Oldest: &received},
		{Lane: name("other/a@other.test")},
	}
	for name, c := range map[string]struct{ got, want string }{
		"messages": {printed(t, false, func(p Printer) error { return p.Messages([]operations.Message{message()}, true) }), `
ID   STATE     RECEIVED             SIZE  FROM  TO                   WHY
0M1  deferred  2026-11-01 09:00:00  12    <>    a@x.test and 1 more  throttled
`},
		"message": {printed(t, false, func(p Printer) error {
			return p.Message(withEvents(queue.Event{At: received, What: "draft created", RequestID: "r1"}))
		}), `
id                         0M1
state                      deferred
why                        throttled in 30s
next try                   2026-11-01 09:01:00
attempts                   0
received                   2026-11-01 09:00:00 from the relay itself
size                       12
envelope from              <>
envelope to                a@x.test b@x.test
notifications              RET=HDRS
  a@x.test                 NOTIFY=NEVER
subject                    two?lines ?[2J
lane                       contoso/crm@contoso.test
  2026-11-01 09:00:00.000  draft created (request-id r1)
`},
		"reception": {strings.Join(strings.SplitAfter(printed(t, false, func(p Printer) error {
			m := message()
			m.Reception = queue.Reception{HELO: "pc\x1b", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Took: 1234567 * time.Microsecond}
			m.Refused = []string{"b@x.test"}
			return p.Message(m)
		}), "\n")[6:7], ""), `
reception      HELO pc?, TLS 1.3 TLS_AES_128_GCM_SHA256, accepted 1.235s after it had connected
`},
		"returned message": {strings.Join(strings.SplitAfter(printed(t, false, func(p Printer) error { return p.Message(returnedMessage()) }), "\n")[12:], ""), `
returned       2026-11-01 10:00:00 b@x.test 5.1.10 550 not?found
`},
		"lanes": {printed(t, false, func(p Printer) error { return p.Lanes(lanes) }), `
LANE                          QUEUED  DELIVERING  DEFERRED  HELD  OLDEST               PAUSED
contoso                       0       0           0         0                          until resume, operator
contoso/crm@contoso.test      2       0           0         0                          with contoso
contoso+anna@x.test/a@x.test  0       0           0         0     2026-11-01 09:00:00  with contoso
other/a@other.test            0       0           0         0                          
`},
		"paused": {printed(t, false, func(p Printer) error {
			m, queued, end := message(), message(), received.Add(time.Hour)
			m.Paused, queued.Paused, queued.Reason = &end, &queue.Forever, ""
			return p.Messages([]operations.Message{m, queued}, false)
		}), `
0M1  deferred  2026-11-01 09:00:00  12  <>  a@x.test and 1 more  throttled, lane paused until 2026-11-01 10:00:00
0M1  deferred  2026-11-01 09:00:00  12  <>  a@x.test and 1 more  lane paused until resume
`},
		"audits": {printed(t, false, func(p Printer) error {
			return p.Audits([]queue.Audit{{ID: "1", At: received, By: "anna\x1b", Action: "hold", On: "--subject \x1b[2J", Changed: 3}})
		}), `
AT                   BY     ACTION  CHANGED  ON
2026-11-01 09:00:00  anna?  hold    3        --subject ?[2J
`},
		"done to all":  {printed(t, false, func(p Printer) error { return p.DoneAll("hold", 12345, false) }), "\nhold 12,345 messages\n"},
		"would do all": {printed(t, false, func(p Printer) error { return p.DoneAll("hold", 1, true) }), "\nwould hold 1 message\n"},
		"done":         {printed(t, false, func(p Printer) error { return p.Done("hold", "id", "0M1\x07") }), "\nhold 0M1?\n"},
	} {
		if "\n"+c.got != c.want {
			t.Errorf("%s:\n%s", name, c.got)
		}
	}
}

func TestJSON(t *testing.T) {
	got := printed(t, true, func(p Printer) error { return p.Message(withEvents()) })
	if !strings.Contains(got, `"events":[]`) {
		t.Errorf("without a history: %s", got)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(got), &v); err != nil || strings.Count(got, "\n") != 1 {
		t.Fatalf("%q: %v", got, err)
	}
	if v["subject"] != message().Subject || v["due"] == nil || v["finished"] != nil || v["user"] != nil {
		t.Errorf("it is %v", v)
	}
	if got := printed(t, true, func(p Printer) error { return p.Messages([]operations.Message{returnedMessage()}, true) }); !strings.Contains(got, `"returns":[{"recipient":"b@x.test","at":"2026-11-01T10:00:00`) {
		t.Error(got)
	}
	if got := printed(t, true, func(p Printer) error { return p.Done("pause", "lane", "contoso") }); got != `{"done":"pause","lane":"contoso"}`+"\n" {
		t.Error(got)
	}
}
