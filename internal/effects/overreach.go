package effects

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Overreach is a table or column which was there before Up, and which Down drops without that anything in Down reads it before: what is there afterwards is empty,
// or something else, or nothing.
type Overreach struct {
	Statement int    // of Down
	Table     string // with the name from when Down begins
	Column    string // the same; "" when the whole table is dropped
	Was       string // what the table, or the column, was called before Up; never ""
	Schema    string // of the table as Down names it; "" when it does not say
	// Again: Down makes one of that name, so that the schema is as it was.
	Again bool
	// Carried: Up has carried it on, and Down writes to what has its old name: it may come back from there.
	Carried bool
	// Missing: Up makes it where it is missing (IF NOT EXISTS); whether it was there, the statements do not say.
	Missing bool
	// Captured: Up writes or changes all that is in it, so that a capture of Up's has it as it was before. Only with the old name.
	Captured bool
}

// Itself tells whether the thing has had its name all along.
func (o Overreach) Itself() bool {
	name := o.Column
	if name == "" {
		name = o.Table
	}
	return strings.EqualFold(o.Was, name)
}

// Overreaches lists what the opposite direction destroys of what was there before a migration. It reads the statements alone: what is made, dropped or renamed by
// what they do not show is not known, and whether a table holds anything neither.
func Overreaches(up, down []Statement) []Overreach {
	before, now := origins{}, origins{}
	for _, st := range up {
		for _, e := range st.Effects {
			before.follow(e)
		}
	}
	var out []Overreach
	for i, st := range down {
		for _, e := range st.Effects {
			switch e.Kind {
			case DropTable:
				l := Overreach{Statement: i, Schema: e.Table.Schema, Table: now.table(e.Table.Name)}
				if l.Table != "" {
					l.Was = before.table(l.Table)
				}
				if l.Was != "" && l.lost(down, RenameTable, l.Table, e.Table.Name) {
					out = append(out, l.judged(up, down, l.Table, e.Table.Name))
				}
			case DropColumn:
				for _, c := range e.Columns {
					l := Overreach{Statement: i, Schema: e.Table.Schema, Table: now.table(e.Table.Name), Column: now.column(e.Table.Name, c)}
					if l.Table != "" && l.Column != "" && before.table(l.Table) != "" {
						l.Was = before.column(l.Table, l.Column)
					}
					if l.Was != "" && l.lost(down, RenameColumn, l.Column, c) {
						out = append(out, l.judged(up, down, l.Column, c))
					}
				}
			}
			now.follow(e)
		}
	}
	return out
}

// lost tells whether nothing before the statement that drops it may read what is in it, and it does not get its old name back.
func (o Overreach) lost(down []Statement, renames Kind, names ...string) bool {
	comesBack := func(e Effect) bool {
		return !o.Itself() && e.Kind == renames && strings.EqualFold(e.NewName.Name, o.Was)
	}
	return !do(down, comesBack) && !slices.ContainsFunc(down[:o.Statement], func(st Statement) bool { return st.mayCarry(names) })
}

func do(list []Statement, what func(Effect) bool) bool {
	return slices.ContainsFunc(list, func(st Statement) bool { return slices.ContainsFunc(st.Effects, what) })
}

