//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/internal/testpostgres"
)

// TestQueueMove moves a queue to a folder, and from there to a database.
func TestQueueMove(t *testing.T) {
	file, id := fillQueue(t)
	at := func(config string, args ...string) outcome {
		t.Helper()
		return execute(t, "", append(append([]string{"queue"}, args...), "--config", config)...)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := func(name, text string) string {
		t.Helper()
		path := filepath.Join(filepath.Dir(file), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder := filepath.Join(t.TempDir(), "moved")

	at(file, "move").want(t, exitBadUsage, "--to-file")
	at(file, "move", "--to", filepath.Join(filepath.Dir(file), "data")).want(t, exitFault, "is there already")
	at(file, "move", "--to", "postgres://u:secret@127.0.0.1:1/q?password=secret").want(t, exitFault, "database")
	if out := at(file, "move", "--to", "postgres://u:secret@127.0.0.1:1/q"); strings.Contains(out.stderr, "secret") {
		t.Errorf("the error shows the password: %s", out.stderr)
	}
	at(file, "move", "--to", folder).want(t, exitOK, "move 1 message")
	at(file, "move", "--to", folder).want(t, exitFault, "have been moved to "+folder)
	execute(t, "", "serve", "--config", file).want(t, exitFault, "have been moved to "+folder)

	moved := config("moved.yaml", strings.Replace(string(data), "data_dir: ./data", "data_dir: "+folder, 1))
	at(moved, "list").want(t, exitOK, id)
	address := config("address", testpostgres.Database(t)+"\n")
	before := names(t, folder)
	at(moved, "move", "--to-file", address).want(t, exitOK, "move 1 message")
	if after := names(t, folder); !slices.Equal(after, before) { // root's, they would keep the service out
		t.Errorf("data_dir had %v, and has %v after the move", before, after)
	}
	shared := config("shared.yaml", string(data)+"queue:\n  url_file: address\n")
	at(shared, "list").want(t, exitOK, id)
	at(shared, "export", id).want(t, exitOK, "Subject: waiting\r\n\r\ntext\r\n")
	execute(t, "", "nodes", "--config", shared).want(t, exitOK, "NODE")
	next := config("next", testpostgres.Database(t))
	at(shared, "move", "--to-file", next).want(t, exitOK, "move 1 message")
	at(config("other.yaml", string(data)+"queue:\n  url_file: next\n"), "list").want(t, exitOK, id)
	execute(t, "", "nodes", "drain", "relay9", "--config", shared).want(t, exitFault, "no such relay")
}

// names returns what is in a folder.
func names(t *testing.T, folder string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
