package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// sqliteAnew is the name of a table while it is filled.
const sqliteAnew = "dbrollback_anew"

// rebuild follows "Making Other Kinds Of Table Schema Changes" of https://www.sqlite.org/lang_altertable.html, within a savepoint.
func (v sqlite) rebuild(ctx context.Context, q engine.Querier, want, have, now Fingerprint, table engine.Name, order []string) (bool, error) {
	text, columns, ok := v.anew(want, have, now, table, order)
	if !ok {
		return false, nil
	}
	if alone, err := v.alone(ctx, q, table); err != nil || !alone {
		return false, err
	}
	if _, err := q.ExecContext(ctx, "SAVEPOINT dbrollback_rebuild"); err != nil {
		return false, fmt.Errorf("set a savepoint: %w", err)
	}
	done, failed := v.exchange(ctx, q, now, table, text, columns)
	calm := context.WithoutCancel(ctx)
	if failed != nil || !done {
		if _, err := q.ExecContext(calm, "ROLLBACK TO SAVEPOINT dbrollback_rebuild"); err != nil {
			return false, fmt.Errorf("go back to a savepoint: %w", err)
		}
	}
	if _, err := q.ExecContext(calm, "RELEASE SAVEPOINT dbrollback_rebuild"); err != nil {
		return false, fmt.Errorf("release a savepoint: %w", err)
	}
	if _, refused := engine.AsError(failed); refused && ctx.Err() == nil {
		return false, nil // rows do not fit, or something else hangs on the table
	}
	return done, failed
}

// anew gives the text of the table as it is to be, and the columns that hold values.
func (v sqlite) anew(want, have, now Fingerprint, table engine.Name, order []string) (text string, columns []string, ok bool) {
	is, there := now[Object{Kind: "table", Name: strings.ToLower(table.Name)}.Key()]
	if !there || len(is.Create) != 1 {
		return "", nil, false
	}
	t, ok := splitTable(is.Create[0])
	order = slices.Clone(order)
	for _, c := range t.columns { // what is kept for a rollback goes along
		if engine.Aside(c.name) {
			order = append(order, c.name)
		}
	}
	if !ok || len(t.columns) != len(order) {
		return "", nil, false
	}
	changed := false
	body := make([]string, 0, len(order)+len(t.constraints))
	for _, name := range order {
		i := slices.IndexFunc(t.columns, func(c sqliteElement) bool { return strings.EqualFold(c.name, name) })
		if i < 0 {
			return "", nil, false
		}
		c := t.columns[i]
		o, wanted := want[Object{Kind: "column", Name: strings.ToLower(table.Name + "." + c.name)}.Key()]
		if wanted && o.Definition != c.definition {
			written, found := strings.CutPrefix(o.Create[0], "ALTER TABLE "+v.db.Ident(table.Name)+" ADD COLUMN ")
			if !found {
				return "", nil, false
			}
			c.text, c.definition, changed = written, o.Definition, true
		}
		body = append(body, c.text)
		if words := strings.Fields(c.definition); !slices.Contains(words, "AS") {
			columns = append(columns, c.name)
		}
	}
	constraint := func(o Object) bool {
		return o.Table == table && slices.Contains([]string{"primary key", "unique", "check", "foreign key"}, o.Kind)
	}
	var kept []Object
	for _, c := range t.constraints {
		name := c.name
		if name == "" {
			name = c.definition
		}
		key := Object{Kind: c.kind, Name: strings.ToLower(table.Name + "." + name)}.Key()
		w, wanted := want[key]
		if _, known := have[key]; known && (!wanted || w.Definition != c.definition) {
			changed = true
			continue
		}
		kept = append(kept, now[key])
		body = append(body, c.text)
	}
	for _, o := range sorted(want) {
		if !constraint(o) || slices.ContainsFunc(kept, func(k Object) bool { return k.Key() == o.Key() }) {
			continue
		}
		changed = true
		if o.Text == "" {
			return "", nil, false // recorded before texts were
		}
		body = append(body, o.Text)
	}
	options := t.options
	if o, wanted := want[is.Key()]; wanted {
		options = strings.TrimSpace(strings.TrimPrefix(o.Definition, "TABLE"))
		changed = changed || options != t.options
	}
	return "CREATE TABLE " + v.db.Ident(sqliteAnew) + " (" + strings.Join(body, ", ") + ") " + options, columns, changed
}

