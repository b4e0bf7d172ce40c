package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysqlDialect is MySQL and MariaDB: neither can observe what a statement writes, so the rows are asked for before it runs
// (mysql_rows.go), or the whole table is copied under a lock and compared after (mysql_lock.go).
type mysqlDialect struct{ s *Store }

func mysqlFlavour(kind engine.Kind) flavour {
	maria := kind == engine.MariaDB
	return flavour{
		number:    "n bigint NOT NULL AUTO_INCREMENT",
		timestamp: "varchar(32)",
		hash:      "binary(16)",
		store:     func(c engine.Column) (string, bool) { return mysqlStore(c), false },
		value:     mysqlValue,
		back:      mysqlBack,
		match:     mysqlMatch,
		alike:     mysqlAlike,
		image:     mysqlImage,
		locks:     func(bool) string { return "rows, and the table against DDL" },
		column: func(_ context.Context, _ engine.Querier, f field) (engine.Column, error) {
			return engine.Column{Type: f.Type, Base: f.Type, Portable: true}, nil
		},
		asked: func(_ context.Context, _ engine.Querier, ref string, f field, _ string) (string, error) {
			if t := mysqlTyped(f.Type); t.family() == letters {
				return "CONVERT(" + ref + " USING " + f.Set + ") COLLATE " + t.collated, nil
			}
			return mysqlBack(ref, f, engine.Column{Type: f.Type, Base: f.Type, Portable: true}), nil
		},
		text:  mysqlText,
		meant: mysqlMeant,
		apart: mysqlApart,
		typed: func(c engine.Column) string { return c.Base },
		from:  func(db *engine.DB, t *engine.Table) string { return db.Quote(t.Name) },
		size: func(ctx context.Context, q engine.Querier, table string) (int64, error) {
			return number(ctx, q, "measure a capture", "SELECT max(data_length + index_length) FROM information_schema.tables WHERE table_schema = database() AND table_name = ?", strings.Trim(table, "`"))
		},
		ours: func(ctx context.Context, q engine.Querier) ([]string, error) {
			return engine.Texts(ctx, q, `SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_type = 'BASE TABLE'
				AND (left(table_name, 11) = 'dbrollback_' OR left(table_name, 12) = '~dbrollback_' OR table_name = 'state_snapshots')`)
		},
		observable: func(context.Context, engine.Querier, *engine.Table) (bool, error) { return false, nil },
		sequences:  mysqlSequences,
		raise:      func(context.Context, engine.Querier, *Store, *engine.Table, []Sequence) error { return nil }, // see mysqlReady
		options:    " ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
		climb:      mysqlRaise,
		standing:   mysqlStanding,
		onward:     mysqlOnward,
		keyed:      true,
		locking:    " FOR UPDATE",
		grip:       map[bool]string{true: " FOR UPDATE", false: " FOR UPDATE OF t"}[maria],
		bytes:      "X'%x'",
		nothing:    " FROM dual WHERE 1 = 0",
		yes:        "1",
		shown:      `SELECT table_name FROM information_schema.views WHERE table_schema = database()`,
		recent:     mysqlRecent,
		hidden:     mysqlHides,
		lasting:    true,
		joined:     true,
		detached:   true,
		concat:     func(parts []string) string { return "concat(" + list(parts) + ")" },
		choose: func(ctx context.Context, c *Capturer, tx engine.Querier, p *plan) error {
			return c.choose(ctx, tx, p, maria)
		},
		reduce:   mysqlReduce,
		ready:    mysqlReady,
		reached:  mysqlReached,
		exchange: mysqlExchange,
		implied:  loosely,
	}
}

// mysqlModes are the settings under which values are read and written: nothing is cut to fit, and everything that
// can be in a column can be put there.
const mysqlModes = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION"

