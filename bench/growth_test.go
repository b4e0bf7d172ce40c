//go:build unix

package bench

import (
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// What takes the square of the time where a server looks for each row by reading a table: a table whose key has several columns, or none, and others write to it between up and rollback.
const (
	rebuilt = "-- +goose Up\nCREATE TABLE anew (a integer NOT NULL, b varchar(20) NOT NULL, w integer, v integer, note varchar(40){KEY});\nINSERT INTO anew SELECT a, b, w, v, 'anew' FROM many;\nDROP TABLE many;\nALTER TABLE anew RENAME TO many;\n-- +goose Down\nSELECT 1;\n"
	moved   = "-- +goose Up\nUPDATE many SET a = a + 10000000;\n-- +goose Down\nUPDATE many SET a = a - 10000000;\n"
	added   = "-- +goose Up\nINSERT INTO many SELECT a + 10000000, b, w, v, note FROM many;\n-- +goose Down\nDELETE FROM many WHERE a > 10000000;\n"
	dropped = "-- +goose Up\nDELETE FROM many WHERE w < 30;\nUPDATE many SET note = 'up';\nALTER TABLE many DROP COLUMN note;\n-- +goose Down\nALTER TABLE many ADD COLUMN note varchar(40);\nUPDATE many SET v = v + 0;\n"
)

// eachRow measures up and rollback of a table that is written to in between, in microseconds a row: of a fifth of the large table's rows, or of so many times fewer.
func eachRow(text, key string, fewer int) side {
	return func(b *bench) float64 {
		dsn, rows := b.engine.New(b), max(b.rows/5/fewer, 10)
		if key != "" {
			key = ", PRIMARY KEY (" + key + ")"
		}
		var lines []string
		for i := range rows {
			lines = append(lines, fmt.Sprintf("(%d, 'k%d', %d, %d, 'note %d')", i+1, i%7, i%100, i%13, i))
		}
		testdb.Exec(b, dsn, "CREATE TABLE many (a integer NOT NULL, b varchar(20) NOT NULL, w integer, v integer, note varchar(40)"+key+")")
		for len(lines) > 0 {
			n := min(len(lines), 5000)
			testdb.Exec(b, dsn, "INSERT INTO many VALUES "+strings.Join(lines[:n], ", "))
			lines = lines[n:]
		}
		state := func() string {
			return strings.Join(testdb.Query(b, dsn, "SELECT count(*), sum(a), sum(v), count(note), min(note), max(note) FROM many WHERE w <> 57 AND a > 0"), "\n")
		}
		was := state()
		m := b.migrator(dsn, one(strings.ReplaceAll(text, "{KEY}", key)), false)
		took := timed(func() { b.up(m) })
		testdb.Exec(b, dsn, "UPDATE many SET v = -1 WHERE w = 57", "INSERT INTO many (a, b, w, v) VALUES (-1, 'new', 1, 1)")
		took += timed(func() { b.back(m) })
		if got := state(); got != was {
			b.Fatalf("the rows that nobody wrote are not what they were:\n%s", testdb.Diff(was, got))
		}
		return took / float64(rows) * 1e6
	}
}

// growth are the cases of how the time of a row grows with their number.
func growth() (out []compared) {
	for _, x := range []struct{ name, text, key string }{
		{"table built anew", rebuilt, "a, b"}, {"keys moved", moved, "a, b"}, {"rows added", added, "a, b"}, {"rows and a column dropped", dropped, "a, b"}, {"no key, a column dropped", dropped, ""},
	} {
		for _, e := range []testdb.Engine{pg, my, ma, lite} {
			out = append(out, compared{x.name + ", a row", e, "µs", eachRow(x.text, x.key, 1), eachRow(x.text, x.key, 8), "of an eighth", 2})
		}
	}
	return out
}
