package mime

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// signatureMark stands in the samples where a signature belongs.
const signatureMark = "<!--SIGNATURE-->"

// Samples of what mail clients write: taken out of them, the mark has to be put back.
func TestBeforeQuote(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		for file, sample := range quoteSamples(t) {
			sample = strings.ReplaceAll(sample, "\n", end)
			before, after, ok := strings.Cut(sample, signatureMark)
			if !ok || strings.Contains(after, signatureMark) {
				t.Fatalf("%s has no mark, or two", file)
			}
			b := Body{HTML: strings.HasSuffix(file, ".html"), Content: before + after}
			at := b.BeforeQuote()
			if got := b.Content[:at] + signatureMark + b.Content[at:]; got != sample {
				t.Errorf("%s: got\n%s", file, got)
			}
		}
	}
}

func quoteSamples(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/quote/*.*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	samples := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		samples[filepath.Base(file)] = string(text)
	}
	return samples
}

// Whatever the document is, what is inserted there is read as markup of its own, and
// what stands around it is read as before.
func FuzzBeforeQuote(f *testing.F) {
	for _, sample := range quoteSamples(f) {
		f.Add(strings.Replace(sample, signatureMark, "", 1))
	}
	f.Add("<div class=gmail_quote><textarea></div>a")
	f.Add("<blockquote><!-->x<p>")
	f.Add("a</")
	f.Add("<xmp/><hr><div id=divRplyFwdMsg>")
	f.Fuzz(func(t *testing.T, doc string) {
		if at := (Body{Content: doc}).BeforeQuote(); at < 0 || at > len(doc) || at > 0 && at < len(doc) && doc[at-1] != '\n' {
			t.Errorf("text: %d of %d", at, len(doc))
		}
		at := Body{HTML: true, Content: doc}.BeforeQuote()
		const mark = "<wbr data-signature>"
		got, want := markup(doc[:at]+mark+doc[at:]), markup(doc)
		i := slices.Index(got, mark)
		if strings.Contains(doc, mark) {
			return
		}
		if i < 0 || !slices.Equal(slices.Delete(got, i, i+1), want) {
			t.Errorf("at %d of %q: got %q, want %q", at, doc, got, want)
		}
	})
}

// markup lists the tags and comments as they are written.
func markup(doc string) (list []string) {
	z := html.NewTokenizer(strings.NewReader(doc))
	for {
		switch z.Next() {
		case html.TextToken:
		case html.ErrorToken:
			return list
		default:
			list = append(list, string(z.Raw()))
		}
	}
}

func TestHTMLText(t *testing.T) {
	for in, want := range map[string]string{
		"":      "",
		"plain": "plain",
		"<p>Anna <b>Berg</b></p><p>Sales &amp; more</p>":          "Anna Berg\n\nSales & more",
		"Anna<br>Sales<br><br>\n Contoso":                         "Anna\nSales\n\nContoso",
		"<table><tr><td>T</td><td>1</td></tr><tr><td>M</td></tr>": "T 1\nM",
		"<style>p{}</style>a<script>b</script><!-- c -->d":        "ad",
		`<a href="https://contoso.test/">Contoso</a>.`:            "Contoso <https://contoso.test/>.",
		`<a href="https://contoso.test/">contoso.test</a>`:        "contoso.test",
		`<a href="mailto:a@b">a@b</a> <a href="https://x"><img>`:  "a@b",
		"a&nbsp;b":         "a b",
		"<div>a</div\n>b":  "a\nb",
		"a <i> b </i> c":   "a b c",
		"<a href=https://": "",
	} {
		if got := HTMLText(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
