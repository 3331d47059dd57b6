package simulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
)

// The prefixes of ids by kind, as in Exchange.
const (
	mutablePrefix    = "AAMkAD"
	immutablePrefix  = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A"
	attachmentPrefix = "AAMkADATT"
)

// newID returns a new id. Like those of Exchange it is case-sensitive, and may contain '-',
// '_' and '='.
func newID(prefix string) string {
	return prefix + base64.URLEncoding.EncodeToString(randomBytes(31))
}

func newGUID() string {
	return formatGUID(randomBytes(16))
}

func formatGUID(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// objectID returns the directory id of an address, which is the same in every run.
func objectID(address string) string {
	sum := sha256.Sum256([]byte(address))
	return formatGUID(sum[:16])
}

func isGUID(s string) bool {
	if len(s) != 36 || strings.Count(s, "-") != 4 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') {
			return false
		}
	}
	_, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return err == nil
}

// newInternetMessageID returns a Message-ID, for a draft that has none.
func newInternetMessageID() string {
	return fmt.Sprintf("<SIM%X@SIMULATED.prod.outlook.com>", randomBytes(12))
}

// newSecret returns a code or token that cannot be guessed.
func newSecret() string { return base64.RawURLEncoding.EncodeToString(randomBytes(48)) }

// evict removes the expired entries of a map that has max entries or more.
func evict[V any](m map[string]V, max int, expired func(V) bool) {
	if len(m) >= max {
		maps.DeleteFunc(m, func(_ string, v V) bool { return expired(v) })
	}
}

func sha256Hex(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never returns an error
	return b
}
