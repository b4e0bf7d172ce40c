package migrate_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestIndexUnderTheNameOfAUniqueOne: Down makes a plain index where a unique one of that name was, which a foreign key may need by then.
// The unique one takes its place.
func TestIndexUnderTheNameOfAUniqueOne(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		up := "ALTER TABLE seats DROP INDEX once, ADD INDEX by_place (place_id), DROP COLUMN label;"
		down := "ALTER TABLE seats ADD COLUMN label varchar(9);\nCREATE INDEX once ON seats (place_id, label);\nALTER TABLE seats DROP INDEX by_place;"
		f := newFixture(t, dsn, "CREATE TABLE places (id integer PRIMARY KEY);\nINSERT INTO places VALUES (1), (2);\n"+
			"CREATE TABLE seats (id integer PRIMARY KEY, place_id integer, label varchar(9), CONSTRAINT once UNIQUE (place_id, label), CONSTRAINT at FOREIGN KEY (place_id) REFERENCES places (id));\n"+
			"INSERT INTO seats VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'a'), (4, NULL, NULL);\n", nil)
		if f.db.Kind == engine.Postgres {
			up, down = "ALTER TABLE seats DROP CONSTRAINT once, DROP COLUMN label;", "ALTER TABLE seats ADD COLUMN label varchar(9);\nCREATE UNIQUE INDEX once ON seats (place_id, label);"
		}
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(up, down))}
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
	}, append(family, testdb.OnPostgres)...)
}

// TestIndexInPlaceOfAKeysOwn: the server takes away the index that it made for a foreign key as soon as one is made that begins with its column.
// Where Down forgets that one it goes, and the key's own is back before it does.
func TestIndexInPlaceOfAKeysOwn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE places (id integer PRIMARY KEY);\nINSERT INTO places VALUES (1), (2);\n"+
			"CREATE TABLE seats (id integer PRIMARY KEY, place_id integer, label varchar(9), CONSTRAINT seats_place FOREIGN KEY (place_id) REFERENCES places (id));\n"+
			"INSERT INTO seats VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'a'), (4, NULL, NULL);\n",
			map[string]string{"00001_x.sql": migration("CREATE UNIQUE INDEX once ON seats (place_id, label);", "SELECT 1;")})
		before := f.dump()
		f.up()
		after := f.dump()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
		f.up()
		f.same(after, f.dump(), "after the second up")
		f.exec("INSERT INTO seats VALUES (5, 2, 'z')")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.exec("DELETE FROM seats WHERE id = 5")
		f.same(before, f.dump(), "after the second rollback")
	}, family...)
}

// TestIndexThatServesAKeyGoes: of an index that Up makes, and that begins with the column of a foreign key, the server refuses the drop in Down, because the one that it had
// made for the key itself went when Up made the other. That one is back before, also when the run is cut off in between; and gone again when the statement fails all the same.
func TestIndexThatServesAKeyGoes(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]string{
		"index": "DROP INDEX by_person ON seats;\nALTER TABLE seats DROP COLUMN extra;",
		"table": "ALTER TABLE seats DROP COLUMN extra, DROP KEY by_person;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, migration("ALTER TABLE seats ADD COLUMN extra integer;\nCREATE UNIQUE INDEX by_person ON seats (person, label);", down))
				key := map[string]string{"index": "CONSTRAINT sits "}[name] // without one the index has the column's name
				testdb.Exec(t, dsn, "CREATE TABLE seats (id integer PRIMARY KEY, person integer, label varchar(9), "+key+"FOREIGN KEY (person) REFERENCES people (id))",
					"INSERT INTO seats VALUES (1, 1, 'a'), (2, 1, 'b'), (3, NULL, 'a')")
				before := state(t, dsn)
				c.must("up")
				after := state(t, dsn)
				commands := c.commands("rollback")
				if got := state(t, dsn); got != before {
					t.Fatalf("rollback:\n%s", testdb.Diff(before, got))
				}
				for n := 5; n < len(commands); n += 11 {
					if !c.mine(n / 11) {
						continue
					}
					c.must("up")
					if got := state(t, dsn); got != after {
						t.Fatalf("up again:\n%s", testdb.Diff(after, got))
					}
					at, err := c.cutAt("rollback", n, []cut{beforeIt, afterSending, afterAnswer}[n%3])
					if verb := []string{"recover", "recover --abort"}[n%2]; err != nil {
						_, err := c.mend(verb)
						if refused := new(migrate.RefusedError); errors.As(err, &refused) { // nothing but the record is missing
							_, err = c.mend("recover")
						}
						if err != nil {
							t.Fatalf("%s after a cut at %.80q: %v", verb, at, err)
						}
					}
					if got := state(t, dsn); got != after && got != before {
						t.Fatalf("cut off at %.80q:\n%s", at, testdb.Diff(before, got))
					} else if got == after {
						c.must("rollback")
					}
				}
			}, family...)
		})
	}
	t.Run("fails", func(t *testing.T) {
		t.Parallel()
		testdb.Each(t, func(t *testing.T, dsn string) {
			c := newCutter(t, dsn, migration("CREATE UNIQUE INDEX by_person ON seats (person, label);", "ALTER TABLE seats DROP INDEX by_person, ADD CONSTRAINT nobody CHECK (person > 5);"))
			testdb.Exec(t, dsn, "CREATE TABLE seats (id integer PRIMARY KEY, person integer, label varchar(9), CONSTRAINT sits FOREIGN KEY (person) REFERENCES people (id))", "INSERT INTO seats VALUES (1, 1, 'a')")
			c.must("up")
			after := state(t, dsn)
			for range 2 {
				if err := c.run(dsn, "rollback"); err == nil {
					t.Fatal("a check that a row breaks was made")
				}
				if got := state(t, dsn); got != after {
					t.Fatalf("rollback that failed:\n%s", testdb.Diff(after, got))
				}
			}
		}, family...)
	})
}

