package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestOddNames: names with quotes, dots, blanks, upper case, reserved words, letters beyond ASCII and of the greatest length, of tables, columns, keys and indexes, through
// whole migrations: each kind of capture, and back.
func TestOddNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 63)
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, table := range []string{`"We""ird. 'Na;me"`, `"select"`, `"UPPER"`, `"🙂 smile"`, `"` + long + `"`, `"%s $1 ? \\n"`} {
			name := func(s string) string { return strings.ReplaceAll(s, "@", table) }
			f := newFixture(t, dsn, name(`CREATE TABLE @ ("k.""ey" integer PRIMARY KEY, "group" text, "Va lue" text NOT NULL, "`+strings.Repeat("c", 63)+`" text);
CREATE INDEX "in""dex" ON @ ("Va lue");
INSERT INTO @ VALUES (1, 'a', 'x', NULL), (2, 'b', 'y', 'long'), (3, NULL, 'z', '');`), map[string]string{
				"00001_a.sql": migration(name(`UPDATE @ SET "Va lue" = 'new' WHERE "k.""ey" < 3;
DELETE FROM @ WHERE "k.""ey" = 3;
ALTER TABLE @ DROP COLUMN "group";`), name(`ALTER TABLE @ ADD COLUMN "group" text;`)),
				"00002_b.sql": migration(name(`DROP INDEX "in""dex";
DROP TABLE @;`), name(`CREATE TABLE @ ("k.""ey" integer PRIMARY KEY, "Va lue" text NOT NULL, "`+strings.Repeat("c", 63)+`" text);
CREATE INDEX "in""dex" ON @ ("Va lue");`)),
			})
			rows := func() string {
				return strings.Join(testdb.Query(t, dsn, name(`SELECT "k.""ey", "group", "Va lue", "`+strings.Repeat("c", 63)+`" FROM @ ORDER BY 1`)), "\n")
			}
			before := rows()
			f.up()
			res := f.rollback(migrate.RollbackRequest{To: 0})
			if got := rows(); got != before || !res.Verified || len(res.Conflicts) > 0 {
				t.Errorf("%s: rolled back %+v:\n%s\nwant\n%s", table, res.Conflicts, got, before)
			}
			f.exec(name("DROP TABLE @;"))
		}
	})
}
