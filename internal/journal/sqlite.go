package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// sqlite records with row triggers. Programs that prepare each statement anew compile the triggers with it, which takes longer than they do: so what a statement does not need is in none that it
// fires. The trigger that was made last fires first: ours are, so that what other triggers write comes after
// what made them fire. A row that gives way to another one of the same unique value (REPLACE) fires none: it is put by before the
// write, and recorded after it when it is gone.
type sqlite struct{ j *Journal }

const sqliteNow = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"

func sqliteMoment(t time.Time) string { return "'" + stamp(t.Truncate(time.Millisecond)) + "'" }

func (s sqlite) spelling() spelling {
	return spelling{
		columns: []string{"n INTEGER PRIMARY KEY", "at text NOT NULL"},
		x:       "0", s: "j.n", at: "j.at", who: "''", tx: "''", now: sqliteNow,
		note:    "changes are known by the time of their statement: a transaction that was open at the moment asked for may come back in part",
		indexes: []string{"CREATE INDEX %[2]s ON %[1]s (at)"},
		size:    "SELECT sum(pgsize) FROM dbstat WHERE name = ? AND aggregate = 1",
		since:   func(_ *segment, _ []*segment, at time.Time) string { return "j.at > " + sqliteMoment(at) },
		old:     func(_ *segment, _ []*segment, before time.Time) string { return "j.at <= " + sqliteMoment(before) },
		some:    pruneByNumber,
	}
}

// pruneByNumber takes a few records away.
const pruneByNumber = "DELETE FROM %[1]s WHERE n IN (SELECT z.n FROM (SELECT j.n FROM %[1]s j WHERE %[2]s LIMIT %[3]d) z)"

func (s sqlite) ensure(context.Context, engine.Querier) error { return nil }

// unique is an index whose values no two rows share: its columns, each with its collation.
type unique struct{ columns, collations []string }

// uniques reads the unique indexes of a table.
func (s sqlite) uniques(ctx context.Context, q engine.Querier, t *engine.Table) ([]unique, string, error) {
	rows, err := q.QueryContext(ctx, `SELECT l.name, x.cid, coalesce(x.name, ''), coalesce(x.coll, 'BINARY') FROM pragma_index_list(?1, 'main') l, pragma_index_xinfo(l.name, 'main') x
		WHERE l."unique" = 1 AND x.key = 1 ORDER BY l.seq, x.seqno`, t.Name.Name)
	if err != nil {
		return nil, "", fmt.Errorf("read the indexes of %s: %w", t.Name, err)
	}
	defer rows.Close()
	var out []unique
	last, expression := "", ""
	for rows.Next() {
		var index, column, collation string
		var cid int
		if err := rows.Scan(&index, &cid, &column, &collation); err != nil {
			return nil, "", fmt.Errorf("read the indexes of %s: %w", t.Name, err)
		}
		if cid < 0 {
			expression = index
		}
		if index != last {
			out, last = append(out, unique{}), index
		}
		u := &out[len(out)-1]
		u.columns, u.collations = append(u.columns, column), append(u.collations, collation)
	}
	return out, expression, rows.Err()
}

// address is a name for the rowid that no column has taken; "" when there is none.
func (s sqlite) address(t *engine.Table) string {
	if !t.RowID {
		return ""
	}
	for _, n := range []string{"rowid", "oid", "_rowid_"} {
		if !slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return strings.EqualFold(c.Name, n) }) {
			return n
		}
	}
	return ""
}

// of is the clause of triggers that only those updates fire, and are compiled with, which can take the place of another row: that name a column of a unique index, or the rowid by
// any of its names. "" where a column is computed of others.
func (s sqlite) of(t *engine.Table, indexes []unique) string {
	var columns []string
	if t.RowID {
		columns = []string{"rowid", "oid", "_rowid_"}
	}
	for _, k := range t.Keys {
		columns = append(columns, k.Columns...)
	}
	for _, u := range indexes {
		columns = append(columns, u.columns...)
	}
	for i, n := range columns {
		if slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return c.Name == n && c.Generated }) {
			return ""
		}
		columns[i] = s.j.db.Ident(n)
	}
	slices.Sort(columns)
	return " OF " + strings.Join(slices.Compact(columns), ", ")
}

func (s sqlite) unfit(ctx context.Context, q engine.Querier, t *engine.Table) (string, string, error) {
	_, expression, err := s.uniques(ctx, q, t)
	if err != nil || expression == "" {
		return "", "", err
	}
	return "the unique index " + expression + " is over an expression, and a row that gives way to another (REPLACE) would not be known beforehand", "an index over a generated column does the same", nil
}

func (g *segment) stash() string { return "dbrollback_journal_stash_" + g.id }

