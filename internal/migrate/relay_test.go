package migrate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// relays are migrations that move rows or values into a table that they make, and whose Down carries them back; what the application writes
// there, and what the old table then holds under each policy.
var relays = []struct {
	name, init, up, down, writes, rows string
	before, keep, restore              []string
}{
	{name: "a table made anew in the place of another",
		init: "CREATE TABLE old (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO old VALUES (1, 'A'), (2, 'B'), (3, 'C'), (4, 'D');",
		up:   "CREATE TABLE fresh (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO fresh (id, v) SELECT id, lower(v) FROM old;\nDROP TABLE old;",
		down: "CREATE TABLE old (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO old SELECT id, v FROM fresh;\nDROP TABLE fresh;",
		rows: "SELECT id, v FROM old ORDER BY id", before: []string{"1|A", "2|B", "3|C", "4|D"},
		writes: "UPDATE fresh SET v = 'mine' WHERE id = 1;\nDELETE FROM fresh WHERE id = 2;\nINSERT INTO fresh VALUES (5, 'own');",
		keep:   []string{"1|mine", "3|C", "4|D", "5|own"}, restore: []string{"1|A", "2|B", "3|C", "4|D", "5|own"}},
	{name: "a column that becomes a table",
		init:   "CREATE TABLE old (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO old VALUES (1, 'A'), (2, 'B'), (3, 'C'), (4, NULL);",
		up:     "CREATE TABLE fresh (n integer PRIMARY KEY, of_id integer NOT NULL, v varchar(9), grade integer NOT NULL);\nINSERT INTO fresh (n, of_id, v, grade) SELECT id + 100, id, lower(v), 2 FROM old;\nALTER TABLE old DROP COLUMN v;",
		down:   "ALTER TABLE old ADD COLUMN v varchar(9);\nUPDATE old SET v = (SELECT max(v) FROM fresh WHERE of_id = old.id);\nDROP TABLE fresh;",
		rows:   "SELECT id, coalesce(v, '-') FROM old ORDER BY id",
		before: []string{"1|A", "2|B", "3|C", "4|-"},
		writes: "UPDATE fresh SET v = 'mine' WHERE of_id = 1;\nUPDATE fresh SET v = 'new' WHERE of_id = 4;\nINSERT INTO old VALUES (5);\nINSERT INTO fresh VALUES (7, 5, 'own', 2);",
		keep:   []string{"1|mine", "2|B", "3|C", "4|new", "5|own"}, restore: []string{"1|A", "2|B", "3|C", "4|-", "5|own"}},
	{name: "a column that goes to a table that was there",
		init:   "CREATE TABLE old (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO old VALUES (11, 'A'), (12, 'B'), (13, 'C'), (14, 'D');\nCREATE TABLE fresh (id KEY, of_id integer, v varchar(9));\nINSERT INTO fresh (of_id, v) VALUES (77, 'not of it');",
		up:     "INSERT INTO fresh (of_id, v) SELECT id, lower(v) FROM old ORDER BY id;\nALTER TABLE old DROP COLUMN v;",
		down:   "ALTER TABLE old ADD COLUMN v varchar(9);\nUPDATE old SET v = (SELECT max(v) FROM fresh WHERE of_id = old.id);\nDELETE FROM fresh WHERE of_id < 77;",
		rows:   "SELECT id, coalesce(v, '-') FROM old ORDER BY id",
		before: []string{"11|A", "12|B", "13|C", "14|D"},
		writes: "UPDATE fresh SET v = 'mine' WHERE of_id = 11;\nDELETE FROM fresh WHERE of_id = 12;\nINSERT INTO old VALUES (15);\nINSERT INTO fresh (of_id, v) VALUES (15, 'own');",
		keep:   []string{"11|mine", "12|-", "13|C", "14|D", "15|own"}, restore: []string{"11|A", "12|B", "13|C", "14|D", "15|own"}},
}

// serial is a key column that the table gives out.
func serial(dsn string) string {
	switch {
	case strings.HasPrefix(dsn, "postgres"):
		return "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	case strings.HasPrefix(dsn, "sqlite"):
		return "id integer PRIMARY KEY AUTOINCREMENT"
	}
	return "id integer AUTO_INCREMENT PRIMARY KEY"
}

