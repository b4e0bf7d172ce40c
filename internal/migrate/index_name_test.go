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
