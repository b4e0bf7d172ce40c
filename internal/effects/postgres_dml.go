package effects

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// dataNode: statements about rows.
func (s *pgStatement) dataNode(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		s.query(n, -1)
	case *pg.Node_ExplainStmt:
		s.explain(v.ExplainStmt)
	case *pg.Node_DeclareCursorStmt:
		s.query(v.DeclareCursorStmt.Query, -1)
	case *pg.Node_FetchStmt:
		s.add(Effect{Kind: Read, Detail: firstWords(s.src)})
	case *pg.Node_CopyStmt:
		s.copyTable(v.CopyStmt)
	default:
		return false
	}
	return true
}

// query adds the effects of a query and of the queries that it is made of. Those of a plain SELECT
// go to the effect with index owner, when there is one.
func (s *pgStatement) query(n *pg.Node, owner int) {
	switch v := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		s.selectRows(v.SelectStmt, owner)
	case *pg.Node_InsertStmt:
		s.with(v.InsertStmt.WithClause)
		s.insert(v.InsertStmt)
	case *pg.Node_UpdateStmt:
		s.with(v.UpdateStmt.WithClause)
		s.update(v.UpdateStmt)
	case *pg.Node_DeleteStmt:
		s.with(v.DeleteStmt.WithClause)
		s.remove(v.DeleteStmt)
	case *pg.Node_MergeStmt:
		s.with(v.MergeStmt.WithClause)
		s.merge(v.MergeStmt)
	default:
		s.effects = append(s.effects, opaque(s.src, "")...)
	}
}

// with adds the effects of the queries in WITH that write. They and the statement itself cannot be
// asked for their rows before: what they read may be what another of them returns.
func (s *pgStatement) with(w *pg.WithClause) {
	for _, c := range w.GetCtes() {
		q := c.GetCommonTableExpr().GetCtequery()
		if sel := q.GetSelectStmt(); sel != nil {
			s.with(sel.WithClause)
			continue
		}
		s.nested = true
		s.query(q, -1)
	}
}

func (s *pgStatement) selectRows(v *pg.SelectStmt, owner int) {
	s.with(v.WithClause)
	f := pgCollect(v)
	e := Effect{Kind: Read, Detail: firstWords(s.src), Unordered: f.unordered, Volatile: f.unordered}
	if v.IntoClause != nil || v.GetLarg().GetIntoClause() != nil {
		into := v.IntoClause
		if into == nil {
			into = v.Larg.IntoClause
		}
		temporary := into.Rel.GetRelpersistence() == "t"
		e.Kind, e.Table, e.Temporary = CreateTable, pgRange(into.Rel), temporary
		e.Define = &TableDef{AsSelect: true, Temporary: temporary}
	}
	if owner < 0 {
		s.addWithCalls(e, f.calls)
		return
	}
	// The query of CREATE TABLE AS and the like: its calls count, the reading does not.
	own := s.effects[owner]
	own.Volatile, own.Unordered = e.Volatile, e.Unordered
	rest := slices.Clone(s.effects[owner+1:])
	s.effects = s.effects[:owner]
	s.addWithCalls(own, f.calls)
	s.effects = append(s.effects, rest...)
}

// region is where one writing query stands among the tokens: its verb, what follows the table's
// name and alias, and its end.
type region struct{ start, verb, body, end int }

// region finds the query that names its target at a location.
func (s *pgStatement) region(r *pg.RangeVar, verb string) region {
	at := s.at(int(r.GetLocation()))
	i := at - 1
	for i > 0 && s.word(i) != verb {
		i--
	}
	body := s.afterName(at)
	if s.punct(body) == '*' {
		body++
	}
	// The query begins behind the bracket that it stands in.
	start, depth := i, 0
	for start > 0 {
		switch s.punct(start - 1) {
		case ')', ']':
			depth++
		case '(', '[':
			depth--
		}
		if depth < 0 {
			break
		}
		start--
	}
	return region{start: start, verb: i, body: body, end: s.end(body, false)}
}

// clause is the source between a keyword and the first of the keywords that may follow, or the end
// of the query.
func (s *pgStatement) clause(r region, from int, keyword string, next ...string) (text string, at int) {
	i := s.find(from, r.end, keyword)
	for i > 0 && keyword == "FROM" && s.word(i-1) == "DISTINCT" { // IS DISTINCT FROM
		i = s.find(i+1, r.end, keyword)
	}
	if i < 0 {
		return "", -1
	}
	to := r.end
	if j := s.find(i+1, r.end, next...); j >= 0 {
		to = j
	}
	return s.span(i+1, to), i
}

