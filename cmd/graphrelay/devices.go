package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay/api"
	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
)

func devicesCommand(e env) *cobra.Command {
	var file *string
	ask := func(do func(context.Context, api.Client) error) error {
		client, err := runningRelay(e, *file)
		if err != nil {
			return err
		}
		defer client.Close()
		return refusedRequest(do(context.Background(), client))
	}
	c := group(&cobra.Command{
		Use:   "devices",
		Short: "list, allow, block and learn the devices that may send besides the networks",
		Long: `Shows and changes the list of devices that may send through a listener with allow_devices although
their addresses are not in its networks, and opens learning windows for a new office. It asks the
relay that runs on this machine. Everything is recorded: see graphrelay queue log.`,
		Example: `  graphrelay devices list
  graphrelay devices allow devices 192.168.7.20 --sender scanner@contoso.com --why "room 5"
  graphrelay devices learn devices --network 192.168.7.0/24 --domain contoso.com --for 15m`,
	}, devicesListCommand(e, ask), devicesAllowCommand(e, ask), devicesBlockCommand(e, ask), devicesRemoveCommand(e, ask), devicesLearnCommand(e, ask))
	file = configFlag(c)
	return c
}

// refusedRequest makes what the relay does not permit an error of the command line.
func refusedRequest(err error) error {
	var r devices.Refused
	if errors.As(err, &r) {
		return usageError{err}
	}
	return err
}

// asker asks the running relay.
type asker func(do func(context.Context, api.Client) error) error

func devicesListCommand(e env, ask asker) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list allowed, blocked and refused devices, and learning windows",
		Long: `Lists the devices that are allowed or blocked, those that are refused again and again, and the
learning windows that are open. With --lines it also prints what would let each refused device
send, for the configuration.`,
		Example: "  graphrelay devices list --lines",
		Args:    noOperands,
	}
	lines := c.Flags().Bool("lines", false, "print the lines that would let refused devices send")
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line, for each listener")
	c.RunE = func(*cobra.Command, []string) error {
		return ask(func(ctx context.Context, client api.Client) error {
			list, err := client.Listeners(ctx)
			if err != nil {
				return err
			}
			if *asJSON {
				for _, l := range list {
					_ = json.NewEncoder(text.JSONWriter(e.stdout)).Encode(l)
				}
				return nil
			}
			return printDevices(e, list, *lines)
		})
	}
	return c
}

func printDevices(e env, list []operations.Listener, lines bool) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LISTENER\tDEVICE\tSTATE\tSENDERS\tBY\tWHEN\tWHY")
	for _, l := range list {
		for _, d := range l.Devices {
			state := "allowed"
			switch {
			case d.Blocked:
				state = "blocked"
			case d.Learnt:
				state = "learnt"
			}
			if !l.AllowDevices {
				state += ", but allow_devices is off"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, d.Address, state, text.Printable(patternList(d.Senders)), text.Printable(d.By), d.At.Local().Format(time.DateTime), text.Printable(d.Why))
		}
		for _, d := range l.RefusedDevices {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\t%s\t%s\n", l.Name, d.Client, fmt.Sprintf("refused %d times", d.Count), text.Printable(d.From), d.Last.Local().Format(time.DateTime), d.Reason)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range list {
		if l.Window != nil {
			fmt.Fprintf(e.stdout, "learning window: listener %s lets in %s as *@%s until %s; %d learnt; opened by %s\n", l.Name, l.Window.Network,
				text.Printable(l.Window.Domain), l.Window.Until.Local().Format(time.TimeOnly), l.Window.Learnt, text.Printable(l.Window.By))
		}
		for _, d := range l.RefusedDevices {
			if lines {
				fmt.Fprintf(e.stdout, "\n# for %s, %s\n", d.Client, text.Printable(d.Where))
				for line := range strings.Lines(d.Lines) {
					fmt.Fprintln(e.stdout, text.Printable(strings.TrimRight(line, "\n")))
				}
			}
		}
	}
	return nil
}

