package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

type sqliteDialect struct{ s *Store }

var sqliteFlavour = flavour{
	number:    "n INTEGER PRIMARY KEY",
	timestamp: "text",
	hash:      "blob",
	bytes:     "X'%x'",
	locks:     func(bool) string { return "the whole file, against writers" },
	// A column without a type keeps every value exactly as it comes.
	store:     func(engine.Column) (string, bool) { return "", false },
	value:     func(ref string, _ field) string { return ref },
	back:      func(ref string, _ field, _ engine.Column) string { return ref },
	scans:     true,
	weigh:     sqliteWeigh,
	unchecked: sqliteUnchecked,
	asked: func(_ context.Context, _ engine.Querier, ref string, _ field, collation string) (string, error) {
		if collation != "" {
			ref += " COLLATE " + collation
		}
		return ref, nil
	},
	condition: func(f field) string { return sqliteAffinity(f.Type) },
	column: func(_ context.Context, _ engine.Querier, f field) (engine.Column, error) {
		return engine.Column{Type: f.Type, Portable: true}, nil
	},
	alike: func(live, kept string, _ field, now engine.Column) string {
		if now.Collation != "" {
			live += " COLLATE " + now.Collation
		}
		return live + " = " + kept
	},
	sets: true,
	match: func(live, kept string, f field, now engine.Column) string {
		if f.Type != now.Type && sqliteText(now.Type) { // numbers become texts there, and two columns are compared as they are
			kept = "CASE WHEN typeof(" + kept + ") IN ('integer', 'real') THEN CAST(" + kept + " AS TEXT) ELSE " + kept + " END"
		}
		// The first comparison can use an index of the live table, whatever its collation; the second is exact.
		match := live + " = " + kept + " AND " + live + " = " + kept + " COLLATE BINARY"
		if f.Type == now.Type { // no value was made another: an index over what is kept can be used, too
			match += " AND " + kept + " = +" + live
		}
		return match
	},
	text: func(ref string, _ field) string {
		return "CASE typeof(" + ref + ") WHEN 'blob' THEN 'x''' || hex(" + ref + ") || '''' ELSE coalesce(CAST(" + ref + " AS TEXT), 'NULL') END"
	},
	meant: sqliteMeant,
	from:  func(db *engine.DB, t *engine.Table) string { return db.Quote(t.Name) },
	address: func(t *engine.Table) string {
		for _, name := range []string{"rowid", "oid"} {
			if !slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return strings.EqualFold(c.Name, name) }) {
				return "t." + name
			}
		}
		return "t._rowid_"
	},
	size: func(ctx context.Context, q engine.Querier, table string) (int64, error) {
		return number(ctx, q, "measure a capture", "SELECT sum(pgsize) FROM dbstat WHERE name = ? AND aggregate = 1", strings.Trim(table, `"`))
	},
	ours: func(ctx context.Context, q engine.Querier) ([]string, error) {
		return engine.Texts(ctx, q, `SELECT name FROM main.sqlite_schema WHERE type = 'table' AND (name LIKE 'dbrollback\_%' ESCAPE '\' OR name = 'state_snapshots')`)
	},
	observable: func(ctx context.Context, q engine.Querier, t *engine.Table) (bool, error) {
		// A row that gives way to another one of the same unique value fires no trigger.
		var text string
		if err := q.QueryRowContext(ctx, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", t.Name.Name).Scan(&text); err != nil {
			return false, fmt.Errorf("read the definition of %s: %w", t.Name, err)
		}
		return !strings.Contains(strings.Join(strings.Fields(strings.ToUpper(text)), " "), "ON CONFLICT REPLACE"), nil
	},
	sequences: func(ctx context.Context, q engine.Querier, _ *Store, t *engine.Table) ([]Sequence, error) {
		last, ok, err := sqliteSequence(ctx, q, t.Name.Name)
		if err != nil || !ok {
			return nil, err
		}
		return []Sequence{{Name: t.Name, Last: last}}, nil
	},
	skip:    " ON CONFLICT DO NOTHING",
	nothing: " WHERE 1 = 0",
	yes:     "1",
	shown:   `SELECT name FROM sqlite_schema WHERE type = 'view'`,
	recent:  sqliteRecent,
	system: func(n engine.Name) bool {
		return slices.Contains([]string{"sqlite_schema", "sqlite_master"}, strings.ToLower(n.Name))
	},
	raise:    sqliteRaise,
	climb:    sqliteRaise,
	standing: sqliteStanding,
	hidden:   hiddenName,
	unseen:   fillsVirtual,
}

