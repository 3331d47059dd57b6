package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

// configVariable names the environment variable with the path of the configuration.
const configVariable = "GRAPHRELAY_CONFIG"

// configFlag adds the flag for the configuration. Its value is empty unless it was given.
func configFlag(c *cobra.Command) *string {
	fs := c.Flags()
	if c.HasSubCommands() {
		fs = c.PersistentFlags() // for all of them
	}
	path := new(configPath)
	fs.Var(path, "config", "configuration `file` (default: $"+configVariable+", else "+systemConfig()+")")
	_ = cobra.MarkFlagFilename(fs, "config", "yaml", "yml")
	return (*string)(path)
}

// configPath is the value of --config. An empty one, such as that of a shell variable that is not
// set, would silently mean the system's configuration.
type configPath string

func (p *configPath) Set(s string) error {
	if s == "" {
		return errors.New("name a file, or leave the flag out")
	}
	*p = configPath(s)
	return nil
}

func (p *configPath) String() string { return string(*p) }
func (p *configPath) Type() string   { return "string" }

// systemConfig returns the path of the configuration where neither a flag nor the environment
// names one.
func systemConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "graphrelay", "relay.yaml")
	}
	return "/etc/graphrelay/relay.yaml"
}

// findConfig returns the path of the configuration that a command uses.
func findConfig(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if path := os.Getenv(configVariable); path != "" {
		return path, nil
	}
	path := systemConfig()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", badConfiguration(fmt.Errorf("no configuration in %s; give one with --config FILE or in $%s (config.example.yaml explains every key)", path, configVariable))
	}
	return path, nil
}

// loadConfig loads the configuration and returns the path at which it was found. It prints
// each fault of the file on a line of its own.
func loadConfig(e env, flag string) (cfg *config.Config, path string, err error) {
	return readConfig(e, flag, config.Load)
}

// readConfig is loadConfig with a function that reads the file.
func readConfig(e env, flag string, read func(path string) (*config.Config, error)) (*config.Config, string, error) {
	path, err := findConfig(flag)
	if err != nil {
		return nil, "", err
	}
	cfg, err := read(path)
	if err != nil {
		for _, line := range faultLines(path, err) {
			fmt.Fprintln(e.stderr, line)
		}
		return nil, path, exitError{status: exitBadUsage}
	}
	return cfg, path, nil
}

// faultLines returns the faults of a configuration, one a line. The path is the user's word, and
// the file may have anything in it: a terminal is shown nothing that it would obey.
func faultLines(path string, err error) []string {
	all := strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), path, text.Printable(path))
	lines := strings.Split(all, "\n")
	for n, line := range lines {
		lines[n] = text.Printable(line)
	}
	return lines
}
