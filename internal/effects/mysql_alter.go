package effects

import (
	"slices"
	"strings"
)

func (p *mysqlParser) alter() {
	ignore := p.word(p.i) == "IGNORE" || p.word(p.i+1) == "IGNORE"
	p.prefix()
	if p.accept("TABLE") {
		exists := p.accept("IF", "EXISTS")
		table := p.name()
		p.wait()
		if ignore {
			p.add(Effect{Kind: Delete, Table: table, Volatile: true, Unordered: true, Detail: "ALTER IGNORE TABLE drops rows that a new key does not allow"})
		}
		p.alterTable(table, exists)
		return
	}
	kind := p.kindOrInstance()
	e := Effect{Kind: Alter, IfExists: p.accept("IF", "EXISTS"), Detail: firstWords(p.src)}
	switch kind {
	case "instance", "spatial reference system":
		e.Object = Object{Kind: kind}
	case "role":
		e.Object, e.Detail = Object{Kind: kind, Name: p.account()}, "ALTER USER"
		if p.find(p.i, len(p.tokens), "IDENTIFIED") >= 0 {
			e.Detail = "PASSWORD"
		}
	case "database":
		if w := p.word(p.i); p.isIdentifier() && w != "CHARACTER" && w != "CHARSET" && w != "COLLATE" && w != "ENCRYPTION" && w != "READ" && w != "COMMENT" {
			e.Object.Name = p.name()
		}
		e.Object.Kind = kind
	case "server":
		e.Object, e.Detail = Object{Kind: kind, Name: p.account()}, "ALTER SERVER"
	default:
		e.Object = Object{Kind: kind, Name: p.name()}
	}
	if p.accept("RENAME", "TO") && kind == "event" {
		e.Kind, e.NewName = Rename, p.name()
	}
	p.rest()
	p.add(e)
}

func (p *mysqlParser) kindOrInstance() string {
	if p.accept("INSTANCE") {
		return "instance"
	}
	return p.kind()
}

// alterTable reads the actions, one effect each.
func (p *mysqlParser) alterTable(table Name, exists bool) {
	if p.done() { // nothing to do is allowed
		p.add(Effect{Kind: AlterTable, Table: table})
		return
	}
	first := len(p.effects)
	defer func() { p.effects = append(p.effects[:first:first], inTurn(p.effects[first:])...) }()
	for {
		from, before := p.i, len(p.effects)
		p.alterAction(table)
		for i := before; i < len(p.effects); i++ {
			e := &p.effects[i]
			e.IfExists, e.IfTable = e.IfExists || exists, exists
			if e.Detail == "" {
				e.Detail = firstWords(p.span(from, p.i))
			}
		}
		if !p.acceptPunct(',') {
			break
		}
	}
	// PARTITION BY … stands behind the other actions without a comma.
	if p.word(p.i) == "PARTITION" || p.accept("REMOVE", "PARTITIONING") {
		p.rest()
		p.add(Effect{Kind: AlterTable, Table: table, Detail: "PARTITION BY"})
	}
}

// inTurn puts the effects of one ALTER TABLE into the order in which they can be read one after the other: all name the table, and
// the columns that are there, as they were called before; what is added comes to the names that renaming has made free.
func inTurn(es []Effect) []Effect {
	if !slices.ContainsFunc(es, func(e Effect) bool { return e.Kind == RenameColumn || e.Kind == RenameTable }) {
		return es
	}
	rank := func(e Effect) int {
		switch e.Kind {
		case RenameColumn:
			return 1
		case AddColumn, AddConstraint, Create:
			return 2
		case RenameTable:
			return 3
		}
		return 0
	}
	slices.SortStableFunc(es, func(a, b Effect) int { return rank(a) - rank(b) })
	from := slices.IndexFunc(es, func(e Effect) bool { return e.Kind == RenameColumn })
	if from < 0 {
		return es
	}
	to := from
	for to < len(es) && es[to].Kind == RenameColumn {
		to++
	}
	// A name has to be free before a column gets it: of columns that change names one gets another in between.
	left, renames := slices.Clone(es[from:to]), []Effect(nil)
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(e Effect) bool {
			return !slices.ContainsFunc(left, func(o Effect) bool {
				return strings.EqualFold(o.Columns[0], e.NewName.Name) && !strings.EqualFold(o.Columns[0], e.Columns[0])
			})
		})
		if i >= 0 {
			renames = append(renames, left[i])
			left = slices.Delete(left, i, i+1)
			continue
		}
		between := left[0]
		between.NewName.Name = "dbrollback_swapped"
		renames = append(renames, between)
		left[0].Columns = []string{between.NewName.Name}
	}
	return slices.Concat(es[:from], renames, es[to:])
}

