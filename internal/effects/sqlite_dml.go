package effects

import (
	"slices"
	"strings"
)

// query reads a SELECT or a statement that writes rows, with its WITH.
func (p *sqliteParser) query() {
	start := p.i
	with := ""
	if p.accept("WITH") {
		p.accept("RECURSIVE")
		p.commonTables()
		with = p.span(start, p.i)
	}
	switch p.word(p.i) {
	case "INSERT", "REPLACE":
		p.insert()
	case "UPDATE":
		p.update(with)
	case "DELETE":
		p.remove(with)
	case "SELECT", "VALUES":
		p.walkQuery()
		f := p.facts(start, p.i)
		p.addWithCalls(Effect{Kind: Read, Detail: firstWords(p.src), Unordered: f.unordered}, f)
	default:
		p.reject()
	}
}

func (p *sqliteParser) commonTables() {
	for {
		p.identifier()
		if p.punct(p.i) == '(' {
			p.columnList()
		}
		p.expect("AS")
		p.accept("NOT")
		p.accept("MATERIALIZED")
		from, to := p.bracket()
		if !slices.Contains([]string{"SELECT", "VALUES", "WITH"}, p.word(from)) || from == to {
			p.reject()
		}
		if !p.acceptPunct(',') {
			return
		}
	}
}

// walkQuery walks to the end of a SELECT, which is the end of the statement.
func (p *sqliteParser) walkQuery() {
	if w := p.word(p.i); w != "SELECT" && w != "VALUES" && w != "WITH" {
		p.reject()
	}
	p.walk()
}

// walk moves over tokens with balanced brackets, to the end or to one of the keywords.
func (p *sqliteParser) walk(stops ...string) {
	for !p.done() {
		if w := p.word(p.i); w != "" && slices.Contains(stops, w) && p.punct(p.i-1) != '.' {
			return
		}
		next := p.skip(p.i)
		if c := p.punct(p.i); c == ')' || c == '(' && p.punct(next-1) != ')' {
			p.reject()
		}
		p.i = next
	}
}

// target reads the table that is written to, and its alias.
func (p *sqliteParser) target(e *Effect) {
	e.Table = p.name()
	if p.accept("AS") {
		e.Alias = p.identifier()
	}
	if p.accept("INDEXED", "BY") {
		p.identifier()
	} else {
		p.accept("NOT", "INDEXED")
	}
}

func (p *sqliteParser) orConflict() string {
	if !p.accept("OR") {
		return ""
	}
	w := p.acceptAny("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE")
	if w == "" {
		p.reject()
	}
	return w
}

func (p *sqliteParser) insert() {
	e := Effect{Kind: Insert}
	or := ""
	if p.acceptAny("INSERT", "REPLACE") == "REPLACE" {
		or = "REPLACE"
	} else {
		or = p.orConflict()
	}
	if or == "REPLACE" {
		e.Kind = Replace
	} else if or != "" {
		e.Detail = "OR " + or
	}
	p.expect("INTO")
	p.target(&e)
	if p.punct(p.i) == '(' {
		e.Columns = p.columnList()
	}
	if !p.accept("DEFAULT", "VALUES") {
		if w := p.word(p.i); w != "SELECT" && w != "VALUES" && w != "WITH" {
			p.reject()
		}
		from := p.i
		p.sourceRows()
		p.fill(&e, from, p.i)
	}
	for p.accept("ON", "CONFLICT") {
		p.upsert(&e)
	}
	p.returning()
	f := p.facts(0, p.i)
	e.Unordered = f.unordered
	p.addWithCalls(e, f)
}

// sourceRows walks to the upsert or RETURNING clause, if any. `ON` of a join is no upsert.
func (p *sqliteParser) sourceRows() {
	for {
		p.walk("ON", "RETURNING")
		if p.done() || p.word(p.i) == "RETURNING" || p.word(p.i+1) == "CONFLICT" && (p.word(p.i+2) == "DO" || p.punct(p.i+2) == '(') {
			return
		}
		p.i++
	}
}

