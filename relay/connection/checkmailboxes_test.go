package connection

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testcert"
	"graphrelay/relay/config"
)

// TestOldSignIn warns of sign-ins that Microsoft is about to end.
func TestOldSignIn(t *testing.T) {
	now := time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC)
	for days, want := range map[int]string{0: "", 59: "", 61: "last renewed 61 days ago, on 2027-03-01"} {
		m := TriedMailbox{Address: "anna@contoso.test"}
		m.warnOld(now.AddDate(0, 0, -days), now)
		if got := strings.Join(m.warnings, ""); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%d days: %q", days, got)
		}
	}
	var unknown TriedMailbox
	if unknown.warnOld(time.Time{}, now); len(unknown.warnings) > 0 {
		t.Errorf("without a time: %q", unknown.warnings)
	}
}

// TestReachUploads asks for the upload host through a proxy that refuses, and through one that
// leads to it.
func TestReachUploads(t *testing.T) {
	authority := testcert.NewAuthority(t)
	key := testcert.NewKey(t)
	cert := authority.Sign(&x509.Certificate{DNSNames: []string{"outlook.office.com"}, NotAfter: time.Now().Add(time.Hour)}, key.Public())
	host := httptest.NewUnstartedServer(http.NotFoundHandler())
	host.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	host.StartTLS()
	t.Cleanup(host.Close)
	for _, allows := range []bool{true, false} {
		asked := ""
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked = r.Host; !allows {
				http.Error(w, "blocked", http.StatusForbidden)
				return
			}
			tunnel(t, w, host.Listener.Addr().String())
		}))
		t.Cleanup(proxy.Close)
		c := config.Connection{Cloud: config.CloudGlobal, Endpoints: config.Endpoints{Login: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com"},
			MailReadWrite: true, Proxy: proxy.URL, Authorities: []*x509.Certificate{authority.Cert}}
		cfg := config.Default()
		client := NewClient(cfg, c, nil, nil)
		var check Check
		check.reachUploads(t.Context(), client, &c)
		client.Close()
		if asked != "outlook.office.com:443" {
			t.Errorf("the proxy was asked for %q", asked)
		}
		if allows && (check.UploadHost != "reached" || len(check.Faults) > 0) {
			t.Errorf("reached: %+v", check)
		}
		if !allows && (check.UploadHost != "not reached" || len(check.Faults) != 1 || !strings.Contains(check.Faults[0], "have the proxy allow that host")) {
			t.Errorf("refused: %+v", check)
		}
		c.Uploads = config.UploadsOff
		check = Check{}
		if check.reachUploads(t.Context(), client, &c); check.UploadHost != "" || len(check.Faults) > 0 {
			t.Errorf("with uploads: off: %+v", check)
		}
	}
}

// tunnel joins the client of a CONNECT with an address.
func tunnel(t *testing.T, w http.ResponseWriter, address string) {
	to, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer to.Close()
	from, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer from.Close()
	_, _ = from.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	go func() { _, _ = io.Copy(to, buffered) }()
	_, _ = io.Copy(from, to)
}
