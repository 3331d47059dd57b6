// Package load runs many messages, connections and mailboxes at once. What measures runs only
// with -compare.
package load

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
