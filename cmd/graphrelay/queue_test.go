package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"graphrelay/relay/queue"
)

func TestQueueActionUsage(t *testing.T) {
	config, id := fillQueue(t)
	at := func(args ...string) outcome {
		t.Helper()
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	const actions = "list, show, hold, release, retry, delete, export, lanes, pause or resume"
	at().wantUsage(t, actions)
	at("steer", id).wantUsage(t, `unknown action "steer"`, actions)
	for _, action := range []string{"show", "hold", "release", "retry", "delete", "export"} {
		at(action).wantUsage(t, "queue ID")
	}
	for _, action := range []string{"pause", "resume"} {
		at(action).wantUsage(t, "queue lanes")
	}
	at("list", "--state", "lost").wantUsage(t, "lost", "queued")
}

func TestQueueOfARelayThatNeverRan(t *testing.T) {
	execute(t, "", "queue", "list", "--config", writeConfig(t, "", "")).want(t, exitFault, "no queue in", "start the relay once")
}

func TestQueueList(t *testing.T) {
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
func TestQueueShow(t *testing.T) {
	config, id := fillQueue(t)
	got := execute(t, "", "queue", "show", id, "--config", config)
	got.want(t, exitOK, id, "192.0.2.1", "devices", "contoso/crm@contoso.test", "waiting")
	if strings.Contains(got.stdout, "\x1b") {
		t.Errorf("a subject reaches the terminal raw: %q", got.stdout)
	}
}

func TestQueueExport(t *testing.T) {
	config, id := fillQueue(t)
	got := execute(t, "", "queue", "export", id, "--config", config)
	if want := (outcome{exitOK, "Subject: waiting\r\n\r\ntext\r\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// An action goes on after a message that is not there, and names it.
func TestQueueApply(t *testing.T) {
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
	execute(t, "", "queue", "delete", id, "--config", config).want(t, exitOK, "delete "+id)
	execute(t, "", "queue", "show", id, "--config", config).want(t, exitFault, id)
}

func TestQueueHint(t *testing.T) {
	for err, want := range map[error]string{queue.ErrNotFound: "queue list", queue.ErrState: "queue show"} {
		if got := queueHint(fmt.Errorf("wrapped: %w", err)); !strings.Contains(got, want) {
			t.Errorf("%v: the hint is %q", err, got)
		}
	}
	if got := queueHint(queue.ErrNoSpace); got != "" {
		t.Errorf("the hint is %q", got)
	}
}