// judged finds out what Up has done about it; names are those that it has in Down.
func (o Overreach) judged(up, down []Statement, names ...string) Overreach {
	is := func(n string) bool { return strings.EqualFold(n, o.Table) }
	called := func(e Effect, column string) bool {
		return slices.ContainsFunc(e.Columns, func(c string) bool { return strings.EqualFold(c, column) })
	}
	named := func(e Effect) bool { return is(e.Table.Name) && called(e, o.Column) }
	o.Captured = o.Itself() && do(up, func(e Effect) bool {
		switch e.Kind {
		case Opaque, DropSchema, SetSchema:
			return true
		case DropTable, Truncate:
			return is(e.Table.Name)
		case RenameTable:
			return is(e.Table.Name) || is(e.NewName.Name)
		case Delete:
			return is(e.Table.Name) && !e.HasWhere
		case DropColumn, AlterColumnType:
			return named(e)
		case RenameColumn:
			return named(e) || is(e.Table.Name) && strings.EqualFold(e.NewName.Name, o.Column)
		case Update:
			return !e.HasWhere && named(e)
		}
		return false
	})
	o.Missing = do(up, func(e Effect) bool {
		return e.IfExists && (e.Kind == CreateTable && o.Column == "" && is(e.Table.Name) || e.Kind == AddColumn && named(e))
	})
	o.Again = do(down, func(e Effect) bool {
		switch e.Kind {
		case CreateTable:
			return o.Column == "" && strings.EqualFold(e.Table.Name, o.Was)
		case RenameTable:
			return o.Column == "" && strings.EqualFold(e.NewName.Name, o.Was)
		case AddColumn:
			return o.Column != "" && called(e, o.Was)
		case RenameColumn:
			return o.Column != "" && strings.EqualFold(e.NewName.Name, o.Was)
		}
		return false
	})
	o.Carried = !o.Itself() && slices.ContainsFunc(up, func(st Statement) bool { return st.mayCarry(names) }) && do(down, func(e Effect) bool {
		switch e.Kind {
		case Insert, Upsert, Replace, Merge, Update:
			return o.Column != "" && called(e, o.Was) || o.Column == "" && e.Kind != Update && strings.EqualFold(e.Table.Name, o.Was)
		}
		return false
	})
	return o
}

// mayCarry tells whether a statement may take what has one of these names elsewhere.
func (st Statement) mayCarry(names []string) bool {
	named := slices.ContainsFunc(names, func(name string) bool {
		return regexp.MustCompile(`(?i)(^|\W)` + regexp.QuoteMeta(name) + `(\W|$)`).MatchString(st.SQL)
	})
	return slices.ContainsFunc(st.Effects, func(e Effect) bool {
		switch e.Kind {
		case Opaque:
			return true
		case Insert, Update, Upsert, Replace, Merge, AddColumn, AlterColumnType:
			return named
		case CreateTable:
			return named && e.Define != nil && e.Define.AsSelect
		}
		return false
	})
}

// origins gives, by the lower case name of now ("table", "table.column"), the name from before some statements; "" of what they made. What they leave
// alone is not in it.
type origins map[string]string

func (o origins) of(key, name string) string {
	if was, known := o[strings.ToLower(key)]; known {
		return was
	}
	return name
}

func (o origins) table(name string) string { return o.of(name, name) }

func (o origins) column(table, name string) string { return o.of(table+"."+name, name) }

func (o origins) follow(e Effect) {
	table := strings.ToLower(e.Table.Name)
	columns := func(key, _ string) bool { return strings.HasPrefix(key, table+".") }
	switch e.Kind {
	case CreateTable:
		if !e.IfExists {
			maps.DeleteFunc(o, columns)
			o[table] = ""
		}
	case RenameTable:
		was, to := o.table(e.Table.Name), strings.ToLower(e.NewName.Name)
		moved := origins{to: was}
		for key, name := range o {
			if columns(key, name) {
				moved[to+strings.TrimPrefix(key, table)] = name
			}
		}
		maps.DeleteFunc(o, columns)
		delete(o, table)
		maps.Copy(o, moved)
	case DropTable:
		maps.DeleteFunc(o, columns)
		delete(o, table)
	case AddColumn:
		for _, c := range e.Columns {
			if !e.IfExists {
				o[table+"."+strings.ToLower(c)] = ""
			}
		}
	case RenameColumn:
		was := o.column(table, e.Columns[0])
		delete(o, table+"."+strings.ToLower(e.Columns[0]))
		o[table+"."+strings.ToLower(e.NewName.Name)] = was
	case DropColumn:
		for _, c := range e.Columns {
			delete(o, table+"."+strings.ToLower(c))
		}
	}
}