// target fills what the writing queries have in common.
func (s *pgStatement) target(e *Effect, rel *pg.RangeVar, r region, w *pg.WithClause) {
	e.Table, e.Alias = pgRange(rel), rel.GetAlias().GetAliasname()
	e.Nested = s.nested
	if w != nil && !s.nested && s.word(r.start) == "WITH" {
		e.With = s.span(r.start, r.verb)
	}
}

func (s *pgStatement) insert(v *pg.InsertStmt) {
	e := Effect{Kind: Insert}
	s.target(&e, v.Relation, s.region(v.Relation, "INSERT"), nil)
	for _, c := range v.Cols {
		e.Columns = append(e.Columns, c.GetResTarget().GetName())
	}
	if v.OnConflictClause != nil && v.OnConflictClause.Action == pg.OnConflictAction_ONCONFLICT_UPDATE {
		e.Kind, e.Columns = Upsert, pgAssigned(v.OnConflictClause.TargetList)
		e.Reads = s.reads(e, pgCollect(v.OnConflictClause))
		e.HasWhere = v.OnConflictClause.WhereClause != nil
	} else if v.OnConflictClause != nil {
		e.Detail = "ON CONFLICT DO NOTHING"
	}
	if e.Kind == Insert {
		pgFill(&e, v.SelectStmt.GetSelectStmt())
	}
	s.rows(e, v)
}

// pgFill tells what the query of an INSERT reads, value by value.
func pgFill(e *Effect, q *pg.SelectStmt) {
	if q == nil || len(q.ValuesLists) > 0 {
		return
	}
	e.Sources = pgCollect(q).tables
	if q.Op != pg.SetOperation_SETOP_NONE || q.WithClause != nil {
		return
	}
	fills := []Fill{}
	for i, n := range q.TargetList {
		fill := Fill{}
		if i < len(e.Columns) {
			fill.Column = e.Columns[i]
		}
		for _, ref := range pgCollect(n).refs {
			names := pgStrings(ref.Fields)
			if len(names) < len(ref.Fields) {
				return // a star
			}
			fill.Reads = append(fill.Reads, names...) // the names of tables among them are no columns
		}
		value := n.GetResTarget().GetVal()
		if cast := value.GetTypeCast(); cast != nil {
			value = cast.Arg
		}
		if ref := value.GetColumnRef(); ref != nil && len(fill.Reads) > 0 {
			fill.Copies = fill.Reads[len(fill.Reads)-1]
		}
		fills = append(fills, fill)
	}
	e.Fills = fills
}

func (s *pgStatement) update(v *pg.UpdateStmt) {
	r := s.region(v.Relation, "UPDATE")
	e := Effect{Kind: Update, Columns: pgAssigned(v.TargetList)}
	s.target(&e, v.Relation, r, v.WithClause)
	e.From, _ = s.clause(r, r.body, "FROM", "WHERE", "RETURNING")
	if len(v.FromClause) == 0 {
		e.From = ""
	}
	s.where(&e, r, v.WhereClause)
	f := pgCollect(pgMessages(v.TargetList, v.FromClause, v.WithClause.GetCtes(), []*pg.Node{v.WhereClause})...)
	e.Reads, e.Joins = s.reads(e, f), pgJoins(e, f)
	s.rows(e, v)
}

func (s *pgStatement) remove(v *pg.DeleteStmt) {
	r := s.region(v.Relation, "DELETE")
	e := Effect{Kind: Delete}
	s.target(&e, v.Relation, r, v.WithClause)
	if len(v.UsingClause) > 0 {
		e.From, _ = s.clause(r, r.body, "USING", "WHERE", "RETURNING")
	}
	s.where(&e, r, v.WhereClause)
	e.Reads = s.reads(e, pgCollect(pgMessages(v.UsingClause, v.WithClause.GetCtes(), []*pg.Node{v.WhereClause})...))
	s.rows(e, v)
}

func (s *pgStatement) where(e *Effect, r region, w *pg.Node) {
	if w == nil {
		return
	}
	e.HasWhere = true
	e.Where, _ = s.clause(r, r.body, "WHERE", "RETURNING")
	if c := w.GetCurrentOfExpr(); c != nil {
		e.Unordered = true
	}
}

