// Package sendmail is the command sendmail, with which programs on a Unix machine send mail. It
// completes a message from standard input and hands it to a relay by SMTP.
//
// It runs as whoever calls it, so it reads nothing secret: its own small file of settings and
// /etc/aliases, which everybody may read, and never the configuration of the relay. It keeps
// nothing: once it has ended with status 0, the relay has the message; after any other status,
// the caller still has it.
package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"graphrelay/internal/mailaddr"
)

// The exit statuses of sysexits(3) that Run's errors have.
const (
	Usage       = 64 // the command line is wrong
	DataErr     = 65 // the message is not acceptable
	NoUser      = 67 // a recipient is not acceptable
	Unavailable = 69 // the relay does not offer what is needed
	OSErr       = 71 // the system lacks something
	CantCreat   = 73 // the message cannot be written to a temporary file
	IOErr       = 74 // the message cannot be read
	TempFail    = 75 // the relay cannot be reached or cannot take the message now; try again later
	NoPerm      = 77 // the sender, or the client, is not allowed
	Config      = 78 // the settings are wrong
)

// Error is an error with the exit status that callers expect.
type Error struct {
	Status int
	err    error
}

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.err }

func failf(status int, format string, args ...any) error {
	return &Error{status, fmt.Errorf(format, args...)}
}

// Options are what a call of sendmail gets.
type Options struct {
	Args   []string // without the name of the program
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
}

// Run does what the command line says. Its errors are of type *Error.
func Run(ctx context.Context, o Options) error {
	c, err := parse(o.Args)
	if err != nil {
		return err
	}
	switch c.mode {
	case modeNone:
		return nil
	case modeAliases:
		fmt.Fprintf(o.Stderr, "sendmail: there is nothing to do: the aliases are read each time that mail is sent\n")
		return nil
	}
	s, err := loadSettings(c.file, o.Getenv)
	if err != nil {
		return err
	}
	if c.mode == modeSMTP {
		return bridge(ctx, s, o.Stdin, o.Stdout)
	}
	return submit(ctx, c, s, o)
}

// submit sends the message from standard input.
func submit(ctx context.Context, c *call, s *settings, o Options) error {
	m, err := readMessage(o.Stdin, !c.ignoreDots)
	if err != nil {
		return err
	}
	defer m.close()
	e := envelope{notify: c.notify, ret: c.ret, id: c.envelopeID, from: c.from}
	if !c.fromGiven || c.from != "" {
		e.from = s.sender(c.from)
	}
	recipients := c.recipients
	if c.fromHeader {
		more, err := m.recipients()
		if err != nil {
			return err
		}
		recipients = append(recipients, more...)
	}
	if e.to, err = s.resolve(recipients, !c.noAliases); err != nil {
		return err
	}
	if len(e.to) == 0 {
		return failf(Usage, "there is no recipient: name them on the command line, or use -t with To, Cc or Bcc in the message")
	}
	author := e.from
	if author == "" {
		author = s.sender("")
	}
	if err := m.complete(author, c.name); err != nil {
		return err
	}
	answer, err := send(ctx, s, e, m)
	var failed *Error
	if errors.As(err, &failed) && failed.Status == NoPerm && e.from != "" && e.from != c.from && s.From == "" {
		return failf(NoPerm, "%w; or set from in %s to the address of a mailbox", err, s.file)
	}
	if err == nil && c.verbose {
		fmt.Fprintln(o.Stdout, answer)
	}
	return err
}

// sender returns the address to send from where the caller has named this one, or none.
func (s *settings) sender(named string) string {
	switch {
	case strings.Contains(named, "@"):
		return named
	case s.From != "":
		return s.From
	case named == "":
		named = userName()
	}
	return named + "@" + s.Domain
}

// userName returns the name of the user who runs the program.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return "nobody"
	}
	name := u.Username
	if i := strings.LastIndexByte(name, '\\'); i >= 0 { // DOMAIN\user
		name = name[i+1:]
	}
	return name
}

// resolve returns the addresses of the recipients, each once: users of this machine are replaced
// by their aliases, and what has no alias gets the domain.
func (s *settings) resolve(recipients []string, useAliases bool) (to []string, err error) {
	var aliases aliases
	if useAliases {
		if aliases, err = loadAliases(s.Aliases); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for _, r := range recipients {
		list, err := aliases.expand(r)
		if err != nil {
			return nil, err
		}
		for _, address := range list {
			if !strings.Contains(address, "@") {
				if !s.qualify {
					return nil, failf(NoUser, "%s is a user of this machine and no mail address; add a line such as %[1]s: you@example.com to %s, or set domain in %s", address, s.Aliases, s.file)
				}
				address += "@" + s.Domain
			}
			if key := mailaddr.Canonical(address); !seen[key] {
				seen[key] = true
				to = append(to, address)
			}
		}
	}
	return to, nil
}

// hostName returns the name of this machine.
func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
