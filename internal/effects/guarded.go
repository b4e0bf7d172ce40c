package effects

import (
	"slices"
	"strings"
)

// Guarded reads a DO block of PostgreSQL that does nothing but make or drop objects, as migrations do that may run where those are there already:
//
//	BEGIN CREATE TYPE t …; EXCEPTION WHEN duplicate_object THEN NULL; END
//	BEGIN IF NOT EXISTS (SELECT … 't' …) THEN CREATE TYPE t …; END IF; END
//
// The statements come back as if they said IF NOT EXISTS, or IF EXISTS. It is false for a block in which there is anything else: its effects stay
// Opaque in any case, this is for who follows definitions.
func Guarded(sql string) ([]Statement, bool) {
	tokens := lex(Postgres, sql, false)
	body := slices.IndexFunc(tokens, func(t token) bool { return t.kind == tokenString })
	if len(tokens) < 2 || body < 0 || !strings.EqualFold(sql[tokens[0].start:tokens[0].end], "do") {
		return nil, false
	}
	code := unquote(sql[tokens[body].start:tokens[body].end])
	b := &block{code: code, tokens: lex(Postgres, code, false)}
	if !b.block("") || b.at < len(b.tokens) && !b.semicolon() || b.at < len(b.tokens) || len(b.out) == 0 {
		return nil, false
	}
	return b.out, true
}

// block reads the body of a DO block from one token to the next.
type block struct {
	code   string
	tokens []token
	at     int
	out    []Statement
}

func (b *block) text(i int) string {
	if i >= len(b.tokens) {
		return ""
	}
	return b.code[b.tokens[i].start:b.tokens[i].end]
}

func (b *block) word(w string) bool {
	if strings.EqualFold(b.text(b.at), w) && b.tokens[b.at].kind == tokenWord {
		b.at++
		return true
	}
	return false
}

func (b *block) semicolon() bool {
	if b.text(b.at) == ";" {
		b.at++
		return true
	}
	return false
}

// block reads BEGIN … [EXCEPTION …] END; what it makes is made where it is missing when the exception says so.
func (b *block) block(guard string) bool {
	from := len(b.out)
	if !b.word("begin") || !b.statements(guard) {
		return false
	}
	if b.word("exception") && !b.exception(from) {
		return false
	}
	return b.word("end")
}

func (b *block) statements(guard string) bool {
	for b.at < len(b.tokens) {
		switch strings.ToLower(b.text(b.at)) {
		case "exception", "end":
			return true
		case "begin":
			if !b.block(guard) || !b.semicolon() {
				return false
			}
		case "if":
			if b.at++; !b.missing() {
				return false
			}
		case "null", "raise":
			if !b.nothing() {
				return false
			}
		case "create", "alter", "drop":
			if !b.statement(guard) {
				return false
			}
		default:
			return false
		}
	}
	return false
}

// missing reads NOT EXISTS (…) THEN … END IF; of statements whose objects the question names.
func (b *block) missing() bool {
	from := b.at
	if !b.word("not") || !b.word("exists") || b.text(b.at) != "(" {
		return false
	}
	for b.at < len(b.tokens) && !strings.EqualFold(b.text(b.at), "then") {
		if b.text(b.at) == ";" || strings.EqualFold(b.text(b.at), "or") {
			return false
		}
		b.at++
	}
	question := ""
	for _, t := range b.tokens[from:b.at] {
		if t.kind == tokenString {
			question += "\x00" + strings.ToLower(unquote(b.code[t.start:t.end])) + "\x00"
		}
	}
	return b.word("then") && b.statements(question) && b.word("end") && b.word("if") && b.semicolon()
}

// nothing reads NULL and RAISE NOTICE.
func (b *block) nothing() bool {
	if !b.word("null") && (!b.word("raise") || !slices.Contains([]string{"notice", "info", "debug", "log", "warning"}, strings.ToLower(b.text(b.at)))) {
		return false
	}
	for b.at < len(b.tokens) && b.text(b.at) != ";" {
		b.at++
	}
	return b.semicolon()
}

// statement reads one of SQL. guard holds the names that were asked for, "" when nothing was.
func (b *block) statement(guard string) bool {
	from := b.at
	for b.at < len(b.tokens) && b.text(b.at) != ";" {
		b.at++
	}
	if b.at == len(b.tokens) {
		return false
	}
	list, err := Parse(Postgres, b.code[b.tokens[from].start:b.tokens[b.at-1].end])
	if err != nil || len(list) != 1 || !b.semicolon() {
		return false
	}
	for i := range list[0].Effects {
		e := &list[0].Effects[i]
		if !remakes(e) {
			return false
		}
		if guard != "" {
			if !slices.ContainsFunc([]string{e.Object.Name.Name, e.Table.Name, strings.Join(e.Columns, ""), constraintName(e)}, func(n string) bool {
				return n != "" && strings.Contains(guard, "\x00"+strings.ToLower(n)+"\x00")
			}) {
				return false
			}
			e.IfExists = true
		}
	}
	b.out = append(b.out, list[0])
	return true
}

func constraintName(e *Effect) string {
	if e.Constraint == nil {
		return ""
	}
	return e.Constraint.Name
}

// remakes are the effects that are followed.
func remakes(e *Effect) bool {
	switch e.Kind {
	case CreateTable:
		return e.Define != nil
	case AddColumn, AddConstraint, DropConstraint, DropColumn, DropTable:
		return !e.Cascade
	case Create, Drop:
		return !e.Cascade && slices.Contains([]string{"type", "domain", "sequence", "index", "trigger", "schema", "extension"}, e.Object.Kind)
	}
	return false
}

// exception reads WHEN duplicate_object [OR …] THEN NULL; of what was made since from, or undefined_object of what was dropped.
func (b *block) exception(from int) bool {
	for b.word("when") {
		for {
			condition := strings.ToLower(b.text(b.at))
			made, gone := strings.HasPrefix(condition, "duplicate_"), strings.HasPrefix(condition, "undefined_")
			if b.at++; !made && !gone {
				return false
			}
			for i := range b.out[from:] {
				for j := range b.out[from+i].Effects {
					e := &b.out[from+i].Effects[j]
					drops := e.Kind == Drop || e.Kind == DropTable || e.Kind == DropColumn || e.Kind == DropConstraint
					e.IfExists = e.IfExists || drops == gone
				}
			}
			if !b.word("or") {
				break
			}
		}
		if !b.word("then") {
			return false
		}
		for strings.EqualFold(b.text(b.at), "null") || strings.EqualFold(b.text(b.at), "raise") {
			if !b.nothing() {
				return false
			}
		}
	}
	return true
}
