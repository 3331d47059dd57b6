package simulator

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

const maxFaultRequest = 1 << 20

// controlRoutes serves the simulator's own interface, for people and for tests in other
// languages. It needs no authentication, like the simulator itself.
func (s *Simulator) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, value func(*http.Request) any) {
		mux.HandleFunc("GET /_simulator/"+path, func(w http.ResponseWriter, r *http.Request) { writeJSON(w, http.StatusOK, value(r)) })
	}
	get("messages", func(r *http.Request) any { return s.Messages(r.URL.Query().Get("mailbox")) })
	get("ledger", func(*http.Request) any { return s.Ledger() })
	get("journal", func(*http.Request) any { return s.Journal() })
	get("stats", func(*http.Request) any { return s.Stats() })
	get("violations", func(*http.Request) any { return s.Violations() })
	get("faults", func(*http.Request) any { return s.Faults() })
	mux.HandleFunc("POST /_simulator/faults", s.postFault)
	mux.HandleFunc("DELETE /_simulator/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /_simulator/state", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /_simulator/consent", func(w http.ResponseWriter, r *http.Request) {
		s.Revoke(r.URL.Query().Get("mailbox"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_simulator/attachments/{id}", s.serveContent)
	return mux
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(value)
}

// postFault adds a fault. It requires a JSON content type, which a page of another site
// cannot send without a preflight request.
func (s *Simulator) postFault(w http.ResponseWriter, r *http.Request) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "Content-Type must be application/json"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFaultRequest))
	var f Fault
	if err == nil {
		err = json.Unmarshal(body, &f)
	}
	if err == nil {
		f.ID, err = s.AddFault(f)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusCreated, map[string]int{"id": f.ID})
}

// serveContent serves the content of an attachment or a MIME message: as a download, or
// inline if it is an image of a type that cannot contain scripts.
func (s *Simulator) serveContent(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	name, contentType, ok := s.contentName(id)
	content, kept := s.Content(id)
	if !ok || !kept {
		http.Error(w, "no such content, or it was not kept", http.StatusNotFound)
		return
	}
	disposition := "attachment"
	if r.URL.Query().Has("inline") && isSafeImage(contentType) {
		disposition = "inline"
	}
	header := w.Header()
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		contentType = "application/octet-stream"
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Write(content)
}

func isSafeImage(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"}, mediaType)
}

// contentName returns the name and type of the attachment or message with this content.
func (s *Simulator) contentName(id string) (name, contentType string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, box := range s.mailboxes {
		for _, i := range box.byImmutable {
			if i.MIME != nil && i.MIME.ID == id {
				return strings.TrimSpace(i.Subject) + ".eml", "message/rfc822", true
			}
			for _, a := range i.Attachments {
				if a.ID == id {
					return a.Name, a.ContentType, true
				}
			}
		}
	}
	return "", "", false
}