// sqliteSequence reads how far AUTOINCREMENT has come for a table.
func sqliteSequence(ctx context.Context, q engine.Querier, table string) (last int64, ok bool, err error) {
	there, err := number(ctx, q, "read sequences", "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_sequence'")
	if err != nil || there == 0 {
		return 0, false, err
	}
	err = q.QueryRowContext(ctx, "SELECT seq FROM main.sqlite_sequence WHERE name = ?", table).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read sequences: %w", err)
	}
	return last, true, nil
}

// sqliteStanding reads how far AUTOINCREMENT has come for all tables.
func sqliteStanding(ctx context.Context, q engine.Querier, _ *Store, all bool, _ []engine.Name) (out []Sequence, err error) {
	there, err := number(ctx, q, "read sequences", "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_sequence'")
	if err != nil || there == 0 || !all {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT name, seq FROM main.sqlite_sequence")
	if err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x Sequence
		if err := rows.Scan(&x.Name.Name, &x.Last); err != nil {
			return nil, fmt.Errorf("read sequences: %w", err)
		}
		x.Table = x.Name
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	return out, nil
}

func sqliteRaise(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, old []Sequence) error {
	var want int64
	for _, o := range old {
		if strings.EqualFold(o.Name.Name, t.Name.Name) {
			want = max(want, o.Last)
		}
	}
	if want == 0 {
		return nil
	}
	var text string
	if err := q.QueryRowContext(ctx, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", t.Name.Name).Scan(&text); err != nil {
		return fmt.Errorf("raise the sequence of %s: %w", t.Name, err)
	}
	if !strings.Contains(strings.ToUpper(text), "AUTOINCREMENT") {
		return nil
	}
	last, ok, err := sqliteSequence(ctx, q, t.Name.Name)
	switch {
	case err != nil:
		return err
	case !ok:
		_, err = exec(ctx, q, "raise a sequence", "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", t.Name.Name, want)
	case last < want:
		_, err = exec(ctx, q, "raise a sequence", "UPDATE main.sqlite_sequence SET seq = ? WHERE name = ?", want, t.Name.Name)
	}
	return err
}

// sqliteWeigh measures a table where the user has had his own measured: of one that is not, SQLite thinks that it has a million rows, and reads theirs whole rather than that. What it writes
// down goes with the table.
func sqliteWeigh(ctx context.Context, q engine.Querier, table string) error {
	measured, err := number(ctx, q, "look for statistics", "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_stat1'")
	if err != nil || measured == 0 {
		return err
	}
	_, err = exec(ctx, q, "measure a comparison", "ANALYZE "+table)
	return err
}

// lock has nothing to do: the transaction is the only writer since it began.
func (d sqliteDialect) lock(context.Context, engine.Querier, []*engine.Table, bool) error { return nil }

// pin has nothing to do: values are kept as they are.
func (d sqliteDialect) pin(context.Context, engine.Querier) (func(context.Context) error, error) {
	return func(context.Context) error { return nil }, nil
}

func (d sqliteDialect) shapes(ctx context.Context, q engine.Querier) (shapes, error) {
	rows, err := q.QueryContext(ctx, `SELECT l.name, x.name, x.type FROM pragma_table_list l, pragma_table_xinfo(l.name, 'main') x
		WHERE l.schema = 'main' AND l.type IN ('table', 'virtual') AND x.hidden <> 1 ORDER BY l.name, x.cid`)
	if err != nil {
		return nil, fmt.Errorf("read the names of all tables: %w", err)
	}
	defer rows.Close()
	out := shapes{}
	for rows.Next() {
		var t tableShape
		var c columnShape
		if err := rows.Scan(&t.Name.Name, &c.Name, &c.Type); err != nil {
			return nil, fmt.Errorf("read the names of all tables: %w", err)
		}
		if d.s.db.Mine(t.Name) {
			continue
		}
		id := strings.ToLower(t.Name.Name)
		if _, ok := out[id]; !ok {
			t.Columns = map[string]columnShape{}
			out[id] = t
		}
		out[id].Columns[strings.ToLower(c.Name)] = c
	}
	return out, rows.Err()
}

// shield drops the triggers of the tables and makes them again from their own text. Foreign keys wait for lift.
func (d sqliteDialect) shield(ctx context.Context, q engine.Querier, tables []*engine.Table) (func(context.Context, map[engine.Name]int64) error, error) {
	var again []string
	indexes, err := d.over(ctx, q, tables)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		names, texts, err := triggersOf(ctx, q, t, false)
		if err != nil {
			return nil, fmt.Errorf("read triggers: %w", err)
		}
		again = append(again, texts...)
		for _, n := range names {
			if _, err := exec(ctx, q, "switch triggers off", "DROP TRIGGER main."+d.s.q(n)); err != nil {
				return nil, err
			}
		}
	}
	if _, err := exec(ctx, q, "defer foreign keys", "PRAGMA defer_foreign_keys = ON"); err != nil {
		return nil, err
	}
	before, err := d.broken(ctx, q, tables)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, stray map[engine.Name]int64) error {
		for _, text := range again {
			if _, err := exec(ctx, q, "switch triggers on again", text); err != nil {
				return err
			}
		}
		if len(again) > 0 {
			if err := d.last(ctx, q, tables); err != nil {
				return err
			}
		}
		if err := d.rebuild(ctx, q, indexes); err != nil {
			return err
		}
		after, err := d.broken(ctx, q, tables)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if n := after[t.Name] - before[t.Name] - stray[t.Name]; n > 0 {
				return &ProofError{Table: t.Name, Rows: n, Of: n, Reason: "foreign keys point to rows that are not there"}
			}
		}
		return nil
	}, nil
}

