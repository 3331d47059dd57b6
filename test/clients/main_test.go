// Package clients sends mail with other people's mail clients and servers, and compares what
// arrives with what they sent.
package clients

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
