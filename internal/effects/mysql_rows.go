package effects

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the values that the grammar builds literals with
)

// mysqlGrammars are parsers that rest: one serves one caller at a time.
var mysqlGrammars = sync.Pool{New: func() any { return parser.New() }}

// tree parses the statement; what newer servers and MariaDB have added to it is blanked on a second
// attempt. It gives nil when the grammar does not take it either way.
func (p *mysqlParser) tree() (ast.StmtNode, error) {
	g := mysqlGrammars.Get().(*parser.Parser)
	defer mysqlGrammars.Put(g)
	g.SetMariaDB(p.dialect == MariaDB)
	stmt, err := g.ParseOneStmt(p.flat, "", "")
	if err == nil {
		return stmt, nil
	}
	plain := p.plain()
	if plain == p.flat {
		return nil, err
	}
	if stmt, again := g.ParseOneStmt(plain, "", ""); again == nil {
		return stmt, nil
	}
	return nil, err
}

// plain blanks what the grammar lacks and what changes no row: RETURNING, the row alias of INSERT,
// JSON_TABLE, INTO of SELECT.
func (p *mysqlParser) plain() string {
	out := []byte(p.flat)
	blank := func(from, to int, with string) {
		a, b := p.tokens[from].start-p.base, p.tokens[to-1].end-p.base
		copy(out[a:b], bytes.Repeat([]byte(" "), b-a))
		copy(out[a:b], with)
	}
	for i := p.i; i < len(p.tokens); i++ {
		switch p.word(i) {
		case "RETURNING":
			if at := p.find(p.i, len(p.tokens), "RETURNING"); at == i {
				blank(i, len(p.tokens), "")
				return string(out)
			}
		case "INTO": // SELECT … INTO OUTFILE 'x', INTO @a
			if w := p.word(p.i); w == "INSERT" || w == "REPLACE" {
				continue
			}
			end := len(p.tokens)
			if at := p.find(i+1, end, "FROM", "FOR", "LOCK"); at > 0 {
				end = at
			}
			blank(i, end, "")
			i = end - 1
		case "JSON_TABLE":
			if end := p.skip(i + 1); p.punct(i+1) == '(' && p.punct(end-1) == ')' {
				blank(i, end, "(select 1)")
				i = end - 1
			}
		case "AS":
			end := i + 2
			if p.punct(end) == '(' {
				end = p.skip(end)
			}
			if p.word(end) == "ON" && p.word(end+1) == "DUPLICATE" {
				blank(i, end, "")
			}
		}
	}
	return string(out)
}

// rows reads a statement about rows.
func (p *mysqlParser) rows() {
	if p.word(p.i) == "DELETE" && p.word(p.i+1) == "HISTORY" && p.dialect == MariaDB {
		p.i += 2
		p.expect("FROM")
		p.add(Effect{Kind: Delete, Table: p.name(), Volatile: true, Detail: "DELETE HISTORY"})
		p.rest()
		return
	}
	stmt, err := p.tree()
	if err != nil {
		p.i = p.errorToken(err)
		p.reject()
	}
	switch v := stmt.(type) {
	case *ast.InsertStmt:
		p.insert(v)
	case *ast.UpdateStmt:
		p.update(v)
	case *ast.DeleteStmt:
		p.remove(v)
	case *ast.SelectStmt, *ast.SetOprStmt, *ast.DoStmt:
		p.read(v)
	default:
		p.reject()
	}
	p.rest()
}

// errorToken finds the token that the grammar stumbled over. It tells the place in its message only;
// where that cannot be read, it is the first token.
func (p *mysqlParser) errorToken(err error) int {
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), "line %d column %d", &line, &column); scanErr != nil {
		return p.i
	}
	at := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(p.flat[at:], '\n')
		if next < 0 {
			return p.i
		}
		at += next + 1
	}
	// The column is that of the end of the last token read.
	i := p.at(p.base + at + column)
	if i > 0 && p.tokens[i-1].end >= p.base+at+column {
		i--
	}
	return min(i, len(p.tokens)-1)
}

