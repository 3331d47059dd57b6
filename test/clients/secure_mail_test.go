package clients

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// secured is the part that is signed or encrypted (RFC 8551 section 3.1, RFC 3156 section
// 3). It has what relays tend to change: a line that begins with From, lines of dots,
// long lines, and text that looks like a header.
const secured = "Content-Type: multipart/mixed; boundary=\"inner\"\r\n\r\npreamble\r\n--inner\r\n" +
	"Content-Type: text/plain;   charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"Pay 100 EUR to J=C3=B6rg.=20\r\nFrom now on\r\n.\r\n..\r\nBcc: nobody\r\n\r\n--inner\r\n" +
	"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"=?utf-8?Q?=C3=BC?=.bin\"\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\nAAECAwQF\r\n\r\n--inner--\r\n"

// cipher is a way to secure mail. seal returns the MIME fields and the body; open checks
// a message and returns the secured part.
type cipher struct {
	name   string
	seal   func(t *testing.T) string
	open   func(message []byte) (string, error)
	tamper func(t *testing.T, message []byte) []byte
}

// TestSecureMail sends signed and encrypted mail. The programs that made it must be able
// to verify and decrypt what arrives.
func TestSecureMail(t *testing.T) {
	t.Parallel()
	ciphers := append(smime(t), pgp(t)...)
	for _, way := range []struct {
		name, from, mailbox, path string
		edits                     []harness.Edit
	}{
		{"mime", "signer@contoso.test", "signer@contoso.test", "mime", nil},
		{"sender rule", "signer@printers.local", "scanner@contoso.test", "mime", nil},
		{"sendmail", "signer@contoso.test", "signer@contoso.test", "sendmail", []harness.Edit{harness.Replace("    domains: ", "    mail_readwrite: false\n    domains: ")}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			sim := harness.StartSim(t)
			relay := harness.StartRelay(t, sim, way.edits...)
			for _, c := range ciphers {
				t.Run(c.name, func(t *testing.T) {
					head := fmt.Sprintf("From: Signer <%s>\r\nTo: Anna <anna@example.com>\r\nBcc: bernd@example.org\r\nSubject: %s\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n", way.from, c.name)
					message := []byte(head + c.seal(t))
					c.check(t, "before", message)
					sendRaw(t, relay, message, way.from, "anna@example.com", "bernd@example.org")
					got := sim.Sent(t, way.mailbox, c.name)
					stored := sim.StoredMIME(t, got)
					c.check(t, "after", stored)
					if opened, err := c.open(c.tamper(t, stored)); err == nil {
						t.Errorf("changed, it still passes:\n%s", opened)
					}
					if got.From.Address != way.mailbox || fmt.Sprint(got.Recipients()) != "[anna@example.com bernd@example.org]" {
						t.Errorf("from %s to %v", got.From.Address, got.Recipients())
					}
					if r := sentRecord(t, relay, c.name); r.Path != way.path {
						t.Errorf("it went by the path %s", r.Path)
					}
				})
			}
		})
	}
}

func (c cipher) check(t *testing.T, when string, message []byte) {
	t.Helper()
	got, err := c.open(message)
	if err != nil {
		t.Fatalf("%s the trip: %v\n%s", when, err, message)
	}
	if got != secured {
		t.Fatalf("%s the trip it reads\n%q\nwant\n%q", when, got, secured)
	}
}

// run returns a program's output. The error contains what the program wrote to standard
// error.
func run(stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, args[0], err, stderr.String())
	}
	return out, err
}

