package snapshot

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// meaning is what a text that a person wrote means as a value of a column.
type meaning struct {
	never bool   // no value of the column looks like that
	expr  string // the value, of the text as the one argument; NULL, or an error, where there is none
	plain string // without expr: what Shown would show
}

// Meant gives the i-th value of a key as Shown shows it (7 for 07), from what a person wrote; false when no row can have it.
func (s *Store) Meant(ctx context.Context, q engine.Querier, f *Form, t *engine.Table, i int, text string) (string, bool, error) {
	x := f.c.Key[i]
	j := columnIndex(t, x.Name)
	if j < 0 { // the table has become another since
		return text, true, nil
	}
	m := s.f.meant(t, t.Columns[j], text)
	if m.never || m.expr == "" {
		return m.plain, !m.never, nil
	}
	var out *string
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM (SELECT %s AS k) y", s.shown(s.f.value("y.k", x), x), m.expr), text).Scan(&out)
	switch {
	case engine.Answered(err):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("read the key %s: %w", text, err)
	case out == nil:
		return "", false, nil
	}
	return *out, true, nil
}

var (
	integer = regexp.MustCompile(`^\s*[-+]?[0-9]+\s*$`)
	decimal = regexp.MustCompile(`^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$`)
	hexed   = regexp.MustCompile(`^0[xX]([0-9a-fA-F]{2})*$`)
)

func postgresMeant(_ *engine.Table, c engine.Column, text string) meaning {
	if strings.HasPrefix(c.Type, "character") { // a cast would cut it
		return meaning{plain: text}
	}
	return meaning{expr: "CAST($1::text AS " + c.Type + ")"}
}

// sqliteMeant: a column takes values of every type, but for the one that is another name of the rowid.
func sqliteMeant(t *engine.Table, c engine.Column, text string) meaning {
	number := integer.MatchString(text)
	switch kind := strings.ToUpper(c.Type); {
	case number && strings.Contains(kind, "INT"):
		return meaning{expr: "CAST(? AS INTEGER)"}
	case kind == "INTEGER" && t.RowID && len(t.Keys) > 0 && t.Keys[0].Primary && len(t.Keys[0].Columns) == 1:
		return meaning{never: true}
	}
	return meaning{plain: text}
}

func mysqlMeant(_ *engine.Table, c engine.Column, text string) meaning {
	switch t := mysqlTyped(c.Base); t.family() {
	case wholeNumber:
		return meaning{never: !integer.MatchString(text), expr: "CAST(? AS DECIMAL(65, 0))"}
	case fixed:
		return meaning{never: !decimal.MatchString(text), expr: "CAST(? AS DECIMAL" + t.args + ")"}
	case floating:
		return meaning{never: !decimal.MatchString(text), expr: "(? + 0e0)"}
	case bytes: // shown in hexadecimal
		if hexed.MatchString(text) {
			return meaning{plain: "0x" + strings.ToUpper(text[2:])}
		}
		return meaning{plain: fmt.Sprintf("0x%X", text)}
	case label:
		return meaning{never: !strings.Contains(t.args, "'"+strings.ReplaceAll(text, "'", "''")+"'"), plain: text}
	case moment:
		return meaning{expr: "CAST(? AS DATETIME(6))"}
	case other:
		switch t.kind {
		case "datetime", "date", "time", "uuid", "inet4", "inet6":
			return meaning{expr: "CAST(? AS " + t.kind + t.args + ")"}
		}
	}
	return meaning{plain: text}
}
