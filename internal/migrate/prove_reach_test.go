package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// Only what a migration can reach is compared; some of these leave something behind that no table's name leads to.
func TestProveReach(t *testing.T) {
	type reaching struct{ up, down, clear, want string } // clear makes room for the next
	cases := map[testdb.Engine][]reaching{
		testdb.OnPostgres: {
			{"DROP INDEX i;", "CREATE INDEX i ON t (b);", "CREATE INDEX i ON t (a);", "wrong; index i"},
			{"DROP INDEX i;", "CREATE INDEX i ON t (a);", "CREATE INDEX i ON t (a);", "ok"},
			{"CREATE INDEX j ON t (b);", "DROP INDEX IF EXISTS jj;", "DROP INDEX j;", "wrong; +index j"},
			{"CREATE INDEX j ON t (b);\nDROP INDEX j;", "DROP INDEX IF EXISTS j;", "", "ok"},
			{"ALTER TABLE t RENAME COLUMN a TO z;", "ALTER TABLE t RENAME COLUMN z TO a;", "ALTER TABLE t RENAME COLUMN z TO a;", "ok"},
			{"ALTER TABLE t RENAME TO u;", "ALTER TABLE u RENAME TO t;", "ALTER TABLE u RENAME TO t;", "ok"},
			{"ALTER TABLE i RENAME TO j;", "ALTER TABLE j RENAME TO k;", "ALTER INDEX j RENAME TO i;", "wrong; -index i; +index k"},
			{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';", "DROP FUNCTION IF EXISTS ff();", "DROP FUNCTION f();", "wrong; +function f(); +owner function public.f()"},
			{"CREATE TYPE mood AS ENUM ('a');\nALTER TABLE t ADD COLUMN m mood;", "ALTER TABLE t DROP COLUMN m;", "ALTER TABLE t DROP COLUMN m;\nDROP TYPE mood;", "wrong; +enum mood; +owner enum public.mood"},
			{"CREATE SEQUENCE s;\nCOMMENT ON SEQUENCE s IS 'x';", "DROP SEQUENCE s;", "", "ok"},
			{"COMMENT ON COLUMN t.a IS 'x';", "COMMENT ON COLUMN t.b IS NULL;", "", "wrong; +comment COLUMN public.t.a"},
			{"CREATE OR REPLACE VIEW v AS SELECT a, b FROM t;", "DROP VIEW v;\nCREATE VIEW v AS SELECT b AS a FROM t;", "", "wrong; view v"},
			{"CREATE TABLE n (id int, t int REFERENCES t);", "DROP TABLE IF EXISTS nn;", "DROP TABLE n;", "wrong; +column n.id; +column n.t; +foreign key n.n_t_fkey; +owner n; +table n"},
			{"CREATE FUNCTION g() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';\nCREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION g();",
				"DROP EVENT TRIGGER e;\nDROP FUNCTION g();", "", "ok"},
		},
		testdb.OnSQLite: {
			{"DROP INDEX i;", "CREATE INDEX i ON t (b);", "CREATE INDEX i ON t (a);", "wrong; index i"},
			{"DROP INDEX i;", "CREATE INDEX i ON t (a);", "CREATE INDEX i ON t (a);", "ok"},
			{"CREATE INDEX j ON t (b);", "DROP INDEX IF EXISTS jj;", "DROP INDEX j;", "wrong; +index j"},
			{"CREATE INDEX j ON t (b);", "DROP INDEX j;", "", "ok"},
		},
	}
	for e, list := range cases {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			files := []string{
				migration("CREATE TABLE t (id integer PRIMARY KEY, a int, b int);\nCREATE INDEX i ON t (a);", "DROP TABLE t;"),
				migration("CREATE VIEW v AS SELECT a FROM t;", "DROP VIEW v;"),
			}
			base := int64(len(files))
			for _, c := range list {
				files = append(files, migration(c.up, c.down), migration(c.clear, "SELECT 1;"))
			}
			judged := func(m *migrate.Migration) bool { return m.Version > base && (m.Version-base)%2 == 1 }
			report := prove(t, e.New(t), migrate.ProveOptions{Only: judged}, files...)
			for i, p := range report.Migrations {
				if got := summary(p); got != list[i].want {
					t.Errorf("%s | %s:\n got %s\nwant %s", list[i].up, list[i].down, got, list[i].want)
				}
			}
			if len(report.Migrations) != len(list) {
				t.Errorf("%d proofs, want %d", len(report.Migrations), len(list))
			}
		})
	}
}
