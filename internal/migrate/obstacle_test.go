package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// obstacle is a migration, what the application writes after it, and what the rollback then says before it runs.
type obstacle struct {
	name     string
	engines  string
	up, down string
	writes   string
	says     []string
	away     string // takes the obstacle away
}

var obstacles = []obstacle{
	{
		name: "null in a column that becomes NOT NULL", engines: "postgres",
		up: "ALTER TABLE people ALTER COLUMN name DROP NOT NULL;", down: "ALTER TABLE people ALTER COLUMN name SET NOT NULL;",
		writes: "INSERT INTO people (id) VALUES (5);\nUPDATE people SET name = NULL WHERE id = 2;",
		says:   []string{"00001_x.sql:", "makes name NOT NULL", "there are 2 rows of public.people without a value", "id=2", "id=5"},
		away:   "DELETE FROM people WHERE id = 5;\nUPDATE people SET name = 'Bob' WHERE id = 2;",
	},
	{
		name: "no value for a column that comes back NOT NULL", engines: "postgres",
		up: "ALTER TABLE people DROP COLUMN name;", down: "ALTER TABLE people ADD COLUMN name varchar(40) NOT NULL;",
		writes: "INSERT INTO people (id) VALUES (77);",
		says:   []string{"adds name NOT NULL without a default", "there is 1 row of public.people for which no value was captured", "id=77"},
		away:   "DELETE FROM people WHERE id = 77;",
	},
	{
		name: "text too long", engines: "postgres",
		up: "ALTER TABLE people ALTER COLUMN note TYPE text;", down: "ALTER TABLE people ALTER COLUMN note TYPE varchar(200);",
		writes: "INSERT INTO people (id, name, note) VALUES (8, 'Eve', repeat('x', 201)), (9, 'Fay', repeat('y', 200) || '   ');",
		says:   []string{"changes note to character varying(200)", "there is 1 row of public.people with a value that does not fit", "id=8: xxx"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "number too large", engines: "postgres",
		up: "ALTER TABLE people ALTER COLUMN score TYPE bigint;", down: "ALTER TABLE people ALTER COLUMN score TYPE integer;",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', 3000000000), (9, 'Fay', -3000000000), (10, 'Gil', 2147483647);",
		says:   []string{"changes score to integer", "there are 2 rows of public.people with a value that does not fit", "id=8: 3000000000"},
		away:   "DELETE FROM people WHERE id IN (8, 9);",
	},
	{
		name: "text that is no number", engines: "postgres",
		up: "ALTER TABLE people ALTER COLUMN score TYPE text;", down: "ALTER TABLE people ALTER COLUMN score TYPE integer USING score::integer;",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', '12'), (9, 'Fay', 'twelve');",
		says:   []string{"there is 1 row of public.people with a value that does not fit", "id=9: twelve"},
		away:   "DELETE FROM people WHERE id = 9;",
	},
	{
		name: "a value that several rows have", engines: "postgres sqlite",
		up: "DROP INDEX people_name;", down: "CREATE UNIQUE INDEX people_name ON people (name);",
		writes: "INSERT INTO people (id, name) VALUES (8, 'Ada');",
		says:   []string{"makes name unique", "there is 1 value of ", "that several rows have", "Ada"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a unique constraint and a foreign key", engines: "postgres",
		up:     "ALTER TABLE orders DROP CONSTRAINT orders_person_id_fkey;",
		down:   "ALTER TABLE orders ADD CONSTRAINT orders_person_id_fkey FOREIGN KEY (person_id) REFERENCES people (id) ON DELETE CASCADE;",
		writes: "INSERT INTO orders VALUES (20, 99, 1);",
		says:   []string{"refers to people", "there is 1 row of public.orders whose parent is not there", "id=20: 99"},
		away:   "DELETE FROM orders WHERE id = 20;",
	},
	{
		name: "a check", engines: "postgres",
		up: "ALTER TABLE people DROP CONSTRAINT people_score_check;", down: "ALTER TABLE people ADD CONSTRAINT people_score_check CHECK (score < 100);",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', 100), (9, 'Fay', NULL);",
		says:   []string{"demands score < 100", "there is 1 row of public.people that break it", "id=8"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "null, in MySQL's words", engines: "mysql mariadb",
		up: "ALTER TABLE people MODIFY name varchar(40) NULL;", down: "ALTER TABLE people MODIFY name varchar(40) NOT NULL;",
		writes: "INSERT INTO people (id) VALUES (5);",
		says:   []string{"00001_x.sql:", "makes name NOT NULL", "there is 1 row of people without a value", "id=5"},
		away:   "DELETE FROM people WHERE id = 5;",
	},
	{
		name: "no value, on MySQL", engines: "mysql mariadb",
		up: "ALTER TABLE people DROP COLUMN name;", down: "ALTER TABLE people ADD COLUMN name varchar(40) NOT NULL AFTER id;\nCREATE UNIQUE INDEX people_name ON people (name);",
		writes: "INSERT INTO people (id) VALUES (77);",
		says:   []string{"adds name NOT NULL without a default", "there is 1 row of people for which no value was captured", "id=77"},
		away:   "DELETE FROM people WHERE id = 77;",
	},
	{
		name: "text too long, on MySQL", engines: "mysql mariadb",
		up: "ALTER TABLE people MODIFY note varchar(400) DEFAULT 'none';", down: "ALTER TABLE people MODIFY note varchar(200) DEFAULT 'none';",
		writes: "INSERT INTO people (id, name, note) VALUES (8, 'Eve', repeat('x', 201)), (9, 'Fay', repeat('y', 200));",
		says:   []string{"changes note to varchar(200)", "there is 1 row of people with a value that does not fit", "id=8: xxx"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "text of a character set too long, on MySQL", engines: "mysql mariadb",
		up: "ALTER TABLE people MODIFY note varchar(400) DEFAULT 'none';", down: "ALTER TABLE people MODIFY note varchar(200) CHARACTER SET utf8mb4 DEFAULT 'none';",
		writes: "INSERT INTO people (id, name, note) VALUES (8, 'Eve', repeat('x', 201)), (9, 'Fay', repeat('y', 200));",
		says:   []string{"changes note to varchar(200)", "there is 1 row of people with a value that does not fit", "id=8: xxx"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "number too large, on MySQL", engines: "mysql mariadb",
		up: "ALTER TABLE people MODIFY score bigint;", down: "ALTER TABLE people MODIFY score integer;",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', 3000000000), (9, 'Fay', -3000000000), (10, 'Gil', 2147483647);",
		says:   []string{"there are 2 rows of people with a value that does not fit", "id=8: 3000000000"},
		away:   "DELETE FROM people WHERE id IN (8, 9);",
	},
	{
		name: "taken, on MySQL", engines: "mysql mariadb",
		up: "DROP INDEX people_name ON people;", down: "CREATE UNIQUE INDEX people_name ON people (name);",
		writes: "INSERT INTO people (id, name) VALUES (8, 'Ada');",
		says:   []string{"makes name unique", "there is 1 value of people that several rows have", "Ada"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a foreign key, on MySQL", engines: "mysql mariadb",
		up:     "ALTER TABLE orders DROP FOREIGN KEY to_people;",
		down:   "ALTER TABLE orders ADD CONSTRAINT to_people FOREIGN KEY (person_id) REFERENCES people (id);",
		writes: "INSERT INTO orders VALUES (20, 99, 1);",
		says:   []string{"refers to people", "there is 1 row of orders whose parent is not there", "id=20: 99"},
		away:   "DELETE FROM orders WHERE id = 20;",
	},
	{
		name: "a check, on MySQL", engines: "mysql mariadb",
		up: "ALTER TABLE people DROP CONSTRAINT people_score_check;", down: "ALTER TABLE people ADD CONSTRAINT people_score_check CHECK (score < 100);",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', 100), (9, 'Fay', NULL);",
		says:   []string{"demands score < 100", "there is 1 row of people that break it", "id=8"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "NOT NULL that Down leaves out", engines: "mysql mariadb",
		up: "ALTER TABLE people MODIFY name varchar(60);", down: "ALTER TABLE people MODIFY name varchar(40);",
		writes: "INSERT INTO people (id) VALUES (5);",
		says:   []string{"00001_x.sql:", "what Down leaves out is made again, which makes name NOT NULL", "there is 1 row of people without a value", "id=5"},
		away:   "DELETE FROM people WHERE id = 5;",
	},
	{
		name: "NOT NULL that Down leaves out, in PostgreSQL's words", engines: "postgres",
		up: "ALTER TABLE people ALTER COLUMN name DROP NOT NULL;", down: "SELECT 1;",
		writes: "INSERT INTO people (id) VALUES (5);",
		says:   []string{"what Down leaves out is made again, which makes name NOT NULL", "there is 1 row of public.people without a value", "id=5"},
		away:   "DELETE FROM people WHERE id = 5;",
	},
	{
		name: "a column without a default that Down leaves out", engines: "mysql mariadb postgres",
		up: "ALTER TABLE people DROP COLUMN name;", down: "SELECT 1;",
		writes: "INSERT INTO people (id) VALUES (77);",
		says:   []string{"what Down leaves out is made again, which adds name NOT NULL without a default", "people for which no value was captured", "id=77"},
		away:   "DELETE FROM people WHERE id = 77;",
	},
	{
		name: "the length that Down leaves out", engines: "mysql mariadb",
		up: "ALTER TABLE people MODIFY note varchar(400) DEFAULT 'none';", down: "SELECT 1;",
		writes: "INSERT INTO people (id, name, note) VALUES (8, 'Eve', repeat('x', 201)), (9, 'Fay', repeat('y', 200));",
		says:   []string{"what Down leaves out is made again, which changes note to varchar(200)", "there is 1 row of people with a value that does not fit", "id=8: xxx"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a unique index that Down leaves out", engines: "mysql mariadb",
		up: "DROP INDEX people_name ON people;", down: "SELECT 1;",
		writes: "INSERT INTO people (id, name) VALUES (8, 'Ada');",
		says:   []string{"what Down leaves out is made again, which makes name unique", "there is 1 value of people that several rows have", "Ada"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a unique index that Down leaves out, among rows that come back", engines: "mysql mariadb",
		up: "DROP INDEX people_name ON people;\nUPDATE people SET score = 0 WHERE id = 2;", down: "SELECT 1;",
		writes: "INSERT INTO people (id, name) VALUES (8, 'Eve'), (9, 'Eve');",
		says:   []string{"what Down leaves out is made again, which makes name unique", "there is 1 value of people that several rows have", "Eve"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a unique index that Down leaves out, elsewhere", engines: "postgres sqlite",
		up: "DROP INDEX people_name;", down: "SELECT 1;",
		writes: "INSERT INTO people (id, name) VALUES (8, 'Ada');",
		says:   []string{"what Down leaves out is made again, which makes name unique", "people that several rows have", "Ada"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a foreign key that Down leaves out", engines: "mysql mariadb",
		up:     "ALTER TABLE orders DROP FOREIGN KEY to_people;",
		down:   "SELECT 1;",
		writes: "INSERT INTO orders VALUES (20, 99, 1);",
		says:   []string{"what Down leaves out is made again, which refers to people", "there is 1 row of orders whose parent is not there", "id=20: 99"},
		away:   "DELETE FROM orders WHERE id = 20;",
	},
	{
		name: "a check that Down leaves out", engines: "mysql mariadb",
		up: "ALTER TABLE people DROP CONSTRAINT people_score_check;", down: "SELECT 1;",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', 100), (9, 'Fay', NULL);",
		says:   []string{"what Down leaves out is made again, which demands", "there is 1 row of people that break it", "id=8"},
		away:   "DELETE FROM people WHERE id = 8;",
	},
	{
		name: "a check that Down leaves out, in PostgreSQL's words", engines: "postgres",
		up: "ALTER TABLE people DROP CONSTRAINT people_score_check;\nALTER TABLE orders DROP CONSTRAINT orders_person_id_fkey;", down: "SELECT 1;",
		writes: "INSERT INTO people (id, name, score) VALUES (8, 'Eve', 100), (9, 'Fay', NULL);\nINSERT INTO orders VALUES (20, 99, 1);",
		says: []string{"what Down leaves out is made again, which demands", "there is 1 row of public.people that break it", "id=8",
			"what Down leaves out is made again, which refers to public.people", "there is 1 row of public.orders whose parent is not there", "id=20: 99"},
		away: "DELETE FROM people WHERE id = 8;\nDELETE FROM orders WHERE id = 20;",
	},
	{
		name: "a table that is made anew", engines: "sqlite",
		up: `CREATE TABLE new (id integer PRIMARY KEY, name varchar(40), score integer, note varchar(200) DEFAULT 'none');
INSERT INTO new SELECT id, name, score, note FROM people;
DROP TABLE people;
ALTER TABLE new RENAME TO people;`,
		down: `CREATE TABLE old (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
INSERT INTO old SELECT id, name, score, note FROM people;
DROP TABLE people;
ALTER TABLE old RENAME TO people;
CREATE INDEX people_score ON people (score);
CREATE UNIQUE INDEX people_name ON people (name);`,
		writes: "INSERT INTO people (id) VALUES (5), (6);",
		says:   []string{"makes name NOT NULL", "there are 2 rows of old without a value"},
		away:   "DELETE FROM people WHERE id > 4;",
	},
}

// What the older schema has no place for is found and shown before anything runs; without it the same rollback goes.
func TestObstacles(t *testing.T) {
	t.Parallel()
	for _, o := range obstacles {
		t.Run(o.name, func(t *testing.T) {
			var on []testdb.Engine // none: those of the short list
			for _, e := range testdb.Everywhere() {
				if strings.Contains(o.engines, string(e)) {
					on = append(on, e)
				}
			}
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration(o.up, o.down), "00002_y.sql": migration("CREATE TABLE later (id integer PRIMARY KEY);", "DROP TABLE later;")})
				f.exec("CREATE UNIQUE INDEX people_name ON people (name)")
				if strings.HasPrefix(o.name, "a foreign key") && !strings.Contains(o.engines, "postgres") {
					f.exec("ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1;\nALTER TABLE orders ADD CONSTRAINT to_people FOREIGN KEY (person_id) REFERENCES people (id)")
				}
				if strings.HasPrefix(o.name, "a check") {
					f.exec("ALTER TABLE people ADD CONSTRAINT people_score_check CHECK (score < 100)")
				}
				if o.engines == "sqlite" {
					f.exec("DROP TABLE orders")
				}
				before := f.dump()
				f.up()
				f.exec(o.writes)
				between := f.dump()
				plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Down, To: 0})
				if err != nil {
					t.Fatal(err)
				}
				var planned []string
				for _, m := range plan.Migrations {
					for _, x := range m.Obstacles {
						planned = append(planned, x.Message)
					}
				}
				res, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0})
				text := refusal(t, err)
				for _, want := range o.says {
					if !strings.Contains(text, want) {
						t.Errorf("the refusal does not say %q: %s", want, text)
					}
					if !strings.HasSuffix(want, ".sql:") && !strings.Contains(strings.Join(planned, "\n"), want) {
						t.Errorf("the plan does not say %q: %q", want, planned)
					}
				}
				if len(res.Migrations) != 0 {
					t.Errorf("%d migrations were undone all the same", len(res.Migrations))
				}
				f.same(between, f.dump(), "after the refusal")
				f.exec(o.away)
				f.rollback(migrate.RollbackRequest{To: 0})
				f.exec("DELETE FROM people WHERE id > 4")
				f.same(before, f.dump(), "without the obstacle")
			}, on...)
		})
	}
}

// A suspicion that captured data, or an earlier statement of Down, takes away refuses nothing.
func TestNoObstacle(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]obstacle{
		"captured values fill it": {
			up: "ALTER TABLE people ALTER COLUMN name DROP NOT NULL;\nUPDATE people SET name = NULL;", down: "ALTER TABLE people ALTER COLUMN name SET NOT NULL;",
		},
		"Down deals with it": {
			up: "ALTER TABLE people ALTER COLUMN note TYPE text;", down: "UPDATE people SET note = left(note, 200);\nALTER TABLE people ALTER COLUMN note TYPE varchar(200);",
			writes: "UPDATE people SET note = repeat('x', 300) WHERE id = 1;",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration(o.up, o.down)})
				before := f.dump()
				f.up()
				f.exec(o.writes)
				plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Down, To: -1, Steps: 1})
				if err != nil || len(plan.Migrations[0].Obstacles) != 1 {
					t.Fatalf("the suspicion is not in the plan: %v, %+v", err, plan)
				}
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if o.writes == "" {
					f.same(before, f.dump(), "after the rollback")
				}
			}, testdb.OnPostgres)
		})
	}
}

