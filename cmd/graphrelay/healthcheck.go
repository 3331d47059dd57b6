package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// healthcheckPatience is how long a relay may take to answer healthcheck.
const healthcheckPatience = 8 * time.Second

func healthcheckCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "say whether the relay runs, for container engines",
		Long: `Asks the relay that runs with the data_dir of the configuration for its version, and ends with
status 1 if it does not answer. It is the health check of the container image, which has no shell.
It does not tell whether the relay can take mail, which /readyz does: a restart would not help.`,
		Example: "  graphrelay healthcheck",
		Args:    noOperands,
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		client, err := runningRelay(e, *file)
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), healthcheckPatience)
		defer cancel()
		about, err := client.About(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "graphrelay %s runs\n", about.Version)
		return err
	}
	return c
}
