package mime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// corpusScore is how many messages of the corpus are read wholly right.
const corpusScore = 62

const corpusDir = "../../shared/corpus"

type corpusMessage struct {
	File  string
	Facts corpusFacts
}

type corpusFacts struct {
	Subject     *string
	FromAddr    []string `json:"from_addresses"`
	FromNames   []string `json:"from_names"`
	ToAddr      []string `json:"to_addresses"`
	ToNames     []string `json:"to_names"`
	CcAddr      []string `json:"cc_addresses"`
	CcNames     []string `json:"cc_names"`
	BccAddr     []string `json:"bcc_addresses"`
	BccNames    []string `json:"bcc_names"`
	ReplyAddr   []string `json:"reply_to_addresses"`
	ReplyNames  []string `json:"reply_to_names"`
	SenderAddr  []string `json:"sender_addresses"`
	SenderNames []string `json:"sender_names"`
	MessageID   []string `json:"message_id"`
	InReplyTo   []string `json:"in_reply_to"`
	References  []string
	TextWords   *string  `json:"text_first_words"`
	HTMLWords   *string  `json:"html_first_words"`
	HTMLCIDs    []string `json:"html_cids"`
	Count       *int     `json:"attachment_count"`
	Attachments []corpusAttachment
}

type corpusAttachment struct {
	Index       int
	Filename    *string
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
	SHA256      string
	SHA256NL    string `json:"sha256_nl"`
	Referenced  *bool  `json:"referenced_by_html_cid"`
}

func TestCorpus(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(corpusDir, "expected.json"))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("corpus missing in CI: %v", err)
		}
		t.Skipf("corpus of real messages not there: %v", err)
	}
	var corpus struct{ Messages []corpusMessage }
	if err := json.Unmarshal(data, &corpus); err != nil {
		t.Fatal(err)
	}
	right := 0
	for _, c := range corpus.Messages {
		raw, err := os.ReadFile(filepath.Join(corpusDir, c.File))
		if err != nil {
			t.Fatal(err)
		}
		faults := compareFacts(t, withCRLF(raw), c.Facts)
		if len(faults) == 0 {
			right++
			continue
		}
		t.Logf("%s:\n\t%s", filepath.Base(c.File), strings.Join(faults, "\n\t"))
	}
	t.Logf("corpus: %d of %d", right, len(corpus.Messages))
	if right < corpusScore {
		t.Errorf("corpus: %d of %d right, want %d", right, len(corpus.Messages), corpusScore)
	}
}

func withCRLF(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// compareFacts lists what of a message was read otherwise than the facts say.
func compareFacts(t *testing.T, raw []byte, f corpusFacts) []string {
	m, err := Parse(bytes.NewReader(raw), int64(len(raw)), DefaultLimits())
	if err != nil {
		return []string{err.Error()}
	}
	var c faultList
	if f.Subject != nil {
		c.check("subject", squeeze(m.Subject), squeeze(*f.Subject))
	}
	c.addresses("from", m.From, f.FromAddr, f.FromNames)
	c.addresses("to", m.To, f.ToAddr, f.ToNames)
	c.addresses("cc", m.Cc, f.CcAddr, f.CcNames)
	c.addresses("bcc", m.Bcc, f.BccAddr, f.BccNames)
	c.addresses("reply-to", m.ReplyTo, f.ReplyAddr, f.ReplyNames)
	if m.Sender != nil {
		c.addresses("sender", []Address{*m.Sender}, f.SenderAddr, f.SenderNames)
	} else {
		c.addresses("sender", nil, f.SenderAddr, f.SenderNames)
	}
	c.ids("message id", m.MessageID, f.MessageID)
	c.ids("in-reply-to", m.InReplyTo, f.InReplyTo)
	c.ids("references", m.References, f.References)
	c.bodies(m, f)
	c.attachments(t, m, f)
	return c
}

type faultList []string

func (c *faultList) check(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		*c = append(*c, fmt.Sprintf("%s: got %q, want %q", what, got, want))
	}
}

