package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestBystanders: rows that Up left alone, and that Down hits all the same, stay as they were; what the application did about them since
// is its own, and Down does with that what it says, as it does with rows that came later.
func TestBystanders(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people+"INSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h'), (9, 'Ida', 10, 'i');\n", map[string]string{
			"00001_a.sql": migration("UPDATE people SET score = 10 WHERE score IS NULL;", "UPDATE people SET score = NULL WHERE score = 10;"),
		})
		f.up()
		f.exec("UPDATE people SET score = 11 WHERE id = 7;\nDELETE FROM people WHERE id = 8;\nUPDATE people SET note = 'app' WHERE id = 1;\n" +
			"UPDATE people SET score = 10 WHERE id = 2;\nINSERT INTO people VALUES (6, 'Fay', 10, 'f');\n")
		res := f.rollback(migrate.RollbackRequest{To: 0, OnConflict: snapshot.Restore})
		got := strings.Join(testdb.Query(t, dsn, "SELECT id, coalesce(score, -1), note FROM people ORDER BY id"), " ")
		if want := "1|10|app 2|-1|NULL 3|-1|x'y 4|40| 6|-1|f 7|11|g 9|10|i"; got != want {
			t.Errorf("rows\n got %s\nwant %s", got, want)
		}
		if len(res.Conflicts) > 0 {
			t.Errorf("conflicts: %+v", res.Conflicts)
		}
	}, everywhere...)
}

// TestBystanderRemoved: a row that was there before Up, that the application has changed since and that Down deletes, stays as the application left it.
func TestBystanderRemoved(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people+"INSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h');\n", map[string]string{
			"00001_a.sql": migration("INSERT INTO people VALUES (5, 'Eve', 50, 'new');", "DELETE FROM people WHERE id IN (4, 5, 7, 8);"),
		})
		f.up()
		f.exec("UPDATE people SET note = 'app' WHERE id = 7;\nDELETE FROM people WHERE id = 8;\n")
		res := f.rollback(migrate.RollbackRequest{To: 0})
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, note FROM people WHERE id > 3 ORDER BY id"), " "); got != "4| 7|app" {
			t.Errorf("rows %s, want 4 and 7", got)
		}
		if len(res.Conflicts) > 0 {
			t.Errorf("conflicts %+v", res.Conflicts)
		}
		f.up()
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, note FROM people WHERE id > 4 ORDER BY id"), " "); got != "5|new 7|app" {
			t.Errorf("up again: %s, want 5|new 7|app", got)
		}
	}, everywhere...)
}

// upAndBack applies the migrations, and undoes and applies them two times more: each time all is as before, or as after.
func (f *fixture) upAndBack() {
	before := f.dump()
	f.up()
	after := f.dump()
	for range 2 {
		f.backAndUp(before, after)
	}
}

// TestBystandersUnderAnotherName: the same where Up has given the table, or a column, another name, and Down writes behind giving it the old one back; also where the names are exchanged.
func TestBystandersUnderAnotherName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ up, down, writes, want string }{
		"table": {"ALTER TABLE people RENAME TO persons;", "ALTER TABLE persons RENAME TO people;\nUPDATE people SET score = 0 WHERE people.score > 5;",
			"UPDATE persons SET score = 77 WHERE id = 7;\nUPDATE persons SET note = 'app' WHERE id = 8;", "2|20|NULL 7|0|g 8|10|app 9|20|i"},
		"table, rows deleted": {"ALTER TABLE people RENAME TO persons;", "ALTER TABLE persons RENAME TO people;\nDELETE FROM people WHERE score > 5;",
			"UPDATE persons SET note = 'app' WHERE id = 8;", "2|20|NULL 7|10|g 8|10|app 9|20|i"},
		"rows deleted, then the table": {"ALTER TABLE people RENAME TO persons;\nALTER TABLE persons RENAME COLUMN note TO remark;",
			"DELETE FROM persons;\nALTER TABLE persons RENAME COLUMN remark TO note;\nALTER TABLE persons RENAME TO people;",
			"UPDATE persons SET remark = 'app' WHERE id = 8;\nINSERT INTO persons (id, name, score, remark) VALUES (10, 'Jo', 3, 'new');", "2|20|NULL 7|10|g 8|10|app 9|20|i 10|3|new"},
		"column": {"ALTER TABLE people RENAME COLUMN score TO points;", "ALTER TABLE people RENAME COLUMN points TO score;\nUPDATE people SET score = 0 WHERE score > 5;",
			"UPDATE people SET points = 77 WHERE id = 7;\nUPDATE people SET note = 'app' WHERE id = 8;", "2|20|NULL 7|0|g 8|10|app 9|20|i"},
		"both, written in between": {"ALTER TABLE people RENAME TO persons;\nALTER TABLE persons RENAME COLUMN score TO points;\nUPDATE persons SET points = points + 1 WHERE id = 9;",
			"UPDATE persons SET points = points - 1 WHERE id = 9;\nALTER TABLE persons RENAME COLUMN points TO score;\nALTER TABLE persons RENAME TO people;\nUPDATE people SET score = 0, note = 'down' WHERE score > 5;",
			"UPDATE persons SET points = 77 WHERE id = 7;", "2|20|NULL 7|0|down 8|10|h 9|20|i"},
		"names exchanged": {"ALTER TABLE people RENAME TO x;\nALTER TABLE others RENAME TO people;\nALTER TABLE x RENAME TO others;",
			"ALTER TABLE people RENAME TO x;\nALTER TABLE others RENAME TO people;\nALTER TABLE x RENAME TO others;\nUPDATE people SET score = 0 WHERE score > 5;\nDELETE FROM others;",
			"UPDATE others SET score = 77 WHERE id = 7;", "2|20|NULL 7|0|g 8|10|h 9|20|i"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people+"DELETE FROM people WHERE id IN (1, 3, 4);\nINSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h'), (9, 'Ida', 20, 'i');\nCREATE TABLE others (id integer PRIMARY KEY);\nINSERT INTO others VALUES (1), (2);\n",
					map[string]string{"00001_a.sql": migration(c.up, c.down)})
				rows := func(table, score string) string {
					return strings.Join(testdb.Query(t, dsn, "SELECT id, coalesce("+score+", -1), note FROM "+table+" ORDER BY id"), " ")
				}
				f.upAndBack()
				f.exec(c.writes)
				f.rollback(migrate.RollbackRequest{To: 0})
				if got := rows("people", "score"); got != c.want {
					t.Errorf("rows\n got %s\nwant %s", got, c.want)
				}
				if got := testdb.Query(t, dsn, "SELECT id FROM others ORDER BY id"); len(got) != 2 {
					t.Errorf("others: %s", got)
				}
			}, everywhere...)
		})
	}
}

