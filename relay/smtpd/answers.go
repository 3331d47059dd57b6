package smtpd

import "github.com/emersion/go-smtp"

// ownAnswers are answers that go-smtp gives without asking the session, and what is
// said in their place.
var ownAnswers = map[string]*Refusal{
	"454 4.7.0 Invalid base64 data\r\n":       errSASLSyntax, // RFC 4954 section 4
	"552 5.3.4 Max message size exceeded\r\n": refusalOf(smtp.ErrDataTooLarge),
}

var errSASLSyntax = &Refusal{501, [3]int{5, 5, 2}, ReasonAuth, "The answer is not what the mechanism asks for, in base64; correct it, or use another mechanism"}

// own puts such an answer right, and counts it as the session would.
func (c *conn) own(p []byte) []byte {
	r := ownAnswers[string(p)]
	if r == nil {
		return p
	}
	if !c.inBody.Load() { // or the session counts the message
		c.server.metrics.rejected(c.server.cfg.Name, r.Reason)
		c.server.log.Info("refused", "client", c.client.String(), "reason", r.Reason, "answer", r.Error())
	}
	return []byte(r.Error() + "\r\n")
}
