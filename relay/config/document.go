package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document returns the root node of the file's only document.
func document(data []byte, r *report) *yaml.Node {
	if len(data) > maxFile {
		r.fault("", "is larger than 1 MiB; write a shorter file")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := dec.Decode(&first)
	if errors.Is(err, io.EOF) || err == nil && isEmpty(&first) {
		r.fault("", "is empty; start from config.example.yaml")
		return nil
	}
	if err != nil {
		syntaxFault(r, data, err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		r.marks[""] = mark{line: second.Line}
		r.fault("", "a second document begins here; keep one document in the file")
	case !errors.Is(err, io.EOF):
		syntaxFault(r, data, err)
	}
	return first.Content[0]
}

func isEmpty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" && doc.Content[0].Value == ""
}

// syntaxFault reports an error of the YAML library. Of its messages only the one about
// anchors quotes the file; it is replaced, since the quote may be a secret.
func syntaxFault(r *report, data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if _, scanErr := fmt.Sscanf(text, "line %d: ", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	if strings.HasPrefix(text, "unknown anchor") {
		text = "a value begins with *, which YAML reads as an alias; put quotes around it"
	} else {
		text = "is not valid YAML: " + text + "; check indentation, colons and quotes"
	}
	r.faults = append(r.faults, Error{File: r.file, Line: faultLine(data, line), Text: text})
}

// faultLine returns the first line with which the file is not valid YAML. The library gives
// only the line where the structure around the fault begins, which can be far above; that
// is returned for a file that is too long to be tried line by line.
func faultLine(data []byte, structure int) int {
	const mostLines, mostBytes = 500, 32 << 10
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
