package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// parted is a NO TRANSACTION migration with a statement that fails put in before the n-th statement of one direction.
func parted(up, down []string, direction migrate.Direction, n int) string {
	fails := "SELECT 1 / (count(*) - count(*)) FROM people"
	switch direction {
	case migrate.Up:
		up = slices.Insert(slices.Clone(up), n, fails)
	case migrate.Down:
		down = slices.Insert(slices.Clone(down), n, fails)
	}
	return "-- +goose NO TRANSACTION\n-- +goose Up\n" + strings.Join(up, ";\n") + ";\n-- +goose Down\n" + strings.Join(down, ";\n") + ";\n"
}

var partedUp = []string{
	"UPDATE people SET score = 0, note = NULL",
	"CREATE INDEX CONCURRENTLY people_name ON people (name)",
	"DELETE FROM orders WHERE id > 11",
	"DROP INDEX CONCURRENTLY people_score",
	"ALTER TABLE people DROP COLUMN note",
	"CREATE TABLE pets (id integer PRIMARY KEY, name text)",
	"INSERT INTO pets SELECT id, name FROM people",
	"UPDATE orders SET id = id + 100",
}

var partedDown = []string{
	"UPDATE orders SET id = id - 100",
	"DROP TABLE pets",
	"ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none'",
	"CREATE INDEX CONCURRENTLY people_score ON people (score)",
	"DROP INDEX CONCURRENTLY people_name",
}

// TestAbortAtEveryStep: a migration without a transaction stops before each of its statements in turn, in either direction.
// Nothing else runs then; recover --abort takes back what was done, rows and schema; or recover, once the cause is gone,
// runs the rest. What the application wrote in between stays.
func TestAbortAtEveryStep(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, nil)
		whole := parted(partedUp, partedDown, "", 0)
		set := func(text string) { f.files = fstest.MapFS{"00001_change.sql": &fstest.MapFile{Data: []byte(text)}} }
		before := f.dump()
		stop := func(d migrate.Direction, n int) {
			t.Helper()
			var err error
			if d == migrate.Up {
				set(parted(partedUp, partedDown, d, n))
				_, err = f.open().Up(context.Background(), migrate.UpRequest{To: -1})
			} else {
				set(parted(partedUp, partedDown, d, n))
				_, err = f.open().Rollback(context.Background(), migrate.RollbackRequest{To: 0})
			}
			if err == nil || !strings.Contains(err.Error(), "division by zero") {
				t.Fatalf("%s stopped before statement %d: err = %v", d, n+1, err)
			}
			s, err := f.open().Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if open := len(s.Unfinished); open != min(n, 1) {
				t.Fatalf("%s stopped before statement %d: %d runs are unfinished", d, n+1, open)
			}
		}
		abort := func(d migrate.Direction, n int) {
			t.Helper()
			if n == 0 {
				return
			}
			if _, err := f.open().Recover(context.Background(), migrate.RecoverRequest{Abort: true}); err != nil {
				t.Fatalf("abort %s before statement %d: %v", d, n+1, err)
			}
		}
		for n := range len(partedUp) + 1 {
			stop(migrate.Up, n)
			abort(migrate.Up, n)
			f.same(before, f.dump(), fmt.Sprintf("up aborted before statement %d", n+1))
		}
		set(whole)
		f.up()
		after := f.dump()
		for n := range len(partedDown) + 1 {
			stop(migrate.Down, n)
			abort(migrate.Down, n)
			f.same(after, f.dump(), fmt.Sprintf("rollback aborted before statement %d", n+1))
		}
		set(whole)
		f.rollback(migrate.RollbackRequest{To: 0})
		f.same(before, f.dump(), "after all")
		// What the application writes while the run is cut off is not taken back with it.
		stop(migrate.Up, 3)
		f.exec("UPDATE people SET score = 77 WHERE id = 2;\nINSERT INTO orders VALUES (13, 2, 5);\nUPDATE people SET name = 'Ida' WHERE id = 1;")
		res, err := f.open().Recover(context.Background(), migrate.RecoverRequest{Abort: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := f.people(), []string{"1|Ida|10|first", "2|Bob|77|-", "3|Cyd|-|x'y", "4|Dan|40|"}; !slices.Equal(got, want) {
			t.Errorf("people = %q, want %q", got, want)
		}
		if got := testdb.Query(t, dsn, "SELECT string_agg(id || ':' || total, ' ' ORDER BY id) FROM orders")[0]; got != "10:9.50 11:0.00 12:120.25 13:5.00" {
			t.Errorf("orders = %s", got)
		}
		if len(res.Conflicts) != 2 || slices.ContainsFunc(res.Conflicts, func(c snapshot.Conflict) bool { return c.Resolved != snapshot.Keep }) {
			t.Errorf("conflicts = %+v, want the score of Bob and the order 13", res.Conflicts)
		}
	}, testdb.OnPostgres)
}

