package effects

import "strings"

// TokenKind says what a Token is.
type TokenKind uint8

// The kinds of tokens.
const (
	Word   TokenKind = iota // a keyword or an identifier without quotes
	Quoted                  // an identifier in quotes
	String                  // a string literal
	Number
	Punct // one byte of an operator or punctuation
	Other // parameters, and what has no end
)

// Token is a piece of SQL text. Text is what it means rather than how it is spelt: words in lower case,
// identifiers and strings without their quotes.
type Token struct {
	Kind TokenKind
	Text string
}

// Tokens takes a text apart, comments left out. It is for comparing texts and for finding names in
// texts that no grammar reads; what a statement does is Parse's business.
func Tokens(d Dialect, sql string) []Token {
	raw := lex(d, sql, false)
	out := make([]Token, len(raw))
	for i, t := range raw {
		text := sql[t.start:t.end]
		switch t.kind {
		case tokenWord:
			out[i] = Token{Word, strings.ToLower(text)}
		case tokenQuoted:
			out[i] = Token{Quoted, unquote(text)}
		case tokenString:
			out[i] = Token{String, unquote(text)}
		case tokenNumber:
			out[i] = Token{Number, strings.ToLower(text)}
		case tokenPunct:
			out[i] = Token{Punct, text}
		default:
			out[i] = Token{Other, text}
		}
	}
	return out
}

// unquote takes the quotes, or the tags of a dollar quote, from a literal or an identifier.
func unquote(text string) string {
	if strings.HasPrefix(text, "$") {
		if i := strings.IndexByte(text[1:], '$'); i >= 0 && len(text) >= 2*(i+2) {
			return text[i+2 : len(text)-i-2]
		}
		return text
	}
	i := strings.IndexAny(text, "'\"`[")
	if i < 0 || len(text) < i+2 {
		return text
	}
	q := text[i : i+1]
	body := text[i+1 : len(text)-1]
	if q == "[" {
		return body
	}
	return strings.ReplaceAll(body, q+q, q)
}
