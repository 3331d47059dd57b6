// Package signature renders e-mail signatures from an administrator's templates and the
// directory's data of a mailbox.
//
// A template is one of Go's text/template or html/template with only fields, text and {{if}}:
// no loops, and no functions other than comparisons, so that rendering takes bounded time.
// The directory's data are escaped in HTML and cannot contain markup.
package signature

import (
	"errors"
	"fmt"
	"html"
	htmltemplate "html/template"
	"reflect"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"unicode"

	"graphrelay/mime"
)

// MaxTemplate is the largest size of a template, in bytes.
const MaxTemplate = 64 << 10

// Data is the directory's data of a mailbox, the fields of templates. What the directory does
// not have is empty.
type Data struct {
	DisplayName    string
	GivenName      string
	Surname        string
	JobTitle       string
	Department     string
	CompanyName    string
	OfficeLocation string
	Phone          string // the first business phone
	MobilePhone    string
	Mail           string
	StreetAddress  string
	PostalCode     string
	City           string
	State          string
	Country        string
}

const maxField = 256 // characters

// Clean returns d with each field on one line and of bounded length. The directory is not
// trusted: many people can write to it.
func (d Data) Clean() Data {
	v := reflect.ValueOf(&d).Elem()
	for i := range v.NumField() {
		text := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(v.Field(i).String(), ""), func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r)
		}), " ")
		if runes := []rune(text); len(runes) > maxField {
			text = string(runes[:maxField])
		}
		v.Field(i).SetString(text)
	}
	return d
}

// Template is a signature in HTML, text or both. It is safe for concurrent use after it was
// parsed.
type Template struct {
	html *htmltemplate.Template
	text *texttemplate.Template
}

// ParseHTML sets the HTML form. Of a whole document, which is how Outlook stores signatures,
// it uses the content of the body.
func (t *Template) ParseHTML(source string) error {
	parsed, err := htmltemplate.New("").Parse(bodyOf(source))
	if err != nil {
		return plainError(err)
	}
	if err := check(parsed.Tree); err != nil {
		return err
	}
	if err := (&Template{html: parsed}).try(); err != nil {
		return err
	}
	t.html = parsed
	return nil
}

// ParseText sets the text form.
func (t *Template) ParseText(source string) error {
	parsed, err := texttemplate.New("").Parse(source)
	if err != nil {
		return plainError(err)
	}
	if err := check(parsed.Tree); err != nil {
		return err
	}
	if err := (&Template{text: parsed}).try(); err != nil {
		return err
	}
	t.text = parsed
	return nil
}

// bodyOf returns the text between <body> and </body>, or all of source if it has no <body>.
func bodyOf(source string) string {
	lower := strings.ToLower(source)
	if len(lower) != len(source) { // a letter has another size in lower case
		return source
	}
	end := strings.LastIndex(lower, "</body")
	if end < 0 {
		end = len(source)
	}
	start := strings.Index(lower[:end], "<body")
	if start < 0 {
		return source
	}
	tag := strings.IndexByte(source[start:end], '>')
	return source[start+tag+1 : end]
}

// try renders the template, to find errors that do not show before.
func (t *Template) try() error {
	v := reflect.New(reflect.TypeFor[Data]()).Elem()
	for i := range v.NumField() {
		v.Field(i).SetString("sample")
	}
	for _, d := range []Data{{}, v.Interface().(Data)} {
		if _, err := t.Render(d); err != nil {
			return err
		}
	}
	return nil
}

// Rendered is a signature in both forms. Text has no line break at its end.
type Rendered struct{ HTML, Text string }

// Render returns the signature for d. If the template has only one form, the other is
// converted from it.
func (t *Template) Render(d Data) (Rendered, error) {
	d = d.Clean()
	var r Rendered
	var out strings.Builder
	if t.html != nil {
		if err := t.html.Execute(&out, d); err != nil {
			return Rendered{}, plainError(err)
		}
		r.HTML = strings.TrimSpace(out.String())
		r.Text = mime.HTMLText(r.HTML)
	}
	if t.text != nil {
		out.Reset()
		if err := t.text.Execute(&out, d); err != nil {
			return Rendered{}, plainError(err)
		}
		r.Text = trimLines(out.String())
	}
	if t.html == nil {
		r.HTML = strings.ReplaceAll(html.EscapeString(r.Text), "\n", "<br>\n")
	}
	return r, nil
}

// trimLines removes the blank lines that {{if}} leaves at the ends and more than one in a row,
// and spaces at the ends of lines, except in "-- ".
func trimLines(text string) string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		if line != "-- " {
			line = strings.TrimRightFunc(line, unicode.IsSpace)
		}
		lines = append(lines, line)
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// plainError returns err without the package and the template's name, which is empty.
func plainError(err error) error {
	var e *htmltemplate.Error
	if errors.As(err, &e) && e.ErrorCode == htmltemplate.ErrEndContext {
		return errors.New("it ends inside a tag, an attribute or a script")
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: ")
	return errors.New(strings.TrimPrefix(text, ":"))
}

// check returns an error if a template has anything but fields, text and conditions.
func check(tree *parse.Tree) error {
	if tree == nil || tree.Root == nil {
		return nil // an empty template
	}
	return checkNodes(tree, tree.Root)
}

func checkNodes(tree *parse.Tree, list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			err = checkPipe(tree, n.Pipe)
		case *parse.IfNode:
			err = errors.Join(checkPipe(tree, n.Pipe), checkNodes(tree, n.List), checkNodes(tree, n.ElseList))
		default:
			err = at(tree, n, "is not allowed in signatures; use fields and {{if}}")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkPipe(tree *parse.Tree, p *parse.PipeNode) error {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 {
		return at(tree, p, "is not allowed in signatures; use fields and {{if}}")
	}
	for _, arg := range p.Cmds[0].Args {
		if err := checkArgument(tree, arg); err != nil {
			return err
		}
	}
	return nil
}

func checkArgument(tree *parse.Tree, n parse.Node) error {
	switch n := n.(type) {
	case *parse.StringNode:
		return nil
	case *parse.PipeNode:
		return checkPipe(tree, n)
	case *parse.IdentifierNode:
		switch n.Ident {
		case "and", "or", "not", "eq", "ne":
			return nil
		}
	case *parse.FieldNode:
		if len(n.Ident) == 1 && isField(n.Ident[0]) {
			return nil
		}
		return at(tree, n, "is not a field; use "+strings.Join(Fields(), ", "))
	}
	return at(tree, n, "is not allowed in signatures; use fields and {{if}}")
}

// at returns an error with the line of a node.
func at(tree *parse.Tree, n parse.Node, text string) error {
	place, context := tree.ErrorContext(n)
	line, _, _ := strings.Cut(strings.TrimPrefix(place, ":"), ":")
	if runes := []rune(context); len(runes) > 40 {
		context = string(runes[:40]) + "..."
	}
	return fmt.Errorf("line %s: %s %s", line, context, text)
}

// Fields returns the names that a template may use, with their dots.
func Fields() []string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Data]()) {
		names = append(names, "."+f.Name)
	}
	return names
}

func isField(name string) bool {
	_, ok := reflect.TypeFor[Data]().FieldByName(name)
	return ok
}
