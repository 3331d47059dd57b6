package graph

import (
	"bytes"
	"context"
	"crypto/sha1" // names certificates; nothing depends on its strength
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"graphrelay/internal/text"
)

const (
	opAddKey    = "add_key"
	opRemoveKey = "remove_key"
	opFindKey   = "find_key"
)

// ErrNoKey means that the application has no such certificate.
var ErrNoKey = errors.New("the application has no such certificate")

// AddKey registers a certificate, in DER, for the application with this object ID
// (application-addkey). The proof has to be signed with the key of a certificate that is
// registered already; entra.Certificate makes it. An application needs no permission to add a
// certificate of its own. keyID is empty if the answer does not tell it.
func (c *Client) AddKey(ctx context.Context, objectID string, certificate []byte, proof string) (keyID string, err error) {
	r := &request{op: opAddKey, method: http.MethodPost, path: applicationPath(objectID) + "/addKey", success: []int{http.StatusOK}}
	err = r.json(map[string]any{
		"keyCredential": map[string]string{"type": "AsymmetricX509Cert", "usage": "Verify",
			"key": base64.StdEncoding.EncodeToString(certificate)},
		"passwordCredential": nil, "proof": proof,
	})
	if err != nil {
		return "", err
	}
	var added struct {
		KeyID string `json:"keyId"`
	}
	_, err = c.call(ctx, r, &added)
	return plausibleKeyID(added.KeyID), withoutProof(err, proof)
}

// RemoveKey removes a certificate from the application (application-removekey). It returns
// ErrNoKey if there is none with this key ID, for which Graph has no status of its own: 400.
func (c *Client) RemoveKey(ctx context.Context, objectID, keyID, proof string) error {
	r := &request{op: opRemoveKey, method: http.MethodPost, path: applicationPath(objectID) + "/removeKey", success: []int{http.StatusNoContent}}
	if err := r.json(map[string]string{"keyId": keyID, "proof": proof}); err != nil {
		return err
	}
	_, err := c.call(ctx, r, nil)
	if isBadRequest(err) {
		return ErrNoKey
	}
	return withoutProof(err, proof)
}

// FindKey returns the key ID of a certificate, in DER. It needs Application.Read.All, which
// an application usually lacks: see AccessDenied. It returns ErrNoKey if the application does
// not have the certificate.
func (c *Client) FindKey(ctx context.Context, objectID string, certificate []byte) (keyID string, err error) {
	r := &request{op: opFindKey, method: http.MethodGet, path: applicationPath(objectID), success: []int{http.StatusOK},
		query: url.Values{"$select": {"keyCredentials"}}}
	var application struct {
		Keys []struct {
			ID         string `json:"keyId"`
			Key        string `json:"key"`
			Identifier string `json:"customKeyIdentifier"`
		} `json:"keyCredentials"`
	}
	reply, err := c.call(ctx, r, &application)
	switch {
	case err != nil:
		return "", err
	case application.Keys == nil:
		return "", unreadable(r.op, reply, errNoList)
	}
	for _, k := range application.Keys {
		if k.Key == base64.StdEncoding.EncodeToString(certificate) || k.Key == "" && identifies(k.Identifier, certificate) {
			return plausibleKeyID(k.ID), nil
		}
	}
	return "", ErrNoKey
}

// maxKeyID is the longest key ID that is taken for one: a GUID in any form.
const maxKeyID = 64

// plausibleKeyID returns the key ID of an answer, "" if it cannot be one.
func plausibleKeyID(id string) string {
	if len(id) > maxKeyID {
		return ""
	}
	return id
}

// identifies reports whether a customKeyIdentifier is the thumbprint of the certificate, which
// has been seen in base64 and in hex.
func identifies(identifier string, certificate []byte) bool {
	thumbprint := sha1.Sum(certificate)
	if decoded, err := base64.StdEncoding.DecodeString(identifier); err == nil && bytes.Equal(decoded, thumbprint[:]) {
		return true
	}
	return strings.EqualFold(identifier, hex.EncodeToString(thumbprint[:]))
}

func applicationPath(objectID string) string { return "/applications/" + url.PathEscape(objectID) }

// withoutProof returns the error without the proof, which the answer may repeat.
func withoutProof(err error, proof string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Code, e.Message, e.Target = text.Redact(e.Code, proof), text.Redact(e.Message, proof), text.Redact(e.Target, proof)
	}
	return err
}

// KeyRefused reports whether Graph has refused a request for certain, so that it had no
// effect, and whether it refused the proof.
func KeyRefused(err error) (refused, proof bool) {
	var e *Error
	if !errors.As(err, &e) || e.Op == opToken || e.Ambiguous || e.throttled() || e.Status == http.StatusRequestTimeout {
		return false, false
	}
	return e.Status >= 400 && e.Status < 500, e.Status == http.StatusUnauthorized
}
