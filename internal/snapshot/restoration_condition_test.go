package snapshot_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestConditionComparesAsTheTableDoes: a condition picks the captured rows that it picked in the table: numbers are compared with texts, and
// texts with numbers, as the types of the columns say, and texts as their collations do.
func TestConditionComparesAsTheTableDoes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		conditions := []string{"id = '7'", "id IN ('7', '8')", "id BETWEEN '7' AND '8'", "r > '7'", "n = '7'", "a = '7'", "day > '2026-01-01'", "a = 'B' OR id = 8"}
		switch b.db.Kind {
		case engine.Postgres:
			b.exec("CREATE TABLE t (id integer PRIMARY KEY, a text, n numeric, r double precision, day timestamp)")
		case engine.SQLite:
			b.exec("CREATE TABLE t (id integer PRIMARY KEY, a varchar(20) COLLATE NOCASE, n numeric, r real, day datetime, odd, \"two words\" INT)")
			conditions = append(conditions, "a = 7", "a > 7", "odd = '7'", "odd = 7", "n > 'word'", "day = '7'", "\"two words\" = '7'", "r = '8'", "id = '9'", "day > 6")
		default:
			b.exec("CREATE TABLE t (id integer PRIMARY KEY, a varchar(20), n decimal(9, 2), r double, day datetime)")
		}
		b.exec("INSERT INTO t (id, a, n, r, day) VALUES (7, '7', 7, 7.5, '2026-02-01 00:00:00'), (8, 'b', 8, 8, '2025-02-01 00:00:00'), (9, NULL, NULL, NULL, NULL)")
		if b.db.Kind == engine.SQLite {
			b.exec("INSERT INTO t VALUES (10, 'B', 'word', 'word', 7, 7, 'x'), (11, x'37', x'37', 1, '7', '7', '7')")
		}
		read := func(table, where string) string {
			return strings.Join(b.query("SELECT id FROM "+table+where+" ORDER BY id"), " ")
		}
		id := b.take("t")
		picks := map[string]string{}
		for _, c := range conditions {
			picks[c] = read("t", " WHERE "+c)
		}
		for _, c := range conditions {
			ask := snapshot.Ask{Snapshot: id, Mode: snapshot.Copy, Into: engine.Name{Name: "aside"}, Where: c}
			if _, err := b.preview(ask); err != nil {
				t.Errorf("%s: %v", c, err)
				continue
			}
			b.restore(ask)
			if got := read("aside", ""); got != picks[c] {
				t.Errorf("copy, %s: picks %s, want %s", c, got, picks[c])
			}
			b.exec("DROP TABLE aside", "DELETE FROM t")
			ask.Mode, ask.Into = snapshot.Replace, engine.Name{}
			p, err := b.preview(ask)
			if err != nil {
				t.Fatalf("%s: %v", c, err)
			}
			b.restore(ask)
			if got := read("t", ""); got != picks[c] || p[0].Inserted != int64(len(strings.Fields(got))) {
				t.Errorf("%s: picks %s, want %s; foreseen %s", c, got, picks[c], counts(p))
			}
			b.restore(snapshot.Ask{Snapshot: id})
		}
		if b.db.Kind == engine.SQLite {
			if got := b.query("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'dbrollback_work%'"); got[0] != "0" {
				t.Error(fmt.Sprint(got), "tables were left")
			}
		}
		b.clean()
	}, everywhere...)
}
