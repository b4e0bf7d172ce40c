package migrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// Roles belong to the server: what a copy of the database brought must not be in the way of the database itself, nor stay.
func TestProveRoles(t *testing.T) {
	t.Parallel()
	dsn := testdb.OnPostgres.New(t)
	db, err := engine.Open(t.Context(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var name string
	if err := db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	role := "role_of_" + name
	report := prove(t, dsn, migrate.ProveOptions{AllowExternal: true},
		migration(fmt.Sprintf("CREATE ROLE %s;\nCREATE TABLE t (id int);\nGRANT SELECT ON t TO %[1]s;", role), "DROP TABLE t;"),
		"-- +goose NO TRANSACTION\n"+migration(fmt.Sprintf("CREATE ROLE %s_two;\nCREATE INDEX CONCURRENTLY i ON t (id);", role), fmt.Sprintf("DROP INDEX i;\nDROP ROLE %s_two;", role)),
		migration(fmt.Sprintf("DO $$ BEGIN CREATE ROLE %s_three; END $$;\nCREATE TABLE u (id int);\nGRANT SELECT ON u TO %[1]s;", role), fmt.Sprintf("DROP TABLE u;\nDROP ROLE %s_three;", role)),
	)
	var got []string
	for _, p := range report.Migrations {
		got = append(got, string(p.Verdict))
	}
	if s := strings.Join(got, " "); s != "not-repeatable ok ok" {
		t.Errorf("%s: %+v", s, report.Migrations[0].Error)
	}
	left, err := engine.Texts(t.Context(), db, "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", role)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left on the server (%v)", left, err)
	}
}
