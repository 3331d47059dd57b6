package testpostgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bouncer runs a pgbouncer in transaction mode before the databases of the server of
// Database, and returns the URL of a new one through it. It has few connections to the
// server, so that its clients share them.
func Bouncer(t testing.TB) string {
	t.Helper()
	program := Program(t, "pgbouncer")
	Database(t) // starts the server
	sharedMu.Lock()
	s := shared
	sharedMu.Unlock()
	dir, err := os.MkdirTemp("", "graphrelay-pgbouncer-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.user.own(t, dir)
	port := freePort(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
server_round_robin = 1
`, s.Port, port), 0o644))
	var log bytes.Buffer
	p := startProcess(t, s.user.run(exec.Command(program, config)), &log)
	t.Cleanup(func() { _ = p.end(syscall.SIGQUIT) })
	url := strings.Replace(s.Database(t), fmt.Sprintf(":%d/", s.Port), fmt.Sprintf(":%d/", port), 1)
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(context.Background(), url)
		if err == nil {
			_ = c.Close(context.Background())
			return url
		}
		select {
		case <-p.done:
			t.Fatalf("pgbouncer ended: %s", log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
}
