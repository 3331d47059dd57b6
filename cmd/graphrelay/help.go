package main

import "github.com/spf13/cobra"

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "explain a command, its flags, and show examples",
		Long:  "Explains a command and its flags, with examples. --help does the same.",
		Example: `  graphrelay help serve
  graphrelay help queue list`,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			topic, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range topic.Commands() {
				names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			topic := c.Root()
			for _, name := range args {
				sub := child(topic, name)
				if sub == nil {
					return usageError{unknownCommand(topic, name)}
				}
				topic = sub
			}
			topic.InitDefaultHelpFlag()
			topic.InitDefaultVersionFlag()
			return topic.Help()
		},
	}
}

// group gives a command its subcommands. The command itself only says which there are.
func group(c *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	c.AddCommand(subcommands...)
	c.Args = cobra.NoArgs // arrange has found the subcommand
	c.RunE = func(c *cobra.Command, _ []string) error {
		return usagef("say what to do: %s", choices(c))
	}
	return c
}
