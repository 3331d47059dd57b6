package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/windows"

	"graphrelay/internal/durable"
	"graphrelay/internal/private"
)

const (
	// nameFile is the file in the folder with the name of the pipe. The name is made up at each
	// start, so that nobody can be there first.
	nameFile   = "pipe"
	pipePrefix = `\\.\pipe\graphrelay-`

	// pipeBuffer is the size in bytes of each direction's buffer.
	pipeBuffer = 64 << 10
	// busyWait is how long a client waits for an instance of the pipe that nobody has yet.
	busyWait = 10 * time.Millisecond

	asOwner = "run this in a terminal that was opened as administrator"
)

// listen makes the pipe, and writes its name into a folder of its own.
func listen(dir string) (net.Listener, func() error, error) {
	if err := private.MkdirAll(dir); err != nil {
		return nil, nil, err
	}
	l := &pipeListener{name: pipePrefix + strings.ToLower(rand.Text())}
	var err error
	if l.stop, err = windows.CreateEvent(nil, 1, 0, nil); err != nil {
		return nil, nil, err
	}
	if l.next, err = l.instance(windows.FILE_FLAG_FIRST_PIPE_INSTANCE); err != nil {
		return nil, nil, errors.Join(err, windows.CloseHandle(l.stop))
	}
	path := filepath.Join(dir, nameFile)
	if err := durable.Replace(path, []byte(l.name)); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, func() error { return os.Remove(path) }, nil
}

// dial connects to the pipe whose name is in the folder.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	file, err := os.Open(filepath.Join(dir, nameFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 256))
	name := string(data)
	if err != nil || !strings.HasPrefix(name, pipePrefix) {
		return nil, errors.Join(err, errors.New("there is no name of a pipe"))
	}
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	for {
		// The server may know who the client is, and not act in its name.
		h, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING,
			windows.FILE_FLAG_OVERLAPPED|windows.SECURITY_SQOS_PRESENT|windows.SECURITY_IDENTIFICATION, 0)
		if errors.Is(err, windows.ERROR_PIPE_BUSY) && ctx.Err() == nil {
			time.Sleep(busyWait)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := private.CheckPeer(h); err != nil { // who has made a pipe of the name of one that is gone
			return nil, errors.Join(err, windows.CloseHandle(h))
		}
		return newPipeConn(h, name), nil
	}
}

// pipeListener accepts connections to a named pipe. One instance of the pipe always waits for the
// next client, so that none finds no relay.
type pipeListener struct {
	name string
	stop windows.Handle // an event: the listener is closed

	mu     sync.Mutex // held by Accept
	next   windows.Handle
	closed sync.Once
}

// instance makes an instance of the pipe.
func (l *pipeListener) instance(flags uint32) (windows.Handle, error) {
	a, err := private.Attributes()
	if err != nil {
		return 0, err
	}
	path, err := windows.UTF16PtrFromString(l.name)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateNamedPipe(path, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_OVERLAPPED|flags,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, windows.PIPE_UNLIMITED_INSTANCES, pipeBuffer, pipeBuffer, 0, a)
	if err != nil {
		return 0, fmt.Errorf("make the pipe for commands: %w", err)
	}
	return h, nil
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		err := l.connect(l.next)
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		h := l.next
		next, e := l.instance(0)
		if e != nil {
			return nil, e
		}
		l.next = next
		if err == nil {
			return newPipeConn(h, l.name), nil
		}
		_ = windows.CloseHandle(h) // its client has gone already
	}
}

// connect waits for a client.
func (l *pipeListener) connect(h windows.Handle) error {
	done, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(done) }()
	o := &windows.Overlapped{HEvent: done}
	err = windows.ConnectNamedPipe(h, o)
	switch {
	case err == nil, errors.Is(err, windows.ERROR_PIPE_CONNECTED):
		return nil
	case !errors.Is(err, windows.ERROR_IO_PENDING):
		return err
	}
	which, err := windows.WaitForMultipleObjects([]windows.Handle{done, l.stop}, false, windows.INFINITE)
	if err != nil || which != windows.WAIT_OBJECT_0 {
		_ = windows.CancelIoEx(h, o)
		err = net.ErrClosed
	}
	var n uint32
	if e := windows.GetOverlappedResult(h, o, &n, true); err == nil { // o is in use until now
		err = e
	}
	return err
}

// Close implements net.Listener. It waits until Accept has returned.
func (l *pipeListener) Close() error {
	l.closed.Do(func() {
		_ = windows.SetEvent(l.stop)
		l.mu.Lock()
		defer l.mu.Unlock()
		_ = windows.CloseHandle(l.next)
	})
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.name) }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// pipeConn is an end of a pipe.
type pipeConn struct {
	*os.File
	addr pipeAddr
}

func newPipeConn(h windows.Handle, name string) net.Conn {
	return pipeConn{os.NewFile(uintptr(h), name), pipeAddr(name)}
}

// Read implements net.Conn.
func (c pipeConn) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	return n, netError(err)
}

// Write implements net.Conn.
func (c pipeConn) Write(p []byte) (int, error) {
	n, err := c.File.Write(p)
	return n, netError(err)
}

// netError returns the error of a deadline as a net.Error, by which an http.Server knows that it has
// interrupted a read itself. That of a file is none.
func netError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (c pipeConn) LocalAddr() net.Addr  { return c.addr }
func (c pipeConn) RemoteAddr() net.Addr { return c.addr }
