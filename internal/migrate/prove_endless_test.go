package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// What does not end is stopped and told with its place; what comes after it is judged as ever. On generated rows alone it is no
// finding of Up.
func TestProveEndless(t *testing.T) {
	t.Parallel()
	const (
		count   = "(WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c WHERE x < 0)"
		endless = "pg: SELECT pg_sleep(1000); | sqlite: UPDATE t SET a = 1 WHERE " + count + " = 0; | mysql: DO SLEEP(1000);"
		onRows  = "pg: UPDATE t SET a = 7 WHERE pg_sleep(1000) IS NOT NULL AND id > 1; | sqlite: UPDATE t SET a = (" + count + " + id) WHERE id > 1; | " +
			"mysql: UPDATE t SET a = 7 WHERE SLEEP(1000) = 0 AND id > 1;"
	)
	testdb.Each(t, func(t *testing.T, dsn string) {
		limit := 2 * time.Second
		if strings.HasPrefix(dsn, "m") {
			limit = 3 * time.Second // their DDL waits for the disk
		}
		loop := migration("-- +goose StatementBegin\nDO $$ BEGIN SET LOCAL statement_timeout = 0; LOOP PERFORM pg_sleep(1); END LOOP; END $$;\n-- +goose StatementEnd", "SELECT 1;")
		files := []string{
			migration("CREATE TABLE t (id integer PRIMARY KEY, a int);\nINSERT INTO t VALUES (1, 1);", "DROP TABLE t;"),
			migration("CREATE TABLE u (id integer PRIMARY KEY);\n"+on(dsn, endless), "DROP TABLE u;"),
			migration("CREATE TABLE v (id integer PRIMARY KEY);", "DROP TABLE v;\n"+on(dsn, endless)),
			migration(on(dsn, onRows), "SELECT 1;"),
			migration("UPDATE t SET a = 3;", on(dsn, onRows)+"\nUPDATE t SET a = 1;"),
			migration("ALTER TABLE t ADD COLUMN b int;", "ALTER TABLE t DROP COLUMN b;"),
		}
		want := []string{"ok", "up-fails; at m/00002_m.sql:3:1", "down-fails; at m/00003_m.sql:5:1", "ok", "data; at m/00005_m.sql:4:1", "ok"}
		if strings.HasPrefix(dsn, "p") {
			files, want = append(files, loop), append(want, "up-fails; at m/00007_m.sql:3:1")
		}
		var told []string
		report := prove(t, dsn, migrate.ProveOptions{Rows: 9, StatementTimeout: limit, Events: func(e migrate.ProofEvent) {
			if strings.Contains(e.Text, "did not end") {
				told = append(told, e.Text)
			}
		}}, files...)
		var got []string
		for _, p := range report.Migrations {
			got = append(got, summary(p))
			if e := p.Error; e != nil && (!strings.Contains(e.Message, "did not end within "+limit.String()) || !strings.Contains(e.Hint, "--statement-timeout ")) {
				t.Errorf("%s: %s (%s)", p.File, e.Message, e.Hint)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
		if len(told) != 1 || !strings.HasPrefix(told[0], "m/00004_m.sql:2:1: with rows in the tables") || !slices.Contains(report.Migrations[3].Notes, told[0]) {
			t.Errorf("told %q, notes %q", told, report.Migrations[3].Notes)
		}
	}, everywhere...)
}

// Of generated rows there are few: an Up that takes long with them is given up before its limit, a Down is not, because it would be a finding.
func TestProveHurriesUpOnGeneratedRows(t *testing.T) {
	t.Parallel()
	table := migration("CREATE TABLE t (id integer PRIMARY KEY, a int);", "DROP TABLE t;")
	slow := func(seconds string) string {
		return "UPDATE t SET a = 7 WHERE id = (SELECT min(id) FROM t) AND pg_sleep(" + seconds + ") IS NOT NULL;"
	}
	for name, text := range map[string]string{"up": migration(slow("1000"), "SELECT 1;"), "down": migration("UPDATE t SET a = 3;", slow("16"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := prove(t, testdb.OnPostgres.New(t), migrate.ProveOptions{Rows: 9, StatementTimeout: time.Minute}, table, text)
			p := report.Migrations[1]
			if p.Error != nil {
				t.Errorf("%s: %+v", p.Verdict, p.Error)
			}
			hurried := slices.ContainsFunc(p.Notes, func(n string) bool {
				return strings.Contains(n, "did not end within 15s") && strings.Contains(n, "--statement-timeout 10m0s")
			})
			if hurried != (name == "up") {
				t.Errorf("%s: notes %q", p.Verdict, p.Notes)
			}
		})
	}
}
