package simulator

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

const maxControlRequest = 1 << 20

// controlRoutes serves the simulator's own interface, for people and for tests in other
// languages. It needs no authentication, like the simulator itself.
func (s *Simulator) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, value func(*http.Request) any) {
		mux.HandleFunc("GET /_simulator/"+path, func(w http.ResponseWriter, r *http.Request) { writeJSON(w, http.StatusOK, value(r)) })
	}
	get("messages", func(r *http.Request) any { return s.Messages(r.URL.Query().Get("mailbox")) })
	get("received", func(r *http.Request) any { return s.Received(r.URL.Query().Get("address"), r.URL.Query().Get("q")) })
	get("ledger", func(*http.Request) any { return s.Ledger() })
	get("journal", func(*http.Request) any { return s.Journal() })
	get("stats", func(*http.Request) any { return s.Stats() })
	get("violations", func(*http.Request) any { return s.Violations() })
	get("faults", func(*http.Request) any { return s.Faults() })
	get("world", func(*http.Request) any { return s.World() })
	get("touched", func(*http.Request) any { return s.Touched() })
	get("applications", func(*http.Request) any { return s.RegisteredApps() })
	mux.HandleFunc("POST /_simulator/rbac", s.postRBAC)
	mux.HandleFunc("PATCH /_simulator/world", s.setWorld)
	mux.HandleFunc("PUT /_simulator/world", s.setWorld)
	mux.HandleFunc("POST /_simulator/items", s.postItem)
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

// readControl decodes the JSON body of a request into value, and answers the request if that
// fails. It requires a JSON content type, which a page of another site cannot send without a
// preflight request.
func readControl(w http.ResponseWriter, r *http.Request, value any) (ok bool) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "Content-Type must be application/json"})
		return false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlRequest))
	if err == nil {
		err = json.Unmarshal(body, value)
	}
	if err != nil {
		refuseControl(w, err)
	}
	return err == nil
}

func refuseControl(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

func (s *Simulator) postFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !readControl(w, r, &f) {
		return
	}
	id, err := s.AddFault(f)
	if err != nil {
		refuseControl(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]int{"id": id})
}

// postRBAC grants an application permissions in some mailboxes.
func (s *Simulator) postRBAC(w http.ResponseWriter, r *http.Request) {
	var grant struct {
		AppID            string
		Roles, Mailboxes []string
	}
	if !readControl(w, r, &grant) {
		return
	}
	s.GrantRBAC(grant.AppID, grant.Roles, grant.Mailboxes)
	w.WriteHeader(http.StatusNoContent)
}

// setWorld puts the world in the body in force. With PATCH, fields that the body lacks stay.
func (s *Simulator) setWorld(w http.ResponseWriter, r *http.Request) {
	var world World
	if r.Method == http.MethodPatch {
		world = s.World()
	}
	if !readControl(w, r, &world) {
		return
	}
	if err := s.SetWorld(world); err != nil {
		refuseControl(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.World())
}

func (s *Simulator) postItem(w http.ResponseWriter, r *http.Request) {
	var m Message
	if !readControl(w, r, &m) {
		return
	}
	id, err := s.Plant(m)
	if err != nil {
		refuseControl(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]string{"id": id})
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
	for _, a := range slices.Backward(s.arrivals) {
		if name, contentType, ok = a.item.contentName(id); ok {
			return name, contentType, true
		}
	}
	for _, box := range s.mailboxes {
		for _, i := range box.byImmutable {
			if name, contentType, ok = i.contentName(id); ok {
				return name, contentType, true
			}
		}
	}
	return "", "", false
}

func (i *item) contentName(id string) (name, contentType string, ok bool) {
	if i.MIME != nil && i.MIME.ID == id {
		return emlName(i.Subject), "message/rfc822", true
	}
	for _, a := range i.Attachments {
		if a.ID == id {
			return a.Name, a.ContentType, true
		}
	}
	return "", "", false
}

// emlName returns the name of the file with a message's source.
func emlName(subject string) string {
	if subject = strings.TrimSpace(subject); subject == "" {
		subject = "message"
	}
	return subject + ".eml"
}
