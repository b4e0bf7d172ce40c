package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const placesAndSeats = "CREATE TABLE places (id integer PRIMARY KEY, name varchar(9));\nINSERT INTO places VALUES (1, 'a'), (2, 'b');\n" +
	"CREATE TABLE seats (id integer PRIMARY KEY, label varchar(9), place integer, row_no integer, KEY by_row (row_no), CONSTRAINT at FOREIGN KEY (place) REFERENCES places (id));\n" +
	"INSERT INTO seats VALUES (1, 'a', 1, 1), (2, 'b', 2, 1), (3, NULL, NULL, 300);\n"

// TestUpThatCannotEnd: where each statement commits by itself, an Up that the server is certain to refuse half-way does not begin.
func TestUpThatCannotEnd(t *testing.T) {
	t.Parallel()
	const first = "ALTER TABLE places ADD COLUMN note varchar(9);\n"
	for name, x := range map[string]struct{ wrong, names, mended string }{
		"column of a key":               {"ALTER TABLE seats DROP COLUMN place;", "Up drops seats.place while foreign key at needs it", "ALTER TABLE seats DROP FOREIGN KEY at, DROP COLUMN place;"},
		"table pointed to":              {"DROP TABLE places;", "Up drops places while foreign key at of seats needs it", "ALTER TABLE seats DROP FOREIGN KEY at;\nDROP TABLE places;"},
		"no such table":                 {"ALTER TABLE seatz ADD COLUMN x integer;", "Up changes seatz, which is not there", "ALTER TABLE seats ADD COLUMN x integer;"},
		"no such column":                {"ALTER TABLE seats DROP COLUMN colour;", "Up drops seats.colour, which is not there", "ALTER TABLE seats ADD COLUMN colour integer;\nALTER TABLE seats DROP COLUMN colour;"},
		"no such key":                   {"ALTER TABLE seats DROP INDEX by_label;", "Up drops key by_label of seats, which is not there", "CREATE INDEX by_label ON seats (label);\nALTER TABLE seats DROP INDEX by_label;"},
		"column there already":          {"ALTER TABLE seats ADD COLUMN label varchar(9);", "Up adds seats.label, which is there already", "ALTER TABLE seats DROP COLUMN label;\nALTER TABLE seats ADD COLUMN label varchar(9);"},
		"table there already":           {"CREATE TABLE seats (id integer PRIMARY KEY);", "Up makes table seats, which is there already", "CREATE TABLE IF NOT EXISTS seats (id integer PRIMARY KEY);"},
		"no such parent":                {"CREATE TABLE desks (id integer PRIMARY KEY, place integer, FOREIGN KEY (place) REFERENCES rooms (id));", "Up makes a foreign key to rooms, which is not there", "CREATE TABLE rooms (id integer PRIMARY KEY);\nCREATE TABLE desks (id integer PRIMARY KEY, place integer, FOREIGN KEY (place) REFERENCES rooms (id));"},
		"no such parent, added":         {"ALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (row_no) REFERENCES rooms (id);", "Up makes a foreign key to rooms, which is not there", "SET foreign_key_checks = 0;\nALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (row_no) REFERENCES rooms (id);"},
		"no such parent, with a column": {"ALTER TABLE seats ADD COLUMN room integer REFERENCES rooms (id);", "Up makes a foreign key to rooms, which is not there", "CREATE TABLE rooms (id integer PRIMARY KEY);\nALTER TABLE seats ADD COLUMN room integer REFERENCES rooms (id);"},
		"parent in other letters":       {"ALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (id) REFERENCES Places (id);", "Up makes a foreign key to Places, which is not there", "CREATE TABLE desks (id integer PRIMARY KEY, place integer, FOREIGN KEY (place) REFERENCES rooms (id)) ENGINE=MyISAM;"},
		"no such column of the parent":  {"ALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (row_no) REFERENCES places (no);", "Up makes a foreign key to places.no, which is not there", "ALTER TABLE places ADD COLUMN no integer UNIQUE;\nALTER TABLE seats ADD COLUMN n integer;\nALTER TABLE seats ADD CONSTRAINT of_n FOREIGN KEY (n) REFERENCES places (no);"},
		"no parent":                     {"ALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (row_no) REFERENCES places (id);", "there is 1 row of seats whose parent is not there (id=3: 300)", "INSERT INTO places (id) VALUES (300);\nALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (row_no) REFERENCES places (id);"},
		"taken":                         {"CREATE UNIQUE INDEX one_row ON seats (row_no);", "there is 1 value of seats that several rows have (1)", "UPDATE seats SET row_no = id;\nCREATE UNIQUE INDEX one_row ON seats (row_no);"},
		"no value":                      {"ALTER TABLE seats MODIFY label varchar(9) NOT NULL;", "there is 1 row of seats without a value (id=3)", "UPDATE seats SET label = '' WHERE label IS NULL;\nALTER TABLE seats MODIFY label varchar(9) NOT NULL;"},
		"no value, keys unchecked":      {"SET foreign_key_checks = 0;\nALTER TABLE seats MODIFY label varchar(9) NOT NULL;", "there is 1 row of seats without a value (id=3)", "SET foreign_key_checks = 0;\nUPDATE seats SET label = '' WHERE label IS NULL;\nALTER TABLE seats MODIFY label varchar(9) NOT NULL;"},
		"no value, a parent written":    {"UPDATE places SET note = 'x';\nALTER TABLE seats MODIFY label varchar(9) NOT NULL;", "there is 1 row of seats without a value (id=3)", "UPDATE places SET id = id;\nUPDATE seats SET label = '' WHERE label IS NULL;\nALTER TABLE seats MODIFY label varchar(9) NOT NULL;"},
		"no parent, keys unchecked":     {"", "", "SET foreign_key_checks = 0;\nALTER TABLE seats ADD CONSTRAINT of_row FOREIGN KEY (row_no) REFERENCES places (id);"},
		"too large":                     {"ALTER TABLE seats MODIFY row_no tinyint;", "there is 1 row of seats with a value that does not fit (id=3: 300)", "DELETE FROM seats WHERE id = 3;\nALTER TABLE seats MODIFY row_no tinyint;"},
		"broken":                        {"ALTER TABLE seats ADD CONSTRAINT few CHECK (row_no < 100);", "there is 1 row of seats that break it (id=3)", "SET foreign_key_checks = 1;\nUPDATE seats SET row_no = 9 WHERE id = 3;\nALTER TABLE seats ADD CONSTRAINT few CHECK (row_no < 100);"},
		"gone by what precedes":         {"", "", "CREATE TABLE z (id integer PRIMARY KEY);\nRENAME TABLE seats TO old, z TO seats;\nCREATE UNIQUE INDEX one ON seats (id);\nALTER TABLE seats ADD COLUMN label integer NOT NULL;"},
		"made to fit":                   {"", "", "SET sql_mode = '';\nALTER TABLE seats MODIFY label varchar(9) NOT NULL;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, placesAndSeats, nil)
				before := f.dump()
				if x.wrong != "" {
					f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(first+x.wrong, "SELECT 1;"))}
					_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
					var refused *migrate.RefusedError
					var partial *migrate.PartialError
					if !errors.As(err, &refused) || errors.As(err, &partial) && partial.Unfinished || !strings.Contains(err.Error(), x.names) {
						t.Fatalf("err = %v", err)
					}
					f.same(before, f.dump(), "after the refused up")
				}
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(first+x.mended, "SELECT 1;"))}
				f.up()
			}, family...)
		})
	}
}
