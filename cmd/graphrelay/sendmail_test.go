package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"graphrelay serve":                 "serve",
		"/usr/sbin/sendmail -t -i":         "sendmail -t -i",
		"sendmail.exe -bs":                 "sendmail -bs",
		"/usr/bin/mailq -v":                "sendmail -bp",
		"newaliases":                       "sendmail -bi",
		"/opt/sendmail/graphrelay version": "version",
	} {
		if got := commandLine(strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, want %s", line, got, want)
		}
	}
}

// The options of sendmail reach it as they are, whatever the program's own ones are called.
func TestSendmailCommand(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "none")
	for line, want := range map[string]struct {
		status int
		text   string
	}{
		"sendmail -bp":                     {69, "graphrelay queue list"},
		"sendmail -bd -q30m":               {64, "graphrelay serve"},
		"sendmail -ti -oem -q":             {64, "no recipient"},
		"sendmail -f queue serve@x@y":      {64, "recipient"},
		"sendmail --version":               {64, "--version"},
		"sendmail -C " + settings + " -bs": {78, settings},
	} {
		execute(t, "", strings.Fields(line)...).want(t, want.status, want.text)
	}
	execute(t, "", "sendmail", "-t", "--help").want(t, exitOK, "-bs")
	if got := execute(t, "", "sendmail", "-q"); got != (outcome{}) {
		t.Errorf("-q: %+v", got)
	}
}
