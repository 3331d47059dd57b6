package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// idEncoding is Crockford's base 32 in lower case: it has no letters that are easily
// confused, and its texts sort like the bytes.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// idLength is the length of a queue ID in characters.
const idLength = 16

// NewID returns a new queue ID: 48 bits of time in milliseconds and 32 random bits as
// 16 characters, so that IDs sort by age and those of several nodes do not collide.
func NewID(now time.Time) string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails since Go 1.24
	return idEncoding.EncodeToString(b[:])
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
