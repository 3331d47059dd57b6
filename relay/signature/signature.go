// Package signature makes e-mail signatures from an administrator's templates and
// what the directory says of a mailbox.
//
// A template is Go's text/template or html/template with fields, text and
// {{if}} alone: no loops, no functions but comparisons, so that it is made in bounded
// time. What the directory says is escaped in HTML and can bring no markup of its own.
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

// MaxTemplate is the largest template in bytes.
const MaxTemplate = 64 << 10

// Data is what the fields of a template stand for. What the directory does not say is
// empty.
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

// Clean makes each field one line of bounded length: the directory is written by many.
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

// Template is one signature in one or both forms. It is safe for concurrent use once
// it was parsed.
type Template struct {
	html *htmltemplate.Template
	text *texttemplate.Template
}

// ParseHTML sets the HTML form. Of a whole document, as Outlook keeps its signatures,
// what is in its body counts.
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

// bodyOf returns what stands between <body> and </body>, or all of it.
func bodyOf(source string) string {
	lower := strings.ToLower(source)
	if len(lower) != len(source) { // some letters change their size
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

// try finds what only shows when the template is used.
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

// Rendered is a signature in both forms. Text ends without a line end.
type Rendered struct{ HTML, Text string }

// Render makes the signature of d. Where the template has one form, the other is made
// from it.
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

// trimLines drops what {{if}} leaves: blank lines at the ends, and more than one in a
// row. The space of "-- " stays.
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

// plainError leaves out the template's name, which is empty.
func plainError(err error) error {
	var e *htmltemplate.Error
	if errors.As(err, &e) && e.ErrorCode == htmltemplate.ErrEndContext {
		return errors.New("it ends within a tag, an attribute or a script")
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: ")
	return errors.New(strings.TrimPrefix(text, ":"))
}

// check allows fields, text and conditions.
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
			err = at(tree, n, "is not for signatures; use fields and {{if}}")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkPipe(tree *parse.Tree, p *parse.PipeNode) error {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 {
		return at(tree, p, "is not for signatures; use fields and {{if}}")
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
		return at(tree, n, "is no field; use "+strings.Join(Fields(), ", "))
	}
	return at(tree, n, "is not for signatures; use fields and {{if}}")
}

// at says in which line of the template a node is.
func at(tree *parse.Tree, n parse.Node, text string) error {
	place, context := tree.ErrorContext(n)
	line, _, _ := strings.Cut(strings.TrimPrefix(place, ":"), ":")
	if runes := []rune(context); len(runes) > 40 {
		context = string(runes[:40]) + "..."
	}
	return fmt.Errorf("line %s: %s %s", line, context, text)
}

// Fields lists the names that a template may use, with their dots.
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
