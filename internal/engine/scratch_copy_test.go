package engine_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A copy holds what the database holds, our own tables included, whether others are connected or not; it is gone afterwards.
func TestCopyOf(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE a (id integer PRIMARY KEY, t text)", "INSERT INTO a VALUES (1, 'x'), (2, NULL), (3, 'é''')",
			"CREATE INDEX a_t ON a (t)", "CREATE VIEW v AS SELECT id FROM a")
		before := testdb.Dump(t, dsn)
		kind, err := engine.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		for _, connected := range []bool{false, true} {
			want := map[bool]string{false: "template", true: "dump"}[connected]
			if kind.Kind == engine.SQLite {
				want = "backup"
			}
			if connected {
				other := testdb.Open(t, dsn)
				if err := other.Ping(); err != nil {
					t.Fatal(err)
				}
			}
			if !connected && kind.Kind == engine.Postgres { // what has filled it may still be closing its connection
				for beside := testdb.Postgres(t); testdb.Query(t, beside, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = $1", kind.Database)[0] != "0"; {
					t.Log("somebody is still connected")
				}
			}
			s, err := engine.NewScratchBeside(t.Context(), dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			name, how, err := s.CopyOf(t.Context(), dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			if how != want {
				t.Errorf("copied by %s, want %s", how, want)
			}
			plain, _, _ := strings.Cut(s.DSN(name), "?") // pg_dump does not know our parameters
			testdb.SameDump(t, plain, before)
			testdb.Exec(t, s.DSN(name), "DELETE FROM a")
			testdb.SameDump(t, dsn, before)
			copied := s.DSN(name)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if db, err := engine.Open(t.Context(), copied, engine.Options{MustExist: true}); err == nil {
				_ = db.Close()
				t.Error("the copy is still there")
			}
		}
	})
}
