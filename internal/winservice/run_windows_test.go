package winservice

import (
	"slices"
	"testing"

	"golang.org/x/sys/windows/svc"
)

// TestExecute plays the service control manager.
func TestExecute(t *testing.T) {
	var asked []string
	goOn, stop := make(chan struct{}), make(chan struct{})
	h := handler{Program{
		Serve: func(started func()) uint32 {
			<-goOn
			started()
			<-stop
			return 7
		},
		Stop:   func() { close(stop) },
		Reload: func() { asked = append(asked, "reload") },
		Drain: func(on bool) {
			asked = append(asked, map[bool]string{true: "drain", false: "undrain"}[on])
		},
	}}
	requests, states := make(chan svc.ChangeRequest), make(chan svc.Status)
	type end struct {
		specific bool
		status   uint32
	}
	ended := make(chan end)
	go func() {
		specific, status := h.Execute(nil, requests, states)
		ended <- end{specific, status}
	}()
	first, second := <-states, <-states
	if first.State != svc.StartPending || second.State != svc.StartPending || second.CheckPoint <= first.CheckPoint || second.WaitHint == 0 {
		t.Errorf("a start that takes long: %+v, then %+v", first, second)
	}
	close(goOn)
	running := <-states
	for running.State == svc.StartPending { // it was told just before
		running = <-states
	}
	if running.State != svc.Running || running.Accepts != svc.AcceptStop|svc.AcceptPreShutdown|svc.AcceptParamChange {
		t.Errorf("%+v", running)
	}
	for _, c := range []svc.Cmd{svc.ParamChange, 128, 129, 130, 131} {
		requests <- svc.ChangeRequest{Cmd: c}
	}
	requests <- svc.ChangeRequest{Cmd: svc.Interrogate}
	if s := <-states; s != running {
		t.Errorf("asked for its state: %+v", s)
	}
	if want := []string{"reload", "reload", "drain", "undrain"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	requests <- svc.ChangeRequest{Cmd: svc.PreShutdown}
	if s := <-states; s.State != svc.StopPending || s.WaitHint == 0 {
		t.Errorf("a stop: %+v", s)
	}
	if e := <-ended; e != (end{true, 7}) {
		t.Errorf("ended with %+v", e)
	}
}
