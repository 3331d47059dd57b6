package console

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// registerMessages adds what is no page: actions on many messages, and downloads.
func (c *Console) registerMessages(mux *http.ServeMux) {
	c.handle(mux, "POST "+messagesURL+"/act", operators.Operator, c.actOnMessages)
	mux.Handle("GET "+messagesURL+"/{id}/export", operators.Require(operators.Operator, http.HandlerFunc(c.exportOne)))
	mux.Handle("GET "+messagesURL+"/export.zip", operators.Require(operators.Operator, http.HandlerFunc(c.exportMany)))
}

const (
	// maxExports is how many downloads there are at a time.
	maxExports = 4
	// exportTime is how long a download may take.
	exportTime = 30 * time.Minute
	// maxExported and maxExportBytes bound what one archive has.
	maxExported    = 1000
	maxExportBytes = 2 << 30
)

// download bounds the downloads, and gives this one its time.
func (c *Console) download(w http.ResponseWriter, r *http.Request) (end func(), ok bool) {
	if why := c.contentRefused(r); why != "" {
		c.showError(w, r, fault{http.StatusForbidden, why})
		return nil, false
	}
	select {
	case c.exports <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "30")
		c.showError(w, r, fault{http.StatusServiceUnavailable, "There are too many downloads at a time. Try again when one of them has ended."})
		return nil, false
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportTime)) // not every writer has one
	return func() { <-c.exports }, true
}

// exportOne answers with a message as it was received.
func (c *Console) exportOne(w http.ResponseWriter, r *http.Request) {
	end, ok := c.download(w, r)
	if !ok {
		return
	}
	defer end()
	m, err := c.readable(r, operations.Exported)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", `attachment; filename="`+m.ID+`.eml"`)
	if err := c.cfg.Ops.Content(r.Context(), m.ID, w); err != nil {
		c.cfg.Log().Warn("a message was not exported as a whole", "id", m.ID, "error", err)
		if !errors.Is(err, queue.ErrDamaged) { // of which the rest is what there is
			panic(http.ErrAbortHandler) // so that the browser does not take it for all
		}
	}
}

// exportMany answers with an archive of messages. Its last file says what is missing.
func (c *Console) exportMany(w http.ResponseWriter, r *http.Request) {
	end, ok := c.download(w, r)
	if !ok {
		return
	}
	defer end()
	v := r.URL.Query()
	v.Set("action", "export")
	s, err := c.parseSelection(v)
	if err != nil {
		c.showError(w, r, err)
		return
	}
	list, missing, err := c.exportable(r.Context(), s)
	if err == nil {
		err = c.cfg.Ops.RecordReading(r.Context(), by(r), operations.Exported, idsOf(list)...)
	}
	if err != nil {
		c.showError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="messages.zip"`)
	if err := c.archive(r.Context(), w, list, missing); err != nil {
		c.cfg.Log().Warn("messages were not exported as a whole", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// exportable returns the messages of a selection that one archive can have, and says which are
// missing, and why.
func (c *Console) exportable(ctx context.Context, s selection) (list []operations.Message, missing string, err error) {
	var all []operations.Message
	if s.all {
		f := s.search.filter
		f.HasContent, f.Limit = true, maxExported
		if all, err = c.cfg.Ops.Messages(ctx, f); err != nil {
			return nil, "", err
		}
		if len(all) == maxExported {
			missing = fmt.Sprintf("The archive has the newest %d messages that the search selects; there may be more.\r\n", maxExported)
		}
	}
	for _, id := range s.ids {
		m, err := c.cfg.Ops.Message(ctx, id)
		switch {
		case ctx.Err() != nil:
			return nil, "", err
		case err != nil:
			missing += printable([]byte(id)) + ": " + err.Error() + "\r\n"
		default:
			all = append(all, m)
		}
	}
	left := int64(maxExportBytes)
	for _, m := range all {
		switch {
		case !m.HasContent:
			missing += m.ID + ": only its record is left\r\n"
		case m.Size > left:
			missing += m.ID + ": the archive would be too large; export it alone\r\n"
		default:
			left -= m.Size
			list = append(list, m)
		}
	}
	return list, missing, nil
}

func idsOf(list []operations.Message) (ids []string) {
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

// archive writes the messages, and what is missing.
func (c *Console) archive(ctx context.Context, w io.Writer, list []operations.Message, missing string) error {
	z := zip.NewWriter(w)
	for _, m := range list {
		f, err := z.CreateHeader(&zip.FileHeader{Name: m.ID + ".eml", Method: zip.Deflate, Modified: m.Received})
		if err != nil {
			return err
		}
		if err := c.cfg.Ops.Content(ctx, m.ID, f); err != nil {
			if ctx.Err() != nil {
				return err
			}
			missing += m.ID + ": " + err.Error() + "\r\n"
		}
	}
	if missing != "" {
		f, err := z.Create("missing.txt")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(f, missing); err != nil {
			return err
		}
	}
	return z.Close()
}
