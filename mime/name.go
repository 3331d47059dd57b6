package mime

import (
	"io"
	"path"
	"strconv"
	"strings"

	"graphrelay/internal/text"
)

// nameOf returns a safe file name for an attachment: the one that the message gives it, or
// a new one. n is the number of the attachment, from 1.
func (b *builder) nameOf(p *part, n int) string {
	if name := safeName(p.name); name != "" {
		return name
	}
	if p.transfer == transferUU {
		if name := safeName(b.uuName(p)); name != "" {
			return name
		}
	}
	ext := extensionOf(p.mediaType)
	if p.mediaType == "message/rfc822" || p.mediaType == "message/global" {
		if s := safeName(strings.NewReplacer("/", "-", "\\", "-", ":", "-").Replace(b.subjectOf(p))); s != "" {
			return text.Truncate(s, maxNameBytes-len(ext)) + ext
		}
		return "message-" + strconv.Itoa(n) + ext
	}
	return "attachment-" + strconv.Itoa(n) + ext
}

// subjectOf returns the subject of an attached message.
func (b *builder) subjectOf(p *part) string {
	if p.prefix != "" {
		return ""
	}
	block := make([]byte, min(int64(b.lim.HeaderBytes), 64<<10, max(0, p.end-p.start)))
	n, _ := io.ReadFull(p.open(b.r), block)
	return ReadHeader(block[:n], b.lim).Subject()
}

// uuName returns the file name in the "begin" line of uuencoded content, or "".
func (b *builder) uuName(p *part) string {
	head := make([]byte, min(4<<10, max(0, p.end-p.body)))
	n, _ := b.r.ReadAt(head, p.body)
	for line := range strings.Lines(string(head[:n])) {
		if f := strings.SplitN(line, " ", 3); len(f) == 3 && f[0] == "begin" {
			return decodeText(guessText([]byte(f[2])))
		}
	}
	return ""
}

// safeName returns the base name of s without control characters and blanks at its ends. A
// name of more than 255 bytes is cut before its extension. It is "" if nothing is left.
func safeName(s string) string {
	s = strings.TrimRight(cleanLine(s), "/\\ ")
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.TrimSpace(s)
	if strings.Trim(s, ". ") == "" {
		return ""
	}
	if len(s) <= maxNameBytes {
		return s
	}
	ext := path.Ext(s)
	if len(ext) > 20 {
		ext = ""
	}
	return strings.TrimSpace(text.Truncate(s[:len(s)-len(ext)], maxNameBytes-len(ext))) + ext
}

// extensionOf returns the file name extension of a media type, or a general one such as
// ".bin".
func extensionOf(mediaType string) string {
	typ, sub, _ := strings.Cut(mediaType, "/")
	sub, _, _ = strings.Cut(strings.TrimPrefix(sub, "x-"), "+")
	switch typ {
	case "text":
		return extension(textExtensions, sub, ".txt")
	case "application":
		return extension(applicationExtensions, sub, ".bin")
	case "message":
		if sub == "rfc822" || sub == "global" {
			return ".eml"
		}
		return ".txt"
	case "audio":
		return extension("mpeg=.mp3 basic=.au mp4=.m4a", sub, mediaExtension(sub))
	case "image", "video":
		return extension(mediaExtensions, sub, mediaExtension(sub))
	}
	return ".bin"
}

// mediaExtension returns a subtype such as "png" as an extension.
func mediaExtension(sub string) string {
	for i := range len(sub) {
		if c := sub[i]; c-'a' >= 26 && c-'0' >= 10 {
			return ".bin"
		}
	}
	if len(sub) < 2 || len(sub) > 5 {
		return ".bin"
	}
	return "." + sub
}

// extension looks up sub in a table "sub=.ext ...". It returns other if it is not there.
func extension(table, sub, other string) string {
	for entry := range strings.FieldsSeq(table) {
		if name, ext, _ := strings.Cut(entry, "="); name == sub {
			return ext
		}
	}
	return other
}

const (
	textExtensions = `html=.html calendar=.ics csv=.csv xml=.xml markdown=.md vcard=.vcf
		directory=.vcf css=.css amp-html=.html rtf=.rtf richtext=.rtx javascript=.js`

	mediaExtensions = `jpeg=.jpg pjpeg=.jpg tiff=.tif icon=.ico mpeg=.mpg quicktime=.mov
		vnd.microsoft.icon=.ico`

	applicationExtensions = `pdf=.pdf zip=.zip zip-compressed=.zip gzip=.gz json=.json xml=.xml
		rtf=.rtf ics=.ics javascript=.js postscript=.ps msword=.doc
		vnd.ms-excel=.xls vnd.ms-powerpoint=.ppt vnd.ms-outlook=.msg
		vnd.openxmlformats-officedocument.wordprocessingml.document=.docx
		vnd.openxmlformats-officedocument.spreadsheetml.sheet=.xlsx
		vnd.openxmlformats-officedocument.presentationml.presentation=.pptx
		pgp-signature=.asc pgp-encrypted=.asc pgp-keys=.asc pkcs7-signature=.p7s
		pkcs7-mime=.p7m ms-tnef=.dat vnd.ms-tnef=.dat`
)
