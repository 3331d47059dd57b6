package mime

import (
	"io"
	"path"
	"strconv"
	"strings"
)

// nameOf returns the file name of an attachment: the one sent, made safe, else one
// made up; n counts the attachments from 1.
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
			return cutText(s, maxNameBytes-len(ext)) + ext
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

// uuName returns the name in the "begin" line of uuencoded content.
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

// safeName makes a file name safe: the base name only, without controls or blanks
// at its ends, at most 255 bytes of UTF-8 with the extension kept. It is empty when
// nothing is left.
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
	return strings.TrimSpace(cutText(s[:len(s)-len(ext)], maxNameBytes-len(ext))) + ext
}

// extensionOf returns the file name extension for a media type, ".bin" for those
// that have none of note.
func extensionOf(mediaType string) string {
	known := map[string]string{
		"text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "text/csv": ".csv",
		"text/enriched": ".txt", "text/richtext": ".rtx", "text/xml": ".xml", "text/markdown": ".md",
		"text/vcard": ".vcf", "text/x-vcard": ".vcf", "text/directory": ".vcf", "text/css": ".css",
		"text/x-amp-html": ".html", "text/rtf": ".rtf", "text/rfc822-headers": ".txt",
		"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/pjpeg": ".jpg", "image/png": ".png",
		"image/x-png": ".png", "image/gif": ".gif", "image/bmp": ".bmp", "image/tiff": ".tif",
		"image/svg+xml": ".svg", "image/webp": ".webp", "image/x-icon": ".ico", "image/heic": ".heic",
		"audio/mpeg": ".mp3", "audio/basic": ".au", "audio/wav": ".wav", "audio/x-wav": ".wav",
		"audio/ogg": ".ogg", "audio/mp4": ".m4a", "video/mp4": ".mp4", "video/mpeg": ".mpg",
		"video/quicktime": ".mov", "application/pdf": ".pdf", "application/zip": ".zip",
		"application/x-zip-compressed": ".zip", "application/gzip": ".gz", "application/x-gzip": ".gz",
		"application/json": ".json", "application/xml": ".xml", "application/rtf": ".rtf",
		"application/ics": ".ics", "application/msword": ".doc", "application/vnd.ms-excel": ".xls",
		"application/vnd.ms-powerpoint":                                             ".ppt",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   ".docx",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         ".xlsx",
		"application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
		"application/pgp-signature":                                                 ".asc", "application/pgp-encrypted": ".asc",
		"application/pgp-keys": ".asc", "application/pkcs7-signature": ".p7s",
		"application/x-pkcs7-signature": ".p7s", "application/pkcs7-mime": ".p7m",
		"application/x-pkcs7-mime": ".p7m", "application/ms-tnef": ".dat",
		"application/vnd.ms-tnef": ".dat", "application/postscript": ".ps",
		"application/javascript": ".js", "message/rfc822": ".eml", "message/global": ".eml",
		"message/delivery-status": ".txt", "message/global-delivery-status": ".txt",
		"message/disposition-notification": ".txt", "message/feedback-report": ".txt",
		"message/external-body": ".txt", "message/partial": ".txt",
	}
	if e, ok := known[mediaType]; ok {
		return e
	}
	if strings.HasPrefix(mediaType, "text/") {
		return ".txt"
	}
	return ".bin"
}