func (p *mysqlParser) read(node ast.Node) {
	f := mysqlCollect(node)
	e := Effect{Kind: Read, Detail: firstWords(p.src), Unordered: f.unordered}
	p.addWithCalls(e, f)
	if into := p.find(p.i, len(p.tokens), "OUTFILE", "DUMPFILE"); into > 0 {
		p.add(Effect{Kind: External, Detail: "SELECT INTO " + p.word(into)})
	}
}

func mysqlName(t *ast.TableName) Name { return Name{Schema: t.Schema.O, Name: t.Name.O} }

// mysqlTarget is a table that a statement writes to.
type mysqlTarget struct {
	name  Name
	alias string
}

// mysqlTables are the base tables of a FROM clause, in order.
func mysqlTables(node ast.ResultSetNode) []mysqlTarget {
	switch v := node.(type) {
	case *ast.Join:
		var out []mysqlTarget
		if v.Left != nil {
			out = mysqlTables(v.Left)
		}
		if v.Right != nil {
			out = append(out, mysqlTables(v.Right)...)
		}
		return out
	case *ast.TableSource:
		if t, ok := v.Source.(*ast.TableName); ok {
			return []mysqlTarget{{name: mysqlName(t), alias: v.AsName.O}}
		}
		if j, ok := v.Source.(*ast.Join); ok {
			return mysqlTables(j)
		}
	}
	return nil
}

// called says whether a qualifier names the target.
func (t mysqlTarget) called(schema, table string) bool {
	if t.alias != "" {
		return schema == "" && strings.EqualFold(table, t.alias)
	}
	return strings.EqualFold(table, t.name.Name) && (schema == "" || t.name.Schema == "" || strings.EqualFold(schema, t.name.Schema))
}

func (p *mysqlParser) insert(v *ast.InsertStmt) {
	e := Effect{Kind: Insert}
	if v.IsReplace {
		e.Kind = Replace
	}
	if v.IgnoreErr {
		e.Detail = "IGNORE"
	}
	targets := mysqlTables(v.Table.TableRefs)
	if len(targets) == 1 {
		e.Table = targets[0].name
	}
	for _, c := range v.Columns {
		e.Columns = append(e.Columns, c.Name.O)
	}
	f := mysqlCollect(v)
	e.Unordered = f.unordered
	if len(v.OnDuplicate) > 0 {
		e.Kind, e.Columns, e.Detail = Upsert, nil, ""
		refs := mysqlFacts{}
		for _, a := range v.OnDuplicate {
			e.Columns = append(e.Columns, a.Column.Name.O)
			refs.join(mysqlCollect(a.Expr))
		}
		e.Columns = unique(e.Columns)
		e.Reads = refs.reads(mysqlTarget{name: e.Table})
	}
	if e.Kind == Insert && v.Select != nil {
		mysqlFill(&e, v.Select)
	}
	p.addWithCalls(e, f)
}

// mysqlFill tells what the query of an INSERT reads, value by value.
func mysqlFill(e *Effect, query ast.ResultSetNode) {
	e.Sources = mysqlCollect(query).tables
	q, ok := query.(*ast.SelectStmt)
	if !ok || q.With != nil || q.Fields == nil {
		return
	}
	fills := []Fill{}
	for i, field := range q.Fields.Fields {
		if field.WildCard != nil {
			return
		}
		fill := Fill{}
		if i < len(e.Columns) {
			fill.Column = e.Columns[i]
		}
		for _, ref := range mysqlCollect(field.Expr).refs {
			fill.Reads = append(fill.Reads, ref.Name.O)
		}
		value := field.Expr
		if cast, ok := value.(*ast.FuncCastExpr); ok {
			value = cast.Expr
		}
		if ref, ok := value.(*ast.ColumnNameExpr); ok {
			fill.Copies = ref.Name.Name.O
		}
		fills = append(fills, fill)
	}
	e.Fills = fills
}

// clause is the source between the first of some keywords and the first of those that may follow.
func (p *mysqlParser) clause(from int, start, next []string) string {
	i := p.find(from, len(p.tokens), start...)
	if i < 0 {
		return ""
	}
	to := len(p.tokens)
	if j := p.find(i+1, to, next...); j >= 0 {
		to = j
	}
	return p.span(i+1, to)
}

