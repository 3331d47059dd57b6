package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
	"graphrelay/relay/queueview"
)

func TestQueueActionUsage(t *testing.T) { eachWay(t, testQueueActionUsage) }

func testQueueActionUsage(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	at := func(args ...string) outcome {
		t.Helper()
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	const actions = "list, show, hold, release, retry, delete, resend, export, lanes, pause, resume, log, move or restored"
	at().wantUsage(t, actions)
	at("steer", id).wantUsage(t, `unknown action "steer"`, actions)
	for _, action := range []string{"show", "hold", "release", "retry", "delete", "resend", "export"} {
		at(action).wantUsage(t, "queue ID")
	}
	for _, action := range []string{"pause", "resume"} {
		at(action).wantUsage(t, "queue lanes")
	}
	at("show", "").want(t, exitFault, `"": no such message`)
	at("list", "--state", "lost").wantUsage(t, "lost", "queued")
}

func TestQueueOfARelayThatNeverRan(t *testing.T) {
	execute(t, "", "queue", "list", "--config", writeConfig(t, "", "")).want(t, exitFault, "no queue in", "start the relay once")
}

func TestQueueList(t *testing.T) { eachWay(t, testQueueList) }

func testQueueList(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	got := execute(t, "", "queue", "list", "--config", config)
	got.want(t, exitOK, "ID ", id, "queued", "crm@contoso.test", "anna@example.com and 1 more")
	if strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("want a heading and a line:\n%s", got.stdout)
	}
	if got := execute(t, "", "queue", "list", "--state", "held", "--json", "--config", config); got != (outcome{}) {
		t.Errorf("nothing is held, but: %+v", got)
	}
	var shown map[string]any
	if err := json.Unmarshal([]byte(execute(t, "", "queue", "list", "--json", "--config", config).stdout), &shown); err != nil {
		t.Fatal(err)
	}
	if shown["id"] != id || shown["state"] != "queued" || shown["envelope_from"] != "crm@contoso.test" {
		t.Errorf("--json shows %v", shown)
	}
}

// Terminals are shown nothing that they would obey.
func TestQueueShow(t *testing.T) { eachWay(t, testQueueShow) }

func testQueueShow(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	got := execute(t, "", "queue", "show", id, "--config", config)
	got.want(t, exitOK, id, "192.0.2.1", "devices", "contoso/crm@contoso.test", "waiting")
	if strings.Contains(got.stdout, "\x1b") {
		t.Errorf("a subject reaches the terminal raw: %q", got.stdout)
	}
}

func TestQueueExport(t *testing.T) { eachWay(t, testQueueExport) }

