package mime

import "strings"

// canonicalCharset returns a charset's name without what senders put around it, and
// resolves names that are not registered. It returns "" if the charset has to be guessed.
func canonicalCharset(name string) string {
	if i := strings.IndexAny(name, "*:"); i >= 0 { // a language: RFC 2231 section 5
		name = name[:i]
	}
	name = strings.ToLower(strings.Trim(name, " \t\"'`<>;,"))
	if strings.HasPrefix(name, "_") { // of Outlook and Exchange: "_iso-2022-jp$ESC"
		name, _, _ = strings.Cut(name[1:], "$")
	}
	switch name {
	case "utf-8", "utf8", "utf8mb4", "utf8mb3", "utf_8", "x-utf-8", "utf-8n", "us-ascii", "ascii",
		"unknown-8bit", "x-unknown", "unknown", "default", "none", "8bit", "7bit", "binary", "iso-10646-ucs-utf-8",
		"ansi_x3.4-1968", "646", "x-user-defined", "unicode-1-1-utf-8",
		"autodetect_all", "auto", "replacement", "ansi", "ansi_charset", "default_charset":
		return ""
	case "utf7", "unicode-1-1-utf-7", "x-utf-7", "csunicode11utf7", "unicode-2-0-utf-7":
		return "utf-7"
	case "latin1", "latin-1", "iso8859-1", "iso-latin-1", "iso_8859-1", "iso-8859-1-windows-1252", "8859-1", "iso-8859-1-unicode":
		return "windows-1252"
	case "gb2312", "gbk", "x-gbk", "cp936", "ms936", "windows-936", "euc-cn", "gb_2312-80", "gb-2312", "gb2312_charset",
		"x-cp20936":
		return "gb18030"
	case "hz", "hz-gb2312", "hzgb2312", "cp52936":
		return "hz-gb-2312"
	case "iso-2022-cn-ext", "csiso2022cn", "x-cp50227", "cp50227":
		return "iso-2022-cn"
	case "autodetect", "autodetect_jp", "cp50932":
		return "japanese"
	case "autodetect_kr", "csiso2022kr", "cp50225", "cp50949": // EUC-KR is read there too
		return "iso-2022-kr"
	case "cp932", "ms932", "windows-31j", "sjis", "shift-jis", "x-sjis", "windows-932", "shiftjis_charset":
		return "shift_jis"
	case "cp949", "ks_c_5601", "uhc", "x-windows-949", "ksc5601", "euc_kr", "johab", "ksc5601.1987",
		"x-cp20949", "hangeul_charset":
		return "euc-kr"
	case "cp950", "big5-hkscs", "x-big5", "ms950", "big-5", "chinesebig5_charset":
		return "big5"
	case "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-ms", "cp50220", "cp50221", "x-iso-2022-jp":
		return "iso-2022-jp"
	case "eucjp", "euc_jp", "eucjp-ms":
		return "euc-jp"
	case "latin9", "latin-9", "8859-15":
		return "iso-8859-15"
	case "koi-8-r":
		return "koi8-r"
	case "x-macroman", "x-mac-roman", "cp10000":
		return "macintosh"
	case "utf_16":
		return "utf-16"
	case "iso-8859-8-e", "iso-8859-8-i":
		return "iso-8859-8"
	}
	return windowsCharset(name)
}

// headerCharset returns the canonical name of a charset if raw header text can be in it, as
// in a superset of ASCII.
func headerCharset(name string) string {
	switch name = canonicalCharset(name); {
	case isWide(name) || name == "utf-7":
		return ""
	case name == "iso-2022-jp": // whose texts are in one of the others where they have 8 bits
		return "japanese"
	}
	return name
}

// windowsCharset resolves "cp1252", "cp-1252", "windows1252" and "ansi-1252".
func windowsCharset(name string) string {
	if n, ok := strings.CutPrefix(name, "cp-"); ok {
		name = "cp" + n
	}
	for _, p := range []string{"cp", "windows", "win", "ansi", "x-cp", "ms"} {
		n := strings.TrimLeft(strings.TrimPrefix(name, p), "-_")
		if strings.HasPrefix(name, p) && len(n) == 4 && strings.HasPrefix(n, "125") {
			return "windows-" + n
		}
	}
	return name
}