// common fills what UPDATE and DELETE share, and gives the token of their verb.
func (p *mysqlParser) common(e *Effect, verb string, with bool, where ast.ExprNode, limit *ast.Limit, order *ast.OrderByClause) int {
	at := p.find(p.i, len(p.tokens), verb)
	if with && at > p.i {
		e.With = p.span(p.i, at)
	}
	if where != nil {
		e.HasWhere = true
		e.Where = p.clause(at, []string{"WHERE"}, []string{"ORDER", "LIMIT", "RETURNING"})
	}
	if limit != nil {
		e.Detail = strings.TrimSpace(e.Detail + " LIMIT")
		e.Volatile, e.Unordered = true, order == nil
	}
	return at
}

func (p *mysqlParser) update(v *ast.UpdateStmt) {
	f := mysqlCollect(v)
	targets := mysqlTables(v.TableRefs.TableRefs)
	assigned := make([][]string, len(targets))
	for _, a := range v.List {
		for i, t := range targets {
			// A column without its table may be any table's.
			if a.Column.Table.O == "" || t.called(a.Column.Schema.O, a.Column.Table.O) {
				assigned[i] = append(assigned[i], a.Column.Name.O)
			}
		}
	}
	for i, t := range targets {
		if len(assigned[i]) == 0 {
			continue
		}
		e := Effect{Kind: Update, Table: t.name, Alias: t.alias, Columns: unique(assigned[i]), Unordered: f.unordered}
		if v.IgnoreErr {
			e.Detail = "IGNORE"
		}
		at := p.common(&e, "UPDATE", v.With != nil, v.Where, v.Limit, v.Order)
		if len(targets) > 1 || v.MultipleTable {
			from := at + 1
			for slices.Contains([]string{"LOW_PRIORITY", "IGNORE"}, p.word(from)) {
				from++
			}
			if set := p.find(from, len(p.tokens), "SET"); set > 0 {
				e.From = p.span(from, set)
			}
		}
		if e.From == "" {
			e.Assigned = p.assigned(at, v.List)
		}
		e.Reads = f.reads(t)
		p.addOwn(e, f)
	}
	p.addCalls(f)
}

// assigned gives the source of the assignments behind the verb at a token; nil when they cannot be told apart.
func (p *mysqlParser) assigned(at int, list []*ast.Assignment) []Assignment {
	i := p.find(at, len(p.tokens), "SET") + 1
	end := len(p.tokens)
	if j := p.find(i, end, "WHERE", "ORDER", "LIMIT", "RETURNING"); j >= 0 {
		end = j
	}
	var out []Assignment
	for i > 0 && i < end {
		from := i
		for i < end && p.punct(i) != '=' && p.punct(i) != ':' {
			i++
		}
		for i < end && (p.punct(i) == '=' || p.punct(i) == ':') {
			i++
		}
		value := i
		for i < end && p.punct(i) != ',' {
			i = p.skip(i)
		}
		if len(out) == len(list) || value == from || value >= i {
			return nil
		}
		out = append(out, Assignment{Column: list[len(out)].Column.Name.O, Value: p.span(value, i)})
		i++
	}
	if len(out) != len(list) {
		return nil
	}
	return out
}

func (p *mysqlParser) remove(v *ast.DeleteStmt) {
	f := mysqlCollect(v)
	sources := mysqlTables(v.TableRefs.TableRefs)
	targets := sources
	if v.IsMultiTable {
		targets = nil
		for _, t := range v.Tables.Tables {
			found := mysqlTarget{name: mysqlName(t)}
			for _, s := range sources {
				if s.called(t.Schema.O, t.Name.O) {
					found = s
				}
			}
			targets = append(targets, found)
		}
	}
	for _, t := range targets {
		e := Effect{Kind: Delete, Table: t.name, Alias: t.alias, Unordered: f.unordered}
		if v.IgnoreErr {
			e.Detail = "IGNORE"
		}
		at := p.common(&e, "DELETE", v.With != nil, v.Where, v.Limit, v.Order)
		if v.IsMultiTable {
			keyword := "FROM"
			if !v.BeforeFrom {
				keyword = "USING"
			}
			e.From = p.clause(at, []string{keyword}, []string{"WHERE"})
		}
		e.Reads = f.reads(t)
		p.addOwn(e, f)
	}
	p.addCalls(f)
}
