package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRoleOfAMigration: a migration that takes on another role, and may leave it on, is captured and comes back all the same: that
// role has no right to our tables, nor to goose's.
func TestRoleOfAMigration(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	login, me := testdb.Role(t, dsn)
	_, owner := testdb.Role(t, dsn)
	for _, s := range []string{
		`GRANT "` + owner + `" TO "` + me + `"`, `GRANT CREATE ON SCHEMA public TO "` + me + `", "` + owner + `"`,
		`CREATE TABLE t (id integer PRIMARY KEY, n integer, v text)`, `INSERT INTO t SELECT g, g, 'v' || g FROM generate_series(1, 9) g`,
		`CREATE TABLE u (id integer PRIMARY KEY)`, `INSERT INTO u VALUES (1), (2)`,
		`ALTER TABLE t OWNER TO "` + owner + `"`, `ALTER TABLE u OWNER TO "` + owner + `"`,
		`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "` + me + `"', current_database()); END $$`,
	} {
		testdb.Exec(t, dsn, s)
	}
	take, leave := `SET ROLE "`+owner+`";`, "RESET ROLE;"
	f := newFixture(t, login, "", map[string]string{
		"00001_a.sql": migration(take+"\nALTER TABLE t DROP COLUMN v;\nDELETE FROM t WHERE id > 7;\n"+leave, take+"\nALTER TABLE t ADD COLUMN v text;\n"+leave),
		"00002_b.sql": migration(take+"\nUPDATE t SET n = 0 WHERE id < 3;\nDROP TABLE u;", take+"\nCREATE TABLE u (id integer PRIMARY KEY);"),
		"00003_c.sql": migration("SET LOCAL ROLE \""+owner+"\";\nTRUNCATE t;", "SET LOCAL ROLE \""+owner+"\";\nSELECT 1;"),
		"00004_d.sql": migration("UPDATE t SET n = 1;", "SELECT 1;"),
	})
	before := testdb.Dump(t, dsn)
	for range 2 {
		f.up()
		f.rollback(migrate.RollbackRequest{To: 0})
		testdb.SameDump(t, dsn, before)
	}
}

// TestMissingRightIsNamed: what the server refuses for want of a right says which GRANT helps.
func TestMissingRightIsNamed(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	login, me := testdb.Role(t, dsn)
	testdb.Exec(t, dsn, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "CREATE TABLE t (id integer PRIMARY KEY)",
		`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "`+me+`"', current_database()); END $$`)
	up := func() *engine.Error {
		f := newFixture(t, login, "", map[string]string{"00001_a.sql": migration("ALTER TABLE t ADD COLUMN v integer;", "ALTER TABLE t DROP COLUMN v;")})
		_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
		e, ok := engine.AsError(err)
		if !ok || e.Class != engine.Privilege {
			t.Fatalf("err = %v, want a privilege error", err)
		}
		return e
	}
	if e := up(); !strings.Contains(e.Hint, `GRANT USAGE, CREATE ON SCHEMA "public" TO`) {
		t.Errorf("%s\nhint: %s", e.Message, e.Hint)
	}
	testdb.Exec(t, dsn, `GRANT CREATE ON SCHEMA public TO "`+me+`"`)
	if e := up(); !strings.Contains(e.Hint, "owner") {
		t.Errorf("%s\nhint: %s", e.Message, e.Hint)
	}
}
