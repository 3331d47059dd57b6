package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"graphrelay/internal/winservice"
	"graphrelay/relay/config"
)

// serviceCommand manages the service of Windows. It is there on all systems, so that help and the
// documents are the same.
func serviceCommand(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "service",
		Short: "install and control the service of Windows",
		Long: `Installs, starts and stops the relay as a service of Windows. Run it in a terminal that was opened
as administrator. On Linux, use the unit of systemd instead (deploy/graphrelay.service).`,
		Example: `  graphrelay service install
  graphrelay service start
  graphrelay service status`,
	},
		serviceInstallCommand(e),
		serviceAction(e, "uninstall", "stop the service and remove it",
			"Stops the service and removes it, with its source in the event log. The configuration, the queue and\nthe log files stay.", "removed; the configuration, the queue and the log files stay", winservice.Uninstall),
		serviceStartCommand(e),
		serviceAction(e, "stop", "stop the service",
			"Stops the service as Ctrl-C does: it finishes what is in delivery, and keeps the rest in the queue.", "stopped", winservice.Stop),
		serviceAction(e, "restart", "stop the service and start it", "Stops the service and starts it again, as a change of data_dir needs.", "running",
			func() error {
				if err := winservice.Stop(); err != nil {
					return err
				}
				return winservice.Start()
			}),
		serviceStatusCommand(e),
	)
}

// serviceAction returns a command that does one thing, and prints what is the case then.
func serviceAction(e env, name, short, long, done string, do func() error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long, Example: "  graphrelay service " + name, Args: noOperands,
		RunE: func(*cobra.Command, []string) error {
			if err := do(); err != nil {
				return err
			}
			fmt.Fprintln(e.stdout, done)
			return nil
		}}
}

func serviceInstallCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "install",
		Short: "install the service, or bring it up to date",
		Long: `Installs this program as the service graphrelay, which Windows starts with the machine, and again
after a fault. It runs as the virtual account NT SERVICE\graphrelay, which gets rights on the folder of
the configuration and on data_dir, and on nothing else. Both folders are closed to other users.
Warnings and errors go to the event log Application, from the source graphrelay. Run it again after
the program was moved.`,
		Example: `  graphrelay service install
  graphrelay service install --config D:\mail\relay.yaml`,
		Args: noOperands,
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		path := systemConfig()
		if *file != "" {
			if path, err = filepath.Abs(*file); err != nil {
				return err
			}
		}
		warnings, err := winservice.Install(program, "serve", "--service", "--config", path) // whatever the environment of services is
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(e.stderr, "warning: this Windows does not take a setting of the service: "+w)
		}
		if err := claimFolders(path); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, "installed")
		if !exists(path) {
			fmt.Fprintf(e.stdout, "There is no configuration in %s yet. Make it, and start the service:\n\n    graphrelay setup\n    graphrelay service start\n", path)
		}
		return nil
	}
	return c
}

func serviceStartCommand(e env) *cobra.Command {
	c := serviceAction(e, "start", "start the service", "Starts the service, and waits until it takes mail.", "running", winservice.Start)
	start := c.RunE
	careful := c.Flags().Bool("if-configured", false, "do nothing if there is no "+systemConfig()+" yet, as after a first installation")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *careful && !exists(systemConfig()) {
			return nil
		}
		return start(c, args)
	}
	return c
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// claimFolders gives the service the folder of the configuration, and data_dir if that is elsewhere.
func claimFolders(file string) error {
	folders := []string{filepath.Dir(file)}
	if data, err := config.DataDir(file); err == nil && data != "" {
		folders = append(folders, data)
	}
	for _, folder := range folders {
		if err := winservice.Claim(folder); err != nil {
			return err
		}
	}
	return nil
}

func serviceStatusCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "say whether the service runs",
		Long:    "Prints the state of the service, its process, its account and how Windows starts it. The exit status\nis 0 if the service is running, and 1 if not.",
		Example: "  graphrelay service status",
		Args:    noOperands,
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(*cobra.Command, []string) error {
		s, err := winservice.Status()
		if err != nil {
			return err
		}
		if *asJSON {
			if err := json.NewEncoder(e.stdout).Encode(s); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(e.stdout, "state    %s\n", s.State)
			if s.PID != 0 {
				fmt.Fprintf(e.stdout, "process  %d\n", s.PID)
			}
			if s.Status != 0 {
				fmt.Fprintf(e.stdout, "ended    with status %d; the event log Application says why\n", s.Status)
			}
			fmt.Fprintf(e.stdout, "account  %s\ncommand  %s\n", s.Account, s.Command)
		}
		if s.State != "running" {
			return exitError{status: exitFault}
		}
		return nil
	}
	return c
}