// TestKeysIndexKeepsItsName: the index that the server made for a foreign key without a name is called by its column, and would be called by the key when that comes back, with the name that the server had given it.
// A key to a table that is not there, left behind when its table went while nobody checked, comes back as well.
func TestKeysIndexKeepsItsName(t *testing.T) {
	t.Parallel()
	const anew = "ALTER TABLE seats RENAME TO old;\nCREATE TABLE seats (id integer PRIMARY KEY, place_id integer, FOREIGN KEY (place_id) REFERENCES places (id) ON DELETE CASCADE);\nINSERT INTO seats SELECT * FROM old;\nDROP TABLE old;"
	for name, x := range map[string]struct{ setup, up, down string }{
		"forgotten by Down": {"", "ALTER TABLE seats DROP FOREIGN KEY seats_ibfk_1;", "SELECT 1;"},
		"made by Down":      {"", "ALTER TABLE seats DROP FOREIGN KEY seats_ibfk_1;", "ALTER TABLE seats ADD CONSTRAINT seats_ibfk_1 FOREIGN KEY (place_id) REFERENCES places (id);"},
		"of a table anew":   {"", anew, "SELECT 1;"},
		"to a table that is not there": {
			"SET foreign_key_checks = 0;\nALTER TABLE places RENAME TO former;\nCREATE TABLE places (id integer PRIMARY KEY);\nINSERT INTO places SELECT * FROM former;\nDROP TABLE former;\nSET foreign_key_checks = 1;\n",
			"SET foreign_key_checks = 0;\n" + anew, "SELECT 1;",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE places (id integer PRIMARY KEY);\nINSERT INTO places VALUES (1), (2);\n"+
					"CREATE TABLE seats (id integer PRIMARY KEY, place_id integer, FOREIGN KEY (place_id) REFERENCES places (id));\nINSERT INTO seats VALUES (1, 1), (2, 1), (3, NULL);\n"+x.setup,
					map[string]string{"00001_x.sql": migration(x.up, x.down)})
				before := f.dump()
				f.up()
				after := f.dump()
				for range 2 {
					f.rollback(migrate.RollbackRequest{Steps: 1})
					f.same(before, f.dump(), "after the rollback")
					f.up()
					f.same(after, f.dump(), "after another up")
				}
			}, family...)
		})
	}
}

// TestKeysIndexKeepsItsNameWhenTakenBack is the same after a run that stopped, and was taken back.
func TestKeysIndexKeepsItsNameWhenTakenBack(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]string{
		"": "", "to a table that is not there": "SET foreign_key_checks = 0;\nDROP TABLE places;\nSET foreign_key_checks = 1;\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE places (id integer PRIMARY KEY);\nINSERT INTO places VALUES (1), (2);\nCREATE TABLE others (id integer PRIMARY KEY);\nINSERT INTO others VALUES (1);\n"+
					"CREATE TABLE seats (id integer PRIMARY KEY, place_id integer, FOREIGN KEY (place_id) REFERENCES places (id));\nINSERT INTO seats VALUES (1, 1), (2, 1), (3, NULL);\n"+setup,
					map[string]string{"00001_x.sql": migration("ALTER TABLE seats DROP FOREIGN KEY seats_ibfk_1;\nINSERT INTO others VALUES (abs(-1));", "SELECT 1;")})
				before := f.dump()
				if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
					t.Fatal("up went through")
				}
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
					t.Fatal(err)
				}
				f.same(before, f.dump(), "after recover --abort")
			}, family...)
		})
	}
}
