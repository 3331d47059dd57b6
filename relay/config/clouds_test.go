package config

import "testing"

// What a cloud does not have, a connection does without. One with endpoints of its own counts as
// global, unless it says otherwise.
func TestMissing(t *testing.T) {
	for cloud, want := range map[Cloud]Missing{
		CloudGlobal:   {},
		CloudUSGov:    {Uploads: true, PermanentDelete: true},
		CloudUSGovDoD: {Uploads: true, PermanentDelete: true},
		CloudChina:    {PermanentDelete: true, Headers: true},
	} {
		var c Connection
		c.setDefaults()
		c.Cloud = cloud
		if got := c.Missing(); got != want {
			t.Errorf("%s: %+v, want %+v", cloud, got, want)
		}
		want.Uploads, c.Uploads = true, UploadsOff
		if got := c.Missing(); got != want {
			t.Errorf("%s with uploads: off: %+v, want %+v", cloud, got, want)
		}
	}
}
