package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreRenamedAmongSeveral: a column that was renamed in one of several tables, named or brought along, keeps none of them back; another
// table's column of that name stays what it is.
func TestRestoreRenamedAmongSeveral(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE p (id integer NOT NULL PRIMARY KEY, v varchar(9))", "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, pid integer NOT NULL, v varchar(9), FOREIGN KEY (pid) REFERENCES p (id))",
			"INSERT INTO p VALUES (1, 'a'), (2, 'b')", "INSERT INTO c VALUES (1, 1, 'x'), (2, 2, 'y')")
		id := b.take("c", "p")
		b.exec("ALTER TABLE p RENAME COLUMN v TO w")
		all := func() string {
			return strings.Join(append(b.query("SELECT concat(id, w) FROM p ORDER BY id"), b.query("SELECT concat(id, pid, v) FROM c ORDER BY id")...), " ")
		}
		want := all()
		for _, ask := range []snapshot.Ask{
			{Tables: []engine.Name{{Name: "c"}}, Related: true},
			{Tables: []engine.Name{{Name: "c"}, {Name: "p"}}},
			{},
		} {
			b.exec("DELETE FROM c WHERE id = 2", "DELETE FROM p WHERE id = 2", "UPDATE p SET w = 'q'", "UPDATE c SET v = 'q'")
			ask.Snapshot, ask.Map = id, map[string]string{"v": "w"}
			b.restore(ask)
			if got := all(); got != want {
				t.Errorf("%+v: %s, want %s", ask, got, want)
			}
		}
		var wrong *snapshot.AskError
		if _, err := b.preview(snapshot.Ask{Snapshot: id, Map: map[string]string{"v": "w", "x": "w"}}); !errors.As(err, &wrong) || !strings.Contains(wrong.Message, "--map x=w") {
			t.Errorf("a column that no table had: %v", err)
		}
	}, testdb.Everywhere()...)
}

// TestRestoreNamesChanged: two columns that changed names with each other, and one that took the name of another, get each its own values back.
func TestRestoreNamesChanged(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE p (id integer NOT NULL PRIMARY KEY, a integer, b integer, c integer)", "INSERT INTO p VALUES (1, 10, 20, 30), (2, 11, 21, 31)")
		id := b.take("p")
		b.exec("ALTER TABLE p RENAME COLUMN c TO d", "ALTER TABLE p RENAME COLUMN b TO c", "ALTER TABLE p RENAME COLUMN a TO b", "ALTER TABLE p RENAME COLUMN d TO a")
		for range 8 { // in whatever order they are looked at
			b.exec("UPDATE p SET a = 0, b = 0, c = 0", "DELETE FROM p WHERE id = 2")
			b.restore(snapshot.Ask{Snapshot: id, Tables: []engine.Name{{Name: "p"}}, Map: map[string]string{"a": "b", "b": "c", "c": "a"}})
			if got := strings.Join(b.query("SELECT concat(id, '/', a, '/', b, '/', c) FROM p ORDER BY id"), " "); got != "1/30/10/20 2/31/11/21" {
				t.Fatalf("%s", got)
			}
		}
	}, testdb.Everywhere()...)
}

// TestCopyTellsOfComputedColumns: what the server computes is no captured value, and a copy has no column for it; it says so.
func TestCopyTellsOfComputedColumns(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, a integer, twice integer GENERATED ALWAYS AS (a * 2) STORED)", "INSERT INTO t (id, a) VALUES (1, 5)")
		r := b.restore(snapshot.Ask{Snapshot: b.take("t"), Mode: snapshot.Copy, Into: engine.Name{Name: "aside"}})
		if got := r.tables[0].Notes; len(got) != 1 || !strings.Contains(got[0], "computes are not in the copy: twice") {
			t.Errorf("notes: %q", got)
		}
		if got := strings.Join(b.query("SELECT id || ' ' || a FROM aside"), ", "); got != "1 5" {
			t.Errorf("the copy has %s", got)
		}
	}, everywhere...)
}

// TestRestoreOfTablesOfDifferentMoments: a row that was not there yet when its table was captured stays for the rows of another table, captured later, that come
// back and point to it.
func TestRestoreOfTablesOfDifferentMoments(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE p (id integer NOT NULL PRIMARY KEY, v varchar(9))", "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, pid integer NOT NULL, FOREIGN KEY (pid) REFERENCES p (id))", "INSERT INTO p VALUES (1, 'a')")
		b.take("p")
		b.exec("INSERT INTO p VALUES (2, 'b'), (3, 'c')", "INSERT INTO c VALUES (1, 2)")
		b.take("c")
		b.exec("DELETE FROM c")
		before := b.rows()
		r := b.restore(snapshot.Ask{Tables: []engine.Name{{Name: "p"}, {Name: "c"}}, At: time.Now(), Mode: snapshot.Replace})
		if got := strings.Join(b.query("SELECT id FROM p ORDER BY id"), " ") + "; " + strings.Join(b.query("SELECT pid FROM c"), " "); got != "1 2; 2" {
			t.Errorf("there is %s: %v", got, r.conflicts)
		}
		if len(r.conflicts) != 1 || r.conflicts[0].Key != "id=2" || r.conflicts[0].Reason != "referenced since" {
			t.Errorf("conflicts: %v", r.conflicts)
		}
		b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
		same(t, "undone", before, b.rows())
	}, everywhere...)
}
