package effects

import (
	"slices"
	"strings"
)

// cursor reads the tokens of one statement from left to right, for the parsers that are our own.
type cursor struct {
	source
	i           int // the next token
	effects     []Effect
	spans       []Span
	autocommit  bool
	reserved    map[string]bool // keywords that are no name without quotes
	stringNames bool            // a string may stand for a name
}

// rejected is what a parser panics with where it does not understand the text.
type rejected struct{ token int }

func (c *cursor) reject() { panic(rejected{c.i}) }

func (c *cursor) add(e Effect) { c.effects = append(c.effects, e) }

// accept moves behind the words when they come next.
func (c *cursor) accept(words ...string) bool {
	for k, w := range words {
		if c.word(c.i+k) != w {
			return false
		}
	}
	c.i += len(words)
	return true
}

func (c *cursor) acceptAny(words ...string) string {
	for _, w := range words {
		if c.accept(w) {
			return w
		}
	}
	return ""
}

func (c *cursor) expect(words ...string) {
	if !c.accept(words...) {
		c.reject()
	}
}

func (c *cursor) acceptPunct(ch byte) bool {
	if c.punct(c.i) != ch {
		return false
	}
	c.i++
	return true
}

func (c *cursor) expectPunct(ch byte) {
	if !c.acceptPunct(ch) {
		c.reject()
	}
}

func (c *cursor) done() bool { return c.i >= len(c.tokens) }

// identifier reads a name; SQLite takes a string for one, too.
func (c *cursor) identifier() string {
	if c.i < len(c.tokens) {
		t := c.tokens[c.i]
		text := c.text(t.start, t.end)
		switch {
		case t.kind == tokenWord && !c.reserved[strings.ToUpper(text)]:
			c.i++
			return text
		case t.kind == tokenQuoted, c.stringNames && t.kind == tokenString && text[0] == '\'':
			c.i++
			return unquote(text)
		}
	}
	c.reject()
	return ""
}

// isIdentifier says whether a name comes next.
func (c *cursor) isIdentifier() bool {
	if c.done() {
		return false
	}
	switch c.tokens[c.i].kind {
	case tokenWord:
		return !c.reserved[c.word(c.i)]
	case tokenQuoted:
		return true
	}
	return false
}

// bracket reads from an opening bracket to its end and gives the tokens between.
func (c *cursor) bracket() (from, to int) {
	if c.punct(c.i) != '(' {
		c.reject()
	}
	from = c.i + 1
	c.i = c.skip(c.i)
	if c.punct(c.i-1) != ')' || c.i-1 < from {
		c.i = len(c.tokens)
		c.reject()
	}
	return from, c.i - 1
}

// columnList reads names in brackets.
func (c *cursor) columnList() []string {
	c.expectPunct('(')
	var out []string
	for {
		out = append(out, c.identifier())
		if !c.acceptPunct(',') {
			break
		}
	}
	c.expectPunct(')')
	return out
}

// expression walks to the end of an expression: a comma, a closing bracket, or one of the keywords
// at its own depth. It does not accept an empty one.
func (c *cursor) expression(stops ...string) (from, to int) {
	from = c.i
	for !c.done() {
		if ch := c.punct(c.i); ch == ',' || ch == ')' {
			break
		}
		if w := c.word(c.i); w != "" && c.i > from && slices.Contains(stops, w) && c.punct(c.i-1) != '.' &&
			!(w == "FROM" && c.word(c.i-1) == "DISTINCT") {
			break
		}
		next := c.skip(c.i)
		if ch := c.punct(c.i); ch == '(' && c.punct(next-1) != ')' {
			c.i = len(c.tokens)
			c.reject()
		}
		c.i = next
	}
	if c.i == from {
		c.reject()
	}
	return from, c.i
}

func wordSet(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}
