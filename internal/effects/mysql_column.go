package effects

import (
	"slices"
	"strings"
)

// mysqlTypeWords may follow the first word of a type.
var mysqlTypeWords = map[string][]string{
	"DOUBLE": {"PRECISION"}, "CHARACTER": {"VARYING"}, "CHAR": {"VARYING", "BYTE"}, "LONG": {"VARCHAR", "VARBINARY", "CHAR", "CHARACTER"},
	"NATIONAL": {"CHAR", "CHARACTER", "VARCHAR"}, "NCHAR": {"VARCHAR", "VARYING"},
}

// mysqlTypes are other spellings of a type.
var mysqlTypes = map[string]string{
	"integer": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint", "middleint": "mediumint",
	"dec": "decimal", "numeric": "decimal", "fixed": "decimal", "bool": "tinyint(1)", "boolean": "tinyint(1)", "real": "double",
	"double precision": "double", "float4": "float", "float8": "double", "character": "char", "character varying": "varchar",
	"char varying": "varchar", "long": "mediumtext", "long varchar": "mediumtext", "long varbinary": "mediumblob", "national char": "char",
	"national character": "char", "national varchar": "varchar", "nchar": "char", "nvarchar": "varchar", "char byte": "binary",
}

// typeName reads a type with its attributes and prints it as information_schema does: without the
// display width of integers, which newer servers have dropped.
func (p *mysqlParser) typeName(col *ColumnDef) {
	if p.done() || p.tokens[p.i].kind != tokenWord {
		p.reject()
	}
	first := p.word(p.i)
	p.i++
	name := strings.ToLower(first)
	for slices.Contains(mysqlTypeWords[first], p.word(p.i)) {
		name += " " + strings.ToLower(p.word(p.i))
		p.i++
	}
	args := ""
	if p.punct(p.i) == '(' {
		a, b := p.bracket()
		args = "(" + strings.ReplaceAll(p.span(a, b), " ", "") + ")"
		if name == "enum" || name == "set" {
			args = "(" + p.span(a, b) + ")"
		}
	}
	if name == "serial" {
		name, col.Serial, col.NotNull, col.Unique, args = "bigint unsigned", true, true, true, ""
	}
	if other := mysqlTypes[name]; other != "" {
		name = other
	}
	switch name {
	case "tinyint":
		if args != "(1)" {
			args = ""
		}
	case "smallint", "mediumint", "int", "bigint", "year":
		args = ""
	case "decimal":
		if args == "" {
			args = "(10,0)"
		} else if !strings.Contains(args, ",") {
			args = strings.TrimSuffix(args, ")") + ",0)"
		}
	case "char", "binary", "bit":
		if args == "" {
			args = "(1)"
		}
	}
	col.Type = name + args
	p.typeAttributes(col)
}

func (p *mysqlParser) typeAttributes(col *ColumnDef) {
	for {
		switch {
		case p.accept("UNSIGNED"):
			col.Type += " unsigned"
		case p.accept("ZEROFILL"):
			if !strings.Contains(col.Type, "unsigned") {
				col.Type += " unsigned"
			}
			col.Type += " zerofill"
		case p.accept("SIGNED"), p.accept("ASCII"), p.accept("UNICODE"), p.accept("COMPRESSED"):
		case p.accept("BINARY"): // the collation of the character set that compares bytes
			col.Type += " binary"
		case p.accept("CHARACTER", "SET"), p.accept("CHARSET"), p.accept("CHAR", "SET"):
			p.acceptPunct('=')
			if p.done() {
				p.reject()
			}
			col.Type += " character set " + strings.ToLower(unquoteToken(&p.source, p.i))
			p.i++
		case p.accept("COLLATE"):
			if p.done() {
				p.reject()
			}
			col.Collation = unquoteToken(&p.source, p.i)
			p.i++
		default:
			return
		}
	}
}

// column reads a column definition behind its name. The spans are those of its constraints that
// cannot hold before the column has its data: the server fills in zero values by itself, which dates
// and keys do not allow.
func (p *mysqlParser) column(name string) (ColumnDef, []Span) {
	col := ColumnDef{Name: name}
	p.typeName(&col)
	var spans []Span
	for !p.done() {
		from := p.i
		constraint := ""
		if p.accept("CONSTRAINT") && p.word(p.i) != "CHECK" {
			constraint = p.identifier()
		}
		text, ok := p.columnOption(&col, constraint)
		if !ok && from == p.i {
			break
		}
		if !ok || from == p.i { // CHARACTER, and no SET: it would be read for ever
			p.reject()
		}
		if text != "" {
			spans = append(spans, Span{Start: p.tokens[from].start - p.base, End: p.tokens[p.i-1].end - p.base, Column: name, Text: text})
		}
	}
	if col.Serial || col.Generated {
		return col, nil
	}
	return col, slices.DeleteFunc(spans, func(s Span) bool {
		switch s.Text {
		case "NOT NULL":
			return col.HasDefault || !needsValue(col.Type)
		case "UNIQUE":
			return !col.HasDefault && !col.NotNull
		}
		return false
	})
}

