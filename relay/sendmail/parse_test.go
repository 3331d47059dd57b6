package sendmail

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]call{
		"":                                     {},
		"bob@x.test":                           {recipients: []string{"bob@x.test"}},
		"-t -i":                                {fromHeader: true, ignoreDots: true}, // PHP
		"-ti":                                  {fromHeader: true, ignoreDots: true},
		"-t -oi":                               {fromHeader: true, ignoreDots: true},
		"-oi -oem -odb -t":                     {fromHeader: true, ignoreDots: true},
		"-FCronDaemon -i -B8BITMIME -oem root": {name: "CronDaemon", ignoreDots: true, recipients: []string{"root"}}, // Debian's cron
		"-FCronDaemon -i -odi -oem -oi -t -f root":   {name: "CronDaemon", ignoreDots: true, fromHeader: true, from: "root", fromGiven: true},         // cronie
		"-oem -oi -f a@x.test -- bob@x.test -v":      {ignoreDots: true, from: "a@x.test", fromGiven: true, recipients: []string{"bob@x.test", "-v"}}, // mutt
		"-fa@x.test b@x.test,c@x.test":               {from: "a@x.test", fromGiven: true, recipients: []string{"b@x.test", "c@x.test"}},
		"b@x.test -r a@x.test":                       {from: "a@x.test", fromGiven: true, recipients: []string{"b@x.test"}},
		"-tfa@x.test":                                {fromHeader: true, from: "a@x.test", fromGiven: true},
		"-f <> b@x.test":                             {fromGiven: true, recipients: []string{"b@x.test"}},
		"-f <a@x.test> -n -v":                        {from: "a@x.test", fromGiven: true, noAliases: true, verbose: true},
		"-N success,Failure -R hdrs -V id7 b@x.test": {notify: []string{"SUCCESS", "FAILURE"}, ret: "HDRS", envelopeID: "id7", recipients: []string{"b@x.test"}},
		"-Nnever -Rfull b@x.test":                    {notify: []string{"NEVER"}, ret: "FULL", recipients: []string{"b@x.test"}},
		"-bm b@x.test":                               {recipients: []string{"b@x.test"}},
		"-bs":                                        {mode: modeSMTP},
		"-bi":                                        {mode: modeAliases},
		"-I":                                         {mode: modeAliases},
		"-q":                                         {mode: modeNone},
		"-q30m":                                      {mode: modeNone},
		"-q b@x.test":                                {recipients: []string{"b@x.test"}},
		"-C f -O Timeout=1 -X log -h 9 -p SMTP -L tag -G -U -m -x -A c b@x.test": {file: "f", recipients: []string{"b@x.test"}},
		"-oMr smtp -o i -d0.1 -e m -om b@x.test":                                 {ignoreDots: true, recipients: []string{"b@x.test"}},
		"- b@x.test":                                                             {recipients: []string{"-", "b@x.test"}},
	} {
		got, err := parse(strings.Fields(line))
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v %v, want %+v", line, got, err, want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for line, want := range map[string]struct {
		status int
		text   string
	}{
		"--to b@x.test":                  {Usage, "--to"},
		"-Z":                             {Usage, "-Z"},
		"-f":                             {Usage, "-f"},
		"-oMr":                           {Usage, "-oMr"},
		"-f a,b b@x.test":                {Usage, "one address"},
		"-f a@ b@x.test":                 {Usage, "not a list"},
		"b@":                             {Usage, "recipient"},
		"-N sometimes":                   {Usage, "-N"},
		"-N never,delay":                 {Usage, "never"},
		"-R some":                        {Usage, "-R"},
		"-V ä":                           {Usage, "-V"},
		"-bd":                            {Usage, "graphrelay serve"},
		"-bD":                            {Usage, "graphrelay serve"},
		"-bp":                            {Unavailable, "graphrelay queue list"},
		"-bv b@x.test":                   {Usage, "-bv"},
		"-bt":                            {Usage, "-bt"},
		"-V " + strings.Repeat("x", 101): {Usage, "-V"},
	} {
		_, err := parse(strings.Fields(line))
		var e *Error
		if !errors.As(err, &e) || e.Status != want.status || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%q: %v, want %v", line, err, want)
		}
	}
}

// FuzzParse checks that no command line makes an address with which another command or field could
// begin, or ends otherwise than with a status of sysexits.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"-t -i", "-FCronDaemon -i -B8BITMIME -oem root", "-f <a@x.test> -- b@x.test,c", "-oMr x -N never -V id", "-bs"} {
		f.Add(strings.ReplaceAll(seed, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := parse(strings.Split(line, "\x00"))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status < 64 || e.Status > 78 {
				t.Fatal(err)
			}
			return
		}
		for _, a := range append(c.recipients, c.from) {
			if strings.ContainsAny(a, "\r\n\x00") {
				t.Fatalf("%q", a)
			}
		}
	})
}
