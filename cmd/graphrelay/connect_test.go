package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/relay/mailboxes"
)

func TestConnectUsage(t *testing.T) {
	path := writeConfig(t, "", "")
	for _, args := range [][]string{{}, {"a@contoso.test", "b@contoso.test"}, {"a@contoso.test", "--list"}} {
		execute(t, "", append([]string{"connect", "--config", path}, args...)...).wantUsage(t, "--list")
	}
	execute(t, "", "connect", "--list", "--config", path).wantUsage(t, "sign_in")
}

// Each error that an owner or operator can do something about says what.
func TestConnectHint(t *testing.T) {
	coded := func(code string) error { return fmt.Errorf("token: %w", &graph.Error{Code: code}) }
	for _, c := range []struct {
		err  error
		want string
	}{
		{mailboxes.ErrNoSuchMailbox, "--list"},
		{context.Canceled, "nothing was stored"},
		{coded("authorization_declined"), "declined"},
		{coded("access_denied"), "declined"},
		{coded("expired_token"), "expired"},
		{coded("unauthorized_client"), "public client flows"},
		{coded("invalid_client"), "public client flows"},
		{coded("temporarily_unavailable"), ""},
		{errors.New("else"), ""},
	} {
		if got := connectHint(c.err); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v: the hint is %q, want %q in it", c.err, got, c.want)
		}
	}
}
