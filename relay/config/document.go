package config

import (
	"bytes"
	"errors"
	"io"

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
