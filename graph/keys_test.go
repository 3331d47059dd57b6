package graph_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
)

func newClientCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "graphrelay"}}, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// An application adds a certificate to itself, finds it if it may, and removes the old one.
func TestKeys(t *testing.T) {
	sim := simulator.New(simulator.Options{Mailboxes: []string{"contoso.test"}})
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	first, second := newClientCertificate(t), newClientCertificate(t)
	for _, roles := range [][]string{nil, {"Application.Read.All"}} {
		objectID, clientID, err := sim.RegisterApp("relay", [][]byte{first.Certificate[0]}, roles...)
		if err != nil {
			t.Fatal(err)
		}
		app := entra.App{Tenant: "contoso.test", ClientID: clientID, LoginURL: server.URL, GraphURL: server.URL}
		of := func(c tls.Certificate) (*graph.Client, string) {
			proof, err := entra.Certificate{App: app, Certificate: c}.Proof(objectID)
			if err != nil {
				t.Fatal(err)
			}
			client := graph.New(graph.Config{Tenant: app.Tenant, ClientID: app.ClientID, GraphURL: app.GraphURL, Timeout: time.Minute,
				SignIn: entra.Certificate{App: app, Certificate: c}})
			t.Cleanup(client.Close)
			return client, proof
		}
		ctx := context.Background()
		client, proof := of(first)
		_, wrong := of(second)
		_, err = client.AddKey(ctx, objectID, second.Certificate[0], wrong)
		if refused, ofProof := graph.KeyRefused(err); !refused || !ofProof {
			t.Errorf("a proof by a certificate that is not registered: %v", err)
		}
		added, err := client.AddKey(ctx, objectID, second.Certificate[0], proof)
		if err != nil || added == "" {
			t.Fatalf("%q, %v", added, err)
		}
		for _, inHex := range []bool{false, true} {
			if err := sim.ChangeWorld(func(w *simulator.World) { w.HexKeyIdentifiers = inHex }); err != nil {
				t.Fatal(err)
			}
			found, err := client.FindKey(ctx, objectID, second.Certificate[0])
			if refused, _ := graph.KeyRefused(err); len(roles) == 0 && !refused || len(roles) > 0 && (err != nil || found != added) {
				t.Errorf("found %q, %v, want %q", found, err, added)
			}
		}
		renewed, proof := of(second)
		old, err := renewed.FindKey(ctx, objectID, first.Certificate[0])
		if len(roles) == 0 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := renewed.RemoveKey(ctx, objectID, old, proof); err != nil {
			t.Error(err)
		}
		if err := renewed.RemoveKey(ctx, objectID, old, proof); !errors.Is(err, graph.ErrNoKey) {
			t.Errorf("removed twice: %v", err)
		}
		if _, err := renewed.FindKey(ctx, objectID, first.Certificate[0]); !errors.Is(err, graph.ErrNoKey) {
			t.Errorf("found after it was removed: %v", err)
		}
	}
}

// The answer may repeat the proof; the error does not.
func TestKeyErrorsHideTheProof(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	const proof = "header.claims.signature-of-a-proof"
	if _, err := sim.AddFault(simulator.Fault{Operation: simulator.OpAddKey, Status: 400, Message: "no: " + proof}); err != nil {
		t.Fatal(err)
	}
	app := entra.App{Tenant: "contoso.test", ClientID: "22222222-2222-2222-2222-222222222222", LoginURL: server.URL, GraphURL: server.URL}
	client := graph.New(graph.Config{SignIn: entra.ClientSecret{App: app, Secret: "simulated"}, GraphURL: server.URL, Timeout: time.Minute})
	t.Cleanup(client.Close)
	_, err := client.AddKey(t.Context(), "id", []byte("der"), proof)
	if err == nil || strings.Contains(err.Error(), "signature-of-a-proof") {
		t.Errorf("the error is %v", err)
	}
}

// An answer without a usable key ID, such as the one in Graph's documentation, is a success.
func TestAddKeyWithoutID(t *testing.T) {
	for answer, want := range map[string]string{
		`{}`: "", `{"keyId":null}`: "", `{"keyId":"` + strings.Repeat("a", 1<<20) + `"}`: "", `{"keyId":"11111111-1111-1111-1111-111111111111"}`: "11111111-1111-1111-1111-111111111111",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				answer := `{"token_type":"Bearer","expires_in":3600,"access_token":"t"}`
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(answer))
				return
			}
			_, _ = w.Write([]byte(answer))
		}))
		app := entra.App{Tenant: "contoso.test", ClientID: "22222222-2222-2222-2222-222222222222", LoginURL: server.URL, GraphURL: server.URL}
		client := graph.New(graph.Config{SignIn: entra.ClientSecret{App: app, Secret: "simulated"}, GraphURL: server.URL, Timeout: time.Minute})
		if got, err := client.AddKey(t.Context(), "id", []byte("der"), "proof"); err != nil || got != want {
			t.Errorf("%.60s: %.60q, %v", answer, got, err)
		}
		client.Close()
		server.Close()
	}
}
