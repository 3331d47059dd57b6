// Command graphrelay is an SMTP server that delivers through Microsoft Graph.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Exit statuses that scripts rely on.
const (
	exitOK       = 0
	exitFault    = 1
	exitBadUsage = 2 // bad configuration or command line
)

// env has the standard streams of a command.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one subcommand; it returns the exit status.
type command struct {
	name, args, summary string
	run                 func(e env, args []string) int
}

func commands() []command {
	return []command{
		{"demo", "[--once]", "show the relay at work with a built-in Graph simulator; needs no set-up", demoCommand},
		{"serve", "--config FILE", "run the relay", serveCommand},
		{"check", "--config FILE [--online]", "check a configuration, and with --online also its connections", checkCommand},
		{"connect", "[MAILBOX] [--smtp-user] --config FILE", "sign in the owner of a mailbox; or --list, --disconnect", connectCommand},
		{"queue", "ACTION [ID...] [--json] --config FILE", "list, show, hold, release, retry, delete or export messages; lanes, pause, resume", queueCommand},
		{"simulate", "[--listen ADDR] [--latency D]", "run only the Graph simulator", simulateCommand},
		{"hash-password", "", "read a password from standard input and print its hash for users", hashPasswordCommand},
		{"version", "", "print the version, the commit and the Go version", versionCommand},
	}
}

func main() {
	os.Exit(run(env{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

func run(e env, args []string) int {
	if len(args) == 0 {
		usage(e.stderr)
		return exitBadUsage
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(e, args[1:])
		}
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(e.stdout)
		return exitOK
	}
	fmt.Fprintf(e.stderr, "graphrelay: unknown command %q; see graphrelay help\n", args[0])
	return exitBadUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "graphrelay accepts mail by SMTP and delivers it through Microsoft Graph.\n\nUsage:")
	for _, c := range commands() {
		fmt.Fprintf(w, "  graphrelay %-53s %s\n", c.name+" "+c.args, c.summary)
	}
}

// flags returns the flag set of a command. parse prints its errors, on one line.
func flags(e env, name string) *flag.FlagSet {
	fs := flag.NewFlagSet("graphrelay "+name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parse reads flags and operands in any order. If ok is false the command is over, with
// the status: help was asked for, or the command line is wrong.
func parse(e env, fs *flag.FlagSet, args []string) (operands []string, status int, ok bool) {
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(e.stdout, "Usage of %s:\n", fs.Name())
			fs.SetOutput(e.stdout)
			fs.PrintDefaults()
			return nil, exitOK, false
		}
		if err != nil {
			return nil, badUsage(e, fs, err.Error()), false
		}
		if fs.NArg() == 0 {
			return operands, exitOK, true
		}
		operands = append(operands, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

func badUsage(e env, fs *flag.FlagSet, what string) int {
	fmt.Fprintf(e.stderr, "%s: %s; see graphrelay help\n", fs.Name(), what)
	return exitBadUsage
}

// noOperands is parse for a command that has no operands.
func noOperands(e env, fs *flag.FlagSet, args []string) (int, bool) {
	operands, status, ok := parse(e, fs, args)
	if ok && len(operands) > 0 {
		return badUsage(e, fs, fmt.Sprintf("unexpected %q", operands[0])), false
	}
	return status, ok
}

// fault prints an error and returns the status.
func fault(e env, status int, err error) int {
	fmt.Fprintf(e.stderr, "graphrelay: %v\n", err)
	return status
}
