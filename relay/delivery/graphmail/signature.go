package graphmail

import (
	"cmp"
	"slices"
	"strings"

	"graphrelay/mime"
	"graphrelay/relay/signature"
)

// sign adds the signature that the sender rule names to the body, if there is one. It
// returns what to note of that. The stored message stays as it is.
func (c *Config) sign(m *mime.Message, from mailbox) (what, detail string) {
	const leftOut = "signature left out"
	name := from.message.Signature
	if name == "" {
		return "", ""
	}
	if why := noSignature(m); why != "" {
		return leftOut, why
	}
	t := c.Signatures[name]
	if t == nil {
		return leftOut, "the configuration has no signature " + name + " any more"
	}
	data, missing := from.signatureData(m)
	rendered, err := t.Render(data)
	if err != nil {
		return leftOut, err.Error()
	}
	text, added := addSignature(m.Body, rendered)
	if !added {
		return leftOut, "it is empty, or the message has it already"
	}
	m.Body.Content = text
	if missing != "" {
		name += ", without the directory's data: " + missing
	}
	return "signature added", name
}

// signatureData returns what the directory has about the mailbox, with From's name and
// address where it has none. missing says why there is no more.
func (b *mailbox) signatureData(m *mime.Message) (d signature.Data, missing string) {
	u, shown := b.owner, from(m, b.message).EmailAddress
	d = signature.Data{
		DisplayName: cmp.Or(u.DisplayName, shown.Name), GivenName: u.GivenName, Surname: u.Surname, JobTitle: u.JobTitle,
		Department: u.Department, CompanyName: u.CompanyName, OfficeLocation: u.OfficeLocation,
		MobilePhone: u.MobilePhone, Mail: cmp.Or(u.Mail, shown.Address),
		StreetAddress: u.StreetAddress, PostalCode: u.PostalCode, City: u.City, State: u.State, Country: u.Country,
	}
	if len(u.BusinessPhones) > 0 {
		d.Phone = u.BusinessPhones[0]
	}
	switch {
	case u.ID != "":
		return d, ""
	case b.retry:
		return d, "it cannot be asked now"
	}
	return d, "grant the application User.Read.All, with admin consent, unless the connection has directory: off or signs in for each mailbox"
}

// noSignature returns why no signature may be added to the message, or nothing.
func noSignature(m *mime.Message) string {
	switch {
	case m.Kind != mime.KindOrdinary:
		return "the message is not ordinary: " + string(m.Kind)
	case slices.ContainsFunc(m.Attachments, isProtected),
		slices.ContainsFunc([]string{m.Body.Content, m.Text, m.HTML}, hasInlinePGP):
		return "a part of the message is signed or encrypted"
	}
	return ""
}

// hasInlinePGP reports whether the text contains a PGP message (RFC 9580 section 6.2), even
// a quoted one.
func hasInlinePGP(text string) bool {
	return strings.Contains(text, "-----BEGIN PGP MESSAGE-----") || strings.Contains(text, "-----BEGIN PGP SIGNED MESSAGE-----")
}

// isProtected reports whether the part belongs to an S/MIME (RFC 8551) or PGP/MIME
// (RFC 3156) message that a gateway has wrapped into another.
func isProtected(a *mime.Attachment) bool {
	switch a.ContentType {
	case "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pkcs7-mime", "application/x-pkcs7-mime",
		"application/pgp-signature", "application/pgp-encrypted":
		return true
	}
	return false
}

// addSignature inserts the signature, in the form of the body, before the quoted reply. It
// reports whether it did: not if the signature is empty or is above the quote already.
func addSignature(b mime.Body, s signature.Rendered) (content string, added bool) {
	place := b.BeforeQuote()
	above, below := b.Content[:place], b.Content[place:]
	inserted := ""
	if b.HTML {
		inserted = htmlSignature(above, s.HTML)
	} else {
		inserted = textSignature(above, below, s.Text)
	}
	return above + inserted + below, inserted != ""
}

func htmlSignature(above, sign string) string {
	if sign == "" {
		return ""
	}
	text := foldSpace(mime.HTMLText(sign))
	if text == "" && strings.Contains(above, sign) || text != "" && strings.Contains(foldSpace(mime.HTMLText(above)), text) {
		return ""
	}
	return "<div><br>\n" + sign + "\n</div>\n"
}

// textSignature returns the signature with the separator line of RFC 3676 section 4.3,
// unless the template has it, and with the line ends of the message.
func textSignature(above, below, sign string) string {
	if sign == "" || strings.Contains(foldSpace(above), foldSpace(sign)) {
		return ""
	}
	end := "\r\n"
	if all := above + below; strings.Contains(all, "\n") && !strings.Contains(all, "\r\n") {
		end = "\n"
	}
	lines := strings.Split(sign, "\n")
	if !slices.Contains(lines, "-- ") && !slices.Contains(lines, "--") {
		lines = append([]string{"-- "}, lines...)
	}
	if above != "" && !strings.HasSuffix(above, "\n") {
		lines = append([]string{""}, lines...)
	}
	if strings.TrimSpace(above) != "" && !endsBlank(above) {
		lines = append([]string{""}, lines...)
	}
	if below != "" {
		lines = append(lines, "")
	}
	return strings.Join(lines, end) + end
}

// endsBlank reports whether the last line of a text is blank.
func endsBlank(text string) bool {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.HasSuffix(text, "\n\n")
}

func foldSpace(text string) string { return strings.Join(strings.Fields(text), " ") }
