package engine

import "strings"

// SQLiteTokens splits the text of a schema object, as sqlite_schema keeps it, into tokens. Comments and
// blanks are gone; keywords and plain names come in upper case, because SQLite compares them without
// case; a quoted name whose text is a plain name comes as that, so that "id", [id], `id` and id are one;
// other quoted names come as "name". Literals come as they are.
func SQLiteTokens(sql string) []string {
	tokens := SQLiteScan(sql)
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.Text
	}
	return out
}

// SQLiteToken is one token with its place in the text.
type SQLiteToken struct {
	Text       string // canonical, see SQLiteTokens
	Name       string // of a word or a quoted name: what it names, in its own case
	Quoted     bool   // a quoted name: no keyword
	Start, End int    // bytes
}

// SQLiteScan is SQLiteTokens with the place of each token.
func SQLiteScan(sql string) []SQLiteToken {
	var out []SQLiteToken
	for _, t := range sqliteScan(sql) {
		word := SQLiteToken{Text: t.canonical(), Name: t.name, Quoted: t.kind == 'q', Start: t.start, End: t.start + len(t.text)}
		// DEFAULT "x" is the text 'x' to SQLite, whose case counts.
		if n := len(out); word.Quoted && (n > 0 && out[n-1].Text == "DEFAULT" || n > 1 && out[n-1].Text == "(" && out[n-2].Text == "DEFAULT") {
			word.Text = "'" + strings.ReplaceAll(t.name, "'", "''") + "'"
		}
		out = append(out, word)
	}
	return out
}

// sqliteToken is a token as written.
type sqliteToken struct {
	text  string
	start int
	name  string // of a word or a quoted name: what it names
	kind  byte   // 'w' word, 'q' quoted name, 's' string or blob, 'o' other
}

func (t sqliteToken) canonical() string {
	switch t.kind {
	case 'w':
		return strings.ToUpper(t.text)
	case 'q':
		for i, r := range t.name {
			if !wordRune(r) || i == 0 && r >= '0' && r <= '9' {
				return `"` + strings.ToUpper(strings.ReplaceAll(t.name, `"`, `""`)) + `"`
			}
		}
		return strings.ToUpper(t.name)
	}
	return t.text
}

func wordRune(r rune) bool {
	return r == '_' || r == '$' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f
}

func sqliteScan(sql string) []sqliteToken {
	var out []sqliteToken
	for i := 0; i < len(sql); {
		c, rest := sql[i], sql[i:]
		n, kind := 1, byte('o')
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
			continue
		case strings.HasPrefix(rest, "--"):
			n = strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			i += n
			continue
		case strings.HasPrefix(rest, "/*"):
			n = strings.Index(rest[2:], "*/")
			if n < 0 {
				n = len(rest)
			} else {
				n += 4
			}
			i += n
			continue
		case c == '\'':
			n, kind = quoted(rest, '\''), 's'
		case c == '"' || c == '`':
			n, kind = quoted(rest, c), 'q'
		case c == '[':
			n, kind = strings.IndexByte(rest, ']')+1, 'q'
			if n == 0 {
				n = len(rest)
			}
		case (c == 'x' || c == 'X') && len(rest) > 1 && rest[1] == '\'':
			n, kind = 1+quoted(rest[1:], '\''), 's'
		case wordByte(c):
			kind = 'w'
			if c >= '0' && c <= '9' {
				kind = 'o'
			}
			for n < len(rest) && (wordByte(rest[n]) || kind == 'o' && rest[n] == '.') {
				n++
			}
		case len(rest) > 1 && strings.Contains("|| <= >= <> != == << >> ->", rest[:2]) && rest[1] != ' ' && c != ' ':
			n = 2
			if strings.HasPrefix(rest, "->>") {
				n = 3
			}
		}
		t := sqliteToken{text: rest[:n], start: i, kind: kind}
		switch kind {
		case 'q':
			t.name = unquoted(t.text)
		case 'w':
			t.name = t.text
		}
		out = append(out, t)
		i += n
	}
	return out
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quoted is the length of the quoted text at the start of s; a doubled quote stands for itself.
func quoted(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

func unquoted(s string) string {
	if len(s) < 2 {
		return ""
	}
	inner, quote := s[1:len(s)-1], s[:1]
	if quote == "[" {
		return inner
	}
	return strings.ReplaceAll(inner, quote+quote, quote)
}