// mysqlPins are the settings of the session while we read and write values, whatever the migration has set.
var mysqlPins = [][2]string{
	{"sql_mode", mysqlModes},
	{"time_zone", "+00:00"},
	{"unique_checks", "1"},    // else a value may come to stand twice in a unique index
	{"sql_safe_updates", "0"}, // refuses to write by a join
	{"sql_big_selects", "1"},
	{"optimizer_search_depth", "3"},     // a dozen captures of one table, joined, keep MySQL looking for a plan for hours
	{"character_set_client", "utf8mb4"}, // what this program sends
	{"collation_connection", "utf8mb4_general_ci"},
	{"character_set_results", "utf8mb4"},
}

// pin fixes settings; they are the session's, so unpin has to put them back whatever happens.
func (d mysqlDialect) pin(ctx context.Context, q engine.Querier) (func(context.Context) error, error) {
	reads, was, into := make([]string, len(mysqlPins)), make([]string, len(mysqlPins)), make([]any, len(mysqlPins))
	for i, p := range mysqlPins {
		reads[i], into[i] = "coalesce(@@SESSION."+p[0]+", 'binary')", &was[i] // NULL means as it is
	}
	if err := q.QueryRowContext(ctx, "SELECT "+list(reads)).Scan(into...); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	set := func(ctx context.Context, value func(int) string) error {
		var sets []string
		for i, p := range mysqlPins {
			if was[i] != p[1] {
				sets = append(sets, "SESSION "+p[0]+" = '"+value(i)+"'")
				if _, err := strconv.Atoi(p[1]); err == nil { // these are numbers
					sets[len(sets)-1] = "SESSION " + p[0] + " = " + value(i)
				}
			}
		}
		if len(sets) == 0 {
			return nil
		}
		if _, err := q.ExecContext(ctx, "SET "+list(sets)); err != nil {
			return fmt.Errorf("fix settings: %w", err)
		}
		return nil
	}
	if err := set(ctx, func(i int) string { return mysqlPins[i][1] }); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return set(ctx, func(i int) string { return was[i] }) }, nil
}

func (d mysqlDialect) shapes(ctx context.Context, q engine.Querier) (shapes, error) {
	// No join: MariaDB computes one table of information_schema anew for each row of the other.
	rows, err := q.QueryContext(ctx, `SELECT table_name AS t, '' AS c, '' AS y, 0 AS n FROM information_schema.tables
		WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
		UNION ALL SELECT table_name, column_name, column_type, ordinal_position FROM information_schema.columns
		WHERE table_schema = database() ORDER BY t, n`)
	if err != nil {
		return nil, fmt.Errorf("read the names of all tables: %w", err)
	}
	defer rows.Close()
	out := shapes{}
	for rows.Next() {
		var t tableShape
		var c columnShape
		var n int
		if err := rows.Scan(&t.Name.Name, &c.Name, &c.Type, &n); err != nil {
			return nil, fmt.Errorf("read the names of all tables: %w", err)
		}
		known, isTable := out[t.Name.Name]
		switch {
		case n > 0 && isTable:
			known.Columns[strings.ToLower(c.Name)] = c
		case n == 0 && !d.s.db.Mine(t.Name):
			t.Columns = map[string]columnShape{}
			out[t.Name.Name] = t
		}
	}
	return out, rows.Err()
}

// lock has nothing to do: rows are locked as they are captured, and tables by LOCK TABLES around the statement.
func (d mysqlDialect) lock(context.Context, engine.Querier, []*engine.Table, bool) error { return nil }

// observe is never asked for: choose leaves nothing to observe.
func (d mysqlDialect) observe(context.Context, engine.Querier, []*capture) (func(context.Context) error, error) {
	return nil, errNoRehearsal
}

func (d mysqlDialect) probe(context.Context, engine.Querier) (func(context.Context) (touched, error), error) {
	return nil, errNoRehearsal
}

// errNoRehearsal: DDL that commits by itself cannot be tried and taken back.
var errNoRehearsal = errors.New("this server cannot take back what a rehearsal did")

