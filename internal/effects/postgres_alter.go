package effects

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// alterTable adds one effect an action. The actions are separated by commas, one each in the
// source, so that an action the grammar gives no location for is still found there.
func (s *pgStatement) alterTable(a *pg.AlterTableStmt) {
	name := pgRange(a.Relation)
	i := s.afterName(s.at(int(a.Relation.GetLocation())))
	if s.punct(i) == '*' {
		i++
	}
	for _, n := range a.Cmds {
		from := i
		to := s.end(from, true)
		i = to + 1
		cmd := n.GetAlterTableCmd()
		if cmd == nil {
			continue
		}
		if a.Objtype != pg.ObjectType_OBJECT_TABLE && a.Objtype != pg.ObjectType_OBJECT_FOREIGN_TABLE {
			s.alterRelation(a, cmd, name, s.span(from, to))
			continue
		}
		before := len(s.effects)
		s.alterAction(name, cmd, from, to)
		for j := before; j < len(s.effects); j++ {
			e := &s.effects[j]
			e.IfExists, e.IfTable = e.IfExists || a.MissingOk || cmd.MissingOk, a.MissingOk
			e.Cascade = e.Cascade || pgCascade(cmd.Behavior)
			if e.Detail == "" && e.Kind != Opaque {
				e.Detail = firstWords(s.span(from, to))
			}
		}
	}
}

// alterRelation: ALTER INDEX, VIEW, SEQUENCE, MATERIALIZED VIEW and TYPE have the same actions.
func (s *pgStatement) alterRelation(a *pg.AlterTableStmt, cmd *pg.AlterTableCmd, name Name, text string) {
	e := Effect{Kind: Alter, Object: Object{Kind: pgObjectKind(a.Objtype), Name: name}, IfExists: a.MissingOk || cmd.MissingOk,
		Cascade: pgCascade(cmd.Behavior), Detail: firstWords(text)}
	if a.Objtype == pg.ObjectType_OBJECT_TYPE {
		// Attributes of a composite type are columns wherever the type is used.
		e.Columns = nonEmpty(cmd.Name)
		if c := cmd.Def.GetColumnDef(); c != nil {
			e.Columns = nonEmpty(firstOf(cmd.Name, c.Colname))
		}
	}
	s.add(e)
}