func mustRun(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	out, err := run(stdin, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withCRLF returns the text with CRLF as line ends.
func withCRLF(b []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
}

// smime returns S/MIME by OpenSSL: detached and opaque signatures, and encryption.
func smime(t *testing.T) []cipher {
	t.Helper()
	openssl := harness.NeedTool(t, "openssl")
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	mustRun(t, nil, openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
		"-subj", "/CN=Signer/emailAddress=signer@contoso.test",
		"-addext", "keyUsage=digitalSignature,keyEncipherment,keyCertSign", "-addext", "extendedKeyUsage=emailProtection")
	seal := func(args ...string) func(t *testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			return withCRLF(mustRun(t, []byte(secured), openssl, args...))
		}
	}
	open := func(args ...string) func([]byte) (string, error) {
		return func(message []byte) (string, error) {
			out, err := run(message, openssl, args...)
			return withCRLF(out), err
		}
	}
	signer := []string{"-signer", cert, "-inkey", key}
	verify := open("cms", "-verify", "-CAfile", cert)
	return []cipher{
		{"smime detached", seal(append([]string{"cms", "-sign"}, signer...)...), verify, changeText},
		{"smime detached, old command", seal(append([]string{"smime", "-sign"}, signer...)...), open("smime", "-verify", "-CAfile", cert), changeText},
		{"smime opaque", seal(append([]string{"cms", "-sign", "-nodetach"}, signer...)...), verify, changeBase64("Pay 100 EUR", "Pay 900 EUR")},
		{"smime encrypted", seal("cms", "-encrypt", "-aes-256-gcm", cert), open("cms", "-decrypt", "-recip", cert, "-inkey", key), changeBase64("", "")},
	}
}

// changeText changes one byte of text that was signed in clear.
func changeText(t *testing.T, message []byte) []byte {
	t.Helper()
	if bytes.Count(message, []byte("Pay 100 EUR")) != 1 {
		t.Fatal("the text to change is not there")
	}
	return bytes.Replace(message, []byte("Pay 100 EUR"), []byte("Pay 900 EUR"), 1)
}

// changeBase64 returns a function that changes a message of one base64 part: it replaces
// a text, or a byte in the middle if from is empty.
func changeBase64(from, to string) func(t *testing.T, message []byte) []byte {
	return func(t *testing.T, message []byte) []byte {
		t.Helper()
		head, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
		content, err := base64.StdEncoding.DecodeString(string(body))
		if err != nil {
			t.Fatal(err)
		}
		if from == "" {
			content[len(content)/2] ^= 1
		} else if bytes.Count(content, []byte(from)) != 1 {
			t.Fatal("the text to change is not there")
		}
		return fmt.Appendf(nil, "%s\r\n\r\n%s", head, harness.Wrapped(bytes.Replace(content, []byte(from), []byte(to), 1)))
	}
}

// pgp returns PGP/MIME (RFC 3156) by GnuPG.
func pgp(t *testing.T) []cipher {
	t.Helper()
	gpg := harness.NeedTool(t, "gpg")
	home, err := os.MkdirTemp("", "gpg") // short: it holds the socket of the agent
	if err != nil {
		t.Fatal(err)
	}
	args := func(more ...string) []string {
		return append([]string{"--homedir", home, "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always"}, more...)
	}
	t.Cleanup(func() {
		_, _ = run(nil, "gpgconf", "--homedir", home, "--kill", "all")
		_ = os.RemoveAll(home)
	})
	mustRun(t, nil, gpg, args("--quick-generate-key", "Signer <signer@contoso.test>", "future-default", "default", "never")...)
	sign := func(t *testing.T) string {
		t.Helper()
		signature := withCRLF(mustRun(t, []byte(secured), gpg, args("--armor", "--detach-sign", "--digest-algo", "SHA512")...))
		return "MIME-Version: 1.0\r\nContent-Type: multipart/signed; micalg=pgp-sha512;\r\n\tprotocol=\"application/pgp-signature\"; boundary=\"outer\"\r\n\r\n" +
			"This is an OpenPGP/MIME signed message (RFC 4880 and 3156)\r\n--outer\r\n" + secured + "\r\n--outer\r\n" +
			"Content-Type: application/pgp-signature; name=\"signature.asc\"\r\nContent-Disposition: attachment; filename=\"signature.asc\"\r\n\r\n" +
			signature + "\r\n--outer--\r\n"
	}
	verify := func(message []byte) (string, error) {
		parts := bytes.Split(message, []byte("\r\n--outer"))
		if len(parts) != 4 {
			return "", fmt.Errorf("%d pieces", len(parts))
		}
		signed := parts[1][len("\r\n"):]
		_, signature, _ := bytes.Cut(parts[2], []byte("\r\n\r\n"))
		dir, err := os.MkdirTemp(home, "verify") // several verify at a time
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, "signature.asc")
		if err := os.WriteFile(path, signature, 0o600); err != nil {
			return "", err
		}
		_, err = run(signed, gpg, args("--verify", path, "-")...)
		return string(signed), err
	}
	return []cipher{{"pgp signed", sign, verify, changeText}, pgpEncrypted(gpg, args)}
}

func pgpEncrypted(gpg string, args func(...string) []string) cipher {
	const begin, end = "-----BEGIN PGP MESSAGE-----", "-----END PGP MESSAGE-----"
	return cipher{"pgp encrypted", func(t *testing.T) string {
		t.Helper()
		text := withCRLF(mustRun(t, []byte(secured), gpg, args("--armor", "--encrypt", "--sign", "--recipient", "signer@contoso.test")...))
		return "MIME-Version: 1.0\r\nContent-Type: multipart/encrypted;\r\n protocol=\"application/pgp-encrypted\"; boundary=\"outer\"\r\n\r\n--outer\r\n" +
			"Content-Type: application/pgp-encrypted\r\nContent-Description: PGP/MIME version identification\r\n\r\nVersion: 1\r\n\r\n--outer\r\n" +
			"Content-Type: application/octet-stream; name=\"encrypted.asc\"\r\nContent-Disposition: inline; filename=\"encrypted.asc\"\r\n\r\n" +
			text + "\r\n--outer--\r\n"
	}, func(message []byte) (string, error) {
		from, to := bytes.Index(message, []byte(begin)), bytes.Index(message, []byte(end))
		if from < 0 || to < from {
			return "", errors.New("no PGP message")
		}
		out, err := run(message[from:to+len(end)+2], gpg, args("--decrypt")...)
		return string(out), err
	}, func(t *testing.T, message []byte) []byte {
		t.Helper()
		message = bytes.Clone(message)
		i := bytes.Index(message, []byte(begin)) + len(begin) + 300
		for message[i] == '\r' || message[i] == '\n' {
			i++
		}
		message[i] ^= 'A' ^ 'B' // stays in or near the alphabet
		return message
	}}
}
