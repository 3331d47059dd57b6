package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"graphrelay/relay/config"
)

func configCommand(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:     "config",
		Short:   "print the JSON schema of the configuration, for editors",
		Long:    "Prints what helps to write the configuration.",
		Example: "  graphrelay config schema > relay.schema.json",
	}, configSchemaCommand(e))
}

func configSchemaCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON schema of the configuration",
		Long: `Prints the JSON schema of the configuration. Editors with the YAML language server
explain the keys with it and mark what is wrong, if the first line of the configuration names
it:

  # yaml-language-server: $schema=relay.schema.json

The schema knows single keys and values. The check command finds everything else, too.`,
		Example: "  graphrelay config schema > relay.schema.json",
		Args:    noOperands,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(e.stdout, config.Schema())
			return err
		},
	}
}
