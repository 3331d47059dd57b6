package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"graphrelay/relay/signature"
)

// Signature is a template for the signatures of mailboxes in HTML, text or both, each given
// here or in a file. After Load, Template is the parsed template.
type Signature struct {
	Name     string `yaml:"name"`
	HTML     string `yaml:"html"`
	HTMLFile string `yaml:"html_file"`
	Text     string `yaml:"text"`
	TextFile string `yaml:"text_file"`
	Template *signature.Template
}

func (v validator) signatures() {
	names := v.names()
	for i := range v.cfg.Signatures {
		s, key := &v.cfg.Signatures[i], fmt.Sprintf("signatures[%d]", i)
		names.check(key+".name", s.Name, plainName, "write letters, digits, dots, dashes and underscores")
		s.Template = &signature.Template{}
		html := v.signatureForm(key, "html", s.HTML, s.HTMLFile, s.Template.ParseHTML)
		text := v.signatureForm(key, "text", s.Text, s.TextFile, s.Template.ParseText)
		if !html && !text {
			v.fault(key, "has no content; add html, text or both, or html_file and text_file")
		}
	}
}

// signatureForm checks one form of a signature, and reports whether the configuration has
// it, valid or not.
func (v validator) signatureForm(key, form, source, file string, parse func(string) error) bool {
	inline, other := key+"."+form, key+"."+form+"_file"
	switch {
	case v.has(inline) && v.has(other):
		v.unreadable(other, "is given together with %s; keep one of the two", form)
	case v.has(other):
		v.require(other, file, "add the path of the template")
	case v.has(inline) && v.require(inline, strings.TrimSpace(source), "write the template"):
		parseSignature(inline, source, parse, v.report)
	}
	return v.has(inline) || v.has(other)
}

// readSignatures reads the templates that are in files.
func readSignatures(cfg *Config, r *report) {
	for i := range cfg.Signatures {
		s, key := &cfg.Signatures[i], fmt.Sprintf("signatures[%d]", i)
		readSignature(key+".html_file", s.HTMLFile, s.Template.ParseHTML, r)
		readSignature(key+".text_file", s.TextFile, s.Template.ParseText, r)
	}
}

func readSignature(key, path string, parse func(string) error, r *report) {
	if path == "" {
		return
	}
	data, err := readFile(path, signature.MaxTemplate)
	if err != nil {
		r.fault(key, "%s", withRemedy(err, fileRemedy))
		return
	}
	source := strings.TrimPrefix(string(data), "\ufeff")
	if strings.TrimSpace(source) == "" {
		r.fault(key, "names an empty file; put the template into it")
		return
	}
	parseSignature(key, source, parse, r)
}

func parseSignature(key, source string, parse func(string) error, r *report) {
	switch {
	case len(source) > signature.MaxTemplate:
		r.fault(key, "is larger than %s; make it smaller", Size(signature.MaxTemplate))
	case !utf8.ValidString(source):
		r.fault(key, "is not UTF-8; save it as UTF-8")
	default:
		if err := parse(source); err != nil {
			r.fault(key, "is not a valid template (%s); see docs/signatures.md", err)
		}
	}
}

// signatureName checks a key that names a signature, if it is given.
func (v validator) signatureName(key, name string) {
	if !v.has(key) || !v.require(key, name, "write the name of a signature, or remove the key") {
		return
	}
	if !slices.ContainsFunc(v.cfg.Signatures, func(s Signature) bool { return s.Name == name }) {
		v.fault(key, "is %s, but no signature has that name; add it to signatures", quote(name))
	}
}
