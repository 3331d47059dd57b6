package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"graphrelay/internal/winservice"
	"graphrelay/relay/config"
	"graphrelay/relay/probe"
	"graphrelay/relay/setup"
)

// rightsWait is how long a set-up on a terminal waits for the rights that Exchange gives, by
// default.
const rightsWait = 3 * time.Hour

func setupCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "setup",
		Short: "register the application in Entra and write the configuration",
		Long: `Takes you from nothing to a relay that sends. It asks what will send and from which mailboxes,
has an administrator sign in, registers an application in Entra with a certificate that is made
here, and writes the configuration. Each question has a flag. Without a terminal, or with --yes,
nothing is asked: what has no flag has its default.

The administrator signs in with a code, in a browser on any machine, through Microsoft Graph
Command Line Tools. The token is used for the set-up alone and stored nowhere. With --print, the
command prints a script for another machine that does this part instead.

A set-up that was interrupted goes on where it stopped: run the same command again. No file that
exists is overwritten. --undo removes from Entra what the set-up has made there.`,
		Example: `  graphrelay setup
  graphrelay setup --clients devices --networks 192.168.1.0/24 --mailboxes scanner@contoso.com
  graphrelay setup --yes --mailboxes crm@contoso.com --scope tenant --sign-in browser
  graphrelay setup --print powershell --mailboxes scanner@contoso.com > register.ps1
  graphrelay setup --undo`,
		Args: noOperands,
	}
	o := setup.Options{Program: os.Args[0]}
	fs := c.Flags()
	fs.StringVar(&o.Config, "config", "", "configuration `file` to write (default: $"+configVariable+"; else, as root or as an administrator of Windows, "+systemConfig()+", or relay.yaml here)")
	yes := fs.Bool("yes", false, "ask nothing")
	undo := fs.Bool("undo", false, "remove from Entra what the set-up has made there")
	fs.StringVar(&o.Script, "print", "", "print a script for the part in Entra: `powershell` or azcli")
	choiceFlags(fs, &o.Choices)
	fs.StringVar(&o.SignIn, "sign-in", "", "how the administrator signs in: with a code (`device`), or with a browser that reaches this machine (browser)")
	fs.StringVar(&o.AdminTokenEnv, "admin-token-env", "", "`name` of an environment variable with an administrator's token for Graph, instead of a sign-in")
	durationFlag(fs, &o.RightsWait, "wait", "how long to wait until the rights that Exchange gives have arrived (default: 3h on a terminal, else not)")
	fs.StringVar(&o.TestMail, "test-mail", "", "`address` to which a test message is sent in the end")
	fs.StringVar(&o.ServiceUser, "service-user", setup.DefaultServiceUser(), "`user` who is to own the files (default: as root, graphrelay, if there is such a user)")
	c.RunE = func(*cobra.Command, []string) error {
		if err := checkSetup(&o, *undo); err != nil {
			return err
		}
		if ofAdministrator() && o.Config == systemConfig() && !*undo {
			if err := winservice.Claim(filepath.Dir(o.Config)); err != nil {
				return err
			}
			o.Service = true
		}
		o.Unit = o.Config == systemConfig() && unitInstalled()
		o.Out = e.stdout
		if o.Script != "" {
			o.Out, o.ScriptTo = e.stderr, e.stdout
		}
		if in, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(in.Fd())) && !*yes {
			o.In = in
			if o.RightsWait == 0 {
				o.RightsWait = rightsWait
			}
		}
		o.Probe = func(_ context.Context, file, mailbox string) bool {
			status := run(env{nil, o.Out, e.stderr}, []string{"probe", "--config", file, "--mailbox", mailbox})
			return status == exitOK || status == probe.ExitDiffers
		}
		o.Check = func(_ context.Context, file, mailbox string) bool { return checkSetUp(e, o.Out, file, mailbox) }
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		var err error
		if *undo {
			err = setup.Undo(ctx, o, *yes)
		} else {
			err = setup.Run(ctx, o)
		}
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; run the same command again to go on where it stopped")
		}
		if errors.Is(err, setup.ErrUnfinished) {
			return err
		}
		return proves(err)
	}
	return c
}

