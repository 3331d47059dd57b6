package delivery_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs many tests at a time: each has a queue and a Graph of its own, and mostly waits.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "16")
	}
	os.Exit(m.Run())
}
