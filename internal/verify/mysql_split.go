package verify

import (
	"fmt"
	"slices"
	"strings"
)

// mysqlTable is what SHOW CREATE TABLE prints, taken apart. Every piece is the server's own text.
type mysqlTable struct {
	columns   []mysqlColumn
	elements  []mysqlElement // keys, constraints, periods: what follows the columns
	engine    string
	comment   string // a string literal
	options   string // without engine, comment and the next number of AUTO_INCREMENT
	next      string // that number; "" for 1
	versioned bool   // MariaDB: WITH SYSTEM VERSIONING
	partition string // PARTITION BY …, or empty
}

// mysqlColumn is one column.
type mysqlColumn struct {
	name       string
	text       string // all that follows the name
	definition string // text without what objects of their own say (NOT NULL, AUTO_INCREMENT), and what goes without saying
	nullable   string // text with NULL in place of NOT NULL
	bare       string // nullable without its default
	plain      string // text without AUTO_INCREMENT
	notNull    bool
	auto       bool
	generated  bool
	noDefault  bool // nullable, and yet without DEFAULT NULL
}

// mysqlElement is a key or a constraint.
type mysqlElement struct {
	kind, name string // kind is that of Object
	text       string // behind ADD
	definition string // text without the name
	table      string // of a foreign key: the parent, "db.table" or "table"
}

// mysqlToken is a word, a quoted text, a comment with its content, a bracket or another character.
type mysqlToken struct {
	text       string
	start, end int
	depth      int // of brackets around it; a bracket's own is that outside
}

// mysqlTokens splits a statement as the server prints it with no sql_mode: `names` and 'texts' with their quotes
// doubled, backslashes escaped. Blanks are left out.
func mysqlTokens(s string) []mysqlToken {
	var out []mysqlToken
	depth := 0
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
			continue
		case c == '`' || c == '\'' || c == '"':
			i = mysqlQuoteEnd(s, i)
		case strings.HasPrefix(s[i:], "/*"):
			for i += 2; i < len(s) && !strings.HasPrefix(s[i:], "*/"); {
				if s[i] == '`' || s[i] == '\'' {
					i = mysqlQuoteEnd(s, i)
				} else {
					i++
				}
			}
			i = min(i+2, len(s))
		case c == '(':
			i++
			out = append(out, mysqlToken{"(", start, i, depth})
			depth++
			continue
		case c == ')':
			i++
			depth--
		case mysqlWordByte(c):
			for i < len(s) && mysqlWordByte(s[i]) {
				i++
			}
		default:
			i++
		}
		out = append(out, mysqlToken{s[start:i], start, i, depth})
	}
	return out
}

func mysqlWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// mysqlQuoteEnd is where the quoted text that starts at i ends.
func mysqlQuoteEnd(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == quote:
			if i+1 < len(s) && s[i+1] == quote {
				i++
				continue
			}
			return i + 1
		}
	}
	return len(s)
}

// mysqlName takes the quotes off a name.
func mysqlName(token string) string {
	if len(token) < 2 || token[0] != '`' {
		return token
	}
	return strings.ReplaceAll(token[1:len(token)-1], "``", "`")
}

// splitMySQL takes the text of SHOW CREATE TABLE apart.
func splitMySQL(text string) (mysqlTable, error) {
	var t mysqlTable
	tokens := mysqlTokens(text)
	open := 0
	for open < len(tokens) && tokens[open].text != "(" {
		open++
	}
	last := open + 1
	from := last
	for ; last < len(tokens); last++ {
		end := tokens[last].text == ")" && tokens[last].depth == 0
		if end || tokens[last].text == "," && tokens[last].depth == 1 {
			if err := t.add(text, tokens[from:last]); err != nil {
				return t, err
			}
			from = last + 1
		}
		if end {
			break
		}
	}
	if last >= len(tokens) {
		return t, fmt.Errorf("the server's text of a table cannot be read: %.60q", text)
	}
	t.tail(text, tokens[last+1:])
	return t, nil
}

// add reads one element of the body.
func (t *mysqlTable) add(text string, tokens []mysqlToken) error {
	if len(tokens) < 2 {
		return fmt.Errorf("the server's text of a table cannot be read: %.60q", text)
	}
	span := func(from, to int) string {
		if from >= to {
			return ""
		}
		return text[tokens[from].start:tokens[to-1].end]
	}
	n := len(tokens)
	if tokens[0].text[0] == '`' {
		t.columns = append(t.columns, splitMySQLColumn(mysqlName(tokens[0].text), text[tokens[1].start:tokens[n-1].end]))
		return nil
	}
	e := mysqlElement{text: span(0, n)}
	switch tokens[0].text {
	case "PRIMARY":
		e.kind, e.name, e.definition = "primary key", "PRIMARY", e.text
	case "UNIQUE": // UNIQUE KEY `name` (…)
		e.kind, e.name, e.definition = "unique", mysqlName(tokens[2].text), "UNIQUE "+span(3, n)
	case "KEY":
		e.kind, e.name, e.definition = "index", mysqlName(tokens[1].text), "KEY "+span(2, n)
	case "FULLTEXT", "SPATIAL", "VECTOR":
		e.kind, e.name, e.definition = "index", mysqlName(tokens[2].text), tokens[0].text+" "+span(3, n)
	case "CONSTRAINT":
		e.kind, e.name, e.definition = "check", mysqlName(tokens[1].text), span(2, n)
		if tokens[2].text == "FOREIGN" {
			e.kind = "foreign key"
			for i, x := range tokens {
				if x.text != "REFERENCES" || i+1 >= n {
					continue
				}
				if e.table = mysqlName(tokens[i+1].text); i+3 < n && tokens[i+2].text == "." {
					e.table += "." + mysqlName(tokens[i+3].text)
				}
			}
		}
	default: // PERIOD FOR `name` (…)
		e.kind, e.name, e.definition = strings.ToLower(tokens[0].text), e.text, e.text
	}
	t.elements = append(t.elements, e)
	return nil
}

