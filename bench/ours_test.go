//go:build unix

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const columns = "id integer PRIMARY KEY, score integer, name varchar(60), pad varchar(120), note varchar(40)"

// large makes a table like that of a shop: two secondary indexes, about 200 bytes a row.
func (b *bench) large() string {
	dsn := b.engine.New(b)
	series := fmt.Sprintf("generate_series(1, %d) AS s(g)", b.rows)
	switch b.engine {
	case lite:
		series = fmt.Sprintf("(WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < %d) SELECT g FROM s)", b.rows)
	case my, ma:
		var number, from []string // as many digits as it takes
		for i, power := 0, 1; power <= b.rows; i, power = i+1, power*10 {
			number = append(number, fmt.Sprintf("%d * d%d.n", power, i))
			from = append(from, fmt.Sprintf("(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) d%d", i))
		}
		sum := strings.Join(number, " + ")
		series = fmt.Sprintf("(SELECT 1 + %s AS g FROM %s WHERE %s < %d ORDER BY g) s", sum, strings.Join(from, " JOIN "), sum, b.rows)
	}
	named := map[testdb.Engine]string{pg: "'name ' || g, '%s', 'note ' || g", lite: "'name ' || g, '%s', 'note ' || g"}[b.engine]
	if named == "" {
		named = "concat('name ', g), '%s', concat('note ', g)"
	}
	testdb.Exec(b, dsn, "CREATE TABLE big ("+columns+")",
		"INSERT INTO big SELECT g, g % 1000, "+fmt.Sprintf(named, strings.Repeat("x", 100))+" FROM "+series,
		"CREATE INDEX big_score ON big (score)", "CREATE INDEX big_name ON big (name)",
		map[testdb.Engine]string{pg: "VACUUM ANALYZE big", lite: "ANALYZE", my: "ANALYZE TABLE big", ma: "ANALYZE TABLE big"}[b.engine])
	return dsn
}

// state is what the large table holds: all of it where it is small, else a few numbers.
func (b *bench) state(dsn string) string {
	query := "SELECT count(*), sum(id), sum(score), count(note), count(DISTINCT note), min(note), max(note) FROM big"
	if b.check {
		query = "SELECT id, score, name, pad, note FROM big ORDER BY id"
	}
	return strings.Join(testdb.Query(b, dsn, query), "\n")
}

func (b *bench) same(dsn, want string) {
	if got := b.state(dsn); got != want {
		b.Fatalf("the table is not what it was:\n%s", testdb.Diff(want, got))
	}
}

func (b *bench) open(dsn string) *engine.DB {
	db, err := engine.Open(context.Background(), dsn, engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// migrator opens the database as the program does.
func (b *bench) migrator(dsn string, files fstest.MapFS, copying bool) *migrate.Migrator {
	m, err := migrate.Open(context.Background(), migrate.Options{DB: b.open(dsn), Files: files, Dir: "migrations", CopyTables: copying})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func (b *bench) up(m *migrate.Migrator) {
	if _, err := m.Up(context.Background(), migrate.UpRequest{To: -1}); err != nil {
		b.Fatal(err)
	}
}

func one(text string) fstest.MapFS { return fstest.MapFS{"00001_m.sql": {Data: []byte(text)}} }

// up measures one migration on the large table.
func up(text string) side { return upWith(text, false) }

// upCopied does so with the tables copied also where they could be kept.
func upCopied(text string) side { return upWith(text, true) }

func upWith(text string, copying bool) side {
	return func(b *bench) float64 {
		dsn := b.large()
		was := b.state(dsn)
		m := b.migrator(dsn, one(text), copying)
		took := timed(func() { b.up(m) })
		b.back(m)
		b.same(dsn, was)
		return took
	}
}

func (b *bench) back(m *migrate.Migrator) {
	if _, err := m.Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1}); err != nil {
		b.Fatal(err)
	}
}

// rollback measures the way back.
func rollback(text string) side {
	return func(b *bench) float64 {
		dsn := b.large()
		was := b.state(dsn)
		m := b.migrator(dsn, one(text), false)
		b.up(m)
		took := timed(func() { b.back(m) })
		b.same(dsn, was)
		return took
	}
}

// tenth runs a side on a table of 10,000 rows, or a tenth where that is less.
func tenth(s side) side {
	return func(b *bench) float64 {
		small := *b
		small.rows = min(b.rows/10, 10_000)
		return s(&small)
	}
}

// blocked measures for how long a writer of the large table waits, at most, while the migration copies it, or while that is rolled back.
func blocked(text string, back bool) side {
	return func(b *bench) float64 {
		dsn := b.large()
		m := b.migrator(dsn, one(text), true)
		work := b.up
		if back {
			b.up(m)
			work = b.back
		}
		db, ctx := b.open(dsn), context.Background()
		stop, worst := make(chan struct{}), make(chan float64)
		started := make(chan struct{})
		go func() {
			longest := 0.0
			for i := 0; ; i++ {
				select {
				case <-stop:
					worst <- longest
					return
				default:
				}
				begun := time.Now()
				if _, err := db.ExecContext(ctx, fmt.Sprintf("INSERT INTO big (id) VALUES (%d)", -1-i)); err != nil {
					b.Errorf("a writer beside: %v", err)
				}
				longest = max(longest, time.Since(begun).Seconds())
				if i == 0 {
					longest = 0 // that one opened the connection
					close(started)
				}
			}
		}()
		<-started
		work(m)
		close(stop)
		return <-worst
	}
}

// smallFiles are small migrations with nothing to capture.
func smallFiles(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range n {
		t := fmt.Sprintf("t%d", i/4)
		text := []string{
			"CREATE TABLE " + t + " (id integer PRIMARY KEY, name varchar(40) NOT NULL, made timestamp NULL);\n-- +goose Down\nDROP TABLE " + t,
			"ALTER TABLE " + t + " ADD COLUMN score integer;\n-- +goose Down\nALTER TABLE " + t + " DROP COLUMN score",
			"CREATE INDEX " + t + "_name ON " + t + " (name);\n-- +goose Down\nSELECT 1",
			"ALTER TABLE " + t + " ADD COLUMN note varchar(20) DEFAULT 'x';\n-- +goose Down\nALTER TABLE " + t + " DROP COLUMN note",
		}[i%4]
		files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text + ";\n")}
	}
	return files
}

