package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// found is what random migrations (TestAnyMigration) have found, made small.
type found struct {
	name     string
	only     string // the engine that it is about
	setup    string // beside the table t, or in its stead
	up, down string
	writes   string
	policy   snapshot.Policy
	want     string // rows of t after the rollback
	reports  string // conflicts: key, reason, how resolved
	again    string // rows of t after the next up; "" for not looked at
	whole    bool   // only of a migration in one transaction: more is known where each statement is looked at
}

const (
	tee     = "CREATE TABLE t (id integer NOT NULL, name text, a integer, b text, PRIMARY KEY (id));\nINSERT INTO t VALUES (2, 'two', 2, 'b2'), (5, 'five', 5, 'b5'), (8, 'eight', 8, 'b8');\n"
	rebuilt = "CREATE TABLE n (id integer NOT NULL, name text, a integer, PRIMARY KEY (id));\nINSERT INTO n (id, name, a) SELECT id, name, a FROM t;\nDROP TABLE t;\nALTER TABLE n RENAME TO t;\n"
	back    = "CREATE TABLE o (id integer NOT NULL, name text, a integer, b text, PRIMARY KEY (id));\nINSERT INTO o (id, name, a) SELECT id, name, a FROM t;\nDROP TABLE t;\nALTER TABLE o RENAME TO t;\n"
	doBlock = "-- +goose StatementBegin\n%s\n-- +goose StatementEnd\n"
)

