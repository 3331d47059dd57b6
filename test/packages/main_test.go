// Package packages installs the deb and the rpm into a clean Debian, upgrades and removes them, and
// sends mail through the program in it.
package packages

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
