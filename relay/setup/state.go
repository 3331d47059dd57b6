package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"graphrelay/internal/durable"
)

// state is how far a set-up has come. It is written before each step with an effect outside,
// so that a set-up that was interrupted goes on where it stopped. It has no secrets.
type state struct {
	Version int       `json:"version"`
	Marker  string    `json:"marker"` // a tag of the application, by which it is found if an answer was lost
	Begun   time.Time `json:"begun"`
	Choices Choices   `json:"choices"`

	TenantID   string    `json:"tenant_id,omitempty"`
	TenantName string    `json:"tenant_name,omitempty"`
	Asked      time.Time `json:"application_asked,omitzero"`  // when its registration was last asked for
	Tries      int       `json:"application_tries,omitempty"` // how often
	AppID      string    `json:"application_object_id,omitempty"`
	ClientID   string    `json:"client_id,omitempty"`
	Principal  string    `json:"service_principal_id,omitempty"`
	Grants     []string  `json:"grants,omitempty"` // permissions that were granted in Entra
	Registered bool      `json:"registered"`       // all of Entra's part is done

	Files  []string  `json:"files,omitempty"` // that were written
	Rights time.Time `json:"rights_seen,omitzero"`
	Done   time.Time `json:"done,omitzero"`
}

const stateVersion = 1

// markerPrefix begins the tag of each application that a set-up has made.
const markerPrefix = "graphrelay-setup-"

// statePath returns the path of the state beside the configuration.
func statePath(configFile string) string {
	return strings.TrimSuffix(configFile, filepath.Ext(configFile)) + ".setup.json"
}

// loadState returns the state of a set-up that was begun, or nil.
func loadState(path string) (*state, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s := &state{}
	if err == nil {
		err = json.Unmarshal(data, s)
	}
	if err == nil && (s.Version != stateVersion || !strings.HasPrefix(s.Marker, markerPrefix)) {
		err = errors.New("it is not of this version of graphrelay")
	}
	if err != nil {
		return nil, fmt.Errorf("the state of the set-up %s cannot be read: %w; move it away to begin anew (what it names in Entra stays there)", path, err)
	}
	return s, nil
}

func newState(c Choices) *state {
	return &state{Version: stateVersion, Marker: markerPrefix + uuid.NewString(), Begun: time.Now().UTC(), Choices: c}
}

// save writes the state durably.
func (s *state) save(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(path, append(data, '\n'))
}
