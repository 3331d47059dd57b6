package smtpd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// maxCommandsBeforeTLS is how many commands a client may send before STARTTLS or MAIL.
const maxCommandsBeforeTLS = 20

var (
	errPlainQuit     = errors.New("the client left before STARTTLS")
	errPlainCommands = errors.New("too many commands before STARTTLS")
	errInjected      = errors.New("commands were sent together with STARTTLS")
)

// secure negotiates TLS as the listener is configured to.
func (c *smtpConn) secure() error {
	c.clock.start(c.server.cfg.Timeout, 0, 0) // for the negotiation as a whole
	defer c.clock.stop()
	switch c.server.cfg.TLS.Mode {
	case TLSImplicit:
		return c.handshake()
	case TLSStart:
		return c.negotiate()
	}
	return nil
}

// handshake starts TLS. After an error the connection must be closed: continuing in plain
// text would help an attacker on the path.
func (c *conn) handshake() error {
	t := tls.Server(c.Conn, c.server.cfg.TLS.Config)
	if err := t.SetDeadline(c.nextDeadline()); err != nil {
		return err
	}
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("tls handshake: %w", err)
	}
	state := t.ConnectionState()
	c.Conn, c.tls = t, &state
	return nil
}

// negotiate speaks SMTP until STARTTLS. A client that begins a transaction without TLS is
// handed to go-smtp, with its EHLO replayed, unless the listener requires AUTH.
func (c *smtpConn) negotiate() error {
	p := plaintext{c: c}
	p.reply("220 " + c.server.greeting())
	for range maxCommandsBeforeTLS {
		done, err := p.step()
		if err == nil {
			err = p.err
		}
		if done || err != nil {
			return err
		}
	}
	p.reply("421 4.7.0 Too many commands; start TLS first")
	return errPlainCommands
}

// plaintext is the SMTP dialog before TLS.
type plaintext struct {
	c    *smtpConn
	helo string // the client's last EHLO or HELO line
	err  error  // of the last write
}

func (p *plaintext) reply(lines ...string) {
	p.err = p.c.reply([]byte(strings.Join(lines, "\r\n") + "\r\n"))
}

// maxPlainLine is the longest command line before STARTTLS or MAIL.
const maxPlainLine = 2048

var errPlainLine = errors.New("a command line before STARTTLS is too long")

// readLine reads the next command line.
func (p *plaintext) readLine() (string, error) {
	raw, err := p.c.peekLine(maxPlainLine)
	if err != nil {
		return "", err
	}
	if len(raw) > maxPlainLine || raw[len(raw)-1] != '\n' {
		p.reply("500 5.5.2 Line too long")
		return "", errPlainLine
	}
	raw = p.c.tidyLine(raw)
	p.c.note(raw)
	line := strings.TrimRight(string(raw), "\r\n")
	p.c.discard(len(raw))
	return line, nil
}

// step handles one command. done means that the connection is ready for go-smtp.
func (p *plaintext) step() (done bool, err error) {
	line, err := p.readLine()
	if err != nil {
		return false, err
	}
	verb, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		p.hello(line, strings.ToUpper(verb) == "EHLO", arg)
	case "STARTTLS":
		if strings.TrimSpace(arg) == "" {
			return p.startTLS()
		}
		p.reply("501 5.5.4 STARTTLS takes no argument; send it alone") // RFC 3207 section 4
	case "NOOP":
		p.reply("250 2.0.0 OK")
	case "RSET":
		p.reply("250 2.0.0 Session reset")
	case "QUIT":
		p.reply("221 2.0.0 Bye")
		return false, errPlainQuit
	default:
		return p.other(line, strings.ToUpper(verb))
	}
	return false, nil
}

func (p *plaintext) hello(line string, extended bool, arg string) {
	name, _, _ := strings.Cut(strings.TrimSpace(arg), " ")
	if name == "" {
		p.reply("501 5.5.4 Say who you are: EHLO name")
		return
	}
	p.helo = line
	if !extended {
		p.reply("250 2.0.0 Hello " + printable(name))
		return
	}
	cfg := p.c.server.cfg
	p.reply("250-Hello "+printable(name),
		"250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", "250-CHUNKING", "250-STARTTLS", "250-SMTPUTF8", "250-DSN",
		fmt.Sprintf("250-SIZE %d", cfg.Message.Bytes), fmt.Sprintf("250 LIMITS RCPTMAX=%d", cfg.Message.Recipients))
}

// startTLS handles STARTTLS. It refuses commands that were sent with it in plain text
// (CVE-2011-0411).
func (p *plaintext) startTLS() (bool, error) {
	if len(p.c.unread) > 0 {
		p.reply("554 5.5.1 Nothing may follow STARTTLS before TLS is up")
		return false, errInjected
	}
	p.reply("220 2.0.0 Ready to start TLS")
	if p.err != nil {
		return false, p.err
	}
	if err := p.c.handshake(); err != nil {
		return false, err
	}
	return true, nil
}

// other handles the other commands. MAIL, and BDAT because of the chunk after it, are for
// go-smtp if the listener allows mail without TLS. The rest is answered here, so that the
// client can still start TLS.
func (p *plaintext) other(line, verb string) (bool, error) {
	switch {
	case verb == "AUTH":
		p.reply("530 5.7.0 Start TLS first: AUTH is offered only under TLS")
		return false, nil
	case p.c.server.cfg.Auth.Mode == AuthRequired:
		p.reply("530 5.7.0 Start TLS first, then authenticate")
		return false, nil
	case verb == "VRFY":
		p.reply("252 2.5.0 Cannot VRFY user, but will accept message")
		return false, nil
	case p.helo == "":
		p.reply("503 5.5.1 Say who you are first: EHLO name")
		return false, nil
	case verb == "RCPT" || verb == "DATA":
		p.reply("503 5.5.1 Send MAIL FROM first")
		return false, nil
	case verb != "MAIL" && verb != "BDAT":
		p.reply("502 5.5.1 Command not implemented")
		return false, nil
	}
	p.c.putBack([]byte(p.helo + "\r\n" + line + "\r\n"))
	p.c.suppress++ // the reply to the replayed EHLO
	return true, nil
}
