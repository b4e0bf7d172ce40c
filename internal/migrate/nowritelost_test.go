package migrate_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// intruder is an application that writes once, right before a statement of a run.
type intruder struct {
	p             *proving
	rng           *rand.Rand
	verb          string // of the run
	at            int    // the statement, counted from 1 through all migrations of the run
	cut           int    // the statement that the run does not come to, and it is taken back; 0: it comes to its end
	seen, where   int
	before, after []string              // the statements of the run ahead of the write and behind it
	wrote         string                // what, when it has
	mark          string                // which no other value holds
	gone          string                // or the tag of the row that it has deleted
	rows          int64                 // that hold it
	first         map[string]*tableRows // as they were before the migration, and as the run found them
}

const (
	markText   = "zq7xv"
	markNumber = "731964207" // what Down makes of it begins as it does
)

// write changes or inserts a row of a table that is there now.
func (a *intruder) write() {
	tables := a.p.read()
	names := slices.Sorted(maps.Keys(tables))
	names = slices.DeleteFunc(names, func(n string) bool { // not of an application: the halves of a table that is built anew
		return strings.HasPrefix(n, "tmp") || strings.HasPrefix(n, "old")
	})
	for tries := 0; tries < 20 && len(names) > 0; tries++ {
		name := pick(a.rng, names)
		t := tables[name]
		if strings.HasPrefix(name, "dbrollback") || strings.HasPrefix(name, "state_") || name == "goose_db_version" || name == "l" || name == "n" || len(t.rows) == 0 || !slices.Contains(t.columns, "tag") {
			continue
		}
		if a.try(name, pick(a.rng, t.rows)) {
			return
		}
	}
}

