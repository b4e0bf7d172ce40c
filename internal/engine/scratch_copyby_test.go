package engine_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A session copies the database that it is connected to and goes on; not beside another one, and where no session can do that no name is used up.
func TestScratchCopyBy(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		s := newScratch(t, engine.ScratchOptions{DSN: dsn})
		defer s.Close()
		name, err := s.Create(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		db, err := s.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		session, err := db.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		for _, statement := range []string{"CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)"} {
			if _, err := session.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		copied, err := s.CopyBy(ctx, session, name)
		if s.Kind() != engine.Postgres {
			if err == nil || len(s.Left()) != 1 {
				t.Errorf("%q, %v; there are %q", copied, err, s.Left())
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := query(t, s, copied, "SELECT id::text FROM t"); err != nil || got != "7" {
			t.Errorf("the copy has %q, %v", got, err)
		}
		if _, err := session.ExecContext(ctx, "INSERT INTO t VALUES (8)"); err != nil {
			t.Errorf("the session does not go on: %v", err)
		}
		second, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if copied, err := s.CopyBy(ctx, session, name); err == nil {
			t.Errorf("%s is a copy of a database that others are connected to", copied)
		}
	}, everywhere...)
}
