package mime

import (
	"cmp"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// linkLocations turns references to a Content-Location (RFC 2557) into references to a
// Content-ID. Graph supports no others.
func (b *builder) linkLocations() {
	for _, p := range b.order {
		if p.mediaType != "text/html" {
			continue
		}
		base := p.baseLocation()
		known := b.locations(base)
		if len(known) > 0 {
			b.texts[p] = rewriteRefs(b.texts[p], func(ref string) string { return b.link(known, base, ref) })
		}
	}
}

// locations returns the attachments that have a Content-Location, by that as written and by
// the absolute URL.
func (b *builder) locations(base *url.URL) map[string]*part {
	known := map[string]*part{}
	for _, f := range b.files {
		if f.location == "" {
			continue
		}
		for _, l := range []string{f.location, resolve(f.baseOf(base), f.location)} {
			if known[l] == nil {
				known[l] = f
			}
		}
	}
	return known
}

// link returns the new form of a reference, or "" if it refers to no attachment.
func (b *builder) link(known map[string]*part, base *url.URL, ref string) string {
	ref = strings.TrimSpace(ref)
	if ref == "" || strings.HasPrefix(ref, "#") || len(ref) > maxLocationBytes {
		return ""
	}
	p := known[ref]
	if p == nil {
		p = known[resolve(base, ref)]
	}
	if p == nil {
		return ""
	}
	if p.id() == "" {
		p.locationID = "part" + p.path + "@location.invalid"
		b.mapped(p.path, "Content-Location made a Content-ID")
	}
	return "cid:" + url.PathEscape(p.id())
}

// id returns the Content-ID of the part, or the one made for its Content-Location.
func (p *part) id() string { return cmp.Or(p.contentID, p.locationID) }

// baseLocation returns the base URL of references in p: its own location or that of a
// multipart around it (RFC 2557 section 5). It is nil if there is none.
func (p *part) baseLocation() *url.URL {
	for ; p != nil; p = p.parent {
		if u, err := url.Parse(p.location); err == nil && u.IsAbs() {
			return u
		}
	}
	return nil
}

// baseOf returns the base URL of the multiparts around p, or other if they have none.
func (p *part) baseOf(other *url.URL) *url.URL {
	if p.parent != nil {
		if u := p.parent.baseLocation(); u != nil {
			return u
		}
	}
	return other
}

func resolve(base *url.URL, ref string) string {
	u, err := url.Parse(ref)
	if err != nil {
		return ref
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	return u.String()
}

// rewriteRefs replaces the references of an HTML document for which replace does not
// return "". Everything else stays byte for byte.
func rewriteRefs(doc string, replace func(string) string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(doc))
	for {
		t := z.Next()
		raw := string(z.Raw())
		if t == html.StartTagToken || t == html.SelfClosingTagToken {
			raw = rewriteTag(raw, replace)
		}
		out.WriteString(raw)
		if t == html.ErrorToken {
			return out.String()
		}
	}
}

// rewriteTag replaces the references in the attributes of one tag.
func rewriteTag(tag string, replace func(string) string) string {
	var out strings.Builder
	rest := tag
	for {
		i := strings.IndexByte(rest, '=')
		if i < 0 {
			break
		}
		name := attributeName(rest[:i])
		start, end := attributeValue(rest, i+1)
		value := rest[start:end]
		if isRefAttribute(name) {
			if to := replace(html.UnescapeString(value)); to != "" {
				value = html.EscapeString(to)
			}
		}
		out.WriteString(rest[:start])
		out.WriteString(value)
		rest = rest[end:]
	}
	return out.String() + rest
}

// attributeName returns the name at the end of s, in lower case.
func attributeName(s string) string {
	s = strings.TrimRight(s, " \t\r\n")
	if i := strings.LastIndexAny(s, " \t\r\n\"'/"); i >= 0 {
		s = s[i+1:]
	}
	return strings.ToLower(s)
}

// attributeValue returns the offsets of the attribute's value in s. i is the offset after
// its "=".
func attributeValue(s string, i int) (start, end int) {
	for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'') {
		if n := strings.IndexByte(s[i+1:], s[i]); n >= 0 {
			return i + 1, i + 1 + n
		}
	}
	if n := strings.IndexAny(s[i:], " \t\r\n>"); n >= 0 {
		return i, i + n
	}
	return i, len(s)
}

// isRefAttribute reports whether the value of an attribute is a URL.
func isRefAttribute(name string) bool {
	switch name {
	case "src", "background", "poster", "href", "data":
		return true
	}
	return false
}
