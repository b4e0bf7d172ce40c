package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPooled: behind PgBouncer in transaction mode a session's locks do not hold, so nothing runs there; in session mode it works.
func TestPooled(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			direct := newFixture(t, dsn, people, nil)
			before := direct.dump()
			f := newFixture(t, testdb.PgBouncer(t, dsn, mode), "", map[string]string{"00001_a.sql": migration("ALTER TABLE people DROP COLUMN note;\nDELETE FROM orders;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';")})
			if mode == "transaction" {
				_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
				if e, ok := engine.AsError(err); !ok || e.Class != engine.Pooled || e.Hint == "" {
					t.Errorf("err = %v, want one that names the pooler, with a hint", err)
				}
			} else {
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
			}
			direct.same(before, direct.dump(), "through the pooler")
		})
	}
}
