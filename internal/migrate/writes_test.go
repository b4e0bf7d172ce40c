package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// later is what an application wrote between up and rollback, and what must stand afterwards.
type later struct {
	name     string
	up, down string
	writes   string
	policy   snapshot.Policy
	// rows of "people" after the rollback, as "id|name|score|note" with - for NULL
	want      []string
	conflicts int64
}

var laters = []later{
	{
		name: "column dropped; rows inserted, changed and deleted since",
		up:   "ALTER TABLE people DROP COLUMN note;", down: "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';",
		writes: "INSERT INTO people (id, name, score) VALUES (5, 'Eve', 50);\nUPDATE people SET score = 11 WHERE id = 1;\nDELETE FROM people WHERE id = 4;",
		want:   []string{"1|Ada|11|first", "2|Bob|20|-", "3|Cyd|-|x'y", "5|Eve|50|none"}, conflicts: 1, // the value of the deleted row has no place to go
	},
	{
		name: "update; the application changed one of the rows: keep",
		up:   "UPDATE people SET score = 0;", down: "SELECT 1;",
		writes: "UPDATE people SET score = 99 WHERE id = 2;\nUPDATE people SET note = 'new' WHERE id = 1;", policy: snapshot.Keep,
		want: []string{"1|Ada|10|new", "2|Bob|99|-", "3|Cyd|-|x'y", "4|Dan|40|"}, conflicts: 1,
	},
	{
		name: "update; the application changed one of the rows: restore",
		up:   "UPDATE people SET score = 0;", down: "SELECT 1;",
		writes: "UPDATE people SET score = 99 WHERE id = 2;", policy: snapshot.Restore,
		want: []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|Dan|40|"}, conflicts: 1,
	},
	{
		name: "update; Down computes from what the application wrote",
		up:   "UPDATE people SET score = score * 2;", down: "UPDATE people SET score = score / 2;",
		writes: "UPDATE people SET score = 100 WHERE id = 1;", policy: snapshot.Keep,
		want: []string{"1|Ada|50|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|Dan|40|"}, conflicts: 1,
	},
	{
		name: "delete; the key was taken since: keep",
		up:   "DELETE FROM people WHERE id = 4;", down: "SELECT 1;",
		writes: "INSERT INTO people VALUES (4, 'New', 4, 'n');", policy: snapshot.Keep,
		want: []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|New|4|n"}, conflicts: 1,
	},
	{
		name: "delete; the key was taken since: restore",
		up:   "DELETE FROM people WHERE id = 4;", down: "SELECT 1;",
		writes: "INSERT INTO people VALUES (4, 'New', 4, 'n');", policy: snapshot.Restore,
		want: []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|Dan|40|"}, conflicts: 1,
	},
	{
		name: "keys moved, then deleted; the first key was taken since: keep",
		up:   "UPDATE people SET id = id + 100 WHERE id = 4;\nDELETE FROM people WHERE id = 104;", down: "SELECT 1;",
		writes: "INSERT INTO people VALUES (4, 'New', 4, 'n');", policy: snapshot.Keep,
		want: []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|New|4|n"}, conflicts: 2, // for each of the two statements
	},
	{
		name: "update; the application deleted one of the rows: keep",
		up:   "UPDATE people SET score = 0;", down: "SELECT 1;",
		writes: "DELETE FROM people WHERE id = 4;", policy: snapshot.Keep,
		want: []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y"}, conflicts: 1,
	},
	{
		name: "table dropped and made again by Down; nothing of later writes can exist",
		up:   "DROP TABLE orders;\nDROP TABLE people;", down: `CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));`,
		want: []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|Dan|40|"},
	},
}

func (f *fixture) people() []string {
	f.t.Helper()
	rows, err := f.db.QueryContext(f.t.Context(), "SELECT id, name, coalesce(CAST(score AS char(8)), '-'), coalesce(note, '-') FROM people ORDER BY id")
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var c [4]string
		if err := rows.Scan(&c[0], &c[1], &c[2], &c[3]); err != nil {
			f.t.Fatal(err)
		}
		c[2] = strings.TrimSpace(c[2])
		out = append(out, strings.Join(c[:], "|"))
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return out
}

