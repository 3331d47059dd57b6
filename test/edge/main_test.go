// Package edge tests the listeners against hostile and faulty clients.
package edge

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