// A dry run tells the conflicts that the rollback will have, and changes nothing.
func TestDryRunTellsConflicts(t *testing.T) {
	t.Parallel()
	t.Run("in a transaction", func(t *testing.T) { dryRunTellsConflicts(t, "", "SELECT 1;", everywhere...) })
	t.Run("by steps", func(t *testing.T) { dryRunTellsConflicts(t, "-- +goose NO TRANSACTION\n", "SELECT 1;") })
	t.Run("by steps that no transaction takes", func(t *testing.T) {
		dryRunTellsConflicts(t, "-- +goose NO TRANSACTION\n", "VACUUM;")
	})
}

func dryRunTellsConflicts(t *testing.T, bySteps, down string, on ...testdb.Engine) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": bySteps + migration("UPDATE people SET score = 0;\nDELETE FROM people WHERE id = 4;", down)})
		f.up()
		f.exec("UPDATE people SET score = 7 WHERE id = 1;\nINSERT INTO people (id, name) VALUES (4, 'Zoe');")
		before := f.dump()
		ours := func() string { return "" } // the tables of ours that no transaction takes back
		if !strings.HasPrefix(dsn, "postgres") && !strings.HasPrefix(dsn, "sqlite") {
			ours = func() string {
				return strings.Join(testdb.Query(t, dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY 1"), " ")
			}
		}
		kept := ours()
		req := migrate.RollbackRequest{To: -1, Steps: 1, DryRun: true}
		res, err := f.open().Rollback(t.Context(), req)
		if err != nil || res.Plan == nil {
			t.Fatalf("%v, %+v", err, res)
		}
		var keys []string
		for _, c := range res.Conflicts {
			if !slices.Contains(keys, c.Key) { // two statements captured row 4
				keys = append(keys, c.Key)
			}
		}
		if got := strings.Join(keys, " "); got != "id=1 id=4" {
			t.Errorf("conflicts %q", got)
		}
		f.same(before, f.dump(), "after the dry run")
		req.OnConflict = snapshot.Fail
		var conflict *snapshot.ConflictError
		if _, err := f.open().Rollback(t.Context(), req); !errors.As(err, &conflict) {
			t.Errorf("under fail: %v", err)
		}
		f.same(before, f.dump(), "after the dry run under fail")
		f.same(kept, ours(), "what dbrollback keeps")
	}, on...)
}

