// Package look holds what all pages of the program wear: one stylesheet, the scripts that
// make parts of them live, the policy under which browsers show them, and how figures are
// written for people. It is embedded, so that pages need no network but the program's own.
//
// The stylesheet is look.css, which begins with its variables. The scripts are copied from
// npm by vendor.sh, with their licences. Nothing here knows of mail.
package look

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"reflect"
)

//go:embed look.css live.js plots.js icon.svg vendored
var files embed.FS

// Base is the path below which Register serves the files. It is the same in all programs, so
// that templates can name files by it.
const Base = "/_look/"

// Policy is the Content-Security-Policy of a page: what the program serves itself, and no
// script or style in the page. Pages that need more or less write their own.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// asset is a file as it is served.
type asset struct {
	file        string // in files
	contentType string
}

var assets = map[string]asset{
	"look.css":    {"look.css", "text/css; charset=utf-8"},
	"icon.svg":    {"icon.svg", "image/svg+xml"},
	"live.js":     {"live.js", "text/javascript; charset=utf-8"},
	"plots.js":    {"plots.js", "text/javascript; charset=utf-8"},
	"uPlot.js":    {"vendored/uplot/uPlot.iife.min.js", "text/javascript; charset=utf-8"},
	"uPlot.css":   {"vendored/uplot/uPlot.min.css", "text/css; charset=utf-8"},
	"htmx.min.js": {"vendored/htmx.org/htmx.min.js", "text/javascript; charset=utf-8"},
}

// Register serves the files below Base.
func Register(mux *http.ServeMux) {
	for name, a := range assets {
		content, _ := a.read()
		Serve(mux, Base+name, a.contentType, content)
	}
}

// Serve serves a file that is part of the program at a path, and returns the URL at which
// browsers keep what they got: it changes with the content.
func Serve(mux *http.ServeMux, path, contentType string, content []byte) (url string) {
	tag := tagOf(content)
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("ETag", `"`+tag+`"`)
		h.Set("Cache-Control", "no-cache")
		if r.URL.RawQuery == tag {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if r.Header.Get("If-None-Match") == `"`+tag+`"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(content)
	})
	return path + "?" + tag
}

// read returns the content of the file, and a tag that changes with it.
func (a asset) read() (content []byte, tag string) {
	content, err := files.ReadFile(a.file)
	if err != nil {
		panic(err) // it is embedded
	}
	return content, tagOf(content)
}

func tagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}

// Path returns the path at which browsers find the file, such as
// "/_look/look.css?0a1b2c3d4e5f". Browsers keep what they got from it.
func Path(name string) string {
	_, tag := assets[name].read()
	return path.Join(Base, name) + "?" + tag
}

// head is what the head of each page has in common. htmx adds no style of its own, keeps no
// history, and leaves a live part as it is if the program answers with an error.
var head = template.HTML(`<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="htmx-config" content='{"includeIndicatorCSS":false,"history":false,"noSwap":[204,304,"4xx","5xx"],"morphIgnore":["data-htmx-powered","open"],"defaultTimeout":15000}'>
<link rel="icon" href="` + Path("icon.svg") + `">
<link rel="stylesheet" href="` + Path("look.css") + `">
<script src="` + Path("htmx.min.js") + `" defer></script>
<script src="` + Path("live.js") + `" defer></script>`)

// plotHead is what a page with plots has in its head too.
var plotHead = template.HTML(`<link rel="stylesheet" href="` + Path("uPlot.css") + `">
<script src="` + Path("uPlot.js") + `" defer></script>
<script src="` + Path("plots.js") + `" defer></script>`)

// PlotHead returns what a page with plots has in its head after Head. A plot is an element with the
// class plot and a Plot as JSON in data-plot, around an empty element with the class canvas.
func PlotHead() template.HTML { return plotHead }

// Plot is what plots.js draws.
type Plot struct {
	Unit string    `json:"unit"` // of the values: "count" or "seconds"
	X    []int64   `json:"x"`    // seconds since 1970, rising
	Bars bool      `json:"bars"`
	Y    []PlotRow `json:"y"`
}

// PlotRow is one series of values, one for each X.
type PlotRow struct {
	Name   string     `json:"name"`
	Colour int        `json:"colour"` // of the variables --plot-1 to --plot-6
	Values []*float64 `json:"values"` // nil: none
}

// Head returns the common part of the head of a page, for templates.
func Head() template.HTML { return head }

// Funcs returns the functions that templates use:
//
//	head      the common part of the head of a page
//	plotHead  see PlotHead
//	bytes     see Bytes
//	duration  see Duration
//	count     see Count
func Funcs() template.FuncMap {
	return template.FuncMap{
		"head": Head, "plotHead": PlotHead, "duration": Duration,
		"bytes": func(n any) string { return Bytes(reflect.ValueOf(n).Int()) }, // int and int64
		"count": func(n any) string { return Count(reflect.ValueOf(n).Int()) },
	}
}
