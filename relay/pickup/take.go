package pickup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"graphrelay/internal/durable"
	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// Files in work have the name that they had in the folder behind an ID and a dash: that of the
// message in the queue, or one that no message has.

const maxName = 200 // bytes of the name that are kept

// newName returns the name in work of a file that is in no queue.
func newName(original string) string { return nameWith(queue.NewID(time.Now()), original) }

func nameWith(id, original string) string {
	for len(original) > maxName {
		_, n := utf8.DecodeRuneInString(original)
		original = original[n:]
	}
	return id + "-" + original
}

// split returns the ID and the name that the file had.
func split(name string) (id, original string) {
	id, original, found := strings.Cut(name, "-")
	if !found || !queue.ValidID(id) {
		return "", name
	}
	return id, original
}

func inWork(name string) string   { return filepath.Join(workName, name) }
func inBad(name string) string    { return filepath.Join(badName, name) }
func reasonOf(name string) string { return inBad(name + ".txt") }

// badFile is why a file is never taken.
type badFile struct{ error }

func badf(format string, args ...any) error { return badFile{fmt.Errorf(format, args...)} }

// take takes one file of work: it ends in the queue, among the bad ones, or stays for later.
func (w *Watcher) take(ctx context.Context, name string) {
	defer func() {
		if v := recover(); v != nil {
			w.cfg.Log.Error("a fault in the relay kept a file from being taken; please report it", "file", printable(name),
				"panic", printable(fmt.Sprint(v)), "stack", text.Shorten(text.Printable(strings.ReplaceAll(string(debug.Stack()), "\n", " | ")), 8<<10))
			w.postpone(name, errors.New("a fault in the relay"))
		}
	}()
	w.mu.Lock()
	delete(w.later, name)
	w.mu.Unlock()
	taken, err := w.isTaken(ctx, name)
	if err == nil && !taken {
		name, err = w.submit(name)
	}
	var bad badFile
	var refused *smtpd.Refusal
	switch {
	case errors.As(err, &bad), errors.As(err, &refused) && refused.Code >= 500:
		err = w.setAside(name, err)
	case err == nil:
		err = w.remove(name)
	}
	if err != nil {
		w.postpone(name, err)
	}
}

// isTaken reports whether the message of a file is in the queue. It also finishes what a crash has
// kept setAside from.
func (w *Watcher) isTaken(ctx context.Context, name string) (bool, error) {
	w.mu.Lock()
	taken := w.taken[name]
	w.mu.Unlock()
	if taken {
		return true, nil
	}
	if reason, err := w.root.ReadFile(reasonOf(name)); err == nil {
		return false, badf("%s", bytes.TrimSpace(reason))
	}
	id, _ := split(name)
	if id == "" {
		return false, nil
	}
	return w.cfg.Queued(ctx, id)
}

// remove removes a file whose message is in the queue.
func (w *Watcher) remove(name string) error {
	err := os.Remove(filepath.Join(w.cfg.Folder, inWork(name))) // Wine cannot remove within a Root
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.taken, name); err != nil {
		w.taken[name] = true
	}
	return err
}

// postpone leaves a file for later.
func (w *Watcher) postpone(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.later[name] = time.Now().Add(retryAfter)
	w.answer = printable(err.Error())
	w.cfg.Log.Warn("a file waits to be picked up", "file", printable(name), "error", w.answer)
}

// setAside moves a file to the bad ones. Its reason goes there first: whoever finds the file finds
// that too, and so does the next process after a crash.
func (w *Watcher) setAside(name string, why error) error {
	if bad := (badFile{}); errors.As(why, &bad) {
		w.cfg.Refuse(client, why.Error())
	}
	err := durable.Create(filepath.Join(w.cfg.Folder, reasonOf(name)), []byte(printable(why.Error())+"\n"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := w.root.Rename(inWork(name), inBad(name)); err != nil {
		return err
	}
	_, original := split(name)
	w.cfg.Log.Warn("a file is refused", "file", printable(original), "moved_to", filepath.Join(w.cfg.Folder, inBad(name)), "error", printable(why.Error()))
	return errors.Join(w.sync(badName), w.sync(workName))
}

// submit puts the message of a file into the queue, and returns the name that the file has then.
func (w *Watcher) submit(name string) (string, error) {
	f, size, err := w.openFile(name)
	if err != nil {
		return name, err
	}
	defer f.Close()
	head, body, envelope, err := w.readHead(f, size)
	if err != nil {
		return name, err
	}
	_, original := split(name)
	_, err = w.cfg.Submit(smtpd.Submission{
		Client: client, Source: "the pickup folder", From: envelope.from, To: envelope.to,
		Message: io.MultiReader(bytes.NewReader(head), io.NewSectionReader(f, body, size-body)), Size: int64(len(head)) + size - body,
		Claim: func(id string) error {
			next := nameWith(id, original)
			if err := w.root.Rename(inWork(name), inWork(next)); err != nil {
				return err
			}
			name = next
			return errors.Join(w.sync("."), w.sync(workName))
		},
	})
	var refused *smtpd.Refusal
	if err != nil && !(errors.As(err, &refused) && refused.Code >= 500) {
		// The ID is not used again: of a database that did not answer, the queue itself removes a
		// message whose fate was not known.
		next := newName(original)
		if renamed := w.root.Rename(inWork(name), inWork(next)); renamed != nil {
			return name, errors.Join(err, renamed)
		}
		name = next
	}
	return name, err
}

// client is what messages from the folder count as: the files are on this machine.
var client = netip.MustParseAddr("127.0.0.1")

// openFile opens a file of work. It has to be a regular one with one name: a link would let whoever
// may write to the folder have a file mailed that only the relay may read.
func (w *Watcher) openFile(name string) (*os.File, int64, error) {
	info, err := w.root.Lstat(inWork(name))
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, badf("it is no regular file; put a copy of the message here, and no link")
	}
	f, err := w.root.Open(inWork(name))
	if errors.Is(err, fs.ErrPermission) {
		return nil, 0, badf("the user that runs graphrelay may not read it; let the group of the folder read its files, such as with umask 027")
	}
	if err != nil {
		return nil, 0, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = errors.New("it was replaced")
	}
	if err == nil {
		err = checkLinks(f, opened)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, opened.Size(), nil
}

// sync makes the names in a folder durable; Windows cannot.
func (w *Watcher) sync(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := w.root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// printable makes text from outside safe for one line.
func printable(s string) string { return text.Shorten(text.OneLine(s), 400) }
