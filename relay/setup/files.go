package setup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/internal/durable"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

// passwordFile returns the file with the password of the programs.
func (r *run) passwordFile() string {
	return strings.TrimSuffix(r.o.Config, filepath.Ext(r.o.Config)) + ".password"
}

// keyFolder returns the folder of the application's certificates, which the relay renews
// there.
func (r *run) keyFolder() string {
	if data := r.state.Choices.DataDir; data != "" {
		return filepath.Join(r.beside(data), "certificate")
	}
	return r.beside("certificate")
}

// beside returns a path as the configuration reads it: relative to its own folder.
func (r *run) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.o.Config), path)
}

// refuseFiles returns an error if something is where the set-up would write.
func (r *run) refuseFiles() error {
	if _, err := os.Stat(filepath.Dir(r.o.Config)); err != nil {
		return fmt.Errorf("the folder of the configuration: %w; make it first", err)
	}
	c := r.o.Choices
	c.setDefaults(r.o.Config)
	planned := &run{o: r.o, state: &state{Choices: c}}
	for _, path := range []string{r.o.Config, r.passwordFile(), planned.keyFolder()} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists, and no set-up was begun here; nothing is overwritten: move it away, or name another configuration with --config", path)
		}
	}
	return nil
}

// keys makes the application's keys and certificates, or opens those that were made.
func (r *run) keys() (*credential.Store, error) {
	folder := r.keyFolder()
	made := slices.Contains(r.state.Files, folder)
	if made {
		store, err := credential.Open(folder)
		if err == nil || r.state.AppID != "" || !r.state.Asked.IsZero() {
			return store, err
		}
		// Nobody knows these keys yet: a set-up was killed while it made them.
		if err := os.RemoveAll(folder); err != nil {
			return nil, err
		}
	} else {
		r.state.Files = append(r.state.Files, folder)
	}
	if err := r.step("keys"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Dir(folder), 0o700); err == nil { // data_dir, which is the relay's too
		err = r.give(filepath.Dir(folder))
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	r.say("Making the keys of the application (they stay in %s).", folder)
	return r.o.create(folder, r.state.Choices.Name, time.Now())
}

// writeFiles writes the configuration and the password of the programs, unless an earlier run
// has done it.
func (r *run) writeFiles() error {
	if r.wrote(r.o.Config) {
		return nil
	}
	hash := ""
	if r.state.Choices.Clients != Devices {
		if err := r.writeFile(r.passwordFile(), []byte(rand.Text()+"\n")); err != nil { // 128 bits
			return err
		}
		password, err := os.ReadFile(r.passwordFile())
		if err != nil {
			return fmt.Errorf("the password of the programs: %w", err)
		}
		b, err := bcrypt.GenerateFromPassword(bytes.TrimSpace(password), r.o.cost)
		if err != nil {
			return fmt.Errorf("the password of the programs: %w", err)
		}
		hash = string(b)
	}
	data, err := r.configuration(hash)
	if err != nil {
		return err
	}
	if _, err := config.Parse(data, r.o.Config); err != nil {
		return fmt.Errorf("these choices do not make a configuration; move %s away to choose anew:\n%w", r.path, err)
	}
	if err := r.writeFile(r.o.Config, data); err != nil {
		return err
	}
	return r.give(r.o.Config)
}

// wrote reports whether this set-up has written the file, and it is still there.
func (r *run) wrote(path string) bool {
	_, err := os.Lstat(path)
	return err == nil && slices.Contains(r.state.Files, path)
}

// writeFile writes a file that this user alone may read. The file appears whole, and never in
// the place of another. One that an earlier run of this set-up has written is kept.
func (r *run) writeFile(path string, data []byte) error {
	if r.wrote(path) {
		return nil
	}
	if !slices.Contains(r.state.Files, path) {
		r.state.Files = append(r.state.Files, path)
	}
	if err := r.step("write " + filepath.Base(path)); err != nil {
		return err
	}
	staged, err := durable.Stage(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(staged)
	if err := os.Link(staged, path); err != nil { // unlike a rename, a link replaces nothing
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s has appeared since the set-up began; nothing is overwritten: move it away and run the command again", path)
		}
		if err := durable.Create(path, data); err != nil { // no hard links here
			return err
		}
	}
	r.say("Wrote %s.", path)
	return durable.SyncDir(filepath.Dir(path))
}

// give makes the relay's user the owner of a file, or of a folder with all that is in it.
func (r *run) give(path string) error {
	if r.o.ServiceUser == "" {
		return nil
	}
	uid, gid, err := userIDs(r.o.ServiceUser)
	if err != nil {
		return err
	}
	return filepath.WalkDir(path, func(at string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(at, uid, gid)
		}
		return err
	})
}
