package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/control"
)

func reloadCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "have the running relay read its configuration again",
		Long: `Has the relay that runs with the data_dir of the configuration read its file again, as SIGHUP does,
and waits until the messages under way are done. If the file has a fault, the relay goes on with
the configuration that it has, and the fault is printed. check --diff shows beforehand what would
change. Run it as the user of the relay, or as root.`,
		Example: `  graphrelay reload
  graphrelay reload --config relay.yaml`,
		Args: noOperands,
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		client, err := controlClient(e, *file)
		if err != nil {
			return err
		}
		if err := client.ReloadFile(); err != nil {
			return refused(e, err)
		}
		fmt.Fprintln(e.stdout, "reloaded")
		return nil
	}
	return c
}

// refused prints why the running relay does not take a configuration.
func refused(e env, err error) error {
	var refusal control.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(e.stderr, text.Printable(strings.TrimRight(line, "\n")))
	}
	return exitError{status: exitBadUsage}
}

// controlClient returns a client of the relay that runs with the data_dir of the configuration.
// That need not be good: the relay may run with an earlier one.
func controlClient(e env, flag string) (control.Client, error) {
	dir := ""
	_, _, err := readConfig(e, flag, func(path string) (*config.Config, error) {
		var err error
		dir, err = config.DataDir(path)
		return nil, err
	})
	return control.Client{DataDir: dir}, err
}

// controlled is a relay as commands control it.
type controlled struct {
	relay   *relay.Relay
	path    string
	reloads chan chan error
	ended   chan struct{} // closed when watch has returned
}

// serve listens for commands. Without that the relay works all the same.
func (c *controlled) serve(dataDir string) (end func()) {
	s, err := control.Listen(dataDir, c, c.relay.Log())
	if err != nil {
		c.relay.Log().Warn("graphrelay reload, console and check --diff will not work", "error", err)
		return func() {}
	}
	return func() { _ = s.Close() }
}

// ReloadFile implements control.Relay.
func (c *controlled) ReloadFile() error {
	result := make(chan error, 1)
	select {
	case c.reloads <- result:
	case <-c.ended:
		return errors.New("the relay is stopping")
	}
	select {
	case err := <-result:
		return err
	case <-c.ended:
		return errors.New("the relay stopped during the reload")
	}
}

// ConsoleLink implements control.Relay.
func (c *controlled) ConsoleLink(by string) (string, error) { return c.relay.ConsoleLink(by, 0) }

// DiffFile implements control.Relay.
func (c *controlled) DiffFile() (control.Difference, error) {
	changes, err := c.relay.DiffFile(c.path)
	for i := range changes {
		ch := &changes[i]
		ch.Key, ch.From, ch.To = text.Printable(ch.Key), text.Printable(ch.From), text.Printable(ch.To)
	}
	return control.Difference{File: c.path, Changes: changes}, err
}
