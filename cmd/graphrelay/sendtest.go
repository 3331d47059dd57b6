package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/sendtest"
)

// passwordVariable is the environment variable with the password of send-test.
const passwordVariable = "GRAPHRELAY_SMTP_PASSWORD"

func sendTestCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "send-test --to ADDRESS",
		Short: "send one message through the running relay, and print what becomes of it",
		Long: `Sends one message with a small file through a listener of the relay that runs on this machine,
like any client, and prints each step with the seconds since the beginning: accepted, draft,
attachment, sent, found in Sent Items. The status is 2 if the message is refused, is not sent in
time, or is not found.

The listener is the first that takes mail from this machine. With --user, the password is read from
--password-file, from $` + passwordVariable + `, or from standard input; in a terminal it is asked
for.`,
		Example: `  graphrelay send-test --to me@contoso.com
  graphrelay send-test --to me@contoso.com --from crm@contoso.com --user crm`,
		Args: noOperands,
	}
	fs := c.Flags()
	file := configFlag(c)
	o := sendtest.Options{Out: e.stdout, Wait: 2 * time.Minute}
	fs.StringVar(&o.To, "to", "", "the `address` that gets the message")
	fs.StringVar(&o.From, "from", "", "the `address` that it is from (default: one that the configuration names)")
	fs.StringVar(&o.Listener, "listener", "", "the `name` of the listener (default: one that fits)")
	fs.StringVar(&o.User, "user", "", "the `name` of the user to sign in as")
	passwordFile := fs.String("password-file", "", "a `file` with the user's password")
	durationFlag(fs, &o.Wait, "wait", "the longest `time` until the message is sent")
	c.RunE = func(*cobra.Command, []string) error {
		if o.To == "" {
			return usagef("name a recipient with --to")
		}
		if o.Wait <= 0 {
			return usagef("--wait has to be more than 0")
		}
		if *passwordFile != "" && o.User == "" {
			return usagef("--password-file has the password of a user; name that one with --user")
		}
		cfg, _, err := loadConfig(e, *file)
		if err != nil {
			return err
		}
		o.Config = cfg
		o.Password = func() (string, error) { return smtpPassword(e, *passwordFile) }
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return proves(sendtest.Run(ctx, o))
	}
	return c
}

// smtpPassword returns the password from the file, the environment or standard input.
func smtpPassword(e env, file string) (string, error) {
	if file != "" {
		return sendtest.ReadPassword(file)
	}
	if password := os.Getenv(passwordVariable); password != "" {
		return password, nil
	}
	password, err := readPassword(e)
	if errors.Is(err, errNoPassword) {
		err = errors.New("no password; name a file that has it with --password-file, or set $" + passwordVariable)
	}
	return password, err
}
