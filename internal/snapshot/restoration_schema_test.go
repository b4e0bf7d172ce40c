package snapshot_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// TestRestoreCompatibility: the table has changed since it was captured. What does not fit is named with its number of rows and its
// remedy, nothing is written; the remedy helps.
func TestRestoreCompatibility(t *testing.T) {
	t.Parallel()
	const table = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20), c text)"
	const rows = "INSERT INTO t VALUES (1, 10, 'b1', 'c1'), (2, 200000, 'b2', NULL), (3, 30, 'three', 'c3')"
	for _, tc := range []struct {
		name, create, setup string
		change              string // since
		result              string // "compatible with …"
		finding             string // kind object rows, of those that block
		remedy              snapshot.Ask
		want                string // rows afterwards
		only                engine.Kind
	}{
		{name: "nothing", change: "DELETE FROM t WHERE id = 1", result: "compatible", want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30 three c3"},
		{name: "missing column", change: "ALTER TABLE t DROP COLUMN c; DELETE FROM t WHERE id = 1", result: "compatible with --columns id,a,b", finding: "missing column @t.c 0",
			remedy: snapshot.Ask{Columns: []string{"id", "a", "b"}}, want: "1 10 b1, 2 200000 b2, 3 30 three"},
		{name: "renamed column", change: "ALTER TABLE t RENAME COLUMN b TO bb; DELETE FROM t WHERE id = 1", result: "compatible with --map b=bb", finding: "renamed column @t.b 0", only: engine.Postgres,
			remedy: snapshot.Ask{Map: map[string]string{"b": "bb"}}, want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30 three c3"},
		{name: "renamed column, by name alone", change: "ALTER TABLE t RENAME COLUMN b TO bb; DELETE FROM t WHERE id = 1", result: "compatible with --columns id,a,c", finding: "missing column @t.b 0", only: engine.SQLite,
			remedy: snapshot.Ask{Map: map[string]string{"b": "bb"}}, want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30 three c3"},
		{name: "wider type", change: "ALTER TABLE t ALTER COLUMN a TYPE bigint; ALTER TABLE t ALTER COLUMN b TYPE text; UPDATE t SET a = 0, b = 'x' WHERE id = 1; DELETE FROM t WHERE id = 3", result: "compatible", only: engine.Postgres,
			want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30 three c3"},
		{name: "narrower type", change: "UPDATE t SET a = 1; ALTER TABLE t ALTER COLUMN a TYPE smallint", result: "incompatible", finding: "type @t.a 1", only: engine.Postgres,
			remedy: snapshot.Ask{Where: "a < 32768"}, want: "1 10 b1 c1, 2 1 b2 NULL, 3 30 three c3"},
		{name: "shorter type", change: "UPDATE t SET b = ''; ALTER TABLE t ALTER COLUMN b TYPE varchar(2)", result: "incompatible", finding: "type @t.b 1", only: engine.Postgres,
			remedy: snapshot.Ask{Where: "length(b) < 3"}, want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30  c3"},
		{name: "other type", change: "UPDATE t SET b = NULL; ALTER TABLE t ALTER COLUMN b TYPE integer USING b::integer", result: "incompatible", finding: "type @t.b 3", only: engine.Postgres},
		{name: "number to text", change: "ALTER TABLE t ALTER COLUMN a TYPE text; UPDATE t SET a = 'word' WHERE id = 1", result: "compatible", only: engine.Postgres, want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30 three c3"},
		{name: "other affinity", change: "DROP TABLE t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a text, b varchar(20), c text)", result: "incompatible", finding: "type @t.a 3", only: engine.SQLite},
		{name: "strict", change: "DROP TABLE t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b int, c text) STRICT", result: "incompatible", finding: "type @t.b 3", only: engine.SQLite},
		{name: "new column", change: "DELETE FROM t WHERE id = 1; ALTER TABLE t ADD COLUMN d integer NOT NULL DEFAULT 7", result: "compatible", want: "1 10 b1 c1 7, 2 200000 b2 NULL 7, 3 30 three c3 7"},
		{name: "new column without default", change: "DELETE FROM t WHERE id = 1; ALTER TABLE t ADD COLUMN d integer NOT NULL DEFAULT 7; ALTER TABLE t ALTER COLUMN d DROP DEFAULT; UPDATE t SET b = 'app'",
			result: "incompatible", finding: "new column @t.d 1", only: engine.Postgres, remedy: snapshot.Ask{Where: "id > 1"}, want: "2 200000 b2 NULL 7, 3 30 three c3 7"},
		{name: "no NULL any more", change: "UPDATE t SET c = 'app'; ALTER TABLE t ALTER COLUMN c SET NOT NULL", result: "incompatible", finding: "not null @t.c 1", only: engine.Postgres,
			remedy: snapshot.Ask{Columns: []string{"a", "b"}}, want: "1 10 b1 app, 2 200000 b2 app, 3 30 three app"},
		{name: "check", change: "DELETE FROM t; ALTER TABLE t ADD CONSTRAINT small CHECK (a < 1000)", result: "incompatible", finding: "check small 1", only: engine.Postgres,
			remedy: snapshot.Ask{Where: "a < 1000"}, want: "1 10 b1 c1, 3 30 three c3"},
		{name: "check", change: "DROP TABLE t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer CONSTRAINT small CHECK (a < 1000), b varchar(20), c text, CHECK (b <> 'three' OR (a = 0)))", result: "incompatible",
			finding: "check small 1; check CHECK (b <> 'three' OR (a = 0)) 1", only: engine.SQLite, remedy: snapshot.Ask{Where: "id = 1"}, want: "1 10 b1 c1"},
		{name: "key", change: "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (b)", result: "incompatible", finding: "key @t 0", only: engine.Postgres},
		{name: "key gone", change: "DROP TABLE t; CREATE TABLE t (id integer, a integer, b varchar(20), c text)", result: "incompatible", finding: "key @t 0"},
		{name: "computed now", change: "ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN c text GENERATED ALWAYS AS (upper(b)) STORED; DELETE FROM t WHERE id = 1", result: "compatible", only: engine.Postgres,
			want: "1 10 b1 B1, 2 200000 b2 B2, 3 30 three THREE"},
		{name: "no partition", create: "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20), c text) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (2); CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (2) TO (9)",
			change: "DROP TABLE t2; DELETE FROM t", result: "incompatible", finding: "partition @t 2", only: engine.Postgres, remedy: snapshot.Ask{Where: "id < 2"}, want: "1 10 b1 c1"},
		{name: "domain", create: "CREATE DOMAIN short AS text; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b short, c text)", change: "DELETE FROM t; ALTER DOMAIN short ADD CONSTRAINT two CHECK (length(VALUE) = 2)",
			result: "incompatible", finding: "type @t.b 1", only: engine.Postgres, remedy: snapshot.Ask{Where: "length(b) = 2"}, want: "1 10 b1 c1, 2 200000 b2 NULL"},
		{name: "narrower type", change: "UPDATE t SET a = 1; ALTER TABLE t MODIFY a smallint", result: "incompatible", finding: "type @t.a 1", only: engine.MySQL,
			remedy: snapshot.Ask{Where: "a < 32768"}, want: "1 10 b1 c1, 2 1 b2 NULL, 3 30 three c3"},
		{name: "shorter type", change: "UPDATE t SET b = ''; ALTER TABLE t MODIFY b varchar(2)", result: "incompatible", finding: "type @t.b 1", only: engine.MySQL,
			remedy: snapshot.Ask{Where: "length(b) < 3"}, want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30  c3"},
		{name: "wider type", change: "ALTER TABLE t MODIFY a bigint, MODIFY b varchar(60); UPDATE t SET a = 0, b = 'x' WHERE id = 1; DELETE FROM t WHERE id = 3", result: "compatible", only: engine.MySQL,
			want: "1 10 b1 c1, 2 200000 b2 NULL, 3 30 three c3"},
		{name: "other type", change: "UPDATE t SET b = NULL; ALTER TABLE t MODIFY b integer", result: "incompatible", finding: "type @t.b 3", only: engine.MySQL},
		{name: "no NULL any more", change: "UPDATE t SET c = 'app'; ALTER TABLE t MODIFY c text NOT NULL", result: "incompatible", finding: "not null @t.c 1", only: engine.MySQL,
			remedy: snapshot.Ask{Columns: []string{"a", "b"}}, want: "1 10 b1 app, 2 200000 b2 app, 3 30 three app"},
		{name: "check", change: "DELETE FROM t; ALTER TABLE t ADD CONSTRAINT small CHECK (a < 1000)", result: "incompatible", finding: "check t.small 1", only: engine.MySQL,
			remedy: snapshot.Ask{Where: "a < 1000"}, want: "1 10 b1 c1, 3 30 three c3"},
		{name: "table gone", change: "DROP TABLE t", result: "incompatible", finding: "missing table @t 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				b := newBench(t, dsn)
				if tc.only != "" && b.db.Kind != tc.only && !(tc.only == engine.MySQL && b.db.Kind == engine.MariaDB) {
					return
				}
				if tc.create == "" {
					tc.create = table
				}
				b.exec(tc.create, rows)
				id := b.take("t")
				b.exec(tc.change)
				before := b.rows()
				ask := snapshot.Ask{Snapshot: id, Tables: []engine.Name{{Name: "t"}}}
				check := func(err error) {
					t.Helper()
					var bad *snapshot.IncompatibleError
					if !errors.As(err, &bad) {
						t.Fatalf("got %v, want it to be %s", err, tc.result)
					}
					if got := verify.Compatibility(bad.Findings); got != tc.result {
						t.Errorf("it is %s, want %s", got, tc.result)
					}
					var found []string
					for _, f := range bad.Findings {
						if f.Blocks {
							found = append(found, fmt.Sprintf("%s %s %d", f.Kind, f.Object, f.Rows))
							if f.Message == "" || f.Remedy == "" {
								t.Errorf("no message or remedy: %+v", f)
							}
						}
					}
					want := strings.ReplaceAll(tc.finding, "@", map[engine.Kind]string{engine.Postgres: "public."}[b.db.Kind])
					if got := strings.Join(found, "; "); got != want {
						t.Errorf("found %s, want %s", got, want)
					}
					same(t, "nothing was to be written", before, b.rows())
				}
				if tc.finding != "" {
					_, err := b.preview(ask)
					check(err)
					_, err = b.tryRestore(ask)
					check(err)
					if tc.want == "" {
						return
					}
				}
				ask.Columns, ask.Map, ask.Where = tc.remedy.Columns, tc.remedy.Map, tc.remedy.Where
				b.restore(ask)
				live, err := b.db.Inspect(t.Context(), b.db, engine.Name{Name: "t"})
				if err != nil {
					t.Fatal(err)
				}
				text := "text"
				if !b.db.Caps.TransactionalDDL {
					text = "char(99)"
				}
				var cells []string
				for _, c := range live.Columns {
					cells = append(cells, "coalesce(CAST("+b.db.Ident(c.Name)+" AS "+text+"), 'NULL')")
				}
				if got := strings.Join(b.query("SELECT "+strings.Join(cells, " || ' ' || ")+" FROM t ORDER BY id"), ", "); got != tc.want {
					t.Errorf("\n got %s\nwant %s", got, tc.want)
				}
			}, everywhere...)
		})
	}
}