func testQueueExport(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	got := execute(t, "", "queue", "export", id, "--config", config)
	if want := (outcome{exitOK, "Subject: waiting\r\n\r\ntext\r\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := execute(t, "", "queue", "log", "--json", "--config", config); strings.Count(got.stdout, `"export"`) != 1 || !strings.Contains(got.stdout, id) || !strings.Contains(got.stdout, actor()) {
		t.Errorf("the log has %+v", got)
	}
}

// An action goes on after a message that is not there, and names it.
func TestQueueApply(t *testing.T) { eachWay(t, testQueueApply) }

func testQueueApply(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	got := execute(t, "", "queue", "hold", "0000000000000000", id, "--config", config)
	got.want(t, exitFault, "0000000000000000: ", "queue list")
	if got.stdout != "hold "+id+"\n" {
		t.Errorf("printed %q", got.stdout)
	}
	execute(t, "", "queue", "list", "--state", "held", "--config", config).want(t, exitOK, id)
	got = execute(t, "", "queue", "release", id, "--json", "--config", config)
	if want := fmt.Sprintf("{\"done\":\"release\",\"id\":%q}\n", id); got != (outcome{exitOK, want, ""}) {
		t.Errorf("got %+v, want %s", got, want)
	}
}

// A message goes to other recipients as another one, and no longer itself.
func TestQueueResend(t *testing.T) { eachWay(t, testQueueResend) }

func testQueueResend(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	at := func(args ...string) outcome {
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	at("resend", id).wantUsage(t, "--to")
	at("resend", id, "--to", "bert@example.com").want(t, exitFault, "may still go out; hold it first")
	at("hold", id).want(t, exitOK)
	at("resend", id, "--to", "bert").want(t, exitFault, `"bert" is no address of a recipient`)
	got := at("resend", id, "--to", "bert@example.com", "--to", " BERT@example.com", "--json")
	var done struct{ ID string }
	if err := json.Unmarshal([]byte(got.stdout), &done); err != nil || done.ID == id {
		t.Fatalf("%+v, %v", got, err)
	}
	at("show", done.ID).want(t, exitOK, "queued", " bert@example.com\n", "sent again by "+actor()+" in place of "+id+" to bert@example.com")
	at("show", id).want(t, exitFault, "deleted", "as "+done.ID)
	at("log").want(t, exitOK, "resend", id+" bert@example.com")
	if got := at("export", done.ID); got.stdout != "Subject: waiting\r\n\r\ntext\r\n" {
		t.Errorf("it has the content %+v", got)
	}
}

// A deleted message leaves its record, which says who deleted it, and nothing else.
func TestQueueDelete(t *testing.T) { eachWay(t, testQueueDelete) }

func testQueueDelete(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	at := func(args ...string) outcome {
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	at("delete", id).want(t, exitOK, "delete "+id)
	got := at("show", id)
	got.want(t, exitFault, id, "it was deleted by "+actor())
	if !strings.Contains(got.stdout, "deleted") || !strings.Contains(got.stdout, "delete by "+actor()) {
		t.Errorf("the record is\n%s", got.stdout)
	}
	if got := at("list", "--json"); got != (outcome{}) {
		t.Errorf("it is still listed: %+v", got)
	}
	at("list", "--state", "deleted").want(t, exitOK, id, "operator")
	at("export", id).want(t, exitFault, id, "its content is gone, since it is deleted")
	for _, action := range []string{"delete", "retry", "release", "hold"} {
		at(action, id).want(t, exitFault, id, "it is deleted")
		at(action, id, "--dry-run").want(t, exitFault, id, "it is deleted")
		at(action, "--all").want(t, exitFault, "no message is selected")
	}
}

// Actions take filters instead of IDs, and say how many messages they changed.
func TestQueueActionFilters(t *testing.T) { eachWay(t, testQueueActionFilters) }

func testQueueActionFilters(t *testing.T, fillQueue filler) {
	config, first := fillQueue(t, "one", "two", "three")
	at := func(args ...string) outcome {
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	listed := func(want int, args ...string) {
		t.Helper()
		if got := at(append([]string{"list", "--json"}, args...)...); strings.Count(got.stdout, "\n") != want {
			t.Errorf("%q lists %+v, want %d", args, got, want)
		}
	}
	at("hold", "--subject", "t", "--dry-run").want(t, exitOK, "would hold 2 messages\n")
	at("hold", "--all", "--limit", "2", "--dry-run", "--json").want(t, exitOK, `{"messages":2,"would":"hold"}`)
	at("hold", first, "--dry-run").want(t, exitOK, "would hold "+first+"\n")
	at("hold", first, "--dry-run", "--json").want(t, exitOK, `{"id":"`+first+`","would":"hold"}`)
	listed(0, "--state", "held")
	at("hold", "--subject", "nothing").want(t, exitFault, "no message is selected")
	at("hold", "--subject", "nothing", "--dry-run").want(t, exitFault, "no message is selected")
	at("hold", "--subject", "T").want(t, exitOK, "hold 2 messages\n")
	listed(2, "--state", "held")
	at("release", "--all", "--limit", "1", "--json").want(t, exitOK, `{"done":"release","messages":1}`)
	listed(1, "--state", "held")
	at("delete", "--all", "--state", "held").want(t, exitOK, "delete 1 message\n")
	at("delete", "--older", "1h").want(t, exitFault, "no message is selected")
	at("delete", "--all").want(t, exitOK, "delete 2 messages\n")
	listed(3, "--state", "deleted")
}

// An action without IDs and filters is refused, and so is what cannot be meant.
func TestQueueActionRefusals(t *testing.T) { eachWay(t, testQueueActionRefusals) }

func testQueueActionRefusals(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	at := func(args ...string) outcome {
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	for _, action := range []string{"hold", "release", "retry", "delete"} {
		at(action).wantUsage(t, "--all", "see graphrelay help queue "+action)
		at(action, "--dry-run").wantUsage(t, "--all")
		at(action, "--limit", "3").wantUsage(t, "--all")
		at(action, id, "--all").wantUsage(t, "not both")
		at(action, id, "--lane", "contoso").wantUsage(t, "not both")
		at(action, "--state", "deleted").want(t, exitFault, "no message is selected", action+" is for messages that are ")
		at(action, "--state", "deleted", "--dry-run").want(t, exitFault, "no message is selected")
	}
	at("release", "--state", "queued").want(t, exitFault, "release is for messages that are held")
	at("hold", "--state", "sent,delivering").want(t, exitFault, "no message is selected")
	at("list", "--json").want(t, exitOK, id, `"state":"queued"`)
}

// A list that ends at its limit says how many messages there are.
func TestQueueListLimit(t *testing.T) { eachWay(t, testQueueListLimit) }

func testQueueListLimit(t *testing.T, fillQueue filler) {
	config, _ := fillQueue(t, "one", "two", "three")
	at := func(limit string) outcome {
		return execute(t, "", "queue", "list", "--limit", limit, "--json", "--config", config)
	}
	for limit, want := range map[string]struct {
		lines int
		said  string
	}{"2": {2, "2 of 3 messages; --limit shows more\n"}, "3": {3, ""}, "4": {3, ""}, "0": {3, ""}} {
		if got := at(limit); got.status != exitOK || strings.Count(got.stdout, "\n") != want.lines || got.stderr != want.said {
			t.Errorf("--limit %s: %+v", limit, got)
		}
	}
}

// manyMessages has as many messages as it says, in pages.
type manyMessages struct {
	queue.Inspector
	queue.Controller
	total, pages int
}

func (m *manyMessages) List(_ context.Context, f queue.Filter) (list []queue.Record, _ error) {
	m.pages++
	first := 0
	if f.After != "" {
		_, _ = fmt.Sscanf(f.After, "%d", &first)
	}
	for n := first + 1; n <= min(m.total, first+f.Limit); n++ {
		list = append(list, queue.Record{ID: fmt.Sprintf("%016d", n)})
	}
	return list, nil
}

func (m *manyMessages) Count(context.Context, queue.Filter) (int64, error) {
	return int64(m.total), nil
}

// A long list is read and printed in pages, under one heading.
func TestQueueListPages(t *testing.T) {
	for limit, want := range map[int]struct {
		lines, pages int
		said         string
	}{
		0:    {2501, 3, ""},
		1500: {1501, 2, "1,500 of 2,500 messages; --limit shows more\n"},
		2500: {2501, 3, ""},
		5000: {2501, 3, ""},
	} {
		store := &manyMessages{total: 2500}
		var out, said strings.Builder
		q := queueTool{env: env{nil, &out, &said}, ops: operations.Local{Store: store}, print: queueview.Printer{Out: &out}}
		if err := q.list(queue.Filter{Limit: limit}); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != want.lines || store.pages != want.pages || said.String() != want.said || strings.Count(out.String(), "STATE") != 1 {
			t.Errorf("limit %d: %d lines in %d pages, %q", limit, lines, store.pages, said.String())
		}
	}
}

// What operators did is on record: who, what, and how many.
func TestQueueLog(t *testing.T) { eachWay(t, testQueueLog) }

func testQueueLog(t *testing.T, fillQueue filler) {
	config, first := fillQueue(t, "one", "two", "three")
	at := func(args ...string) outcome {
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	at("hold", first, "0000000000000000")
	at("hold", "--all", "--dry-run")
	at("hold", "--subject", "t", "--limit", "5")
	at("delete", "--subject", "nothing")
	at("pause", "contoso")
	var got []string
	for line := range strings.Lines(at("log", "--json").stdout) {
		var a queue.Audit
		if err := json.Unmarshal([]byte(line), &a); err != nil || a.By != actor() || time.Since(a.At) > time.Minute {
			t.Errorf("%s: %v", line, err)
		}
		got = append(got, fmt.Sprint(a.Action, " ", a.On, ": ", a.Changed))
	}
	want := []string{"hold " + first + " 0000000000000000: 1", "hold --limit 5 --subject t: 2", "delete --subject nothing: 0", "pause contoso: 1"}
	if !slices.Equal(got, want) {
		t.Errorf("the log is %q, want %q", got, want)
	}
	at("log", "--limit", "1").want(t, exitOK, "CHANGED", "pause", actor())
	if got := at("log", "--limit", "1"); strings.Contains(got.stdout, "delete") {
		t.Errorf("the newest is\n%s", got.stdout)
	}
	at("log", "--limit", "0").wantUsage(t, "--limit")
}

// The list says that a lane is paused, and until when.
func TestQueueListPaused(t *testing.T) { eachWay(t, testQueueListPaused) }

func testQueueListPaused(t *testing.T, fillQueue filler) {
	config, id := fillQueue(t)
	at := func(args ...string) outcome {
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	at("pause", "contoso")
	at("list").want(t, exitOK, "lane paused until resume")
	at("show", id).want(t, exitOK, "lane paused", "until resume")
	at("resume", "contoso")
	at("pause", "contoso/crm@contoso.test", "--for", "1d")
	at("list").want(t, exitOK, "lane paused until 2")
	at("list", "--json").want(t, exitOK, `"paused_until":"2`)
	at("resume", "contoso/crm@contoso.test")
	if got := at("list"); strings.Contains(got.stdout, "paused") {
		t.Errorf("no lane is paused:\n%s", got.stdout)
	}
}

func TestQueueHint(t *testing.T) {
	for err, want := range map[error]string{queue.ErrNotFound: "queue list", queue.ErrState: "queue show",
		operations.ErrNotPaused: "queue lanes", operations.ErrNoNode: "nodes", &operations.PausedAsWholeError{Lane: "contoso"}: "queue resume contoso"} {
		if got := queueHint(fmt.Errorf("wrapped: %w", err)); !strings.Contains(got, want) {
			t.Errorf("%v: the hint is %q", err, got)
		}
	}
	if got := queueHint(queue.ErrNoSpace); got != "" {
		t.Errorf("the hint is %q", got)
	}
}

// The commands ask a relay that runs although its file has got a fault since: a key that there is
// not, or what is not even YAML.
func TestQueueOfABrokenFile(t *testing.T) {
	for _, fault := range []string{"usres: []\n", "listeners: [\n"} {
		config, first := fillAndServe(t)
		file, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(fault); err != nil || file.Close() != nil {
			t.Fatal(err)
		}
		execute(t, "", "queue", "list", "--config", config).want(t, exitOK, first)
		execute(t, "", "queue", "hold", first, "--config", config).want(t, exitOK, first)
		execute(t, "", "check", "--config", config).want(t, exitBadUsage, config)
	}
}
