// Package setup tests graphrelay setup from nothing to a delivered mail.
package setup

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
