// Package upgrade opens queues that earlier versions have left, and has a version meet a newer
// queue. testdata has a queue of each schema that there was, and of each release, on each engine.
package upgrade

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