func patternList(list []config.Pattern) string {
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// device reads the operands LISTENER ADDRESS.
func device(args []string) (d devices.Request, err error) {
	if len(args) != 2 {
		return d, usagef("name a listener and the address of a device")
	}
	d.Listener = args[0]
	if d.Address, err = netip.ParseAddr(args[1]); err != nil {
		return d, usagef("%q is no IP address", args[1])
	}
	return d, nil
}

func devicesAllowCommand(e env, ask asker) *cobra.Command {
	c := &cobra.Command{
		Use:     "allow LISTENER ADDRESS",
		Short:   "let a device send without a password",
		Long:    "Lets a device send through a listener without a password, as the senders that are given and as no others.",
		Example: "  graphrelay devices allow devices 192.168.7.20 --sender scanner@contoso.com",
	}
	senders := c.Flags().StringArray("sender", nil, "an `address`, or a pattern such as *@contoso.com; may be given several times")
	why := c.Flags().String("why", "", "a `text` for those who read the list later")
	_ = c.MarkFlagRequired("sender")
	c.RunE = func(_ *cobra.Command, args []string) error {
		d, err := device(args)
		if err != nil {
			return err
		}
		for _, s := range *senders {
			p, err := config.ParsePattern(s)
			if err != nil {
				return usagef("--sender %v", err)
			}
			d.Senders = append(d.Senders, p)
		}
		d.Why = *why
		return ask(func(ctx context.Context, client api.Client) error {
			got, err := client.AllowDevice(ctx, "", d)
			if err == nil {
				fmt.Fprintf(e.stdout, "allowed %s at %s as %s\n", got.Address, got.Listener, text.Printable(patternList(got.Senders)))
			}
			return err
		})
	}
	return c
}

func devicesBlockCommand(e env, ask asker) *cobra.Command {
	c := &cobra.Command{
		Use:     "block LISTENER ADDRESS",
		Short:   "keep a device out of the list",
		Long:    "Keeps a device from being let in by the list, and from being learnt. The networks of the configuration\nstay as they are.",
		Example: "  graphrelay devices block devices 192.168.7.66",
	}
	why := c.Flags().String("why", "", "a `text` for those who read the list later")
	c.RunE = func(_ *cobra.Command, args []string) error {
		d, err := device(args)
		if err != nil {
			return err
		}
		d.Why = *why
		return ask(func(ctx context.Context, client api.Client) error {
			_, err := client.BlockDevice(ctx, "", d)
			if err == nil {
				fmt.Fprintf(e.stdout, "blocked %s at %s\n", d.Address, d.Listener)
			}
			return err
		})
	}
	return c
}

func devicesRemoveCommand(e env, ask asker) *cobra.Command {
	return &cobra.Command{
		Use:     "remove LISTENER ADDRESS",
		Short:   "remove a device, or the block of one, from the list",
		Long:    "Removes a device, or the block of one, from the list.",
		Example: "  graphrelay devices remove devices 192.168.7.20",
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := device(args)
			if err != nil {
				return err
			}
			return ask(func(ctx context.Context, client api.Client) error {
				err := client.RemoveDevice(ctx, "", d.Listener, d.Address)
				if err == nil {
					fmt.Fprintf(e.stdout, "removed %s from %s\n", d.Address, d.Listener)
				}
				return err
			})
		},
	}
}

func devicesLearnCommand(e env, ask asker) *cobra.Command {
	c := &cobra.Command{
		Use:   "learn LISTENER",
		Short: "open or close a learning window",
		Long: `For some minutes, lets in the devices of a network that send from a domain. Each is learnt after a
message that was accepted, with the sender that it used. With --close the window ends at once.`,
		Example: `  graphrelay devices learn devices --network 192.168.7.0/24 --domain contoso.com --for 15m
  graphrelay devices learn devices --close`,
	}
	network := c.Flags().String("network", "", "the `prefix` of the devices: private, or at most a /24 or an IPv6 /64")
	domain := c.Flags().String("domain", "", "the `domain` of their senders")
	why := c.Flags().String("why", "", "a `text` for the audit log")
	length := 15 * time.Minute
	durationFlag(c.Flags(), &length, "for", "how long it is open, at most 1h")
	end := c.Flags().Bool("close", false, "end the window")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("name one listener")
		}
		if *end {
			return ask(func(ctx context.Context, client api.Client) error {
				err := client.CloseWindow(ctx, "", args[0])
				if err == nil {
					fmt.Fprintf(e.stdout, "%s learns no more devices; those that were learnt stay in the list\n", text.Printable(args[0]))
				}
				return err
			})
		}
		prefix, err := netip.ParsePrefix(*network)
		if err != nil || *domain == "" {
			return usagef("give --network, such as 192.168.7.0/24, and --domain, or --close")
		}
		if length%time.Minute != 0 || length <= 0 {
			return errors.New("--for has to be whole minutes, at most 1h")
		}
		return ask(func(ctx context.Context, client api.Client) error {
			w, err := client.OpenWindow(ctx, "", devices.Opening{Listener: args[0], Length: length, Network: prefix, Domain: *domain, Why: *why})
			if err == nil {
				fmt.Fprintf(e.stdout, "%s learns devices of %s until %s; have each of them send a message now\n", w.Listener, w.Network, w.Until.Local().Format(time.DateTime))
			}
			return err
		})
	}
	return c
}
