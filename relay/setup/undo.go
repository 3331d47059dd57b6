package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/text"
)

// Undo removes from Entra what a set-up has made there: the application, and with it its
// service principal and grants. It removes nothing that does not carry the mark of this
// set-up, and no file but the state.
func Undo(ctx context.Context, o Options, confirmed bool) error {
	r, err := begin(o)
	if err != nil {
		return err
	}
	if r.state == nil {
		return fmt.Errorf("%w: %s does not exist", ErrNoSetup, r.path)
	}
	s := r.state
	s.Choices.AdminApp = cmp.Or(o.Choices.AdminApp, s.Choices.AdminApp)
	if s.AppID == "" && s.Asked.IsZero() && s.ClientID == "" && o.Choices.ClientID == "" {
		r.say("Nothing was made in Entra.")
		return r.forget()
	}
	if !confirmed {
		yes, err := r.confirm(ctx, fmt.Sprintf("Remove the application %q (client ID %s) from Entra? The relay can no longer send then.", s.Choices.Name, orUnknown(s.ClientID)), false)
		if err == nil && !yes {
			err = errors.New("nothing was removed; confirm with --yes")
		}
		if err != nil {
			return err
		}
	}
	a, err := r.signIn(ctx, scopeApplications)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := r.removeApplications(ctx, a); err != nil {
		return adminAdvice(err)
	}
	if s.Choices.Scope == Limited && s.ClientID != "" {
		r.say("\nWhat the commands for Exchange have made is there still. These remove it:\n\n%s", indent(s.removeCommands()))
	}
	return r.forget()
}

// removeApplications removes the application that the state names, and every other that
// carries the mark of this set-up: one whose registration was answered too late.
func (r *run) removeApplications(ctx context.Context, a *admin) error {
	s := r.state
	var found []graph.Application
	err := r.until(ctx, "The registration of the application is still being looked for.", func() (bool, error) {
		var err error
		found, err = a.FindApplications(ctx, s.Marker, s.Choices.Name)
		if err == nil && len(found) == 0 && s.AppID == "" && time.Since(s.Asked) < r.o.pace.settle {
			return true, errNotKnown // its answer was lost a moment ago
		}
		return false, err
	})
	if err != nil {
		return err
	}
	if s.AppID != "" {
		app, err := a.Application(ctx, s.AppID)
		switch {
		case errors.Is(err, graph.ErrNotRegistered):
			r.say("The application %s is not in Entra any more.", s.AppID)
		case err != nil:
			return err
		case !slices.Contains(app.Tags, s.Marker):
			return fmt.Errorf("the application %s does not carry the tag %s, so this set-up has not made it; nothing was removed", s.AppID, s.Marker)
		case !slices.ContainsFunc(found, func(f graph.Application) bool { return f.ID == app.ID }):
			found = append(found, app)
		}
	} else if len(found) == 0 {
		r.say("No application in Entra carries the tag %s.", s.Marker)
	}
	for _, app := range found {
		if err := r.step("delete application"); err != nil {
			return err
		}
		if err := a.DeleteApplication(ctx, app.ID); err != nil && !errors.Is(err, graph.ErrNotRegistered) {
			return err
		}
		r.say("Removed the application %q, client ID %s, with its service principal and grants. Entra keeps it for 30 days under deleted applications.", text.Printable(app.DisplayName), app.ClientID)
	}
	return nil
}

// forget removes the state, and prints which files stay.
func (r *run) forget() error {
	var stay []string
	for _, f := range r.state.Files {
		if _, err := os.Lstat(f); err == nil {
			stay = append(stay, f)
		}
	}
	if err := os.Remove(r.path); err != nil {
		return err
	}
	if len(stay) > 0 {
		r.say("These files stay; remove them before you set up again: %s", strings.Join(stay, " "))
	}
	return nil
}

func orUnknown(id string) string {
	if id == "" {
		return "unknown"
	}
	return id
}

// joined returns the names, separated by commas.
func joined(list []string) string { return strings.Join(list, ", ") }
