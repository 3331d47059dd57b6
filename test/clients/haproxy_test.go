package clients

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestHAProxy sends mail through HAProxy with either version of the PROXY protocol:
// the client is who connected to HAProxy, and health checks are no clients.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	program := harness.NeedTool(t, "haproxy")
	harness.NeedAddresses(t)
	relay := harness.StartRelay(t, harness.StartSim(t), harness.Replace("networks: [127.0.0.0/8]", "networks: [127.0.0.64/26]\n    proxy_networks: [127.0.0.1]"))
	config := "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1m\n  timeout server 1m\n"
	address := map[string]string{}
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		address[version] = fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
		config += fmt.Sprintf("listen %s\n  bind %s\n  server relay %s source 127.0.0.1 check inter 100ms %[1]s\n", version, address[version], relay.Address["devices"])
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.StartProcess(t, program, "-db", "-f", path)
	n := 70
	for version, at := range address {
		harness.WaitFor(t, "HAProxy", func() bool {
			c, err := net.Dial("tcp", at)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
		from := fmt.Sprintf("127.0.0.%d", n)
		n++
		d, err := harness.DialFrom(from, at)
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		if _, err := d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader("Subject: mail\r\n\r\nmail\r\n")); err != nil {
			t.Errorf("%s: %v", version, err)
		}
		_ = d.Close()
		want := fmt.Sprintf(`"msg":"queued","listener":"devices","client":"%s"`, from)
		harness.WaitFor(t, version+" in the log: "+want, func() bool { return strings.Contains(relay.Log.String(), want) })
		if _, err := harness.DialFrom("127.0.0.2", at); err == nil || !strings.HasPrefix(err.Error(), "554") {
			t.Errorf("%s: a client outside of the networks got %v", version, err)
		}
	}
	if n := relay.Metric(t, `graphrelay_messages_rejected_total{listener="devices",reason="protocol"}`); n > 0 {
		t.Errorf("%v connections were refused for want of a header", n)
	}
}
