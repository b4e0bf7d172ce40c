package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestValuesOfAnotherType: what is captured while a column has another type need not fit into the one that it has before and after.
func TestValuesOfAnotherType(t *testing.T) {
	t.Parallel()
	types := map[string][2]string{ // as text, and back
		"postgres": {"ALTER TABLE t ALTER COLUMN a TYPE varchar(40) USING 'no. ' || a;\n", "ALTER TABLE t ALTER COLUMN a TYPE integer USING substr(a, 5)::integer;\n"},
		"mysql":    {"ALTER TABLE t MODIFY a varchar(40) NOT NULL;\n", "ALTER TABLE t MODIFY a integer NOT NULL;\n"},
	}
	types["mariadb"] = types["mysql"]
	for name, c := range map[string]struct{ up, down, writes, want string }{
		"rows deleted":             {up: "DELETE FROM t WHERE id < 4;\n"},
		"changed, then deleted":    {up: "UPDATE t SET a = 'none' WHERE id < 4;\nDELETE FROM t WHERE id < 3;\n", down: "DELETE FROM t WHERE id = 3;\n"},
		"inserted, then deleted":   {up: "INSERT INTO t (id, a, b) VALUES (9, 'nine', 'x');\nDELETE FROM t WHERE id IN (2, 9);\n"},
		"deleted, another written": {up: "DELETE FROM t WHERE id = 2;\n", writes: "UPDATE t SET b = 'later' WHERE id = 3;\n", want: "1 1 one|2 2 two|3 3 later|4 4 four"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				engine, _, _ := strings.Cut(dsn, ":")
				to := types[strings.Replace(engine, "postgresql", "postgres", 1)]
				f := newFixture(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer NOT NULL, b varchar(20));\nINSERT INTO t VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 3, 'three'), (4, 4, 'four');",
					map[string]string{"00001_a.sql": migration(to[0]+c.up, c.down+to[1])})
				before := f.dump()
				want := c.want
				if want == "" {
					want = "1 1 one|2 2 two|3 3 three|4 4 four"
				}
				for range 2 {
					f.up()
					f.exec(c.writes)
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := strings.Join(testdb.Query(t, dsn, "SELECT concat(id, ' ', a, ' ', b) FROM t ORDER BY id"), "|"); got != want {
						t.Fatalf("rows %s\nwant %s", got, want)
					}
				}
				if c.writes == "" {
					f.same(before, f.dump(), "after the rollbacks")
				}
			}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
		})
	}
}

