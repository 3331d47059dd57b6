package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// A documented command is listed here with what becomes of it in these tests.
type documented struct {
	command string
	does    action
}

// action is what a test does with a command. All commands are checked for the syntax of the
// shell, and those of graphrelay, make and go for their flags, targets and packages.
type action struct {
	run   func(w *walk, command string)
	other string // the name of the test that runs it
	why   string // it is not run
}

// runs runs the command, with more arguments, and wants status 0.
func runs(more ...string) action {
	return action{run: func(w *walk, command string) {
		w.t.Helper()
		w.shell(strings.Join(append([]string{command}, more...), " "), 0)
	}}
}

// serves starts a server that answers at the address of that name, until the end of the page.
func serves(name string, more ...string) action {
	return action{run: func(w *walk, command string) {
		w.t.Helper()
		w.serve(strings.Join(append([]string{command}, more...), " "), name)
	}}
}

// selectsNothing runs an action on the queue, which has no such message.
func selectsNothing() action {
	return action{run: func(w *walk, command string) {
		w.t.Helper()
		if out := w.shell(command, 1); !strings.Contains(out, "no message is selected") {
			w.t.Errorf("%s: %s", command, out)
		}
	}}
}

func elsewhere(test string) action { return action{other: test} }
func never(why string) action      { return action{why: why} }

const (
	changesMachine = "it changes the machine, as root"
	noEngine       = "there is no container engine here"
	isCI           = "it runs the tests, or what CI runs"
	writesExpected = "it overwrites expected files, or what is linked"
)