// alone tells whether nobody notices when the table is made anew: DROP TABLE deletes rows that point to it where the connection checks
// foreign keys, and takes triggers of a journal along.
func (v sqlite) alone(ctx context.Context, q engine.Querier, table engine.Name) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM pragma_foreign_keys k, main.sqlite_schema s, pragma_foreign_key_list(s.name) f
			WHERE k.foreign_keys AND s.type = 'table' AND f."table" = ?1 COLLATE NOCASE)
		+ (SELECT count(*) FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE AND name LIKE 'dbrollback%')
		+ (SELECT count(*) FROM temp.sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE)`, table.Name).Scan(&n)
	return n == 0, err
}

// exchange fills the new table, makes sure that the rows are the same, and puts it into the old one's place.
func (v sqlite) exchange(ctx context.Context, q engine.Querier, now Fingerprint, table engine.Name, text string, columns []string) (bool, error) {
	anew, old := v.db.Ident(sqliteAnew), v.db.Ident(table.Name)
	var list []string
	for _, c := range columns {
		list = append(list, v.db.Ident(c))
	}
	if hidden, err := v.hidden(ctx, q, table, columns); err != nil {
		return false, err
	} else if hidden != "" {
		list = append(list, hidden)
	}
	names := strings.Join(list, ", ")
	if err := v.run(ctx, q, text, "INSERT INTO "+anew+" ("+names+") SELECT "+names+" FROM "+old); err != nil {
		return false, err
	}
	was, err := v.sum(ctx, q, old, list)
	if err != nil {
		return false, err
	}
	if is, err := v.sum(ctx, q, anew, list); err != nil || is != was {
		return false, err // of another type the values would be others
	}
	var sequences int
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_sequence'").Scan(&sequences); err != nil {
		return false, err
	}
	if sequences > 0 { // the next number of AUTOINCREMENT
		for _, stmt := range []string{
			"DELETE FROM sqlite_sequence WHERE name = ?1 AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?2 COLLATE NOCASE)",
			"INSERT INTO sqlite_sequence (name, seq) SELECT ?1, seq FROM sqlite_sequence WHERE name = ?2 COLLATE NOCASE",
		} {
			if _, err := q.ExecContext(ctx, stmt, sqliteAnew, table.Name); err != nil {
				return false, err
			}
		}
	}
	var legacy int
	if err := q.QueryRowContext(ctx, "PRAGMA legacy_alter_table").Scan(&legacy); err != nil {
		return false, err
	}
	defer func() {
		_, _ = q.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA legacy_alter_table = %d", legacy))
	}()
	// So that views and triggers that name the table stay as they are.
	if err := v.run(ctx, q, "PRAGMA legacy_alter_table = 1", "DROP TABLE "+old, "ALTER TABLE "+anew+" RENAME TO "+old); err != nil {
		return false, err
	}
	for _, o := range sorted(now) {
		if o.Table == table && (o.Kind == "index" || o.Kind == "trigger") {
			if err := v.run(ctx, q, o.Create...); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// hidden is the name of the number that a row has beside its columns; "" when it has none of its own.
func (v sqlite) hidden(ctx context.Context, q engine.Querier, table engine.Name, columns []string) (string, error) {
	var own bool
	err := q.QueryRowContext(ctx, `SELECT (SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE)
		OR (SELECT count(*) = 1 AND max(upper(type)) = 'INTEGER' FROM pragma_table_info(?1) WHERE pk > 0)`, table.Name).Scan(&own)
	if err != nil || own {
		return "", err
	}
	for _, name := range []string{"rowid", "oid", "_rowid_"} {
		if !slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, name) }) {
			return name, nil
		}
	}
	return "", nil
}

func (sqlite) run(ctx context.Context, q engine.Querier, statements ...string) error {
	for _, stmt := range statements {
		if _, err := q.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return nil
}

// sorted gives the objects of a fingerprint in the order in which they are made.
func sorted(f Fingerprint) []Object {
	out := make([]Object, 0, len(f))
	for _, o := range f {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b Object) int {
		if a.Rank != b.Rank {
			return a.Rank - b.Rank
		}
		return strings.Compare(a.Key(), b.Key())
	})
	return out
}
