package config

import "testing"

func TestQueueURL(t *testing.T) {
	const unprotected = "lets mail and the password cross the network in plain text if the database does not insist on TLS; add sslmode=verify-full to it"
	for address, want := range map[string]string{
		"":                             "",
		"postgres://db.contoso.test/q": unprotected,
		"postgres://db.contoso.test/q?sslmode=prefer":           unprotected,
		"postgresql://db.contoso.test:5432/q?sslmode=verify-ca": "",
		"postgres://u:p@[::1]:5432/q":                           "",
		"postgres:///q?host=/run/postgresql":                    "",
		"postgres://127.0.0.1,db.contoso.test/q":                unprotected,
		"postgres://localhost/q":                                "",
	} {
		r := newReport("relay.yaml")
		checkQueueURL(&Queue{URL: NewSecret(address)}, r)
		got := ""
		for _, w := range r.warnings {
			got += w.Text
		}
		if r.err() != nil || got != want {
			t.Errorf("%s: %v, warning %q", address, r.err(), got)
		}
	}
	for address, want := range map[string]bool{
		"": false, "postgres://u@h/q": false, "postgres://u:p@h/q": true, "postgres://h/q?password=p": true, "postgres://%zz": true,
	} {
		if hasPassword(address) != want {
			t.Errorf("%s has a password: want %t", address, want)
		}
	}
}
