package entra

import (
	"errors"

	"golang.org/x/oauth2"

	"graphrelay/internal/text"
)

// redactingSource removes secrets from the errors of a token source: the endpoint, or
// whoever answers in its place, may repeat what it was sent.
type redactingSource struct {
	oauth2.TokenSource
	secrets []string
}

// Token implements oauth2.TokenSource.
func (s redactingSource) Token() (*oauth2.Token, error) {
	t, err := s.TokenSource.Token()
	return t, redactError(err, s.secrets...)
}

// redactError returns err without the secrets; nil if err is nil. An
// *oauth2.RetrieveError stays one.
func redactError(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) {
		return text.RedactError(err, secrets...)
	}
	return &oauth2.RetrieveError{
		Response:         r.Response, // its body has been read
		ErrorCode:        text.Redact(r.ErrorCode, secrets...),
		ErrorDescription: text.Redact(r.ErrorDescription, secrets...),
	}
}
