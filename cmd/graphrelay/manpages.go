//go:build manpages

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"

	"graphrelay/internal/buildinfo"
)

// main writes a man page for each command into the directory that its argument names. It is
// built with a tag of its own, so that the program does not contain the generator.
func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags manpages ./cmd/graphrelay DIRECTORY")
		os.Exit(exitBadUsage)
	}
	root := newRoot(env{os.Stdin, os.Stdout, os.Stderr})
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Manual: "graphrelay", Source: "graphrelay " + buildinfo.Read().Version}
	if err := doc.GenManTree(root, header, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFault)
	}
}
