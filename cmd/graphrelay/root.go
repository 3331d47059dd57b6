package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
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

// commands returns the commands in the order in which help lists them. To add one, write a
// function like these in a file of its own, with Short, Long and Example, and list it here.
//
// Its RunE returns an error: usagef's and badConfiguration's end the program with
// exitBadUsage, any other with exitFault. It is printed as one line on standard error, so it
// says what to do. Flags for durations are made with durationFlag, the one for the
// configuration with configFlag, and a command that only has subcommands with group.
func commands(e env) []*cobra.Command {
	return []*cobra.Command{
		demoCommand(e),
		setupCommand(e),
		importCommand(e),
		serveCommand(e),
		serviceCommand(e),
		consoleCommand(e),
		reloadCommand(e),
		healthcheckCommand(e),
		alertsCommand(e),
		checkCommand(e),
		sendTestCommand(e),
		probeCommand(e),
		configCommand(e),
		connectionsCommand(e),
		connectCommand(e),
		devicesCommand(e),
		queueCommand(e),
		nodesCommand(e),
		sendmailCommand(e),
		simulateCommand(e),
		hashPasswordCommand(e),
		versionCommand(e),
	}
}

// keepOrder has help list commands in their order here. It is cobra's setting for the whole
// program, and tests make several trees at a time.
var keepOrder = sync.OnceFunc(func() { cobra.EnableCommandSorting = false })

// newRoot returns the whole tree of commands, with help and completion.
func newRoot(e env) *cobra.Command {
	keepOrder()
	root := &cobra.Command{
		Use:   "graphrelay",
		Short: "An SMTP server that delivers through Microsoft Graph",
		Long: `graphrelay accepts mail by SMTP and delivers it through Microsoft Graph.

It ends with status 0 if all went well, 2 if the command line or the configuration is wrong, or
if check, probe, send-test or setup finds a fault, and 1 after any other fault.`,
		Example: `  graphrelay demo
  graphrelay check --online
  graphrelay queue list`,
		Version:       "set", // adds --version
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs, // arrange has found the command
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetVersionTemplate(versionText())
	root.AddCommand(commands(e)...)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	child(root, "completion").Short = "print the completion script of a shell"
	root.RunE = func(c *cobra.Command, _ []string) error {
		c.SetOut(e.stderr)
		_ = c.Help()
		return exitError{status: exitBadUsage}
	}
	markErrors(root)
	return root
}

// run executes a command line and returns the exit status.
func run(e env, args []string) int {
	out := &output{Writer: e.stdout}
	e.stdout = out
	root := newRoot(e)
	args, c, err := arrange(root, args)
	if err == nil {
		root.SetArgs(args)
		c, err = root.ExecuteC()
	}
	if lost := out.fault(); lost != nil && (err == nil || errors.Is(err, lost)) {
		err = runError{fmt.Errorf("standard output: %w", lost)}
	}
	return report(e, c, err)
}

// output is standard output. It keeps the first error of a write, which commands need not look at.
type output struct {
	io.Writer
	mu  sync.Mutex
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.Writer.Write(p)
	o.err = cmp.Or(o.err, err)
	return n, err
}

// fault returns the first error of a write.
func (o *output) fault() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// exitError ends the program with a status. Without an err, nothing more is printed.
type exitError struct {
	status int
	err    error
}

func (x exitError) Error() string { return fmt.Sprint(x.err) }
func (x exitError) Unwrap() error { return x.err }

// usageError is a fault of the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// badConfiguration returns an error of the configuration.
func badConfiguration(err error) error { return exitError{exitBadUsage, err} }

// proves returns the error of a command whose purpose is to find faults, nil if err is nil.
func proves(err error) error {
	if err == nil {
		return nil
	}
	return exitError{exitBadUsage, err}
}

// runError is an error that a command returned. Any other error comes from the parsing of the
// command line.
type runError struct{ error }

func (x runError) Unwrap() error { return x.error }

// markErrors makes the command and its subcommands return their errors as runErrors.
func markErrors(c *cobra.Command) {
	if do := c.RunE; do != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := do(c, args); err != nil {
				return runError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markErrors(sub)
	}
}

// report prints the error of a command and returns the exit status.
func report(e env, c *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	var ran runError
	var usage usageError
	if !errors.As(err, &ran) || errors.As(err, &usage) {
		fmt.Fprintf(e.stderr, "%s: %s; see %s\n", c.CommandPath(), text.OneLine(flagFault(c, err)), helpOn(c))
		return exitBadUsage
	}
	return statusOf(e, ran.error)
}

// statusOf prints the error that a command returned, if there is something to print, and returns the
// exit status.
func statusOf(e env, err error) int {
	if err == nil {
		return exitOK
	}
	x := exitError{exitFault, err}
	errors.As(err, &x)
	if x.err != nil {
		fault(e, x.err)
	}
	return x.status
}

// fault prints an error on one line, of which scripts read one for each fault.
func fault(e env, err error) { fmt.Fprintf(e.stderr, "graphrelay: %s\n", text.OneLine(err.Error())) }

// helpOn returns the command line that explains the command.
func helpOn(c *cobra.Command) string {
	name, path, _ := strings.Cut(c.CommandPath(), " ")
	if path == "help" {
		path = ""
	}
	return strings.TrimSpace(name + " help " + path)
}
