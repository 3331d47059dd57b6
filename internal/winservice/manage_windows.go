package winservice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"graphrelay/internal/private"
)

// Settings of the service. Windows starts it again after each of restartAfter in turn, and after the
// last of them from then on; resetAfter without a fault it begins anew.
const (
	displayName = "graphrelay mail relay"
	description = "Accepts mail by SMTP and delivers it through Microsoft Graph."
	resetAfter  = 24 * time.Hour

	// stopTime is how long Windows waits for the service before it shuts down. A stop during a
	// reload takes at most 45 seconds.
	stopTime = time.Minute
)

var restartAfter = []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute}

// errNotInstalled means that there is no such service.
var errNotInstalled = errors.New("the service is not installed; as an administrator, run: graphrelay service install")

// patience is how long Start and Stop wait. A service that makes progress takes less.
const patience = 3 * time.Minute

// Install registers the service, which runs the program with the arguments, or brings it up to
// date. It does not start it. The warnings name settings that this Windows does not have.
func Install(program string, args ...string) (warnings []string, err error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, explain(err)
	}
	defer m.Disconnect()
	want := mgr.Config{StartType: mgr.StartAutomatic, ErrorControl: mgr.ErrorNormal, Dependencies: []string{"Tcpip"},
		DisplayName: displayName, ServiceStartName: Account}
	s, err := m.CreateService(Name, program, want, args...)
	if errors.Is(err, windows.ERROR_SERVICE_EXISTS) {
		s, err = change(m, want, program, args)
	}
	if err != nil {
		return nil, explain(err)
	}
	defer s.Close()
	for _, set := range settings {
		if err := set.do(s); err != nil {
			warnings = append(warnings, fmt.Sprintf("%s: %v", set.name, err))
		}
	}
	return warnings, nil
}

// change gives the service that exists its settings anew.
func change(m *mgr.Mgr, want mgr.Config, program string, args []string) (*mgr.Service, error) {
	s, err := m.OpenService(Name)
	if err != nil {
		return nil, err
	}
	command := []string{windows.EscapeArg(program)}
	for _, a := range args {
		command = append(command, windows.EscapeArg(a))
	}
	path := strings.Join(command, " ")
	pointers := [4]*uint16{}
	for i, text := range []string{path, "Tcpip\x00", Account, displayName} {
		pointers[i] = utf16(text)
	}
	err = windows.ChangeServiceConfig(s.Handle, windows.SERVICE_WIN32_OWN_PROCESS, want.StartType, want.ErrorControl,
		pointers[0], nil, nil, pointers[1], pointers[2], nil, pointers[3])
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// utf16 returns a text, which may have NULs in it, and a NUL.
func utf16(text string) *uint16 {
	var all []uint16
	for part := range strings.SplitSeq(text, "\x00") {
		all = append(all, windows.StringToUTF16(part)...)
	}
	return &all[0]
}

// settings are those beside what a service has to have.
var settings = []struct {
	name string
	do   func(*mgr.Service) error
}{
	{"description", func(s *mgr.Service) error {
		d := windows.SERVICE_DESCRIPTION{Description: utf16(description)}
		return windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_DESCRIPTION, (*byte)(unsafe.Pointer(&d)))
	}},
	{"restart on failure", func(s *mgr.Service) error {
		var actions []mgr.RecoveryAction
		for _, d := range restartAfter {
			actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: d})
		}
		return s.SetRecoveryActions(actions, uint32(resetAfter/time.Second))
	}},
	{"restart after a fault of its own", func(s *mgr.Service) error { return s.SetRecoveryActionsOnNonCrashFailures(true) }},
	{"time to stop", func(s *mgr.Service) error {
		info := struct{ milliseconds uint32 }{uint32(stopTime / time.Millisecond)}
		return windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, (*byte)(unsafe.Pointer(&info)))
	}},
	{"SID of the service", func(s *mgr.Service) error {
		kind := uint32(windows.SERVICE_SID_TYPE_UNRESTRICTED)
		return windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_SERVICE_SID_INFO, (*byte)(unsafe.Pointer(&kind)))
	}},
	{"privileges", func(s *mgr.Service) error { // every process may pass through folders; the relay needs no more
		info := struct{ list *uint16 }{utf16("SeChangeNotifyPrivilege\x00")}
		return windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, (*byte)(unsafe.Pointer(&info)))
	}},
	{"source of the event log", func(*mgr.Service) error { return installSource() }},
}