func (p *mysqlParser) alterAction(table Name) {
	e := Effect{Table: table}
	switch w := p.word(p.i); w {
	case "ADD":
		p.i++
		p.addAction(e)
		return
	case "DROP":
		p.i++
		p.dropAction(e)
		return
	case "MODIFY", "CHANGE":
		p.i++
		p.changeAction(e, w == "CHANGE")
		return
	case "ALTER":
		p.i++
		p.alterColumn(&e)
	case "RENAME":
		p.i++
		p.renameAction(&e)
	case "CONVERT":
		p.i++
		p.convertAction(&e)
	case "TRUNCATE", "EXCHANGE", "DISCARD", "IMPORT":
		p.partitionAction(e, w)
		return
	case "ORDER": // ORDER BY a, b is the last
		p.rest()
		e.Kind = AlterTable
	case "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR", "COALESCE", "REORGANIZE":
		p.rest()
		e.Kind = AlterTable
		if w != "COALESCE" && w != "REORGANIZE" {
			e.Kind = Maintenance
		}
	case "LOCK", "ALGORITHM", "FORCE", "WITH", "WITHOUT", "NOWAIT", "WAIT":
		p.walk()
		e.Kind = Session
		if w == "FORCE" {
			e.Kind = Maintenance
		}
	case "PARTITION", "REMOVE":
		p.rest()
		e.Kind = AlterTable
	default: // options of the table
		if !p.tableOption() {
			p.reject()
		}
		e.Kind = AlterTable
		if at := p.find(p.i, len(p.tokens), "PARTITION"); at > 0 && p.word(at+1) == "BY" {
			p.rest()
		} else {
			p.walk()
		}
	}
	p.add(e)
}

// mysqlOptions begin an option of a table.
var mysqlOptions = wordSet(`AUTO_INCREMENT AUTOEXTEND_SIZE AVG_ROW_LENGTH CHARACTER CHARSET CHECKSUM COLLATE COMMENT COMPRESSION CONNECTION DATA DEFAULT
	DELAY_KEY_WRITE DISABLE ENABLE ENCRYPTED ENCRYPTION ENCRYPTION_KEY_ID ENGINE ENGINE_ATTRIBUTE IETF_QUOTES INDEX INSERT_METHOD ITEF_QUOTES
	KEY_BLOCK_SIZE MAX_ROWS MIN_ROWS PACK_KEYS PAGE_CHECKSUM PAGE_COMPRESSED PAGE_COMPRESSION_LEVEL PASSWORD ROW_FORMAT SECONDARY_ENGINE
	SECONDARY_ENGINE_ATTRIBUTE SECONDARY_LOAD SECONDARY_UNLOAD SEQUENCE START STATS_AUTO_RECALC STATS_PERSISTENT STATS_SAMPLE_PAGES STORAGE
	TABLESPACE TRANSACTIONAL TYPE UNION`)

func (p *mysqlParser) tableOption() bool { return mysqlOptions[p.word(p.i)] }

func (p *mysqlParser) addAction(e Effect) {
	if p.word(p.i) == "PARTITION" || p.word(p.i) == "SYSTEM" || p.word(p.i) == "PERIOD" {
		p.walk()
		e.Kind = AlterTable
		p.add(e)
		return
	}
	if !p.constraintNext() {
		p.accept("COLUMN")
		e.IfExists = p.accept("IF", "NOT", "EXISTS")
		if p.acceptPunct('(') {
			for {
				p.addedElement(e)
				if !p.acceptPunct(',') {
					break
				}
			}
			p.expectPunct(')')
			return
		}
		p.addedColumn(e)
		return
	}
	p.addedConstraint(e)
}

func (p *mysqlParser) addedElement(e Effect) {
	if p.constraintNext() {
		p.addedConstraint(e)
		return
	}
	p.addedColumn(e)
}

