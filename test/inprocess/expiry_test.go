package inprocess

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// The metric and /readyz show when the credential of each connection expires. A reload
// changes the date.
func TestCredentialExpiry(t *testing.T) {
	_, url := Simulate(t, simulator.Options{RequireContract: true})
	cfg := Settings(t, t.TempDir(), url, "")
	end := time.Now().Add(10*24*time.Hour + time.Hour).Truncate(time.Second)
	cfg.Connections[0].ClientSecretExpires = config.Date(end)
	r, err := Open(t, cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	name := cfg.Connections[0].Name
	series := fmt.Sprintf("\ngraphrelay_credential_expiry_timestamp_seconds{connection=%q} ", name)
	if body := r.Get(t, "/metrics"); !strings.Contains(body, fmt.Sprintf("%s%v\n", series, float64(end.Unix()))) {
		t.Error("the metric has not the date")
	}
	if got := r.Get(t, "/readyz"); !strings.HasPrefix(got, "200 ready\nthe client secret of connection "+name+" expires on ") || !strings.Contains(got, "in 10 days") {
		t.Errorf("/readyz: %q", got)
	}
	next := *cfg
	next.Connections = []config.Connection{cfg.Connections[0]}
	next.Connections[0].ClientSecretExpires = config.Date{}
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	if body := r.Get(t, "/metrics"); !strings.Contains(body, series+"NaN\n") {
		t.Error("the metric keeps a date that is not known any more")
	}
	if got := r.Get(t, "/readyz"); got != "200 ready\n" {
		t.Errorf("/readyz: %q", got)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
