package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// syntaxFault reports an error of the YAML library. Its messages say what the parser waited
// for; the fault says what to change in the line. It quotes nothing of the file but names of
// keys, since the rest may be a secret.
func syntaxFault(r *report, data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if _, scanErr := fmt.Sscanf(text, "line %d: ", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	line = faultLine(data, line)
	lines := strings.Split(string(data), "\n")
	advice := ""
	if line <= len(lines) {
		advice = syntaxAdvice(text, lines[:line])
	}
	if advice == "" {
		advice = "is not valid YAML: " + text + "; check indentation, colons and quotes"
	}
	r.faults = append(r.faults, Error{File: r.file, Line: line, Text: advice})
}

// syntaxAdvice returns what is wrong with the last line and what to do, or "" if that is not
// known. text is the library's message.
func syntaxAdvice(text string, lines []string) string {
	bad := strings.TrimRight(lines[len(lines)-1], "\r")
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("tab character", "cannot start any token") && strings.Contains(indentOf(bad), "\t"):
		return "is indented with a tab, which YAML does not allow; use spaces"
	case has("unknown anchor", "alphabetic or numeric", "cannot start any token"):
		if c := unquotedStart(bad); c != "" {
			return fmt.Sprintf("a value begins with %s, which has a meaning of its own in YAML; put quotes around the value, such as \"*@contoso.test\"", c)
		}
	case has("hexdecimal", "unknown escape"):
		return `a value in double quotes has a \, which begins an escape there; use single quotes, such as 'C:\data', or write / instead of \`
	case has("mapping values are not allowed") && strings.Count(bad, ": ") > 1:
		return "a value has a colon and a space in it, which begin another value; put quotes around it"
	case has("expected '-'", "did not find expected key", "mapping values are not allowed"):
		return indentAdvice(lines)
	case has("expected ',' or"):
		return "a list that begins with [, or a mapping with {, is not closed, or lacks a comma; close it on the same line, and put quotes around values that have brackets or commas"
	case has("unexpected end of stream"):
		return "a quote that begins here is not closed; add the other one, of the same kind"
	case has("control characters"):
		return "has a control character; save the file as text in UTF-8"
	}
	return ""
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }

// unquotedStart returns the character at the beginning of a value that no value may begin with
// unless it is in quotes, or "".
func unquotedStart(line string) string {
	for i, c := range line {
		if !strings.ContainsRune("*&@%`", c) {
			continue
		}
		before := strings.TrimRight(line[:i], " ")
		if before == "" || strings.ContainsRune(":-[,{", rune(before[len(before)-1])) {
			return string(c)
		}
	}
	return ""
}

// level is a depth of indentation that is open at some line.
type level struct {
	column int
	entry  bool   // of the dashes of a list
	of     string // the known key above it; may be empty
}

// indentAdvice compares the indentation of the last line with that of the lines above.
func indentAdvice(lines []string) string {
	bad := lines[len(lines)-1]
	column := len(indentOf(bad))
	open := openLevels(lines[:len(lines)-1])
	if len(open) == 0 {
		return ""
	}
	nearest := open[0]
	distance := func(l level) int { return max(l.column-column, column-l.column) }
	for _, l := range open {
		if l.entry == strings.HasPrefix(strings.TrimSpace(bad), "-") && (distance(l) < distance(nearest) || nearest.entry != l.entry && distance(l) <= 4) {
			nearest = l
		}
	}
	if nearest.column == column {
		return ""
	}
	what := "the other keys"
	if nearest.entry {
		what = "the other entries of the list"
	}
	if nearest.of != "" {
		what += " in " + nearest.of
	}
	return fmt.Sprintf("is indented by %s, but %s by %d; align it with them", spaces(column), what, nearest.column)
}

func spaces(n int) string {
	if n == 1 {
		return "1 space"
	}
	return fmt.Sprintf("%d spaces", n)
}

// openLevels returns the depths of indentation at which a line may stand after lines.
func openLevels(lines []string) (open []level) {
	known, above := keyNames(), ""
	push := func(column int, entry bool) {
		for len(open) > 0 && open[len(open)-1].column > column {
			open = open[:len(open)-1]
		}
		if len(open) == 0 || open[len(open)-1].column < column {
			open = append(open, level{column: column, entry: entry, of: above})
		}
	}
	for _, line := range lines {
		rest := strings.TrimSpace(line)
		if rest == "" || rest[0] == '#' {
			continue
		}
		column := len(indentOf(line))
		for strings.HasPrefix(rest, "- ") {
			push(column, true)
			trimmed := strings.TrimLeft(rest[1:], " ")
			column, rest = column+len(rest)-len(trimmed), trimmed
		}
		key, value, isKey := strings.Cut(rest, ":")
		if isKey {
			push(column, false)
		}
		if isKey && strings.TrimSpace(value) == "" && known[key] {
			above = key
		}
	}
	return open
}

// faultLine returns the first line with which the file is not valid YAML. The library gives
// only the line where the structure around the fault begins, which can be far above; that
// is returned for a file that is too long to be tried line by line.
func faultLine(data []byte, structure int) int {
	const mostLines, mostBytes = 1000, 64 << 10
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines) > mostLines || len(data) > mostBytes {
		return structure
	}
	size := len(data)
	for n := len(lines) - 1; n > 0; n-- {
		size -= len(lines[n])
		if isYAML(data[:size]) {
			return n + 1
		}
	}
	return 1
}

func isYAML(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}