func (p *mysqlParser) addedColumn(e Effect) {
	from := p.i
	col, spans := p.column(p.identifier())
	p.position()
	p.spans = append(p.spans, spans...)
	e.Kind, e.Columns, e.Column = AddColumn, []string{col.Name}, &col
	p.addWithCalls(e, p.defaultFacts(from, p.i))
}

// position: FIRST, AFTER c.
func (p *mysqlParser) position() {
	if !p.accept("FIRST") && p.accept("AFTER") {
		p.identifier()
	}
}

func (p *mysqlParser) addedConstraint(e Effect) {
	con, index, maybe := p.tableConstraint()
	e.Columns, e.IfExists = con.Columns, maybe
	switch con.Kind {
	case "index":
		e.Kind, e.Index, e.Object = Create, index, Object{Kind: "index", Name: Name{Name: con.Name}}
		if index.Expressions {
			e.Columns = nil
		}
	case "":
		e.Kind = AlterTable
	default:
		e.Kind, e.Constraint, e.Index, e.Object = AddConstraint, &con, index, Object{Kind: "constraint", Name: Name{Name: con.Name}}
	}
	p.add(e)
}

func (p *mysqlParser) dropAction(e Effect) {
	named := func(kind Kind, object string) {
		e.IfExists = p.accept("IF", "EXISTS")
		e.Kind, e.Object = kind, Object{Kind: object, Name: Name{Name: p.identifier()}}
	}
	switch {
	case p.accept("PRIMARY", "KEY"):
		e.Kind, e.Object = DropConstraint, Object{Kind: "constraint", Name: Name{Name: "PRIMARY"}}
	case p.accept("FOREIGN", "KEY"), p.accept("CHECK"), p.accept("CONSTRAINT"):
		named(DropConstraint, "constraint")
	case p.acceptAny("INDEX", "KEY") != "":
		named(Drop, "index")
	case p.accept("PARTITION"):
		e.IfExists = p.accept("IF", "EXISTS")
		for {
			e.Kind, e.Object = DropPartition, Object{Kind: "partition", Name: Name{Name: p.identifier()}}
			p.add(e)
			// The comma before another action looks the same; an action begins with a keyword and goes on.
			if p.punct(p.i) != ',' || p.i+2 < len(p.tokens) && p.punct(p.i+2) != ',' {
				return
			}
			p.i++
		}
	case p.accept("SYSTEM", "VERSIONING"):
		// The rows of history go.
		e.Kind, e.Volatile = Delete, true
	case p.accept("PERIOD", "FOR"):
		p.walk()
		e.Kind = AlterTable
	default:
		p.accept("COLUMN")
		e.IfExists = p.accept("IF", "EXISTS")
		e.Kind, e.Columns = DropColumn, []string{p.identifier()}
		e.Cascade = p.acceptAny("RESTRICT", "CASCADE") == "CASCADE"
	}
	p.add(e)
}

func (p *mysqlParser) changeAction(e Effect, change bool) {
	p.accept("COLUMN")
	e.IfExists = p.accept("IF", "EXISTS")
	old := p.identifier()
	name := old
	if change {
		name = p.identifier()
	}
	from := p.i
	col, _ := p.column(name)
	p.position()
	e.Kind, e.Columns, e.Column = AlterColumnType, []string{old}, &col
	p.addWithCalls(e, p.defaultFacts(from, p.i))
	if name != old {
		p.add(Effect{Kind: RenameColumn, Table: e.Table, Columns: []string{old}, NewName: Name{Name: name}, IfExists: e.IfExists})
	}
}

func (p *mysqlParser) alterColumn(e *Effect) {
	switch {
	case p.acceptAny("INDEX", "KEY") != "":
		p.accept("IF", "EXISTS")
		e.Kind, e.Object = Alter, Object{Kind: "index", Name: Name{Name: p.identifier()}}
		p.walk()
	case p.acceptAny("CHECK", "CONSTRAINT") != "":
		e.Kind, e.Object = AlterTable, Object{Kind: "constraint", Name: Name{Name: p.identifier()}}
		p.walk()
	default:
		p.accept("COLUMN")
		e.IfExists = p.accept("IF", "EXISTS")
		e.Columns = []string{p.identifier()}
		switch {
		case p.accept("SET", "DEFAULT"):
			col := ColumnDef{Name: e.Columns[0]}
			p.defaultValue(&col)
			e.Kind, e.Column = SetDefault, &col
		case p.accept("DROP", "DEFAULT"):
			e.Kind = DropDefault
		case p.accept("SET", "VISIBLE"), p.accept("SET", "INVISIBLE"):
			e.Kind = AlterColumn
		default:
			p.reject()
		}
	}
}

