package devices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/durable"
	"graphrelay/relay/queue"
)

// maxFile bounds what is read of a file.
const maxFile = 8 << 20

// File is a Storage in a file, one device a line.
type File string

// Load implements Storage. A file that does not exist is an empty list.
func (f File) Load(context.Context) (all []Device, err error) {
	in, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for d := json.NewDecoder(io.LimitReader(in, maxFile)); ; {
		var one Device
		switch err := d.Decode(&one); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w; correct it, or remove it and allow the devices again", f, err)
		}
		all = append(all, one)
	}
}

// Save implements Storage. What it has written is on the disk.
func (f File) Save(_ context.Context, all []Device, _ Device, _ bool) error {
	lines := make([]string, 0, len(all))
	for _, d := range all {
		line, err := json.Marshal(d)
		if err != nil {
			return err
		}
		lines = append(lines, string(line)+"\n")
	}
	slices.Sort(lines)
	return durable.Replace(string(f), []byte(strings.Join(lines, "")))
}

// Shared is a Storage in the notes of a queue that several nodes share. Each node has to Load the
// list again and again to learn of changes that others make.
type Shared struct{ Notes queue.Notes }

const (
	scope = "devices" // of the notes
	// forever is how long a note is kept. A device is in the list until it is removed.
	forever = 100 * 365 * 24 * time.Hour
)

// Load implements Storage. What cannot be read is left out, so that it allows nothing.
func (s Shared) Load(ctx context.Context) (all []Device, err error) {
	notes, err := s.Notes.Notes(ctx, scope)
	for _, value := range notes {
		var d Device
		if bad := json.Unmarshal([]byte(value), &d); bad == nil {
			all = append(all, d)
		}
	}
	return all, err
}

// Save implements Storage.
func (s Shared) Save(ctx context.Context, _ []Device, changed Device, removed bool) error {
	value, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	keep := forever
	if removed {
		keep = -time.Hour // it has expired, and goes with the next maintenance
	}
	return s.Notes.SetNote(ctx, queue.Note{Scope: scope, Key: changed.Listener + " " + changed.Address.String(), Value: string(value)}, keep)
}
