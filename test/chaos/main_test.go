// Package chaos makes all kinds of trouble for a relay at the same time, chosen at random
// from a seed, and then looks whether any mail was lost or doubled.
package chaos

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
