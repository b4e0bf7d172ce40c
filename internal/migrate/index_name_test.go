package migrate_test

import (
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
