package effects

import (
	"sort"
	"strings"
)

// source is the text of one statement and its tokens. Locations count from the start of the text
// that the statement was found in; base is where src begins in it.
type source struct {
	base   int
	src    string
	tokens []token
	closes map[int]int // by opening bracket, the token behind its end; made when first needed
}

// newSource cuts the statement that the tokens spell out of a text.
func newSource(text string, tokens []token) source {
	from, to := tokens[0].start, tokens[len(tokens)-1].end
	return source{base: from, src: text[from:to], tokens: tokens}
}

// text is the source between two locations of the grammar.
func (s *source) text(from, to int) string {
	if from < s.base || to <= from || to > s.base+len(s.src) {
		return ""
	}
	return s.src[from-s.base : to-s.base]
}

// word is the upper-case text of token i when it is a word, "" otherwise, so that identifiers in
// quotes are never taken for keywords.
func (s *source) word(i int) string {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].kind != tokenWord {
		return ""
	}
	return strings.ToUpper(s.text(s.tokens[i].start, s.tokens[i].end))
}

// punct is the character of token i when it is punctuation, 0 otherwise.
func (s *source) punct(i int) byte {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].kind != tokenPunct {
		return 0
	}
	return s.src[s.tokens[i].start-s.base]
}

// at is the index of the first token at or after a location.
func (s *source) at(location int) int {
	return sort.Search(len(s.tokens), func(i int) bool { return s.tokens[i].start >= location })
}

// span is the source of the tokens [i, j).
func (s *source) span(i, j int) string {
	if i < 0 || i >= j || j > len(s.tokens) {
		return ""
	}
	return s.text(s.tokens[i].start, s.tokens[j-1].end)
}

// skip gives the index behind token i, or behind the whole bracket that it opens; one without an end
// reaches to the end.
func (s *source) skip(i int) int {
	if c := s.punct(i); c != '(' && c != '[' {
		return min(i+1, max(i, len(s.tokens)))
	}
	if s.closes == nil {
		s.match()
	}
	return s.closes[i]
}

// match finds the end of every bracket at once: nested ones would be walked through time and again.
func (s *source) match() {
	s.closes = map[int]int{}
	var open []int
	for i := range s.tokens {
		switch s.punct(i) {
		case '(', '[':
			open = append(open, i)
			s.closes[i] = len(s.tokens)
		case ')', ']':
			if n := len(open); n > 0 {
				s.closes[open[n-1]] = i + 1
				open = open[:n-1]
			}
		}
	}
}

// end gives the index of the token that ends the list element, or the bracketed statement, which
// token i is in: a comma (when commas end it) or closing bracket of the same depth, or the end.
func (s *source) end(i int, comma bool) int {
	for i < len(s.tokens) {
		c := s.punct(i)
		if c == ')' || c == ']' || comma && c == ',' {
			return i
		}
		i = s.skip(i)
	}
	return i
}

// find looks for a keyword at the depth of token i, up to token j; a name behind a dot or AS is
// none. It gives -1 when there is none.
func (s *source) find(i, j int, keywords ...string) int {
	for ; i < j; i = s.skip(i) {
		w := s.word(i)
		if w == "" || s.punct(i-1) == '.' || s.word(i-1) == "AS" {
			continue
		}
		for _, k := range keywords {
			if w == k {
				return i
			}
		}
	}
	return -1
}

// afterName gives the index behind a qualified name that begins at token i.
func (s *source) afterName(i int) int {
	for i++; s.punct(i) == '.'; i += 2 {
	}
	return i
}
