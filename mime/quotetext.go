package mime

import (
	"regexp"
	"slices"
	"strings"

	"graphrelay/internal/text"
)

// textScan finds the quote in plain text, line by line. Offsets are -1 if there is none.
type textScan struct {
	recent []textLine // the last visible lines without blank lines between them
	gap    bool       // a blank line follows them
	rule   int        // offset of a line of underscores without text after it

	quote    int // offset of the quoted lines, if no text of the sender follows them so far
	unquoted int // offset of an attribution line, until a quoted line follows it
	header   int // offset of a From: line
	left     int // number of lines in which a Sent: line must follow header
}

type textLine struct {
	start int
	text  string // trimmed
}

// maxAttribution is the number of lines that an attribution such as "Bob wrote:" may take.
const maxAttribution = 3

func beforeTextQuote(content string) int {
	s := textScan{rule: -1, quote: -1, unquoted: -1, header: -1}
	at := 0
	for line := range strings.Lines(content) {
		if place := s.read(textLine{at, strings.TrimSpace(text.Truncate(line, 2*maxLine))}); place >= 0 {
			return place
		}
		at += len(line)
	}
	if s.quote >= 0 {
		return s.quote
	}
	return len(content)
}

// read reads one line. It returns the offset of the quote once that is certain, or -1.
func (s *textScan) read(l textLine) int {
	switch {
	case !isVisible(l.text):
		s.gap = true
		return -1
	case strings.HasPrefix(l.text, ">"):
		s.quoted(l)
		return -1
	case s.unquoted >= 0:
		return s.unquoted
	}
	s.quote = -1
	if isSeparator(l.text) {
		return l.start
	}
	if place := s.quotedHeader(l); place >= 0 {
		return place
	}
	s.remember(l)
	s.unquoted = s.attribution()
	if !clockTime.MatchString(s.joined(maxAttribution)) { // "wrote:" may be part of the text
		s.unquoted = -1
	}
	return -1
}

func (s *textScan) quoted(l textLine) {
	if s.quote < 0 {
		s.quote = l.start
		if place := s.attribution(); place >= 0 {
			s.quote = place
		}
	}
	s.recent, s.unquoted, s.header, s.rule = nil, -1, -1, -1
}

func (s *textScan) remember(l textLine) {
	if s.gap || len(s.recent) == maxAttribution {
		drop := len(s.recent)
		if !s.gap {
			drop = 1
		}
		s.recent = slices.Delete(s.recent, 0, drop)
	}
	s.gap = false
	s.recent = append(s.recent, l)
}

// attribution returns the offset of the attribution in the recent lines, or -1.
func (s *textScan) attribution() int {
	for n := 1; n <= len(s.recent); n++ {
		if text := s.joined(n); isAttribution(text) && opensAttribution(text) {
			return s.recent[len(s.recent)-n].start
		}
	}
	if isAttribution(s.joined(1)) {
		return s.recent[len(s.recent)-1].start
	}
	return -1
}

// joined returns the text of the last n lines.
func (s *textScan) joined(n int) string {
	var parts []string
	for _, l := range s.recent[max(0, len(s.recent)-n):] {
		parts = append(parts, l.text)
	}
	return strings.Join(parts, " ")
}

// quotedHeader returns the offset of a quote if l completes the From: and Sent: lines that
// Outlook puts before it, or -1.
func (s *textScan) quotedHeader(l textLine) int {
	s.left--
	if s.left >= 0 && s.header >= 0 && hasLabel(l.text, dateLabels) {
		return s.header
	}
	rule := s.rule
	s.rule = -1
	switch {
	case len(l.text) >= 10 && strings.Trim(l.text, "_") == "":
		s.rule = l.start
	case hasLabel(l.text, fromLabels):
		s.header, s.left = l.start, 3
		if rule >= 0 {
			s.header = rule
		}
	}
	return -1
}

// The labels that Outlook and other clients use, in the most common languages.
var (
	fromLabels = []string{"from", "von", "de", "da", "van", "från", "fra", "od", "lähettäjä", "feladó", "kimden", "от", "发件人", "差出人", "보낸 사람"}
	dateLabels = []string{"sent", "date", "gesendet", "datum", "envoyé", "enviado", "enviada", "enviado el", "fecha", "data", "inviato",
		"verzonden", "skickat", "sendt", "dato", "wysłano", "odesláno", "lähetetty", "дата", "отправлено", "发送时间", "日期", "送信日時"}
)

func hasLabel(line string, labels []string) bool {
	label, _, ok := strings.Cut(strings.Trim(line, "* "), ":")
	if !ok {
		label, _, ok = strings.Cut(line, "：")
	}
	return ok && len(label) < 40 && slices.Contains(labels, strings.ToLower(strings.TrimSpace(label)))
}

var clockTime = regexp.MustCompile(`\d{1,2}[:.h]\d{2}`)

// separators are the texts between dashes that mark a quote. Others may be headings.
var separators = []string{"original message", "forwarded message", "original appointment", "ursprüngliche nachricht", "originalnachricht",
	"weitergeleitete nachricht", "message d'origine", "message original", "message transféré", "mensaje original", "mensaje reenviado",
	"messaggio originale", "messaggio inoltrato", "oorspronkelijk bericht", "doorgestuurd bericht", "mensagem original",
	"mensagem encaminhada", "ursprungligt meddelande", "oprindelig meddelelse", "opprinnelig melding", "wiadomość oryginalna",
	"původní zpráva", "исходное сообщение", "пересылаемое сообщение", "原始邮件", "元のメッセージ"}

// isSeparator reports whether line is "-----Original Message-----" or a translation of it.
func isSeparator(line string) bool {
	line = strings.TrimSpace(line)
	inner := strings.Trim(line, "-")
	return len(line)-len(inner) >= 4 && slices.Contains(separators, strings.ToLower(strings.ReplaceAll(strings.TrimSpace(inner), "’", "'")))
}

// verbs are the verbs of attribution lines.
var verbs = []string{"wrote", "writes", "schrieb", "schreef", "a écrit", "escribió", "ha scritto", "escreveu", "skrev", "napisał",
	"napsal", "kirjoitti", "написал", "пишет", "写道", "書きました", "のメール"}

// isAttribution reports whether line is one such as "On Tuesday, Bob wrote:", or has an
// address and digits instead of a verb.
func isAttribution(line string) bool {
	line = strings.ToLower(strings.TrimSpace(line))
	if len(line) > maxLine || !strings.HasSuffix(line, ":") && !strings.HasSuffix(line, "：") {
		return false
	}
	return slices.ContainsFunc(verbs, func(v string) bool { return strings.Contains(line, v) }) ||
		strings.Contains(line, "@") && strings.ContainsAny(line, "0123456789")
}

// opensAttribution reports whether line begins as attributions do.
func opensAttribution(line string) bool {
	line = strings.ToLower(line)
	return slices.ContainsFunc([]string{"on ", "am ", "le ", "el ", "il ", "em ", "op ", "den ", "dnia ", "w dniu ", "dne ", "at "},
		func(o string) bool { return strings.HasPrefix(line, o) })
}
