package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/graph/simulator"
	"graphrelay/internal/text"
	"graphrelay/relay/probe"
)

func simulateCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "simulate",
		Short: "run only the Graph simulator",
		Long: `Runs Graph's mail calls and the token endpoint as far as they are known, refusals included,
for tests of any program. docs/graph.md lists the worlds that it can be.`,
		Example: `  graphrelay simulate
  graphrelay simulate --listen 127.0.0.1:8200 --latency 100ms --world filterLag=4s
  graphrelay simulate --as tenant.json`,
		Args: noOperands,
	}
	fs := c.Flags()
	listen := fs.String("listen", "127.0.0.1:8100", "`address` to listen on")
	o := simulator.Options{World: simulator.World{KeyLag: 20 * time.Second}} // as Entra has it, about
	durationFlag(fs, &o.Latency, "latency", "the least `time` that each call takes")
	durationFlag(fs, &o.SendDelay, "send-delay", "`time` from the answer to send until the item is in Sent Items (default 200ms)")
	fs.BoolVar(&o.RequireContract, "strict", false, "record requests that lack what graphrelay always sends (see /_simulator/violations)")
	var worlds []string
	fs.Func("world", "`NAME=VALUE` in which the tenant differs from the usual one, such as filterLag=4s; may be repeated (names: docs/graph.md)", func(text string) error {
		worlds = append(worlds, text)
		return new(simulator.World).Set(text)
	})
	as := fs.String("as", "", "`file` of graphrelay probe --json, whose tenant is simulated; other flags come on top")
	_ = c.MarkFlagFilename("as", "json")
	fs.BoolVar(&o.Deliver, "deliver", false, "put what is sent into the Inboxes of recipients, as --as does")
	fs.Func("alias", "`ALIAS:MAILBOX`, an alias and the mailbox that has it; may be repeated", aliases(&o.Users))
	fs.Func("full-access", "`MAILBOX:ACCOUNT` that may use the mailbox of another; may be repeated", pairs(&o.FullAccess, false))
	fs.Func("send-as", "`ADDRESS:ACCOUNT` that may send as an address that is not its own; may be repeated; without any, all may", pairs(&o.SendAs, true))
	roles := fs.String("roles", "Mail.ReadWrite,Mail.Send", "application `permissions` of the tokens, separated by commas")
	quiet := fs.Bool("quiet", false, "do not log each call")
	c.RunE = func(*cobra.Command, []string) error {
		if o.Latency < 0 || o.SendDelay < 0 {
			return usagef("--latency and --send-delay cannot be negative")
		}
		o.Apps = []simulator.App{{Roles: strings.Split(*roles, ",")}}
		sendDelay := o.SendDelay
		if err := simulateAs(e, &o, *as, worlds); err != nil {
			return err
		}
		if fs.Changed("send-delay") {
			o.SendDelay = sendDelay
		}
		if fs.Changed("roles") {
			o.Apps = []simulator.App{{Roles: strings.Split(*roles, ",")}}
		}
		if !*quiet {
			o.Logger = slog.New(slog.NewTextHandler(e.stderr, nil))
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return simulate(ctx, e, *listen, o)
	}
	return c
}

// simulateAs sets the options of the tenant in the file, unless it is empty, and then the worlds
// of the command line. It prints what is not taken over.
func simulateAs(e env, o *simulator.Options, path string, worlds []string) error {
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return badConfiguration(fmt.Errorf("%w; name a file with the output of graphrelay probe --json", err))
		}
		notes, err := probe.Simulate(o, data)
		if err != nil {
			return badConfiguration(fmt.Errorf("%s: %w", path, err))
		}
		for _, n := range notes {
			fmt.Fprintf(e.stderr, "note: %s: %s\n", text.Printable(path), text.Printable(n))
		}
	}
	for _, w := range worlds {
		if err := o.World.Set(w); err != nil {
			return usagef("--world %s: %w", w, err)
		}
	}
	return nil
}

// aliases returns a flag's function that adds an alias to the users.
func aliases(to *[]simulator.User) func(string) error {
	return func(text string) error {
		alias, mailbox, ok := strings.Cut(strings.ToLower(text), ":")
		if !ok {
			return errors.New("write two addresses with a colon between them")
		}
		for i := range *to {
			if (*to)[i].Address == mailbox {
				(*to)[i].Aliases = append((*to)[i].Aliases, alias)
				return nil
			}
		}
		*to = append(*to, simulator.User{Address: mailbox, Aliases: []string{alias}})
		return nil
	}
}

// simulate serves until ctx is done.
func simulate(ctx context.Context, e env, address string, o simulator.Options) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --listen", err)
	}
	sim := simulator.New(o)
	defer sim.Close()
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintf(e.stdout, "Graph simulator on http://%s (open it in a browser); tokens at /{tenant}/oauth2/v2.0/token, secret \"simulated\"\n", l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pairs returns a flag's function that adds "ONE:OTHER" to a map of lists: under the other
// if byOther is set, under the one otherwise.
func pairs(to *map[string][]string, byOther bool) func(string) error {
	return func(text string) error {
		one, other, ok := strings.Cut(strings.ToLower(text), ":")
		if !ok {
			return errors.New("write two addresses with a colon between them")
		}
		if byOther {
			one, other = other, one
		}
		if *to == nil {
			*to = map[string][]string{}
		}
		(*to)[one] = append((*to)[one], other)
		return nil
	}
}
