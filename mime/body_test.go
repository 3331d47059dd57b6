package mime

import (
	"strings"
	"testing"
)

func TestToUTF8(t *testing.T) {
	for _, c := range []struct{ charset, in, want string }{
		{"", "caf\xe9", "café"},
		{"us-ascii", "caf\xc3\xa9", "café"},
		{"utf-8", "caf\xc3\xa9 \xe9", "café é"},
		{"utf-8", "\xd0\xb8\xd0\xbc\xd1\x8f \xd0", "имя \ufffd"},
		{"utf-8", "\xe6\x97\xa5\xe6\x9c a\xe9", "日\ufffd aé"},
		{"iso-8859-1", "\x93\xe9\x94", "“é”"},
		{"ISO-8859-5", "\xd0", "а"},
		{"cp1251", "\xe0", "а"},
		{"windows1251", "\xe0", "а"},
		{"cp-850", "\x82", "é"},
		{"koi8-r", "\xc1", "а"},
		{"ks_c_5601-1987", "\xb0\xa1", "가"},
		{"big5", "\xa4\xa4", "中"},
		{"gb2312", "\xd6\xd0", "中"},
		{"gb18030", "\xd6\xd0", "中"},
		{"cp932", "\x82\xa0", "あ"},
		{"iso-2022-jp", "\x1b$B$\"\x1b(B", "あ"},
		{"", "\x1b$B$\"\x1b(B", "あ"},
		{"utf-16", "\xff\xfea\x00", "a"},
		{"utf-16le", "a\x00", "a"},
		{"utf-7", "+AOk-a+-", "éa+"},
		{"utf-7", "Gr+APwA3w-e", "Grüße"},
		{"macintosh", "\x8e", "é"},
		{"ibm850", "\x82", "é"},
		{"nobody-knows", "caf\xe9", "café"},
		{"iso-2022-cn-ext", "plain ASCII", "plain ASCII"}, // which browsers do not read at all
		{"replacement", "caf\xe9", "café"},
		{"utf-16", "a", "a"},
		{"utf-16", "Hello, world\r\n", "Hello, world\r\n"},
		{"utf-16le", "Gr\xfc\xdfe aus der weiten Ferne", "Grüße aus der weiten Ferne"},
		{"utf-32", "Gr\xc3\xbc\xc3\x9fe\r\n", "Grüße\r\n"},
		{"utf-16be", "\x4e\x2d\x65\x87", "中文"},
		{"utf-16", "\x4e\x2d\x00\n", "中\n"},
		{"utf-7", "call +49 30 123, or +491761234567; a+b, a+b+c, C++, name+tag@example.com", "call +49 30 123, or +491761234567; a+b, a+b+c, C++, name+tag@example.com"},
		{"utf-7", "Hi Mom -+Jjo--! A+ImIDkQ. 1+-1", "Hi Mom -☺-! A≢Α. 1+1"},
		{"utf-7", "+ZeVnLIqe-", "日本語"},
		{"iso-2022-kr", "\x1b$)C\x0eGQ19>n\x0f \x0e:80m<-\x0f\r\nplain", "한국어 보고서\r\nplain"},
		{"iso-2022-kr", "plain", "plain"},
		{"iso-2022-kr", "\x0eGQ", "한"},
		{"iso-2022-kr", "\xc7\xd1 mixed", "한 mixed"},
		{"csISO2022KR", "\x1b$)C\x0eGQ\r\nnext line", "한\r\nnext line"},
		{"_autodetect_kr", "\xc7\xd1", "한"},
		{"_autodetect_kr", "\x1b$)C\x0eGQ\x0f.", "한."},
		{"_autodetect_all", "caf\xe9", "café"},
		{"_autodetect", "\x82\xa0 \x83\x65\x83\x58\x83\x67", "あ テスト"},
		{"_autodetect", "\xa4\xa2", "あ"},
		{"_iso-2022-jp$ESC", "\x1b$B$\"\x1b(B", "あ"},
		{"", "\x1b$)C\x0eGQ\x0f", "한"},
		{"hz-gb-2312", "This ~{VPND~} and ~~\r\n~{VP\r\nnext", "This 中文 and ~\r\n中\r\nnext"},
		{"hz-gb-2312", "a~\nb ~/home", "ab ~/home"},
		{"iso-2022-cn", "\x1b$)A\x0eVPND\x0f ok", "中文 ok"},
		{"iso-2022-cn-ext", "\x1b$)G\x0eD!\x0f ok \x1bN!!", "\ufffd ok \ufffd"},
		{"replacement", "plain", "plain"},
		{"iso-8859-1", "Gr\xc3\xb6\xc3\x9fe \xe2\x80\x93 5 \xe2\x82\xac", "Größe – 5 €"},
		{"windows-1252", "\xe2\x80\xa2 Punkt", "• Punkt"},
		{"iso-8859-2", "Dzie\xc4\x84 dobry", "DzieĄ dobry"},
		{"iso-8859-1", "Gr\xf6\xdfe", "Größe"},
		{"windows-1251", "\xd2\xb3", "Ті"},
		{"windows-1251", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", "привет"},
		{"koi8-r", "\xde\xa3", "чё"},
		{"gbk", "\xc4\xa3", "模"},
		{"gbk", "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96\xe7\x95\x8c", "你好世界"},
		{"utf-16", "a\x00\xe9\x00", "aé"},
		{"utf-16", "\x00a", "a"},
		{"utf-16be", "\x00a", "a"},
		{"utf-32", "\x00\x00\x00a", "a"},
		{"", "\xff\xfea\x00", "a"},
		{"cp858", "\xd5", "€"},
		{"iso-8859-1:1987", "\xe9", "é"},
		{"euc_jp", "\xa4\xa2", "あ"},
		{"cp50221", "\x1b$B$\"\x1b(B", "あ"},
		{"iso-2022-jp", "\x1b$B$\"\r\na\n\x1b$B$\"", "あ\r\na\nあ"},
		{"iso-2022-jp", "\xe3\x81\x82", "あ"},
		{"shift_jis", "caf\xc3\xa9 \xe3\x81\x82", "café あ"},
		{"unknown-8bit", "\xe9", "é"},
		{"''", "\xe9", "é"},
	} {
		if got := toUTF8(c.charset, []byte(c.in)); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.charset, c.in, got, c.want)
		}
	}
}

