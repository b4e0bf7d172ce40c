package effects

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// tableNode: statements about whole tables.
func (s *pgStatement) tableNode(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_CreateStmt:
		s.createTable(v.CreateStmt)
	case *pg.Node_CreateForeignTableStmt:
		s.createTable(v.CreateForeignTableStmt.BaseStmt)
		s.effects[len(s.effects)-1].Detail = "foreign table"
	case *pg.Node_CreateTableAsStmt:
		s.createTableAs(v.CreateTableAsStmt)
	case *pg.Node_TruncateStmt:
		for _, r := range v.TruncateStmt.Relations {
			e := Effect{Kind: Truncate, Table: pgRange(r.GetRangeVar()), Cascade: pgCascade(v.TruncateStmt.Behavior)}
			if v.TruncateStmt.RestartSeqs {
				e.Detail = "RESTART IDENTITY"
			}
			s.add(e)
		}
	case *pg.Node_AlterTableStmt:
		s.alterTable(v.AlterTableStmt)
	case *pg.Node_AlterTableMoveAllStmt:
		s.add(Effect{Kind: AlterTable, Detail: firstWords(s.src)})
	default:
		return false
	}
	return true
}

func (s *pgStatement) createTable(c *pg.CreateStmt) {
	def := &TableDef{Temporary: c.Relation.GetRelpersistence() == "t"}
	var own []ConstraintDef
	for _, elt := range c.TableElts {
		switch v := elt.GetNode().(type) {
		case *pg.Node_ColumnDef:
			col, _ := s.column(v.ColumnDef)
			def.Columns = append(def.Columns, col)
			def.Constraints = append(def.Constraints, col.Constraints...)
		case *pg.Node_Constraint:
			own = append(own, s.constraint(v.Constraint, ""))
		case *pg.Node_TableLikeClause:
			def.Like = append(def.Like, pgRange(v.TableLikeClause.Relation))
		}
	}
	def.Constraints = append(def.Constraints, own...)
	for _, con := range own {
		if con.Kind == "primary key" || con.Kind == "unique" {
			markColumns(def.Columns, con)
		}
	}
	def.Partitioned = c.Partspec != nil
	for _, r := range c.InhRelations {
		if c.Partbound != nil {
			def.PartitionOf = pgRange(r.GetRangeVar())
		} else {
			def.Inherits = append(def.Inherits, pgRange(r.GetRangeVar()))
		}
	}
	s.add(Effect{Kind: CreateTable, Table: pgRange(c.Relation), Define: def, IfExists: c.IfNotExists, Temporary: def.Temporary})
}

// markColumns notes on the columns what a table constraint says about them.
func markColumns(columns []ColumnDef, con ConstraintDef) {
	for _, name := range con.Columns {
		for i := range columns {
			if columns[i].Name != name {
				continue
			}
			if con.Kind == "primary key" {
				columns[i].NotNull = true
				columns[i].PrimaryKey = len(con.Columns) == 1
			} else if len(con.Columns) == 1 {
				columns[i].Unique = true
			}
		}
	}
}

func (s *pgStatement) createTableAs(c *pg.CreateTableAsStmt) {
	name := pgRange(c.Into.GetRel())
	temporary := c.Into.GetRel().GetRelpersistence() == "t"
	if c.Objtype == pg.ObjectType_OBJECT_MATVIEW {
		s.add(Effect{Kind: Create, Object: Object{Kind: "materialized view", Name: name}, IfExists: c.IfNotExists})
	} else {
		def := &TableDef{AsSelect: true, Temporary: temporary}
		for _, col := range pgStrings(c.Into.GetColNames()) {
			def.Columns = append(def.Columns, ColumnDef{Name: col})
		}
		s.add(Effect{Kind: CreateTable, Table: name, Define: def, IfExists: c.IfNotExists, Temporary: temporary})
	}
	if c.Query.GetExecuteStmt() != nil {
		s.effects = append(s.effects, opaque(s.src, "")...)
		return
	}
	s.query(c.Query, len(s.effects)-1)
}

// column reads a column definition; the index is that of the first token of its constraints.
func (s *pgStatement) column(c *pg.ColumnDef) (ColumnDef, []pgColumnConstraint) {
	col := ColumnDef{Name: c.Colname, Type: pgType(c.TypeName)}
	if names := pgStrings(c.TypeName.GetNames()); len(names) == 1 && pgSerials[names[0]] != "" {
		col.Type, col.Serial, col.NotNull, col.HasDefault = pgSerials[names[0]], true, true, true
	}
	if c.CollClause != nil {
		col.Collation = pgName(pgStrings(c.CollClause.Collname)).String()
	}
	parts := s.columnConstraints(c)
	for _, p := range parts {
		switch p.node.Contype {
		case pg.ConstrType_CONSTR_NOTNULL:
			col.NotNull = true
		case pg.ConstrType_CONSTR_DEFAULT:
			col.HasDefault, col.Default = true, s.behind(p, "DEFAULT")
			if p.node.RawExpr.GetAConst().GetIsnull() {
				col.HasDefault = false
			}
		case pg.ConstrType_CONSTR_IDENTITY:
			col.Identity, col.NotNull = true, true
		case pg.ConstrType_CONSTR_GENERATED:
			col.Generated, col.Stored, col.Expression = true, true, s.bracket(p.from, p.to)
		case pg.ConstrType_CONSTR_PRIMARY:
			col.PrimaryKey, col.NotNull = true, true
			col.Constraints = append(col.Constraints, s.columnConstraint(p, c.Colname))
		case pg.ConstrType_CONSTR_UNIQUE:
			col.Unique = true
			col.Constraints = append(col.Constraints, s.columnConstraint(p, c.Colname))
		case pg.ConstrType_CONSTR_CHECK, pg.ConstrType_CONSTR_FOREIGN, pg.ConstrType_CONSTR_EXCLUSION:
			col.Constraints = append(col.Constraints, s.columnConstraint(p, c.Colname))
		}
	}
	return col, parts
}