func (a *intruder) try(name string, r row) bool {
	db := a.p.db
	t, err := db.Inspect(a.p.t.Context(), db, engine.Name{Schema: a.schema(), Name: name})
	if err != nil || t == nil || r["tag"] == nil {
		return false
	}
	var text, number, key []string
	if len(t.Keys) > 0 {
		key = t.Keys[0].Columns
	}
	for _, c := range t.Columns {
		kind := strings.ToLower(c.Type)
		switch {
		case c.Generated || slices.Contains(key, c.Name):
		case !a.lasts(name, c.Name):
		case kind == "text" || strings.HasPrefix(kind, "varchar(") && !strings.HasPrefix(kind, "varchar(3)") && !strings.HasPrefix(kind, "varchar(4)") || strings.HasPrefix(kind, "character varying(2"):
			text = append(text, c.Name)
		case strings.HasPrefix(kind, "int") || kind == "bigint":
			if c.Name != "pid" {
				number = append(number, c.Name)
			}
		}
	}
	set := func(column, value string) string {
		return fmt.Sprintf("UPDATE %s SET %s = '%s' WHERE tag = '%s'", db.Quote(t.Name), db.Ident(column), value, *r["tag"])
	}
	var statement string
	a.gone = "" // an earlier try was refused
	switch n := a.rng.IntN(10); {
	case n < 3: // a row of its own
		if a.mark = markText; len(key) > 1 {
			return false
		}
		var columns, values []string
		for _, c := range t.Columns {
			v := "NULL"
			switch {
			case c.Generated:
				continue
			case c.Name == "tag":
				v = "'" + a.mark + "'"
			case slices.Contains(key, c.Name):
				v = strconv.Itoa(700 + a.rng.IntN(20))
			case r[c.Name] != nil && c.Name != "u" && c.Name != "pid":
				v = "'" + strings.ReplaceAll(*r[c.Name], "'", "''") + "'"
			}
			columns, values = append(columns, db.Ident(c.Name)), append(values, v)
		}
		statement = fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", db.Quote(t.Name), strings.Join(columns, ", "), strings.Join(values, ", "))
	case n < 5 && !strings.HasPrefix(name, "made"):
		a.mark, a.gone = "", *r["tag"]
		statement = fmt.Sprintf("DELETE FROM %s WHERE tag = '%s'", db.Quote(t.Name), a.gone)
	case n < 8 && len(text) > 0:
		a.mark = markText
		statement = set(pick(a.rng, text), a.mark)
	case len(number) > 0:
		a.mark = markNumber
		statement = set(pick(a.rng, number), a.mark)
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(a.p.t.Context(), 3*time.Second)
	defer cancel()
	res, err := db.ExecContext(ctx, statement)
	if err != nil {
		return false
	}
	if a.rows, err = res.RowsAffected(); err != nil || a.rows == 0 {
		return false
	}
	a.wrote = statement
	return true
}

// lasts tells whether a column is there before the migration or after it.
func (a *intruder) lasts(table, column string) bool {
	for name, t := range a.first {
		if (name == table || !strings.HasPrefix(table, "made")) && slices.Contains(t.columns, column) {
			return true
		}
	}
	return false
}

func (a *intruder) schema() string {
	if a.p.db.Kind == engine.Postgres {
		return "public"
	}
	names, err := a.p.db.Tables(a.p.t.Context(), a.p.db)
	if err != nil || len(names) == 0 {
		return ""
	}
	return names[0].Schema
}

// back tells whether a row that was deleted is there again, under the name that its table had in the beginning: rows are tagged by it.
func (a *intruder) back() bool {
	t := a.p.read()[strings.TrimRight(a.gone, "0123456789")]
	return t != nil && slices.ContainsFunc(t.rows, func(r row) bool { return r["tag"] != nil && *r["tag"] == a.gone })
}

// found counts the rows that hold the mark, in tables of the user's and in captures; where names them.
func (a *intruder) found() (n int64, where []string) {
	t, db := a.p.t, a.p.db
	t.Helper()
	list, cast := "SELECT table_name, column_name, '' FROM information_schema.columns WHERE table_schema = database() ORDER BY 1", "CAST(%s AS CHAR)"
	if db.Kind == engine.Postgres {
		list, cast = "SELECT table_name, column_name, table_schema FROM information_schema.columns WHERE table_schema IN ('public', 'dbrollback') ORDER BY 3, 1", "%s::text"
	}
	rows, err := db.QueryContext(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	conditions := map[engine.Name][]string{}
	for rows.Next() {
		var table, column, schema string
		if err := rows.Scan(&table, &column, &schema); err != nil {
			t.Fatal(err)
		}
		name := engine.Name{Schema: schema, Name: table}
		conditions[name] = append(conditions[name], fmt.Sprintf("lower("+cast+") LIKE '%%%s%%'", db.Ident(column), strings.TrimSuffix(a.mark, "207")))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for name, c := range conditions {
		if strings.HasPrefix(name.Name, "dbrollback_operations") || name.Name == "operations" {
			continue
		}
		var here int64
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+db.Quote(name)+" WHERE "+strings.Join(c, " OR ")).Scan(&here); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if here > 0 {
			n += here
			where = append(where, fmt.Sprintf("%s: %d", name.Name, here))
		}
	}
	return n, where
}

// copied tells whether the run may have copied what was deleted before, into a table that took the place of the one that it was deleted from.
func (a *intruder) copied() bool {
	return slices.ContainsFunc(a.before, func(text string) bool {
		return strings.HasPrefix(text, "INSERT INTO tmp") || strings.HasPrefix(text, "INSERT INTO old")
	}) &&
		slices.ContainsFunc(a.after, func(text string) bool { return strings.HasPrefix(text, "DROP TABLE") })
}

// stood tells whether the table may have been another one when somebody deleted from it: when a run is taken back, the first is there again as it was, and the rows of the other are captured.
func (a *intruder) stood() bool {
	return slices.ContainsFunc(a.before, func(text string) bool { return strings.HasPrefix(text, "DROP TABLE") })
}

// destroyed tells whether the run may have made what was written to, and then destroyed it itself: that is captured nowhere.
func (a *intruder) destroyed() bool {
	return slices.ContainsFunc(a.before, func(text string) bool {
		return strings.HasPrefix(text, "CREATE TABLE") || strings.Contains(text, " ADD COLUMN ")
	}) && slices.ContainsFunc(a.after, func(text string) bool {
		return strings.HasPrefix(text, "TRUNCATE") || strings.HasPrefix(text, "DELETE") || strings.Contains(text, " DROP COLUMN ") || strings.Contains(text, "= substr(full")
	})
}

// intruded runs a case there and back with a writer in one of the two runs, and says what of its write is nowhere in the end.
func (p *proving) intruded(c *trial) error {
	p.t.Helper()
	p.clean()
	for _, s := range c.setup {
		if _, err := p.db.ExecContext(p.t.Context(), s); err != nil && !strings.HasPrefix(s, "INSERT") {
			p.t.Fatalf("%s: %v\n%v", s, err, c)
		}
	}
	if len(c.files()) == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(c.seed, 11))
	a := &intruder{p: p, rng: rng, verb: pick(rng, []string{"up", "rollback", "rollback", "rollback"})}
	statements := 0
	for _, s := range c.steps {
		statements += len(map[bool][]string{true: s.up, false: s.down}[a.verb == "up"])
	}
	a.at = 1 + rng.IntN(max(1, statements))
	if rng.IntN(3) == 0 {
		a.cut = a.at + rng.IntN(3)
	}
	a.first = p.read()
	run := func(verb string) error {
		ctx, cancel := context.WithCancel(p.t.Context())
		defer cancel()
		if verb == a.verb {
			maps.Copy(a.first, p.read())
		}
		files := fstest.MapFS{}
		for name, text := range c.files() {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		m, err := migrate.Open(p.t.Context(), migrate.Options{DB: p.db, Files: files, Dir: "migrations", Events: func(e migrate.Event) {
			if verb != a.verb || e.Kind != migrate.StatementStart {
				return
			}
			if a.seen++; a.wrote == "" && a.seen >= a.at {
				if a.write(); a.wrote != "" {
					a.where = a.seen
				}
			}
			if a.wrote == "" {
				a.before = append(a.before, e.Text)
			} else {
				a.after = append(a.after, e.Text)
			}
			if a.seen == a.cut {
				cancel()
			}
		}})
		if err != nil {
			return err
		}
		if verb == "up" {
			_, err = m.Up(ctx, migrate.UpRequest{To: -1})
		} else {
			_, err = m.Rollback(ctx, migrate.RollbackRequest{To: 0})
		}
		return err
	}
	for _, verb := range []string{"up", "rollback"} {
		err := run(verb)
		if err != nil {
			p.seen[verb+" refused"]++
			if taken := p.undone(c); taken != nil {
				return fmt.Errorf("%w, after: %w", taken, err)
			}
		}
		if a.wrote != "" && a.gone != "" {
			p.seen["deleted in "+a.verb]++
			if (err == nil && verb == "rollback" || err != nil && verb == a.verb && !a.stood()) && a.back() && !a.copied() {
				return fmt.Errorf("back: deleted in %s before statement %d: %s; after %s (%s)", a.verb, a.where, a.wrote, verb, fmt.Sprint(err))
			}
		} else if a.wrote != "" {
			p.seen["written in "+a.verb]++
			if n, where := a.found(); n < a.rows && (a.destroyed() || a.copied()) {
				p.seen["destroyed by what had made it"]++
			} else if n < a.rows {
				return fmt.Errorf("lost: %d rows of %d, after %s (%s), written in %s before statement %d: %s; found in %v", a.rows-n, a.rows, verb, fmt.Sprint(err), a.verb, a.where, a.wrote, where)
			}
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// TestNoWriteIsLost draws migrations as TestAnyMigration does, and has an application write right before one of their statements, of the rollback or of the up: what it
// wrote is in its table in the end, or in a capture. SQLite keeps writers out meanwhile.
func TestNoWriteIsLost(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		first, n := uint64(1), map[bool]int{true: 40, false: 12}[strings.HasPrefix(dsn, "postgres")]
		for name, into := range map[string]func(uint64){"CASES": func(v uint64) { n = int(v) }, "SEED": func(v uint64) { first = v }} {
			if s := os.Getenv(name); s != "" {
				v, err := strconv.ParseUint(s, 10, 32)
				if err != nil {
					t.Fatalf("%s=%s: %v", name, s, err)
				}
				into(v)
			}
		}
		p := newProving(t, dsn)
		for i := range n {
			c := newTrial(first+uint64(i), p.db.Kind)
			c.alone = true
			if err := p.intruded(c); err != nil {
				t.Errorf("seed %d: %v\n%v", c.seed, err, c)
			}
		}
		t.Logf("from seed %d: %d cases, %v", first, n, p.seen)
		if written := p.seen["written in up"] + p.seen["written in rollback"] + p.seen["deleted in up"] + p.seen["deleted in rollback"]; n > 10 && written < n/3 {
			t.Errorf("only in %d of %d cases somebody wrote", written, n)
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}
