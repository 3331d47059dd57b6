package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/api"
	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
	"graphrelay/relay/refusals"
)

// TestPrintDevices checks that hostile texts do not reach the terminal.
func TestPrintDevices(t *testing.T) {
	bad := "\x1b[2Jx"
	d := devices.Device{Listener: "office", Address: netip.MustParseAddr("192.168.7.20"), By: bad, Why: bad, At: time.Now()}
	blocked := d
	blocked.Blocked = true
	list := []operations.Listener{{Name: "office", AllowDevices: true, Devices: []devices.Device{d, blocked},
		RefusedDevices: []devices.RefusedDevice{{Refusal: refusals.Refusal{Client: d.Address, From: bad, Count: 3}, Lines: "networks:\n  - " + bad + "\n", Where: bad}},
		Window:         &devices.Window{Network: netip.MustParsePrefix("192.168.7.0/24"), Domain: "contoso.test", By: bad, Learnt: 2}}}
	var out bytes.Buffer
	if err := printDevices(env{stdout: &out}, list, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"allowed", "blocked", "refused 3 times", "learning window: listener office lets in 192.168.7.0/24 as *@contoso.test", "# for 192.168.7.20", "networks:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a control character reaches the terminal")
	}
}

// TestDevicesClient sees that what the relay refuses is told apart from a fault.
func TestDevicesClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"type":"urn:graphrelay:problem:request-refused","title":"x","status":422,"detail":"it is in networks already"}`))
	}))
	defer server.Close()
	c := api.Client{HTTP: server.Client(), URL: server.URL}
	_, err := c.AllowDevice(t.Context(), "", devices.Request{Listener: "office", Address: netip.MustParseAddr("192.168.7.20")})
	if _, ok := refusedRequest(err).(usageError); !ok || err.Error() != "it is in networks already" {
		t.Errorf("got %v", err)
	}
}
