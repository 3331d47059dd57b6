package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"graphrelay/relay/sendmail"
)

func sendmailCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "sendmail [OPTION]... [RECIPIENT]...",
		Short: "hand a message from standard input to the relay, as /usr/sbin/sendmail does",
		Long: `Reads a message from standard input, completes its header, and hands it to the relay that runs on
this machine. Called by a link with the name sendmail, as of /usr/sbin/sendmail, graphrelay does
this too: programs such as cron and PHP need no other setup. Any user may call it.

  -t            the recipients are those of To, Cc and Bcc too; Bcc is removed
  -i, -oi       a line with a dot alone does not end the message
  -f, -r ADDR   the sender in MAIL FROM; <> for none
  -F NAME       the name in From, if the message has no From
  -N WORDS      never, or of success, failure and delay: what to be told of (RFC 3461)
  -R full|hdrs  how much of the message to be sent then
  -V ID         the envelope ID to be told then
  -n            do not use /etc/aliases
  -v            print the answer of the relay
  -C FILE       the settings, in place of /etc/graphrelay-sendmail.yaml
  -bs           an SMTP session on standard input and output
  -bm           a message (the default)

The options -A, -B, -D, -G, -L, -O, -T, -U, -X, -c, -d, -e, -h, -m, -o, -p, -q, -s and -x of other
programs of this name are accepted and ignored.

The settings are server (host:port), from, domain and aliases, all optional. $` + sendmail.ServerVariable + `
has precedence over server. Without either, 127.0.0.1:25 and then 127.0.0.1:2525 are tried.

The status is 0 once the relay has stored the message, else one of sysexits(3): 64 for a wrong
command line, 65 for a message and 67 for a recipient that the relay refuses, 75 if it is worth
trying again later, 77 for a sender that may not send, 78 for wrong settings. Nothing is kept then:
the caller still has the message. All recipients get a message, or none.`,
		Example: `  graphrelay sendmail -t -i < message.eml
  ln -s "$(command -v graphrelay)" /usr/sbin/sendmail`,
		DisableFlagParsing: true,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if slices.Contains(args, "--help") || slices.Equal(args, []string{"-h"}) { // -h has a value
			return c.Help()
		}
		err := sendmail.Run(context.Background(), sendmail.Options{Args: args, Stdin: e.stdin, Stdout: e.stdout, Stderr: e.stderr, Getenv: os.Getenv})
		var failed *sendmail.Error
		if errors.As(err, &failed) {
			return exitError{failed.Status, err}
		}
		return err
	}
	return c
}

// commandLine returns the arguments of a call of the program, which may be by a link with the name
// of one of sendmail's commands.
func commandLine(args []string) []string {
	switch name := strings.TrimSuffix(filepath.Base(args[0]), ".exe"); name {
	case "sendmail":
		return append([]string{"sendmail"}, args[1:]...)
	case "newaliases":
		return []string{"sendmail", "-bi"}
	case "mailq":
		return []string{"sendmail", "-bp"}
	}
	return args[1:]
}
