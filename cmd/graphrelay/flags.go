package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"graphrelay/relay/config"
)

// noOperands is the Args of a command that has none.
func noOperands(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected %q", args[0])
	}
	return nil
}

// durationFlag adds a flag for a duration, which is written as in the configuration.
func durationFlag(fs *pflag.FlagSet, d *time.Duration, name string, usage string) {
	fs.Var((*duration)(d), name, usage)
}

type duration time.Duration

// Set also reads a negative duration, which the commands refuse.
func (d *duration) Set(s string) error {
	unsigned, negative := strings.CutPrefix(s, "-")
	var parsed config.Duration
	if err := parsed.UnmarshalText([]byte(unsigned)); err != nil {
		return errors.New("write a number and a unit, such as 30s, 5m, 48h or 2d")
	}
	if negative {
		parsed = -parsed
	}
	*d = duration(parsed)
	return nil
}

func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return config.Duration(*d).String()
}

func (d *duration) Type() string { return "duration" }
