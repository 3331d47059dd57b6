package nodes

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// member is a server of a Patroni cluster.
type member struct {
	name, dir string
	api       string // address of Patroni
	port      int    // of PostgreSQL
	*harness.Process
}

// patroni is a Patroni cluster of three with a synchronous standby.
type patroni struct {
	program string
	members []*member
}

// TestPatroni switches the primary of the database over, and then kills it, while mail flows.
// Nothing that was accepted is lost.
func TestPatroni(t *testing.T) {
	p := startPatroni(t)
	c := &cluster{front: map[string]string{}, database: p.database(t)}
	c.start(t, nil)
	done := c.send()
	defer c.explain(t)
	defer c.outbox.Stop.Store(true)
	c.flows(t)

	old := p.primary(t)
	p.synchronous(t)
	reply, err := http.Post("http://"+old.api+"/switchover", "application/json", strings.NewReader(fmt.Sprintf(`{"leader": %q}`, old.name)))
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("switchover: %s", reply.Status)
	}
	within(t, *patience, "another primary", func() bool { return p.primary(t) != old })
	c.flows(t)

	old = p.primary(t)
	p.synchronous(t)
	old.Signal(syscall.SIGKILL)
	old.killServer(t)
	within(t, *patience, "another primary", func() bool { return p.primary(t) != old })
	c.ready(t, *patience)
	c.flows(t)
	c.finish(t, done, *patience)
}

func startPatroni(t *testing.T) *patroni {
	t.Helper()
	if os.Geteuid() != 0 {
		harness.SkipUnlessCI(t, "needs root, to run PostgreSQL as another user")
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		harness.SkipUnlessCI(t, "needs the user postgres: %v", err)
	}
	etcd, setpriv := harness.NeedTool(t, "etcd"), harness.NeedTool(t, "setpriv")
	p := &patroni{program: harness.NeedTool(t, "patroni")}
	bin := filepath.Dir(testpostgres.Program(t, "pg_rewind"))
	if real, err := filepath.EvalSymlinks(testpostgres.Program(t, "postgres")); err == nil {
		bin = filepath.Dir(real)
	}
	peers, clients := fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	harness.StartProcess(t, etcd, "--data-dir", t.TempDir(), "--unsafe-no-fsync", "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
		"--initial-cluster", "default="+peers, "--listen-client-urls", "http://"+clients, "--advertise-client-urls", "http://"+clients)
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for n := range 3 {
		m := &member{name: fmt.Sprintf("db%d", n+1), dir: harness.ServerDir(t), api: fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t)), port: harness.FreePort(t)}
		config := fmt.Sprintf(patroniConfig, m.name, m.api, clients, m.port, m.dir, bin)
		path := filepath.Join(m.dir, "patroni.yml")
		if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(m.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.killServer(t) })
		cmd := exec.Command(setpriv, "--reuid="+owner.Uid, "--regid="+owner.Gid, "--clear-groups", p.program, path)
		cmd.Dir = m.dir
		m.Process = harness.StartCommand(t, m.name, cmd)
		p.members = append(p.members, m)
	}
	p.synchronous(t)
	return p
}

// patroniConfig is the configuration of a member: its name, the address of its API, that of etcd,
// the port of PostgreSQL, its directory, and where its programs are.
const patroniConfig = `
scope: queue
name: %[1]s
restapi: {listen: "%[2]s", connect_address: "%[2]s"}
etcd3: {host: "%[3]s"}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    synchronous_mode: true
    postgresql: {use_pg_rewind: true, parameters: {max_connections: 100}}
  initdb: [{encoding: UTF8}, {locale: C}]
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
postgresql:
  listen: 127.0.0.1:%[4]d
  connect_address: 127.0.0.1:%[4]d
  data_dir: %[5]s/data
  bin_dir: %[6]s
  pgpass: %[5]s/pgpass
  authentication:
    superuser: {username: postgres, password: simulated}
    replication: {username: replicator, password: simulated}
    rewind: {username: rewind, password: simulated}
  parameters: {unix_socket_directories: %[5]s, fsync: "off"}
`

// killServer kills the member's PostgreSQL, if it runs.
func (m *member) killServer(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "data", "postmaster.pid"))
	if err != nil {
		return // it does not run
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(first); err == nil && pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// is reports whether a member answers 200 for a role (Patroni's REST API).
func (m *member) is(role string) bool {
	reply, err := http.Get("http://" + m.api + "/" + role)
	if err != nil {
		return false
	}
	_ = reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

// primary waits for a primary and returns it.
func (p *patroni) primary(t *testing.T) (found *member) {
	t.Helper()
	within(t, *patience, "a primary", func() bool {
		for _, m := range p.members {
			if m.is("primary") {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// synchronous waits for a synchronous standby.
func (p *patroni) synchronous(t *testing.T) {
	t.Helper()
	within(t, *patience, "a synchronous standby", func() bool {
		for _, m := range p.members {
			if m.is("synchronous") {
				return true
			}
		}
		return false
	})
}

// database creates a database, waits until all members have it, and returns the address that
// docs/nodes.md gives for it. A standby that has not replayed the creation refuses the connection,
// and then pgx, like libpq, asks no other one.
func (p *patroni) database(t *testing.T) string {
	t.Helper()
	var hosts []string
	for _, m := range p.members {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", m.port))
	}
	address := func(name string) string {
		return fmt.Sprintf("postgres://postgres:simulated@%s/%s?sslmode=disable&target_session_attrs=read-write", strings.Join(hosts, ","), name)
	}
	db, err := pgx.Connect(t.Context(), address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "CREATE DATABASE queue"); err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		within(t, *patience, "the database at "+host, func() bool {
			member, err := pgx.Connect(t.Context(), "postgres://postgres:simulated@"+host+"/queue?sslmode=disable")
			if err == nil {
				err = member.Close(t.Context())
			}
			return err == nil
		})
	}
	return address("queue")
}