// TestBystandersOfWhatCannotBeUnderstood: the same where Down writes in a DO block, a function, or what it declares.
func TestBystandersOfWhatCannotBeUnderstood(t *testing.T) {
	t.Parallel()
	const fix = "CREATE FUNCTION fix() RETURNS void LANGUAGE sql AS 'UPDATE people SET score = NULL WHERE score = 10';\n"
	for name, c := range map[string]struct {
		before, up, down string
		engines          []testdb.Engine
	}{
		"a block":            {"", "", "DO $$ BEGIN UPDATE public.people SET score = NULL WHERE score = 10; END $$;", []testdb.Engine{testdb.OnPostgres}},
		"put together":       {"", "", "DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['people'] LOOP EXECUTE format('DELETE FROM %I WHERE score = 10', t); END LOOP; END $$;", []testdb.Engine{testdb.OnPostgres}},
		"a function":         {fix, "", "SELECT fix();", []testdb.Engine{testdb.OnPostgres}},
		"one by another":     {fix + "CREATE PROCEDURE mend() LANGUAGE plpgsql AS 'BEGIN PERFORM fix(); END';\n", "", "CALL mend();", []testdb.Engine{testdb.OnPostgres}},
		"its own function":   {"", "", fix + "SELECT fix();\nDROP FUNCTION fix();", []testdb.Engine{testdb.OnPostgres}},
		"under another name": {"", "ALTER TABLE people RENAME TO persons;\n", "ALTER TABLE persons RENAME TO people;\nDO $$ BEGIN UPDATE people SET score = NULL WHERE score = 10; END $$;", []testdb.Engine{testdb.OnPostgres}},
		"declared":           {"CREATE PROCEDURE fix() UPDATE people SET score = NULL WHERE score = 10;\n", "", "-- +dbrollback affects: people\nCALL fix();", family},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				blocks := strings.NewReplacer("DO $$", "-- +goose StatementBegin\nDO $$", "END $$;", "END $$;\n-- +goose StatementEnd\n")
				f := newFixture(t, dsn, people+c.before+"INSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h'), (9, 'Ida', 20, 'i');\n",
					map[string]string{"00001_a.sql": migration("UPDATE people SET score = 10 WHERE score IS NULL;\n"+c.up, blocks.Replace(c.down))})
				f.upAndBack()
				if strings.Contains(c.down+c.before, "EXECUTE") || c.engines[0] != testdb.OnPostgres {
					return
				}
				table := "people"
				if c.up != "" {
					table = "persons"
				}
				f.exec("UPDATE " + table + " SET note = 'app' WHERE id = 8;\nUPDATE " + table + " SET score = 10 WHERE id = 9;")
				res := f.rollback(migrate.RollbackRequest{To: 0})
				if got := strings.Join(testdb.Query(t, dsn, "SELECT id, coalesce(score, -1), note FROM people WHERE id > 6 ORDER BY id"), " "); got != "7|10|g 8|10|app 9|-1|i" {
					t.Errorf("rows %s", got)
				}
				if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "Down writes over score of 1 row(s)") {
					t.Errorf("warnings %q", res.Warnings)
				}
			}, c.engines...)
		})
	}
}

