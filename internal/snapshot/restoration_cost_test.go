package snapshot_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestReplaceCost: to find the rows that came later takes about as long as to compare those that were there, whatever the key is; it took as
// many times as long as there were rows for a thousandth of a second.
func TestReplaceCost(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, key := range []string{"integer", "varchar(40)"} {
			b := newBench(t, dsn, "DROP TABLE IF EXISTS item", "CREATE TABLE item (id "+key+" NOT NULL PRIMARY KEY, v integer)")
			const rows, at = 16_000, 500
			for i := 0; i < rows; i += at {
				values := make([]string, at)
				for j := range values {
					values[j] = fmt.Sprintf("('%d', 1)", i+j)
				}
				b.exec("INSERT INTO item VALUES " + strings.Join(values, ", "))
			}
			ask := snapshot.Ask{Snapshot: b.take("item"), Tables: []engine.Name{{Name: "item"}}, Mode: snapshot.Replace}
			b.exec("UPDATE item SET v = 2 WHERE id = '7'")
			look := func(want string) time.Duration {
				began := time.Now()
				p, err := b.preview(ask)
				if err != nil {
					t.Fatal(err)
				}
				if got := counts(p); got != want {
					t.Errorf("%s: %s, want %s", key, got, want)
				}
				return time.Since(began)
			}
			none := look("+0 ~1 -0 =15999 !0")
			b.exec("INSERT INTO item VALUES ('900001', 1)")
			if later := look("+0 ~1 -1 =15999 !0"); later > 8*none+time.Second {
				t.Errorf("%s: %s with a row that came later, %s without", key, later, none)
			}
			if got := counts(b.restore(ask).tables); got != "+0 ~1 -1 =15999 !0" {
				t.Errorf("%s: did %s", key, got)
			}
			if got := b.query("SELECT concat(count(*), '/', sum(v)) FROM item"); got[0] != "16000/16000" {
				t.Errorf("%s: %v", key, got)
			}
		}
	}, testdb.Everywhere()...)
}

// TestComparisonIsMeasured: where the user has had his tables measured, SQLite looks rows up in them for the few that differ, and reads none of them whole. What it was told of ours goes with it.
func TestComparisonIsMeasured(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.SQLite(t), "CREATE TABLE t (id integer PRIMARY KEY, a integer)", "INSERT INTO t WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 50000) SELECT i, i FROM g")
	id := b.take("t")
	b.exec("ANALYZE", "UPDATE t SET a = 0 WHERE id % 1000 = 0")
	before := b.query("SELECT tbl FROM sqlite_stat1")
	looked := false
	_, err := b.tryOnline(snapshot.Ask{Snapshot: id}, 100, func() {
		data := b.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'dbrollback\\_data\\_%' ESCAPE '\\' ORDER BY rowid DESC LIMIT 1")[0]
		rows, err := b.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT d.n FROM "+b.db.Ident(data)+" d JOIN t ON t.id = d.k1 AND d.k1 = +t.id WHERE d.op = 'u'")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				t.Fatal(err)
			}
			looked = looked || strings.HasPrefix(step, "SEARCH t ")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil || !looked {
		t.Errorf("the table is read whole: %v", err)
	}
	if after := b.query("SELECT tbl FROM sqlite_stat1"); !slices.Equal(before, after) {
		t.Errorf("measured: %v, before %v", after, before)
	}
}
