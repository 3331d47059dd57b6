// Package pickup takes messages from files that programs drop into a folder, as the SMTP service of
// IIS did.
//
// A file is taken once: it is in the folder, or in the queue, or among the bad ones. Before a
// message is committed to the queue, its file gets the queue ID that it will have as a part of its
// name. So after a crash the queue tells whether the file has been taken.
//
// The folder has two others in it, of which programs have no need to know: work has the files that
// are being taken, badmail those that are refused, each with its reason beside it.
package pickup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"graphrelay/relay/smtpd"
)

// Config holds the settings of a Watcher.
type Config struct {
	Folder      string
	Settle      time.Duration // for which a file must not have changed
	HeaderBytes int           // of the largest header
	// Submit puts a message into the queue.
	Submit func(smtpd.Submission) (id string, err error)
	// Refuse counts a file that is refused before it can be submitted.
	Refuse func(client netip.Addr, text string)
	// Queued reports whether the queue has, or had lately, a message with this ID.
	Queued func(ctx context.Context, id string) (bool, error)
	Log    *slog.Logger
}

const (
	interval   = time.Second      // between two looks into the folder
	idleShare  = 20               // a look that takes long is followed by this many times as much rest
	retryAfter = 30 * time.Second // when a file is tried again that the relay could not take
	maxFiles   = 1000             // that are looked at or taken in one look
	maxEntries = 100_000          // of the folder that are read in one look
	workers    = 4                // files that are taken at a time
	lockedWait = 60               // looks before it is told that the folder is another's
	stuckAfter = time.Minute      // when a file that cannot be taken is told, and from then on tried again as often
)

const (
	workName = "work"
	badName  = "badmail"
	lockName = "lock"
)

// Watcher takes the messages from one folder.
type Watcher struct {
	cfg    Config
	root   *os.Root // nil: the folder is not open
	unlock func() error
	seen   map[string]sighting // of files that may still be written to

	mu      sync.Mutex
	later   map[string]time.Time // when files in work are tried again
	taken   map[string]bool      // files in work that are in the queue and could not be removed
	answer  string               // why the last file was not taken for now
	stuck   int                  // files that cannot be moved out of the folder
	why     string               // one of them cannot be
	problem string               // why the folder cannot be used, or ""
	looks   int                  // that had this problem
	told    bool                 // of the problem
}

// sighting is how a file was first seen as it is now.
type sighting struct {
	size     int64
	modified time.Time
	at       time.Time
	failed   time.Time // when it could first not be taken; zero: that was not tried
	tried    time.Time // when that was tried last
}

// stuck reports whether the file cannot be taken, rather than that it is open for a moment.
func (s sighting) stuck(now time.Time) bool {
	return !s.failed.IsZero() && now.Sub(s.failed) >= stuckAfter
}

// New returns a watcher of a folder.
func New(c Config) *Watcher {
	return &Watcher{cfg: c, seen: map[string]sighting{}, later: map[string]time.Time{}, taken: map[string]bool{}}
}

