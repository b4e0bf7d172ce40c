package snapshot

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

//go:embed postgres_columns.sql
var postgresColumns string

// postgresLiteral is a default that is the same for every row, as the server prints it.
var postgresLiteral = regexp.MustCompile(`^\(?('(?:[^']|'')*'|-?[0-9]+(\.[0-9]+)?|true|false)\)?(::[a-z][a-z0-9_ "\[\](),]*)?$`)

func (d postgresDialect) columnsKeepable(ctx context.Context, q engine.Querier, t *engine.Table, columns []string) (bool, error) {
	for _, n := range columns { // a type or a collation of the user's could be dropped meanwhile, and the column with it
		if c := t.Columns[columnIndex(t, n)]; !c.Portable || c.Collation != "" {
			return false, nil
		}
	}
	ok, err := number(ctx, q, "see whether columns of "+t.Name.String()+" can be kept", postgresColumns, append(engine.Prepared(d.s.db), int64(t.OID))...)
	return ok == 1, err
}

// asideColumns lets the server drop the columns in a savepoint, for its own verdict and to see what goes along; then it takes that off, renames
// the columns and makes sure that nothing else is different.
func (d postgresDialect) asideColumns(ctx context.Context, c *Capturer, q engine.Querier, x *capture, cascade bool, run, record func() error) error {
	s, t := d.s, x.live
	scope := verify.Scope{Tables: []engine.Name{t.Name}}
	if cascade {
		scope = verify.Scope{}
	}
	before, err := verify.Take(ctx, s.db, q, scope)
	if err != nil {
		return err
	}
	var left verify.Fingerprint
	err = s.within(ctx, q, "dbrollback_verdict", false, func() error {
		if err := run(); err != nil {
			return err
		}
		var err error
		left, err = verify.Take(ctx, s.db, q, scope)
		return err
	})
	if err != nil {
		return err
	}
	script, ok := d.unname(c, x, before, left)
	if !ok {
		return errCopied
	}
	return s.leaving(ctx, q, t.Name, scope, left, "SET CONSTRAINTS ALL IMMEDIATE;\n"+strings.Join(script, ";\n"), record)
}

