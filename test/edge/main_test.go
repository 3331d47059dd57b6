// Package edge meets the relay as hostile, wrong and unlucky clients do.
package edge

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