var finds = []found{
	{
		name: "key moved in a rebuilt table; row deleted since", up: rebuilt + "UPDATE t SET id = id + 1000 WHERE id = 2;\n", down: back, writes: "DELETE FROM t WHERE id = 1002;\n",
		want: "5|five|5|b5 8|eight|8|b8", reports: "id=2 deleted since keep",
	},
	{
		name: "key moved in a rebuilt table before it took the place; row deleted since: restore", policy: snapshot.Restore, writes: "DELETE FROM t WHERE id = 1002;\n",
		up: strings.Replace(rebuilt, "DROP TABLE t;\n", "UPDATE n SET id = id + 1000 WHERE id = 2;\nDROP TABLE t;\n", 1), down: back,
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", reports: "id=2 deleted since restore",
	},
	{
		name: "key moved in a rebuilt table; row changed since", up: rebuilt + "UPDATE t SET id = id + 1000 WHERE id = 2;\n", down: back, writes: "UPDATE t SET a = 77 WHERE id = 1002;\n",
		want: "5|five|5|b5 8|eight|8|b8 1002|two|77|b2", reports: "id=1002 changed since keep, id=2 changed since keep",
	},
	{
		name: "key moved in a rebuilt table; row changed since: restore", policy: snapshot.Restore,
		up: rebuilt + "UPDATE t SET id = id + 1000 WHERE id = 2;\n", down: back, writes: "UPDATE t SET a = 77 WHERE id = 1002;\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", reports: "id=1002 changed since restore, id=2 changed since restore",
	},
	{
		name: "key moved in a rebuilt table, and given to another row since: restore", policy: snapshot.Restore,
		up: rebuilt + "UPDATE t SET id = id + 1000 WHERE id = 2;\n", down: back, writes: "INSERT INTO t (id, name, a) VALUES (2, 'new', 9);\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", reports: "id=1002 changed since restore, id=2 inserted since restore",
	},
	{
		name: "column dropped; row moved to another key and its own used again", up: "ALTER TABLE t DROP COLUMN b;\n", down: "ALTER TABLE t ADD COLUMN b text;\n",
		writes: "UPDATE t SET id = 3002 WHERE id = 2;\nINSERT INTO t (id, name, a) VALUES (2, 'new', 9);\nUPDATE t SET a = 6 WHERE id = 5;\n",
		want:   "2|new|9|- 5|five|6|b5 8|eight|8|b8 3002|two|2|-", reports: "id=2 inserted since keep",
	},
	{
		name: "column dropped from rows that are alike; one changed since, another like it inserted", up: "ALTER TABLE t DROP COLUMN b;\n", down: "ALTER TABLE t ADD COLUMN b text;\n",
		setup:  "CREATE TABLE t (id integer NOT NULL, name text, a integer, b text, PRIMARY KEY (id));\nINSERT INTO t VALUES (2, 'vote', 1, 'b2'), (5, 'vote', 1, 'b5');\n",
		writes: "UPDATE t SET a = 2 WHERE id = 2;\nINSERT INTO t (id, name, a) VALUES (8, 'vote', 1);\n",
		want:   "2|vote|2|b2 5|vote|1|b5 8|vote|1|-",
	},
	{
		name: "values written, their column dropped; another column of the row changed since",
		up:   "UPDATE t SET a = 0, b = 'gone';\nALTER TABLE t DROP COLUMN b;\n", down: "ALTER TABLE t ADD COLUMN b text;\n", writes: "UPDATE t SET a = 1 WHERE id = 2;\n",
		want: "2|two|1|b2 5|five|5|b5 8|eight|8|b8", reports: "id=2 changed since keep",
	},
	{
		name: "the same, and Down computes the column from what is as it was, and from what is not",
		up:   "ALTER TABLE t ADD COLUMN c text;\nUPDATE t SET a = 0, b = 'gone', c = b || '!';\nALTER TABLE t DROP COLUMN b;\n", down: "ALTER TABLE t ADD COLUMN b text;\nUPDATE t SET b = substr(c, 1, 1);\nALTER TABLE t DROP COLUMN c;\n",
		writes: "UPDATE t SET a = 1 WHERE id IN (2, 5);\nUPDATE t SET c = 'xyz' WHERE id = 5;\n",
		want:   "2|two|1|b2 5|five|1|x 8|eight|8|b8", reports: "id=2 changed since keep, id=5 changed since keep, id=5 changed since keep",
	},
	{
		whole: true, name: "values written, their column dropped, another of its name made; another column of the row changed since",
		up: "UPDATE t SET a = 0, b = 'gone';\nALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b integer DEFAULT 5;\n", down: "ALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b text;\n",
		writes: "UPDATE t SET a = 1 WHERE id = 2;\nUPDATE t SET b = 7 WHERE id = 5;\n",
		want:   "2|two|1|b2 5|five|0|b5 8|eight|8|b8", reports: "id=2 changed since keep, id=5 changed since keep, id=5 changed since keep",
	},
	{
		name: "values written under a wider type, which the older one has no place for", only: "postgres",
		setup: "CREATE TABLE t (id integer NOT NULL, name varchar(4), a integer, b varchar(3), PRIMARY KEY (id));\nINSERT INTO t VALUES (2, 'new', 2, 'b2'), (5, 'paid', 5, 'b5');\n",
		up:    "ALTER TABLE t ALTER COLUMN name TYPE text;\nALTER TABLE t ALTER COLUMN b TYPE text;\nUPDATE t SET name = 'another', b = 'longer' WHERE id = 2;\nUPDATE t SET a = a + 1;\n",
		down:  "ALTER TABLE t ALTER COLUMN b TYPE varchar(3);\nALTER TABLE t ALTER COLUMN name TYPE varchar(4);\n", writes: "UPDATE t SET a = 7 WHERE id = 5;\n",
		want: "2|new|2|b2 5|paid|7|b5", reports: "id=5 changed since keep",
	},
	{
		name: "column without NULLs dropped from a table of another name", only: "postgres", setup: "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, name text, a integer, b varchar(9) NOT NULL);\nINSERT INTO t VALUES (2, 'two', 2, 'b2');\n",
		up:   "ALTER TABLE t RENAME TO u;\nALTER TABLE u RENAME COLUMN b TO c;\nALTER TABLE u DROP COLUMN c;\n",
		down: "ALTER TABLE u ADD COLUMN c varchar(9) NOT NULL;\nALTER TABLE u RENAME COLUMN c TO b;\nALTER TABLE u RENAME TO t;\n", want: "2|two|2|b2",
	},
	{
		name: "a column that the migration makes and then reads; then the way there and back",
		up:   "ALTER TABLE t ADD COLUMN c integer DEFAULT 5;\nUPDATE t SET b = 'x', c = -c WHERE c > 0;\n", down: "ALTER TABLE t DROP COLUMN c;\n", writes: "UPDATE t SET c = 7 WHERE id = 2;\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", again: "2|two|2|x 5|five|5|x 8|eight|8|x",
	},
	{
		name: "rows that came back are updated by Down, under a key that is checked late, then their table is altered", only: "postgres",
		setup: tee + "CREATE TABLE u (id integer PRIMARY KEY);\nINSERT INTO u VALUES (2), (5), (8);\nALTER TABLE t ADD FOREIGN KEY (id) REFERENCES u DEFERRABLE INITIALLY DEFERRED;\n",
		up:    "ALTER TABLE t ADD COLUMN c text;\nUPDATE t SET c = b || '!';\nALTER TABLE t DROP COLUMN b;\n", down: "ALTER TABLE t ADD COLUMN b text;\nUPDATE t SET b = substr(c, 1, 1);\nALTER TABLE t DROP COLUMN c;\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8",
	},
	{
		name: "column dropped, row replaced whole and deleted since: restore", policy: snapshot.Restore, only: "sqlite",
		up: "ALTER TABLE t DROP COLUMN b;\nINSERT OR REPLACE INTO t (id, name, a) VALUES (2, 'other', 9);\n", down: "ALTER TABLE t ADD COLUMN b text;\n", writes: "DELETE FROM t WHERE id = 2;\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", reports: "id=2 deleted since restore, id=2 deleted since restore",
	},
	{
		name: "column dropped, row written whole and deleted since: restore", policy: snapshot.Restore, only: "postgres",
		up: "ALTER TABLE t DROP COLUMN b;\n" + fmt.Sprintf(doBlock, "DO $$ BEGIN UPDATE t SET a = 9 WHERE id = 2; END $$;"), down: "ALTER TABLE t ADD COLUMN b text;\n", writes: "DELETE FROM t WHERE id = 2;\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", reports: "id=2 deleted since restore, id=2 deleted since restore",
	},
	{
		name: "keys moved in a table with heirs; row deleted since", only: "postgres", setup: tee + "CREATE TABLE heir (more text, PRIMARY KEY (id)) INHERITS (t);\nINSERT INTO heir VALUES (9, 'nine', 9, 'b9', 'm');\n",
		up: "UPDATE t SET id = id + 1000 WHERE id IN (2, 9);\n", down: "SELECT 1;\n", writes: "DELETE FROM t WHERE id IN (1002, 1009);\n",
		want: "5|five|5|b5 8|eight|8|b8", reports: "id=2 deleted since keep, id=9 deleted since keep",
	},
	{
		name: "rows of an heir and of a table of the migration's own, written by a block", only: "postgres", setup: tee + "CREATE TABLE heir (more text, PRIMARY KEY (id)) INHERITS (t);\nINSERT INTO heir VALUES (9, 'nine', 9, 'b9', 'm');\n",
		up:   "CREATE TABLE m (id integer PRIMARY KEY);\nINSERT INTO m VALUES (1), (2);\n" + fmt.Sprintf(doBlock, "DO $$ BEGIN UPDATE t SET a = 0 WHERE id = 9; UPDATE m SET id = 3 WHERE id = 1; DELETE FROM m WHERE id = 2; END $$;"),
		down: "DROP TABLE m;\n", want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8 9|nine|9|b9",
	},
	{
		name: "inserted by the migration and changed since: restore; then the way there and back", policy: snapshot.Restore,
		up: "INSERT INTO t (id, name, a, b) SELECT id + 500, name, a, b FROM t WHERE id = 2;\n", down: "SELECT 1;\n", writes: "DELETE FROM t WHERE id = 2;\nUPDATE t SET b = 'beta' WHERE id = 502;\n",
		want: "5|five|5|b5 8|eight|8|b8", reports: "id=502 changed since restore",
	},
	{
		name: "the key of a deleted row used since: restore; then the way there and back", policy: snapshot.Restore,
		up: "ALTER TABLE t DROP COLUMN b;\nDELETE FROM t WHERE id = 2;\n", down: "ALTER TABLE t ADD COLUMN b text;\n", writes: "INSERT INTO t (id, name, a) VALUES (2, 'new', 9);\n",
		want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8", reports: "id=2 inserted since restore, id=2 inserted since restore",
	},
	{
		name: "parents moved, then deleted with their children", setup: tee + "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, pid integer REFERENCES t (id) ON DELETE CASCADE ON UPDATE CASCADE);\nINSERT INTO c VALUES (9, 2), (10, 5);\n",
		up: "UPDATE t SET id = id + 1000 WHERE id = 2;\nDELETE FROM t;\n", down: "SELECT 1;\n", want: "2|two|2|b2 5|five|5|b5 8|eight|8|b8",
	},
	{
		name: "no key: column made anew in a table that Down copies", setup: "CREATE TABLE t (id integer, name text, a integer, b text);\nINSERT INTO t VALUES (2, 'two', 2, 'b2'), (2, 'two', 2, 'b2'), (NULL, NULL, NULL, NULL);\n",
		up:   "ALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b text DEFAULT 'x';\nDROP TABLE t;\n",
		down: "CREATE TABLE t (id integer, name text, a integer, b text DEFAULT 'x');\nCREATE TABLE o (id integer, name text, a integer, b text DEFAULT 'x');\nINSERT INTO o SELECT * FROM t;\nDROP TABLE t;\nALTER TABLE o RENAME TO t;\nALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b text;\n",
		want: "-|-|-|- 2|two|2|b2 2|two|2|b2",
	},
	{
		name: "no key: a column comes after the table, and Down writes what came back with it", setup: "CREATE TABLE t (id integer, name text, a integer, b text);\nINSERT INTO t VALUES (2, 'two', 2, 'b2'), (5, 'five', 5, 'b5');\n",
		up:   "UPDATE t SET a = a + 3;\nALTER TABLE t DROP COLUMN b;\nCREATE TABLE n (id integer, name text, a integer);\nINSERT INTO n SELECT id, name, 5 FROM t WHERE id > 2;\nDROP TABLE t;\nALTER TABLE n RENAME TO t;\nDROP TABLE t;\n",
		down: "CREATE TABLE t (id integer, name text, a integer);\nCREATE TABLE o (id integer, name text, a integer);\nINSERT INTO o SELECT * FROM t;\nDROP TABLE t;\nALTER TABLE o RENAME TO t;\nALTER TABLE t ADD COLUMN b text;\nUPDATE t SET a = a - 3;\n",
		want: "2|two|2|b2 5|five|5|b5",
	},
	{
		name:   "no key: a column of another type on the way; row inserted since; then the way there and back",
		setup:  "CREATE TABLE t (id integer, name text, a integer, b text);\nINSERT INTO t VALUES (2, 'two', 2, '12');\n",
		up:     "ALTER TABLE t DROP COLUMN a;\nALTER TABLE t DROP COLUMN b;\n",
		down:   "ALTER TABLE t ADD COLUMN b integer DEFAULT 5;\nALTER TABLE t ADD COLUMN a integer;\nALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b text;\n",
		writes: "INSERT INTO t (id, name) VALUES (53, 'new');\n", want: "2|two|2|12 53|new|-|-",
	},
}

