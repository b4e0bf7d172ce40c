package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// ownedByAnother makes a table t and another one that belong to a role which a second one, to log in as, may take on.
func ownedByAnother(t *testing.T, table string) (dsn, login, me, owner string) {
	t.Helper()
	dsn = testdb.Postgres(t)
	login, me = testdb.Role(t, dsn)
	_, owner = testdb.Role(t, dsn)
	name, _, _ := strings.Cut(table, " ")
	for _, s := range []string{
		`GRANT "` + owner + `" TO "` + me + `"`, `GRANT CREATE ON SCHEMA public TO "` + me + `", "` + owner + `"`,
		`CREATE TABLE t (id integer PRIMARY KEY, n integer, v text)`, `INSERT INTO t SELECT g, g, 'v' || g FROM generate_series(1, 9) g`,
		`CREATE TABLE ` + table, `ALTER TABLE t OWNER TO "` + owner + `"`, `ALTER TABLE ` + name + ` OWNER TO "` + owner + `"`,
		`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "` + me + `"', current_database()); END $$`,
	} {
		testdb.Exec(t, dsn, s)
	}
	return dsn, login, me, owner
}

// TestRoleOfAMigration: a migration that takes on another role, and may leave it on, is captured and comes back all the same: that
// role has no right to our tables, nor to goose's.
func TestRoleOfAMigration(t *testing.T) {
	t.Parallel()
	dsn, login, _, owner := ownedByAnother(t, "u (id integer PRIMARY KEY)")
	testdb.Exec(t, dsn, "INSERT INTO u VALUES (1), (2)")
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

// TestAccountOfAMigration: what takes on another account altogether would keep it, and the captures would be that account's: it is refused, and
// where nobody sees it coming, the transaction has no effect.
func TestAccountOfAMigration(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	_, other := testdb.Role(t, dsn)
	f := newFixture(t, dsn, people+`GRANT ALL ON people, orders TO "`+other+`";`, nil)
	before := f.dump()
	for text, want := range map[string]string{
		`SET SESSION AUTHORIZATION "` + other + `";`:                         "must stay the account",
		`SET LOCAL SESSION AUTHORIZATION '` + other + `';`:                   "must stay the account",
		`SELECT set_config('session_authorization', '` + other + `', true);`: "may not use schema dbrollback",
	} {
		f.files["00001_a.sql"] = &fstest.MapFile{Data: []byte(migration(text+"\nUPDATE people SET score = 0;\nDELETE FROM orders;", "SELECT 1;"))}
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		f.same(before, f.dump(), text)
	}
	f.files["00001_a.sql"] = &fstest.MapFile{Data: []byte(migration("SET SESSION AUTHORIZATION DEFAULT;\nUPDATE people SET score = 0;\nRESET SESSION AUTHORIZATION;\nDELETE FROM orders;", "SELECT 1;"))}
	f.up()
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
}

// TestRoleOutsideATransaction: the same holds for a migration that is not one transaction. The role lasts until its end, and no longer; recover takes
// it on again.
func TestRoleOutsideATransaction(t *testing.T) {
	t.Parallel()
	dsn, login, me, owner := ownedByAnother(t, "who (step text, name text)")
	take := `SET ROLE "` + owner + `";`
	f := newFixture(t, login, "", map[string]string{
		"00001_a.sql": "-- +goose NO TRANSACTION\n" + migration(take+"\nALTER TABLE t DROP COLUMN v;\nCREATE INDEX CONCURRENTLY t_n ON t (n);\nINSERT INTO who VALUES ('kept', current_user);\n"+
			"RESET ROLE;\nINSERT INTO who VALUES ('reset', current_user);\nSET LOCAL ROLE \""+owner+"\";\nINSERT INTO who VALUES ('local', current_user);\n"+take+"\nDELETE FROM t WHERE id > 7;",
			take+"\nDROP INDEX CONCURRENTLY t_n;\nALTER TABLE t ADD COLUMN v text;"),
		"00002_b.sql": migration("INSERT INTO who VALUES ('next', current_user);", "SELECT 1;"),
	})
	before := testdb.Dump(t, dsn)
	for range 2 {
		f.up()
		want := []string{"kept|" + owner, "local|" + me, "next|" + me, "reset|" + me}
		if got := testdb.Query(t, dsn, "SELECT step, name FROM who ORDER BY step"); !slices.Equal(got, want) {
			t.Fatalf("acted as %v, want %v", got, want)
		}
		f.rollback(migrate.RollbackRequest{To: 0})
		testdb.SameDump(t, dsn, before)
	}

	f.files["00001_a.sql"].Data = []byte("-- +goose NO TRANSACTION\n" + migration(take+"\nCREATE INDEX CONCURRENTLY t_m ON t (m);", "SELECT 1;"))
	var at *migrate.StatementError
	if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: 1}); !errors.As(err, &at) || at.Line != 4 || strings.Contains(err.Error(), "permission denied") {
		t.Fatalf("up of an index on a column that is not there: %v", err)
	}
	if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{}); !errors.Is(err, migrate.ErrNothing) {
		t.Fatalf("recover: %v, want nothing to do", err)
	}

	f.files["00001_a.sql"].Data = []byte("-- +goose NO TRANSACTION\n" + migration(take+"\nDELETE FROM t WHERE id > 7;\nINSERT INTO who SELECT 'again', current_user FROM late;", take+"\nSELECT 1;"))
	if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: 1}); err == nil {
		t.Fatal("up found a table that is not there")
	}
	testdb.Exec(t, dsn, "CREATE TABLE late AS SELECT 1 AS n", "GRANT ALL ON late TO PUBLIC")
	if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := testdb.Query(t, dsn, "SELECT name FROM who WHERE step = 'again'"); !slices.Equal(got, []string{owner}) {
		t.Errorf("recover went on as %v, want %s", got, owner)
	}
	f.rollback(migrate.RollbackRequest{To: 0})
	testdb.Exec(t, dsn, "DROP TABLE late")
	testdb.SameDump(t, dsn, before)
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

