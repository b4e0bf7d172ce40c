package effects

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// mysqlFacts is what an expression or a query holds that matters for its effects.
type mysqlFacts struct {
	calls     []string
	refs      []*ast.ColumnName
	tables    []Name
	wild      []string // tables of t.*
	variables bool     // assigns a variable
	unordered bool
}

// mysqlCollector walks through a tree of the grammar.
type mysqlCollector struct{ mysqlFacts }

func mysqlCollect(node ast.Node) mysqlFacts {
	c := &mysqlCollector{}
	if node != nil {
		node.Accept(c)
	}
	return c.mysqlFacts
}

func (f *mysqlFacts) join(o mysqlFacts) {
	f.calls, f.refs, f.wild = append(f.calls, o.calls...), append(f.refs, o.refs...), append(f.wild, o.wild...)
	f.tables = append(f.tables, o.tables...)
	f.variables, f.unordered = f.variables || o.variables, f.unordered || o.unordered
}

// Enter implements ast.Visitor.
func (c *mysqlCollector) Enter(n ast.Node) (ast.Node, bool) {
	switch v := n.(type) {
	case *ast.FuncCallExpr:
		name := v.FnName.L
		if v.Schema.O != "" {
			name = v.Schema.L + "." + name
		}
		c.calls = append(c.calls, name)
	case *ast.AggregateFuncExpr:
		c.calls = append(c.calls, strings.ToLower(v.F))
	case *ast.WindowFuncExpr:
		c.calls = append(c.calls, strings.ToLower(v.Name))
	case *ast.VariableExpr:
		c.variables = c.variables || v.Value != nil && !v.IsSystem
	case *ast.ColumnNameExpr:
		c.refs = append(c.refs, v.Name)
	case *ast.TableName:
		c.tables = append(c.tables, mysqlName(v))
	case *ast.SelectField:
		if v.WildCard != nil {
			c.wild = append(c.wild, v.WildCard.Table.O)
		}
	case *ast.ValuesExpr: // VALUES(c) of ON DUPLICATE KEY: the value that comes in
		return n, true
	case *ast.SelectStmt:
		c.unordered = c.unordered || v.Limit != nil && v.OrderBy == nil
	case *ast.SetOprStmt:
		c.unordered = c.unordered || v.Limit != nil && v.OrderBy == nil
	}
	return n, false
}

// Leave implements ast.Visitor.
func (c *mysqlCollector) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// reads are the columns of the target among the references; nil when one means the whole row.
func (f mysqlFacts) reads(t mysqlTarget) []string {
	out := []string{}
	for _, table := range f.wild {
		if table != "" && t.called("", table) {
			return nil
		}
	}
	for _, ref := range f.refs {
		if ref.Table.O == "" || t.called(ref.Schema.O, ref.Table.O) {
			out = append(out, ref.Name.O)
		}
	}
	return distinct(out)
}

// mysqlFunctionList holds the built-in functions by what a call does besides giving a value.
//
//go:embed mysql_functions.txt
var mysqlFunctionList string

var mysqlFunctions = sync.OnceValue(func() map[string]functionKind { return functionTable(mysqlFunctionList) })

// mysqlTypeNames may stand before a bracket and are no call.
var mysqlTypeNames = wordSet(`BIT BINARY CHAR DATETIME DECIMAL DEC DOUBLE ENUM FIXED FLOAT INT INTEGER BIGINT SMALLINT TINYINT MEDIUMINT
	NUMERIC REAL TEXT BLOB TIME TIMESTAMP VARBINARY VARCHAR YEAR NCHAR NVARCHAR VECTOR`)

// mysqlNotCalls are the keywords that a bracket may follow.
var mysqlNotCalls = wordSet(`ALL AND ANY AS BETWEEN BY CASE CHECK COLUMNS COMMENT DEFAULT DISTINCT ELSE END EXISTS FROM GROUP HAVING IN INDEX INTO IS
	JOIN KEY LIKE LIMIT NOT ON OR ORDER OVER PARTITION PRIMARY RANGE HASH LIST REFERENCES RETURNING SELECT SET SOME THAN THEN UNION UNIQUE UPDATE
	USING VALUES WHEN WHERE WITH XOR DIV MOD REGEXP RLIKE INTERVAL ENGINE SUBPARTITION`)

// tokenFacts are the calls among the tokens [from, to), where there is no tree.
func (p *mysqlParser) tokenFacts(from, to int) mysqlFacts {
	var f mysqlFacts
	for i := from; i < to; i++ {
		w := p.word(i)
		switch {
		case w == "" && (i >= len(p.tokens) || p.tokens[i].kind != tokenQuoted), p.punct(i+1) != '(', mysqlNotCalls[w], mysqlTypeNames[w] && p.word(i-1) == "AS":
		case p.word(i-1) == "REFERENCES", p.word(i-1) == "KEY", p.word(i-1) == "INDEX", p.word(i-1) == "INTO", p.word(i-1) == "PARTITION":
		case p.punct(i-1) == '.':
			f.calls = append(f.calls, strings.ToLower(unquoteToken(&p.source, max(i-2, 0))+"."+unquoteToken(&p.source, i)))
		default:
			f.calls = append(f.calls, strings.ToLower(unquoteToken(&p.source, i)))
		}
	}
	return f
}

// mysqlClock give the time at which the statement began.
var mysqlClock = wordSet(`now current_timestamp localtime localtimestamp curdate current_date curtime current_time utc_timestamp utc_date utc_time unix_timestamp`)

func mysqlClassify(name string) functionKind {
	if kind, ok := mysqlFunctions()[name]; ok {
		return kind
	}
	if strings.HasPrefix(name, "st_") || strings.HasPrefix(name, "mbr") || strings.HasPrefix(name, "json_") {
		return callPure
	}
	return callUnknown
}

// addOwn adds an effect that knows what it calls; addCalls adds what that does besides.
func (p *mysqlParser) addOwn(e Effect, f mysqlFacts) {
	e.Calls = unique(f.calls)
	e.Volatile = e.Volatile || e.Unordered || f.variables ||
		slices.ContainsFunc(e.Calls, func(name string) bool { return mysqlClassify(name) != callPure })
	e.Clock = e.Volatile && !e.Unordered && !f.variables && !strings.Contains(e.Detail, "LIMIT") &&
		!slices.ContainsFunc(e.Calls, func(name string) bool { return mysqlClassify(name) != callPure && !mysqlClock[name] })
	p.add(e)
}

func (p *mysqlParser) addCalls(f mysqlFacts) {
	for _, name := range unique(f.calls) {
		switch mysqlClassify(name) {
		case callUnknown:
			// A stored function runs any statement, and may commit.
			p.effects = append(p.effects, opaque("", "calls "+name+"()")...)
		case callSequence:
			p.add(Effect{Kind: Alter, Object: Object{Kind: "sequence"}, Detail: name})
		case callSession:
			p.add(Effect{Kind: Session, Detail: "calls " + name + "()"})
		case callExternal:
			p.add(Effect{Kind: External, Detail: "calls " + name + "()"})
		}
	}
}

func (p *mysqlParser) addWithCalls(e Effect, f mysqlFacts) {
	p.addOwn(e, f)
	p.addCalls(f)
}
