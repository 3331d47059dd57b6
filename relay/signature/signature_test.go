package signature

import (
	"strings"
	"testing"
)

var anna = Data{DisplayName: "Anna Berg", JobTitle: "Head of R&D", Phone: "+49 30 123", Mail: "anna@contoso.test", CompanyName: "Contoso"}

func TestRender(t *testing.T) {
	for _, tt := range []struct {
		name, html, text string
		data             Data
		wantHTML         string
		wantText         string
	}{
		{"both", "<b>{{.DisplayName}}</b>", "{{.DisplayName}}", anna, "<b>Anna Berg</b>", "Anna Berg"},
		{"html alone", "<p>{{.DisplayName}}<br>{{.JobTitle}}</p>", "", anna, "<p>Anna Berg<br>Head of R&amp;D</p>", "Anna Berg\nHead of R&D"},
		{"text alone", "", "{{.DisplayName}}\n{{.JobTitle}}\n", anna, "Anna Berg<br>\nHead of R&amp;D", "Anna Berg\nHead of R&D"},
		{"missing", "<p>{{.DisplayName}}{{if .MobilePhone}}<br>{{.MobilePhone}}{{else}}!{{end}}</p>", "{{.DisplayName}}\n{{if .MobilePhone}}\n{{.MobilePhone}}\n{{end}}\n\nContoso", anna,
			"<p>Anna Berg!</p>", "Anna Berg\n\nContoso"},
		{"conditions", "", `{{if and .Phone (not .MobilePhone)}}{{.Phone}}{{end}}{{if eq .CompanyName "Contoso"}} C{{end}}`, anna, "+49 30 123 C", "+49 30 123 C"},
		{"delimiter", "", "-- \n{{.DisplayName}}", anna, "-- <br>\nAnna Berg", "-- \nAnna Berg"},
		{"links", `<a href="mailto:{{.Mail}}">{{.Mail}}</a> <a href="tel:{{.Phone}}">call</a>`, "", anna,
			`<a href="mailto:anna@contoso.test">anna@contoso.test</a> <a href="tel:&#43;49%2030%20123">call</a>`, "anna@contoso.test call"},
		{"hostile", `<p title="{{.JobTitle}}">{{.DisplayName}}</p><a href="{{.Department}}">d</a>`, "{{.DisplayName}}",
			Data{DisplayName: "</p><script>x()</script>\r\nBcc: all@contoso.test", JobTitle: `"><img src=x onerror=y>`, Department: "javascript:x()"},
			`<p title="&#34;&gt;&lt;img src=x onerror=y&gt;">&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt; Bcc: all@contoso.test</p><a href="#ZgotmplZ">d</a>`,
			"</p><script>x()</script> Bcc: all@contoso.test"},
		{"hostile in text alone", "", "{{.DisplayName}}", Data{DisplayName: "<b>x"}, "&lt;b&gt;x", "<b>x"},
		{"long", "", "{{.DisplayName}}", Data{DisplayName: strings.Repeat("ä", 1000)}, strings.Repeat("ä", 256), strings.Repeat("ä", 256)},
		{"document", "<html><head><style>p{}</style></head><BODY lang=de><p>{{.DisplayName}}</p></BODY></html>", "", anna, "<p>Anna Berg</p>", "Anna Berg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s Template
			if tt.html != "" {
				if err := s.ParseHTML(tt.html); err != nil {
					t.Fatal(err)
				}
			}
			if tt.text != "" {
				if err := s.ParseText(tt.text); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Render(tt.data)
			if err != nil || got.HTML != tt.wantHTML || got.Text != tt.wantText {
				t.Errorf("%v: got %q\nand %q", err, got.HTML, got.Text)
			}
		})
	}
}

// What a template may not have is told with its line.
func TestParseRefuses(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{{.Title}}": "line 2: .Title is not a field; use .DisplayName, ",
		"{{if .JobTitle}}{{if .Phone}}{{.Fax}}{{end}}{{end}}":   "line 1: .Fax is not a field",
		"{{.JobTitle.Length}}":                                  "is not a field",
		"{{range 1000000000}}{{end}}":                           "line 1: {{range 1000000000}}",
		`{{printf "%1000000000d" 1}}`:                           "is not allowed in signatures",
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`: "is not allowed in signatures",
		"{{$x := .Mail}}":                                       "is not allowed in signatures",
		"{{.Mail | html}}":                                      "is not allowed in signatures",
		"{{.}}":                                                 "is not allowed in signatures",
		"{{if .Mail}}":                                          "1: unexpected EOF",
		"{{eq .Mail}}":                                          "missing argument",
	} {
		for form, parse := range map[string]func(*Template) error{
			"html": func(t *Template) error { return t.ParseHTML(source) },
			"text": func(t *Template) error { return t.ParseText(source) },
		} {
			if err := parse(new(Template)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: got %v, want %s", form, source, err, want)
			}
		}
	}
	if err := new(Template).ParseHTML(`<a href="{{.Mail}}>x`); err == nil {
		t.Error("HTML that ends within a tag was taken")
	}
}
