package migrate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestLargeObjects: what a trigger deletes of large objects cannot be captured, so up refuses, and nothing has happened; a row that leaves its
// object alone goes and comes back, and who says that the loss is accepted goes on.
func TestLargeObjects(t *testing.T) {
	t.Parallel()
	const setup = `CREATE TABLE images (id integer PRIMARY KEY, body oid);
INSERT INTO images VALUES (1, lo_from_bytea(0, 'one')), (2, NULL);
CREATE FUNCTION clean() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM lo_unlink(OLD.body); RETURN OLD; END';
CREATE TRIGGER clean BEFORE DELETE ON images FOR EACH ROW EXECUTE FUNCTION clean();
`
	f := newFixture(t, testdb.Postgres(t), setup, map[string]string{"00001_change.sql": migration("DELETE FROM images WHERE id = 1;", "SELECT 1;")})
	objects := func() (n int) {
		t.Helper()
		if err := f.db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_largeobject WHERE loid IN (SELECT body FROM images)").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := f.dump()
	_, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1})
	var refused *migrate.RefusedError
	if !errors.As(err, &refused) || refused.Reasons[0].Hint == "" {
		t.Fatalf("not refused: %v", err)
	}
	if f.same(before, f.dump(), "after the refusal"); objects() != 1 {
		t.Error("the object is gone")
	}
	f.files["00001_change.sql"].Data = []byte(migration("ALTER TABLE images DISABLE TRIGGER clean;\nDELETE FROM images WHERE id = 1;\nALTER TABLE images ENABLE TRIGGER clean;", "SELECT 1;"))
	f.up()
	f.rollback(migrate.RollbackRequest{Steps: 1})
	if f.same(before, f.dump(), "after the rollback"); objects() != 1 {
		t.Error("the object is gone")
	}
	f.files["00001_change.sql"].Data = []byte("-- +dbrollback irreversible: thumbnails, which are made again\n" + migration("DELETE FROM images WHERE id = 1;", "SELECT 1;"))
	if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1, AllowIrreversible: true}); err != nil {
		t.Errorf("accepted, and refused: %v", err)
	}
}
