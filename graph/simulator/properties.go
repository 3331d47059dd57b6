package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// propertyTypes returns the types of single-value properties:
// "singleValueLegacyExtendedProperty".
func propertyTypes() []string {
	return []string{"Binary", "Boolean", "ClassId", "Currency", "Double", "Float", "Integer", "Long", "Short", "String", "SystemTime"}
}

// normalizeProperty returns the id of an extended property as Graph shows it: the type with
// a capital, the GUID in lower case, a tag without leading zeros. The forms are those of
// "Outlook extended properties overview":
//
//	String {guid} Name name
//	Integer {guid} Id 0x8012
//	Integer 0x36
func normalizeProperty(id string) (string, error) {
	typeName, rest, _ := strings.Cut(strings.TrimSpace(id), " ")
	n := slices.IndexFunc(propertyTypes(), func(known string) bool { return strings.EqualFold(known, typeName) })
	if n < 0 {
		return "", invalidProperty(id)
	}
	typeName = propertyTypes()[n]
	if !strings.HasPrefix(rest, "{") {
		tag, ok := normalizeTag(rest, 1, 0x7fff)
		if !ok {
			return "", invalidProperty(id)
		}
		return typeName + " " + tag, nil
	}
	guid, rest, _ := strings.Cut(rest, " ")
	guid = strings.ToLower(strings.Trim(guid, "{}"))
	kind, name, _ := strings.Cut(rest, " ")
	if !isGUID(guid) || name == "" {
		return "", invalidProperty(id)
	}
	switch strings.ToLower(kind) {
	case "name":
		return fmt.Sprintf("%s {%s} Name %s", typeName, guid, name), nil
	case "id":
		if tag, ok := normalizeTag(name, 0x8000, 0xfffe); ok {
			return fmt.Sprintf("%s {%s} Id %s", typeName, guid, tag), nil
		}
	}
	return "", invalidProperty(id)
}

// normalizeTag returns a hexadecimal tag without leading zeros, if it is between low and high.
func normalizeTag(tag string, low, high uint64) (string, bool) {
	hex, ok := strings.CutPrefix(strings.ToLower(tag), "0x")
	number, err := strconv.ParseUint(hex, 16, 32)
	if !ok || err != nil || number < low || number > high {
		return "", false
	}
	return fmt.Sprintf("0x%x", number), true
}

func invalidProperty(id string) error {
	return badRequest("ErrorInvalidArgument", "The extended property id '%s' is invalid.", id)
}

// messageFlags is the id of PidTagMessageFlags, which Exchange sets itself (MS-OXCMSG
// section 2.2.1.6).
const messageFlags = "Integer 0xe07"

// flags returns the value of PidTagMessageFlags.
func (i *item) flags() int {
	const read, unsent, submitted, files = 0x1, 0x8, 0x4, 0x10
	n := read
	if i.IsDraft() {
		n |= unsent
	}
	if i.IsDraft() && i.Submitted {
		n |= submitted
	}
	if len(i.Attachments) > 0 {
		n |= files
	}
	return n
}
