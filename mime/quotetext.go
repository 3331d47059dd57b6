package mime

import (
	"regexp"
	"slices"
	"strings"

	"graphrelay/internal/text"
)

// textScan follows the lines of a text. Offsets are -1 where there is nothing.
type textScan struct {
	recent []textLine // the last lines that show something, without blank ones between
	gap    bool       // a blank line follows them
	rule   int        // the line of underscores that nothing shown follows

	quote    int // where quoted lines begin that nothing of the sender's follows
	unquoted int // a line that introduces a quote, which no quoted line has followed yet
	header   int // a From: line, and how many lines may still tell whether it is of a header
	left     int
}

type textLine struct {
	start int
	text  string // trimmed
}

// maxIntroduction is how many lines what introduces a quote may be folded over.
const maxIntroduction = 3

func beforeTextQuote(content string) int {
	s := textScan{rule: -1, quote: -1, unquoted: -1, header: -1}
	at := 0
	for line := range strings.Lines(content) {
		if place := s.read(textLine{at, strings.TrimSpace(text.Truncate(line, 2*maxShown))}); place >= 0 {
			return place
		}
		at += len(line)
	}
	if s.quote >= 0 {
		return s.quote
	}
	return len(content)
}

// read returns where the quote begins, once that is certain, or -1.
func (s *textScan) read(l textLine) int {
	switch {
	case !shows(l.text):
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
	s.unquoted = s.introduction()
	if !clockTime.MatchString(s.joined(maxIntroduction)) { // prose may say that somebody wrote
		s.unquoted = -1
	}
	return -1
}

func (s *textScan) quoted(l textLine) {
	if s.quote < 0 {
		s.quote = l.start
		if place := s.introduction(); place >= 0 {
			s.quote = place
		}
	}
	s.recent, s.unquoted, s.header, s.rule = nil, -1, -1, -1
}

func (s *textScan) remember(l textLine) {
	if s.gap || len(s.recent) == maxIntroduction {
		drop := len(s.recent)
		if !s.gap {
			drop = 1
		}
		s.recent = slices.Delete(s.recent, 0, drop)
	}
	s.gap = false
	s.recent = append(s.recent, l)
}

// introduction returns where the lines begin that say whose words follow, or -1.
func (s *textScan) introduction() int {
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

// joined is the text of the last n lines.
func (s *textScan) joined(n int) string {
	var parts []string
	for _, l := range s.recent[max(0, len(s.recent)-n):] {
		parts = append(parts, l.text)
	}
	return strings.Join(parts, " ")
}

// quotedHeader looks for the From: and Sent: lines that Outlook puts above what it quotes.
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

// The labels of Outlook and others in the languages that most mail is written in.
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

// separators stand between dashes; a report may have headings of its own there.
var separators = []string{"original message", "forwarded message", "original appointment", "ursprüngliche nachricht", "originalnachricht",
	"weitergeleitete nachricht", "message d'origine", "message original", "message transféré", "mensaje original", "mensaje reenviado",
	"messaggio originale", "messaggio inoltrato", "oorspronkelijk bericht", "doorgestuurd bericht", "mensagem original",
	"mensagem encaminhada", "ursprungligt meddelande", "oprindelig meddelelse", "opprinnelig melding", "wiadomość oryginalna",
	"původní zpráva", "исходное сообщение", "пересылаемое сообщение", "原始邮件", "元のメッセージ"}

// isSeparator tells "-----Original Message-----" and its translations.
func isSeparator(line string) bool {
	line = strings.TrimSpace(line)
	inner := strings.Trim(line, "-")
	return len(line)-len(inner) >= 4 && slices.Contains(separators, strings.ToLower(strings.ReplaceAll(strings.TrimSpace(inner), "’", "'")))
}

// verbs are what is said of whose words follow.
var verbs = []string{"wrote", "writes", "schrieb", "schreef", "a écrit", "escribió", "ha scritto", "escreveu", "skrev", "napisał",
	"napsal", "kirjoitti", "написал", "пишет", "写道", "書きました", "のメール"}

// isAttribution tells lines such as "On Tuesday, Bob wrote:", or with the time and an
// address in place of words.
func isAttribution(line string) bool {
	line = strings.ToLower(strings.TrimSpace(line))
	if len(line) > maxShown || !strings.HasSuffix(line, ":") && !strings.HasSuffix(line, "：") {
		return false
	}
	return slices.ContainsFunc(verbs, func(v string) bool { return strings.Contains(line, v) }) ||
		strings.Contains(line, "@") && strings.ContainsAny(line, "0123456789")
}

// opensAttribution tells how such lines begin.
func opensAttribution(line string) bool {
	line = strings.ToLower(line)
	return slices.ContainsFunc([]string{"on ", "am ", "le ", "el ", "il ", "em ", "op ", "den ", "dnia ", "w dniu ", "dne ", "at "},
		func(o string) bool { return strings.HasPrefix(line, o) })
}
