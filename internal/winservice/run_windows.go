package winservice

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

const (
	// progressEvery is how often Windows is told that a start or a stop goes on. It gives up on a
	// service that is silent for longer than waitHint.
	progressEvery = 2 * time.Second
	waitHint      = 30 * time.Second

	accepted = svc.AcceptStop | svc.AcceptPreShutdown | svc.AcceptParamChange
)

// Run runs the program as the service, and returns when that has ended. Windows has to have started
// this process.
func Run(p Program) error {
	err := svc.Run(Name, handler{p})
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return errors.New("only Windows can start the service; run: graphrelay service start")
	}
	return err
}

type handler struct{ Program }

// Execute implements svc.Handler.
func (h handler) Execute(_ []string, asked <-chan svc.ChangeRequest, report chan<- svc.Status) (specific bool, status uint32) {
	started, ended := make(chan struct{}), make(chan uint32, 1)
	now := svc.Status{State: svc.StartPending, WaitHint: uint32(waitHint / time.Millisecond)}
	report <- now
	go func() { ended <- h.Serve(func() { close(started) }) }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case status := <-ended:
			return true, status
		case <-started:
			started = nil
			now = svc.Status{State: svc.Running, Accepts: accepted}
			report <- now
		case <-tick.C:
			if now.State != svc.Running { // a start on a large queue, or a stop, takes its time
				now.CheckPoint++
				report <- now
			}
		case r := <-asked:
			switch r.Cmd {
			case svc.Interrogate:
				report <- now
			case svc.Stop, svc.PreShutdown:
				now = svc.Status{State: svc.StopPending, WaitHint: uint32(waitHint / time.Millisecond)}
				report <- now
				h.Stop()
			case svc.ParamChange, ControlReload:
				h.Reload()
			case ControlDrain, ControlUndrain:
				h.Drain(r.Cmd == ControlDrain)
			}
		}
	}
}