// TestFoundByChance: what was found once stays mended, and the way there and back again leaves what the rollback left.
func TestFoundByChance(t *testing.T) {
	t.Parallel()
	for _, c := range finds {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) { c.thereAndBack(t, dsn, false) })
		})
		if !c.whole {
			t.Run(c.name+", by steps", func(t *testing.T) {
				testdb.Each(t, func(t *testing.T, dsn string) { c.thereAndBack(t, dsn, true) })
			})
		}
	}
}

func (c found) thereAndBack(t *testing.T, dsn string, bySteps bool) {
	if c.only != "" && !strings.HasPrefix(dsn, c.only) {
		return // it is about what the other engine has
	}
	setup := c.setup
	if setup == "" {
		setup = tee
	}
	f := newFixture(t, dsn, setup, map[string]string{"00001_change.sql": migration(c.up, c.down)})
	before := f.dump()
	if bySteps && f.bySteps("00001_change.sql") {
		f.same(before, f.dump(), "after the refusal")
		return
	}
	f.up()
	f.exec(c.writes)
	res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: c.policy})
	if got := f.tee(); got != c.want {
		t.Errorf("t = %q, want %q", got, c.want)
	}
	var reports []string
	for _, x := range res.Conflicts {
		reports = append(reports, fmt.Sprintf("%s %s %s", x.Key, x.Reason, x.Resolved))
	}
	slices.Sort(reports)
	if got := strings.Join(reports, ", "); got != c.reports {
		t.Errorf("conflicts: %s, want %s", got, c.reports)
	}
	if c.writes == "" {
		f.same(before, f.dump(), "after the rollback")
	}
	undone := f.dump()
	f.up()
	if c.again != "" {
		if got := f.tee(); got != c.again {
			t.Errorf("after up again t = %q, want %q", got, c.again)
		}
	}
	f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Fail})
	f.same(undone, f.dump(), "after up and rollback again")
}

