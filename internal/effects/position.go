package effects

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Lines answers Position for many offsets of one text.
type Lines struct {
	text   string
	starts []int
}

// NewLines reads a text once.
func NewLines(text string) *Lines {
	l := &Lines{text: text, starts: []int{0}}
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\n')
		if n < 0 {
			return l
		}
		i += n + 1
		l.starts = append(l.starts, i)
	}
}

// Position is that of the package, for this text.
func (l *Lines) Position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(l.text))
	line = sort.SearchInts(l.starts, offset+1)
	return line, 1 + utf8.RuneCountInString(l.text[l.starts[line-1]:offset])
}

// PositionIn gives the place of an offset in a statement that begins at start; in are the statement's lines. goose
// keeps a statement's lines as they are, so that lines can be counted even where it has changed what is in them
// (line ends, ENVSUB).
func (l *Lines) PositionIn(start int, in *Lines, offset int) (line, column int) {
	line, column = l.Position(start)
	dl, dc := in.Position(offset)
	if dl == 1 {
		return line, column + dc - 1
	}
	return line + dl - 1, dc
}

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

// Locate finds the bytes [start, end) of a file that a statement of goose's came from, at or after an
// offset; give the end of one statement to find the next. goose leaves out blank lines and comments
// before a statement, trims it, ends lines with \n alone and replaces variables under ENVSUB. Start
// and end are -1 when there is nothing left that could be a statement.
func Locate(file, stmt string, after int) (start, end int) {
	if strings.TrimSpace(stmt) == "" {
		return -1, -1
	}
	want := strings.Split(strings.ReplaceAll(strings.TrimSpace(stmt), "\r\n", "\n"), "\n")
	commented := strings.HasPrefix(want[0], "--") // between StatementBegin and StatementEnd they stay
	for _, same := range []func(got, want string) bool{sameLine, sameShape} {
		for at := lineStart(file, after); at < len(file); at = nextLine(file, at) {
			if isCommentLine(file, at) && !commented {
				continue
			}
			if end := matchLines(file, at, want, same); end >= 0 {
				return at + indent(file[at:]), end
			}
		}
	}
	for at := lineStart(file, after); at < len(file); at = nextLine(file, at) {
		if line := lineAt(file, at); strings.TrimSpace(line) != "" && !isCommentLine(file, at) {
			start = at + indent(line)
			return start, min(start+len(strings.TrimSpace(line)), len(file))
		}
	}
	return -1, -1
}

// lineStart is the first offset at or after which a statement can begin: goose ends statements at the
// end of a line.
func lineStart(file string, after int) int {
	after = max(after, 0)
	if after >= len(file) {
		return len(file)
	}
	begin := strings.LastIndexByte(file[:after], '\n') + 1
	if strings.TrimSpace(file[begin:after]) == "" {
		return begin
	}
	return nextLine(file, after)
}

func nextLine(file string, at int) int {
	if i := strings.IndexByte(file[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(file)
}

func lineAt(file string, at int) string {
	line, _, _ := strings.Cut(file[at:], "\n")
	return strings.TrimSuffix(line, "\r")
}

func indent(s string) int { return len(s) - len(strings.TrimLeft(s, " \t\r\f\v")) }

func isCommentLine(file string, at int) bool {
	return strings.HasPrefix(strings.TrimSpace(lineAt(file, at)), "--")
}

// matchLines compares a statement with the lines that begin at an offset, and gives the end.
func matchLines(file string, at int, want []string, same func(got, want string) bool) int {
	for i, w := range want {
		if at >= len(file) {
			return -1
		}
		got := lineAt(file, at)
		begin := at
		if i == 0 {
			begin += indent(got)
			got = got[indent(got):]
		}
		if i == len(want)-1 {
			// The last line may go on behind the statement: a comment, blanks.
			if strings.HasPrefix(got, w) {
				return begin + len(w)
			}
			if same(strings.TrimSpace(got), w) {
				return begin + len(strings.TrimRight(got, " \t"))
			}
			return -1
		}
		if !same(got, w) {
			return -1
		}
		at = nextLine(file, at)
	}
	return at
}

func sameLine(got, want string) bool {
	return strings.TrimRight(got, " \t") == strings.TrimRight(want, " \t")
}

// sameShape: a line with a variable may have become anything, but what is before and behind its
// variables stays.
func sameShape(got, want string) bool {
	first, last := strings.IndexByte(got, '$'), strings.LastIndexAny(got, "$}")
	if first < 0 {
		return sameLine(got, want)
	}
	rest := got[last+1:]
	if got[last] == '$' {
		rest = strings.TrimLeft(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
	}
	return len(want) >= first+len(rest) && strings.HasPrefix(want, got[:first]) && strings.HasSuffix(strings.TrimRight(want, " \t"), strings.TrimRight(rest, " \t"))
}
