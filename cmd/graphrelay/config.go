package main

import (
	"fmt"
	"graphrelay/relay/config"
	"strings"
)

// loadConfig loads the configuration. It prints each fault on a line of its own, and
// returns nil and the exit status.
func loadConfig(e env, path string) (*config.Config, int) {
	if path == "" {
		fmt.Fprintln(e.stderr, "graphrelay: no configuration; give one with --config FILE (config.example.yaml explains every key)")
		return nil, exitBadUsage
	}
	cfg, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(e.stderr, strings.TrimRight(err.Error(), "\n"))
		return nil, exitBadUsage
	}
	return cfg, exitOK
}
