package private

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// serviceSID returns the SID of the virtual account of a service of Windows, NT SERVICE\name. It
// comes from the name alone (RtlCreateServiceSid).
func serviceSID(name string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(strings.ToUpper(name))) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	hash := sha1.Sum(b)
	sid := "S-1-5-80"
	for part := hash[:]; len(part) > 0; part = part[4:] {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(part))
	}
	return sid
}
