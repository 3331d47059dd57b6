package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"graphrelay/internal/buildinfo"
)

// File is the JSON of a run, which people send to the project and give to the simulator. It has
// no addresses, no texts of the tenant's and no IDs but hashes, whose key is a new one for each
// run and is not in it.
type File struct {
	Version int               `json:"probe_file"` // of its form: 1
	Program string            `json:"graphrelay"`
	Cloud   string            `json:"cloud"`
	SignIn  string            `json:"sign_in"`
	IDs     map[string]string `json:"ids,omitempty"` // hashed
	Steps   []FileStep        `json:"steps"`
	Facts   Facts             `json:"facts"`
	Left    int               `json:"left"` // items that could not be removed
}

// FileStep is a step in a File.
type FileStep struct {
	Step    int     `json:"step"`
	Verdict Verdict `json:"verdict"`
	Status  int     `json:"status,omitempty"`
	Code    string  `json:"code,omitempty"`
	Took    int64   `json:"ms,omitempty"`
	Why     string  `json:"why,omitempty"` // it was skipped
}

// File returns the JSON of the run.
func (r Report) File() File {
	f := File{Version: 1, Program: buildinfo.Read().Version, Cloud: string(r.connection.Cloud), SignIn: string(r.connection.SignIn),
		IDs: map[string]string{}, Facts: r.Facts, Left: len(r.Left)}
	for name, id := range r.ids {
		if id != "" {
			f.IDs[name] = r.hash(id)
		}
	}
	for _, s := range r.Results {
		f.Steps = append(f.Steps, FileStep{s.Step, s.Verdict, s.Status, text80(s.Code), s.Took.Milliseconds(), s.Why})
	}
	return f
}

func (r Report) hash(id string) string {
	h := hmac.New(sha256.New, r.salt)
	h.Write([]byte(id))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// JSON returns the file as text.
func (f File) JSON() []byte {
	b, _ := json.MarshalIndent(f, "", "  ") // cannot fail with these types
	return append(b, '\n')
}