// TestWrittenInTheTableBetween: what the application has written into a table that Up made, and from which Down carries values back, is newer than what
// was captured. It stays, and is a conflict; the other rows are as they were, also where Up and Down lose something of them.
func TestWrittenInTheTableBetween(t *testing.T) {
	t.Parallel()
	for _, x := range relays {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, strings.Replace(x.init, "id KEY", serial(dsn), 1)+"\n", map[string]string{"00001_move.sql": migration(x.up, x.down)})
				rolled := func(p snapshot.Policy, conflicts bool, want []string) {
					t.Helper()
					res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: p})
					if got := testdb.Query(t, dsn, x.rows); !slices.Equal(got, want) || (len(res.Conflicts) > 0) != conflicts || !res.Verified {
						t.Errorf("%s: rows %q, want %q; verified %t, conflicts %+v", p, got, want, res.Verified, res.Conflicts)
					}
				}
				f.up()
				rolled(snapshot.Fail, false, x.before)
				f.up()
				f.exec("UPDATE fresh SET v = v;")
				rolled(snapshot.Fail, false, x.before)
				f.up()
				f.exec(x.writes)
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1, OnConflict: snapshot.Fail})
				var conflict *snapshot.ConflictError
				if !errors.As(err, &conflict) || conflict.Total < 1 {
					t.Fatalf("under fail: %v, want conflicts", err)
				}
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil && !errors.Is(err, migrate.ErrNothing) {
					t.Fatal(err)
				}
				rolled(snapshot.Keep, true, x.keep)
			}, testdb.Everywhere()...)
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, strings.Replace(x.init, "id KEY", serial(dsn), 1)+"\n", map[string]string{"00001_move.sql": migration(x.up, x.down)})
				f.up()
				f.exec(x.writes)
				res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Restore})
				if got := testdb.Query(t, dsn, x.rows); !slices.Equal(got, x.restore) || len(res.Conflicts) < 2 {
					t.Errorf("restore: rows %q, want %q; conflicts %+v", got, x.restore, res.Conflicts)
				}
				f.up()
				if got := f.rollback(migrate.RollbackRequest{Steps: 1}); len(got.Conflicts) > 0 || !slices.Equal(testdb.Query(t, dsn, x.rows), x.restore) {
					t.Errorf("once more: rows %q, want %q; conflicts %+v", testdb.Query(t, dsn, x.rows), x.restore, got.Conflicts)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestCutOffWhileRowsAreCarriedBack: the same where the rollback dies once it knows what was written there, and is ended by recover.
func TestCutOffWhileRowsAreCarriedBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		x := relays[0]
		c := newCutter(t, dsn, migration(x.up, x.down))
		for _, s := range strings.Split(x.init, "\n") {
			testdb.Exec(t, dsn, s)
		}
		want := x.before
		for n := 0; ; n++ {
			c.must("up")
			mine, own, last := fmt.Sprintf("m%d", n), fmt.Sprintf("%d|own", 10+n), fmt.Sprintf("%d|own", 9+n)
			testdb.Exec(t, dsn, "UPDATE fresh SET v = '"+mine+"' WHERE id = 1")
			testdb.Exec(t, dsn, fmt.Sprintf("DELETE FROM fresh WHERE id = %d", 9+n))
			testdb.Exec(t, dsn, fmt.Sprintf("INSERT INTO fresh VALUES (%d, 'own')", 10+n))
			want = append(slices.DeleteFunc(slices.Clone(want), func(row string) bool { return row == last || strings.HasPrefix(row, "1|") }), own)
			want = append([]string{"1|" + mine}, want...)
			at := c.rollbackCutAtTies(n, "fresh")
			if got := testdb.Query(t, dsn, x.rows); !slices.Equal(got, want) {
				t.Fatalf("cut %d at %q: rows %q, want %q", n, at, got, want)
			}
			if at == "" {
				if n < 8 {
					t.Fatalf("only %d places to cut it off at", n)
				}
				return
			}
		}
	}, family...)
}

// rollbackCutAtTies cuts a rollback off at the n-th statement about what was written since in the table that Up made, and brings it to its end. at is the
// statement; "" when there are not so many.
func (c *cutter) rollbackCutAtTies(n int, made string) (at string) {
	c.Helper()
	i := 0
	at, err := c.cutWhere("rollback", []cut{afterAnswer, beforeIt, afterSending}[n%3], func(query string) bool {
		if strings.Contains(query, "dbrollback_ties_") || i > 0 && strings.HasPrefix(query, "COMMIT") {
			i++
		}
		return i == n+1
	})
	if at != "" {
		if _, err = c.mend("recover"); err == nil && len(testdb.Query(c, c.dsn, "SHOW TABLES LIKE '"+made+"'")) > 0 { // it had not begun
			err = c.run(c.dsn, "rollback")
		}
	}
	if err != nil {
		c.Fatalf("cut %d at %q: %v", n, at, err)
	}
	return at
}

// TestCutOffWhileParentsAreCarriedBack: the same where many rows point to what was changed: by which key is known after the crash as well.
func TestCutOffWhileParentsAreCarriedBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("CREATE TABLE cust (id integer AUTO_INCREMENT PRIMARY KEY, name varchar(30) UNIQUE);\nINSERT INTO cust (name) SELECT DISTINCT cust_name FROM ord;\n"+
			"ALTER TABLE ord ADD COLUMN cust_id integer;\nALTER TABLE ord ADD CONSTRAINT ord_cust FOREIGN KEY (cust_id) REFERENCES cust (id);\n"+
			"UPDATE ord SET cust_id = (SELECT c.id FROM cust c WHERE c.name = ord.cust_name);\nALTER TABLE ord DROP COLUMN cust_name;",
			"ALTER TABLE ord ADD COLUMN cust_name varchar(30);\nUPDATE ord SET cust_name = (SELECT c.name FROM cust c WHERE c.id = ord.cust_id);\n"+
				"ALTER TABLE ord DROP FOREIGN KEY ord_cust;\nALTER TABLE ord DROP COLUMN cust_id;\nDROP TABLE cust;"))
		testdb.Exec(t, dsn, "CREATE TABLE ord (id integer PRIMARY KEY, cust_name varchar(30))", "INSERT INTO ord VALUES (1, 'Z0'), (2, 'Ann'), (3, 'Z0'), (4, 'Bob'), (5, 'Ann')")
		for n := 0; ; n++ {
			c.must("up")
			testdb.Exec(t, dsn, fmt.Sprintf("UPDATE cust SET name = 'Z%d' WHERE name LIKE 'Z%%'", n+1))
			at := c.rollbackCutAtTies(n, "cust")
			want := []string{fmt.Sprintf("1|Z%d", n+1), "2|Ann", fmt.Sprintf("3|Z%d", n+1), "4|Bob", "5|Ann"}
			if got := testdb.Query(t, dsn, "SELECT id, cust_name FROM ord ORDER BY id"); !slices.Equal(got, want) {
				t.Fatalf("cut %d at %q: rows %q, want %q", n, at, got, want)
			}
			if at == "" {
				if n < 8 {
					t.Fatalf("only %d places to cut it off at", n)
				}
				return
			}
		}
	}, family...)
}