// What Down leaves out is made again; rows of now that break it are known before anything ran. When they are gone it goes.
func TestForgottenConstraintBroken(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration("ALTER TABLE orders DROP CONSTRAINT to_people;\nDELETE FROM orders WHERE id = 1;", "SELECT 1;")})
		name := "orders_ibfk_1"
		if strings.HasPrefix(dsn, "postgres") {
			name = "orders_person_id_fkey"
		}
		f.exec("ALTER TABLE orders DROP CONSTRAINT " + name + ";\nALTER TABLE orders ADD CONSTRAINT to_people FOREIGN KEY (person_id) REFERENCES people (id)")
		before := f.dump()
		f.up()
		f.exec("INSERT INTO orders VALUES (20, 99, 1)")
		between := f.dump()
		_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		if text := refusal(t, err); !strings.Contains(text, "id=20: 99") {
			t.Fatalf("the rollback over a row without a parent: %v", err)
		}
		f.same(between, f.dump(), "after the refusal")
		f.exec("DELETE FROM orders WHERE id = 20")
		f.rollback(migrate.RollbackRequest{To: 0})
		f.same(before, f.dump(), "when the row is gone")
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}

// Whether a row that comes back and one of now can both be there under what is to be made again shows when it is back: where each step commits
// it does not stay then, and the rollback can be taken back.
func TestForgottenConstraintBrokenByWhatComesBack(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]obstacle{
		"unique": {up: "DROP INDEX people_name ON people;\nDELETE FROM people WHERE id = 4;", writes: "INSERT INTO people (id, name) SELECT 8, name FROM (SELECT 'Dee' AS name) AS x;", away: "DELETE FROM people WHERE id = 8;"},
		"foreign key": {
			up: "ALTER TABLE orders DROP FOREIGN KEY to_people;\nDELETE FROM people WHERE id = 4;", writes: "INSERT INTO orders VALUES (20, 99, 1);", away: "DELETE FROM orders WHERE id = 20;",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration(o.up, "SELECT 1;")})
				f.exec("UPDATE people SET name = 'Dee' WHERE id = 4;\nCREATE UNIQUE INDEX people_name ON people (name)")
				f.exec("ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1;\nALTER TABLE orders ADD CONSTRAINT to_people FOREIGN KEY (person_id) REFERENCES people (id)")
				before := f.dump()
				f.up()
				f.exec(o.writes)
				between := f.dump()
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0})
				var partial *migrate.PartialError
				if text := refusal(t, err); !strings.Contains(text, "what Down leaves out is made again") || !errors.As(err, &partial) || !partial.Unfinished {
					t.Fatalf("err = %v", err)
				}
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
					t.Fatalf("recover --abort: %v", err)
				}
				f.same(between, f.dump(), "taken back")
				if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err == nil {
					t.Fatal("it went")
				}
				f.exec(o.away)
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{}); err != nil {
					t.Fatalf("recover: %v", err)
				}
				f.same(before, f.dump(), "when the row is gone")
			}, testdb.OnMySQL, testdb.OnMariaDB)
		})
	}
}