// tee gives the rows of t.
func (f *fixture) tee() string {
	f.t.Helper()
	rows, err := f.db.QueryContext(f.t.Context(), "SELECT coalesce(CAST(id AS text), '-') || '|' || coalesce(name, '-') || '|' || coalesce(CAST(a AS text), '-') || '|' || coalesce(b, '-') FROM t ORDER BY coalesce(id, 0), name")
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var r string
		if err := rows.Scan(&r); err != nil {
			f.t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(out, " ")
}

// TestUndoneTwice: what the application wrote comes back with each up, however often it is rolled back.
func TestUndoneTwice(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, tee, map[string]string{"00001_change.sql": migration("UPDATE t SET a = a + 1;\nINSERT INTO t VALUES (502, 'made', 0, 'm');", "SELECT 1;")})
		f.up()
		f.exec("UPDATE t SET a = 77 WHERE id = 2;\nUPDATE t SET b = 'beta' WHERE id = 502;\n")
		after := f.tee()
		for range 3 {
			f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Restore})
			if got := f.tee(); got != "2|two|2|b2 5|five|5|b5 8|eight|8|b8" {
				t.Fatalf("rolled back: %s", got)
			}
			f.up()
			if got := f.tee(); got != after {
				t.Fatalf("up again: %s, want %s", got, after)
			}
		}
	})
}

