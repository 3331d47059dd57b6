package simulator

import (
	"slices"
	"strings"
	"time"
)

// filter is a conjunction of conditions. The empty one matches every item.
type filter []condition

// condition compares a property of an item with a value. property is isDraft,
// isRead, receivedDateTime, internetMessageId, or the normalized id of an extended property.
type condition struct {
	property string
	extended bool
	value    string
	time     time.Time // of receivedDateTime, with the operator as value
}

// parseFilter parses the part of OData's $filter with which drafts and sent copies can be
// found:
//
//	singleValueExtendedProperties/Any(ep: ep/id eq '...' and ep/value eq '...')
//	internetMessageId eq '...'
//	isDraft eq true
//	isRead eq false
//	receivedDateTime ge 2026-01-02T03:04:05Z
//
// joined by "and". It refuses everything else with 400 BadRequest.
func parseFilter(text string) (filter, error) {
	p := &parser{text: text}
	var conditions filter
	for {
		next, err := p.condition()
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, next)
		if p.done() {
			return conditions, nil
		}
		if p.word() != "and" {
			return nil, p.fail("$filter")
		}
	}
}

func (p *parser) condition() (condition, error) {
	property := p.word()
	switch property {
	case "singleValueExtendedProperties":
		return p.anyProperty()
	case "internetMessageId":
		if value, ok := p.equals(); ok {
			return condition{property: property, value: value}, nil
		}
	case "receivedDateTime":
		return p.receivedCondition()
	case "isDraft", "isRead":
		if p.word() == "eq" {
			if value := p.word(); value == "true" || value == "false" {
				return condition{property: property, value: value}, nil
			}
		}
	}
	return condition{}, p.fail("$filter")
}

// receivedCondition parses the rest of a comparison of receivedDateTime.
func (p *parser) receivedCondition() (condition, error) {
	c := condition{property: "receivedDateTime", value: p.word()}
	p.space()
	text, _, _ := strings.Cut(p.text[p.at:], " ")
	var err error
	if c.time, err = time.Parse(time.RFC3339, text); err != nil || !slices.Contains([]string{"ge", "gt", "le", "lt"}, c.value) {
		return condition{}, p.fail("$filter")
	}
	p.at += len(text)
	return c, nil
}

// anyProperty parses the rest of a lambda over the extended properties.
func (p *parser) anyProperty() (condition, error) {
	if !p.take("/") || !strings.EqualFold(p.word(), "any") || !p.take("(") {
		return condition{}, p.fail("$filter")
	}
	variable := p.word()
	if variable == "" || !p.take(":") {
		return condition{}, p.fail("$filter")
	}
	id, okID := p.member(variable, "id")
	okAnd := p.word() == "and"
	value, okValue := p.member(variable, "value")
	if !okID || !okAnd || !okValue || !p.take(")") {
		return condition{}, p.fail("$filter")
	}
	normal, err := normalizeProperty(id)
	return condition{property: normal, extended: true, value: value}, err
}

func (p *parser) member(variable, name string) (string, bool) {
	if p.word() != variable || !p.take("/") || p.word() != name {
		return "", false
	}
	return p.equals()
}

func (p *parser) equals() (string, bool) {
	if p.word() != "eq" {
		return "", false
	}
	return p.literal()
}

func (f filter) matches(i *item) bool {
	for _, c := range f {
		if !c.matches(i) {
			return false
		}
	}
	return true
}

// matches reports whether the item meets the condition. The values of extended properties
// are compared without regard to case: "singleValueLegacyExtendedProperty".
func (c condition) matches(i *item) bool {
	switch {
	case c.extended:
		for _, p := range i.Properties {
			if p.ID == c.property && strings.EqualFold(p.Value, c.value) {
				return true
			}
		}
		return false
	case c.property == "isDraft":
		return i.IsDraft() == (c.value == "true")
	case c.property == "isRead":
		return i.Unread == (c.value == "false")
	case c.property == "receivedDateTime":
		order := i.sentOrCreated().Compare(c.time)
		return order < 0 && c.value[0] == 'l' || order > 0 && c.value[0] == 'g' || order == 0 && c.value[1] == 'e'
	}
	return i.InternetMessageID == c.value
}

// parser parses the words, marks and string literals of an OData expression.
type parser struct {
	text string
	at   int
}

func (p *parser) space() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *parser) done() bool {
	p.space()
	return p.at == len(p.text)
}

// take skips a mark, and reports whether it was there.
func (p *parser) take(mark string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], mark) {
		return false
	}
	p.at += len(mark)
	return true
}

// word returns the next letters, digits and underscores, "" if there are none.
func (p *parser) word() string {
	p.space()
	start := p.at
	for p.at < len(p.text) && isWord(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

func isWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// literal returns the next string in single quotes. A quote in it is doubled.
func (p *parser) literal() (string, bool) {
	if !p.take("'") {
		return "", false
	}
	var value strings.Builder
	for p.at < len(p.text) {
		b := p.text[p.at]
		p.at++
		if b == '\'' {
			if p.at == len(p.text) || p.text[p.at] != '\'' {
				return value.String(), true
			}
			p.at++
		}
		value.WriteByte(b)
	}
	return "", false
}

func (p *parser) fail(option string) error {
	return badRequest("BadRequest", "Invalid or unsupported %s clause: syntax error at position %d in '%s'.", option, p.at, p.text)
}
