package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"graphrelay/internal/buildinfo"
)

func versionCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version, the commit and the Go version",
		Long:    "Prints the version, the commit and the Go version, one on each line. --version does the same.",
		Example: "  graphrelay version",
		Args:    noOperands,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(e.stdout, versionText())
			return err
		},
	}
}

func versionText() string {
	b := buildinfo.Read()
	return fmt.Sprintf("graphrelay %s\ncommit %s\n%s\n", b.Version, b.Revision, b.GoVersion)
}
