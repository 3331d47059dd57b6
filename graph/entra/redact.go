package entra

import (
	"errors"
	"strings"

	"golang.org/x/oauth2"
)

// redactingSource takes secrets out of a source's errors: whoever answers in the endpoint's
// place may repeat what it was sent.
type redactingSource struct {
	oauth2.TokenSource
	secrets []string
}

func (c redactingSource) Token() (*oauth2.Token, error) {
	t, err := c.TokenSource.Token()
	if err != nil {
		return nil, redactError(err, c.secrets)
	}
	return t, nil
}

func redactError(err error, secrets []string) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) {
		return &oauth2.RetrieveError{
			Response:         r.Response, // its body has been read
			ErrorCode:        redact(r.ErrorCode, secrets),
			ErrorDescription: redact(r.ErrorDescription, secrets),
		}
	}
	if text := redact(err.Error(), secrets); text != err.Error() {
		return errors.New(text)
	}
	return err
}

func redact(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return text
}
