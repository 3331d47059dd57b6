// Package setup takes a tenant from nothing to a relay that sends: it registers an
// application in Entra, and writes the relay's configuration.
//
// It promises that
//   - the private key never leaves this machine, and the administrator's token is in memory
//     alone;
//   - each step with an effect outside is recorded before it is made, and a step whose answer
//     was lost is looked up. A set-up that was interrupted anywhere goes on where it stopped,
//     and there is one application in the end;
//   - a file that exists is never overwritten;
//   - it never waits for ever: each wait is bounded, and without a terminal each question has
//     its default or is an error;
//   - Undo removes from Entra what this set-up has made there, and nothing else.
package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/credential"
)

// Options are what the command line says.
type Options struct {
	Program string // how the user called the program; empty: graphrelay
	Config  string // the configuration file to write; its folder must exist
	Choices Choices
	SignIn  string // WayDevice, WayBrowser, or empty: with a code, and otherwise a browser
	// AdminTokenEnv names an environment variable with a token for Graph that was got
	// elsewhere; empty: the administrator signs in here.
	AdminTokenEnv string
	Script        string        // print a script of this kind in place of the part in Entra
	ScriptTo      io.Writer     // where the script goes
	RightsWait    time.Duration // how long to wait for the rights that Exchange gives
	TestMail      string        // the address to send a test message to; empty: ask
	ServiceUser   string        // who owns the files; empty: whoever runs this
	Service       bool          // the relay is to run as the service of Windows
	Unit          bool          // systemd has a unit that starts the relay with Config

	In  io.Reader // answers, typed; nil: nobody is at a terminal
	Out io.Writer

	// Check is check --online: it prints what it finds, and reports whether all is good.
	Check func(ctx context.Context, file, mailbox string) bool
	// Probe is graphrelay probe: it prints what it finds, and reports whether there was no fault.
	// A tenant that differs from what the relay takes for granted is none.
	Probe func(ctx context.Context, file, mailbox string) bool

	pace   pace
	before func(step string) error                                          // called before each step with an effect; tests interrupt there
	create func(dir, name string, now time.Time) (*credential.Store, error) // credential.Create, which takes long
	cost   int                                                              // of bcrypt; with the race detector, the default takes seconds
}

// pace is how long a set-up waits. Zero fields have the defaults.
type pace struct {
	poll   time.Duration // between two tries
	known  time.Duration // until Entra knows what was just made
	settle time.Duration // until the registration whose answer was lost can be found
	rights time.Duration // between two looks for rights that Exchange gives
}

func (p *pace) setDefaults() {
	set := func(d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	}
	set(&p.poll, 2*time.Second)
	set(&p.known, 3*time.Minute)
	set(&p.settle, time.Minute)
	// Exchange caches the answer for half an hour, and longer while it is asked for
	// (application-rbac).
	set(&p.rights, 31*time.Minute)
}

// run is one run of a set-up.
type run struct {
	console
	o     Options
	path  string // of the state
	state *state
}

// ErrNoSetup means that there is no set-up to undo.
var ErrNoSetup = errors.New("there is no set-up here to undo")

// begin loads the state of a set-up that was begun, or makes a new one.
func begin(o Options) (*run, error) {
	o.pace.setDefaults()
	if o.create == nil {
		o.create = credential.Create
	}
	o.cost = cmp.Or(o.cost, bcrypt.DefaultCost)
	file, err := filepath.Abs(o.Config)
	if err != nil {
		return nil, err
	}
	o.Config = file
	r := &run{console: console{in: o.In, out: o.Out}, o: o, path: statePath(file)}
	r.state, err = loadState(r.path)
	return r, err
}

// save records the state.
func (r *run) save() error {
	if err := r.state.save(r.path); err != nil {
		return fmt.Errorf("the state of the set-up cannot be written: %w", err)
	}
	return nil
}

// step records the state before a step with an effect outside. Tests can stop the run there.
func (r *run) step(name string) error {
	if err := r.save(); err != nil {
		return err
	}
	if r.o.before != nil {
		return r.o.before(name)
	}
	return nil
}

// Run sets the relay up, or goes on with a set-up that was begun. It returns ErrUnfinished if
// something outside has to be done first, of which Out has the details.
func Run(ctx context.Context, o Options) error {
	r, err := begin(o)
	if err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	store, err := r.keys()
	if err != nil {
		return err
	}
	if r.o.Script != "" {
		return r.script(store)
	}
	if !r.state.Registered {
		if err := r.register(ctx, store); err != nil {
			return err
		}
	}
	if err := r.give(r.keyFolder()); err != nil {
		return err
	}
	if err := r.writeFiles(); err != nil {
		return err
	}
	good, err := r.prove(ctx, store)
	if err != nil {
		return err
	}
	r.summary(good)
	if !good {
		return ErrUnfinished
	}
	return nil
}