// TestColumnMadeAnewBehindAConstraint: what Down captured of a column that Up makes under an old one's name does not go into the old one,
// when a constraint ahead of that calls for values; the next rollback gives the old one's back.
func TestColumnMadeAnewBehindAConstraint(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, tee, map[string]string{"00001_change.sql": migration(
			"CREATE UNIQUE INDEX ti ON t (a);\nALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b integer DEFAULT 5;",
			"ALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN b varchar(20);\nDROP INDEX ti;")})
		for range 3 {
			f.up()
			if got := strings.Join(testdb.Query(t, dsn, "SELECT b FROM t ORDER BY id"), " "); got != "5 5 5" {
				t.Fatalf("up: %s", got)
			}
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if got := f.tee(); got != "2|two|2|b2 5|five|5|b5 8|eight|8|b8" {
				t.Fatalf("rolled back: %s", got)
			}
		}
	})
}

// TestParentsBeforeNarrowedColumns: Down's change of a type needs values back early, which point to rows that the migration deleted: those
// come first.
func TestParentsBeforeNarrowedColumns(t *testing.T) {
	t.Parallel()
	const setup = tee + "CREATE TABLE c (id integer PRIMARY KEY, a integer, pid integer REFERENCES t ON DELETE SET NULL);\nINSERT INTO c VALUES (1, 7, 2), (2, 8, 5), (3, 9, NULL);\n"
	f := newFixture(t, testdb.Postgres(t), setup, map[string]string{"00001_change.sql": migration(
		"ALTER TABLE c ALTER COLUMN a TYPE bigint;\nUPDATE c SET a = a + 1;\nDELETE FROM t WHERE id = 2;", "ALTER TABLE c ALTER COLUMN a TYPE integer;")})
	before := f.dump()
	for range 2 {
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
	}
}