func (s sqlite) install(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) error {
	j, db := s.j, s.j.db
	indexes, _, err := s.uniques(ctx, q, t)
	if err != nil {
		return err
	}
	table := "main." + db.Ident(t.Name.Name)
	names, _ := g.form.Columns()
	key := g.form.Key()
	keys := func(alias string) (out []string) {
		for _, k := range key {
			out = append(out, alias+"."+db.Ident(k))
		}
		return out
	}
	// one is the condition that two keys are the same to the letter, which not all are that the column takes for the same (NOCASE). It asks the
	// column first, for its index.
	one := func(as, bs []string) string {
		var parts []string
		for i := range as {
			parts = append(parts, fmt.Sprintf("%s IS %s AND %[1]s IS %[2]s COLLATE BINARY", as[i], bs[i]))
		}
		return strings.Join(parts, " AND ")
	}
	// at is the condition that a row put by has the key of another.
	at := func(row string) string { return one(names[1:1+len(key)], keys(row)) }
	// takes is the condition that a row has to make room for the new one; changed, that an update makes one.
	var takes, changed []string
	for _, u := range indexes {
		var parts []string
		for i, c := range u.columns {
			parts = append(parts, fmt.Sprintf("r.%s = NEW.%[1]s COLLATE %s", db.Ident(c), u.collations[i]))
			changed = append(changed, fmt.Sprintf("NEW.%s IS NOT OLD.%[1]s", db.Ident(c)))
		}
		takes = append(takes, strings.Join(parts, " AND "))
	}
	if a := s.address(t); a != "" {
		takes, changed = append(takes, "r."+a+" = NEW."+a), append(changed, "NEW."+a+" IS NOT OLD."+a)
	}
	of := s.of(t, indexes)
	into := strings.Join(names[1:], ", ")
	// Each index is asked by itself: one condition for all of them reads the whole table, for some releases of SQLite.
	// What is there from before, when rows were not written after all (INSERT OR IGNORE), goes first: time stands still within a statement, and
	// within all that it fires.
	putBy := func(but string) string {
		all := []string{fmt.Sprintf("DELETE FROM %s WHERE at < %s;", db.Ident(g.stash()), sqliteNow)}
		for i, where := range takes {
			for _, before := range takes[:i] {
				where += " AND (" + before + ") IS NOT TRUE"
			}
			if but != "" {
				where += " AND NOT (" + but + ")"
			}
			all = append(all, fmt.Sprintf("DELETE FROM %[1]s WHERE (%[4]s) IN (SELECT +%[5]s FROM %[2]s r WHERE %[3]s); INSERT INTO %[1]s (at, %[6]s) SELECT %[7]s, %[8]s FROM %[2]s r WHERE %[3]s;",
				db.Ident(g.stash()), db.Ident(t.Name.Name), where, strings.Join(names[1:1+len(key)], ", "), strings.Join(keys("r"), ", +"), into, sqliteNow, strings.Join(j.store.Values(g.form, "r", ""), ", ")))
		}
		return strings.Join(all, " ")
	}
	gone := func() string {
		var stashed []string
		for _, n := range names[1 : 1+len(key)] {
			stashed = append(stashed, db.Ident(g.stash())+"."+n)
		}
		where := fmt.Sprintf("%s OR NOT EXISTS (SELECT 1 FROM %s r WHERE %s)", at("NEW"), db.Ident(t.Name.Name), one(keys("r"), stashed))
		return fmt.Sprintf("INSERT INTO %[1]s (at, op, %[2]s) SELECT %[3]s, 'd', %[2]s FROM %[4]s WHERE %[5]s; DELETE FROM %[4]s WHERE %[5]s;", db.Ident(g.data()), into, sqliteNow, db.Ident(g.stash()), where)
	}
	record := func(op, old, now string) string {
		return fmt.Sprintf("INSERT INTO %s (at, op, %s) VALUES (%s, '%s', %s);", db.Ident(g.data()), into, sqliteNow, op, strings.Join(j.store.Values(g.form, old, now), ", "))
	}
	forget := fmt.Sprintf("DELETE FROM %s WHERE %s;", db.Ident(g.stash()), at("OLD"))
	queries := []string{
		"CREATE TABLE " + db.Ident(g.stash()) + " (at, " + into + ")",
		"CREATE INDEX " + db.Ident(g.stash()+"_at") + " ON " + db.Ident(g.stash()) + " (at)",
		"CREATE INDEX " + db.Ident(g.stash()+"_key") + " ON " + db.Ident(g.stash()) + " (" + strings.Join(names[1:1+len(key)], ", ") + ")",
	}
	for _, x := range []struct{ name, when, body string }{
		{"before_insert", "BEFORE INSERT ON " + table + " FOR EACH ROW", putBy("")},
		{"before_update", "BEFORE UPDATE" + of + " ON " + table + " FOR EACH ROW WHEN " + strings.Join(changed, " OR "), putBy(one(keys("r"), keys("OLD")))},
		{"insert", "AFTER INSERT ON " + table + " FOR EACH ROW", gone() + " " + record("i", "", "NEW")},
		{"update", "AFTER UPDATE ON " + table + " FOR EACH ROW", record("u", "OLD", "NEW")},
		{"moved", "AFTER UPDATE" + of + " ON " + table + " FOR EACH ROW", forget + " " + gone()}, // before update, because it is made later
		{"delete", "AFTER DELETE ON " + table + " FOR EACH ROW", record("d", "OLD", "") + " " + forget},
	} {
		queries = append(queries, fmt.Sprintf("CREATE TRIGGER %s %s BEGIN %s END", db.Ident(g.trigger(x.name)), strings.Replace(x.when, table, db.Ident(t.Name.Name), 1), x.body))
	}
	// Behind the triggers in the schema: see sound.
	queries = append(queries, "CREATE VIEW "+db.Ident(g.trigger("end"))+" AS SELECT 1 AS n")
	for _, query := range queries {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	if g.mark, err = s.text(ctx, q, t); err != nil {
		return err
	}
	g.started, err = j.now(ctx, q)
	return err
}

// text is the text of a table in the schema. It is written again when something is altered.
func (s sqlite) text(ctx context.Context, q engine.Querier, t *engine.Table) (string, error) {
	var text string
	if err := q.QueryRowContext(ctx, "SELECT coalesce(max(sql), '') FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", t.Name.Name).Scan(&text); err != nil {
		return "", fmt.Errorf("read the text of %s: %w", t.Name, err)
	}
	return text, nil
}

var sqliteTriggers = []string{"before_insert", "before_update", "insert", "update", "moved", "delete"}

func (s sqlite) remove(ctx context.Context, q engine.Querier, g *segment) error {
	for _, event := range sqliteTriggers {
		if _, err := q.ExecContext(ctx, "DROP TRIGGER IF EXISTS main."+s.j.db.Ident(g.trigger(event))); err != nil {
			return err
		}
	}
	if _, err := q.ExecContext(ctx, "DROP VIEW IF EXISTS main."+s.j.db.Ident(g.trigger("end"))); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, "DROP TABLE IF EXISTS "+s.j.db.Ident(g.stash()))
	return err
}