// pgColumnConstraint is a constraint of a column and the tokens [from, to) that spell it, its
// attributes (DEFERRABLE …) included.
type pgColumnConstraint struct {
	node                 *pg.Constraint
	from, to             int
	deferrable, deferred bool
}

func (p *pgColumnConstraint) attribute(t pg.ConstrType) {
	switch t {
	case pg.ConstrType_CONSTR_ATTR_DEFERRABLE:
		p.deferrable = true
	case pg.ConstrType_CONSTR_ATTR_DEFERRED:
		p.deferrable, p.deferred = true, true
	}
}

func (s *pgStatement) columnConstraints(c *pg.ColumnDef) []pgColumnConstraint {
	end := s.end(s.at(int(c.Location)), true)
	collation := -1
	if c.CollClause != nil {
		collation = s.at(int(c.CollClause.Location))
	}
	var out []pgColumnConstraint
	for _, n := range c.Constraints {
		con := n.GetConstraint()
		if con == nil {
			continue
		}
		if pgAttribute(con.Contype) {
			if last := len(out) - 1; last >= 0 {
				out[last].attribute(con.Contype)
			}
			continue
		}
		from := s.at(int(con.Location))
		if last := len(out) - 1; last >= 0 {
			out[last].to = min(out[last].to, from)
		}
		out = append(out, pgColumnConstraint{node: con, from: from, to: end})
	}
	for i := range out {
		if collation > out[i].from && collation < out[i].to {
			out[i].to = collation
		}
	}
	return out
}

func (s *pgStatement) columnConstraint(p pgColumnConstraint, column string) ConstraintDef {
	def := s.constraint(p.node, column)
	def.Deferrable, def.Deferred = p.deferrable, p.deferred
	return def
}

func pgAttribute(t pg.ConstrType) bool {
	switch t {
	case pg.ConstrType_CONSTR_ATTR_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE,
		pg.ConstrType_CONSTR_ATTR_DEFERRED, pg.ConstrType_CONSTR_ATTR_IMMEDIATE:
		return true
	}
	return false
}

// behind is the source of a constraint after a keyword.
func (s *pgStatement) behind(p pgColumnConstraint, keyword string) string {
	if i := s.find(p.from, p.to, keyword); i >= 0 {
		return s.span(i+1, p.to)
	}
	return ""
}

// bracket is the source inside the first bracket among the tokens [from, to).
func (s *pgStatement) bracket(from, to int) string {
	for i := from; i < to; i++ {
		if s.punct(i) == '(' {
			return s.span(i+1, s.skip(i)-1)
		}
	}
	return ""
}

// pgActions are the letters of the catalog for what a foreign key does.
var pgActions = map[string]string{"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

// constraint reads a constraint; column is the one it is written with, "" for one of the table.
func (s *pgStatement) constraint(c *pg.Constraint, column string) ConstraintDef {
	def := ConstraintDef{Name: c.Conname, NotValid: c.SkipValidation, UsingIndex: c.Indexname,
		NullsNotDistinct: c.NullsNotDistinct, Deferrable: c.Deferrable, Deferred: c.Initdeferred}
	from := s.at(int(c.Location))
	to := s.end(from, true)
	switch c.Contype {
	case pg.ConstrType_CONSTR_PRIMARY:
		def.Kind, def.Columns = "primary key", pgStrings(c.Keys)
	case pg.ConstrType_CONSTR_UNIQUE:
		def.Kind, def.Columns = "unique", pgStrings(c.Keys)
	case pg.ConstrType_CONSTR_CHECK:
		def.Kind = "check"
		if i := s.find(from, to, "CHECK"); i >= 0 {
			def.Expression = s.bracket(i, to)
		}
		for _, ref := range pgCollect(c.RawExpr).refs {
			if names := pgStrings(ref.Fields); len(names) == 1 {
				def.Columns = unique(append(def.Columns, names[0]))
			}
		}
	case pg.ConstrType_CONSTR_EXCLUSION:
		def.Kind = "exclude"
		if i := s.find(from, to, "EXCLUDE"); i >= 0 {
			def.Expression = s.span(i+1, to)
		}
	case pg.ConstrType_CONSTR_NOTNULL:
		def.Kind, def.Columns = "not null", pgStrings(c.Keys)
	case pg.ConstrType_CONSTR_FOREIGN:
		def.Kind, def.Columns, def.Parent, def.ParentColumns = "foreign key", pgStrings(c.FkAttrs), pgRange(c.Pktable), pgStrings(c.PkAttrs)
		def.OnDelete, def.OnUpdate = pgActions[c.FkDelAction], pgActions[c.FkUpdAction]
	}
	if column != "" && len(def.Columns) == 0 && def.Kind != "exclude" {
		def.Columns = []string{column}
	}
	return def
}