func sqliteUnchecked(ctx context.Context, q engine.Querier) (bool, error) {
	on, err := number(ctx, q, "read settings", "PRAGMA foreign_keys")
	return on == 0, err
}

// broken counts the rows whose foreign keys point nowhere, where the connection checks foreign keys at all.
func (d sqliteDialect) broken(ctx context.Context, q engine.Querier, tables []*engine.Table) (map[engine.Name]int64, error) {
	out := map[engine.Name]int64{}
	if off, err := sqliteUnchecked(ctx, q); err != nil || off {
		return out, err
	}
	var err error
	for _, t := range tables {
		if out[t.Name], err = number(ctx, q, "check foreign keys", "SELECT count(*) FROM pragma_foreign_key_check(?)", t.Name.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// literalPlain quotes a string as a literal.
func literalPlain(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// last makes the triggers of a journal again: they have to fire before the others, and the one that was made last does.
func (d sqliteDialect) last(ctx context.Context, q engine.Querier, tables []*engine.Table) error {
	for _, t := range tables {
		names, texts, err := triggersOf(ctx, q, t, true)
		if err != nil {
			return fmt.Errorf("read triggers: %w", err)
		}
		for i, n := range names {
			for _, query := range []string{"DROP TRIGGER main." + d.s.q(n), texts[i]} {
				if _, err := exec(ctx, q, "put the journal's triggers in order", query); err != nil {
					return err
				}
			}
		}
		// What stands behind them in the schema does so again.
		for _, n := range names {
			end := "dbrollback_journal_end_" + n[max(0, len(n)-32):]
			for _, query := range []string{"DROP VIEW IF EXISTS main." + d.s.q(end), "CREATE VIEW main." + d.s.q(end) + " AS SELECT 1 AS n"} {
				if _, err := exec(ctx, q, "put the journal's triggers in order", query); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// triggersOf lists the triggers of a table with the text that makes them, in the order in which they were made: the user's, or those
// of a journal.
func triggersOf(ctx context.Context, q engine.Querier, t *engine.Table, journal bool) (names, texts []string, err error) {
	rows, err := q.QueryContext(ctx, "SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE AND (name LIKE 'dbrollback\\_journal\\_%' ESCAPE '\\') = ? ORDER BY rowid", t.Name.Name, journal)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, nil, err
		}
		names, texts = append(names, name), append(texts, text)
	}
	return names, texts, rows.Err()
}

// sqliteRecent: a moment is a text, or a number of seconds or milliseconds since 1970; the type of the column need not say that it is one.
func sqliteRecent(ref string, c engine.Column, whole bool) string {
	name := strings.ToLower(c.Type)
	if !whole && !strings.Contains(name, "date") && !strings.Contains(name, "time") {
		return ""
	}
	return fmt.Sprintf("CASE typeof(%[1]s) WHEN 'text' THEN abs(julianday(%[1]s) - julianday('now')) <= 1 WHEN 'blob' THEN 0"+
		" ELSE abs(%[1]s - unixepoch()) <= 86400 OR abs(%[1]s / 1000 - unixepoch()) <= 86400 END", ref)
}

// sqliteAffinity is a type by which values compare as in a column of another type, whatever that is called (sqlite.org/datatype3.html, 3.1).
func sqliteAffinity(kind string) string {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(strings.ToUpper(kind), p) })
	}
	switch {
	case has("INT"):
		return "INTEGER"
	case sqliteText(kind):
		return "TEXT"
	case kind == "", has("BLOB"), strings.EqualFold(kind, "ANY"):
		return "BLOB"
	case has("REAL", "FLOA", "DOUB"):
		return "REAL"
	}
	return "NUMERIC"
}

// sqliteText tells whether a column of a type has the affinity TEXT (sqlite.org/datatype3.html, 3.1).
func sqliteText(kind string) bool {
	kind = strings.ToUpper(kind)
	return !strings.Contains(kind, "INT") && (strings.Contains(kind, "CHAR") || strings.Contains(kind, "CLOB") || strings.Contains(kind, "TEXT"))
}