// unname gives the statements that do what a DROP COLUMN did, but leave the values; false when it did something that they cannot do.
func (d postgresDialect) unname(c *Capturer, x *capture, before, left verify.Fingerprint) ([]string, bool) {
	s, t := d.s, x.live
	var gone []verify.Object
	view := func(o verify.Object) bool { return o.Kind == "view" || o.Kind == "materialized view" }
	of := func(o verify.Object) bool { // of a view that is gone
		_, there := left["view "+o.Table.String()]
		_, stored := left["materialized view "+o.Table.String()]
		return !view(o) && o.Table != t.Name && !there && !stored && (before["view "+o.Table.String()].Name != "" || before["materialized view "+o.Table.String()].Name != "")
	}
	for key, o := range before {
		now, there := left[key]
		switch {
		case there && now.Definition == o.Definition, !there && of(o):
		case there, o.Kind != "column" && o.Kind != "comment" && len(o.Drop) == 0:
			return nil, false
		default:
			gone = append(gone, o)
		}
	}
	marked := false
	var script, names []string
	own := map[string]bool{} // what stays with a column, out of sight
	for i, f := range x.Fields {
		col := t.Columns[columnIndex(t, f.At)]
		given := postgresLiteral.MatchString(col.Default)
		x.Aside.Given = append(x.Aside.Given, given)
		marked = marked || given || !col.NotNull && c.given(t, f.At)
		name := t.Name.String() + "." + f.At
		own["column "+name], own["column options "+name] = true, true
		own["default "+name], own["not null "+name] = given, given
		names = append(names, fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", s.db.Quote(t.Name), s.q(f.At), s.q(x.Aside.Names[i])))
	}
	slices.SortFunc(gone, func(a, b verify.Object) int { return b.Rank - a.Rank })
	for _, o := range gone {
		switch {
		case own[o.Key()], o.Kind == "comment": // goes with what it is about, or stays with the column
		case o.Kind == "column":
			return nil, false // another one
		case view(o):
			script = append(script, strings.Replace(o.Drop[0], "VIEW ", "VIEW IF EXISTS ", 1)+" CASCADE")
		default:
			script = append(script, o.Drop...)
		}
	}
	script = append(script, names...)
	if marked {
		x.Aside.Since = engine.SinceColumn + compact(x.ID)
		alter := "ALTER TABLE " + s.db.Quote(t.Name)
		script = append(script, alter+" ADD COLUMN "+s.q(x.Aside.Since)+" boolean DEFAULT false", alter+" ALTER COLUMN "+s.q(x.Aside.Since)+" SET DEFAULT true")
	}
	return script, true
}

func (d postgresDialect) columnsAgain(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) error {
	s := d.s
	alter := "ALTER TABLE " + s.db.Quote(t.Name) + " "
	var script []string
	for i, f := range x.Fields {
		if !x.Aside.Given[i] {
			script = append(script, alter+"ALTER COLUMN "+s.q(f.Name)+" DROP DEFAULT", alter+"ALTER COLUMN "+s.q(f.Name)+" DROP NOT NULL")
		}
		script = append(script, alter+"RENAME COLUMN "+s.q(f.Name)+" TO "+s.q(x.Aside.Names[i]))
	}
	if x.Aside.Since != "" {
		script = append(script, alter+"ADD COLUMN "+s.q(x.Aside.Since)+" boolean DEFAULT false", alter+"ALTER COLUMN "+s.q(x.Aside.Since)+" SET DEFAULT true")
	}
	_, err := q.ExecContext(ctx, strings.Join(script, ";\n"))
	return err
}

func (d postgresDialect) reserved(ctx context.Context, q engine.Querier) ([]reservedColumn, error) {
	return d.s.reservedBy(ctx, q, `SELECT n.nspname, c.relname, a.attname FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT a.attisdropped AND a.attname LIKE 'dbrollback\_%' AND a.attnum > 0`)
}

// reservedBy reads schema, table and column of columns that may lie aside.
func (s *Store) reservedBy(ctx context.Context, q engine.Querier, query string) ([]reservedColumn, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("look for kept columns: %w", err)
	}
	defer rows.Close()
	var out []reservedColumn
	for rows.Next() {
		var c reservedColumn
		if err := rows.Scan(&c.table.Schema, &c.table.Name, &c.name); err != nil {
			return nil, fmt.Errorf("look for kept columns: %w", err)
		}
		if engine.Aside(c.name) {
			out = append(out, c)
		}
	}
	return out, rows.Err()
}

func (d postgresDialect) columnsBack(ctx context.Context, q engine.Querier, x *capture, t *engine.Table, _ []string) error {
	s := d.s
	alter := "ALTER TABLE " + s.db.Quote(t.Name)
	script := []string{"SET CONSTRAINTS ALL IMMEDIATE"}
	for i, f := range x.Fields {
		aside, given, err := d.notNulls(ctx, q, t, x.Aside.Names[i], f.Name)
		if err != nil {
			return fmt.Errorf("put columns of %s back: %w", x.Home, err)
		}
		script = append(script, alter+" DROP COLUMN "+s.q(f.Name), alter+" RENAME COLUMN "+s.q(x.Aside.Names[i])+" TO "+s.q(f.Name))
		if given != "" && strings.Contains(aside, "_"+strings.TrimSuffix(engine.AsideColumn, "_")) {
			script = append(script, alter+" RENAME CONSTRAINT "+s.q(aside)+" TO "+s.q(given))
		}
	}
	if x.Aside.Since != "" {
		script = append(script, alter+" DROP COLUMN "+s.q(x.Aside.Since))
	}
	if _, err := q.ExecContext(ctx, strings.Join(script, ";\n")); err != nil {
		return fmt.Errorf("put columns of %s back: %w", x.Home, err)
	}
	return nil
}

// notNulls gives the names of the NOT NULL constraints of a column that lies aside and of the one that Down has made: since PostgreSQL 18 they
// have names, and a table that was made again with a column aside names it after that.
func (d postgresDialect) notNulls(ctx context.Context, q engine.Querier, t *engine.Table, aside, column string) (a, c string, err error) {
	const name = `coalesce((SELECT c.conname::text FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
		WHERE c.contype = 'n' AND c.conrelid = $1::bigint::oid AND NOT a.attisdropped AND a.attname = $%d::text), '')`
	err = q.QueryRowContext(ctx, fmt.Sprintf("SELECT "+name+", "+name, 2, 3), int64(t.OID), aside, column).Scan(&a, &c)
	return a, c, err
}
