package sendmail

import (
	"slices"
	"strings"

	"graphrelay/internal/mailaddr"
)

// mode is what a call is for.
type mode int

const (
	modeMail    mode = iota // -bm: a message comes from standard input
	modeSMTP                // -bs: an SMTP session does
	modeAliases             // -bi, newaliases
	modeNone                // -q: the relay works off its queue by itself
)

// call is a parsed command line.
type call struct {
	mode       mode
	recipients []string
	from       string // -f, -r; empty with fromGiven: the null reverse-path
	fromGiven  bool
	name       string // -F
	fromHeader bool   // -t
	ignoreDots bool   // -i
	noAliases  bool   // -n
	verbose    bool   // -v
	notify     []string
	ret        string // FULL or HDRS
	envelopeID string
	file       string // -C: the settings
}

// How an option takes its value: in the same word, or there or in the next word. Those of
// sendmail, Postfix, Exim and msmtp together are taken.
const (
	flags  = "EGIJTUcimnstvx"
	joined = "dqQ"
	valued = "ABCDFLNORVXbefhopr"
)

// parser reads a command line.
type parser struct {
	*call
	args  []string // that are left
	flush bool     // -q was given
}

// parse reads a command line as getopt does: options may be combined, and may stand behind
// recipients.
func parse(args []string) (*call, error) {
	p := parser{call: &call{}, args: args}
	var operands []string
	for len(p.args) > 0 {
		word := p.next()
		switch {
		case word == "--":
			operands, p.args = append(operands, p.args...), nil
		case strings.HasPrefix(word, "--"):
			return nil, failf(Usage, "there is no option %s; see graphrelay sendmail --help", word)
		case len(word) > 1 && word[0] == '-':
			if err := p.options(word[1:]); err != nil {
				return nil, err
			}
		default:
			operands = append(operands, word)
		}
	}
	for _, operand := range operands {
		list, err := mailaddr.List(operand)
		if err != nil {
			return nil, failf(Usage, "recipient: %w", err)
		}
		p.recipients = append(p.recipients, list...)
	}
	if p.flush && len(p.recipients) == 0 && !p.fromHeader && p.mode == modeMail {
		p.mode = modeNone
	}
	return p.call, nil
}

func (p *parser) next() string {
	word := p.args[0]
	p.args = p.args[1:]
	return word
}

// options takes a word of options, without its dash.
func (p *parser) options(word string) error {
	for word != "" {
		letter, value := word[0], word[1:]
		switch {
		case strings.IndexByte(flags, letter) >= 0:
			p.flag(letter)
			word = value
			continue
		case strings.IndexByte(joined, letter) >= 0:
			p.flush = p.flush || letter == 'q'
			return nil
		case strings.IndexByte(valued, letter) < 0:
			return failf(Usage, "there is no option -%c; see graphrelay sendmail --help", letter)
		}
		exim := letter == 'o' && len(value) == 2 && value[0] == 'M' // -oMr value
		if (value == "" || exim) && len(p.args) == 0 {
			return failf(Usage, "the option -%s lacks its value", word)
		}
		if exim {
			p.next()
		} else if value == "" {
			value = p.next()
		}
		return p.option(letter, value)
	}
	return nil
}

func (c *call) flag(letter byte) {
	switch letter {
	case 'I':
		c.mode = modeAliases
	case 'i':
		c.ignoreDots = true
	case 'n':
		c.noAliases = true
	case 't':
		c.fromHeader = true
	case 'v':
		c.verbose = true
	}
}

// option takes an option with a value. Those that mean nothing here are ignored.
func (c *call) option(letter byte, value string) (err error) {
	switch letter {
	case 'C':
		c.file = value
	case 'F':
		c.name = value
	case 'N':
		c.notify, err = notifyOf(value)
	case 'R':
		c.ret, err = oneOf("-R", value, map[string]string{"full": "FULL", "hdrs": "HDRS", "headers": "HDRS"})
	case 'V':
		if c.envelopeID = value; len(value) > 100 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			err = failf(Usage, "the envelope ID of -V may have 100 printable characters at most")
		}
	case 'b':
		c.mode, err = modeOf(value)
	case 'f', 'r':
		c.fromGiven = true
		c.from, err = senderOf(value)
	case 'o':
		c.ignoreDots = c.ignoreDots || value == "i"
	}
	return err
}

func modeOf(value string) (mode, error) {
	switch value {
	case "m":
		return modeMail, nil
	case "s":
		return modeSMTP, nil
	case "i":
		return modeAliases, nil
	case "p":
		return 0, failf(Unavailable, "sendmail has no queue of its own; run graphrelay queue list, as the user of the relay or as root")
	case "d", "D", "l":
		return 0, failf(Usage, "sendmail does not listen for mail; run graphrelay serve, or start its service")
	}
	return 0, failf(Usage, "sendmail cannot do -b%s; it has -bm (a message), -bs (an SMTP session) and -bi", value)
}

// notifyOf returns what -N asks for (RFC 3461 section 4.1).
func notifyOf(value string) (list []string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		keyword, err := oneOf("-N", strings.TrimSpace(word), map[string]string{"never": "NEVER", "success": "SUCCESS", "failure": "FAILURE", "delay": "DELAY"})
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, keyword) {
			list = append(list, keyword)
		}
	}
	if len(list) > 1 && slices.Contains(list, "NEVER") {
		return nil, failf(Usage, "-N never goes with no other word")
	}
	return list, nil
}

func oneOf(option, value string, words map[string]string) (string, error) {
	if word, ok := words[strings.ToLower(value)]; ok {
		return word, nil
	}
	return "", failf(Usage, "%s has the value %q, which it does not know", option, value)
}

// senderOf returns the address of -f, which may be in <> and have a name.
func senderOf(value string) (string, error) {
	if v := strings.TrimSpace(value); v == "" || v == "<>" {
		return "", nil
	}
	list, err := mailaddr.List(value)
	if err == nil && len(list) != 1 {
		return "", failf(Usage, "-f has the value %q; write one address", value)
	}
	if err != nil {
		return "", failf(Usage, "-f: %w", err)
	}
	return list[0], nil
}
