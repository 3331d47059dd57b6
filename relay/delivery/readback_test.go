package delivery_test

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// What an upload session loses of a file is in the report, and the message is sent.
func TestUploadsThatLoseFields(t *testing.T) {
	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprint("lose ", lose), func(t *testing.T) { uploadPicture(t, lose) })
	}
}

func uploadPicture(t *testing.T, lose bool) {
	r := newRig(t, simulator.Options{Limits: smallLimits(), World: simulator.World{SessionsLoseFields: lose}})
	picture := attached{"logo.png", "image/png", "logo", true, random(20_000)}
	id := r.submit(compose(header("picture"), "<p><img src=cid:logo></p>", picture), r.to(anna, "bob@example.org"))
	stop := r.start(nil)
	r.sentOnce(id)
	stop()
	h := r.history(id)
	if got := strings.Count(h, "lost: attachment_field: logo.png"); (got == 3) != lose || !lose && got != 0 {
		t.Errorf("%d losses\n%s", got, h)
	}
}