// installSource registers the source of events, whose text is shown as it is.
func installSource() error {
	if key, err := registry.OpenKey(registry.LOCAL_MACHINE, sourceKey, registry.QUERY_VALUE); err == nil {
		return key.Close()
	}
	return eventlog.InstallAsEventCreate(Name, eventlog.Error|eventlog.Warning|eventlog.Info)
}

const sourceKey = `SYSTEM\CurrentControlSet\Services\EventLog\Application\` + Name

// Uninstall stops the service and removes it, and its source of events.
func Uninstall() error {
	if err := Stop(); err != nil {
		return err
	}
	s, end, err := open(windows.DELETE)
	if err != nil {
		return err
	}
	defer end()
	if err := s.Delete(); err != nil {
		return explain(err)
	}
	if err := eventlog.Remove(Name); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf("remove the source of the event log: %w", err)
	}
	return nil
}

// Start starts the service and waits until it serves.
func Start() error {
	s, end, err := open(windows.SERVICE_START | windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer end()
	if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return explain(err)
	}
	state, err := await(s, svc.Running, svc.Stopped)
	if err == nil && state == svc.Stopped {
		err = errors.New("the service has ended again; its last events say why: Get-WinEvent -ProviderName " + Name + " -MaxEvents 5 | Format-List TimeCreated, Message")
	}
	return err
}

// Stop stops the service, if it runs, and waits for its end.
func Stop() error {
	s, end, err := open(windows.SERVICE_STOP | windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer end()
	if _, err := await(s, svc.Running, svc.Stopped, svc.StopPending); err != nil { // a start is not stopped
		return err
	}
	_, err = s.Control(svc.Stop)
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) && !errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) {
		return explain(err)
	}
	_, err = await(s, svc.Stopped)
	return err
}

// await waits until the service has one of the states, and returns which.
func await(s *mgr.Service, states ...svc.State) (svc.State, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now, err := s.Query()
		if err != nil {
			return 0, explain(err)
		}
		if slices.Contains(states, now.State) {
			return now.State, nil
		}
	}
	return 0, fmt.Errorf("the service does not get there within %v; look at it with: graphrelay service status", patience)
}

// Status returns the state of the service, to whoever asks.
func Status() (State, error) {
	s, end, err := open(windows.SERVICE_QUERY_STATUS | windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return State{}, err
	}
	defer end()
	now, err := s.Query()
	if err != nil {
		return State{}, explain(err)
	}
	state := State{State: stateName(now.State), PID: now.ProcessId, Status: now.ServiceSpecificExitCode}
	var size uint32
	_ = windows.QueryServiceConfig(s.Handle, nil, 0, &size) // only asks for the size
	if size > 0 {
		buffer := make([]byte, size)
		c := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&buffer[0]))
		if err := windows.QueryServiceConfig(s.Handle, c, size, &size); err != nil {
			return state, explain(err)
		}
		state.Account, state.Command = windows.UTF16PtrToString(c.ServiceStartName), windows.UTF16PtrToString(c.BinaryPathName)
	}
	return state, nil
}

func stateName(s svc.State) string {
	switch s {
	case svc.Running:
		return "running"
	case svc.Stopped:
		return "stopped"
	case svc.StartPending:
		return "starting"
	case svc.StopPending:
		return "stopping"
	}
	return fmt.Sprintf("state %d", s)
}

// open opens the service with some rights alone, so that who may do less can do that.
func open(rights uint32) (s *mgr.Service, end func(), err error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, nil, explain(err)
	}
	h, err := windows.OpenService(manager, utf16(Name), rights)
	if err != nil {
		_ = windows.CloseServiceHandle(manager)
		return nil, nil, explain(err)
	}
	return &mgr.Service{Name: Name, Handle: h}, func() {
		_ = windows.CloseServiceHandle(h)
		_ = windows.CloseServiceHandle(manager)
	}, nil
}

// explain says what to do about an error of the service control manager.
func explain(err error) error {
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w; run this in a terminal that was opened as administrator", err)
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return errNotInstalled
	case errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE):
		return fmt.Errorf("%w; close the windows that show services, such as services.msc, and try again", err)
	}
	return err
}

// Claim gives the service a folder, and closes it to other users.
func Claim(folder string) error { return private.Claim(folder) }
