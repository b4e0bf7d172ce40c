package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysql reads MySQL and MariaDB: tables as SHOW CREATE TABLE prints them, which is complete on every version
// and can be run again; what tells objects from each other, and the rest, from information_schema.
//
// Views, routines, triggers and events keep the sql_mode and collation that they were made under, so
// their statements come with them.
type mysql struct {
	db    *engine.DB
	texts *Texts // may be nil
}

func (m mysql) reading(t *Texts) engineVerifier {
	m.texts = t
	return m
}

// mysqlTaker is one look.
type mysqlTaker struct {
	db     *engine.DB
	texts  *Texts
	q      engine.Querier
	f      Fingerprint
	schema string
	fold   bool              // names of tables have no case
	shared bool              // tables lie in one file: innodb_file_per_table is off
	kinds  map[string]string // of all tables and views of the database, by name
	tables []engine.Name     // in scope
	views  []string          // in scope
}

func (m mysql) take(ctx context.Context, q engine.Querier, s Scope) (_ Fingerprint, err error) {
	if pool, ok := q.(interface {
		Conn(ctx context.Context) (*sql.Conn, error)
	}); ok { // the settings below are the connection's
		c, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		q = c
	}
	t := &mysqlTaker{db: m.db, texts: m.texts, q: q, f: Fingerprint{}, kinds: map[string]string{}}
	if s.Bare != nil {
		if whole, err := t.bare(ctx, s); !whole || err != nil {
			return t.f, err
		}
		t.f, t.tables = Fingerprint{}, nil
	}
	var mode string
	var quoted, lower, apart int
	if err := q.QueryRowContext(ctx, "SELECT DATABASE(), @@SESSION.sql_mode, @@SESSION.sql_quote_show_create, @@lower_case_table_names, @@innodb_file_per_table").
		Scan(&t.schema, &mode, &quoted, &lower, &apart); err != nil {
		return nil, err
	}
	t.fold, t.shared = lower > 0, apart == 0
	if _, err := q.ExecContext(ctx, "SET SESSION sql_mode = '', SESSION sql_quote_show_create = 1"); err != nil {
		return nil, err
	}
	defer func() {
		_, back := q.ExecContext(context.WithoutCancel(ctx), "SET SESSION sql_mode = ?, SESSION sql_quote_show_create = ?", mode, quoted)
		err = errors.Join(err, back)
	}()
	if err := t.list(ctx, s); err != nil {
		return nil, err
	}
	steps := []func(context.Context) error{t.readTables, t.readViews, t.readTriggers, t.readGrants}
	if !s.all() && len(t.tables) > 0 {
		steps = append(steps, t.readReferences)
	}
	if s.all() || s.Others {
		steps = append(steps, t.readDatabase, t.readRoutines, t.readEvents, t.readSequences)
	}
	for _, read := range steps {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return t.f, nil
}

// list finds what is in scope.
func (t *mysqlTaker) list(ctx context.Context, s Scope) error {
	rows, err := t.rows(ctx, "SHOW FULL TABLES")
	if err != nil {
		return err
	}
	for _, r := range rows {
		name, kind := r[0], r[1]
		t.kinds[name] = kind
		n := engine.Name{Name: name}
		if t.db.Mine(n) || kind == "SEQUENCE" {
			continue
		}
		wanted := s.all() || slices.ContainsFunc(s.Tables, func(x engine.Name) bool {
			return (x.Schema == "" || t.same(x.Schema, t.schema)) && t.same(x.Name, name)
		})
		switch {
		case kind == "VIEW":
			if wanted || s.Others {
				t.views = append(t.views, name)
			}
		case wanted:
			t.tables = append(t.tables, n)
		}
	}
	for _, n := range s.Tables {
		if n.Schema == "" || t.same(n.Schema, t.schema) {
			continue
		}
		found, err := t.rows(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_name = ? AND table_type <> 'VIEW'", n.Schema, n.Name)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			t.tables = append(t.tables, n)
		}
	}
	return nil
}

func (t *mysqlTaker) same(a, b string) bool { return a == b || t.fold && strings.EqualFold(a, b) }

func (t *mysqlTaker) put(o Object) { t.f[o.Key()] = o }

const keysOff, keysBack = "SET @dbrollback_checks = @@SESSION.foreign_key_checks, SESSION foreign_key_checks = 0", "SET SESSION foreign_key_checks = @dbrollback_checks"

// Unchecked gives the statements of MySQL's family between which foreign keys are not checked.
func Unchecked() (off, back string) { return keysOff, keysBack }

// strictly gives statements that fail rather than cut a value to fit, accept zero dates and the id 0, and change
// columns that foreign keys are about.
func strictly(statements ...string) []string {
	return moded("STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES", "", append(append([]string{keysOff}, statements...), keysBack)...)
}

// strictlyWithHistory is strictly for a table of MariaDB that keeps the past of its rows, which goes along.
func strictlyWithHistory(statements ...string) []string {
	const keep, back = "SET @dbrollback_history = @@SESSION.system_versioning_alter_history, SESSION system_versioning_alter_history = 'KEEP'",
		"SET SESSION system_versioning_alter_history = @dbrollback_history"
	return strictly(append(append([]string{keep}, statements...), back)...)
}

// moded gives statements that run under a sql_mode, and with literals of a collation where one is given.
func moded(mode, collation string, statements ...string) []string {
	set := "SET @dbrollback_mode = @@SESSION.sql_mode, SESSION sql_mode = " + mysqlText(mode)
	back := "SET SESSION sql_mode = @dbrollback_mode"
	if collation != "" {
		set += ", @dbrollback_collation = @@SESSION.collation_connection, SESSION collation_connection = " + collation
		back += ", SESSION collation_connection = @dbrollback_collation"
	}
	return append(append([]string{set}, statements...), back)
}

// mysqlText is a literal that means the same under every sql_mode. It holds nothing but names of modes and
// collations, which have neither quotes nor backslashes.
func mysqlText(s string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, "").Replace(s) + "'"
}

// rows reads a whole answer as text; NULL is empty.
func (t *mysqlTaker) rows(ctx context.Context, query string, args ...any) ([][]string, error) {
	rows, err := t.q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
		}
		out = append(out, row)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// show runs SHOW CREATE and gives the field that the names name, the first that the answer has.
func (t *mysqlTaker) show(ctx context.Context, what string, field int) ([]string, string, error) {
	rows, err := t.rows(ctx, "SHOW CREATE "+what)
	if err != nil {
		return nil, "", err
	}
	if len(rows) != 1 || len(rows[0]) <= field {
		return nil, "", fmt.Errorf("the server's answer to SHOW CREATE %s cannot be read", what)
	}
	if rows[0][field] == "" {
		return nil, "", &engine.Error{
			Class: engine.Privilege, Message: "the definition of " + strings.ToLower(what) + " is hidden from this account",
			Hint: "on MySQL GRANT SHOW_ROUTINE ON *.* to it; on MariaDB GRANT SELECT ON mysql.proc, or from 11.3 SHOW CREATE ROUTINE",
		}
	}
	return rows[0], rows[0][field], nil
}
