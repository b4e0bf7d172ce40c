package snapshot

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// SQLite renames a column in no time, and writes the whole table when it drops one. So a column is renamed only where a DROP COLUMN would
// succeed for sure, and on the way back it is renamed in place of the statement that adds it. Defaults cannot be changed: rows that are
// inserted meanwhile have the one that the column had.

// sqliteLiteral is a default that is the same for every row.
var sqliteLiteral = regexp.MustCompile(`^('(?:[^']|'')*'|-?[0-9]+(\.[0-9]+)?|NULL)$`)

func (d sqliteDialect) columnsKeepable(ctx context.Context, q engine.Querier, t *engine.Table, columns []string) (bool, error) {
	if len(columns) != 1 {
		return false, nil
	}
	col := t.Columns[columnIndex(t, columns[0])]
	if col.NotNull && col.Default == "" || col.Default != "" && !sqliteLiteral.MatchString(col.Default) {
		return false, nil
	}
	ours, err := number(ctx, q, "look for triggers", "SELECT count(*) FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE AND name LIKE 'dbrollback%'", t.Name.Name)
	if err != nil || ours > 0 {
		return false, err
	}
	all, err := verify.Take(ctx, d.s.db, q, verify.Scope{})
	if err != nil {
		return false, err
	}
	own := strings.ToLower(t.Name.Name + "." + col.Name)
	for _, o := range all {
		words := engine.SQLiteTokens(o.Definition)
		mentions := func(list ...string) bool {
			return slices.ContainsFunc(words, func(w string) bool {
				return slices.ContainsFunc(list, func(n string) bool { return strings.EqualFold(strings.Trim(w, "\"`[]'"), n) })
			})
		}
		switch {
		case o.Kind == "column" && o.Name == own:
			if mentions("PRIMARY", "UNIQUE", "REFERENCES", "CHECK", "GENERATED", "AS") {
				return false, nil
			}
		case (o.Kind == "view" || o.Kind == "trigger" || strings.EqualFold(o.Table.Name, t.Name.Name)) && mentions(col.Name):
			return false, nil
		}
	}
	return true, nil
}

func (d sqliteDialect) asideColumns(ctx context.Context, _ *Capturer, q engine.Querier, x *capture, _ bool, _, record func() error) error {
	s, t := d.s, x.live
	scope := verify.Scope{Tables: []engine.Name{t.Name}}
	left, err := verify.Take(ctx, s.db, q, scope)
	if err != nil {
		return err
	}
	delete(left, verify.Object{Kind: "column", Name: strings.ToLower(t.Name.Name + "." + x.Fields[0].At)}.Key())
	x.Aside.Given = []bool{t.Columns[columnIndex(t, x.Fields[0].At)].Default != ""}
	return s.leaving(ctx, q, t.Name, scope, left, d.renaming(t, x.Fields[0].At, x.Aside.Names[0]), record)
}

func (d sqliteDialect) renaming(t *engine.Table, from, to string) string {
	return fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", d.s.db.Quote(t.Name), d.s.q(from), d.s.q(to))
}

func (d sqliteDialect) reserved(ctx context.Context, q engine.Querier) ([]reservedColumn, error) {
	return d.s.reservedBy(ctx, q, `SELECT '', m.name, i.name FROM main.sqlite_schema m, pragma_table_info(m.name) i
		WHERE m.type = 'table' AND m.sql LIKE '%dbrollback\_%' ESCAPE '\' AND i.name LIKE 'dbrollback\_%' ESCAPE '\'`)
}

func (d sqliteDialect) columnsBack(ctx context.Context, q engine.Querier, x *capture, t *engine.Table, _ []string) error {
	for _, query := range []string{"ALTER TABLE " + d.s.db.Quote(t.Name) + " DROP COLUMN " + d.s.q(x.Fields[0].Name), d.renaming(t, x.Aside.Names[0], x.Fields[0].Name)} {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("put columns of %s back: %w", x.Home, err)
		}
	}
	return nil
}

func (d sqliteDialect) columnsAgain(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) error {
	_, err := q.ExecContext(ctx, d.renaming(t, x.Fields[0].Name, x.Aside.Names[0]))
	return err
}

// Instead gives the statement that gives a kept column its name again in place of one of Down that adds it; "" when that is not the same. add runs
// Down's own: it is tried, and taken back.
func (r *Restorer) Instead(ctx context.Context, q engine.Querier, st effects.Statement, add func() error) (string, error) {
	d, ok := r.s.d.(sqliteDialect)
	if !ok || len(st.Effects) != 1 || st.Effects[0].Kind != effects.AddColumn || len(st.Effects[0].Columns) != 1 {
		return "", nil
	}
	for _, x := range r.pendingColumns() {
		e, f := st.Effects[0], x.Fields[0]
		t, err := r.inspect(ctx, q, x.Home)
		if err != nil {
			return "", err
		}
		if t == nil || !strings.EqualFold(e.Table.Name, t.Name.Name) || !strings.EqualFold(e.Columns[0], f.Name) || !holds(t, x.capture) {
			continue
		}
		same := false
		err = r.s.within(ctx, q, "dbrollback_try", false, func() error {
			if err := add(); err != nil {
				return err
			}
			made, err := r.inspect(ctx, q, x.Home)
			if err != nil || columnIndex(made, f.Name) < 0 {
				return err
			}
			same = r.sameAgain(x.capture, made) && x.Shape.Columns[columnIndex(x.Shape, f.At)].Default == made.Columns[columnIndex(made, f.Name)].Default
			return nil
		})
		if err != nil || !same {
			return "", nil // it fails as it would, or Place sees to it
		}
		x.back = true
		r.of(x.Home).Updated += x.Rows
		r.of(x.Home).Kept += x.Rows
		return d.renaming(t, x.Aside.Names[0], f.Name), nil
	}
	return "", nil
}