// mysqlSpatial are the types that have no default, with the long ones.
var mysqlSpatial = []string{"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"}

// splitMySQLColumn reads what follows a column's name.
func splitMySQLColumn(name, text string) mysqlColumn {
	c := mysqlColumn{name: name, text: text}
	tokens := mysqlTokens(text)
	var definition, nullable, bare, plain []string
	inDefault, hasDefault, spelt, check := false, false, false, 0
	for i, x := range tokens {
		word := x.text
		if i > 0 && tokens[i-1].end < x.start {
			word = " " + word
		}
		before := ""
		if i > 0 {
			before = tokens[i-1].text
		}
		if x.depth > 0 || x.text != "AUTO_INCREMENT" {
			plain = append(plain, word)
		}
		if x.depth == 0 {
			switch {
			case x.text == "NOT" && i+1 < len(tokens) && tokens[i+1].text == "NULL", x.text == "NULL" && before == "NOT":
				c.notNull, inDefault = true, false
				continue
			case x.text == "AUTO_INCREMENT":
				c.auto, inDefault = true, false
				continue
			case x.text == "DEFAULT":
				inDefault, hasDefault = true, true
				if i+1 < len(tokens) && tokens[i+1].text == "NULL" {
					nullable = append(nullable, word)
					continue
				}
			case x.text == "NULL" && before == "DEFAULT":
				nullable = append(nullable, word)
				continue
			case x.text == "NULL":
				spelt = true
				nullable, bare = append(nullable, word), append(bare, word)
				continue
			case x.text == "GENERATED":
				c.generated = true
			case x.text == "ON", x.text == "COMMENT", x.text == "INVISIBLE", x.text == "WITHOUT", strings.HasPrefix(x.text, "/*"),
				x.text[0] == '`' && before != "DEFAULT":
				inDefault = false
			case x.text == "CHECK":
				inDefault, check = false, len(nullable)
			}
		}
		definition, nullable = append(definition, word), append(nullable, word)
		if !inDefault {
			bare = append(bare, word)
		}
	}
	kind := strings.ToLower(tokens[0].text)
	long := strings.HasSuffix(kind, "text") || strings.HasSuffix(kind, "blob") || kind == "json" || kind == "vector" || slices.Contains(mysqlSpatial, kind)
	c.definition = strings.TrimSpace(strings.Join(definition, ""))
	if c.noDefault = !c.generated && !c.notNull && !hasDefault && !long; c.noDefault {
		c.definition += " WITHOUT DEFAULT"
	}
	if !c.generated && !spelt { // what TIMESTAMP says when it says nothing depends on a setting
		if check > 0 {
			nullable = slices.Insert(nullable, check, " NULL")
			bare = slices.Insert(bare, slices.IndexFunc(bare, func(w string) bool { return strings.TrimSpace(w) == "CHECK" }), " NULL")
		} else {
			nullable, bare = append(nullable, " NULL"), append(bare, " NULL")
		}
	}
	c.nullable, c.bare = strings.TrimSpace(strings.Join(nullable, "")), strings.TrimSpace(strings.Join(bare, ""))
	c.plain = strings.TrimSpace(strings.Join(plain, ""))
	return c
}

// tail reads what follows the body: options, and partitions.
func (t *mysqlTable) tail(text string, tokens []mysqlToken) {
	var options []string
	for i := 0; i < len(tokens); i++ {
		x := tokens[i]
		value := i+2 < len(tokens) && tokens[i+1].text == "="
		switch {
		case x.text == "PARTITION":
			t.partition = strings.TrimSpace(text[x.start:])
			i = len(tokens)
		case strings.HasPrefix(x.text, "/*") && strings.Contains(x.text, "PARTITION BY"): // /*!50100 PARTITION BY … */
			t.partition = strings.TrimSpace(strings.TrimLeft(strings.TrimSuffix(x.text, "*/"), "/*!0123456789"))
		case x.text == "WITH" && i+2 < len(tokens) && tokens[i+1].text == "SYSTEM":
			t.versioned = true
			i += 2
		case x.text == "ENGINE" && value:
			t.engine = tokens[i+2].text
			i += 2
		case x.text == "AUTO_INCREMENT" && value:
			t.next = tokens[i+2].text
			i += 2
		case x.text == "COMMENT" && value:
			t.comment = tokens[i+2].text
			i += 2
		case value:
			options = append(options, x.text+"="+tokens[i+2].text)
			i += 2
			if tokens[i].text == "(" { // UNION=(…)
				for i+1 < len(tokens) && (tokens[i].text != ")" || tokens[i].depth > 0) {
					i++
					options[len(options)-1] += tokens[i].text
				}
			}
		case x.text == "DEFAULT": // of DEFAULT CHARSET
		default:
			options = append(options, x.text)
		}
	}
	t.options = strings.Join(options, " ")
	for _, o := range options {
		if set, ok := strings.CutPrefix(o, "CHARSET="); ok {
			t.spell(set)
		}
	}
}

// spell leaves out of the definitions of columns the character set of the table: MySQL shows it once a statement has named the
// collation, and that stands beside it.
func (t *mysqlTable) spell(set string) {
	for i := range t.columns {
		c := &t.columns[i]
		c.definition = strings.Replace(c.definition, " CHARACTER SET "+set+" COLLATE ", " COLLATE ", 1)
	}
}