// TestLaterWritesSurvive is promise 4.
func TestLaterWritesSurvive(t *testing.T) {
	t.Parallel()
	for _, l := range laters {
		t.Run(l.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_change.sql": migration(l.up, l.down)})
				f.up()
				f.exec(l.writes)
				res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: l.policy})
				if got := f.people(); !slices.Equal(got, l.want) {
					t.Errorf("people = %q, want %q", got, l.want)
				}
				var n int64
				for _, tr := range res.Tables {
					n += tr.Conflicts
				}
				if n != l.conflicts || int64(len(res.Conflicts)) != l.conflicts {
					t.Errorf("conflicts = %d, listed %+v, want %d", n, res.Conflicts, l.conflicts)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestFailPolicyChangesNothing: under fail, a conflict refuses the rollback and leaves everything as it is.
func TestFailPolicyChangesNothing(t *testing.T) {
	t.Parallel()
	change := migration("UPDATE people SET score = 0;\nALTER TABLE people ADD COLUMN extra integer;", "ALTER TABLE people DROP COLUMN extra;")
	const bag = "CREATE TABLE loose (a integer, b varchar(20));\nINSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, 'y'), (3, NULL);"
	inserts := migration("INSERT INTO loose VALUES (7, 'new');\nALTER TABLE loose ADD COLUMN extra integer;", "ALTER TABLE loose DROP COLUMN extra;")
	bags := migration("UPDATE loose SET b = 'z';\nALTER TABLE loose ADD COLUMN extra integer;", "ALTER TABLE loose DROP COLUMN extra;")
	const steps = "-- +goose NO TRANSACTION\n"
	for name, o := range map[string]struct{ setup, text, writes string }{
		"in a transaction":       {people, change, "UPDATE people SET score = 99 WHERE id = 2;\nUPDATE people SET extra = 7;"},
		"by steps":               {people, steps + change, "UPDATE people SET score = 99 WHERE id = 2;\nUPDATE people SET extra = 7;"},
		"no key":                 {bag, bags, "UPDATE loose SET b = 'w' WHERE a = 2;"},
		"no key by steps":        {bag, steps + bags, "UPDATE loose SET b = 'w' WHERE a = 2;"},
		"no key, gone, by steps": {bag, steps + bags, "DELETE FROM loose WHERE a = 3;\nINSERT INTO loose (a, b) VALUES (4, 'v');"},
		"no key, made, by steps": {bag, steps + inserts, "UPDATE loose SET b = 'newer' WHERE a = 7;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, o.setup, map[string]string{"00001_change.sql": o.text})
				f.up()
				f.exec(o.writes)
				before := f.dump()
				dry, err := f.open().Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1, DryRun: true})
				if err != nil || len(dry.Conflicts) == 0 {
					t.Errorf("a dry run: %v, %+v", err, dry)
				}
				_, err = f.open().Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1, OnConflict: snapshot.Fail})
				var conflict *snapshot.ConflictError
				if !errors.As(err, &conflict) {
					t.Fatalf("err = %v, want a ConflictError", err)
				}
				f.same(before, f.dump(), "after a refused rollback")
				if s, err := f.open().Status(context.Background()); err != nil || s.Current != 1 || len(s.Unfinished) > 0 {
					t.Errorf("status = %+v, %v; want version 1, and nothing to recover", s, err)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// A row that others add to a table without a key is no conflict.
func TestFailPolicyTakesNewRows(t *testing.T) {
	t.Parallel()
	const bag = "CREATE TABLE loose (a integer, b varchar(20));\nINSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, 'y'), (3, NULL);"
	change := migration("UPDATE loose SET b = 'z';\nINSERT INTO loose VALUES (7, 'new');\nALTER TABLE loose ADD COLUMN extra integer;", "ALTER TABLE loose DROP COLUMN extra;")
	for name, text := range map[string]string{"in a transaction": change, "by steps": "-- +goose NO TRANSACTION\n" + change} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, bag, map[string]string{"00001_change.sql": text})
				f.up()
				f.exec("INSERT INTO loose (a, b) VALUES (4, 'v');")
				f.rollback(migrate.RollbackRequest{To: -1, Steps: 1, OnConflict: snapshot.Fail})
				got := testdb.Query(t, dsn, "SELECT a, b FROM loose ORDER BY a, b")
				if want := []string{"1|x", "1|x", "2|y", "3|NULL", "4|v"}; !slices.Equal(got, want) {
					t.Errorf("rows %q, want %q", got, want)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestRollbackCanBeUndone is promise 5: the next up brings back what the rollback destroyed.
func TestRollbackCanBeUndone(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_age.sql": migration("ALTER TABLE people ADD COLUMN age integer;\nCREATE TABLE pets (id integer PRIMARY KEY, name varchar(20));",
			"DROP TABLE pets;\nALTER TABLE people DROP COLUMN age;")})
		f.up()
		f.exec("UPDATE people SET age = id * 10;\nINSERT INTO pets VALUES (1, 'Rex'), (2, NULL);")
		after := f.dump()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.up()
		f.same(after, f.dump(), "after up again")
	}, testdb.Everywhere()...)
}

