package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestDownThatCannotEnd: where each statement commits by itself, a Down that cannot come to its end, or leaves over what Up made, is refused before its first statement runs.
func TestDownThatCannotEnd(t *testing.T) {
	t.Parallel()
	const places = "ALTER TABLE seats ADD COLUMN note varchar(9);\nALTER TABLE seats ADD COLUMN place_id integer, ADD CONSTRAINT at FOREIGN KEY (place_id) REFERENCES places (id);"
	const first, last = "ALTER TABLE seats DROP COLUMN note;\n", "\nALTER TABLE seats DROP FOREIGN KEY at;"
	const key = "seats.place_id while foreign key at needs it"
	tests := []struct{ name, up, wrong, names, mended string }{
		{"column before its key", places, first + "ALTER TABLE seats DROP COLUMN place_id;" + last, key, first + "ALTER TABLE seats DROP COLUMN place_id, DROP FOREIGN KEY at;"},
		{"column that another table points to", "CREATE TABLE floors (id integer PRIMARY KEY, no integer UNIQUE);\nALTER TABLE seats ADD COLUMN floor integer, ADD CONSTRAINT on_it FOREIGN KEY (floor) REFERENCES floors (no);",
			"ALTER TABLE floors ADD COLUMN z integer;\nALTER TABLE floors DROP COLUMN no;", "floors.no while foreign key on_it of seats needs it", "ALTER TABLE seats DROP FOREIGN KEY on_it;\nDROP TABLE floors;\nALTER TABLE seats DROP COLUMN floor;"},
		{"table that another one points to", "CREATE TABLE floors (id integer PRIMARY KEY);\nALTER TABLE seats ADD COLUMN floor integer, ADD CONSTRAINT on_it FOREIGN KEY (floor) REFERENCES floors (id);",
			"UPDATE places SET name = 'x';\nDROP TABLE floors;\nALTER TABLE seats DROP FOREIGN KEY on_it;\nALTER TABLE seats DROP COLUMN floor;", "floors while foreign key on_it of seats needs it", "ALTER TABLE seats DROP FOREIGN KEY on_it;\nDROP TABLE floors;\nALTER TABLE seats DROP COLUMN floor;"},
		{"table in other letters", "ALTER TABLE seats ADD COLUMN note varchar(9), MODIFY label varchar(20);", first + "ALTER TABLE Seats MODIFY label varchar(9);", "Seats, which is not there", first + "ALTER TABLE seats MODIFY label varchar(9);"},
		{"index that went with its column", "ALTER TABLE seats ADD COLUMN note varchar(9), ADD COLUMN zone varchar(9), ADD KEY zone (zone);", first + "ALTER TABLE seats DROP COLUMN zone;\nDROP INDEX zone ON seats;", "index zone of seats, which goes with",
			first + "ALTER TABLE seats DROP INDEX zone;\nALTER TABLE seats DROP COLUMN zone;"},
		{"index that is not there", "ALTER TABLE seats ADD COLUMN note varchar(9);", first + "ALTER TABLE seats DROP INDEX zone;", "index zone of seats, which is not there", first},
		{"index dropped twice", "ALTER TABLE seats ADD COLUMN note varchar(9), ADD KEY by_label (label);", first + "ALTER TABLE seats DROP INDEX by_label;\nDROP INDEX by_label ON seats;", "index by_label of seats, which an earlier",
			first + "DROP INDEX by_label ON seats;"},
		{"column left over", places, first + "ALTER TABLE seats DROP FOREIGN KEY at;", "column seats.place_id", first + "ALTER TABLE seats DROP FOREIGN KEY at;\nALTER TABLE seats DROP COLUMN place_id;"},
		{"key left over", "ALTER TABLE seats ADD COLUMN note varchar(9);\nUPDATE seats SET label = 'z' WHERE id = 2;\nALTER TABLE seats ADD CONSTRAINT at FOREIGN KEY (id) REFERENCES places (id);", first, "", ""},
		{"table left over", "ALTER TABLE seats ADD COLUMN note varchar(9);\nCREATE TABLE floors (id integer PRIMARY KEY);", first, "table floors", first + "DROP TABLE floors;"},
		{"key of a column that counts", "ALTER TABLE seats ADD COLUMN note varchar(9);\nALTER TABLE seats DROP PRIMARY KEY;\nALTER TABLE seats ADD COLUMN n integer PRIMARY KEY AUTO_INCREMENT;",
			first + "ALTER TABLE seats DROP PRIMARY KEY;\nALTER TABLE seats DROP COLUMN n;\nALTER TABLE seats ADD PRIMARY KEY (id);", "key PRIMARY of seats, which column n needs",
			first + "ALTER TABLE seats DROP COLUMN n;\nALTER TABLE seats ADD PRIMARY KEY (id);"},
		{"column that counts, without a key", "ALTER TABLE places DROP COLUMN name;\nALTER TABLE places ADD COLUMN n integer;\nALTER TABLE seats ADD COLUMN note varchar(9);\nALTER TABLE places DROP COLUMN n;",
			first + "ALTER TABLE places ADD COLUMN name integer NOT NULL AUTO_INCREMENT;", "places.name, which counts by itself", first + "ALTER TABLE places ADD COLUMN name varchar(9);"},
		{"column of a key of two", "ALTER TABLE seats ADD COLUMN note varchar(9), ADD COLUMN zone varchar(9) NOT NULL DEFAULT 'z';\nCREATE UNIQUE INDEX by_zone ON seats (label, zone);", first + "ALTER TABLE seats DROP COLUMN zone;",
			"seats.zone while unique key by_zone needs it", first + "DROP INDEX by_zone ON seats;\nALTER TABLE seats DROP COLUMN zone;"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE places (id integer PRIMARY KEY, name varchar(9));\nINSERT INTO places VALUES (1, 'a'), (2, 'b');\n"+
					"CREATE TABLE seats (id integer PRIMARY KEY, label varchar(9));\nINSERT INTO seats VALUES (1, 'a'), (2, 'b');\n", nil)
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(test.up, test.wrong))}
				before := f.dump()
				f.up()
				after := f.dump()
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
				if test.names == "" || strings.Contains(test.names, "unique key") && f.db.Kind != engine.MariaDB { // it is taken off; MySQL makes the unique one shorter
					if err != nil {
						t.Fatal(err)
					}
					f.same(before, f.dump(), "after the rollback")
					return
				}
				var partial *migrate.PartialError
				var refused *migrate.RefusedError
				var drift *migrate.DriftError
				if !errors.As(err, &refused) && !errors.As(err, &drift) || !strings.Contains(err.Error(), test.names) || errors.As(err, &partial) && partial.Unfinished {
					t.Fatalf("err = %v", err)
				}
				f.same(after, f.dump(), "after the refused rollback")
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(test.up, test.mended))}
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(before, f.dump(), "after the rollback")
			}, family...)
		})
	}
}
