// Package bench measures dbrollback beside its peers and the server's own limits, interleaved in one run, and prints
// ratios of medians. It asserts nothing about time. Rows of the large table: ROWS (default 200,000).
package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// rounds is how often each side of a comparison runs; the median counts.
const rounds = 5

func rows(b *testing.B) int {
	b.Helper()
	s := os.Getenv("ROWS")
	if s == "" {
		return 200_000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		b.Fatalf("ROWS=%s: %v", s, err)
	}
	return n
}

// compare runs ours and the peer in turn and reports the ratio of their medians. Each prepares what it needs and
// returns the time of the measured part alone.
func compare(b *testing.B, ours, peer func() time.Duration) {
	b.Helper()
	var a, p []time.Duration
	for range rounds {
		a, p = append(a, ours()), append(p, peer())
	}
	slices.Sort(a)
	slices.Sort(p)
	b.ReportMetric(a[rounds/2].Seconds(), "ours-s")
	b.ReportMetric(p[rounds/2].Seconds(), "peer-s")
	b.ReportMetric(a[rounds/2].Seconds()/p[rounds/2].Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func open(b *testing.B, dsn string) *engine.DB {
	b.Helper()
	db, err := engine.Open(context.Background(), dsn, engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(b *testing.B, db *sql.DB, stmts ...string) {
	b.Helper()
	for _, s := range stmts {
		if _, err := db.Exec(s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}

func migrator(b *testing.B, db *engine.DB, files fstest.MapFS) *migrate.Migrator {
	b.Helper()
	m, err := migrate.Open(context.Background(), migrate.Options{DB: db, Files: files, Dir: "migrations"})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func up(b *testing.B, db *engine.DB, files fstest.MapFS) {
	b.Helper()
	if _, err := migrator(b, db, files).Up(context.Background(), migrate.UpRequest{To: -1}); err != nil {
		b.Fatal(err)
	}
}

func rollback(b *testing.B, db *engine.DB, files fstest.MapFS) {
	b.Helper()
	if _, err := migrator(b, db, files).Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1}); err != nil {
		b.Fatal(err)
	}
}

// engines are those that have a bench.
var engines = []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite}

// BenchmarkUpSmall: 400 small migrations with nothing to capture, against goose.
func BenchmarkUpSmall(b *testing.B) {
	files := fstest.MapFS{}
	for i := range 400 {
		t := fmt.Sprintf("t%d", i/4)
		text := map[int]string{
			0: "-- +goose Up\nCREATE TABLE " + t + " (id integer PRIMARY KEY, name varchar(40) NOT NULL, made timestamp);\n-- +goose Down\nDROP TABLE " + t + ";\n",
			1: "-- +goose Up\nALTER TABLE " + t + " ADD COLUMN score integer;\n-- +goose Down\nALTER TABLE " + t + " DROP COLUMN score;\n",
			2: "-- +goose Up\nCREATE INDEX " + t + "_name ON " + t + " (name);\n-- +goose Down\nDROP INDEX " + t + "_name;\n",
			3: "-- +goose Up\nALTER TABLE " + t + " ADD COLUMN note text DEFAULT 'x';\n-- +goose Down\nALTER TABLE " + t + " DROP COLUMN note;\n",
		}[i%4]
		files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			dialect := map[testdb.Engine]database.Dialect{testdb.OnPostgres: database.DialectPostgres, testdb.OnSQLite: database.DialectSQLite3}[e]
			compare(b, func() time.Duration {
				db := open(b, e.New(b))
				return timed(func() { up(b, db, files) })
			}, func() time.Duration {
				p, err := goose.NewProvider(dialect, open(b, e.New(b)).DB, files)
				if err != nil {
					b.Fatal(err)
				}
				return timed(func() {
					if _, err := p.Up(context.Background()); err != nil {
						b.Fatal(err)
					}
				})
			})
		})
	}
}

// BenchmarkUpMixed: 200 small migrations of all kinds, most with little to capture or nothing, against goose.
func BenchmarkUpMixed(b *testing.B) {
	files := fstest.MapFS{}
	for i := range 200 {
		t := fmt.Sprintf("t%d", i/10)
		text := []string{
			"CREATE TABLE " + t + " (id serial PRIMARY KEY, name varchar(40) NOT NULL, made timestamptz DEFAULT now());\nCREATE INDEX ON " + t + " (name);",
			"ALTER TABLE " + t + " ADD COLUMN score integer;",
			"INSERT INTO " + t + " (name) VALUES ('a'), ('b');",
			"CREATE TYPE " + t + "_state AS ENUM ('new', 'old');",
			"ALTER TABLE " + t + " ADD COLUMN state " + t + "_state NOT NULL DEFAULT 'new';",
			"COMMENT ON TABLE " + t + " IS 'a table';",
			"CREATE FUNCTION " + t + "_f() RETURNS integer LANGUAGE sql AS 'SELECT 1';",
			"CREATE VIEW " + t + "_v AS SELECT id, name FROM " + t + ";",
			"UPDATE " + t + " SET score = 1;",
			"ALTER TABLE " + t + " ALTER COLUMN score SET NOT NULL;",
		}[i%10]
		files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text + "\n-- +goose Down\nSELECT 1;\n")}
	}
	compare(b, func() time.Duration {
		db := open(b, testdb.Postgres(b))
		return timed(func() { up(b, db, files) })
	}, func() time.Duration {
		p, err := goose.NewProvider(database.DialectPostgres, open(b, testdb.Postgres(b)).DB, files)
		if err != nil {
			b.Fatal(err)
		}
		return timed(func() {
			if _, err := p.Up(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// large makes a table like that of a shop: two secondary indexes, about 200 bytes a row.
func large(b *testing.B, e testdb.Engine, n int) *engine.DB {
	b.Helper()
	db := open(b, e.New(b))
	series := fmt.Sprintf("generate_series(1, %d) AS s(g)", n)
	if e == testdb.OnSQLite {
		series = fmt.Sprintf("(WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < %d) SELECT g FROM s)", n)
	}
	pad := strings.Repeat("x", 100)
	exec(b, db.DB, "CREATE TABLE big (id integer PRIMARY KEY, score integer, name varchar(60), pad varchar(120), note varchar(40))",
		"INSERT INTO big SELECT g, g % 1000, 'name ' || g, '"+pad+"', 'note ' || g FROM "+series,
		"CREATE INDEX big_score ON big (score)", "CREATE INDEX big_name ON big (name)")
	if e == testdb.OnPostgres {
		exec(b, db.DB, "VACUUM ANALYZE big")
	}
	return db
}

// onLarge compares one migration with statements of the server's own, each on a fresh table.
func onLarge(b *testing.B, text string, ours func(db *engine.DB, files fstest.MapFS) time.Duration, peer ...string) {
	b.Helper()
	files := fstest.MapFS{"00001_m.sql": {Data: []byte(text)}}
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			n := rows(b)
			compare(b, func() time.Duration { return ours(large(b, e, n), files) }, func() time.Duration {
				db := large(b, e, n)
				return timed(func() { exec(b, db.DB, peer...) })
			})
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "process-MiB")
		})
	}
}

func timeUp(b *testing.B) func(*engine.DB, fstest.MapFS) time.Duration {
	return func(db *engine.DB, files fstest.MapFS) time.Duration { return timed(func() { up(b, db, files) }) }
}

func timeRollback(b *testing.B) func(*engine.DB, fstest.MapFS) time.Duration {
	return func(db *engine.DB, files fstest.MapFS) time.Duration {
		up(b, db, files)
		return timed(func() { rollback(b, db, files) })
	}
}

const dropTable = "-- +goose Up\nDROP TABLE big;\n-- +goose Down\nCREATE TABLE big (id integer PRIMARY KEY, score integer, name varchar(60), pad varchar(120), note varchar(40));\nCREATE INDEX big_score ON big (score);\nCREATE INDEX big_name ON big (name);\n"

// BenchmarkDropTableUp: the capture of a whole table with its checksum, against CREATE TABLE AS of it.
func BenchmarkDropTableUp(b *testing.B) {
	onLarge(b, dropTable, timeUp(b), "CREATE TABLE copy AS SELECT * FROM big")
}

// BenchmarkDropTableRollback: the rows back in their place, against INSERT … SELECT into an indexed table.
func BenchmarkDropTableRollback(b *testing.B) {
	onLarge(b, dropTable, timeRollback(b), "CREATE TABLE copy (id integer PRIMARY KEY, score integer, name varchar(60), pad varchar(120), note varchar(40))",
		"CREATE INDEX copy_score ON copy (score)", "CREATE INDEX copy_name ON copy (name)", "INSERT INTO copy SELECT * FROM big")
}

// BenchmarkDropTableConstant: up and rollback of a dropped table of ROWS rows, against one of 10,000: the table is kept, so
// its size does not matter.
func BenchmarkDropTableConstant(b *testing.B) {
	files := fstest.MapFS{"00001_m.sql": {Data: []byte(dropTable)}}
	for _, verb := range []string{"up", "rollback"} {
		b.Run(verb, func(b *testing.B) {
			of := func(n int) func() time.Duration {
				return func() time.Duration {
					db := large(b, testdb.OnPostgres, n)
					if verb == "up" {
						return timeUp(b)(db, files)
					}
					return timeRollback(b)(db, files)
				}
			}
			compare(b, of(rows(b)), of(10_000))
		})
	}
}

const dropColumn = "-- +goose Up\nALTER TABLE big DROP COLUMN note;\n-- +goose Down\nALTER TABLE big ADD COLUMN note varchar(40);\n"

// BenchmarkDropColumnUp: against a copy of key and column.
func BenchmarkDropColumnUp(b *testing.B) {
	onLarge(b, dropColumn, timeUp(b), "CREATE TABLE copy AS SELECT id, note FROM big", "ALTER TABLE big DROP COLUMN note")
}

// BenchmarkDropColumnRollback: against UPDATE … FROM of every row.
func BenchmarkDropColumnRollback(b *testing.B) {
	onLarge(b, dropColumn, timeRollback(b), "CREATE TABLE copy AS SELECT id, note FROM big", "ALTER TABLE big DROP COLUMN note",
		"ALTER TABLE big ADD COLUMN note varchar(40)", "UPDATE big SET note = copy.note FROM copy WHERE copy.id = big.id")
}

// BenchmarkUpdateAllUp: an UPDATE of every row with its capture, against the bare UPDATE.
func BenchmarkUpdateAllUp(b *testing.B) {
	onLarge(b, "-- +goose Up\nUPDATE big SET note = 'gone';\n-- +goose Down\nSELECT 1;\n", timeUp(b), "UPDATE big SET note = 'gone'")
}
