package logfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// stampLayout is the end of a finished file's name: when it was finished, in UTC. It has no colon,
// which Windows does not allow.
const stampLayout = "2006-01-02T15-04-05.000Z"

// finishedName returns the name for the file that is being finished, such as
// relay.log.2026-01-31T13-05-00.000Z. No other file has it.
func (f *File) finishedName(now time.Time) string {
	for {
		name := f.path + "." + now.UTC().Format(stampLayout)
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		now = now.Add(time.Millisecond)
	}
}

// prune removes finished files that are too many or too old. Files with other names, such as those
// of logrotate, are left alone. What cannot be removed now is tried again later.
func (f *File) prune() {
	f.pruned = f.now()
	folder := filepath.Dir(f.path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	var finished []string // the newest first
	for _, e := range entries {
		if _, ok := f.finishedAt(e.Name()); ok && e.Type().IsRegular() {
			finished = append(finished, e.Name())
		}
	}
	slices.Sort(finished)
	slices.Reverse(finished)
	for i, name := range finished {
		at, _ := f.finishedAt(name)
		if i >= f.rotation.Files || f.pruned.Sub(at) > f.rotation.Age {
			_ = os.Remove(filepath.Join(folder, name))
		}
	}
}

// finishedAt returns when a file of this name was finished, if it is one of this log.
func (f *File) finishedAt(name string) (time.Time, bool) {
	stamp, ok := strings.CutPrefix(name, filepath.Base(f.path)+".")
	if !ok {
		return time.Time{}, false
	}
	at, err := time.Parse(stampLayout, stamp)
	return at, err == nil
}
