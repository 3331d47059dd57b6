package delivery_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue/sqlite"
)

// TestMain runs many tests at a time: each has a queue and a Graph of its own, and mostly waits.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "16")
	}
	testpostgres.Main(m)
}

// emptyQueue is the database of a new queue, which takes long to make.
var emptyQueue = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir, Exclusive: true})
	if err != nil {
		panic(err)
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, sqlite.DatabaseName))
	if err != nil {
		panic(err)
	}
	return data
})
