package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var secretName = regexp.MustCompile(`password|secret|token|key|credential|passphrase`)

// secretFlags returns the flags whose value seems to be a secret, which every user of the
// machine would see in the process list.
func secretFlags(c *cobra.Command) (list []string) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		elsewhere := strings.Contains(f.Usage, "`file`") || strings.Contains(f.Usage, "`name` of an environment variable")
		if secretName.MatchString(f.Name) && f.Value.Type() != "bool" && !elsewhere {
			list = append(list, c.CommandPath()+" --"+f.Name)
		}
	})
	for _, sub := range c.Commands() {
		list = append(list, secretFlags(sub)...)
	}
	return list
}

// TestNoSecretFlags: a secret comes from a file, from the environment, from standard input or
// from a terminal, and never from the command line.
func TestNoSecretFlags(t *testing.T) {
	root := newRoot(env{})
	if list := secretFlags(root); len(list) > 0 {
		t.Errorf("flags with a secret: %s", strings.Join(list, ", "))
	}
	root.Commands()[0].Flags().String("smtp-password", "", "the password")
	if len(secretFlags(root)) != 1 {
		t.Error("a flag with a secret is not found")
	}
}