func TestHTMLCharset(t *testing.T) {
	for _, c := range []struct{ named, raw, want string }{
		{"", "<meta charset=koi8-r>\xc1", "koi8-r"},
		{"koi8-r", "<meta charset=iso-8859-2>\xc1", "koi8-r"},
		{"utf-8", "<meta charset=gb2312><style>a~{}</style>\xe4\xb8\xad", "utf-8"},
		{"utf-8", "<meta charset=koi8-r>\xc1", "koi8-r"},
		{"us-ascii", "<meta charset=iso-2022-kr>\x1b$)C\x0eGQ\x0f", "iso-2022-kr"},
		{"us-ascii", "<meta charset=hz-gb-2312>~{VP~}", "hz-gb-2312"},
		{"us-ascii", "<p>~{", "us-ascii"},
	} {
		if got := htmlCharset(c.named, []byte(c.raw)); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.named, c.raw, got, c.want)
		}
	}
}

func TestUnflow(t *testing.T) {
	for _, c := range []struct {
		in, want string
		delSp    bool
	}{
		{"a \r\nb\r\n", "a b\r\n", false},
		{"a \r\nb\r\n", "ab\r\n", true},
		{"> a \r\n> b\r\nc \r\n> d\r\n", "> a b\r\nc \r\n> d\r\n", false},
		{" >not quoted\r\n", ">not quoted\r\n", false},
		{"a\r\n-- \r\nb\r\n", "a\r\n-- \r\nb\r\n", false},
		{"a \r\n-- \r\nb\r\n", "a \r\n-- \r\nb\r\n", false},
		{"a \r\n\r\nb", "a \r\nb\r\n", false},
		{"a ", "a \r\n", false},
		{"", "", false},
	} {
		if got := unflow(c.in, c.delSp); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func refsOf(html string) map[string]bool {
	refs := map[string]bool{}
	eachRef(html, func(id string) { refs[id] = true })
	return refs
}

func TestEachRef(t *testing.T) {
	for in, want := range map[string]string{
		`<img src="cid:a@b">`:                               "a@b",
		`<img src=cid:a@b>`:                                 "a@b",
		`<img src='CID:a%40b'>`:                             "a@b",
		`<td style="background: url(cid:a@b)">`:             "a@b",
		`<td style="background: url(&quot;cid:a@b&quot;)">`: "a@b",
		`<!--[if mso]><v:fill src="cid:a@b"/>`:              "a@b",
		`<img src="cid:a&amp;b">`:                           "a&b",
	} {
		if refs := refsOf(in); !refs[want] {
			t.Errorf("%s: %v does not hold %q", in, refs, want)
		}
	}
	for _, in := range []string{"cid:a@b", "<p>see cid:a@b</p>", `<img src="http://x/cid:a@b">`, `<img src="acid:a@b">`} {
		if refs := refsOf(in); len(refs) > 0 {
			t.Errorf("%s: %v", in, refs)
		}
	}
}

func TestRewriteRefs(t *testing.T) {
	in := `<p title='src="x"'><IMG alt=x SRC=x /><img src='x?a&amp;b'><a href="x">x</a><script>src="x"</script><!-- <img src="x"> --><img src=`
	want := `<p title='src="x"'><IMG alt=x SRC=cid:y /><img src='cid:z'><a href="cid:y">x</a><script>src="x"</script><!-- <img src="x"> --><img src=`
	got := rewriteRefs(in, func(ref string) string {
		return map[string]string{"x": "cid:y", "x?a&b": "cid:z"}[ref]
	})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKind(t *testing.T) {
	for in, want := range map[string]Kind{
		"text/plain": KindOrdinary,
		"multipart/signed; boundary=b; protocol=\"application/pgp-signature\"": KindSigned,
		"multipart/encrypted; boundary=b":                                      KindEncrypted,
		"application/pkcs7-mime; smime-type=enveloped-data":                    KindEncrypted,
		"application/x-pkcs7-mime":                                             KindEncrypted,
		"application/pkcs7-mime; smime-type=signed-data":                       KindSigned,
		"multipart/report; boundary=b":                                         KindReport,
		"text/calendar; method=REQUEST":                                        KindCalendar,
		"text/calendar":                                                        KindOrdinary,
	} {
		raw := "Content-Type: " + in + "\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
		m, err := Parse(strings.NewReader(raw), int64(len(raw)), DefaultLimits())
		if err != nil || m.Kind != want {
			t.Errorf("%s: %v, %v, want %v", in, m.Kind, err, want)
		}
	}
}
