// Package licences holds the licences of the modules that the program is linked from. Most of
// them ask that their text goes with each copy, so the program carries the texts itself.
package licences

import (
	_ "embed"
	"strings"
)

// go test ./internal/licences -update writes the file.
//
//go:embed THIRD_PARTY_LICENSES
var text string

// Text returns a list of the modules with their licences, and then the licences.
func Text() string { return text }

// Of returns the SPDX identifiers of the licences of a module, all of which apply; none if
// the program is not linked from it. The module "std" is Go's standard library.
func Of(module string) []string {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, rule):
			return nil
		case strings.HasPrefix(line, indent) && fields[0] == module:
			return strings.Split(fields[1], "+")
		}
	}
	return nil
}

// The form of the file: the lines of the list are indented, and a rule stands above and
// below the name of each text.
const indent = "    "

var rule = strings.Repeat("-", 80)
