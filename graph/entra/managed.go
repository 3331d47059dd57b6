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

// ManagedIdentity signs in with the managed identity of the machine: an Azure virtual
// machine, an app of App Service and the like, or a server with Azure Arc. Package
// azidentity finds out which, from the environment.
type ManagedIdentity struct {
	GraphURL string
	ClientID string             // of a user-assigned identity; empty: the system-assigned one
	Client   policy.Transporter // nil: a client without a proxy, since the endpoint is on this machine
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
	// Claims, even if empty, make the library bypass its own cache: a new token is needed,
	// such as after Graph has refused the last one.
	token, err := credential.GetToken(s.ctx, policy.TokenRequestOptions{Scopes: []string{s.m.GraphURL + "/.default"}, Claims: "{}"})
	if err != nil {
		return nil, last.refusal(err)
	}
	return &oauth2.Token{AccessToken: token.Token, TokenType: "Bearer", Expiry: token.ExpiresOn}, nil
}

// localClient makes requests to the endpoint on this machine, without a proxy.
var localClient = &http.Client{
	Transport:     &http.Transport{IdleConnTimeout: time.Minute, MaxIdleConns: 10, ResponseHeaderTimeout: 30 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// responseRecorder records the endpoint's last answer, which some of the library's errors
// lack, such as that for a refused system-assigned identity.
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

// refusal returns the error for an error of the library. If the endpoint has refused the
// request, it is an *oauth2.RetrieveError. It has only the first line of the library's
// text, which continues with the whole answer.
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
