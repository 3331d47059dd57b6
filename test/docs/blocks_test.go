package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	page string
	line int    // of its first line
	lang string // what follows the fence
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// lines calls each with the lines of a document. In a block, lang is its language and the
// indentation of its fence is removed; fence marks the lines of fences.
func lines(t *testing.T, name string, each func(n int, line, lang string, fence bool)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	n, inside, lang, indent := 0, false, "", ""
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		n++
		line = strings.TrimSuffix(line, "\n")
		before, after, fence := strings.Cut(line, "```")
		switch fence = fence && strings.TrimSpace(before) == ""; {
		case fence && !inside:
			inside, lang, indent = true, after, before
			each(n, line, lang, true)
		case fence:
			inside = false
			each(n, line, lang, true)
			lang, indent = "", ""
		default:
			each(n, strings.TrimPrefix(line, indent), lang, false)
		}
	}
	if inside {
		t.Errorf("%s ends within a block", name)
	}
}

// blocks returns the blocks of a document in one of the languages, in their order.
func blocks(t *testing.T, name string, languages ...string) (all []block) {
	t.Helper()
	open := false
	lines(t, name, func(n int, line, lang string, fence bool) {
		switch {
		case fence && !open:
			open = true
			all = append(all, block{name, n + 1, lang, ""})
		case fence:
			open = false
		case open:
			all[len(all)-1].text += line + "\n"
		}
	})
	return slices.DeleteFunc(all, func(b block) bool { return !slices.Contains(languages, b.lang) })
}

// checked are the languages of blocks, and what holds them right: text is not checked, and the
// files (conf) and the code (php, java, ruby) of other programs are used by tests in test/clients.
var checked = []string{"sh", "yaml", "conf", "ini", "powershell", "python", "js", "go", "php", "java", "ruby", "text"}

// TestBlocksNameTheirLanguage checks that each block has fences and a language: the other tests
// would pass over it.
func TestBlocksNameTheirLanguage(t *testing.T) {
	for _, name := range pages(t) {
		open := false
		lines(t, name, func(n int, line, lang string, fence bool) {
			if fence {
				if open = !open; open && !slices.Contains(checked, lang) {
					t.Errorf("%s:%d: the block's language is %q, want one of %v", name, n, lang, checked)
				}
			} else if !open && strings.HasPrefix(line, "    ") {
				t.Errorf("%s:%d: an indented block; put it between fences that name its language", name, n)
			}
		})
	}
}
