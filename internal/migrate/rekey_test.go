package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestOldKeys: an up after a rollback inserts its rows under new keys. They get their old ones, so that what the application wrote, and what
// points to them, comes back as it was, and nothing is there twice; and the next rollback knows them.
func TestOldKeys(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		key := "integer PRIMARY KEY AUTOINCREMENT"
		switch {
		case strings.HasPrefix(dsn, "postgres"):
			key = "integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
		case !strings.HasPrefix(dsn, "sqlite"):
			key = "integer AUTO_INCREMENT PRIMARY KEY"
		}
		f := newFixture(t, dsn, "CREATE TABLE roles (id "+key+", name varchar(20) UNIQUE, note varchar(20), made timestamp DEFAULT CURRENT_TIMESTAMP);\n"+
			"CREATE TABLE rights (id "+key+", role_id integer NOT NULL REFERENCES roles (id), what varchar(20), FOREIGN KEY (role_id) REFERENCES roles (id));\n"+
			"CREATE TABLE members (who varchar(20) NOT NULL, role_id integer NOT NULL, PRIMARY KEY (who, role_id), FOREIGN KEY (role_id) REFERENCES roles (id) ON DELETE CASCADE);\n"+
			"INSERT INTO roles (name) VALUES ('user');\n",
			map[string]string{"00001_seeds.sql": migration("INSERT INTO roles (name) VALUES ('admin'), ('guest');\n"+
				"INSERT INTO rights (role_id, what) SELECT id, 'write' FROM roles WHERE name = 'admin' UNION ALL SELECT id, 'read' FROM roles WHERE name = 'guest';\n"+
				"INSERT INTO members (who, role_id) SELECT 'root', id FROM roles WHERE name = 'admin';",
				"DELETE FROM rights WHERE what IN ('write', 'read');\nDELETE FROM roles WHERE name IN ('admin', 'guest');")})
		rows := func() []string {
			var out []string
			for _, q := range []string{"SELECT id, name, coalesce(note, '-'), made FROM roles", "SELECT id, role_id, what FROM rights", "SELECT who, role_id FROM members"} {
				list := testdb.Query(t, dsn, q)
				slices.Sort(list)
				out = append(out, strings.Join(list, "\n"))
			}
			return out
		}
		before := rows()
		f.up()
		f.exec("INSERT INTO members (who, role_id) SELECT 'ann', id FROM roles WHERE name <> 'user';\nINSERT INTO members (who, role_id) SELECT 'bob', id FROM roles;\n" +
			"UPDATE roles SET note = 'used' WHERE name = 'guest';\nUPDATE rights SET what = 'read' WHERE what = 'write';")
		used := rows()
		for range 2 {
			if res := f.rollback(migrate.RollbackRequest{Steps: 1}); !res.Verified {
				t.Errorf("not verified: %+v", res)
			}
			if got := rows(); !slices.Equal(got[:2], before[:2]) {
				t.Errorf("rolled back\n%s\nwant\n%s", strings.Join(got, "\n\n"), strings.Join(before, "\n\n"))
			}
			res := f.up()
			if got := rows(); len(res.Warnings) > 0 || !slices.Equal(got, used) {
				t.Errorf("warnings %q; after up again\n%s\nwant\n%s", res.Warnings, strings.Join(got, "\n\n"), strings.Join(used, "\n\n"))
			}
		}
	}, testdb.Everywhere()...)
}

// TestCutOffWhileKeysAreGivenBack: an up that dies where its rows take their old keys is ended by recover as if nothing had happened.
func TestCutOffWhileKeysAreGivenBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("INSERT INTO roles (name) VALUES ('admin'), ('guest');", "DELETE FROM roles WHERE name IN ('admin', 'guest');"))
		for _, s := range []string{
			"CREATE TABLE roles (id integer AUTO_INCREMENT PRIMARY KEY, name varchar(20) UNIQUE)",
			"CREATE TABLE members (who varchar(20), role_id integer, PRIMARY KEY (who, role_id), FOREIGN KEY (role_id) REFERENCES roles (id) ON DELETE CASCADE)",
			"INSERT INTO roles (name) VALUES ('user')",
		} {
			testdb.Exec(t, dsn, s)
		}
		state := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT concat_ws('|', id, name) AS r FROM roles UNION ALL SELECT concat_ws('|', who, role_id) FROM members ORDER BY r"), "\n")
		}
		before := state()
		c.must("up")
		testdb.Exec(t, dsn, "INSERT INTO members SELECT 'ann', id FROM roles WHERE name <> 'user'")
		used := state()
		c.must("rollback")
		if got := state(); got != before {
			t.Fatalf("rolled back:\n%s", testdb.Diff(before, got))
		}
		for n := 0; ; n++ {
			mend, how, i := []string{"recover", "recover --abort"}[n%2], []cut{afterAnswer, beforeIt, afterSending}[n%3], 0
			at, err := c.cutWhere("up", how, func(query string) bool {
				if strings.Contains(query, "AS was") || i > 0 && strings.HasPrefix(query, "COMMIT") {
					i++
				}
				return i == n+1
			})
			if at == "" {
				if n < 5 || err != nil {
					t.Fatalf("only %d places to cut it off at: %v", n, err)
				}
				break
			}
			if strings.HasPrefix(at, "COMMIT") { // they are all there by then
				mend = "recover"
			}
			was, err := c.mend(mend)
			if err != nil {
				t.Fatalf("cut %d at %q: %s: %v", n, at, mend, err)
			}
			want := used
			if mend == "recover --abort" && was {
				want = before
			}
			if got := state(); got != want {
				t.Fatalf("cut %d at %q: %s:\n%s", n, at, mend, testdb.Diff(want, got))
			}
			c.free(mend)
			if want == used {
				c.must("rollback")
			}
			if got := state(); got != before {
				t.Fatalf("cut %d at %q, rolled back:\n%s", n, at, testdb.Diff(before, got))
			}
		}
		if got := state(); got != used {
			t.Fatalf("up again:\n%s", testdb.Diff(used, got))
		}
	}, family...)
}
