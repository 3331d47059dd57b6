package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Types of entries of the auxiliary vector (getauxval(3)).
const (
	auxIgnore    = 1
	auxVDSO      = 33 // AT_SYSINFO_EHDR
	statusFields = 2  // fields of /proc/PID/stat before its state
	startStack   = 28 // proc(5)
)

// SetClock sets the program's wall clock ahead of this machine's, or back if d is negative. Its
// monotonic clock stays as it is. The tap must have been started with Clock.
func (p *Tap) SetClock(d time.Duration) { p.ahead.Store(int64(d)) }

// startAsking starts cmd without the vDSO, so that it asks the kernel for the time and the tap
// sees it. The calling goroutine must be locked to its thread.
func startAsking(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true} // it stops before its first instruction
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("the program does not stop at its start: %v, status %#x", err, status)
	}
	return errors.Join(hideVDSO(pid), unix.PtraceDetach(pid))
}

// hideVDSO removes the vDSO from the auxiliary vector of a program that has not begun to run
// (vdso(7)). The vector follows the arguments and the environment on the initial stack.
func hideVDSO(pid int) error {
	bottom, err := initialStack(pid)
	if err != nil {
		return err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	word := func(address int64) (uint64, error) {
		var b [8]byte
		_, err := mem.ReadAt(b[:], address)
		return binary.NativeEndian.Uint64(b[:]), err
	}
	arguments, err := word(bottom)
	if err != nil {
		return err
	}
	at := bottom + 8*(1+int64(arguments)+1)
	for value := uint64(1); value != 0; at += 8 { // the environment ends with 0
		if value, err = word(at); err != nil {
			return err
		}
	}
	for ; ; at += 16 {
		switch kind, err := word(at); {
		case err != nil:
			return err
		case kind == 0:
			return errors.New("the program has no vDSO")
		case kind == auxVDSO:
			_, err := mem.WriteAt(binary.NativeEndian.AppendUint64(nil, auxIgnore), at)
			return err
		}
	}
}

// initialStack returns the address at which a program finds the number of its arguments.
func initialStack(pid int) (int64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before may contain anything
	return strconv.ParseInt(string(fields[startStack-statusFields-1]), 10, 64)
}

// tellTime answers clock_gettime(2) in the kernel's stead.
func (p *Tap) tellTime(n *seccompNotif) seccompNotifResp {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", n.pid), os.O_WRONLY, 0)
	if err != nil {
		return seccompNotifResp{errno: -int32(unix.EFAULT)} // it has ended
	}
	defer mem.Close()
	now := time.Now().Add(time.Duration(p.ahead.Load()))
	b := binary.NativeEndian.AppendUint64(nil, uint64(now.Unix()))
	b = binary.NativeEndian.AppendUint64(b, uint64(now.Nanosecond()))
	if _, err := mem.WriteAt(b, int64(n.args[1])); err != nil {
		return seccompNotifResp{errno: -int32(unix.EFAULT)}
	}
	return seccompNotifResp{}
}
