package smtpd

import (
	"net/netip"
	"strings"
)

// enabled reports whether command lines are corrected at all.
func (l Leniency) enabled() bool { return l.Commands || l.Domain != "" }

// tidy corrects a command line of an old device that violates RFC 5321: HELO without a
// name, an address with spaces or a display name around it, an address without a domain.
// A line that it does not understand, or that contains a CR, stays as it is, and go-smtp
// refuses it. The result is always a single line.
func (l Leniency) tidy(line string, client netip.Addr) (tidied string, changed bool) {
	text := strings.TrimRight(line, "\r\n")
	if len(text) < 4 || strings.Contains(text, "\r") {
		return line, false
	}
	verb, arg := strings.ToUpper(text[:4]), text[4:]
	var ok bool
	switch verb {
	case "HELO", "EHLO":
		if arg, ok = strings.Trim(arg, " \t"), l.Commands && startsBlank(arg); arg == "" {
			arg, ok = "["+literal(client)+"]", l.Commands
		}
	case "MAIL":
		arg, ok = l.tidyPath(arg, "FROM")
	case "RCPT":
		arg, ok = l.tidyPath(arg, "TO")
	}
	if !ok {
		return line, false
	}
	return verb + " " + arg + line[len(text):], true
}

// tidyPath corrects the argument of MAIL or RCPT.
func (l Leniency) tidyPath(arg, keyword string) (tidied string, ok bool) {
	before, rest, found := strings.Cut(arg, ":")
	if !found || !startsBlank(before) || !strings.EqualFold(strings.Trim(before, " \t"), keyword) {
		return "", false
	}
	address, parameters, ok := cutAddress(strings.Trim(rest, " \t"))
	switch {
	case !ok || address == "" || strings.ContainsAny(address, `"<>`):
		return "", false
	case strings.Contains(address, "@"):
		return keyword + ":<" + address + ">" + parameters, l.Commands
	}
	return keyword + ":<" + address + "@" + l.Domain + ">" + parameters, l.Domain != ""
}

// cutAddress splits "<address> parameters", "address parameters" and
// "name <address> parameters".
func cutAddress(arg string) (address, parameters string, ok bool) {
	if name, path, found := strings.Cut(arg, "<"); found && !strings.ContainsAny(name, "@>=") {
		address, parameters, ok = strings.Cut(path, ">")
		return strings.Trim(address, " \t"), parameters, ok
	}
	end := strings.IndexAny(arg, " \t")
	if end < 0 {
		end = len(arg)
	}
	return arg[:end], arg[end:], true
}

func startsBlank(s string) bool { return s != "" && (s[0] == ' ' || s[0] == '\t') }

// literal returns an address as it is within an address literal (RFC 5321 section 4.1.3).
func literal(a netip.Addr) string {
	if a.Is6() {
		return "IPv6:" + a.String()
	}
	return a.String()
}