// TestWritesBetweenStatements: where statements commit one by one, the application writes between them. Its values are not the
// migration's: a rollback keeps them.
func TestWritesBetweenStatements(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_change.sql": parted([]string{
			"UPDATE people SET score = 0", "CREATE INDEX CONCURRENTLY people_name ON people (name)", "CREATE INDEX CONCURRENTLY orders_total ON orders (total)",
		}, []string{"DROP INDEX CONCURRENTLY people_name", "DROP INDEX CONCURRENTLY orders_total"}, "", 0)})
		app := testdb.Open(t, dsn)
		m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
			if e.Kind == migrate.StatementStart && e.Statement == 2 {
				if _, err := app.Exec("UPDATE people SET score = 77 WHERE id = 2"); err != nil {
					t.Error(err)
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(context.Background(), migrate.UpRequest{To: -1}); err != nil {
			t.Fatal(err)
		}
		res := f.rollback(migrate.RollbackRequest{To: 0})
		if got, want := f.people(), []string{"1|Ada|10|first", "2|Bob|77|-", "3|Cyd|-|x'y", "4|Dan|40|"}; !slices.Equal(got, want) || len(res.Conflicts) != 1 {
			t.Errorf("people = %q, want %q; conflicts %+v", got, want, res.Conflicts)
		}
	}, testdb.OnPostgres)
}

// TestResumeAtEveryStep: the same, carried on instead of taken back.
func TestResumeAtEveryStep(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people+"CREATE TABLE gate (q integer);\nINSERT INTO gate VALUES (1);\n", nil)
		// The gate is a statement that fails while it is shut: the text of the migration must stay the same.
		gated := func(list []string, n int) []string {
			return slices.Insert(slices.Clone(list), n, "SELECT 1 / q FROM gate")
		}
		before := f.dump()
		for n := range len(partedUp) + 1 {
			f.files = fstest.MapFS{"00001_change.sql": &fstest.MapFile{Data: []byte(parted(gated(partedUp, n), gated(partedDown, min(n, len(partedDown))), "", 0))}}
			f.up()
			after := f.dump()
			f.rollback(migrate.RollbackRequest{To: 0})
			f.same(before, f.dump(), "an unharmed rollback")
			for _, d := range []migrate.Direction{migrate.Up, migrate.Down} {
				testdb.Exec(t, dsn, "UPDATE gate SET q = 0")
				var err error
				want := after
				if d == migrate.Up {
					_, err = f.open().Up(context.Background(), migrate.UpRequest{To: -1})
				} else {
					want = before
					_, err = f.open().Rollback(context.Background(), migrate.RollbackRequest{To: 0})
				}
				if err == nil {
					t.Fatalf("%s through a gate that is shut", d)
				}
				testdb.Exec(t, dsn, "UPDATE gate SET q = 1")
				if n == 0 {
					if d == migrate.Up {
						f.up()
					} else {
						f.rollback(migrate.RollbackRequest{To: 0})
					}
				} else if _, err := f.open().Recover(context.Background(), migrate.RecoverRequest{}); err != nil {
					t.Fatalf("recover %s from statement %d: %v", d, n+1, err)
				}
				f.same(want, f.dump(), fmt.Sprintf("%s carried on from statement %d", d, n+1))
			}
		}
	}, testdb.OnPostgres)
}

// TestAbortAfterConvert: columns that name no character set have that of their table again when what converted it is taken back.
func TestAbortAfterConvert(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE prose (id integer PRIMARY KEY, a text, b varchar(20) NOT NULL DEFAULT 'x') DEFAULT CHARSET=utf8mb3;\nINSERT INTO prose VALUES (1, 'é', 'ü'), (2, NULL, '');\n",
			map[string]string{"00001_x.sql": migration("ALTER TABLE prose CONVERT TO CHARACTER SET utf8mb4;\nUPDATE prose SET b = 'z';\nALTER TABLE prose ADD UNIQUE (b);", "SELECT 1;")})
		before := f.dump()
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
			t.Fatal("two equal values are unique")
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatal(err)
		}
		f.same(before, f.dump(), "taken back")
	}, testdb.OnMariaDB, testdb.OnMySQL)
}

// TestAbortAfterAnotherForeignKey: a foreign key that goes by an index which the run made is as it was when the run is taken back.
func TestAbortAfterAnotherForeignKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, `CREATE TABLE jwk (id integer PRIMARY KEY, sid integer NOT NULL, kid integer NOT NULL, nid integer NOT NULL, UNIQUE (sid, kid, nid));
CREATE TABLE issuer (id integer PRIMARY KEY, sid integer NOT NULL, kid integer NOT NULL, nid integer NOT NULL, CONSTRAINT issuer_jwk FOREIGN KEY (sid, kid, nid) REFERENCES jwk (sid, kid, nid) ON DELETE CASCADE);
INSERT INTO jwk VALUES (1, 1, 1, 1), (2, 1, 2, 1);
INSERT INTO issuer VALUES (1, 1, 1, 1), (2, 1, 2, 1), (3, 1, 2, 1);
`, map[string]string{"00001_x.sql": migration(`CREATE UNIQUE INDEX jwk_uq ON jwk (sid, kid);
ALTER TABLE issuer DROP FOREIGN KEY issuer_jwk;
ALTER TABLE issuer ADD CONSTRAINT issuer_jwk FOREIGN KEY (sid, kid) REFERENCES jwk (sid, kid) ON DELETE CASCADE;
UPDATE issuer SET nid = 2;
ALTER TABLE issuer ADD UNIQUE (nid);`, "SELECT 1;")})
		before := f.dump()
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
			t.Fatal("equal values are unique")
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatal(err)
		}
		f.same(before, f.dump(), "taken back")
	}, testdb.OnMariaDB, testdb.OnMySQL)
}
