package graph_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"graphrelay/graph"
)

// The error of a refused sign-in mentions a wrong clock. A successful sign-in, or one with
// the clock right, does not.
func TestClockSkew(t *testing.T) {
	for name, tt := range map[string]struct {
		date    time.Duration // of the endpoint's, from now
		status  int
		want    string
		without bool
	}{
		"ahead":   {date: -7 * time.Minute, status: http.StatusUnauthorized, want: "AADSTS700024: not now: this machine's clock is 7 minutes ahead of Microsoft's: set it by NTP"},
		"behind":  {date: 90 * time.Minute, status: http.StatusUnauthorized, want: "this machine's clock is 90 minutes behind Microsoft's"},
		"right":   {date: -time.Minute, status: http.StatusUnauthorized},
		"good":    {date: time.Hour, status: http.StatusOK},
		"down":    {date: time.Hour, status: http.StatusServiceUnavailable},
		"no date": {status: http.StatusUnauthorized, without: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Date"] = nil
				if !tt.without {
					w.Header().Set("Date", time.Now().Add(tt.date).UTC().Format(http.TimeFormat))
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				body := `{"error":"invalid_client","error_description":"AADSTS700024: not now"}`
				if tt.status == http.StatusOK {
					body = `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
				}
				_, _ = io.WriteString(w, body)
			})))
			if _, ok := c.ClockSkew(); ok {
				t.Error("it is known before anybody was asked")
			}
			_, err := c.Token(t.Context(), mailbox)
			switch {
			case (err == nil) != (tt.status == http.StatusOK):
				t.Fatal(err)
			case err != nil && tt.want == "" && strings.Contains(err.Error(), "clock"), err != nil && !strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want %q", err, tt.want)
			}
			skew, ok := c.ClockSkew()
			if off := skew + tt.date; ok == tt.without || ok && off.Abs() > time.Minute {
				t.Errorf("%s, %v with a Date %s from now", skew, ok, tt.date)
			}
			if err := c.SignInError(graph.ErrNotConnected); strings.Contains(err.Error(), "clock") {
				t.Errorf("of a mailbox that is not connected: %v", err)
			}
		})
	}
}
