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

// save writes the state durably: the new file is complete on the disk before it takes the
// place of the old one.
func (s *state) save(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	_ = os.Remove(temporary) // of a set-up that was killed
	if err := writeNew(temporary, append(data, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// writeNew writes a file that must not exist, and syncs it.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask is
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path)
	}
	return err
}

// syncFolder makes the names in a folder durable, where the system can.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // Windows cannot
	return nil
}
