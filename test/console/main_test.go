// Package console opens the pages of the real program in Chromium: the console, and the
// simulated mailboxes.
package console

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
