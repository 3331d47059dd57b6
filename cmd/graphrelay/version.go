package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"graphrelay/internal/buildinfo"
	"graphrelay/internal/licences"
)

func versionCommand(e env) *cobra.Command {
	var ofModules bool
	c := &cobra.Command{
		Use:   "version",
		Short: "print the version, the commit and the Go version",
		Long: "Prints the version, the commit and the Go version, one on each line. --version does the same.\n" +
			"With --licences, prints the licences of graphrelay and of all modules in it.",
		Example: "  graphrelay version\n  graphrelay version --licences",
		Args:    noOperands,
		RunE: func(*cobra.Command, []string) error {
			text := versionText()
			if ofModules {
				text = licences.Text()
			}
			_, err := fmt.Fprint(e.stdout, text)
			return err
		},
	}
	c.Flags().BoolVar(&ofModules, "licences", false, "print the licences of graphrelay and of all modules in it")
	return c
}

func versionText() string {
	b := buildinfo.Read()
	return fmt.Sprintf("graphrelay %s\ncommit %s\n%s\n", b.Version, b.Revision, b.GoVersion)
}
