package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Tap sits between a program and the kernel (seccomp_unotify(2)). It sees, in their order, the
// operations that change or open files below Dir, and says what becomes of each.
type Tap struct {
	Dir   string
	Clock bool // also whenever it asks for the time; see SetClock

	ahead atomic.Int64 // by which its clock is ahead of the true time, in nanoseconds

	mu    sync.Mutex
	pid   int // of the program
	judge func(Operation) Verdict
}

// Operation is a system call that is about to happen.
type Operation struct {
	Call string // its name
	File string // relative to the tap's directory
}

func (o Operation) String() string { return o.Call + " " + o.File }

// IsWrite reports whether the operation writes to a file.
func (o Operation) IsWrite() bool { return o.Call == "write" || o.Call == "pwrite64" }

// IsSync reports whether the operation waits until data is on the disk.
func (o Operation) IsSync() bool { return o.Call == "fsync" || o.Call == "fdatasync" }

// Verdict says what becomes of an operation; the zero value lets it happen.
type Verdict struct {
	Errno unix.Errno // what happens in its stead
	Half  bool       // half of it happens, of a write
}

// tapped are the calls that a Tap sees.
var tapped = map[int32]string{
	unix.SYS_OPENAT: "openat", unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite64",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FTRUNCATE: "ftruncate",
}

// firstArgument is where struct seccomp_data has the first argument of a call, in machines
// whose least significant byte comes first.
const firstArgument = 16

// seccompNotif and seccompNotifResp are struct seccomp_notif and its answer.
type seccompNotif struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type seccompNotifResp struct {
	id    uint64
	val   int64
	errno int32 // negative
	flags uint32
}

// Start starts cmd with the tap. A new process has the filters of the thread that
// made it, so this thread, which gets one, is never used for anything else.
func (p *Tap) Start(cmd *exec.Cmd) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		listener, err := p.installFilter()
		if err == nil {
			go p.serve(listener)
			if p.Clock {
				err = startAsking(cmd)
			} else {
				err = cmd.Start()
			}
		}
		done <- err
	}()
	err := <-done
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pid, p.judge = cmd.Process.Pid, nil
	}
	return err
}

// installFilter reports the tapped calls of this thread to the descriptor it returns.
func (p *Tap) installFilter() (int, error) {
	var filter []unix.SockFilter
	add := func(code uint16, k uint32, jt, jf uint8) {
		filter = append(filter, unix.SockFilter{Code: code, K: k, Jt: jt, Jf: jf})
	}
	add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, 0) // the call's number
	for nr := range tapped {
		add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, uint32(nr), 0, 1)
		add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_USER_NOTIF, 0, 0)
	}
	if p.Clock {
		add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.SYS_CLOCK_GETTIME, 0, 3)
		add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, firstArgument, 0, 0)
		add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.CLOCK_REALTIME, 0, 1)
		add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_USER_NOTIF, 0, 0)
	}
	add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW, 0, 0)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no_new_privs: %w", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}

// serve answers until the program has ended.
func (p *Tap) serve(listener int) {
	defer unix.Close(listener)
	for {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && !errors.Is(err, unix.EINTR) || poll[0].Revents&unix.POLLHUP != 0 {
			return
		}
		var n seccompNotif
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the thread was killed meanwhile, or this one interrupted
		}
		resp := p.decide(&n)
		resp.id = n.id
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&resp)))
	}
}

func (p *Tap) decide(n *seccompNotif) seccompNotifResp {
	if n.nr == unix.SYS_CLOCK_GETTIME {
		return p.tellTime(n)
	}
	pass := seccompNotifResp{flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	path := n.path()
	p.mu.Lock()
	defer p.mu.Unlock()
	file, below := strings.CutPrefix(path, p.Dir+"/")
	if !below || p.judge == nil {
		return pass
	}
	v := p.judge(Operation{tapped[n.nr], file})
	switch {
	case v.Errno != 0:
		return seccompNotifResp{errno: -int32(v.Errno)}
	case v.Half:
		written, err := n.writeHalf(p.pid)
		if err != nil {
			return seccompNotifResp{errno: -int32(unix.EIO)}
		}
		return seccompNotifResp{val: int64(written)}
	}
	return pass
}

// path returns the path of the file that the call is about, or "" if it cannot be found out.
func (n *seccompNotif) path() string {
	if n.nr != unix.SYS_OPENAT {
		path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", n.pid, int32(n.args[0])))
		return path
	}
	name := n.memory(n.args[1], unix.PathMax)
	path, _, _ := strings.Cut(string(name), "\x00")
	if !filepath.IsAbs(path) {
		dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", n.pid))
		path = filepath.Join(dir, path)
	}
	return path
}

// memory copies what is readable at the program's address, up to size bytes.
func (n *seccompNotif) memory(address uint64, size int) []byte {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.pid))
	if err != nil {
		return nil
	}
	defer mem.Close()
	b := make([]byte, size)
	got, _ := mem.ReadAt(b, int64(address))
	return b[:got]
}

// writeHalf does half of a write in the program's stead, at its own position.
func (n *seccompNotif) writeHalf(pid int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, int(int32(n.args[0])), 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	data := n.memory(n.args[1], int(n.args[2])/2)
	if n.nr == unix.SYS_PWRITE64 {
		return unix.Pwrite(fd, data, int64(n.args[3]))
	}
	return unix.Write(fd, data)
}

// Set says what becomes of operations from now on; nil lets everything happen.
func (p *Tap) Set(judge func(Operation) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}
