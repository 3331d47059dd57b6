// Package durable writes small files so that a crash or a power cut leaves the old content or the
// new one, never a part. What its functions have written is on the disk when they return.
//
// Files are readable and writable for their owner alone (package private). Windows cannot sync a folder; there a
// file's content is on the disk when a function returns, and its name soon after.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"graphrelay/internal/private"
)

// Replace gives the file its new content. The file need not exist.
func Replace(path string, data []byte) error {
	staged, err := Stage(path, data)
	if err != nil {
		return err
	}
	if err := Rename(staged, path); err != nil {
		return errors.Join(err, os.Remove(staged))
	}
	return nil
}

// Stage writes the new content of a file beside it, and returns the name of what it wrote: path
// with ".new". It removes what has that name already, which a crash may have left.
func Stage(path string, data []byte) (staged string, err error) {
	staged = path + ".new"
	if err := os.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return staged, Create(staged, data)
}

// Create writes a file that does not exist yet. The error wraps [fs.ErrExist] if it does. The name
// is durable after [SyncDir].
func Create(path string, data []byte) error {
	f, err := private.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Rename gives a file another name in its folder, in the place of a file that has it.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir makes the names in a folder durable.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