// sound compares places in the schema, of which the last thing that was made has the last, and which VACUUM keeps in order: a table that was made
// again, as tools do to alter one, comes after what records it, and triggers that were made again after the view that was made after them.
func (s sqlite) sound(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (string, error) {
	var ours, after int
	var anew, again bool
	// What moved does, update did in triggers of an older program.
	err := q.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE o) + count(*) FILTER (WHERE o AND old), count(*) FILTER (WHERE NOT o AND r > first) FROM (SELECT rowid AS r, substr(name, -32) = ?1 AS o,
		name LIKE 'dbrollback\_journal\_update\_%' ESCAPE '\' AND instr(sql, '_stash_') > 0 AS old,
		min(CASE WHEN substr(name, -32) = ?1 THEN rowid END) OVER () AS first FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?2 COLLATE NOCASE)`, g.id, t.Name.Name).Scan(&ours, &after)
	if err == nil {
		err = q.QueryRowContext(ctx, `SELECT coalesce((SELECT rowid FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE) > (SELECT rowid FROM main.sqlite_schema WHERE type = 'table' AND name = ?2), 1),
			coalesce((SELECT max(rowid) FROM main.sqlite_schema WHERE type = 'trigger' AND substr(name, -32) = ?3) > (SELECT rowid FROM main.sqlite_schema WHERE type = 'view' AND name = ?4), 1)`,
			t.Name.Name, g.data(), g.id, g.trigger("end")).Scan(&anew, &again)
	}
	if err != nil {
		return "", fmt.Errorf("look for triggers: %w", err)
	}
	text, err := s.text(ctx, q, t)
	switch {
	case err != nil:
		return "", err
	case ours < len(sqliteTriggers):
		return "its triggers are gone", nil
	case anew:
		return "it was made anew, which fires no trigger, by something else than dbrollback up", nil
	case text != g.mark:
		return "it was altered, or had another name for a while, by something else than dbrollback up", nil
	case again:
		return "its triggers were dropped and made again by something else than dbrollback up", nil
	case after > 0:
		return "a trigger was made since by something else than dbrollback up, and fires before those of the journal", nil
	}
	return "", nil
}