// TestRebuiltUnderAnotherName: a later migration's Down makes a key anew under a name that the server makes up, and the earlier one
// is rolled back all the same.
func TestRebuiltUnderAnotherName(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, tee, map[string]string{
			"00001_names.sql":   migration("ALTER TABLE t RENAME TO t1;\nALTER TABLE t1 RENAME TO t2;", "ALTER TABLE t2 RENAME TO t1;\nALTER TABLE t1 RENAME TO t;"),
			"00002_rebuild.sql": migration(strings.NewReplacer(" t;", " t2;").Replace(rebuilt), strings.NewReplacer(" t;", " t2;").Replace(back)),
		})
		f.up()
		for range 2 {
			if s, err := f.open().Status(t.Context()); err != nil || len(s.Drift) > 0 {
				t.Fatalf("drift %v, %v", s.Drift, err)
			}
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if s, err := f.open().Status(t.Context()); err != nil || len(s.Drift) > 0 {
				t.Fatalf("drift %v, %v", s.Drift, err)
			}
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if got := f.tee(); got != "2|two|2|b2 5|five|5|b5 8|eight|8|b8" {
				t.Fatalf("rolled back: %s", got)
			}
			f.up()
		}
	})
}

// TestTableWasThere: a Down that drops what CREATE TABLE IF NOT EXISTS found there is refused before it runs, and says what to do. One that drops
// what it made is not.
func TestTableWasThere(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const create = "CREATE TABLE IF NOT EXISTS people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nCREATE TABLE IF NOT EXISTS pets (id integer PRIMARY KEY);"
		f := newFixture(t, dsn, people, map[string]string{"00001_change.sql": migration(create, "DROP TABLE IF EXISTS pets;\nDROP TABLE people;")})
		f.up()
		before := f.dump()
		_, err := f.open().Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1})
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || len(refused.Reasons) != 1 || refused.Reasons[0].Line != 6 || !strings.Contains(refused.Reasons[0].Message, "was there before Up") {
			t.Fatalf("err = %v", err)
		}
		f.same(before, f.dump(), "after a refused rollback")
		f.files["00001_change.sql"].Data = []byte(migration(create, "DROP TABLE pets;"))
		f.rollback(migrate.RollbackRequest{Steps: 1})
		if got := f.people(); len(got) != 4 {
			t.Errorf("people = %q", got)
		}
	}, testdb.Everywhere()...)
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, tee, map[string]string{"00001_change.sql": migration(`CREATE TABLE IF NOT EXISTS "Odd.name" (id integer PRIMARY KEY);`, `DROP TABLE "Odd.name";`)})
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
	})
}

// TestPublishedTable: a table that leaves its publication because it is dropped is warned of, and is published again after a rollback.
func TestPublishedTable(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if !strings.HasPrefix(dsn, "postgres") {
			return // there are no publications
		}
		f := newFixture(t, dsn, tee+"CREATE TABLE other (id integer PRIMARY KEY);\nCREATE PUBLICATION changes FOR TABLE t, other;\n", map[string]string{
			"00001_change.sql": migration("DROP TABLE t;", "CREATE TABLE t (id integer NOT NULL, name text, a integer, b text, PRIMARY KEY (id));")})
		before := f.dump()
		plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
		if err != nil || len(plan.Migrations) != 1 || !strings.Contains(fmt.Sprint(plan.Migrations[0].Steps[0].Notes), "publication changes loses public.t") {
			t.Errorf("plan: %+v, %v", plan, err)
		}
		res := f.up()
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "publication changes loses public.t") {
			t.Errorf("warnings %q", res.Warnings)
		}
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
	})
}

// TestKeyGivenToAnotherRow: a row goes back to the key that the migration has taken from it. Where somebody has made another row of that
// key since, both stay as they are.
func TestKeyGivenToAnotherRow(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, tee, map[string]string{"00001_a.sql": migration(rebuilt+"UPDATE t SET id = id + 1000 WHERE id = 2;\nINSERT INTO t VALUES (9, 'made', 0);", back)})
		f.up()
		f.exec("INSERT INTO t (id, name, a) VALUES (2, 'new', 9);")
		before := f.dump()
		_, err := f.open().Rollback(context.Background(), migrate.RollbackRequest{OnConflict: snapshot.Fail})
		var conflict *snapshot.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("fail: %v", err)
		}
		f.same(before, f.dump(), "after the refusal")
		f.rollback(migrate.RollbackRequest{OnConflict: snapshot.Keep})
		if got, want := f.tee(), "2|new|9|- 5|five|5|b5 8|eight|8|b8 1002|two|2|b2"; got != want {
			t.Errorf("keep: %s, want %s", got, want)
		}
	})
}