// mysqlSequences reads AUTO_INCREMENT from the definition: what the catalog's statistics say may be a day old.
func mysqlSequences(ctx context.Context, q engine.Querier, s *Store, t *engine.Table) ([]Sequence, error) {
	i := slices.IndexFunc(t.Columns, func(c engine.Column) bool { return c.Identity != "" })
	if i < 0 {
		return nil, nil
	}
	next, err := mysqlNext(ctx, q, s, t)
	if err != nil || next < 2 {
		return nil, err
	}
	return []Sequence{{Name: t.Name, Column: t.Columns[i].Name, Last: next - 1}}, nil
}

// mysqlNext gives the number that AUTO_INCREMENT hands out next; 0 when the table has none.
func mysqlNext(ctx context.Context, q engine.Querier, s *Store, t *engine.Table) (int64, error) {
	var name, text string
	if err := q.QueryRowContext(ctx, "SHOW CREATE TABLE "+s.db.Quote(t.Name)).Scan(&name, &text); err != nil {
		return 0, fmt.Errorf("read AUTO_INCREMENT of %s: %w", t.Name, err)
	}
	options := text[strings.LastIndex(text, "\n)")+1:] // a comment of the table stands behind it
	_, after, found := strings.Cut(options, " AUTO_INCREMENT=")
	if !found {
		return 0, nil
	}
	end := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(after)
	}
	next, err := strconv.ParseUint(after[:end], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read AUTO_INCREMENT of %s: %w", t.Name, err)
	}
	return int64(min(next, 1<<63-1)), nil
}

// shield lets foreign keys wait until all rows are back: they are not checked while rows are written, and what points nowhere
// is looked for at the end.
func (d mysqlDialect) shield(ctx context.Context, q engine.Querier, tables []*engine.Table) (func(context.Context, map[engine.Name]int64) error, error) {
	var on int
	if err := q.QueryRowContext(ctx, "SELECT @@SESSION.foreign_key_checks").Scan(&on); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	before, err := d.broken(ctx, q, tables)
	if err != nil {
		return nil, err
	}
	if _, err := exec(ctx, q, "defer foreign keys", "SET SESSION foreign_key_checks = 0"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, stray map[engine.Name]int64) error {
		if _, err := exec(ctx, q, "check foreign keys again", fmt.Sprintf("SET SESSION foreign_key_checks = %d", on)); err != nil {
			return err
		}
		after, err := d.broken(ctx, q, tables)
		if err != nil {
			return err
		}
		for name, n := range after {
			if n > before[name]+stray[name] {
				return &ProofError{Table: name, Rows: n - before[name], Of: n, Reason: "foreign keys point to rows that are not there"}
			}
		}
		return nil
	}, nil
}

// broken counts the rows whose foreign keys point nowhere: of the tables, and of those that point to them.
func (d mysqlDialect) broken(ctx context.Context, q engine.Querier, tables []*engine.Table) (map[engine.Name]int64, error) {
	out := map[engine.Name]int64{}
	var done []string
	for _, t := range tables {
		for _, fk := range append(slices.Clone(t.ForeignKeys), t.Referenced...) {
			id := fk.Table.String() + "." + fk.Name
			if slices.Contains(done, id) {
				continue
			}
			done = append(done, id)
			var set, on []string
			for i, c := range fk.Columns {
				set = append(set, "c."+d.s.q(c)+" IS NOT NULL")
				on = append(on, "p."+d.s.q(fk.ParentColumns[i])+" = c."+d.s.q(c))
			}
			n, err := number(ctx, q, "check foreign keys", fmt.Sprintf("SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)",
				d.s.db.Quote(fk.Table), all(set...), d.s.db.Quote(fk.Parent), all(on...)))
			if err != nil {
				if _, gone := engine.AsError(err); gone && d.s.missing(ctx, q, fk.Table, fk.Parent) {
					continue
				}
				return nil, err
			}
			out[fk.Table] += n
		}
	}
	return out, nil
}

// missing tells whether one of the tables is not there.
func (s *Store) missing(ctx context.Context, q engine.Querier, tables ...engine.Name) bool {
	return slices.ContainsFunc(tables, func(n engine.Name) bool {
		_, err := s.db.Resolve(ctx, q, n)
		return errors.Is(err, engine.ErrNoTable)
	})
}
