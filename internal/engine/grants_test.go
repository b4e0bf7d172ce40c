package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// An account with what OperatorGrants gives passes the check that a run on MySQL and MariaDB begins with, and lacks
// the rights elsewhere.
func TestOperatorGrantsOnMySQL(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		name, own := account(t, dsn)
		testdb.Exec(t, dsn, "GRANT SELECT ON * TO "+name) // else it cannot even connect
		lock := func() error {
			s := session(t, open(t, own, engine.Options{}))
			release, err := s.RunLock(t.Context(), time.Second)
			if err == nil {
				release()
			}
			return err
		}
		if lock() == nil {
			t.Fatal("a run without rights")
		}
		admin := open(t, dsn, engine.Options{})
		grants, err := admin.OperatorGrants(t.Context(), admin, strings.ReplaceAll(name, "'", ""))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range grants {
			testdb.Exec(t, dsn, g[strings.Index(g, "\n")+1:])
		}
		if err := lock(); err != nil {
			t.Fatal(err)
		}
		testdb.Exec(t, own, "CREATE VIEW v AS SELECT 1 AS one", "DROP VIEW v")
		s := session(t, open(t, own, engine.Options{}))
		if _, err := s.ExecContext(t.Context(), "CREATE DATABASE dbrollback_elsewhere"); err == nil {
			t.Error("rights beyond the database")
		}
	})
}
