package migrate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func refusal(t *testing.T, err error) string {
	t.Helper()
	var refused *migrate.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("not refused: %v", err)
	}
	return refused.Error()
}

// A release is gone back to from the image of an older one, whose folder lacks the newer files, or is empty.
func TestReleaseFromAnOlderImage(t *testing.T) {
	t.Parallel()
	folders := map[string]func(all fstest.MapFS) fstest.MapFS{
		"older": func(all fstest.MapFS) fstest.MapFS { return fstest.MapFS{"00001_a.sql": all["00001_a.sql"]} },
		"empty": func(fstest.MapFS) fstest.MapFS { return fstest.MapFS{} },
		"none":  func(fstest.MapFS) fstest.MapFS { return nil },
		"edited": func(all fstest.MapFS) fstest.MapFS {
			return fstest.MapFS{"00003_c.sql": {Data: []byte(migration("SELECT 1;", "SELECT 1;"))}}
		},
	}
	for name, older := range folders {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": migration("CREATE TABLE a (id integer PRIMARY KEY);", "DROP TABLE a;")})
				f.upRelease("v1.0")
				before := f.dump()
				f.files["00002_b.sql"] = &fstest.MapFile{Data: []byte(migration("ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"))}
				f.files["00003_c.sql"] = &fstest.MapFile{Data: []byte(migration("DELETE FROM orders WHERE total < 1;\n"+dropIndex(dsn), "CREATE INDEX people_score ON people (score);"))}
				f.upRelease("v1.1")
				f.files = older(f.files)
				o := migrate.Options{DB: f.db, Dir: "migrations"}
				if f.files != nil {
					o.Files = f.files
				}
				m, err := migrate.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				res, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: -1, ToRelease: "v1.0"})
				if err != nil || !res.Verified || len(res.Migrations) != 2 {
					t.Fatalf("%v, %+v", err, res)
				}
				f.same(before, f.dump(), "back at v1.0")
			}, testdb.Everywhere()...)
		})
	}
}

// dropIndex drops an index of people as the engine spells it.
func dropIndex(dsn string) string {
	if strings.HasPrefix(dsn, "m") {
		return "DROP INDEX people_score ON people;"
	}
	return "DROP INDEX people_score;"
}

func (f *fixture) upRelease(name string) {
	f.t.Helper()
	if _, err := f.open().Up(f.t.Context(), migrate.UpRequest{To: -1, Release: name}); err != nil {
		f.t.Fatalf("up: %v", err)
	}
}

func TestReleaseTagAndList(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("CREATE TABLE a (id integer PRIMARY KEY);", "DROP TABLE a;"),
			"00002_b.sql": migration("UPDATE people SET score = 0;", "SELECT 1;"),
		})
		m := f.open()
		if all, err := m.Releases(t.Context()); err != nil || len(all) != 0 {
			t.Fatalf("before the first run: %v, %v", all, err)
		}
		f.up()
		for _, tag := range []struct {
			name    string
			version int64
			move    bool
			refused string
		}{
			{"v1", 1, false, ""},
			{"v2", -1, false, ""},
			{"v2", 2, false, ""},
			{"v2", 1, false, "is migration 2 already"},
			{"v3", 7, false, "migration 7 is not applied"},
			{"moving", 1, false, ""},
			{"moving", 2, true, ""},
			{" v4", -1, false, "begins or ends with a blank"},
			{strings.Repeat("v", 201), -1, false, "longer than 200"},
			{"a\nb", -1, false, "control character"},
		} {
			_, err := f.open().Tag(t.Context(), tag.name, tag.version, tag.move)
			if tag.refused == "" && err != nil {
				t.Fatalf("%+v: %v", tag, err)
			}
			if tag.refused != "" && !strings.Contains(refusal(t, err), tag.refused) {
				t.Fatalf("%+v: %v", tag, err)
			}
		}
		f.exec("UPDATE people SET score = 1 WHERE id = 1")
		f.states(map[string]string{"v1": "reachable 1", "v2": "current 0", "moving": "current 0"})
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.states(map[string]string{"v1": "current 0", "v2": "not applied 0", "moving": "not applied 0"})
	}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL)
}

func (f *fixture) states(want map[string]string) {
	f.t.Helper()
	all, err := f.open().Releases(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range all {
		got[r.Name] = fmt.Sprint(r.State, " ", r.Undoes)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("releases are %v, want %v", got, want)
	}
}

// A release whose captures were dropped is said to be one that not all data comes back for.
func TestReleaseOutOfRetention(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": migration("UPDATE people SET score = 0;", "SELECT 1;")})
		m := f.open()
		if _, err := m.Tag(t.Context(), "v0", -1, false); err != nil {
			t.Fatal(err)
		}
		f.up()
		f.states(map[string]string{"v0": "reachable 1"})
		f.files["00002_b.sql"] = &fstest.MapFile{Data: []byte(migration("UPDATE people SET score = 1;", "SELECT 1;"))}
		o, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", KeepCount: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Up(t.Context(), migrate.UpRequest{To: -1}); err != nil {
			t.Fatal(err)
		}
		f.states(map[string]string{"v0": "uncaptured 2"})
	})
}
