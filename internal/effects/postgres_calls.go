package effects

import (
	_ "embed"
	"reflect"
	"strings"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// pgFacts is what an expression or a query holds that matters for its effects.
type pgFacts struct {
	calls     []string
	refs      []*pg.ColumnRef
	tables    []Name
	equal     [][2]*pg.ColumnRef // columns compared for equality
	unordered bool               // LIMIT without ORDER BY, TABLESAMPLE, SKIP LOCKED
}

// pgCollect walks through a tree of the grammar.
func pgCollect(nodes ...proto.Message) pgFacts {
	var f pgFacts
	for _, n := range nodes {
		f.walk(reflect.ValueOf(n))
	}
	return f
}

func (f *pgFacts) walk(m reflect.Value) {
	if m.IsNil() {
		return
	}
	switch v := m.Interface().(type) {
	case *pg.FuncCall:
		f.calls = append(f.calls, strings.Join(pgStrings(v.Funcname), "."))
	case *pg.SQLValueFunction:
		f.calls = append(f.calls, pgValueFunction(v.Op))
	case *pg.NextValueExpr:
		f.calls = append(f.calls, "nextval")
	case *pg.A_Expr:
		// OPERATOR(schema.+) may be anybody's.
		if op := pgStrings(v.Name); len(op) > 1 && op[0] != "pg_catalog" {
			f.calls = append(f.calls, strings.Join(op, "."))
		}
		f.equality(v)
	case *pg.ColumnRef:
		f.refs = append(f.refs, v)
	case *pg.RangeVar:
		f.tables = append(f.tables, pgRange(v))
	case *pg.SelectStmt:
		if (v.LimitCount != nil || v.LimitOffset != nil) && len(v.SortClause) == 0 || len(v.DistinctClause) > 0 && len(v.SortClause) == 0 && v.DistinctClause[0].GetNode() != nil {
			f.unordered = true
		}
	case *pg.RangeTableSample:
		f.unordered = true
	case *pg.LockingClause:
		if v.WaitPolicy == pg.LockWaitPolicy_LockWaitSkip {
			f.unordered = true
		}
	}
	for _, i := range pgChildren(m.Type().Elem()) {
		switch c := m.Elem().Field(i); c.Kind() {
		case reflect.Slice:
			for k := range c.Len() {
				f.walk(c.Index(k))
			}
		case reflect.Interface: // one of several kinds of nodes, in a wrapper of its own
			if !c.IsNil() {
				f.walk(c.Elem())
			}
		default:
			f.walk(c)
		}
	}
}

func (f *pgFacts) equality(v *pg.A_Expr) {
	l, r := v.Lexpr.GetColumnRef(), v.Rexpr.GetColumnRef()
	if op := pgStrings(v.Name); v.Kind == pg.A_Expr_Kind_AEXPR_OP && len(op) > 0 && op[len(op)-1] == "=" && l != nil && r != nil {
		f.equal = append(f.equal, [2]*pg.ColumnRef{l, r})
	}
}

// pgFields are the fields of the grammar's structs that hold other nodes, by type. Reflection over Go's own structs
// takes a third of the time that reflection over the messages takes.
var pgFields sync.Map // reflect.Type -> []int

func pgChildren(t reflect.Type) []int {
	if known, ok := pgFields.Load(t); ok {
		return known.([]int)
	}
	var out []int
	for i := range t.NumField() {
		field := t.Field(i)
		kind := field.Type
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		node := kind.Kind() == reflect.Pointer && kind.Elem().Kind() == reflect.Struct || kind.Kind() == reflect.Interface
		if field.IsExported() && node {
			out = append(out, i)
		}
	}
	pgFields.Store(t, out)
	return out
}

func pgValueFunction(op pg.SQLValueFunctionOp) string {
	name := strings.ToLower(strings.TrimPrefix(op.String(), "SVFOP_"))
	return strings.TrimSuffix(name, "_n")
}

// functionKind says what calling a function does besides giving a value.
type functionKind uint8

const (
	callUnknown  functionKind = iota // of the user or an extension: may do anything
	callPure                         // gives the same again within a transaction
	callVolatile                     // gives something else each time, and does nothing
	callSequence                     // moves a sequence
	callSession                      // changes the session
	callExternal                     // reaches out of the transaction
)

// The lists are made of the server's own catalog (pg_proc): what it calls immutable or stable is
// pure; its volatile functions are sorted by hand. See postgres_functions.txt.
//
//go:embed postgres_functions.txt
var pgFunctionList string

var pgFunctions = sync.OnceValue(func() map[string]functionKind { return functionTable(pgFunctionList) })

// functionTable reads lines of the form "kind: names".
func functionTable(list string) map[string]functionKind {
	kinds := map[string]functionKind{"pure": callPure, "extension": callPure, "volatile": callVolatile,
		"sequence": callSequence, "session": callSession, "external": callExternal}
	out := make(map[string]functionKind, 2048)
	for _, line := range strings.Split(list, "\n") {
		kind, names, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		for _, name := range strings.Fields(names) {
			out[name] = kinds[kind]
		}
	}
	return out
}

// pgClassify wants the name without pg_catalog.
func pgClassify(name string) functionKind {
	if strings.Contains(name, ".") {
		return callUnknown
	}
	if kind, ok := pgFunctions()[name]; ok {
		return kind
	}
	switch {
	case strings.HasPrefix(name, "dblink"):
		return callExternal
	case strings.HasPrefix(name, "st_") || strings.HasPrefix(name, "_st_"): // PostGIS
		return callPure
	}
	return callUnknown
}

// addWithCalls adds an effect, and what the functions that the statement calls do besides.
func (s *pgStatement) addWithCalls(e Effect, calls []string) {
	e.Calls = append(e.Calls, unique(calls)...)
	at := len(s.effects)
	s.add(e)
	seen := map[string]bool{}
	for _, name := range e.Calls {
		name = strings.TrimPrefix(name, "pg_catalog.")
		if seen[name] {
			continue
		}
		seen[name] = true
		switch pgClassify(name) {
		case callUnknown:
			s.effects[at].Volatile = true
			s.add(Effect{Kind: Opaque, Volatile: true, Detail: "calls " + name + "()"})
		case callVolatile:
			s.effects[at].Volatile = true
		case callSequence:
			s.effects[at].Volatile = true
			for _, sequence := range s.sequencesOf(name) {
				s.add(Effect{Kind: Alter, Object: Object{Kind: "sequence", Name: sequence}, Detail: name})
			}
		case callSession:
			s.effects[at].Volatile = true
			s.add(Effect{Kind: Session, Detail: "calls " + name + "()"})
		case callExternal:
			s.effects[at].Volatile = true
			s.add(Effect{Kind: External, Detail: "calls " + name + "()"})
		}
	}
}

// sequencesOf are the names that nextval('…') or setval('…') give as literals; one without a name
// stands for all others.
func (s *pgStatement) sequencesOf(call string) []Name {
	var out []Name
	unnamed := false
	for i := range s.tokens {
		if !strings.EqualFold(s.word(i), call) || s.punct(i+1) != '(' || i+2 >= len(s.tokens) {
			continue
		}
		if s.tokens[i+2].kind != tokenString {
			unnamed = true
			continue
		}
		out = append(out, pgTextName(unquote(s.text(s.tokens[i+2].start, s.tokens[i+2].end))))
	}
	if unnamed || len(out) == 0 {
		out = append(out, Name{})
	}
	return out
}

// pgTextName folds a name inside a string as regclass does.
func pgTextName(text string) Name {
	var parts []string
	for _, t := range lex(Postgres, text, false) {
		switch piece := text[t.start:t.end]; t.kind {
		case tokenWord:
			parts = append(parts, strings.ToLower(piece))
		case tokenQuoted:
			parts = append(parts, strings.ReplaceAll(strings.Trim(piece, `"`), `""`, `"`))
		}
	}
	return pgName(parts)
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, x := range list {
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}
