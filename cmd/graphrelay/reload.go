package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/api"
	"graphrelay/relay/config"
	"graphrelay/relay/control"
	"graphrelay/relay/operations"
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
		client, err := runningRelay(e, *file)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.ReloadFile(context.Background()); err != nil {
			return refused(e, err)
		}
		fmt.Fprintln(e.stdout, "reloaded")
		return nil
	}
	return c
}

// refused prints why the running relay does not take a configuration, or what that does not permit.
func refused(e env, err error) error {
	var refusal operations.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(e.stderr, text.Printable(strings.TrimRight(line, "\n")))
	}
	return exitError{status: exitBadUsage}
}

// runningRelay returns a client of the relay that runs with the data_dir of the configuration.
// That need not be good: the relay may run with an earlier one.
func runningRelay(e env, flag string) (api.Client, error) {
	dir := ""
	_, _, err := readConfig(e, flag, func(path string) (*config.Config, error) {
		var err error
		dir, err = config.DataDir(path)
		return nil, err
	})
	return socketClient(dir), err
}

// dataDir returns the data_dir of the configuration, whatever faults the rest of that has.
func dataDir(flag string) (string, error) {
	path, err := findConfig(flag)
	if err != nil {
		return "", err
	}
	return config.DataDir(path)
}

// socketClient returns a client of the relay that runs with a data_dir.
func socketClient(dataDir string) api.Client {
	return api.SocketClient(func(ctx context.Context) (net.Conn, error) { return control.Dial(ctx, dataDir) }, operator())
}

// listenForCommands serves the API on the socket in the data_dir. Without that the relay works all
// the same.
func listenForCommands(r *relay.Relay, dataDir string) (end func()) {
	s, err := control.Listen(dataDir, api.OnSocket(r.API()), r.Log())
	if err != nil {
		r.Log().Warn("commands cannot ask this relay: reload, console, alerts, devices, connections and check --diff will not work", "error", err)
		return func() {}
	}
	return func() { _ = s.Close() }
}

// reloads has watch reload the configuration.
type reloads struct {
	asked chan chan error
	ended chan struct{} // closed when watch has returned
}

// reload waits for the end of a reload.
func (a reloads) reload() error {
	result := make(chan error, 1)
	select {
	case a.asked <- result:
	case <-a.ended:
		return errors.New("the relay is stopping")
	}
	select {
	case err := <-result:
		return err
	case <-a.ended:
		return errors.New("the relay stopped during the reload")
	}
}
