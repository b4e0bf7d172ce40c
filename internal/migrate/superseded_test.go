package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestCapturesOfAnUpThatGooseUndid are out of use when the migration is applied again, also when that captures nothing: a rollback of the second does not put back
// what the first had found.
func TestCapturesOfAnUpThatGooseUndid(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": migration("UPDATE people SET score = 0 WHERE id = 2 AND score = 20;", "SELECT 1;")})
		f.up()
		f.exec("DELETE FROM goose_db_version WHERE version_id = 1;") // goose down, and the application goes on with 0
		f.up()
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got := f.people()[1]; got != "2|Bob|0|-" || len(res.Conflicts) > 0 {
			t.Errorf("%s, conflicts %v: want what the application has", got, res.Conflicts)
		}
	}, testdb.Everywhere()...)
}