// prepare makes the choices, or takes up those of a set-up that was begun.
func (r *run) prepare(ctx context.Context) error {
	if r.state == nil {
		if err := r.refuseFiles(); err != nil {
			return err
		}
		r.state = newState(r.o.Choices)
		if err := r.ask(ctx); err != nil {
			return err
		}
		if err := r.needAdminApp(); err != nil {
			return err
		}
		return r.step("begin")
	}
	var err error
	given := r.o.Choices
	given.normalize()
	if r.state.Registered { // these only name what is there by now
		given.ClientID, given.AppObjectID, given.PrincipalID, given.Tenant = "", "", "", ""
	}
	if given.AdminApp != "" { // another sign-in changes nothing that was made
		r.state.Choices.AdminApp = given.AdminApp
	}
	if r.state.Choices.Tenant == anyTenant {
		r.state.Choices.Tenant = ""
	}
	if r.state.Choices, err = r.state.Choices.merge(given); err != nil {
		return err
	}
	if r.state.Done.IsZero() {
		r.say("Going on with the set-up that was begun on %s (%s).", r.state.Begun.Local().Format(time.DateTime), r.path)
	} else {
		r.say("This set-up was completed on %s (%s). Checking it again.", r.state.Done.Local().Format(time.DateTime), r.path)
	}
	if err := r.ask(ctx); err != nil {
		return err
	}
	return r.needAdminApp()
}

// needAdminApp returns an error if the administrator has to sign in and there is no application
// through which that can be done.
func (r *run) needAdminApp() error {
	c := r.state.Choices
	if c.AdminApp != "" || c.ClientID != "" || r.state.Registered || r.o.AdminTokenEnv != "" || r.o.Script == ScriptAzureCLI {
		return nil
	}
	return errors.New("the cloud of 21Vianet has no application of Microsoft's through which an administrator could sign in; register a public client of your own there (docs/setup.md, National clouds) and name it with --admin-app, and the tenant with --tenant; or use --print azcli")
}

// endpoints returns the addresses of the sign-in and of Graph.
func (r *run) endpoints() (login, graphURL string) {
	c := r.state.Choices
	if c.LoginURL != "" {
		return strings.TrimRight(c.LoginURL, "/"), strings.TrimRight(c.GraphURL, "/")
	}
	e := c.Cloud.Endpoints()
	return e.Login, e.Graph
}

// mailbox returns the mailbox that is tried, and that sends bounces.
// serveCommand starts the relay as the user who owns its files. Root would leave files in the
// queue that this user cannot read.
func (r *run) serveCommand() string {
	if r.o.Service {
		return r.program() + " service install\n    " + r.program() + " service start"
	}
	if r.o.Unit {
		return "systemctl enable --now graphrelay"
	}
	command := r.program() + " serve --config " + r.o.Config
	if r.o.ServiceUser != "" && os.Geteuid() == 0 {
		command = "runuser -u " + r.o.ServiceUser + " -- " + command
	}
	return command
}

// program returns how the user calls graphrelay, for the commands to paste.
func (r *run) program() string { return cmp.Or(r.o.Program, "graphrelay") }

func (r *run) mailbox() string { return r.state.Choices.Mailboxes[0] }

// roles returns the permissions to grant in Entra.
func (c Choices) roles() []string {
	var list []string
	if c.Scope == Tenant {
		list = append(list, "Mail.ReadWrite", "Mail.Send")
	}
	if c.ReadUsers == "yes" {
		list = append(list, "User.Read.All")
	}
	return list
}

// setDomains takes the domains of the connection from the mailboxes, and also from the tenant if
// the application may use all of its mailboxes.
func (c *Choices) setDomains(ofTenant []string) {
	if len(c.Domains) > 0 {
		return
	}
	for _, m := range c.Mailboxes {
		if _, domain := mailaddr.Split(m); !slices.Contains(c.Domains, strings.ToLower(domain)) {
			c.Domains = append(c.Domains, strings.ToLower(domain))
		}
	}
	for _, d := range ofTenant {
		if c.Scope == Tenant && !slices.Contains(c.Domains, d) {
			c.Domains = append(c.Domains, d)
		}
	}
}

// summary prints what was made, and what to do next.
func (r *run) summary(good bool) {
	s := r.state
	r.say("\nMade in Entra, tenant %s:\n  application %q, client ID %s, object ID %s\n  its service principal, object ID %s",
		text.Printable(s.TenantName+" "+s.TenantID), s.Choices.Name, s.ClientID, s.AppID, s.Principal)
	for _, g := range s.Grants {
		r.say("  permission %s, for the whole tenant", g)
	}
	r.say("Made here:")
	for _, f := range s.Files {
		about := ""
		if f == r.passwordFile() {
			about = fmt.Sprintf(" (the password of the user %s: give it to your programs, then delete the file)", s.Choices.User)
		}
		r.say("  %s%s", f, about)
	}
	r.say("  %s (what was made, without secrets)", r.path)
	r.say("%s setup --undo --config %s removes what was made in Entra.", r.program(), r.o.Config)
	if good {
		r.say("\nStart the relay:\n\n    %s\n", r.serveCommand())
		return
	}
	r.say("\nThe set-up is not complete yet. Mend what is named above, and run %s setup --config %s again.", r.program(), r.o.Config)
}
