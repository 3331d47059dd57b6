package smtpd

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// tidyLine corrects the unread command line: what every client is forgiven and, if the
// listener is configured to, what old devices are.
func (c *smtpConn) tidyLine(line []byte) []byte {
	if c.replied == 334 { // a response to an AUTH challenge is not a command
		return line
	}
	tidied := trimBlanks(string(line))
	if l := c.server.cfg.Leniency; l.enabled() {
		tidied, _ = l.tidy(tidied, c.client)
	}
	tidied = capSize(tidied)
	if tidied != string(line) {
		c.discard(len(line))
		c.putBack([]byte(tidied))
		line = c.unread[:len(tidied)]
	}
	return line
}

// trimBlanks removes the blanks at the end of a command line, which RFC 5321 section 4.1.1
// has servers tolerate. go-smtp refuses a single one.
func trimBlanks(line string) string {
	end := "\n"
	if strings.HasSuffix(line, "\r\n") {
		end = "\r\n"
	}
	return strings.TrimRight(strings.TrimSuffix(line, end), " \t") + end
}

// sizeParameter finds a SIZE that go-smtp may not be able to read.
var sizeParameter = regexp.MustCompile(`(?i)[ \t]SIZE=0*([0-9]{10,20})(?:[ \t\r\n]|$)`)

// capSize makes a SIZE beyond 32 bits in a MAIL command the largest of 32 bits, which is too
// large as well. RFC 1870 section 4 allows 20 digits; go-smtp takes such a size for a syntax
// error.
func capSize(line string) string {
	if !isCommand([]byte(line), "MAIL") {
		return line
	}
	path := pathEnd(line)
	at := sizeParameter.FindStringSubmatchIndex(line[path:])
	if at == nil {
		return line
	}
	from, to := path+at[2], path+at[3]
	if size, err := strconv.ParseUint(line[from:to], 10, 64); err == nil && size <= math.MaxUint32 {
		return line
	}
	return line[:from] + strconv.Itoa(math.MaxUint32) + line[to:]
}

// pathEnd returns the offset behind the path of a MAIL or RCPT command, where its parameters
// begin.
func pathEnd(line string) int {
	quoted := false
	for i := strings.IndexByte(line, ':') + 1; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '>':
			return i + 1
		}
	}
	return strings.IndexByte(line, ':') + 1
}

// quotedLocal returns the local part in a MAIL or RCPT command without its quotes if it is
// quoted, or "". go-smtp removes the quotes too, and does not say that there were any.
func quotedLocal(line string) string {
	if !isCommand([]byte(line), "MAIL") && !isCommand([]byte(line), "RCPT") {
		return ""
	}
	_, path, _ := strings.Cut(line, ":")
	path = strings.TrimPrefix(strings.TrimSpace(path), "<")
	if strings.HasPrefix(path, "@") { // a source route
		_, path, _ = strings.Cut(path, ":")
	}
	rest, quoted := strings.CutPrefix(path, `"`)
	if !quoted {
		return ""
	}
	var local []byte
	for i := 0; i < len(rest) && rest[i] != '"'; i++ {
		if rest[i] == '\\' && i+1 < len(rest) {
			i++
		}
		local = append(local, rest[i])
	}
	return string(local)
}

// chunkSize returns the size of the chunk that follows a BDAT command (RFC 3030 section 2),
// or 0. huge means that go-smtp cannot read it.
func chunkSize(line string) (size int64, huge bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 || len(fields) > 3 || !strings.EqualFold(fields[0], "BDAT") ||
		len(fields) == 3 && !strings.EqualFold(fields[2], "LAST") || strings.Trim(fields[1], "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return 0, true
	}
	return int64(n), false
}