// TestOwnerWithoutPower: on managed services nobody is a superuser. The owner of a table with triggers, also such that always fire, and with
// row-level security forced on himself gets its rows back without a trigger firing; what he may not see he does not capture.
func TestOwnerWithoutPower(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	login, me := testdb.Role(t, dsn)
	testdb.Exec(t, dsn, `GRANT CREATE ON SCHEMA public TO "`+me+`"`, `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "`+me+`"', current_database()); END $$`)
	f := newFixture(t, login, people+`CREATE TABLE seen (id serial PRIMARY KEY, what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen (what) VALUES (TG_OP || TG_NAME); NEW.note := upper(NEW.note); RETURN NEW; END';
CREATE TRIGGER always BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION see();
ALTER TABLE people ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER off BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION see();
ALTER TABLE people DISABLE TRIGGER off;
CREATE TABLE mine (id integer PRIMARY KEY, v text);
INSERT INTO mine VALUES (1, 'a'), (2, 'b');
ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
ALTER TABLE mine FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON mine USING (id = 1);
`, map[string]string{"00001_a.sql": migration("UPDATE people SET score = 0, note = 'new';\nDELETE FROM orders WHERE id = 10;\nDELETE FROM people WHERE id = 4;", "SELECT 1;")})
	before := testdb.Dump(t, dsn)
	for range 2 {
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		testdb.SameDump(t, dsn, before)
	}
	f.files["00002_b.sql"] = &fstest.MapFile{Data: []byte(migration("DELETE FROM mine;", "SELECT 1;"))}
	delete(f.files, "00001_a.sql")
	if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("hidden rows: %v", err)
	}
	testdb.SameDump(t, dsn, before)
}

// TestSettingsOfAMigration: values that are kept as text come back as they were, however the migration has dates, intervals and the like
// written and read.
func TestSettingsOfAMigration(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	for _, s := range []string{
		"CREATE DOMAIN day AS date", "CREATE DOMAIN moment AS timestamptz", "CREATE DOMAIN span AS interval", "CREATE TYPE two AS (d date, f double precision)", "CREATE DOMAIN bytes AS bytea",
		"CREATE TABLE t (id integer PRIMARY KEY, n integer, d day, m moment, s span, b two, y bytes)",
		`INSERT INTO t VALUES (1, 1, '2026-06-05', '2026-06-05 03:04:05.678901+00', '1 mon -3 days', ROW('2026-01-02', 0.1::float8 + 0.2), '\x00ff'), (2, 2, '2026-12-31', 'infinity', '-1 mon', ROW('2026-12-13', 1e-320), '\x')`,
	} {
		testdb.Exec(t, dsn, s)
	}
	f := newFixture(t, dsn, "", map[string]string{"00001_a.sql": migration(
		"SET LOCAL DateStyle = 'SQL, DMY'; SET LOCAL IntervalStyle = 'sql_standard'; SET LOCAL TimeZone = 'Asia/Kathmandu'; SET LOCAL extra_float_digits = -5; SET LOCAL bytea_output = 'escape';\n"+
			"UPDATE t SET d = NULL, m = NULL, s = NULL, b = NULL, y = NULL WHERE id = 1;\nDELETE FROM t WHERE n = 2;", "SELECT 1;")})
	before := testdb.Dump(t, dsn)
	f.up()
	f.rollback(migrate.RollbackRequest{To: 0})
	testdb.SameDump(t, dsn, before)
}