// What breaks that only when the rows are back stops a rollback that recover --abort cannot take back any more, and that says so; recover ends it when the cause is gone.
func TestForgottenConstraintBrokenInTheEnd(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("DROP INDEX badge_no ON badge;\nDELETE FROM badge WHERE id = 4;", "SELECT 1;"))
		testdb.Exec(t, dsn, "CREATE TABLE badge (id integer PRIMARY KEY, no integer, UNIQUE KEY badge_no (no))", "INSERT INTO badge VALUES (1, 10), (4, 40)")
		before := testdb.Dump(t, dsn)
		c.must("up")
		_, err := c.cutWhere("rollback", goOn, func(query string) bool {
			made := strings.Contains(query, "badge_no") && strings.HasPrefix(query, "ALTER TABLE")
			if made {
				testdb.Exec(t, dsn, "INSERT INTO badge VALUES (7, 40)")
			}
			return made
		})
		var partial *migrate.PartialError
		var repair *migrate.RepairError
		if !errors.As(err, &partial) || !partial.Unfinished || !partial.Back || !errors.As(err, &repair) {
			t.Fatalf("err = %v", err)
		}
		if s, err := c.open(dsn).Status(t.Context()); err != nil || len(s.Unfinished) != 1 || !s.Unfinished[0].Back {
			t.Errorf("status: %+v, %v", s, err)
		}
		if err := c.run(dsn, "up"); !errors.Is(err, migrate.ErrBack) {
			t.Errorf("up: %v", err)
		}
		if err := c.run(dsn, "recover --abort"); !errors.As(err, new(*migrate.RefusedError)) {
			t.Errorf("recover --abort: %v", err)
		}
		if err := c.run(dsn, "recover"); !errors.As(err, &repair) || !errors.As(err, &partial) || !partial.Back {
			t.Errorf("recover over the row: %v", err)
		}
		testdb.Exec(t, dsn, "DELETE FROM badge WHERE id = 7")
		c.must("recover")
		testdb.SameDump(t, dsn, before)
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// On SQLite what Down leaves out is made again with the whole table, in the transaction of the rollback: rows of now that break it are told, nothing is changed, and without them it goes.
func TestForgottenConstraintBrokenOnSQLite(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ was, writes, away, says string }{
		"not null": {"no integer NOT NULL", "INSERT INTO badge VALUES (7, NULL)", "DELETE FROM badge WHERE id = 7", "makes no NOT NULL, but there is 1 row of badge without a value (id=7)"},
		"check":    {"no integer CHECK (no < 100)", "UPDATE badge SET no = 300 WHERE id = 2", "UPDATE badge SET no = 20 WHERE id = 2", "demands no < 100, but there is 1 row of badge that break it (id=2)"},
		"unique":   {"no integer UNIQUE", "INSERT INTO badge VALUES (7, 10)", "DELETE FROM badge WHERE id = 7", "makes no unique, but there is 1 value of badge that several rows have (10)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, testdb.SQLite(t), "CREATE TABLE badge (id integer PRIMARY KEY, "+x.was+");\nINSERT INTO badge VALUES (1, 10), (2, 20), (4, 40);\n", map[string]string{"00001_x.sql": migration(
				"CREATE TABLE badge2 (id integer PRIMARY KEY, no integer);\nINSERT INTO badge2 SELECT * FROM badge WHERE id < 4;\nDROP TABLE badge;\nALTER TABLE badge2 RENAME TO badge;", "SELECT 1;")})
			before := f.dump()
			f.up()
			f.exec(x.writes)
			between := f.dump()
			_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0})
			var drift *migrate.DriftError
			if !errors.As(err, &drift) || len(drift.Differences) != 1 || drift.Differences[0].Object != "badge.no" {
				t.Fatalf("the rollback over what breaks it: %v", err)
			}
			plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Down, To: 0})
			if err != nil {
				t.Fatal(err)
			}
			if list := plan.Migrations[0].Obstacles; len(list) != 1 || !strings.Contains(list[0].Message, x.says) {
				t.Errorf("the plan says %+v, not %q", list, x.says)
			}
			f.same(between, f.dump(), "after the refusal")
			f.exec(x.away)
			f.rollback(migrate.RollbackRequest{To: 0})
			f.same(before, f.dump(), "when it is gone")
		})
	}
}