func (s *pgStatement) merge(v *pg.MergeStmt) {
	r := s.region(v.Relation, "MERGE")
	e := Effect{Kind: Merge}
	s.target(&e, v.Relation, r, v.WithClause)
	for _, n := range v.MergeWhenClauses {
		switch w := n.GetMergeWhenClause(); w.GetCommandType() {
		case pg.CmdType_CMD_UPDATE:
			e.Actions = append(e.Actions, "update")
			e.Columns = unique(append(e.Columns, pgAssigned(w.TargetList)...))
		case pg.CmdType_CMD_DELETE:
			e.Actions = append(e.Actions, "delete")
		case pg.CmdType_CMD_INSERT:
			e.Actions = append(e.Actions, "insert")
		}
	}
	e.Actions = unique(e.Actions)
	e.From, _ = s.clause(r, r.body, "USING", "ON")
	e.Where, _ = s.clause(r, r.body, "ON", "WHEN")
	e.HasWhere = true
	f := pgCollect(v)
	e.Reads, e.Joins = s.reads(e, f), pgJoins(e, f)
	s.rows(e, v)
}

// pgJoins are the columns of the target that are compared with others. A name without its table may be of either.
func pgJoins(e Effect, f pgFacts) []Join {
	alias := firstOf(e.Alias, e.Table.Name)
	var out []Join
	for _, pair := range f.equal {
		for i, target := range pair {
			t, s := pgStrings(target.Fields), pgStrings(pair[1-i].Fields)
			if len(t) == 0 || len(s) == 0 || len(t) > 1 && t[len(t)-2] != alias || len(s) > 1 && s[len(s)-2] == alias {
				continue
			}
			out = append(out, Join{t[len(t)-1], s[len(s)-1]})
		}
	}
	return out
}

// rows adds a writing query with what its functions do.
func (s *pgStatement) rows(e Effect, m proto.Message) {
	f := pgCollect(m)
	e.Unordered = e.Unordered || f.unordered
	e.Volatile = e.Volatile || e.Unordered
	s.addWithCalls(e, f.calls)
}

func pgMessages(lists ...[]*pg.Node) []proto.Message {
	var out []proto.Message
	for _, l := range lists {
		for _, n := range l {
			if n != nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// pgAssigned are the columns that SET assigns.
func pgAssigned(targets []*pg.Node) []string {
	var out []string
	for _, t := range targets {
		out = append(out, t.GetResTarget().GetName())
	}
	return unique(out)
}

// reads are the columns of the target among the references; nil when one of them means the whole row.
func (s *pgStatement) reads(e Effect, f pgFacts) []string {
	alias := firstOf(e.Alias, e.Table.Name)
	out := []string{}
	for _, ref := range f.refs {
		names := pgStrings(ref.Fields)
		star := len(ref.Fields) > 0 && ref.Fields[len(ref.Fields)-1].GetAStar() != nil
		switch {
		case star && len(names) > 0 && names[len(names)-1] == alias:
			return nil
		case star: // of another table, or of a subquery's own
		case len(names) == 1 && names[0] == alias:
			return nil
		case len(names) == 1:
			out = append(out, names[0])
		case names[len(names)-2] == alias:
			out = append(out, names[len(names)-1])
		case names[0] == alias: // alias.composite.field
			out = append(out, names[1])
		}
	}
	return distinct(out)
}

// distinct is unique, but never nil.
func distinct(list []string) []string {
	if out := unique(list); out != nil {
		return out
	}
	return []string{}
}

// explain runs its statement only with ANALYZE.
func (s *pgStatement) explain(v *pg.ExplainStmt) {
	analyze := false
	for _, o := range v.Options {
		if d := o.GetDefElem(); d.GetDefname() == "analyze" {
			analyze = pgTrue(d.Arg)
		}
	}
	if !analyze {
		s.add(Effect{Kind: Read, Detail: "EXPLAIN"})
		return
	}
	s.node(v.Query)
}

func (s *pgStatement) copyTable(v *pg.CopyStmt) {
	table := pgRange(v.Relation)
	where := "file " + v.Filename
	if v.IsProgram {
		where = "PROGRAM " + v.Filename
	}
	switch {
	case v.IsFrom && v.Filename == "" && !v.IsProgram:
		s.add(Effect{Kind: Opaque, Table: table, Volatile: true, Detail: "COPY … FROM STDIN",
			Refused: "COPY … FROM STDIN: a migration has no client that could send the rows"})
	case v.IsFrom:
		s.add(Effect{Kind: Insert, Table: table, Columns: pgStrings(v.Attlist), Volatile: true, Detail: "COPY FROM " + where})
		s.add(Effect{Kind: External, Table: table, Detail: "COPY FROM " + where})
	default:
		if v.Query != nil {
			s.node(v.Query)
		} else {
			s.add(Effect{Kind: Read, Detail: firstWords(s.src)})
		}
		if v.Filename != "" {
			s.add(Effect{Kind: External, Table: table, Detail: "COPY TO " + where})
		}
	}
}
