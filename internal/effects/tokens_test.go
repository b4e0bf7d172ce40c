package effects

import (
	"slices"
	"testing"
)

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		sql     string
		want    []Token
	}{
		{Postgres, `SELECT "a""b" -- no`, []Token{{Word, "select"}, {Quoted, `a"b`}}},
		{Postgres, `$x$it's$x$ E'a''b' 1.5E3`, []Token{{String, "it's"}, {String, "a'b"}, {Number, "1.5e3"}}},
		{Postgres, `$$$$`, []Token{{String, ""}}},
		{MySQL, "`t` 'x' \"y\"", []Token{{Quoted, "t"}, {String, "x"}, {String, "y"}}},
		{SQLite, `[a b]=?`, []Token{{Quoted, "a b"}, {Punct, "="}, {Other, "?"}}},
		{Postgres, `'open`, []Token{{Other, "'open"}}},
	} {
		if got := Tokens(c.dialect, c.sql); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.sql, got, c.want)
		}
	}
}
