package smtpd

import (
	"net/netip"
	"strings"
)

// enabled reports whether command lines are corrected at all.
func (l Leniency) enabled() bool { return l.Commands || l.Domain != "" }

// tidy puts a command line right that old devices send otherwise than RFC 5321 has it:
// HELO without a name, spaces and a display name about an address, a name without its
// domain. What it does not understand, and what has a CR in it, stays as it is, for
// go-smtp to refuse. It makes one line of one line, and adds no bytes but its own.
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

// tidyPath puts the argument of MAIL or RCPT right.
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

// cutAddress finds the address in "<address> parameters", "address parameters", and
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

// literal is what stands in the brackets of an address literal (RFC 5321 section 4.1.3).
func literal(a netip.Addr) string {
	if a.Is6() {
		return "IPv6:" + a.String()
	}
	return a.String()
}
