package main

import (
	"testing"
)

func TestPauseAndResume(t *testing.T) {
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
	at("resume", "contoso").want(t, exitOK, "resume contoso")
}

func TestPauseFaults(t *testing.T) {
	config, _ := fillQueue(t)
	execute(t, "", "queue", "pause", "contos", "--config", config).want(t, exitFault, "no connection contos")
	execute(t, "", "queue", "pause", "contoso", "--for", "-1h", "--config", config).want(t, exitFault, "negative")
}