// commands has every command that a document shows, in the order in which it shows them. A page
// is worked through in a folder of its own.
var commands = map[string][]documented{
	"README.md": {
		{"go run ./cmd/graphrelay demo", elsewhere("TestDemo")},
		{"make test", never(isCI)},
		{"make build", never(isCI)},
		{"./graphrelay setup", elsewhere("TestTerminal")},
		{"./graphrelay serve --config relay.yaml", serves("admin")},
		{"swaks --server 127.0.0.1:2525 --from scanner@example.com --to you@example.com", runs()},
		{"./graphrelay send-test --to you@example.com --from scanner@example.com --config relay.yaml", runs()},
		{"./graphrelay probe --mailbox scanner@example.com --config relay.yaml", runs("--wait 3s")},
	},
	"CONTRIBUTING.md": {
		{"make build", never(isCI)},
		{"make test", never(isCI)},
		{"make lint", never(isCI)},
		{"make vulncheck", never(isCI)},
		{"make test TESTS=./relay/queue/...", never(isCI)},
		{"go test ./mime -run TestGolden -update", never(writesExpected)},
		{"go test ./relay/bounce -run TestNotices -update", never(writesExpected)},
		{"go test ./relay/config -run TestBad -update", never(writesExpected)},
		{"go test ./relay/setup -run 'TestScript|TestLimited' -update", never(writesExpected)},
		{"go test ./relay/imports -run TestGolden -update", never(writesExpected)},
		{"go test ./test/readers -run TestFolders -v -args -folders ~/mail -differences /tmp/differences", never("it needs a folder of mail")},
		{"go test ./test/upgrade -run TestKeep -keep v1.0.0", never(writesExpected)},
		{"go test ./test/costs -update", never(writesExpected)},
		{"go test ./internal/licences -update", never(writesExpected)},
		{"cd .ci/tools && go get honnef.co/go/tools@v0.8.2 && go mod tidy", never(writesExpected)},
		{"git tag v1.0.0", never("it changes the repository")},
		{"make release", never(isCI)},
		{"make vulncheck ARGS=-strict", never(isCI)},
		{"gpg --armor --detach-sign dist/release/SHA256SUMS", never("it needs the key of the project")},
	},
	"docs/api.md": {
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/relay`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/openapi.json`, runs("--fail-with-body", "-sS")},
		{"graphrelay queue list --url https://relay.example.com:9025 --token-file token.secret", elsewhere("TestURL")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket 'http://relay/api/v1/messages?state=deferred,held&lane=contoso&limit=20'`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket 'http://relay/api/v1/messages/count?state=failed&since=2026-11-29T14:00:00Z'`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/actions/hold --json '{"ids": ["06rq2p8k1v4t9x3m"], "dry_run": true}'`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket -X POST 'http://relay/api/v1/actions/retry/selection?state=deferred&lane=contoso'`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/lanes`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/lanes/pause --json '{"lane": "contoso/crm@contoso.com", "seconds": 3600}'`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/lanes/resume --json '{"lane": "contoso/crm@contoso.com"}'`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/nodes`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/audits`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/configuration/changes`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket -X POST http://relay/api/v1/configuration/reload`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/listeners`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/connections`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/incidents`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket http://relay/api/v1/attention`, runs("--fail-with-body", "-sS")},
		{`curl --unix-socket /var/lib/graphrelay/control/socket 'http://relay/api/v1/flow?span=day'`, runs("--fail-with-body", "-sS")},
	},
	"docs/clients.md": {
		{"swaks --server relay.example.com:587 --tls --auth-user crm --auth-password crm-secret --from crm@example.com --to anna@example.org", runs()},
		{"curl --ssl-reqd --user crm:crm-secret --mail-from crm@example.com --mail-rcpt anna@example.org --upload-file mail.eml smtp://relay.example.com:587", runs()},
	},
	"docs/console.md": {
		{"ssh -L 9025:127.0.0.1:9025 relay.example.com", never("there is no such machine")},
	},
	"docs/graph.md": {
		{"graphrelay simulate --world filterLag=4s --world deleteTo=recoverable", serves("simulator", "--quiet --listen $SIMULATOR")},
		{`curl -H 'Content-Type: application/json' http://127.0.0.1:8100/_simulator/faults -d '{"operation": "send", "mailbox": "crm@contoso.test", "nth": 2, "status": 503, "code": "ErrorServerBusy", "retryAfter": "5"}'`, runs("--fail")},
	},
	"docs/install.md": {
		{"apt install ./graphrelay_1.0.0-1_amd64.deb", elsewhere("TestPackages")},
		{"dnf install ./graphrelay-1.0.0-1.x86_64.rpm", elsewhere("TestPackages")},
		{"graphrelay setup", elsewhere("TestTerminal")},
		{"systemctl enable --now graphrelay", elsewhere("TestPackages")},
		{"systemctl status graphrelay", never(changesMachine)},
		{"install -m 640 -g graphrelay /usr/share/doc/graphrelay/config.office.yaml /etc/graphrelay/relay.yaml", never(changesMachine)},
		{"install -m 640 -g graphrelay contoso.secret /etc/graphrelay/", never(changesMachine)},
		{"runuser -u graphrelay -- graphrelay check --online", never(changesMachine)},
		{"firewall-cmd --permanent --add-service=smtp && firewall-cmd --reload", never(changesMachine)},
		{"runuser -u graphrelay -- graphrelay send-test --from scanner@example.com --to you@example.com", never(changesMachine)},
		{"systemctl stop graphrelay", never(changesMachine)},
		{"cp -a /var/lib/graphrelay /var/lib/graphrelay.before", never(changesMachine)},
		{"apt install ./graphrelay_1.1.0-1_amd64.deb", elsewhere("TestPackages")},
		{"systemctl start graphrelay", never(changesMachine)},
		{"systemctl stop graphrelay", never(changesMachine)},
		{"apt install --allow-downgrades ./graphrelay_1.0.0-1_amd64.deb", never(changesMachine)},
		{"systemctl start graphrelay", never(changesMachine)},
		{"systemctl stop graphrelay", never(changesMachine)},
		{"mv /var/lib/graphrelay /var/lib/graphrelay.after", never(changesMachine)},
		{"cp -a /var/lib/graphrelay.before /var/lib/graphrelay", never(changesMachine)},
		{"runuser -u graphrelay -- graphrelay queue restored", never(changesMachine)},
		{"systemctl start graphrelay", never(changesMachine)},
		{"rm -r /etc/graphrelay /var/lib/graphrelay", elsewhere("TestPackages")},
		{"docker load --input graphrelay-v1.0.0-linux-amd64.image.tar", never(noEngine)},
		{"chown 65532 relay.yaml contoso.secret && chmod 400 relay.yaml contoso.secret", never(changesMachine)},
		{`docker run --detach --name graphrelay --read-only --cap-drop ALL --security-opt no-new-privileges --publish 25:2525 --restart unless-stopped --stop-timeout 60 --volume ./relay.yaml:/etc/graphrelay/relay.yaml:ro --volume ./contoso.secret:/run/secrets/contoso.secret:ro --volume graphrelay:/var/lib/graphrelay graphrelay:v1.0.0`, never(noEngine)},
		{"docker exec graphrelay graphrelay check --online", never(noEngine)},
		{"docker exec graphrelay graphrelay send-test --from scanner@example.com --to you@example.com", never(noEngine)},
		{"docker exec graphrelay graphrelay queue list", never(noEngine)},
		{"GRAPHRELAY_VERSION=v1.0.0 docker compose --file deploy/compose/compose.yaml up --detach", never(noEngine)},
		{"kubectl create secret generic graphrelay --from-file=contoso.secret", never(noEngine)},
		{"kubectl apply --kustomize deploy/kubernetes/sqlite", never(noEngine)},
		{"kubectl exec statefulset/graphrelay -- graphrelay check --online", never(noEngine)},
		{"kubectl exec statefulset/graphrelay -- graphrelay send-test --from scanner@example.com --to you@example.com", never(noEngine)},
		{"make build", never(isCI)},
		{"sha256sum --check --ignore-missing SHA256SUMS", never("it needs a release")},
		{"gpg --verify SHA256SUMS.asc SHA256SUMS", never("it needs a release")},
	},
	"docs/mailboxes.md": {
		{"(umask 077; openssl rand -base64 32 > token.key)", runs()},
		{"graphrelay connect anna@contoso.test --smtp-user --config relay.yaml", elsewhere("TestConnectCommand")},
		{"graphrelay connect info@contoso.test --shared --config relay.yaml", elsewhere("TestConnectShared")},
	},
	"docs/moving.md": {
		{"graphrelay import smtp2graph config.yml --out relay.yaml", elsewhere("TestImportSMTP2Graph")},
		{"graphrelay import postfix /etc/postfix --out relay.yaml", elsewhere("TestImportPostfix")},
		{"mkdir entra && graphrelay setup --config entra/relay.yaml", elsewhere("TestTerminal")},
	},
	"docs/nodes.md": {
		{"createuser --pwprompt graphrelay", never("it needs a database server")},
		{"createdb --owner graphrelay graphrelay", never("it needs a database server")},
		{"runuser -u graphrelay -- graphrelay queue restored", elsewhere("TestRestore")},
		{"runuser -u graphrelay -- graphrelay queue move --to-file /etc/graphrelay/queue.secret", elsewhere("TestQueueMove")},
	},
	"docs/alerts.md": {
		{"graphrelay alerts test", elsewhere("TestAlertsCommand")},
		{"graphrelay alerts", elsewhere("TestAlertsCommand")},
	},
	"docs/operations.md": {
		{"graphrelay queue delete --user scanner --since 1h --dry-run", selectsNothing()},
		{"graphrelay queue retry --state deferred --lane contoso", selectsNothing()},
		{"graphrelay config schema > relay.schema.json", runs()},
		{"install graphrelay /usr/local/bin/", never(changesMachine)},
		{"useradd --system --home-dir /var/lib/graphrelay --shell /usr/sbin/nologin graphrelay", never(changesMachine)},
		{"install -d -m 750 -g graphrelay /etc/graphrelay", never(changesMachine)},
		{"graphrelay setup --config /etc/graphrelay/relay.yaml", elsewhere("TestTerminal")},
		{"install -m 640 -g graphrelay relay.yaml /etc/graphrelay/", never(changesMachine)},
		{"install -m 640 -g graphrelay contoso.secret /etc/graphrelay/", never(changesMachine)},
		{"install -d -m 700 -o graphrelay -g graphrelay /var/lib/graphrelay", never(changesMachine)},
		{"cp -r certificate /var/lib/graphrelay/", never(changesMachine)},
		{"chown -R graphrelay:graphrelay /var/lib/graphrelay/certificate", never(changesMachine)},
		{"runuser -u graphrelay -- graphrelay check --online --config /etc/graphrelay/relay.yaml", never(changesMachine)},
		{"install -m 644 graphrelay.service /etc/systemd/system/", never(changesMachine)},
		{"systemctl daemon-reload", never(changesMachine)},
		{"systemctl enable --now graphrelay", never(changesMachine)},
		{"runuser -u graphrelay -- graphrelay queue list", never(changesMachine)},
		{"printf 'graphrelay trace 06h2spkdk5sn1w1g' | sha256sum", runs()},
		{"graphrelay console", elsewhere("TestReloadByAnotherUser")},
		{`openssl req -x509 -newkey rsa:2048 -noenc -days 365 -subj "/CN=relay.example.com" -addext "subjectAltName=DNS:relay.example.com" -keyout relay.key -out relay.crt`, runs()},
		{`openssl req -x509 -newkey rsa:2048 -noenc -days 3650 -subj "/CN=relay clients" -keyout ca.key -out clients-ca.crt`, runs()},
		{"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=crm -keyout crm.key -out crm.csr", runs()},
		{`openssl x509 -req -in crm.csr -CA clients-ca.crt -CAkey ca.key -CAcreateserial -days 730 -extfile <(echo "subjectAltName=DNS:crm.contoso.test") -out crm.crt`, runs()},
	},
	"docs/operators.md": {
		{"graphrelay console", elsewhere("TestReloadByAnotherUser")},
		{"ssh -L 9025:localhost:9025 relay.contoso.test", never("there is no such machine")},
		{"graphrelay hash-password --token", elsewhere("TestHashPasswordCommand")},
	},
	"docs/performance.md": {
		{"make bench", never("it takes a quarter of an hour")},
		{"go test ./test/load -count=1 -v -run TestCompareAccepts -compare -rounds 5", never("it takes minutes")},
		{"make benchmarks BENCH=Message10KB COUNT=10", never("it takes minutes")},
	},
	"docs/probe.md": {
		{"graphrelay probe --mailbox scanner@contoso.com", runs("--wait 3s")},
		{"graphrelay simulate --as tenant.json", serves("simulator", "--quiet --listen $SIMULATOR")},
	},
	"docs/quickstart.md": {
		{"./graphrelay demo", elsewhere("TestDemo")},
	},
	"docs/sendmail.md": {
		{"apt install ./graphrelay-mta_1.0.0-1_all.deb", elsewhere("TestPackages")},
		{"dnf install ./graphrelay-mta-1.0.0-1.noarch.rpm", elsewhere("TestPackages")},
		{`ln -s "$(command -v graphrelay)" /usr/sbin/sendmail`, never(changesMachine)},
		{"ln -s /usr/sbin/sendmail /usr/lib/sendmail", never(changesMachine)},
		{`echo "It works." | sendmail -v -F Test you@example.com`, elsewhere("TestConversion")},
		{"until sendmail -t -i < message.eml; do [ $? -eq 75 ] || break; sleep 60; done", never("it needs a message, and a sendmail")},
	},
	"docs/pickup.md": {
		{"groupadd --system mailers", never(changesMachine)},
		{"install -d -m 3770 -o graphrelay -g mailers /var/spool/graphrelay", never(changesMachine)},
		{"usermod -a -G mailers graphrelay", never(changesMachine)},
		{"usermod -a -G mailers crm", never(changesMachine)},
	},
	"docs/setup.md": {
		{"graphrelay setup", elsewhere("TestTerminal")},
		{"graphrelay setup --print powershell --mailboxes scanner@contoso.com > register.ps1", runs()},
		{"(umask 077; cat > contoso.secret)", elsewhere("TestReadme")},
		{"cp config.example.yaml relay.yaml", elsewhere("TestReadme")},
		{"./graphrelay hash-password", elsewhere("TestReadme")},
		{"./graphrelay check --online --mailbox scanner@example.com --config relay.yaml", elsewhere("TestReadme")},
		{"./graphrelay serve --config relay.yaml", elsewhere("TestReadme")},
		{"swaks --server 127.0.0.1:25 --from scanner@example.com --to you@example.com", elsewhere("TestReadme")},
	},
	"docs/sign-in.md": {
		{`openssl req -x509 -newkey rsa:3072 -sha256 -days 365 -noenc -subj "/CN=graphrelay" -keyout contoso.key -out contoso.crt`, runs()},
		{"chmod 640 contoso.key && chgrp graphrelay contoso.key", never("it needs the group of the service")},
		{"openssl x509 -in certificate-0123456789abcdef.pem -out new.cer", never("it needs a certificate that the relay has made")},
	},
	"docs/upgrade.md": {
		{"dpkg-deb -x graphrelay_1.1.0-1_amd64.deb /tmp/graphrelay", never("it needs a release")},
		{"runuser -u graphrelay -- /tmp/graphrelay/usr/bin/graphrelay check --config /etc/graphrelay/relay.yaml", never(changesMachine)},
	},
	"docs/windows.md": {
		{"make msi", never(isCI)},
	},
}

