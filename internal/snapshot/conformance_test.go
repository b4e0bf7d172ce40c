package snapshot_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// keys are the ways in which rows are known. Each makes table t(key…, a, b, c) with rows 1 to 6.
var keys = []struct {
	name string
	def  string
	id   string // expression over a number that gives the key, for INSERT; columns of the key
	cols string
	at   string // predicate for row %d
	only engine.Kind
}{
	{name: "int", def: "id integer NOT NULL PRIMARY KEY", cols: "id", id: "%d", at: "id = %d"},
	{name: "composite", def: "x integer NOT NULL, y varchar(10) NOT NULL, PRIMARY KEY (x, y)", cols: "x, y", id: "%d, 'k%d'", at: "x = %d AND y = 'k%d'"},
	{name: "unique", def: "code varchar(10) NOT NULL UNIQUE", cols: "code", id: "'c%d'", at: "code = 'c%d'"},
	{name: "nocase", def: "code text COLLATE NOCASE NOT NULL PRIMARY KEY", cols: "code", id: "'C%d'", at: "code = 'c%d'", only: engine.SQLite},
	{name: "icu", def: `code text COLLATE "ci" NOT NULL PRIMARY KEY`, cols: "code", id: "'C%d'", at: "code = 'c%d'", only: engine.Postgres},
	{name: "ci", def: "code varchar(10) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY", cols: "code", id: "'C%d'", at: "code = 'c%d'", only: engine.MySQL},
	{name: "none", def: "k integer", cols: "k", id: "%d", at: "k = %d"},
}

type statement struct {
	name, up, down string
	only           engine.Kind
	keeps          bool // rows stay where they are, so that writes after it can be made
}

// statements are the destructive ones of the design, with a Down that gives the schema back.
var statements = []statement{
	{name: "drop column", up: "ALTER TABLE t DROP COLUMN b", down: "ALTER TABLE t ADD COLUMN b varchar(20)", keeps: true},
	{name: "alter type", up: "ALTER TABLE t ALTER COLUMN a TYPE smallint USING a / 10", down: "ALTER TABLE t ALTER COLUMN a TYPE integer", only: engine.Postgres, keeps: true},
	{name: "drop table", up: "DROP TABLE t", down: "@create"},
	{name: "truncate", up: "TRUNCATE t", down: "SELECT 1", only: engine.Postgres},
	{name: "truncate", up: "TRUNCATE t", down: "SELECT 1", only: engine.MySQL},
	{name: "update all", up: "UPDATE t SET b = 'lost'", down: "SELECT 1", keeps: true},
	{name: "update some", up: "UPDATE t SET b = 'lost', c = NULL WHERE a > 20", down: "UPDATE t SET c = 'x' WHERE a > 20", keeps: true},
	{name: "update back", up: "UPDATE t SET a = a * 10", down: "UPDATE t SET a = a / 10", keeps: true},
	{name: "delete some", up: "DELETE FROM t WHERE a BETWEEN 20 AND 40", down: "SELECT 1", keeps: true},
	{name: "delete all", up: "DELETE FROM t", down: "SELECT 1"},
	{name: "insert", up: "INSERT INTO t SELECT @seven, 70, 'seven', 's'", down: "SELECT 1", keeps: true},
	{name: "several", up: "UPDATE t SET b = 'x' WHERE a > 10; DELETE FROM t WHERE a = 20; UPDATE t SET a = a + 1; ALTER TABLE t DROP COLUMN c; UPDATE t SET b = 'y'",
		down: "ALTER TABLE t ADD COLUMN c text; UPDATE t SET a = a - 1", keeps: true},
	{name: "rename", up: "UPDATE t SET b = 'x'; ALTER TABLE t RENAME COLUMN b TO bb; UPDATE t SET bb = 'y' WHERE a = 20; ALTER TABLE t RENAME TO u; DELETE FROM u WHERE a = 30; UPDATE u SET a = 0",
		down: "ALTER TABLE u RENAME TO t; ALTER TABLE t RENAME COLUMN bb TO b"},
	{name: "rebuild", up: "CREATE TABLE n (@key, a integer, b varchar(20)); INSERT INTO n SELECT @cols, a, upper(b) FROM t WHERE a <> 30; DROP TABLE t; ALTER TABLE n RENAME TO t",
		down: "CREATE TABLE n (@key, a integer, b varchar(20), c text); INSERT INTO n SELECT @cols, a, b, 'none' FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t", keeps: true},
	{name: "drop and add column", up: "ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN c integer DEFAULT 5", down: "ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN c text", keeps: true},
}

// copied are the statements again for which an engine that keeps tables does not copy, so that it does.
func copied(dsn string) []statement {
	var out []statement
	for _, st := range statements {
		if strings.Contains(st.up, "DROP TABLE") && strings.HasPrefix(dsn, "postgres") || regexp.MustCompile("DROP TABLE|TRUNCATE").MatchString(st.up) && strings.HasPrefix(dsn, "mariadb") {
			st.name += ", copied"
			out = append(out, st)
		}
	}
	return out
}

func fill(pattern string, n int) string {
	return strings.ReplaceAll(pattern, "%d", string(rune('0'+n)))
}

// TestRoundTrip: up, then rollback, gives every row back, for every statement and every kind of key; so do up again and
// rollback again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, key := range keys {
			for _, st := range append(slices.Clone(statements), copied(dsn)...) {
				b := newBench(t, dsn)
				b.store.Copy = strings.HasSuffix(st.name, ", copied")
				kind := b.db.Kind
				if kind == engine.MariaDB {
					kind = engine.MySQL
				}
				if key.only != "" && key.only != kind || st.only != "" && st.only != kind {
					continue
				}
				t.Run(key.name+"/"+st.name, func(t *testing.T) {
					b.t = t
					create := "CREATE TABLE t (" + key.def + ", a integer, b varchar(20), c text)"
					if strings.Contains(key.def, "PRIMARY KEY (") {
						create = "CREATE TABLE t (" + strings.Replace(key.def, ", PRIMARY KEY", ", a integer, b varchar(20), c text, PRIMARY KEY", 1) + ")"
					}
					define := key.def
					if i := strings.Index(define, ", PRIMARY KEY"); i > 0 {
						define = define[:i]
					}
					expand := strings.NewReplacer("@create", create, "@key", define, "@cols", key.cols, "@seven", fill(key.id, 7)).Replace
					up, down := expand(st.up), expand(st.down)
					b.exec("DROP TABLE IF EXISTS t")
					if key.only == engine.Postgres {
						b.exec(`CREATE COLLATION IF NOT EXISTS ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
					}
					b.exec(create)
					for i := 1; i <= 6; i++ {
						b.exec("INSERT INTO t VALUES (" + fill(key.id, i) + ", " + fill("%d0", i) + ", " + fill("'b%d'", i) + ", NULL)")
					}
					before := b.rows()
					for round := 0; round < 2; round++ {
						if round == 0 {
							b.up(up)
						} else {
							b.again(up)
						}
						after := b.rows()
						if after == before {
							t.Fatalf("the migration did nothing:\n%s", after)
						}
						rep := b.down(down, snapshot.Fail)
						if !rep.Verified || len(rep.Conflicts) > 0 {
							t.Errorf("report: %+v", rep)
						}
						same(t, "after rollback", before, b.rows())
					}
				})
			}
		}
	}, everywhere...)
}
