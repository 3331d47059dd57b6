package operations

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
)

// maxRecipients bounds the recipients of a message that is sent again: Exchange takes no more.
const maxRecipients = 500

// Resend implements Operations.
func (o Local) Resend(ctx context.Context, by, id string, recipients []string) (again string, err error) {
	to, err := addresses(recipients)
	if err != nil {
		return "", err
	}
	err = o.audited(ctx, by, "resend", named(append([]string{id}, to...)), func() (int64, error) {
		if again, err = o.Store.Resend(ctx, id, to, by); err != nil {
			return 0, err
		}
		return 1, nil
	})
	return again, err
}

// addresses returns the recipients that an operator has written, each once.
func addresses(list []string) (to []string, err error) {
	for _, a := range list {
		a = strings.TrimSpace(a)
		if a == "" {
			continue
		}
		local, domain := mailaddr.Split(a)
		_, bad := mailaddr.Domain(domain)
		if local == "" || domain == "" || bad != nil || len(a) > 320 || strings.ContainsFunc(a, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) ||
			!strings.HasPrefix(local, `"`) && strings.ContainsAny(local, " <>,;") {
			return nil, &Error{ErrRecipients, fmt.Sprintf("%q is no address of a recipient", text.Shorten(a, 100))}
		}
		if !slices.ContainsFunc(to, func(b string) bool { return mailaddr.Same(a, b) }) {
			to = append(to, a)
		}
	}
	switch {
	case len(to) == 0:
		return nil, &Error{ErrRecipients, "name at least one recipient"}
	case len(to) > maxRecipients:
		return nil, &Error{ErrRecipients, fmt.Sprintf("%d recipients are too many for one message; Exchange takes %d", len(to), maxRecipients)}
	}
	return to, nil
}
