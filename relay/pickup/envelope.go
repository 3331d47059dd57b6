package pickup

import (
	"errors"
	"io"
	"strings"

	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
)

// The fields with which a file names its envelope, as IIS has them.
const (
	senderField   = "X-Sender"
	receiverField = "X-Receiver"
)

// envelope is who sends a message, and who gets it.
type envelope struct {
	from string
	to   []string
}

// readHead returns the header of a message as it is queued, where the body begins in the file, and
// the envelope.
func (w *Watcher) readHead(r io.ReaderAt, size int64) (head []byte, body int64, e envelope, err error) {
	limits := mime.DefaultLimits() // that cut nothing: the envelope must be whole
	limits.HeaderBytes, limits.ValueBytes, limits.HeaderFields = w.cfg.HeaderBytes, w.cfg.HeaderBytes, w.cfg.HeaderBytes
	// Bcc stays for the relay, which hides it as it does for every other message.
	head, body, err = mime.EditHeader(r, size, limits, []mime.Field{{Name: senderField}, {Name: receiverField}})
	if errors.Is(err, mime.ErrHeaderTooLarge) || err == nil && body > int64(w.cfg.HeaderBytes) {
		return nil, 0, e, badf("its header is larger than %d bytes (limits.header_size)", w.cfg.HeaderBytes)
	}
	if err != nil {
		return nil, 0, e, err
	}
	block := make([]byte, body)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, body), block); err != nil {
		return nil, 0, e, err
	}
	e, err = envelopeOf(mime.ReadHeader(block, limits))
	return head, body, e, err
}

// envelopeOf returns the envelope that a header names: by X-Sender and X-Receiver, else by From and
// by To, Cc and Bcc.
func envelopeOf(h *mime.Header) (e envelope, err error) {
	names := []string{receiverField}
	if h.Count(receiverField) == 0 {
		names = []string{"To", "Cc", "Bcc"}
	}
	for _, f := range h.Undecoded() {
		for _, name := range names {
			if !strings.EqualFold(f.Name, name) {
				continue
			}
			list, err := mailaddr.List(f.Value)
			if err != nil {
				return e, badf("%s: %w", f.Name, err)
			}
			e.to = append(e.to, list...)
		}
	}
	if len(e.to) == 0 {
		return e, badf("it names no recipient; add X-Receiver, To, Cc or Bcc to its header")
	}
	e.from, err = senderOf(h)
	return e, err
}

// senderOf returns the sender. X-Sender may be <>, for mail of which nobody is to be told.
func senderOf(h *mime.Header) (string, error) {
	for _, f := range h.Undecoded() {
		if !strings.EqualFold(f.Name, senderField) {
			continue
		}
		if v := strings.TrimSpace(f.Value); v == "<>" {
			return "", nil
		}
		list, err := mailaddr.List(f.Value)
		if err != nil || len(list) != 1 {
			return "", badf("X-Sender has to be one address")
		}
		return list[0], nil
	}
	for _, a := range h.From() {
		if a.Valid() {
			return a.Address, nil
		}
	}
	return "", badf("it names no sender; add X-Sender or From to its header")
}
