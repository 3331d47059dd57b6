package entra

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/oauth2"
)

// ManagedIdentity signs in as what Azure vouches for: a virtual machine, an app of App
// Service or the like, or a server with Azure Arc. Which of them it is, azidentity finds in
// the environment.
type ManagedIdentity struct {
	GraphURL string
	ClientID string             // of a user-assigned identity; empty: the system-assigned one
	Client   policy.Transporter // nil: without a proxy, since the endpoint is of this machine
}

// PerMailbox implements graph.SignIn.
func (ManagedIdentity) PerMailbox() bool { return false }

// Source implements graph.SignIn.
func (m ManagedIdentity) Source(ctx context.Context, _ string) oauth2.TokenSource {
	return managedIdentitySource{ctx, m}
}

type managedIdentitySource struct {
	ctx context.Context
	m   ManagedIdentity
}

// Token implements oauth2.TokenSource.
func (s managedIdentitySource) Token() (*oauth2.Token, error) {
	o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: s.m.Client}}
	if o.Transport == nil {
		o.Transport = localClient
	}
	last := &responseRecorder{Transporter: o.Transport}
	o.Transport = last
	if s.m.ClientID != "" {
		o.ID = azidentity.ClientID(s.m.ClientID)
	}
	credential, err := azidentity.NewManagedIdentityCredential(o)
	if err != nil {
		return nil, last.refusal(err)
	}
	// Claims, be they empty, keep the library from its own cache: a token is asked for when
	// a new one is needed, as after Graph has refused one.
	token, err := credential.GetToken(s.ctx, policy.TokenRequestOptions{Scopes: []string{s.m.GraphURL + "/.default"}, Claims: "{}"})
	if err != nil {
		return nil, last.refusal(err)
	}
	return &oauth2.Token{AccessToken: token.Token, TokenType: "Bearer", Expiry: token.ExpiresOn}, nil
}

// localClient reaches the endpoint on this machine.
var localClient = &http.Client{
	Transport:     &http.Transport{IdleConnTimeout: time.Minute, MaxIdleConns: 10, ResponseHeaderTimeout: 30 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// responseRecorder keeps what the endpoint answered last: some of the library's errors, such as
// that of a system-assigned identity which is refused, do not hold it.
type responseRecorder struct {
	policy.Transporter
	resp *http.Response
	body []byte
}

const maxManagedError = 64 << 10

// Do implements policy.Transporter.
func (l *responseRecorder) Do(r *http.Request) (*http.Response, error) {
	resp, err := l.Transporter.Do(r)
	if l.resp = resp; err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	l.body, err = io.ReadAll(io.LimitReader(resp.Body, maxManagedError))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(l.body))
	return resp, err
}

// refusal keeps the first line of the library's text, which goes on with the whole answer,
// and makes what the endpoint refuses look like a refusal of Entra's.
func (l *responseRecorder) refusal(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if l.resp == nil || l.resp.StatusCode < http.StatusBadRequest {
		return errors.New(text)
	}
	refused := &oauth2.RetrieveError{Response: l.resp, ErrorCode: "managed_identity", ErrorDescription: text}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(l.body, &answer) == nil && answer.Error != "" {
		refused.ErrorCode, refused.ErrorDescription = answer.Error, answer.Description
	}
	return refused
}
