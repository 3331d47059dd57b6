// Package load tests many messages, connections and mailboxes at once. The tests that
// measure run only with -compare.
package load

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