// shown returns the commands that a page shows, with continued lines joined and without
// comments.
func shown(t *testing.T, page string) (all []string) {
	t.Helper()
	comment := regexp.MustCompile(`(^|\s+)# .*$`)
	for _, b := range blocks(t, page, "sh") {
		text := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(b.text, "")
		for line := range strings.Lines(text) {
			if command := strings.TrimSpace(comment.ReplaceAllString(strings.TrimSpace(line), "")); command != "" {
				all = append(all, command)
			}
		}
	}
	return all
}

// TestCommandsAreListed checks that the table has exactly the commands that the documents show.
func TestCommandsAreListed(t *testing.T) {
	defined := testNames(t)
	listed := 0
	for _, page := range pages(t) {
		var want []string
		for _, d := range commands[page] {
			want = append(want, d.command)
			if d.does.other != "" && !defined[d.does.other] {
				t.Errorf("%s: %s: there is no test %s", page, d.command, d.does.other)
			}
			if d.does.run == nil && d.does.other == "" && d.does.why == "" {
				t.Errorf("%s: %s is not run, without a reason", page, d.command)
			}
		}
		listed += len(want)
		if got := shown(t, page); !slices.Equal(got, want) {
			t.Errorf("%s shows\n  %s\nand the table of this test has\n  %s", page, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	for page, list := range commands {
		listed -= len(list)
		if !slices.Contains(pages(t), page) {
			t.Errorf("there is no %s", page)
		}
	}
	if listed != 0 {
		t.Errorf("%d commands are of no page", -listed)
	}
}

// TestCommandsAreValid checks the syntax of every command, whether it is run or not.
func TestCommandsAreValid(t *testing.T) {
	bash := harness.NeedTool(t, "bash")
	harness.NeedTool(t, "make")
	for _, page := range pages(t) {
		for _, command := range shown(t, page) {
			harness.Tool(t, command, bash, "-n")
			name, rest, _ := strings.Cut(command, " ")
			switch name {
			case "make":
				harness.Tool(t, "", "make", append([]string{"-n", "-C", root}, strings.Fields(rest)...)...)
			case "go":
				checkGo(t, page, rest)
			}
			if m := ours.FindStringSubmatch(command); m != nil {
				checkFlags(t, page, m[1])
			}
		}
	}
}

// ours matches a command of graphrelay, perhaps run as another user.
var ours = regexp.MustCompile(`^(?:\./|runuser .* -- )?graphrelay (.*)$`)

// checkGo checks that the packages and the flags of a go command exist.
func checkGo(t *testing.T, page, line string) {
	t.Helper()
	words := strings.Fields(line)
	var tests strings.Builder
	for _, w := range words {
		if !strings.HasPrefix(w, "./") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, w, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: go %s: there is no package %s", page, line, w)
		}
		for _, path := range files {
			tests.WriteString(harness.ReadFile(t, path))
		}
	}
	for _, w := range words {
		name, ok := strings.CutPrefix(w, "-")
		if name, _, _ = strings.Cut(name, "="); !ok || slices.Contains([]string{"run", "v", "args", "count"}, name) {
			continue
		}
		if !strings.Contains(tests.String(), `("`+name+`", `) {
			t.Errorf("%s: go %s: the tests have no flag -%s", page, line, name)
		}
	}
}

// checkFlags has graphrelay parse a command line. With --help it does no more than that.
func checkFlags(t *testing.T, page, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, ">")
	if got := harness.Command(t, "", append(strings.Fields(line), "--help")...); got.Status != 0 {
		t.Errorf("%s: graphrelay %s: %s", page, line, got.Stderr)
	}
}

// inline matches a command line of graphrelay in a sentence.
var inline = regexp.MustCompile("`graphrelay\\s([a-z][^`]*)`")

// TestInlineCommands checks the commands that the documents name in sentences.
func TestInlineCommands(t *testing.T) {
	named := 0
	for _, page := range pages(t) {
		for _, m := range inline.FindAllStringSubmatch(read(t, page), -1) {
			if line := strings.Join(strings.Fields(m[1]), " "); !strings.ContainsAny(line, "[{|") {
				named++
				checkFlags(t, page, line)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d commands were found", named)
	}
}

// TestCommands runs the commands of each page in their order, in an empty folder.
func TestCommands(t *testing.T) {
	harness.NeedTool(t, "bash")
	for page, list := range commands {
		if !slices.ContainsFunc(list, func(d documented) bool { return d.does.run != nil }) {
			continue
		}
		t.Run(strings.ReplaceAll(page, "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWalk(t, page)
			for _, d := range list {
				tool, _, _ := strings.Cut(d.command, " ")
				if _, err := exec.LookPath(tool); err != nil && slices.Contains([]string{"swaks", "curl", "openssl"}, tool) {
					harness.SkipUnlessCI(t, "%s is not installed", tool)
				}
				if d.does.run != nil {
					d.does.run(w, w.replace.Replace(d.command))
				}
			}
			w.checkPrivate()
		})
	}
}
