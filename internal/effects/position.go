package effects

import (
	"strings"
	"unicode/utf8"
)

// Position gives the line and column, both 1-based, of a byte offset; columns count characters.
func Position(text string, offset int) (line, column int) {
	offset = min(max(offset, 0), len(text))
	head := text[:offset]
	line = 1 + strings.Count(head, "\n")
	if i := strings.LastIndexByte(head, '\n'); i >= 0 {
		head = head[i+1:]
	}
	return line, 1 + utf8.RuneCountInString(head)
}
