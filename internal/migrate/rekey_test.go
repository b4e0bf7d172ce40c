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
		f := newFixture(t, dsn, "CREATE TABLE roles ("+serial(dsn)+", name varchar(20) UNIQUE, note varchar(20), made timestamp DEFAULT CURRENT_TIMESTAMP);\n"+
			"CREATE TABLE rights ("+serial(dsn)+", role_id integer NOT NULL REFERENCES roles (id), what varchar(20), FOREIGN KEY (role_id) REFERENCES roles (id));\n"+
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

// TestOldKeysOfATableMadeAnew: a migration moves rows into a table that it makes. After a rollback, in which others came and went, the rows that were there
// before have their keys again, and those that are new are neither lost nor there twice.
func TestOldKeysOfATableMadeAnew(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, up, down, writes, between string
		want                            []string
	}{
		{"other rows stand where they stood", "CREATE TABLE profiles (id KEY, user_id integer NOT NULL, bio varchar(9));\nINSERT INTO profiles (user_id, bio) SELECT id, bio FROM users ORDER BY id;\nALTER TABLE users DROP COLUMN bio;",
			"ALTER TABLE users ADD COLUMN bio varchar(9);\nUPDATE users SET bio = (SELECT max(bio) FROM profiles WHERE user_id = users.id);\nDROP TABLE profiles;",
			"INSERT INTO users VALUES (4);\nINSERT INTO profiles (id, user_id, bio) VALUES (5, 4, 'b4');\nDELETE FROM profiles WHERE user_id = 2;\nDELETE FROM users WHERE id = 2;\nUPDATE profiles SET bio = 'mine' WHERE user_id = 3;",
			"INSERT INTO users VALUES (6, 'b6');\nINSERT INTO users VALUES (0, 'b0');",
			[]string{"0|b0|new", "1|b1|1", "3|mine|3", "4|b4|5", "6|b6|new"}},
		{"the same by what is unique, and a rollback that does not carry them", "CREATE TABLE profiles (id KEY, user_id integer NOT NULL UNIQUE, bio varchar(9), FOREIGN KEY (user_id) REFERENCES users (id));\nINSERT INTO profiles (user_id, bio) SELECT id, bio FROM users ORDER BY id;",
			"DROP TABLE profiles;", "DELETE FROM profiles WHERE user_id = 1;\nDELETE FROM users WHERE id = 1;\nUPDATE profiles SET bio = 'mine' WHERE user_id = 3;", "INSERT INTO users VALUES (0, 'b0');",
			[]string{"0|b0|1", "2|b2|2", "3|mine|3"}},
		{"rows that others point to come back while statements are still to come", "INSERT INTO users VALUES (9, 'b9');\nCREATE TABLE profiles (id KEY, user_id integer NOT NULL, bio varchar(9), FOREIGN KEY (user_id) REFERENCES users (id), UNIQUE (user_id));\nINSERT INTO profiles (user_id, bio) SELECT id, bio FROM users ORDER BY id;\nUPDATE profiles SET bio = 'up' WHERE user_id = 9;",
			"DROP TABLE profiles;\nDELETE FROM users WHERE id = 9;", "UPDATE profiles SET bio = 'mine' WHERE user_id = 9;", "INSERT INTO users VALUES (8, 'b8');",
			[]string{"1|b1|1", "2|b2|2", "3|b3|3", "8|b8|new", "9|mine|4"}},
		{"nothing tells that a row is another one but that it was made from one", "CREATE TABLE profiles (id KEY, user_id integer NOT NULL, bio varchar(9));\nINSERT INTO profiles (user_id, bio) SELECT id, bio FROM users ORDER BY id;",
			"DROP TABLE profiles;", "UPDATE profiles SET bio = 'mine', user_id = 33 WHERE user_id = 3;\nDELETE FROM users WHERE id = 3;", "INSERT INTO users VALUES (8, 'b8');",
			[]string{"1|b1|1", "2|b2|2", "8|b8|new", "33|mine|3"}},
		{"numbers that no statement can have taken from the keys point to none", "CREATE TABLE profiles (id KEY, user_id integer NOT NULL, bio varchar(9), nth integer);\nINSERT INTO profiles (user_id, bio, nth) SELECT id, bio, id + 1 FROM users ORDER BY id;\n" +
			"CREATE TABLE marks (user_id integer NOT NULL PRIMARY KEY, nth integer);\nINSERT INTO marks SELECT id, id FROM users;\nUPDATE users SET bio = 'z';",
			"DROP TABLE profiles;\nDROP TABLE marks;\nUPDATE users SET bio = 'y';", "UPDATE profiles SET bio = 'mine' WHERE user_id = 3;\nDELETE FROM users WHERE id = 3;", "INSERT INTO users VALUES (0, 'b0');",
			[]string{"0|b0|4", "1|b1|1", "2|b2|2", "3|mine|3"}},
		{"a row that others may point to is not written over", "CREATE TABLE profiles (id KEY, user_id integer NOT NULL, bio varchar(9));\nINSERT INTO profiles (user_id, bio) SELECT id, bio FROM users ORDER BY id;\n" +
			"CREATE TABLE badges (profile_id integer NOT NULL PRIMARY KEY);\nINSERT INTO badges SELECT id FROM profiles;",
			"DROP TABLE badges;\nDROP TABLE profiles;", "UPDATE profiles SET bio = 'mine' WHERE user_id = 3;\nDELETE FROM users WHERE id = 3;", "INSERT INTO users VALUES (0, 'b0');",
			[]string{"0|b0|4", "1|b1|1", "2|b2|2", "3|mine|3"}},
		{"rows that the migration spells out are the same under the same keys", "CREATE TABLE profiles (id KEY, user_id integer NOT NULL, bio varchar(9));\nINSERT INTO profiles (user_id, bio) VALUES (1, 'a'), (2, 'b');",
			"DROP TABLE profiles;", "UPDATE profiles SET bio = 'mine', user_id = 33 WHERE user_id = 2;", "UPDATE users SET bio = 'new' WHERE id = 2;",
			[]string{"1|a|1", "33|mine|2"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				writes := x.writes
				if strings.HasPrefix(dsn, "postgres") {
					writes = strings.Replace(writes, "VALUES (5, 4", "OVERRIDING SYSTEM VALUE VALUES (5, 4", 1)
				}
				f := newFixture(t, dsn, "CREATE TABLE users (id integer PRIMARY KEY, bio varchar(9));\nINSERT INTO users VALUES (1, 'b1'), (2, 'b2'), (3, 'b3');\n",
					map[string]string{"00001_move.sql": migration(strings.Replace(x.up, "id KEY", serial(dsn), 1), x.down)})
				const rows = "SELECT user_id, bio, CASE WHEN id > 5 OR user_id = 8 THEN 'new' ELSE CAST(id AS char(1)) END FROM profiles ORDER BY user_id"
				f.up()
				f.exec(writes)
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.exec(x.between)
				users := testdb.Query(t, dsn, "SELECT id, bio FROM users ORDER BY id")
				for n := range 2 {
					res := f.up()
					res.Warnings = slices.DeleteFunc(res.Warnings, func(w string) bool { // it may be the row of the deleted user, changed
						return n == 0 && strings.Contains(x.writes, "'mine'") && strings.Contains(x.writes, "DELETE FROM users WHERE id = 3") && strings.Contains(w, "look like none")
					})
					points := strings.Contains(x.up, "badges") && !strings.HasPrefix(dsn, "m") // there badges are written when the keys are back
					if told := slices.ContainsFunc(res.Warnings, func(w string) bool { return strings.Contains(w, "others may point to them") }); told != points || !told && len(res.Warnings) > 0 {
						t.Errorf("warnings %q", res.Warnings)
					}
					if got := testdb.Query(t, dsn, rows); !slices.Equal(got, x.want) {
						t.Errorf("profiles %q, want %q", got, x.want)
					}
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := testdb.Query(t, dsn, "SELECT id, bio FROM users ORDER BY id"); !slices.Equal(got, users) {
						t.Errorf("users %q, want %q", got, users)
					}
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestOldKeysThatASessionKnows: what a session remembers of the key of a row that it has inserted is a pointer to it.
func TestOldKeysThatASessionKnows(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		last := "INSERT INTO marks SELECT 1, last_insert_rowid();"
		switch {
		case strings.HasPrefix(dsn, "postgres"):
			last = "INSERT INTO marks VALUES (1, currval(pg_get_serial_sequence('roles', 'id')));"
		case strings.HasPrefix(dsn, "m"):
			last = "SET @id = LAST_INSERT_ID();\nINSERT INTO marks VALUES (1, @id);"
		}
		f := newFixture(t, dsn, "CREATE TABLE roles ("+serial(dsn)+", name varchar(20), note varchar(20));\nCREATE TABLE marks (id integer PRIMARY KEY, role_id integer);\nINSERT INTO roles (name) VALUES ('user');\n",
			map[string]string{"00001_seed.sql": migration("INSERT INTO roles (name) VALUES ('admin');\n"+last, "DELETE FROM marks;\nDELETE FROM roles WHERE name = 'admin';")})
		f.up()
		f.exec("DELETE FROM marks;\nUPDATE roles SET note = 'used' WHERE name = 'admin';")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.exec("INSERT INTO roles (name) VALUES ('own');")
		f.up()
		if got := testdb.Query(t, dsn, "SELECT r.name FROM marks m JOIN roles r ON r.id = m.role_id"); !slices.Equal(got, []string{"admin"}) {
			t.Errorf("marks point to %q, roles %q", got, testdb.Query(t, dsn, "SELECT id, name, coalesce(note, '-') FROM roles ORDER BY id"))
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
				if strings.HasPrefix(query, "UPDATE") && strings.Contains(query, "dbrollback_pairs_") || i > 0 && strings.HasPrefix(query, "COMMIT") {
					i++
				}
				return i == n+1
			})
			if at == "" {
				if n < 3 || err != nil {
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
