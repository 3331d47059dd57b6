package queue

import "testing"

// A claim that is lost while a renewal gives back others is still to be found by the next one.
func TestLostDuringRenewal(t *testing.T) {
	var l lost
	l.note()
	noted := l.noted()
	l.note()
	l.clear(noted)
	if !l.any() {
		t.Error("the claim that was lost meanwhile is forgotten")
	}
	l.clear(l.noted())
	if l.any() {
		t.Error("claims that were given back are looked for again")
	}
}
