package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
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

// TestLargeObjectsByName: up refuses what deletes or overwrites large objects by the server's own functions, in a transaction or step by step;
// one that is only read, or new, is no loss.
func TestLargeObjectsByName(t *testing.T) {
	t.Parallel()
	const setup = `CREATE TABLE images (id integer PRIMARY KEY, body oid);
INSERT INTO images VALUES (1, lo_from_bytea(0, 'one')), (2, lo_from_bytea(0, 'two'));
CREATE FUNCTION clean() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM lo_unlink(OLD.body); RETURN OLD; END';
CREATE TRIGGER clean BEFORE DELETE ON images FOR EACH ROW EXECUTE FUNCTION clean();
`
	for name, c := range map[string]struct {
		up      string
		refused bool
	}{
		"unlink":             {"SELECT lo_unlink(body) FROM images;\nALTER TABLE images DROP COLUMN body;", true},
		"unlink, by steps":   {"-- +goose NO TRANSACTION\nSELECT lo_unlink(body) FROM images;", true},
		"trigger, by steps":  {"-- +goose NO TRANSACTION\nDELETE FROM images WHERE id = 1;", true},
		"overwrite":          {"SELECT lo_put(body, 0, 'x') FROM images;", true},
		"overwrite, by step": {"-- +goose NO TRANSACTION\nSELECT lo_put(body, 0, 'x') FROM images;", true},
		"read":               {"ALTER TABLE images ADD COLUMN size integer;\nUPDATE images SET size = length(lo_get(body));", false},
		"new":                {"UPDATE images SET body = lo_from_bytea(0, lo_get(body) || 'x');", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head, up, steps := "", c.up, false
			if rest, ok := strings.CutPrefix(c.up, "-- +goose NO TRANSACTION\n"); ok {
				head, up, steps = "-- +goose NO TRANSACTION\n", rest, true
			}
			down := "SELECT 1;"
			if name == "read" {
				down = "ALTER TABLE images DROP COLUMN size;"
			}
			f := newFixture(t, testdb.Postgres(t), setup, map[string]string{"00001_change.sql": head + migration(up, down)})
			objects := func() string {
				return strings.Join(testdb.Query(t, f.dsn, "SELECT convert_from(data, 'UTF8') FROM pg_largeobject ORDER BY 1"), " ")
			}
			const rows = "SELECT i.*, convert_from(lo_get(body), 'UTF8') FROM images i ORDER BY id"
			before, had := f.dump(), testdb.Query(t, f.dsn, rows)
			_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
			var refused *migrate.RefusedError
			if errors.As(err, &refused) != c.refused {
				t.Fatalf("refused: %v, want %v", err, c.refused)
			}
			if c.refused {
				if steps {
					_, _ = f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true})
				}
				if f.same(before, f.dump(), "after the refusal"); objects() != "one two" {
					t.Errorf("the objects are %s", objects())
				}
				return
			}
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if now := testdb.Query(t, f.dsn, rows); !slices.Equal(now, had) {
				t.Errorf("the rows are %q, were %q", now, had)
			}
		})
	}
}
