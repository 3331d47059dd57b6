package main

import (
	"strings"
	"testing"
)

func TestPauseAndResume(t *testing.T) { eachWay(t, testPauseAndResume) }

func testPauseAndResume(t *testing.T, fillQueue filler) {
	config, _ := fillQueue(t)
	at := func(args ...string) outcome {
		t.Helper()
		return execute(t, "", append([]string{"queue", "--config", config}, args...)...)
	}
	const lane = "contoso/crm@contoso.test"
	at("lanes").want(t, exitOK, "LANE", lane)
	at("resume", lane).want(t, exitFault, lane+": ", "not paused")
	at("pause", "--for", "1h", "contoso/CRM@contoso.test").want(t, exitOK, "pause contoso/CRM@contoso.test")
	at("lanes").want(t, exitOK, lane, "until 2", "operator")
	at("pause", lane).want(t, exitOK, "pause "+lane)
	at("lanes").want(t, exitOK, "until resume")
	at("resume", lane, "--json").want(t, exitOK, `{"done":"resume","lane":"`+lane+`"}`)
	at("pause", "contoso").want(t, exitOK, "pause contoso")
	at("pause", lane, "--for", "1h").want(t, exitOK)
	at("pause", "contoso/anna@contoso.test").want(t, exitOK)
	at("resume", "contoso/bert@contoso.test").want(t, exitFault, "it is not paused itself, but contoso is as a whole; graphrelay queue resume contoso ends that")
	at("resume", "contoso").want(t, exitOK, "resume contoso: 3 pauses\n")
	if got := at("lanes"); strings.Contains(got.stdout, "until") {
		t.Errorf("paused after resume:\n%s", got.stdout)
	}
	at("resume", "contoso").want(t, exitFault, "not paused")
	at("pause", lane).want(t, exitOK)
	at("resume", "contoso", "--json").want(t, exitOK, `{"done":"resume","lane":"contoso","pauses":1}`)
}

func TestPauseFaults(t *testing.T) { eachWay(t, testPauseFaults) }

func testPauseFaults(t *testing.T, fillQueue filler) {
	config, _ := fillQueue(t)
	execute(t, "", "queue", "pause", "contos", "--config", config).want(t, exitFault, `no connection "contos"`)
	for _, length := range []string{"-1h", "0s", "0"} {
		execute(t, "", "queue", "pause", "contoso", "--for", length, "--config", config).want(t, exitFault, "--for has to be more than 0")
	}
	for _, action := range []string{"pause", "resume"} {
		execute(t, "", "queue", action, "contoso/", "--config", config).want(t, exitFault, "contoso/: it has no mailbox")
	}
	execute(t, "", "queue", "pause", "contoso/anna", "--config", config).want(t, exitFault, `"anna" is no address of a mailbox`)
}