// TestBystandersOfTriggers: what triggers, and the server itself, write along with the rows that Down writes is as it was, too. A row of which the application has changed
// other columns since gets back those that Down has written.
func TestBystandersOfTriggers(t *testing.T) {
	t.Parallel()
	const stamp = "ALTER TABLE people ADD COLUMN changed varchar(30);\nCREATE TABLE total (id integer NOT NULL PRIMARY KEY, n integer);\nINSERT INTO total VALUES (1, 7);\n"
	before := map[testdb.Engine]string{
		testdb.OnPostgres: stamp + "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.changed := clock_timestamp()::text; RETURN new; END';\nCREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();\n" +
			"CREATE FUNCTION sum_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE total SET n = n + 1; RETURN null; END';\nCREATE TRIGGER sum_up AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION sum_up();\n",
		testdb.OnSQLite: stamp + "CREATE TRIGGER touch AFTER UPDATE OF score, note ON people BEGIN UPDATE people SET changed = hex(randomblob(4)) WHERE id = new.id; UPDATE total SET n = n + 1; END;\n",
		testdb.OnMySQL:  stamp + "CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW SET new.changed = uuid_short();\nCREATE TRIGGER sum_up AFTER UPDATE ON people FOR EACH ROW UPDATE total SET n = n + 1;\n",
	}
	before[testdb.OnMariaDB] = before[testdb.OnMySQL]
	for name, c := range map[string]struct{ up, down string }{
		"that Up fires, too": {"UPDATE people SET score = 10 WHERE score IS NULL;", "UPDATE people SET score = NULL WHERE score = 10;"},
		"that Down fires":    {"ALTER TABLE people ADD COLUMN extra integer;", "UPDATE people SET score = NULL WHERE score = 10;\nALTER TABLE people DROP COLUMN extra;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				kind, _, _ := strings.Cut(strings.Replace(dsn, "postgresql:", "postgres:", 1), ":")
				f := newFixture(t, dsn, people+"INSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h'), (9, 'Ida', 20, 'i');\n"+before[testdb.Engine(kind)],
					map[string]string{"00001_a.sql": migration(c.up, c.down)})
				f.upAndBack()
				f.exec("UPDATE people SET note = 'app' WHERE id = 8;")
				f.rollback(migrate.RollbackRequest{To: 0})
				if got := strings.Join(testdb.Query(t, dsn, "SELECT id, score, note FROM people WHERE id > 6 ORDER BY id"), " "); got != "7|10|g 8|10|app 9|20|i" {
					t.Errorf("rows %s", got)
				}
			}, everywhere...)
		})
	}
}

// TestCutOffAtBystanders: the same cut off anywhere on the way up and back, where each statement commits by itself.
func TestCutOffAtBystanders(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("ALTER TABLE crew RENAME TO crew_now;\nUPDATE crew_now SET score = 10 WHERE score IS NULL;",
			"ALTER TABLE crew_now RENAME TO crew;\nUPDATE crew SET score = NULL WHERE score = 10;\n-- +dbrollback affects: tally\nCALL fix();"))
		testdb.Exec(t, dsn, "CREATE TABLE crew (id integer NOT NULL PRIMARY KEY, score integer, changed varchar(30))", "INSERT INTO crew VALUES (1, 10, 'a'), (2, NULL, 'b'), (3, 20, 'c')",
			"CREATE TABLE tally (id integer NOT NULL PRIMARY KEY, n integer)", "INSERT INTO tally VALUES (1, 7), (2, 8)",
			"CREATE TRIGGER touch BEFORE UPDATE ON crew FOR EACH ROW SET new.changed = 'touched'", "CREATE PROCEDURE fix() UPDATE tally SET n = 0")
		rows := func() string {
			table := "crew"
			if testdb.Query(t, dsn, "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = 'crew_now'")[0] != "0" {
				table = "crew_now"
			}
			return strings.Join(testdb.Query(t, dsn, "SELECT concat(id, ' ', coalesce(score, '-'), ' ', changed) FROM "+table+" UNION ALL SELECT concat('n ', n) FROM tally ORDER BY 1"), "|")
		}
		before := rows()
		c.must("up")
		up := rows()
		c.must("rollback")
		if got := rows(); got != before {
			t.Fatalf("rollback: %s, want %s", got, before)
		}
		c.cutsEachWay(rows, map[string]string{"up": up, "rollback": before})
		c.free("in the end")
	}, family...)
}
