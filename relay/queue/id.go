package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync"
	"time"
)

// idEncoding is Crockford's base 32 in lower case: it has no letters that are easily
// confused, and its texts sort like the bytes.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// idLength is the length of a queue ID in characters.
const idLength = 16

// NewID returns a new queue ID: 48 bits of time in milliseconds and 32 random bits as
// 16 characters, so that IDs sort by age and those of several nodes do not collide. Those of
// one process sort in the order in which they were made, also within a millisecond.
func NewID(now time.Time) string {
	var b [10]byte
	_, _ = rand.Read(b[6:]) // never fails since Go 1.24
	ms, low := lastID.next(now.UnixMilli(), binary.BigEndian.Uint32(b[6:]))
	binary.BigEndian.PutUint64(b[:8], uint64(ms)<<16)
	binary.BigEndian.PutUint32(b[6:], low)
	return idEncoding.EncodeToString(b[:])
}

// idOrder is the last ID that a process has made.
type idOrder struct {
	mu  sync.Mutex
	ms  int64
	low uint32
}

var lastID idOrder

// overtaken is by how many milliseconds a time may be behind that of the last ID: somebody else
// has read the clock later, or has had the IDs of a millisecond run over. Beyond it, the clock was
// set.
const overtaken = 10

// next returns the two parts of an ID that is higher than the last one: by a random number, so that
// an ID cannot be guessed from another.
func (o *idOrder) next(ms int64, random uint32) (int64, uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if behind := o.ms - ms; behind >= 0 && behind <= overtaken {
		sum := uint64(o.low) + 1 + uint64(random>>12)
		ms, random = o.ms+int64(sum>>32), uint32(sum)
	}
	o.ms, o.low = ms, random
	return ms, random
}

// IDTime returns when an ID was given, by the wall clock; the zero Time if it has not the form of one.
func IDTime(id string) time.Time {
	b, err := idEncoding.DecodeString(id)
	if err != nil || len(id) != idLength {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) >> 16))
}

// ValidID reports whether s has the form of a queue ID, and so is safe as a file name.
func ValidID(s string) bool {
	if len(s) != idLength {
		return false
	}
	_, err := idEncoding.DecodeString(s)
	return err == nil
}
