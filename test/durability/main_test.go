// Package durability ends the relay, its disk, its clients and Graph in the middle of mail, and
// wants each message that had a 250 to be sent once.
package durability

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
