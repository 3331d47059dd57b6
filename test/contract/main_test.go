// Package contract checks what users rely on: the command line, the configuration, the
// metrics, the service unit, and that secrets stay hidden.
package contract

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
