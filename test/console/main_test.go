// Package console opens the console of the real program in Chromium.
package console

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
