package sqlite

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	walName = DatabaseName + "-wal"
	shmName = DatabaseName + "-shm"
)

// checkLog compares the write-ahead log with its index. For SQLite the log ends at the
// first frame that is not valid, since a power cut leaves such ends; mail that was
// committed after a damaged frame would be lost silently. The index, which outlives a
// killed process, has the number of frames that were committed and synced. After a power
// cut it is missing or older than the log, and proves nothing.
func (s *storage) checkLog() error {
	before, err := s.readIndex()
	if err != nil || before == nil || before.frames <= before.moved {
		return err
	}
	valid, err := countFrames(filepath.Join(s.dir, walName), before)
	if err != nil || valid >= before.frames {
		return err
	}
	// A running relay may have begun the log anew meanwhile: it changes the index first.
	after, err := s.readIndex()
	if err != nil || after == nil || after.salt != before.salt {
		return err
	}
	return fmt.Errorf("%w: %d of %d pages are good", errLog, valid, before.frames)
}

// walIndex is what the header of the index has of the log (sqlite.org/walformat.html,
// section 2.1).
type walIndex struct {
	frames uint32  // that are committed
	moved  uint32  // of those, how many the database has
	salt   [8]byte // of the log
}

const indexHeader = 48 // bytes; there are two copies, and then how many frames were moved

// readIndex returns nil if there is no index that can be relied upon.
func (s *storage) readIndex() (*walIndex, error) {
	f, err := os.Open(filepath.Join(s.dir, shmName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	header := make([]byte, 2*indexHeader+4)
	if ok, err := readFull(f, header); !ok {
		return nil, err
	}
	native := binary.NativeEndian
	sum := walSum{order: native}
	sum.add(header[:40])
	if header[12] == 0 || !sum.is(header[40:], native) { // not set yet, or torn
		return nil, nil
	}
	i := &walIndex{frames: native.Uint32(header[16:]), moved: native.Uint32(header[2*indexHeader:])}
	copy(i.salt[:], header[32:])
	return i, nil
}

// countFrames counts the valid frames from the first on, at most as many as the index
// has (sqlite.org/fileformat2.html, section 4.1). A log that was begun after
// the index was written is taken to have them all.
func countFrames(path string, i *walIndex) (valid uint32, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	log := bufio.NewReaderSize(f, 1<<16)
	header := make([]byte, 32)
	if ok, err := readFull(log, header); !ok {
		return 0, err
	}
	sum := walSum{order: binary.ByteOrder(binary.LittleEndian)}
	if header[3]&1 != 0 {
		sum.order = binary.BigEndian
	}
	sum.add(header[:24])
	page := binary.BigEndian.Uint32(header[8:])
	if !sum.is(header[24:], binary.BigEndian) || page < 512 || page > 65536 {
		return 0, nil
	}
	salt := header[16:24]
	if begun := binary.BigEndian.Uint32(salt) - binary.BigEndian.Uint32(i.salt[:]); int32(begun) > 0 { // it is counted up
		return i.frames, nil
	}
	frame := make([]byte, 24+page)
	for ; valid < i.frames; valid++ {
		if ok, err := readFull(log, frame); !ok {
			return valid, err
		}
		sum.add(frame[:8])
		sum.add(frame[24:])
		if !bytes.Equal(frame[8:16], i.salt[:]) || !sum.is(frame[16:], binary.BigEndian) {
			return valid, nil
		}
	}
	return valid, nil
}

// readFull reports whether there was enough to fill b.
func readFull(r io.Reader, b []byte) (bool, error) {
	_, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return false, nil
	}
	return err == nil, err
}

// walSum is the checksum of logs and their index (section 4.2).
type walSum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

func (s *walSum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		s.s0 += s.order.Uint32(b) + s.s1
		s.s1 += s.order.Uint32(b[4:]) + s.s0
	}
}

// is compares with the sum at the start of b.
func (s *walSum) is(b []byte, order binary.ByteOrder) bool {
	return order.Uint32(b) == s.s0 && order.Uint32(b[4:]) == s.s1
}