// choiceFlags adds the flags that answer questions, and those for what is not asked.
func choiceFlags(fs *pflag.FlagSet, c *setup.Choices) {
	fs.Var(choiceFlag[setup.Clients]{&c.Clients}, "clients", "what will send: `devices` on a network without a password, programs with a password, or both (default both)")
	fs.StringSliceVar(&c.Networks, "networks", nil, "`networks` of the devices (default: this machine and the private networks that it is in)")
	fs.StringSliceVar(&c.Mailboxes, "mailboxes", nil, "`addresses` of the mailboxes that send; the first also sends bounces (default: the administrator's)")
	fs.Var(choiceFlag[setup.Scope]{&c.Scope}, "scope", "which mailboxes the application may use: `limited` to those, or tenant: every one (default limited)")
	fs.StringVar(&c.ReadUsers, "read-users", "", "`yes` or no: grant User.Read.All, with which aliases find their mailbox (default: yes with --scope tenant)")
	fs.StringSliceVar(&c.Domains, "domains", nil, "`domains` of the senders (default: those of the mailboxes, or of the tenant)")
	fs.StringVar(&c.Name, "name", "", "`name` of the application in Entra (default graphrelay)")
	fs.StringVar(&c.Attribute, "attribute", "", "`attribute` of Exchange that marks the mailboxes of a limited application (default CustomAttribute1)")
	fs.Var(choiceFlag[config.Cloud]{&c.Cloud}, "cloud", "the `cloud` of the tenant: global, usgov, usgovdod or china (default global)")
	fs.StringVar(&c.LoginURL, "login-url", "", "`address` of the sign-in, instead of --cloud, for gateways and simulators")
	fs.StringVar(&c.GraphURL, "graph-url", "", "`address` of Graph, likewise")
	fs.StringVar(&c.Tenant, "tenant", "", "`tenant` to sign in to, its ID or a domain (default: the administrator's)")
	fs.StringVar(&c.AdminApp, "admin-app", "", "client `ID` of the public client through which the administrator signs in (default: Microsoft Graph Command Line Tools)")
	fs.StringVar(&c.DevicesAddress, "devices-address", "", "`address` on which devices are served (default 0.0.0.0:25, or 0.0.0.0:2525 without the right to port 25)")
	fs.StringVar(&c.ProgramsAddress, "programs-address", "", "`address` on which programs are served (default: port 587, or 2587, of this machine; of the network with --tls-cert)")
	fs.StringVar(&c.CertFile, "tls-cert", "", "`file` with a certificate for programs on other machines")
	fs.StringVar(&c.KeyFile, "tls-key", "", "`file` with the key of --tls-cert")
	fs.StringVar(&c.User, "user", "", "`name` with which programs sign in (default app)")
	fs.StringVar(&c.DataDir, "data-dir", "", "`folder` of the queue (default: data, beside the configuration; "+"/var/lib/graphrelay for /etc/graphrelay)")
	fs.StringVar(&c.ClientID, "client-id", "", "client `ID` of the application that the script of --print has registered")
	fs.StringVar(&c.AppObjectID, "app-object-id", "", "object `ID` of that application")
	fs.StringVar(&c.PrincipalID, "principal-id", "", "object `ID` of its service principal")
}

// checkSetup checks the flags that are no choices, and finds the configuration.
func checkSetup(o *setup.Options, undo bool) error {
	switch {
	case o.Script != "" && !slices.Contains([]string{setup.ScriptPowerShell, setup.ScriptAzureCLI}, o.Script):
		return usagef("--print %s: write %s or %s", o.Script, setup.ScriptPowerShell, setup.ScriptAzureCLI)
	case o.SignIn != "" && !slices.Contains([]string{setup.WayDevice, setup.WayBrowser}, o.SignIn):
		return usagef("--sign-in %s: write %s or %s", o.SignIn, setup.WayDevice, setup.WayBrowser)
	case o.Script != "" && undo:
		return usagef("give --print or --undo, not both")
	case o.RightsWait < 0:
		return usagef("--wait is negative")
	case o.Config != "":
	case os.Getenv(configVariable) != "":
		o.Config = os.Getenv(configVariable)
	case os.Geteuid() == 0 && isFolder(filepath.Dir(systemConfig())), ofAdministrator():
		o.Config = systemConfig()
	default:
		o.Config = "relay.yaml"
	}
	return nil
}

// unitInstalled reports whether systemd has a unit for the relay, from a package or by hand.
func unitInstalled() bool {
	for _, folder := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		if _, err := os.Stat(filepath.Join(folder, "graphrelay.service")); err == nil {
			return true
		}
	}
	return false
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkSetUp does what check --online does for the configuration that was written.
func checkSetUp(e env, out io.Writer, file, mailbox string) bool {
	e.stdout = out
	cfg, _, err := loadConfig(e, file)
	if err != nil {
		return false
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(e.stderr, "warning: "+w)
	}
	return checkOnline(e, cfg, mailbox, false)
}

// choiceFlag is a flag that has one of some values.
type choiceFlag[T interface {
	~string
	Values() []string
}] struct{ to *T }

func (f choiceFlag[T]) Set(s string) error {
	if values := (*f.to).Values(); !slices.Contains(values, s) {
		return fmt.Errorf("choose from %s", strings.Join(values, ", "))
	}
	*f.to = T(s)
	return nil
}
func (f choiceFlag[T]) Type() string { return "string" }
func (f choiceFlag[T]) String() string {
	if f.to == nil {
		return ""
	}
	return string(*f.to)
}