func (c *faultList) addresses(what string, got []Address, addrs, names []string) {
	var ga, gn []string
	for _, a := range got {
		ga = append(ga, foldDomain(a.Address))
		gn = append(gn, squeeze(a.Name))
	}
	if addrs != nil {
		for i := range addrs {
			addrs[i] = foldDomain(addrs[i])
		}
		c.check(what, ga, addrs)
	}
	if names != nil {
		c.check(what+" names", gn, names)
	}
}

func (c *faultList) ids(what, got string, want []string) {
	if want == nil {
		return
	}
	var ids []string
	for _, id := range strings.Fields(got) {
		ids = append(ids, strings.Trim(id, "<>"))
	}
	c.check(what, ids, want)
}

func (c *faultList) bodies(m *Message, f corpusFacts) {
	if f.TextWords != nil {
		c.check("text", firstWords(m.Text), *f.TextWords)
	}
	if f.HTMLWords != nil {
		c.check("html", firstWords(visibleText(m.HTML)), *f.HTMLWords)
		c.check("body is html", m.Body.HTML, true)
	}
	if f.HTMLCIDs != nil {
		refs := refsOf(m.HTML)
		for _, id := range f.HTMLCIDs {
			c.check("html refers to "+id, refs[id], true)
		}
	}
}

func (c *faultList) attachments(t *testing.T, m *Message, f corpusFacts) {
	if f.Count != nil {
		c.check("attachments", len(m.Attachments), *f.Count)
	}
	for _, want := range f.Attachments {
		if want.Index >= len(m.Attachments) {
			continue
		}
		got := m.Attachments[want.Index]
		what := fmt.Sprintf("attachment %d ", want.Index)
		if want.Filename != nil && *want.Filename != "" {
			c.check(what+"name", squeeze(got.Name), *want.Filename)
		}
		if want.ContentType != "" {
			c.check(what+"type", got.ContentType, want.ContentType)
		}
		if want.ContentID != "" {
			c.check(what+"id", got.ContentID, want.ContentID)
		}
		if want.Referenced != nil {
			c.check(what+"inline", got.Inline, *want.Referenced)
		}
		c.content(t, what, got, want)
	}
}

func (c *faultList) content(t *testing.T, what string, got *Attachment, want corpusAttachment) {
	data, err := io.ReadAll(got.Open())
	if err != nil {
		t.Fatal(err)
	}
	c.check(what+"size", int64(len(data)), got.Size)
	sum, sumNL := hash(data), hash(bytes.TrimRight(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), "\n"))
	if want.SHA256 != "" && sum != want.SHA256 && (want.SHA256NL == "" || sumNL != want.SHA256NL) {
		c.check(what+"sha256", sum, want.SHA256)
	} else if want.SHA256 == "" && want.SHA256NL != "" {
		c.check(what+"sha256 without newlines", sumNL, want.SHA256NL)
	}
}

func hash(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func squeeze(s string) string { return strings.Join(strings.Fields(norm.NFC.String(s)), " ") }

func firstWords(s string) string {
	w := strings.Fields(norm.NFC.String(s))
	return strings.Join(w[:min(len(w), 10)], " ")
}

func foldDomain(a string) string {
	i := strings.LastIndexByte(a, '@')
	d, err := idna.ToASCII(strings.ToLower(a[i+1:]))
	if err != nil {
		d = strings.ToLower(a[i+1:])
	}
	return a[:i+1] + d
}

// visibleText returns the text of HTML without head, style, script and tags.
func visibleText(s string) string {
	var out strings.Builder
	skip := ""
	for z := html.NewTokenizer(strings.NewReader(s)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			if skip == "" {
				out.Write(z.Text())
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			if skip == "" && slices.Contains([]string{"head", "style", "script", "title"}, string(name)) {
				skip = string(name)
			}
			out.WriteByte(' ')
		case html.EndTagToken:
			name, _ := z.TagName()
			if string(name) == skip {
				skip = ""
			}
			out.WriteByte(' ')
		}
	}
}
