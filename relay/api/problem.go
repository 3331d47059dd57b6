package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
	"graphrelay/relay/trial"
)

// problemType is what the types of problems begin with. The rest is the name of a kind.
const problemType = "urn:graphrelay:problem:"

// kind is a problem that clients can tell from others by its type.
type kind struct {
	name   string
	err    error
	status int
	title  string
}

// kinds are all of them. What is no error of these is a fault of the relay, without a type.
var kinds = []kind{
	{"no-such-message", queue.ErrNotFound, http.StatusNotFound, "There is no such message"},
	{"wrong-state", queue.ErrState, http.StatusConflict, "The state of the message does not permit this"},
	{"no-content", operations.ErrNoContent, http.StatusGone, "Only the record of the message is left"},
	{"damaged", queue.ErrDamaged, http.StatusInternalServerError, "The stored message is damaged"},
	{"no-such-lane", operations.ErrLane, http.StatusUnprocessableEntity, "This is no lane of the relay"},
	{"not-paused", operations.ErrNotPaused, http.StatusConflict, "The lane is not paused"},
	{"paused-as-whole", errPausedAsWhole, http.StatusConflict, "The lane is paused with others"},
	{"bad-recipients", operations.ErrRecipients, http.StatusUnprocessableEntity, "These are no recipients"},
	{"no-such-node", operations.ErrNoNode, http.StatusNotFound, "There is no such relay"},
	{"not-shared", queue.ErrNotShared, http.StatusConflict, "The queue is one relay's alone"},
	{"not-listed", devices.ErrNotListed, http.StatusNotFound, "The list does not have this device"},
	{"request-refused", errDevice, http.StatusUnprocessableEntity, "The relay does not permit this"},
	{"no-such-connection", trial.ErrUnknown, http.StatusNotFound, "There is no such connection"},
	{"no-mailbox", trial.ErrNoMailbox, http.StatusUnprocessableEntity, "A probe needs a mailbox"},
	{"trial-running", trial.ErrRunning, http.StatusConflict, "Another trial is running"},
	{"no-trial", trial.ErrNotRunning, http.StatusConflict, "No trial is running"},
	{"no-such-channel", operations.ErrNoChannel, http.StatusNotFound, "There is no such channel"},
	{"refused", errRefusal, http.StatusUnprocessableEntity, "The configuration does not permit this"},
	{"outcome-unknown", queue.ErrUnknown, http.StatusServiceUnavailable, "It is not known whether this was done"},
	{"queue-away", queue.ErrAway, http.StatusServiceUnavailable, "The database of the queue cannot be reached"},
}

// These stand for the errors that are types.
var (
	errPausedAsWhole = errors.New("paused as a whole")
	errRefusal       = errors.New("refused")
	errDevice        = errors.New("request refused")
)

// The locations of what a problem says beside its text.
const (
	atLane    = "lane"    // that is paused as a whole
	atChanged = "changed" // how many messages an action changed before
)

// problem returns an error as the API answers it.
func problem(err error) *huma.ErrorModel {
	var p *huma.ErrorModel
	if errors.As(err, &p) {
		return p
	}
	p = &huma.ErrorModel{Status: http.StatusInternalServerError, Title: "The relay could not do this", Detail: err.Error()}
	of := err
	var whole *operations.PausedAsWholeError
	var refused operations.Refusal
	var part *partialError
	var device devices.Refused
	switch {
	case errors.As(err, &device):
		of = errDevice
	case errors.As(err, &whole):
		of = errPausedAsWhole
		p.Errors = []*huma.ErrorDetail{{Message: "it is paused as a whole", Location: atLane, Value: whole.Lane}}
	case errors.As(err, &refused):
		of = errRefusal
	case errors.As(err, &part):
		p.Errors = []*huma.ErrorDetail{{Message: "so many messages were changed before", Location: atChanged, Value: part.changed}}
	}
	for _, k := range kinds {
		if errors.Is(of, k.err) {
			p.Type, p.Status, p.Title = problemType+k.name, k.status, k.title
			break
		}
	}
	return p
}

// errorOf returns the error that a problem was made from, as far as callers can tell them apart.
func errorOf(p huma.ErrorModel) error {
	name := strings.TrimPrefix(p.Type, problemType)
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		switch k.err {
		case errPausedAsWhole:
			lane, _ := detailAt(p, atLane).(string)
			return &operations.PausedAsWholeError{Lane: lane}
		case errRefusal:
			return operations.Refusal(p.Detail)
		case errDevice:
			return devices.Refused(p.Detail)
		}
		return &operations.Error{Kind: k.err, Text: p.Detail}
	}
	var text strings.Builder
	text.WriteString(p.Detail)
	for _, e := range p.Errors {
		if e.Location != atChanged {
			text.WriteString("; " + e.Location + ": " + e.Message)
		}
	}
	return errors.New(text.String())
}

// detailAt returns what a problem has at a location, or nil.
func detailAt(p huma.ErrorModel, location string) any {
	for _, e := range p.Errors {
		if e.Location == location {
			return e.Value
		}
	}
	return nil
}

// writeProblem answers a request that is no operation's.
func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
