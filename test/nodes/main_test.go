// Package nodes runs several relays on one queue in PostgreSQL, behind HAProxy, and kills, stops
// and cuts off relays and database while mail flows. Each message that had a 250 is sent once.
package nodes

import (
	"testing"

	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
