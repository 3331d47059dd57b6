package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// arrange returns the command line in the form that cobra reads: the names of the commands
// first, and flags with two dashes. Users may write flags anywhere, and long ones with one
// dash. What follows a command that reads its flags itself stays as it is. It also returns the
// command, and an error if there is none of that name.
func arrange(root *cobra.Command, args []string) (arranged []string, c *cobra.Command, err error) {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args, root, nil
	}
	c = root
	var path []string
	rest := []string{} // cobra reads os.Args if it gets nil
	found := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(append(path, rest...), args[i:]...), c, nil
		case len(arg) > 1 && arg[0] == '-':
			name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if len(name) > 1 {
				arg = "--" + strings.TrimLeft(arg, "-")
			}
			rest = append(rest, arg)
			if f := lookUp(c, name); f != nil && f.NoOptDefVal == "" && !hasValue && i+1 < len(args) {
				i++
				rest = append(rest, args[i])
			}
		case found || !c.HasSubCommands():
			rest = append(rest, arg)
		case child(c, arg) != nil:
			c = child(c, arg)
			path = append(path, arg)
			found = c.Name() == "help"
			if c.DisableFlagParsing {
				return append(path, args[i+1:]...), c, nil
			}
		default:
			return nil, c, unknownCommand(c, arg)
		}
	}
	return append(path, rest...), c, nil
}

// lookUp returns the flag of a command, of those above it, or of those below.
func lookUp(c *cobra.Command, name string) *pflag.Flag {
	if f := c.Flag(name); f != nil {
		return f
	}
	for _, sub := range c.Commands() {
		if f := lookUp(sub, name); f != nil {
			return f
		}
	}
	return nil
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// subcommands returns the names of the command's subcommands.
func subcommands(c *cobra.Command) (names []string) {
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return names
}

// choices lists the subcommands of a group.
func choices(c *cobra.Command) string {
	names := subcommands(c)
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// unknownCommand returns the error for a name that is none of the command's subcommands.
func unknownCommand(c *cobra.Command, name string) error {
	alike := suggestion(name, "", subcommands(c))
	switch {
	case !c.HasSubCommands():
		return fmt.Errorf("unexpected %q: %s has no actions", name, c.CommandPath())
	case !c.HasParent():
		return fmt.Errorf("unknown command %q%s", name, alike)
	}
	return fmt.Errorf("unknown action %q%s; choose from %s", name, alike, choices(c))
}

// flagFault returns the text of an error that cobra or pflag found. For an unknown flag it
// names those that are spelled alike, and for a value what it has to be.
func flagFault(c *cobra.Command, err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		want := invalid.Unwrap().Error()
		switch invalid.GetFlag().Value.Type() { // pflag would name a function of Go
		case "bool":
			want = "write true or false"
		case "int":
			want = "write a whole number"
		}
		return fmt.Sprintf("--%s has the value %q; %s", invalid.GetFlag().Name, invalid.GetValue(), want)
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err.Error()
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	name := unknown.GetSpecifiedName()
	return err.Error() + suggestion(name, "--", names)
}

// suggestion returns a text that asks for those of the names that are spelled like name, or "".
func suggestion(name, prefix string, names []string) string {
	known := cobra.Command{SuggestionsMinimumDistance: 2}
	for _, n := range names {
		known.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	alike := known.SuggestionsFor(name)
	if len(alike) == 0 {
		return ""
	}
	return " (did you mean " + prefix + strings.Join(alike, " or "+prefix) + "?)"
}
