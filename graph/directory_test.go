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

// A page that a proxy puts in the place of Graph's answer is no sign of a mailbox.
func TestProbeSpoiltAnswer(t *testing.T) {
	for _, body := range []string{"<html>sign in to the proxy</html>", "", "null", "{}", `{"value":null}`} {
		c := answering(t, reply(http.StatusOK, body))
		var e *graph.Error
		if _, err := c.Mailbox("anna@contoso.test").Probe(t.Context()); !errors.As(err, &e) || e.Class != graph.ClassTemporary {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestFindUserDenied(t *testing.T) {
	_, _, c := simulated(t, directoryOptions())
	_, _, err := c.FindUser(t.Context(), "anna@contoso.test")
	if e := graphError(t, err); e.Status != http.StatusForbidden || e.Code != "Authorization_RequestDenied" {
		t.Errorf("got %v", e)
	}
}

// A directory that ignores the filter returns users that have nothing to do with the
// address: none of them may be believed.
func TestFindUserFilterIgnored(t *testing.T) {
	c := answering(t, reply(200, `{"value":[{"id":"1","userPrincipalName":"chief@contoso.test","mail":"chief@contoso.test","proxyAddresses":["SMTP:chief@contoso.test"]}]}`))
	if u, _, err := c.FindUser(t.Context(), "a@contoso.test"); err == nil || errors.Is(err, graph.ErrNoUser) {
		t.Errorf("%+v, %v", u, err)
	}
}

// Where several conditions in one filter are refused, each is asked by itself.
func TestFindUserOneConditionOnly(t *testing.T) {
	var filters []string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		filter := r.URL.Query().Get("$filter")
		filters = append(filters, filter)
		switch {
		case strings.Contains(filter, " or "):
			reply(400, `{"error":{"code":"Request_UnsupportedQuery","message":"no"}}`)(w, r)
		case strings.Contains(filter, "'smtp:sales@contoso.test'"):
			reply(200, `{"value":[{"id":"1","userPrincipalName":"anna@contoso.test","proxyAddresses":["smtp:sales@contoso.test"]}]}`)(w, r)
		default:
			reply(200, `{"value":[]}`)(w, r)
		}
	})
	if u, _, err := c.FindUser(t.Context(), "sales@contoso.test"); err != nil || u.ID != "1" || len(filters) != 4 {
		t.Errorf("%+v, %v after %q", u, err, filters)
	}
	filters = nil
	if _, _, err := c.FindUser(t.Context(), "nobody@contoso.test"); !errors.Is(err, graph.ErrNoUser) || len(filters) != 4 {
		t.Errorf("%v after %q", err, filters)
	}
}

func TestFindUserLongAddress(t *testing.T) {
	c := answering(t, reply(500, "must not be asked"))
	long := strings.Repeat("a", 110) + "@contoso.test"
	if _, _, err := c.FindUser(t.Context(), long); !errors.Is(err, graph.ErrNotAsked) {
		t.Error(err)
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