// needsValue: the types whose zero value strict mode refuses, or that have none.
func needsValue(typ string) bool {
	word, _, _ := strings.Cut(typ, "(")
	switch word {
	case "date", "datetime", "timestamp", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "json", "uuid", "inet4", "inet6":
		return true
	}
	return false
}

// columnOption reads one option; text names it when it is a constraint that wants a value.
func (p *mysqlParser) columnOption(col *ColumnDef, constraint string) (text string, ok bool) {
	con := ConstraintDef{Name: constraint, Columns: []string{col.Name}}
	w := p.word(p.i)
	p.i++
	switch w {
	case "NOT":
		if p.accept("NULL") {
			col.NotNull = true
			return "NOT NULL", true
		}
		p.reject()
	case "NULL", "VISIBLE", "INVISIBLE", "VIRTUAL":
	case "STORED", "PERSISTENT":
		col.Stored = true
	case "DEFAULT":
		p.defaultValue(col)
	case "ON":
		p.expect("UPDATE")
		from := p.i
		p.i++
		if p.punct(p.i) == '(' {
			p.bracket()
		}
		col.OnUpdate = p.span(from, p.i)
	case "AUTO_INCREMENT":
		col.Serial = true
	case "PRIMARY", "KEY":
		if w == "PRIMARY" {
			p.expect("KEY")
		}
		col.PrimaryKey, col.NotNull, con.Kind = true, true, "primary key"
		col.Constraints = append(col.Constraints, con)
		return "PRIMARY KEY", true
	case "UNIQUE":
		p.acceptAny("KEY", "INDEX")
		col.Unique, con.Kind = true, "unique"
		col.Constraints = append(col.Constraints, con)
		return "UNIQUE", true
	case "COMMENT":
		col.Comment = unquoteToken(&p.source, min(p.i, len(p.tokens)-1))
		p.i++
	case "CHARACTER", "CHARSET", "COLLATE", "UNSIGNED", "ZEROFILL":
		p.i--
		p.typeAttributes(col)
	case "GENERATED", "AS":
		if w == "GENERATED" {
			p.expect("ALWAYS", "AS")
		}
		if p.accept("ROW") { // a column of a system-versioned table
			p.i++
			col.Generated = true
			break
		}
		a, b := p.bracket()
		col.Generated, col.Expression = true, p.span(a, b)
	case "CHECK":
		a, b := p.bracket()
		con.Kind, con.Expression = "check", p.span(a, b)
		con.NotEnforced = p.accept("NOT", "ENFORCED")
		p.accept("ENFORCED")
		col.Constraints = append(col.Constraints, con)
	case "REFERENCES":
		con.Kind, con.Inline = "foreign key", true
		p.references(&con)
		col.Constraints = append(col.Constraints, con)
	case "COLUMN_FORMAT", "STORAGE", "SRID", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE", "REF_SYSTEM_ID", "COMPRESSED", "ENCRYPTED":
		p.acceptPunct('=')
		p.i++
	case "WITH", "WITHOUT":
		p.expect("SYSTEM", "VERSIONING")
	case "SERIAL":
		p.expect("DEFAULT", "VALUE")
		col.Serial, col.NotNull, col.Unique = true, true, true
	default:
		p.i--
		return "", false
	}
	return "", true
}

func (p *mysqlParser) defaultValue(col *ColumnDef) {
	from := p.i
	switch {
	case p.punct(p.i) == '(':
		p.bracket()
	case p.accept("NEXT", "VALUE", "FOR"):
		p.name()
	default:
		if c := p.punct(p.i); c == '-' || c == '+' {
			p.i++
		}
		if p.done() || p.tokens[p.i].kind == tokenPunct {
			p.reject()
		}
		introducer := strings.HasPrefix(p.word(p.i), "_") || slices.Contains([]string{"DATE", "TIME", "TIMESTAMP"}, p.word(p.i))
		p.i++
		if p.punct(p.i) == '(' {
			p.bracket()
		} else if introducer && !p.done() && p.tokens[p.i].kind == tokenString {
			p.i++
		}
	}
	col.Default = p.span(from, p.i)
	col.HasDefault = !strings.EqualFold(col.Default, "null")
}
