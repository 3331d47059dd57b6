package graph_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

func directoryOptions(roles ...string) simulator.Options {
	return simulator.Options{
		Apps:      []simulator.App{{Secret: secret, Roles: append(roles, "Mail.ReadWrite", "Mail.Send")}},
		Mailboxes: []string{"anna@contoso.test", "o'neil@contoso.test"},
		Users: []simulator.User{{Address: "anna@contoso.test", Aliases: []string{"Sales@contoso.test", "info@fabrikam.test"},
			Data: map[string]string{"displayName": "Anna <Ant>", "jobTitle": "Head of \"Sales\"", "businessPhones": "+49 1"}}},
	}
}

func TestFindUser(t *testing.T) {
	_, _, c := simulated(t, directoryOptions("User.Read.All"))
	owner, _, err := c.FindUser(t.Context(), "anna@contoso.test")
	if err != nil || owner.DisplayName != "Anna <Ant>" || len(owner.BusinessPhones) != 1 || len(owner.ProxyAddresses) != 3 {
		t.Fatalf("%+v, %v", owner, err)
	}
	for _, address := range []string{"sales@contoso.test", "INFO@fabrikam.test", "Anna@Contoso.test"} {
		if u, _, err := c.FindUser(t.Context(), address); err != nil || u.ID != owner.ID {
			t.Errorf("%s: %+v, %v", address, u, err)
		}
	}
	if u, _, err := c.FindUser(t.Context(), "o'neil@contoso.test"); err != nil || u.Mail != "o'neil@contoso.test" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, _, err := c.FindUser(t.Context(), "nobody@contoso.test"); !errors.Is(err, graph.ErrNoUser) {
		t.Error(err)
	}
	// Graph finds a mailbox by its owner's ID, but not by an alias.
	if _, err := c.Mailbox("sales@contoso.test").Probe(t.Context()); err == nil {
		t.Error("an alias is a path")
	}
	if _, err := c.Mailbox(owner.ID).Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFindUserDenied(t *testing.T) {
	_, _, c := simulated(t, directoryOptions())
	_, _, err := c.FindUser(t.Context(), "anna@contoso.test")
	if e := graphError(t, err); e.Status != http.StatusForbidden || e.Code != "Authorization_RequestDenied" {
		t.Errorf("got %v", e)
	}
}

func TestFindUserHostile(t *testing.T) {
	for name, body := range map[string]string{
		"no list": `{}`, "id with a path": `{"value":[{"id":"../me","mail":"a@contoso.test"}]}`, "no id": `{"value":[{"mail":"a@contoso.test"}]}`,
		"long id": `{"value":[{"id":"` + strings.Repeat("a", 1000) + `"}]}`, "no JSON": `<html>`,
	} {
		c := answering(t, reply(200, body))
		if u, _, err := c.FindUser(t.Context(), "a@contoso.test"); err == nil || errors.Is(err, graph.ErrNoUser) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}