// TestMendedMigrationGetsNoOldValues: what Down captured belongs to the text that was rolled back.
func TestMendedMigrationGetsNoOldValues(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_price.sql": migration("UPDATE people SET score = score * 2;", "UPDATE people SET score = score / 2;")})
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.files["00001_price.sql"].Data = []byte(migration("UPDATE people SET score = score + 1;", "UPDATE people SET score = score - 1;"))
		f.up()
		want := []string{"1|Ada|11|first", "2|Bob|21|-", "3|Cyd|-|x'y", "4|Dan|41|"}
		if got := f.people(); !slices.Equal(got, want) {
			t.Errorf("people = %q, want %q", got, want)
		}
	}, testdb.Everywhere()...)
}

// TestRollbackWithoutTheFile: an older release's image has no file for the newer migration.
func TestRollbackWithoutTheFile(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;"),
			"00002_b.sql": migration("ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"),
		})
		f.up()
		delete(f.files, "00002_b.sql")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if res.From != 2 || res.To != 1 {
			t.Errorf("from %d to %d, want 2 to 1", res.From, res.To)
		}
		want := []string{"1|Ada|10|first", "2|Bob|20|-", "3|Cyd|-|x'y", "4|Dan|40|"}
		if got := f.people(); !slices.Equal(got, want) {
			t.Errorf("people = %q, want %q", got, want)
		}
	}, testdb.Everywhere()...)
}

// TestDriftRefuses: a schema that changed since up is refused, with the object that differs.
func TestDriftRefuses(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": migration("ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;")})
		f.up()
		f.exec("ALTER TABLE people RENAME COLUMN a TO b;")
		_, err := f.open().Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1})
		var drift *migrate.DriftError
		if !errors.As(err, &drift) || drift.When != "before" || len(drift.Differences) == 0 || !strings.Contains(drift.Differences[0].Object, "people.a") {
			t.Fatalf("err = %v %+v, want drift of people.a", err, drift)
		}
	}, testdb.Everywhere()...)
}

// TestRefusedBeforeAnythingRuns: a migration that nothing could undo stops the run before its first statement.
func TestRefusedBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;"),
			"00002_b.sql": "-- +goose Up\nDELETE FROM orders;\n",
		})
		before := f.dump()
		_, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1})
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || len(refused.Reasons) != 1 || refused.Reasons[0].File != "migrations/00002_b.sql" || refused.Reasons[0].Line != 2 {
			t.Fatalf("err = %+v, want a refusal of migrations/00002_b.sql:2", err)
		}
		f.same(before, f.dump(), "after a refusal")

		f.files["00002_b.sql"].Data = []byte("-- +dbrollback irreversible: worthless rows\n-- +goose Up\nDELETE FROM orders;\n")
		if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1}); !errors.As(err, &refused) {
			t.Fatalf("annotated, without --allow-irreversible: err = %v, want a refusal", err)
		}
		if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1, AllowIrreversible: true}); err != nil {
			t.Fatalf("annotated and allowed: %v", err)
		}
	}, testdb.Everywhere()...)
}

// TestRebuiltWithoutKeyIsRestoredOver: under restore, what the application wrote into a table without a key gives way to the captured
// rows, also when Down makes the table anew; and the next up brings it back.
func TestRebuiltWithoutKeyIsRestoredOver(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE loose (a integer, b varchar(9));\nINSERT INTO loose VALUES (1, 'x'), (2, 'y');\n", map[string]string{"00001_a.sql": migration(
			"UPDATE loose SET a = a + 1;\nCREATE TABLE fresh (a integer, b varchar(9));\nINSERT INTO fresh SELECT a, 'up' FROM loose;\nDROP TABLE loose;\nALTER TABLE fresh RENAME TO loose;",
			"CREATE TABLE old (a integer, b varchar(9));\nINSERT INTO old SELECT a, b FROM loose;\nDROP TABLE loose;\nALTER TABLE old RENAME TO loose;\nUPDATE loose SET a = a - 1;")})
		f.up()
		f.exec("INSERT INTO loose VALUES (7, 'app');")
		after := f.dump()
		res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Restore})
		if got := testdb.Query(t, dsn, "SELECT a, b FROM loose ORDER BY a"); !slices.Equal(got, []string{"1|x", "2|y"}) || len(res.Conflicts) == 0 {
			t.Errorf("rows %q, conflicts %+v", got, res.Conflicts)
		}
		f.up()
		f.same(after, f.dump(), "after up again")
	})
}