func (p *mysqlParser) renameAction(e *Effect) {
	switch {
	case p.accept("COLUMN"):
		e.IfExists = p.accept("IF", "EXISTS")
		e.Kind, e.Columns = RenameColumn, []string{p.identifier()}
		p.expect("TO")
		e.NewName = Name{Name: p.identifier()}
	case p.acceptAny("INDEX", "KEY") != "":
		e.IfExists = p.accept("IF", "EXISTS")
		e.Kind, e.Object = Rename, Object{Kind: "index", Name: Name{Name: p.identifier()}}
		p.expect("TO")
		e.NewName = Name{Name: p.identifier()}
	default:
		if p.acceptAny("TO", "AS") == "" {
			p.acceptPunct('=')
		}
		e.Kind, e.NewName = RenameTable, p.name()
	}
}

func (p *mysqlParser) convertAction(e *Effect) {
	switch {
	case p.accept("TO"):
		e.Kind = AlterColumnType // of every column with text; which they are, the text does not say
		p.walk()
	case p.accept("PARTITION"):
		e.Kind, e.Object = DetachPartition, Object{Kind: "partition", Name: Name{Name: p.identifier()}}
		p.expect("TO", "TABLE")
		e.NewName = p.name()
		p.walk()
	case p.accept("TABLE"):
		e.Kind, e.Object = AttachPartition, Object{Kind: "partition", Name: p.name()}
		p.walk()
	default:
		p.reject()
	}
}

// mysqlFiles is why a statement about the files of a table cannot run.
const mysqlFiles = "it takes the file of a table away or puts another in its place, which nothing in the database can undo, and between the two the table cannot be read"

// partitionAction: what takes the rows of partitions, or brings others.
func (p *mysqlParser) partitionAction(e Effect, w string) {
	p.i++
	e.Detail = firstWords(p.span(p.i-1, len(p.tokens)))
	if p.accept("TABLESPACE") {
		e.Kind, e.Refused = Truncate, mysqlFiles
		if w == "IMPORT" {
			p.add(Effect{Kind: External, Table: e.Table, Detail: "IMPORT TABLESPACE reads a file"})
		}
		p.add(e)
		return
	}
	p.expect("PARTITION")
	var names []string
	for {
		names = append(names, p.partitionName())
		if !p.acceptPunct(',') {
			break
		}
	}
	for _, name := range names {
		e.Kind, e.Object = Truncate, Object{Kind: "partition", Name: Name{Name: name}}
		switch w {
		case "EXCHANGE":
			e.Kind = DetachPartition
			if at := p.find(p.i, len(p.tokens), "WITHOUT"); at > 0 && p.word(at+1) == "VALIDATION" {
				e.Refused = "EXCHANGE PARTITION … WITHOUT VALIDATION may put rows into a partition that is not theirs, where no statement finds them again"
			}
		case "DISCARD", "IMPORT":
			e.Refused = mysqlFiles
		}
		p.add(e)
	}
	if w == "EXCHANGE" {
		p.expect("WITH", "TABLE")
		p.add(Effect{Kind: Truncate, Table: p.name(), Detail: e.Detail})
	}
	if w == "IMPORT" {
		p.add(Effect{Kind: External, Table: e.Table, Detail: "IMPORT TABLESPACE reads a file"})
	}
	p.rest()
}

// partitionName reads a name, or ALL.
func (p *mysqlParser) partitionName() string {
	if p.accept("ALL") {
		return "ALL"
	}
	return p.identifier()
}

// defaultFacts are the calls of a column's default and generated value among the tokens [from, to).
func (p *mysqlParser) defaultFacts(from, to int) mysqlFacts {
	f := p.tokenFacts(from, to)
	// The type's own brackets are no calls.
	f.calls = slices.DeleteFunc(f.calls, func(name string) bool { return mysqlTypeNames[strings.ToUpper(name)] })
	return f
}