// mixedFiles are small migrations of all kinds, most with little to capture or nothing.
func mixedFiles(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range n {
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
	return files
}

func ups(b *bench, files fstest.MapFS) float64 {
	dsn := b.engine.New(b)
	took := timed(func() { b.up(b.migrator(dsn, files, false)) })
	b.applied(dsn, len(files))
	return took
}

func (b *bench) applied(dsn string, n int) {
	if got := testdb.Query(b, dsn, "SELECT max(version_id) FROM goose_db_version"); got[0] != fmt.Sprint(n) {
		b.Fatalf("%s of %d migrations ran", got[0], n)
	}
}

func small(b *bench) float64 { return ups(b, smallFiles(b.files)) }
func mixed(b *bench) float64 { return ups(b, mixedFiles(b.files/2)) }

// each measures one of so many small migrations, or of as many fewer as the tables are smaller.
func each(n int) side {
	return func(b *bench) float64 {
		n := max(n*b.files/400, 1)
		return ups(b, smallFiles(n)) / float64(n)
	}
}

// folder writes migrations where the program finds them.
func (b *bench) folder(files fstest.MapFS) string {
	dir := filepath.Join(b.TempDir(), "migrations")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// program runs the built program and gives its time in seconds and its peak memory in MiB.
func (b *bench) program(dsn string, args ...string) (took, peak float64) {
	cmd := exec.Command(testdb.Binary(b), args...)
	cmd.Env = append(os.Environ(), "DBROLLBACK_DSN="+dsn)
	took = timed(func() {
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	})
	return took, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}

// memory measures how much more memory the program needs at its peak on the large table than on a tiny one.
func memory(text string) side {
	return func(b *bench) float64 {
		dir := b.folder(one(text))
		of := func(rows int) float64 {
			sized := *b
			sized.rows = rows
			dsn := sized.large()
			was := sized.state(dsn)
			_, there := b.program(dsn, "up", "--dir", dir, "--yes")
			_, back := b.program(dsn, "rollback", "--dir", dir, "--yes")
			sized.same(dsn, was)
			return max(there, back)
		}
		return max(0, of(b.rows)-of(10))
	}
}

// start measures a command from the start of the program to its end.
func start(command string) side {
	return func(b *bench) float64 {
		dir := b.folder(smallFiles(1))
		dsn := b.engine.New(b)
		b.program(dsn, "up", "--dir", dir, "--yes")
		took, _ := b.program(dsn, command, "--dir", dir)
		return took
	}
}

// manual measures a snapshot that is asked for.
func manual(b *bench) float64 {
	dsn := b.large()
	took, _ := b.program(dsn, "snapshot", "create", "--table", "big", "--label", "before", "--yes")
	return took
}

// replace measures how a table is put back of which one row in so many differs.
func replace(one int) side {
	return func(b *bench) float64 {
		dsn := b.large()
		was := b.state(dsn)
		b.program(dsn, "snapshot", "create", "--table", "big", "--label", "before", "--yes")
		testdb.Exec(b, dsn, fmt.Sprintf("UPDATE big SET score = score + 1, note = 'other' WHERE id %% %d = 0", one))
		took, _ := b.program(dsn, "restore", "--table", "big", "--snapshot", "before", "--mode", "replace", "--on-conflict", "restore", "--yes")
		b.same(dsn, was)
		return took
	}
}

// bare measures the last of some statements of the server's own.
func bare(statements ...string) side {
	return func(b *bench) float64 {
		db := b.open(b.large()).DB
		conn, err := db.Conn(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		for _, s := range statements[:len(statements)-1] {
			b.exec(conn, s)
		}
		return timed(func() { b.exec(conn, statements[len(statements)-1]) })
	}
}

func (b *bench) exec(conn *sql.Conn, statement string) {
	if _, err := conn.ExecContext(context.Background(), statement); err != nil {
		b.Fatalf("%s: %v", statement, err)
	}
}
