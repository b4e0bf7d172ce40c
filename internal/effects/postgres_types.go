package effects

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// pgBuiltinTypes are the names that format_type prints for the catalog's own.
var pgBuiltinTypes = map[string]string{
	"int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision",
	"bool": "boolean", "varchar": "character varying", "varbit": "bit varying",
	"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
	"time": "time without time zone", "timetz": "time with time zone",
}

// pgSerials are the types that are an integer with a sequence of its own.
var pgSerials = map[string]string{
	"serial": "integer", "serial4": "integer", "bigserial": "bigint", "serial8": "bigint",
	"smallserial": "smallint", "serial2": "smallint",
}

// pgType prints a type as format_type does.
func pgType(t *pg.TypeName) string {
	if t == nil {
		return ""
	}
	name := pgName(pgStrings(t.Names))
	builtin := name.Schema == "" || name.Schema == "pg_catalog"
	var mods []string
	for _, m := range t.Typmods {
		mods = append(mods, pgTypmod(m))
	}
	args := ""
	if len(mods) > 0 {
		args = "(" + strings.Join(mods, ",") + ")"
	}
	out := ""
	switch known, ok := pgBuiltinTypes[name.Name]; {
	case builtin && name.Name == "interval":
		out = "interval" + pgInterval(mods)
	case builtin && name.Name == "bpchar" && args != "":
		out = "character" + args
	case builtin && ok && args != "" && strings.Contains(known, " time zone"):
		word, rest, _ := strings.Cut(known, " ")
		out = word + args + " " + rest
	case builtin && ok:
		out = known + args
	case builtin && name.Name == "char" && name.Schema == "":
		out = `"char"`
	case name.Schema == "pg_catalog":
		out = name.Name + args
	case name.Schema != "":
		out = pgQuoteIdent(name.Schema) + "." + pgQuoteIdent(name.Name) + args
	default:
		out = pgQuoteIdent(name.Name) + args
	}
	if t.PctType {
		out += "%TYPE"
	}
	if len(t.ArrayBounds) > 0 {
		out += "[]"
	}
	if t.Setof {
		out = "SETOF " + out
	}
	return out
}

func pgTypmod(n *pg.Node) string {
	switch v := n.GetNode().(type) {
	case *pg.Node_AConst:
		switch c := v.AConst.GetVal().(type) {
		case *pg.A_Const_Ival:
			return strconv.Itoa(int(c.Ival.Ival))
		case *pg.A_Const_Fval:
			return c.Fval.Fval
		case *pg.A_Const_Sval:
			return c.Sval.Sval
		}
	case *pg.Node_ColumnRef:
		return strings.Join(pgStrings(v.ColumnRef.Fields), ".")
	case *pg.Node_AExpr: // a negative scale
		return "-" + pgTypmod(v.AExpr.Rexpr)
	}
	return "?"
}

// pgInterval prints the fields and the precision of an interval; the first modifier is a bit mask.
func pgInterval(mods []string) string {
	if len(mods) == 0 {
		return ""
	}
	fields := map[string]string{
		"4": " year", "2": " month", "8": " day", "1024": " hour", "2048": " minute", "4096": " second",
		"6": " year to month", "1032": " day to hour", "3080": " day to minute", "7176": " day to second",
		"3072": " hour to minute", "7168": " hour to second", "6144": " minute to second",
	}
	out := fields[mods[0]]
	if len(mods) > 1 {
		out += "(" + mods[1] + ")"
	}
	return out
}

// pgQuoteIdent quotes a name where format_type would.
func pgQuoteIdent(s string) string {
	plain := s != "" && !isDigit(s[0])
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c == '_' || isDigit(c) || c >= 'a' && c <= 'z'
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// pgTypes prints the types of a list.
func pgTypes(nodes []*pg.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		switch v := n.GetNode().(type) {
		case *pg.Node_TypeName:
			out = append(out, pgType(v.TypeName))
		case *pg.Node_FunctionParameter:
			p := v.FunctionParameter
			if p.Mode != pg.FunctionParameterMode_FUNC_PARAM_OUT && p.Mode != pg.FunctionParameterMode_FUNC_PARAM_TABLE {
				out = append(out, pgType(p.ArgType))
			}
		}
	}
	return out
}