func nonEmpty(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// pgColumnActions are the actions on one column that need nothing but its name.
var pgColumnActions = map[pg.AlterTableType]Kind{
	pg.AlterTableType_AT_DropColumn:     DropColumn,
	pg.AlterTableType_AT_SetNotNull:     SetNotNull,
	pg.AlterTableType_AT_DropNotNull:    DropNotNull,
	pg.AlterTableType_AT_DropExpression: DropExpression,
	pg.AlterTableType_AT_SetExpression:  AlterColumnType, // computes every value anew
	pg.AlterTableType_AT_SetStatistics:  AlterColumn,
	pg.AlterTableType_AT_SetOptions:     AlterColumn,
	pg.AlterTableType_AT_ResetOptions:   AlterColumn,
	pg.AlterTableType_AT_SetStorage:     AlterColumn,
	pg.AlterTableType_AT_SetCompression: AlterColumn,
	pg.AlterTableType_AT_AddIdentity:    AlterColumn,
	pg.AlterTableType_AT_SetIdentity:    AlterColumn,
	pg.AlterTableType_AT_DropIdentity:   AlterColumn,

	pg.AlterTableType_AT_AlterColumnGenericOptions: AlterColumn,
}

func (s *pgStatement) alterAction(table Name, cmd *pg.AlterTableCmd, from, to int) {
	if kind, ok := pgColumnActions[cmd.Subtype]; ok {
		e := Effect{Kind: kind, Table: table, Columns: nonEmpty(cmd.Name)}
		if cmd.Name == "" { // SET STATISTICS of an index column by number
			e.Kind = AlterTable
		}
		if cmd.Subtype == pg.AlterTableType_AT_SetExpression {
			e.Column = &ColumnDef{Name: cmd.Name, Generated: true, Stored: true, Expression: s.bracket(from, to)}
		}
		s.add(e)
		return
	}
	switch cmd.Subtype {
	case pg.AlterTableType_AT_AddColumn:
		s.addColumn(table, cmd.Def.GetColumnDef())
	case pg.AlterTableType_AT_AlterColumnType:
		s.alterType(table, cmd, from, to)
	case pg.AlterTableType_AT_ColumnDefault:
		e := Effect{Kind: DropDefault, Table: table, Columns: []string{cmd.Name}}
		if cmd.Def != nil {
			e.Kind = SetDefault
			e.Column = &ColumnDef{Name: cmd.Name, HasDefault: true}
			if i := s.find(from, to, "DEFAULT"); i >= 0 {
				e.Column.Default = s.span(i+1, to)
			}
		}
		s.add(e)
	case pg.AlterTableType_AT_AddConstraint:
		s.addConstraint(table, cmd.Def.GetConstraint())
	case pg.AlterTableType_AT_DropConstraint:
		s.add(Effect{Kind: DropConstraint, Table: table, Object: Object{Kind: "constraint", Name: Name{Name: cmd.Name}}})
	case pg.AlterTableType_AT_ValidateConstraint:
		s.add(Effect{Kind: ValidateConstraint, Table: table, Object: Object{Kind: "constraint", Name: Name{Name: cmd.Name}}})
	case pg.AlterTableType_AT_AlterConstraint:
		s.add(Effect{Kind: AlterTable, Table: table, Object: Object{Kind: "constraint", Name: Name{Name: cmd.Def.GetConstraint().GetConname()}}})
	case pg.AlterTableType_AT_AttachPartition, pg.AlterTableType_AT_DetachPartition, pg.AlterTableType_AT_DetachPartitionFinalize:
		s.partition(table, cmd)
	case pg.AlterTableType_AT_SetLogged, pg.AlterTableType_AT_SetUnLogged, pg.AlterTableType_AT_SetAccessMethod:
		s.add(Effect{Kind: AlterTable, Table: table})
	case pg.AlterTableType_AT_AddInherit, pg.AlterTableType_AT_DropInherit:
		s.add(Effect{Kind: AlterTable, Table: table, Object: Object{Kind: "parent", Name: pgRange(cmd.Def.GetRangeVar())}})
	default:
		s.add(Effect{Kind: AlterTable, Table: table})
	}
}

func (s *pgStatement) partition(table Name, cmd *pg.AlterTableCmd) {
	p := cmd.Def.GetPartitionCmd()
	e := Effect{Kind: DetachPartition, Table: table, Concurrently: p.GetConcurrent(),
		Object: Object{Kind: "partition", Name: pgRange(p.GetName())}}
	if cmd.Subtype == pg.AlterTableType_AT_AttachPartition {
		e.Kind = AttachPartition
	}
	if e.Concurrently {
		s.autocommit = true
	}
	s.add(e)
}

func (s *pgStatement) addColumn(table Name, c *pg.ColumnDef) {
	if c == nil {
		s.add(Effect{Kind: Opaque, Table: table})
		return
	}
	col, parts := s.column(c)
	e := Effect{Kind: AddColumn, Table: table, Columns: []string{col.Name}, Column: &col}
	s.spans = append(s.spans, s.unheld(col, parts)...)
	var calls []string
	for _, p := range parts {
		if p.node.Contype == pg.ConstrType_CONSTR_DEFAULT {
			f := pgCollect(p.node.RawExpr)
			calls = append(calls, f.calls...)
		}
	}
	s.addWithCalls(e, calls)
}

// unheld finds what cannot hold for the rows there are before the column has its data: NOT NULL and
// PRIMARY KEY without a value, UNIQUE with the same value in every row.
func (s *pgStatement) unheld(col ColumnDef, parts []pgColumnConstraint) []Span {
	own := col.Identity || col.Generated || col.Serial
	var out []Span
	for _, p := range parts {
		text := ""
		switch p.node.Contype {
		case pg.ConstrType_CONSTR_NOTNULL:
			if !own && !col.HasDefault {
				text = "NOT NULL"
			}
		case pg.ConstrType_CONSTR_PRIMARY:
			if !own {
				text = "PRIMARY KEY"
			}
		case pg.ConstrType_CONSTR_UNIQUE:
			if !own && (col.HasDefault || p.node.NullsNotDistinct) {
				text = "UNIQUE"
			}
		}
		if text != "" && p.to > p.from {
			out = append(out, Span{Start: s.tokens[p.from].start - s.base, End: s.tokens[p.to-1].end - s.base,
				Column: col.Name, Text: text})
		}
	}
	return out
}

func (s *pgStatement) alterType(table Name, cmd *pg.AlterTableCmd, from, to int) {
	c := cmd.Def.GetColumnDef()
	col := ColumnDef{Name: cmd.Name, Type: pgType(c.GetTypeName())}
	if c.GetCollClause() != nil {
		col.Collation = pgName(pgStrings(c.CollClause.Collname)).String()
	}
	if c.GetRawDefault() != nil {
		if i := s.find(from, to, "USING"); i >= 0 {
			col.Using = s.span(i+1, to)
		}
	}
	e := Effect{Kind: AlterColumnType, Table: table, Columns: []string{cmd.Name}, Column: &col}
	s.addWithCalls(e, pgCollect(c.GetRawDefault()).calls)
}

func (s *pgStatement) addConstraint(table Name, c *pg.Constraint) {
	if c == nil {
		s.add(Effect{Kind: Opaque, Table: table})
		return
	}
	def := s.constraint(c, "")
	s.add(Effect{Kind: AddConstraint, Table: table, Columns: def.Columns, Constraint: &def,
		Object: Object{Kind: "constraint", Name: Name{Name: def.Name}}})
}