// fill tells what the query of an INSERT reads, value by value.
func (p *sqliteParser) fill(e *Effect, from, to int) {
	if p.word(from) == "VALUES" {
		return
	}
	for i := from; i < to-1; i++ {
		if w := p.word(i); w != "FROM" && w != "JOIN" && p.punct(i) != ',' {
			continue
		}
		if name := p.columnAt(i + 1); name != "" && p.punct(i+2) == '.' {
			e.Sources = append(e.Sources, Name{Schema: name, Name: unquoteToken(&p.source, i+3)})
		} else if name != "" {
			e.Sources = append(e.Sources, Name{Name: name})
		}
	}
	if p.word(from) != "SELECT" {
		return
	}
	i := from + 1
	if w := p.word(i); w == "DISTINCT" || w == "ALL" {
		i++
	}
	fills, start := []Fill{}, i
	item := func(end int) bool {
		if p.punct(end-1) == '*' {
			return false
		}
		if end-start > 2 && p.word(end-2) == "AS" {
			end -= 2
		}
		f := Fill{}
		if len(fills) < len(e.Columns) {
			f.Column = e.Columns[len(fills)]
		}
		for j := start; j < end; j++ {
			if name := p.columnAt(j); name != "" && p.punct(j+1) != '.' {
				f.Reads = append(f.Reads, name)
			}
		}
		value, behind := start, end
		if p.word(start) == "CAST" && p.punct(start+1) == '(' {
			for value, behind = start+2, start+2; behind < end && p.word(behind) != "AS"; behind++ {
			}
		}
		if behind-value == 1 || behind-value == 3 && p.punct(value+1) == '.' {
			f.Copies = p.columnAt(behind - 1)
		}
		fills = append(fills, f)
		return true
	}
	for listed := false; i < to; i = p.skip(i) {
		switch w := p.word(i); {
		case w == "UNION" || w == "EXCEPT" || w == "INTERSECT":
			return
		case listed:
		case p.punct(i) == ',':
			if !item(i) {
				return
			}
			start = i + 1
		case slices.Contains([]string{"FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "WINDOW", "HAVING"}, w):
			if !item(i) {
				return
			}
			listed, start = true, to
		}
	}
	if start < to && !item(to) {
		return
	}
	e.Fills = fills
}

// upsert reads behind ON CONFLICT.
func (p *sqliteParser) upsert(e *Effect) {
	if p.punct(p.i) == '(' {
		p.bracket()
		if p.accept("WHERE") {
			p.expression("DO")
		}
	}
	p.expect("DO")
	if p.accept("NOTHING") {
		if e.Kind == Insert && e.Detail == "" {
			e.Detail = "ON CONFLICT DO NOTHING"
		}
		return
	}
	p.expect("UPDATE")
	columns := p.assignments("WHERE", "RETURNING", "ON")
	if p.accept("WHERE") {
		e.HasWhere = true
		p.note(p.expression("RETURNING", "ON"))
	}
	if e.Kind == Upsert {
		columns = append(e.Columns, columns...)
	}
	if e.Kind != Replace {
		e.Kind, e.Detail, e.Columns, e.Reads = Upsert, "", unique(columns), p.reads(*e)
	}
}

// note remembers the tokens of an expression that is read.
func (p *sqliteParser) note(from, to int) {
	p.read = append(p.read, [2]int{from, to})
}

// assignments reads SET a = 1, (b, c) = (2, 3).
func (p *sqliteParser) assignments(stops ...string) []string {
	p.expect("SET")
	var out []string
	for {
		if p.punct(p.i) == '(' {
			out = append(out, p.columnList()...)
		} else {
			out = append(out, p.identifier())
		}
		p.expectPunct('=')
		p.note(p.expression(stops...))
		if !p.acceptPunct(',') {
			return out
		}
	}
}

func (p *sqliteParser) update(with string) {
	p.expect("UPDATE")
	e := Effect{Kind: Update, With: with}
	or := p.orConflict()
	if or == "REPLACE" {
		e.Kind = Replace
	} else if or != "" {
		e.Detail = "OR " + or
	}
	p.target(&e)
	e.Columns = p.assignments("FROM", "WHERE", "RETURNING", "ORDER", "LIMIT")
	if p.accept("FROM") {
		at := p.i
		p.walk("WHERE", "RETURNING", "ORDER", "LIMIT")
		e.From = p.span(at, p.i)
		p.note(at, p.i)
	}
	p.whereTail(&e)
}

func (p *sqliteParser) remove(with string) {
	p.expect("DELETE", "FROM")
	e := Effect{Kind: Delete, With: with}
	p.target(&e)
	p.whereTail(&e)
}

// whereTail reads WHERE, RETURNING, ORDER BY and LIMIT, and adds the effect.
func (p *sqliteParser) whereTail(e *Effect) {
	if p.accept("WHERE") {
		a, b := p.expression("RETURNING", "ORDER", "LIMIT")
		e.HasWhere, e.Where = true, p.span(a, b)
		p.note(a, b)
	}
	e.Reads = p.reads(*e)
	f := p.facts(0, p.i)
	p.returning()
	ordered := p.accept("ORDER", "BY")
	if ordered {
		p.walk("LIMIT")
	}
	if p.accept("LIMIT") {
		at := p.i
		p.walk()
		// A limited statement hits other rows than its WHERE alone says.
		e.Unordered = !ordered
		e.Detail = strings.TrimSpace(e.Detail + " LIMIT " + p.span(at, p.i))
		e.Volatile = true
	}
	e.Unordered = e.Unordered || f.unordered
	p.addWithCalls(*e, f)
}

func (p *sqliteParser) returning() {
	if p.accept("RETURNING") {
		if p.done() {
			p.reject()
		}
		p.walk("ORDER", "LIMIT")
	}
}
