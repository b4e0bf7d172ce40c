package effects

func (p *sqliteParser) createIndex(unique bool) {
	e := Effect{Kind: Create, IfExists: p.ifNotExists(), Index: &IndexDef{Unique: unique}}
	e.Object = Object{Kind: "index", Name: p.name()}
	p.expect("ON")
	e.Table = Name{Schema: e.Object.Name.Schema, Name: p.identifier()}
	p.indexedColumns(e.Index)
	if !e.Index.Expressions {
		e.Columns = e.Index.Columns
	}
	if p.accept("WHERE") {
		from, to := p.expression()
		e.Index.Where = p.span(from, to)
	}
	p.add(e)
}

// createTrigger reads the head; the body runs later, if ever.
func (p *sqliteParser) createTrigger(temporary bool) {
	e := Effect{Kind: Create, Temporary: temporary, IfExists: p.ifNotExists()}
	e.Object = Object{Kind: "trigger", Name: p.name()}
	if p.acceptAny("BEFORE", "AFTER") == "" && p.accept("INSTEAD") {
		p.expect("OF")
	}
	if p.acceptAny("DELETE", "INSERT", "UPDATE") == "UPDATE" && p.accept("OF") {
		for {
			p.identifier()
			if !p.acceptPunct(',') {
				break
			}
		}
	}
	p.expect("ON")
	e.Table = p.name()
	p.accept("FOR", "EACH", "ROW")
	if p.accept("WHEN") {
		p.expression("BEGIN")
	}
	p.expect("BEGIN")
	last := len(p.tokens) - 1
	if p.word(last) != "END" || p.punct(last-1) != ';' || last <= p.i {
		p.i = len(p.tokens)
		p.reject()
	}
	p.i = len(p.tokens)
	p.add(e)
}

func (p *sqliteParser) drop() {
	word := p.acceptAny("TABLE", "INDEX", "VIEW", "TRIGGER")
	if word == "" {
		p.reject()
	}
	missing := p.ifExists()
	n := p.name()
	if word == "TABLE" {
		p.add(Effect{Kind: DropTable, Table: n, IfExists: missing, Temporary: isTemporary(n)})
		return
	}
	kinds := map[string]string{"INDEX": "index", "VIEW": "view", "TRIGGER": "trigger"}
	p.add(Effect{Kind: Drop, Object: Object{Kind: kinds[word], Name: n}, IfExists: missing, Temporary: isTemporary(n)})
}

// alterTable reads behind ALTER TABLE.
func (p *sqliteParser) alterTable() {
	table := p.name()
	from := p.i
	e := Effect{Table: table}
	switch p.acceptAny("RENAME", "ADD", "DROP", "ALTER") {
	case "RENAME":
		if p.accept("TO") {
			e.Kind, e.NewName = RenameTable, Name{Schema: table.Schema, Name: p.identifier()}
			break
		}
		p.accept("COLUMN")
		e.Kind, e.Columns = RenameColumn, []string{p.identifier()}
		p.expect("TO")
		e.NewName = Name{Name: p.identifier()}
	case "ADD":
		if w := p.word(p.i); w == "CONSTRAINT" || w == "CHECK" {
			con := p.tableConstraint()
			e.Kind, e.Constraint, e.Object = AddConstraint, &con, Object{Kind: "constraint", Name: Name{Name: con.Name}}
			break
		}
		p.accept("COLUMN")
		col, spans := p.column()
		p.spans = spans
		e.Kind, e.Columns, e.Column = AddColumn, []string{col.Name}, &col
		e.Detail = firstWords(p.span(from, p.i))
		p.addWithCalls(e, p.facts(p.typed, p.i))
		return
	case "DROP":
		if p.accept("CONSTRAINT") {
			e.Kind, e.Object = DropConstraint, Object{Kind: "constraint", Name: Name{Name: p.identifier()}}
			break
		}
		p.accept("COLUMN")
		e.Kind, e.Columns = DropColumn, []string{p.identifier()}
	case "ALTER":
		p.accept("COLUMN")
		e.Columns = []string{p.identifier()}
		switch {
		case p.accept("SET", "NOT", "NULL"):
			p.conflict()
			e.Kind = SetNotNull
		case p.accept("DROP", "NOT", "NULL"):
			e.Kind = DropNotNull
		default:
			p.reject()
		}
	default:
		p.reject()
	}
	e.Detail = firstWords(p.span(from, p.i))
	p.add(e)
}