// TestKeysThatNumberThemselves: no UPDATE may write a GENERATED ALWAYS column, not even to move no key at all.
func TestKeysThatNumberThemselves(t *testing.T) {
	t.Parallel()
	for name, up := range map[string]string{
		"deleted by a cascade":  "DELETE FROM p WHERE id = 2;\n",
		"keys renumbered":       "UPDATE c SET id = DEFAULT WHERE id = 1;\n",
		"keys of all, and more": "UPDATE c SET id = DEFAULT;\nDELETE FROM p WHERE id = 2;\nUPDATE c SET v = 'x';\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), `CREATE TABLE p (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
INSERT INTO p (v) VALUES ('a'), ('b');
CREATE TABLE c (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, p bigint REFERENCES p ON DELETE CASCADE, v text);
INSERT INTO c (p, v) VALUES (1, 'a'), (2, 'b'), (2, 'c');
`, map[string]string{"00001_a.sql": migration(up, "SELECT 1;")})
			rows := func() string {
				return strings.Join(testdb.Query(t, f.dsn, "SELECT 'p ' || p::text FROM p UNION ALL SELECT 'c ' || c::text FROM c ORDER BY 1"), " ")
			}
			before := rows()
			for range 2 {
				f.up()
				f.exec("INSERT INTO c (p, v) VALUES (1, 'later');")
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.exec("DELETE FROM c WHERE v = 'later';")
				if got := rows(); got != before {
					t.Fatalf("rows %s\nwant %s", got, before)
				}
				if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM information_schema.columns WHERE identity_generation = 'ALWAYS' AND table_schema = 'public'"); got[0] != "2" {
					t.Fatalf("%s columns number themselves always", got[0])
				}
			}
		})
	}
}

// TestRetypedBackOntoValues: what Up has written under a wider type, or where there was a NOT NULL, does not fit when Down gives a column its type back, or leaves that to the rollback. The captured values are
// there before; what the application has written to other rows stays. Cut off anywhere, recover goes on, and recover --abort takes it back.
func TestRetypedBackOntoValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ up, down, later string }{
		"longer":   {"ALTER TABLE t MODIFY a varchar(99) NOT NULL;\nUPDATE t SET a = repeat('x', 50) WHERE id < 3;", "ALTER TABLE t MODIFY a varchar(9) NOT NULL;", "later"},
		"none":     {"ALTER TABLE t MODIFY a varchar(9) NULL;\nUPDATE t SET a = NULL WHERE id < 3;", "ALTER TABLE t CHANGE a a varchar(9) NOT NULL;", "later"},
		"left out": {"ALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET a = repeat('x', 50) WHERE id = 1;\nUPDATE t SET a = NULL WHERE id = 2;", "SELECT 1;", "later"},
		"captured before": {"UPDATE t SET a = concat(a, '!') WHERE id < 4;\nUPDATE t SET a = concat(a, '+') WHERE id < 3;\nALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET a = concat(a, '?') WHERE id < 4;\nUPDATE t SET a = NULL WHERE id = 2;",
			"ALTER TABLE t MODIFY a varchar(9) NOT NULL;", "later"},
		"inserted":                  {"ALTER TABLE t MODIFY a varchar(99) NOT NULL;\nINSERT INTO t VALUES (7, repeat('x', 50), 5), (8, 'fits', 6);\nUPDATE t SET b = 7 WHERE id IN (2, 7);", "ALTER TABLE t MODIFY a varchar(9) NOT NULL;", "later"},
		"left out, captured before": {"UPDATE t SET a = concat(a, '!') WHERE id < 4;\nALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET a = concat(a, '?') WHERE id < 4;\nUPDATE t SET a = NULL WHERE id = 2;", "UPDATE t SET a = 'x' WHERE id IN (1, 4);", "x"},
		"written by Down":           {"ALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET a = NULL WHERE id = 2;", "UPDATE t SET a = concat(a, '!') WHERE id <> 2;\nALTER TABLE t MODIFY a varchar(9) NOT NULL;", "later!"},
		"of those that Down writes": {"ALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET b = b + 0, a = NULL WHERE id = 2;\nUPDATE t SET b = b + 1;", "UPDATE t SET b = b - 1 WHERE id < 3;\nALTER TABLE t MODIFY a varchar(9) NOT NULL;", "later"},
		"written by both":           {"UPDATE t SET a = concat(a, '!') WHERE id < 4;\nALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET a = NULL WHERE id = 2;", "UPDATE t SET a = 'x' WHERE id = 1;\nALTER TABLE t MODIFY a varchar(9) NOT NULL;\nUPDATE t SET a = 'y' WHERE id IN (2, 4);", "y"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				later := c.later
				c := newCutter(t, dsn, migration(c.up, c.down))
				testdb.Exec(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, a varchar(9) NOT NULL, b integer)", "INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (4, 'four', 4)")
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT concat(id, ' ', coalesce(a, '-'), ' ', b) FROM t ORDER BY id"), " ")
				}
				before := rows()
				c.must("up")
				after := state(t, dsn)
				up := rows()
				c.must("rollback")
				if got := rows(); got != before {
					t.Fatalf("rollback: %s, want %s", got, before)
				}
				c.cutsEachWay(rows, map[string]string{"up": up, "rollback": before})
				c.must("up")
				for n := 12; n < 90; n += 13 {
					if !c.mine(n / 13) {
						continue
					}
					at, err := c.cutAt("rollback", n, []cut{afterAnswer, beforeIt, afterSending}[n%3])
					if err == nil {
						c.must("up")
						break
					}
					if _, err := c.mend("recover --abort"); err != nil {
						_, err = c.mend("recover") // the rows are back
						if err != nil {
							t.Fatalf("cut off at %.80q: %v", at, err)
						}
						c.must("up")
					}
					if got := state(t, dsn); got != after {
						t.Fatalf("cut off at %.80q:\n%s", at, testdb.Diff(after, got))
					}
				}
				testdb.Exec(t, dsn, "UPDATE t SET a = 'later' WHERE id = 4")
				c.must("rollback")
				if got, want := rows(), strings.Replace(before, "four", later, 1); got != want {
					t.Errorf("rollback after a write: %s, want %s", got, want)
				}
				c.free("in the end")
			}, family...)
		})
	}
}

// TestCutOffBehindWhatARepairNeeds: what goes back ahead of a repair is committed before it, with what the rollback knows of it by then: cut off just behind, recover brings the oldest
// values back, and recover --abort the newest.
func TestCutOffBehindWhatARepairNeeds(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("UPDATE t SET a = concat(a, '!') WHERE id < 4;\nALTER TABLE t MODIFY a varchar(99) NULL;\nUPDATE t SET a = concat(a, '?') WHERE id < 4;\nUPDATE t SET a = NULL WHERE id = 2;",
			"UPDATE t SET a = 'x' WHERE id IN (1, 4);"))
		testdb.Exec(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, a varchar(9) NOT NULL)", "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')")
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT concat(id, ' ', coalesce(a, '-')) FROM t ORDER BY id"), " ")
		}
		before := rows()
		for _, how := range []cut{beforeIt, afterAnswer} {
			for verb, want := range map[string]string{"recover": before, "recover --abort": "1 one!? 2 - 3 three!? 4 four"} {
				if rows() == before {
					c.must("up")
				}
				tried := 0 // the first time it is rejected; its table is locked, so that nobody can look
				at, err := c.cutWhere("rollback", how, func(query string) bool {
					if strings.HasPrefix(query, "ALTER TABLE `t` MODIFY") {
						tried++
					}
					return tried == 2
				})
				if err == nil {
					t.Fatal("the rollback was not cut off")
				}
				c.must(verb)
				if got := rows(); got != want {
					t.Fatalf("cut off at %.60q, then %s: %s, want %s", at, verb, got, want)
				}
			}
		}
	}, family...)
}

// Rows that Up has inserted go ahead of a type of Down that does not take them; one that the application has written since stays, where it fits.
func TestInsertedBesideANarrowerType(t *testing.T) {
	t.Parallel()
	for name, insert := range map[string]string{
		"inserted": "INSERT INTO t VALUES (8, 'too long', 7), (9, 'wide one', 9);",
		"upserted": "pg: INSERT INTO t VALUES (7, 'written', NULL), (8, 'too long', 7), (9, 'wide one', 9) ON CONFLICT (id) DO UPDATE SET a = 'written'; | " +
			"mysql: INSERT INTO t VALUES (7, 'written', NULL), (8, 'too long', 7), (9, 'wide one', 9) ON DUPLICATE KEY UPDATE a = VALUES(a);",
	} {
		for _, steps := range []string{"", "-- +goose NO TRANSACTION\n"} {
			t.Run(strings.TrimSpace(name+" "+strings.Trim(steps, "-+\n ")), func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, a varchar(4), p integer REFERENCES t (id));\nINSERT INTO t VALUES (5, 'five', NULL), (7, NULL, 5);",
						map[string]string{"00001_x.sql": steps + migration(on(dsn, "mysql: ALTER TABLE t MODIFY a varchar(10); | ALTER TABLE t ALTER a TYPE varchar(10);")+"\n"+on(dsn, insert),
							on(dsn, "mysql: ALTER TABLE t MODIFY a varchar(4); | ALTER TABLE t ALTER a TYPE varchar(4);"))})
					rows := func() []string { return testdb.Query(t, dsn, "SELECT id, a, p FROM t ORDER BY id") }
					before := rows()
					f.up()
					if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 {
						t.Errorf("conflicts with nobody: %+v", res.Conflicts)
					}
					f.same(strings.Join(before, "\n"), strings.Join(rows(), "\n"), "back when nobody wrote")
					f.up()
					f.exec("UPDATE t SET a = 'ours' WHERE id = 8;\nINSERT INTO t VALUES (20, 'new', 5);")
					if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) != 1 || res.Conflicts[0].Key != "id=8" {
						t.Errorf("conflicts %+v, want that of the row that was written", res.Conflicts)
					}
					f.same("5|five|NULL\n7|NULL|5\n8|ours|7\n20|new|5", strings.Join(rows(), "\n"), "back beside writes")
					f.exec("DELETE FROM t WHERE id = 8;")
					f.up()
					f.exec("UPDATE t SET a = 'not yours' WHERE id = 9;")
					after := strings.Join(rows(), "\n")
					if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err == nil {
						t.Error("a row that somebody wrote, and that does not fit, was cut")
					}
					if !strings.HasPrefix(dsn, "postgres") {
						if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
							t.Fatal(err)
						}
					}
					f.same(after, strings.Join(rows(), "\n"), "refused")
				}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
			})
		}
	}
}