// Run takes files until ctx is done. A file that is being taken is finished.
func (w *Watcher) Run(ctx context.Context) {
	defer w.close()
	for ctx.Err() == nil {
		start := time.Now()
		more, err := w.look(ctx)
		w.note(err)
		pause := max(interval, idleShare*time.Since(start))
		if more && err == nil {
			pause = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// look takes the files that are there. more: there may be others to take at once.
func (w *Watcher) look(ctx context.Context) (more bool, err error) {
	if err := w.open(); err != nil {
		return false, err
	}
	names, err := w.claimed()
	if err != nil {
		return false, err
	}
	w.takeAll(ctx, names)
	fresh, err := w.claim(ctx)
	w.takeAll(ctx, fresh)
	if len(names)+len(fresh) > 0 {
		err = errors.Join(err, w.sync(workName)) // what was removed stays removed
	}
	return len(fresh) >= maxFiles, err
}

// errLocked means that another relay, or this one with the configuration before, uses the folder.
var errLocked = errors.New("it is in use by another graphrelay; give each a folder of its own")

// open opens the folder, and makes those in it.
func (w *Watcher) open() error {
	named, err := os.Stat(w.cfg.Folder)
	if err != nil {
		return err
	}
	if w.root != nil {
		opened, err := w.root.Stat(".")
		if err == nil && !os.SameFile(named, opened) {
			err = errors.New("it was replaced")
		}
		return err
	}
	root, err := os.OpenRoot(w.cfg.Folder)
	if err != nil {
		return err
	}
	for _, name := range []string{workName, badName} {
		if err := makeFolder(root, name); err != nil {
			return errors.Join(err, root.Close())
		}
	}
	lock := flock.New(filepath.Join(w.cfg.Folder, workName, lockName), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = errLocked
	}
	if err != nil {
		return errors.Join(err, root.Close())
	}
	w.root, w.unlock = root, lock.Unlock
	return nil
}

// makeFolder makes a folder in root unless it is there. What is there has to be a folder that is
// this user's own: others may write to root.
func makeFolder(root *os.Root, name string) error {
	err := root.Mkdir(name, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() || !own(info) {
		return fmt.Errorf("%s in it is no folder of the user that runs graphrelay; remove it", name)
	}
	return nil
}

func (w *Watcher) close() {
	if w.root == nil {
		return
	}
	if err := errors.Join(w.unlock(), w.root.Close()); err != nil {
		w.cfg.Log.Error("cannot close the pickup folder", "error", err)
	}
	w.root = nil
}

// note records how a look went, and logs it when that is new.
func (w *Watcher) note(err error) {
	problem := ""
	if err != nil {
		problem = fmt.Sprintf("the folder %s cannot be used: %v", w.cfg.Folder, err)
		w.close() // it may have been replaced
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looks++; problem != w.problem {
		w.looks, w.told = 1, false
	}
	w.problem = problem
	lasting := !errors.Is(err, errLocked) || w.looks >= lockedWait
	if problem != "" && lasting && !w.told {
		w.told = true
		w.cfg.Log.Error("no mail is picked up", "error", problem)
	}
}

// Notices returns lines for an operator about what keeps files from being taken.
func (w *Watcher) Notices() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.told:
		return []string{"pickup: " + w.problem}
	case len(w.later) > 0:
		return []string{fmt.Sprintf("pickup: %d files wait to be tried again; the last answer was: %s", len(w.later), w.answer)}
	case w.stuck > 0:
		return []string{fmt.Sprintf("pickup: files that cannot be taken: %d; %s", w.stuck, w.why)}
	}
	return nil
}

// list calls each for the files in a folder of root, as far as they are read in one look.
func (w *Watcher) list(folder string, each func(fs.DirEntry)) error {
	d, err := w.root.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	for range maxEntries / maxFiles {
		entries, err := d.ReadDir(maxFiles)
		for _, e := range entries {
			each(e)
		}
		if len(entries) < maxFiles || err != nil {
			break // an error is that of the end
		}
	}
	return nil
}

// claimed returns the files in work that are to be tried now, the oldest first.
func (w *Watcher) claimed() (names []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, there := time.Now(), map[string]bool{}
	err = w.list(workName, func(e fs.DirEntry) {
		name := e.Name()
		if name == lockName {
			return
		}
		there[name] = true
		if len(names) < maxFiles && !now.Before(w.later[name]) {
			names = append(names, name)
		}
	})
	for name := range w.later {
		if !there[name] {
			delete(w.later, name)
		}
	}
	slices.Sort(names) // they begin with an ID, and so with a time
	return names, err
}

// claim moves the files that are complete to work, and returns their names there.
func (w *Watcher) claim(ctx context.Context) (names []string, err error) {
	ready, err := w.ready()
	if err != nil {
		return nil, err
	}
	for _, name := range ready {
		if ctx.Err() != nil {
			break
		}
		claimed := newName(name)
		// On Windows this fails while the file is open elsewhere.
		err := w.root.Rename(name, inWork(claimed))
		switch {
		case err == nil:
			delete(w.seen, name)
			names = append(names, claimed)
		case !errors.Is(err, fs.ErrNotExist):
			w.failed(name, err)
		}
	}
	w.countStuck()
	return names, nil
}

// failed notes that a file could not be taken.
func (w *Watcher) failed(name string, err error) {
	s := w.seen[name]
	if s.tried = time.Now(); s.failed.IsZero() {
		s.failed = s.tried
	}
	w.seen[name] = s
	w.mu.Lock()
	w.why = printable(err.Error())
	w.mu.Unlock()
	w.cfg.Log.Debug("cannot take a file yet", "file", printable(name), "error", err)
}

// countStuck counts the files that cannot be taken, and logs when there come to be some.
func (w *Watcher) countStuck() {
	n, now := 0, time.Now()
	for _, s := range w.seen {
		if s.stuck(now) {
			n++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.stuck == 0 {
		w.cfg.Log.Error("files cannot be moved out of the pickup folder", "files", n, "error", w.why)
	}
	w.stuck = n
}

// ready returns the files in the folder that are complete: they have the size and the time of
// modification that they had at an earlier look, at least Settle ago. Those of the earliest time
// come first. Files that are stuck take nobody's place.
func (w *Watcher) ready() (names []string, err error) {
	now, seen, fresh := time.Now(), map[string]sighting{}, 0
	err = w.list(".", func(e fs.DirEntry) {
		name := e.Name()
		before, known := w.seen[name]
		stuck := known && before.stuck(now)
		if e.IsDir() || !strings.EqualFold(filepath.Ext(name), ".eml") || !stuck && fresh >= maxFiles {
			return
		}
		info, err := e.Info()
		if err != nil {
			return // it was removed
		}
		s := sighting{size: info.Size(), modified: info.ModTime(), at: now}
		if known && before.size == s.size && before.modified.Equal(s.modified) {
			s = before
		}
		seen[name] = s
		if !stuck {
			fresh++
		}
		if now.Sub(s.at) >= w.cfg.Settle && (!stuck || now.Sub(s.tried) >= stuckAfter) {
			names = append(names, name)
		}
	})
	w.seen = seen
	slices.SortFunc(names, func(a, b string) int {
		switch stuck := seen[a].stuck(now); {
		case stuck == seen[b].stuck(now):
		case stuck:
			return 1
		default:
			return -1
		}
		return cmp.Or(seen[a].modified.Compare(seen[b].modified), strings.Compare(a, b))
	})
	return names[:min(len(names), maxFiles)], err
}

// takeAll takes files of work, several at a time.
func (w *Watcher) takeAll(ctx context.Context, names []string) {
	next := make(chan string)
	var wg sync.WaitGroup
	for range min(workers, len(names)) {
		wg.Go(func() {
			for name := range next {
				w.take(ctx, name)
			}
		})
	}
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		next <- name
	}
	close(next)
	wg.Wait()
}
