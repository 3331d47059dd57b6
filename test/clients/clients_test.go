package clients

import (
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// submission is one message on its way through one client.
type submission struct {
	relay     *harness.Relay
	listener  string
	mechanism string // of AUTH; empty: none
	sample    harness.Sample
}

func (s submission) port() string {
	_, port, _ := net.SplitHostPort(s.relay.Address[s.listener])
	return port
}

func (s submission) authority() string { return filepath.Join(s.relay.Dir, "relay.crt") }

// TestClients sends three messages with each client through each listener, and
// compares what the mailbox holds with what was sent.
func TestClients(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	clients := []struct {
		name string
		send func(t *testing.T, s submission)
		// AUTH mechanisms on the listeners submission and submissions.
		startTLS, implicit string
	}{
		{"swaks", sendSwaks, "LOGIN", "PLAIN"},
		{"smtplib", sendSMTPLib, "PLAIN", "LOGIN"},
		{"msmtp", sendMSMTP, "LOGIN", "PLAIN"},
		{"nodemailer", sendNodemailer, "PLAIN", "LOGIN"},
		{"curl", sendCurl, "LOGIN", "PLAIN"},
		{"net-smtp", sendNetSMTP, "PLAIN", ""},
	}
	ways := func(c int) []submission {
		list := []submission{{listener: "devices"}, {listener: "submission", mechanism: clients[c].startTLS}}
		if clients[c].implicit != "" {
			list = append(list, submission{listener: "submissions", mechanism: clients[c].implicit})
		}
		return list
	}
	for i, client := range clients {
		for _, way := range ways(i) {
			title := client.name + " " + way.listener
			t.Run(strings.ReplaceAll(title, " ", "/"), func(t *testing.T) {
				t.Parallel()
				from, mailbox := client.name+"-"+way.listener+"@contoso.test", client.name+"-"+way.listener+"@contoso.test"
				if way.listener == "devices" {
					from, mailbox = client.name+"@printers.local", "scanner@contoso.test"
				}
				for _, sample := range harness.Samples(t, from, title) {
					way.relay, way.sample = relay, sample
					client.send(t, way)
					sample.Check(t, sim.Sent(t, mailbox, sample.Subject))
				}
			})
		}
	}
}

func sendSwaks(t *testing.T, s submission) {
	args := []string{"--server", "127.0.0.1", "--port", s.port(), "--ehlo", "client.test", "--suppress-data", "--hide-all",
		"--from", s.sample.From, "--to", strings.Join(s.sample.Recipients(), ",")}
	switch s.listener {
	case "submission":
		args = append(args, "--tls", "--tls-verify", "--tls-ca-path", s.authority())
	case "submissions":
		args = append(args, "--tls-on-connect", "--tls-verify", "--tls-ca-path", s.authority())
	}
	if s.mechanism != "" {
		args = append(args, "--auth", s.mechanism, "--auth-user", harness.CRMUser, "--auth-password", harness.CRMPassword)
	}
	args = append(args, "--data", "@"+harness.SaveText(t, s.sample.Compose(harness.RFC2231Name)))
	harness.Tool(t, "", harness.NeedTool(t, "swaks"), args...)
}

func sendSMTPLib(t *testing.T, s submission) {
	harness.Tool(t, "", harness.NeedTool(t, "python3"), "testdata/clients/smtplib_client.py",
		s.sample.SaveSpec(t), s.port(), s.listener, s.mechanism, harness.CRMUser, harness.CRMPassword, s.authority())
}

func sendNodemailer(t *testing.T, s submission) {
	node := harness.NeedTool(t, "node")
	if _, err := os.Stat("testdata/nodemailer/node_modules/nodemailer"); err != nil {
		harness.SkipUnlessCI(t, "Nodemailer is not installed; .ci/install installs it")
	}
	harness.Tool(t, "", node, "testdata/nodemailer/client.js",
		s.sample.SaveSpec(t), s.port(), s.listener, s.mechanism, harness.CRMUser, harness.CRMPassword, s.authority())
}

func sendMSMTP(t *testing.T, s submission) {
	config := []string{"account default", "host 127.0.0.1", "port " + s.port(), "domain client.test"}
	if s.listener != "devices" {
		config = append(config, "tls on", "tls_trust_file "+s.authority())
	}
	if s.listener == "submissions" {
		config = append(config, "tls_starttls off")
	}
	if s.mechanism != "" {
		config = append(config, "auth "+strings.ToLower(s.mechanism), "user "+harness.CRMUser, "password "+harness.CRMPassword)
	}
	args := []string{"--file", harness.SaveText(t, strings.Join(config, "\n")+"\n"), "--from", s.sample.From, "--"}
	harness.Tool(t, s.sample.Compose(harness.EncodedWordName), harness.NeedTool(t, "msmtp"), append(args, s.sample.Recipients()...)...)
}

// sendCurl lets curl make the MIME, which writes file names in raw UTF-8.
func sendCurl(t *testing.T, s submission) {
	scheme := "smtp"
	if s.listener == "submissions" {
		scheme = "smtps"
	}
	args := []string{"--silent", "--show-error", "--url", scheme + "://127.0.0.1:" + s.port() + "/client.test", "--mail-from", s.sample.From}
	for _, to := range s.sample.Recipients() {
		args = append(args, "--mail-rcpt", to)
	}
	if s.listener != "devices" {
		args = append(args, "--ssl-reqd", "--cacert", s.authority(), "--user", harness.CRMUser+":"+harness.CRMPassword, "--login-options", "AUTH="+s.mechanism)
	}
	// The header is the one that Compose writes.
	header, _, _ := strings.Cut(s.sample.Compose(harness.RFC2231Name), "\r\nMIME-Version")
	for h := range strings.SplitSeq(strings.ReplaceAll(header, "\r\n ", " "), "\r\n") {
		args = append(args, "--header", h)
	}
	harness.Tool(t, "", harness.NeedTool(t, "curl"), append(args, curlForm(t, s.sample)...)...)
}

func curlForm(t *testing.T, s harness.Sample) []string {
	if s.HTML != "" {
		f := s.Files[0]
		return []string{"--form", "=(;type=multipart/related",
			"--form", "=<" + harness.SaveText(t, s.HTML) + ";type=text/html;encoder=quoted-printable",
			"--form", "=@" + f.Path + ";type=" + f.Type + ";filename=" + f.Name + ";encoder=base64;headers=\"Content-ID: <" + f.ContentID + ">\";headers=\"Content-Disposition: inline; filename=" + f.Name + "\"",
			"--form", "=)"}
	}
	form := []string{"--form", "=<" + harness.SaveText(t, s.Text) + ";type=text/plain;charset=utf-8;encoder=base64"}
	for _, f := range s.Files {
		form = append(form, "--form", "=@"+f.Path+";type="+f.Type+";filename=\""+f.Name+"\";encoder=base64")
	}
	return form
}

// sendNetSMTP sends with Go's standard client.
func sendNetSMTP(t *testing.T, s submission) {
	message := []byte(s.sample.Compose(harness.EncodedWordName))
	c, err := smtp.Dial(s.relay.Address[s.listener])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.mechanism != "" {
		step(c.StartTLS(harness.ClientTLS()))
		step(c.Auth(smtp.PlainAuth("", harness.CRMUser, harness.CRMPassword, "127.0.0.1")))
	}
	step(c.Mail(s.sample.From))
	for to := range slices.Values(s.sample.Recipients()) {
		step(c.Rcpt(to))
	}
	w, err := c.Data()
	step(err)
	_, err = w.Write(message)
	step(err)
	step(w.Close())
	step(c.Quit())
}
