package graphmail

import (
	"path"
	"strconv"
	"strings"

	"graphrelay/graph"
	"graphrelay/mime"
)

// suppressField says which automatic replies Exchange must not send to a message
// (MS-OXCMAIL). It is carried as PidTagAutoResponseSuppress, and so takes
// none of the places that X- fields have.
const suppressField = "X-Auto-Response-Suppress"

// suppressBits are the values of the field, in lower case, and their bits in
// PidTagAutoResponseSuppress (MS-OXOMSG).
var suppressBits = map[string]int32{"none": 0, "all": -1, "dr": 1, "ndr": 2, "rn": 4, "nrn": 8, "oof": 16, "autoreply": 32}

// suppressed returns the value of PidTagAutoResponseSuppress: that of the field, or without
// one, for mail that no person has sent, no out-of-office replies and no replies of rules. 0
// suppresses nothing.
func suppressed(fields []mime.Field) (bits int32) {
	given, automatic := false, false
	for _, f := range fields {
		value := strings.ToLower(f.Value)
		switch strings.ToLower(f.Name) {
		case "x-auto-response-suppress":
			for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
				bit, known := suppressBits[word]
				given, bits = given || known, bits|bit
			}
		case "auto-submitted": // RFC 3834 section 5
			keyword, _, _ := strings.Cut(value, ";")
			keyword = strings.TrimSpace(keyword)
			automatic = automatic || keyword != "" && keyword != "no"
		case "precedence":
			switch strings.TrimSpace(value) {
			case "bulk", "list", "junk":
				automatic = true
			}
		}
	}
	if !given && automatic {
		return suppressBits["oof"] | suppressBits["autoreply"]
	}
	return bits
}

// suppressProperty returns the property's value, or nothing.
func suppressProperty(m *mime.Message) string {
	if bits := suppressed(m.Fields); bits != 0 {
		return strconv.Itoa(int(bits))
	}
	return ""
}

// suppressHeader returns the field for a draft that cannot carry the property, or nil if it
// is not needed or the patterns leave it out.
func suppressHeader(m *mime.Message, patterns []string) *graph.Header {
	bits := suppressed(m.Fields)
	if bits == 0 || !matchesAny(suppressField, patterns) {
		return nil
	}
	if bits == -1 {
		return &graph.Header{Name: suppressField, Value: "All"}
	}
	var words []string
	for _, word := range []string{"DR", "NDR", "RN", "NRN", "OOF", "AutoReply"} {
		if bits&suppressBits[strings.ToLower(word)] != 0 {
			words = append(words, word)
		}
	}
	return &graph.Header{Name: suppressField, Value: strings.Join(words, ", ")}
}

func matchesAny(name string, patterns []string) bool {
	for _, p := range patterns {
		if matches(p, strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// Auto stands for the X- fields that mean something to whoever receives the message: all
// but those that programs on its way have added.
const Auto = "auto"

// matches reports whether a pattern of delivery.x_headers matches the name, in lower case.
func matches(pattern, name string) bool {
	if strings.EqualFold(pattern, Auto) {
		return strings.HasPrefix(name, "x-") && !isNoise(name)
	}
	ok, _ := path.Match(strings.ToLower(pattern), name)
	return ok
}

// noise are patterns of X- fields that tell of the program that wrote a message, of its way,
// or of what scanners found. Each new name would take one of the named properties of the
// mailbox, of which there is a limited number, for ever.
var noise = []string{
	"x-mailer*", "x-mimeole", "x-mozilla-*", "x-evolution-*", "x-apple-*", "x-uidl", "x-universally-unique-identifier",
	"x-enigmail-*", "x-php-*", "x-ms-*", "x-microsoft-*", "x-exchange-*", "x-forefront-*", "x-eop*",
	"x-originat*", "x-original*", "x-received*", "x-sender", "x-sender-ip", "x-source", "x-source-args", "x-source-dir",
	"x-authenticated-*", "x-remote-*", "x-get-message-sender-via", "x-antiabuse", "x-envelope-*", "x-delivered-*",
	"x-forwarded-for", "x-forwarded-to", "x-google-*", "x-gm-*",
	"x-ses-*", "x-aol-*", "x-ymail-*", "x-yahoo-*", "x-spam*", "x-*-spam*", "x-*virus*", "x-antivirus*", "x-*antispam*",
	"x-scanned*", "x-*-scanned*", "x-amavis*", "x-barracuda-*", "x-proofpoint-*", "x-tm-as-*", "x-tmase-*", "x-cmae-*",
	"x-dkim*", "x-dmarc*", "x-spf*", "x-rspamd-*", "x-ironport-*", "x-mailscanner*", "x-*-mailscanner*",
}

// maxDigits is how many digits the name of a field may have. One with more is likely to have
// a number in it that another message does not have.
const maxDigits = 4

func isNoise(name string) bool {
	digits := 0
	for _, r := range name {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits > maxDigits {
		return true
	}
	for _, p := range noise {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}
