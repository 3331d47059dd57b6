package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"graphrelay/internal/durable"
	"graphrelay/relay/imports"
)

func importCommand(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "import",
		Short: "translate the configuration of SMTP2Graph or Postfix",
		Long: `Translates the configuration of another program into one of graphrelay, and prints it, or writes it
with --out. What could not be carried over, and what to check, is on standard error and in comments.`,
		Example: `  graphrelay import smtp2graph config.yml --out relay.yaml
  graphrelay import postfix /etc/postfix --out relay.yaml`,
	},
		importFrom(e, &cobra.Command{
			Use:   "smtp2graph FILE",
			Short: "translate the config.yml of SMTP2Graph",
			Long: `Translates the config.yml of SMTP2Graph. The application in Entra stays the same. Passwords of users
become hashes. A client secret is never printed: with --out it is written into a file of its own
beside the configuration, for your user alone.`,
			Example: "  graphrelay import smtp2graph config.yml --out relay.yaml",
			Args:    oneFile,
		}, imports.SMTP2Graph),
		importFrom(e, &cobra.Command{
			Use:   "postfix [PATH]",
			Short: "translate main.cf and master.cf of Postfix",
			Long: `Translates the configuration of a Postfix that relays to Microsoft 365. PATH is its main.cf or the
folder with it; the default is /etc/postfix. Tables such as hash:/etc/postfix/generic are read from
the text that they are made from. Passwords for Microsoft 365 are not carried over: the relay signs
in as an application, which graphrelay setup makes.`,
			Example: `  graphrelay import postfix
  graphrelay import postfix /etc/postfix --out relay.yaml`,
			Args: oneFileAtMost,
		}, imports.Postfix),
	)
}

// oneFile is the Args of a command that needs the path of a file.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("name the file to translate")
	}
	return oneFileAtMost(c, args)
}

func oneFileAtMost(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("unexpected %q", args[1])
	}
	return nil
}

// importFrom completes a command that translates with a function.
func importFrom(e env, c *cobra.Command, translate func(string, imports.Options) (*imports.Result, error)) *cobra.Command {
	var o imports.Options
	out := c.Flags().String("out", "", "write the configuration into this file, which must not exist")
	c.Flags().StringSliceVar(&o.Domains, "domain", nil, "a domain of your mailboxes, in addition to those that are found")
	c.RunE = func(_ *cobra.Command, args []string) error {
		path := ""
		if len(args) > 0 {
			path = args[0]
		}
		r, err := translate(path, o)
		if err != nil {
			return badConfiguration(err)
		}
		return deliverImport(e, r, *out)
	}
	return c
}

// deliverImport writes or prints the configuration, and prints the notes.
func deliverImport(e env, r *imports.Result, out string) error {
	for _, note := range r.Notes {
		fmt.Fprintf(e.stderr, "note: %s\n", note)
	}
	if out == "" {
		for _, s := range r.Secrets {
			fmt.Fprintf(e.stderr, "note: %s is not printed; --out writes it\n", s.Name)
		}
		_, err := e.stdout.Write(r.YAML)
		return err
	}
	type file struct {
		path    string
		content []byte
	}
	var files []file
	for _, s := range r.Secrets {
		files = append(files, file{filepath.Join(filepath.Dir(out), s.Name), []byte(s.Text.Reveal())})
	}
	files = append(files, file{out, r.YAML})
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil {
			return fmt.Errorf("%s exists, and nothing is overwritten; move it away, or name another folder with --out", f.path)
		}
	}
	for _, f := range files {
		err := durable.Create(f.path, f.content)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; make the folder first", err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "wrote %s\n", f.path)
	}
	return durable.SyncDir(filepath.Dir(out))
}
