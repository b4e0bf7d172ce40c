package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A column that Down makes again NOT NULL, and without a default, has no value for the rows that came since: the rollback is refused then, and the
// proof says so. Nothing of the kind is said where Down has values for them, or leaves none of them.
func TestProveTellsOfRowsThatComeSince(t *testing.T) {
	t.Parallel()
	table := migration("CREATE TABLE orders (id integer PRIMARY KEY, csr varchar(20) NOT NULL, n int);", "DROP TABLE orders;")
	dropped := func(down string) []string {
		return []string{table, migration("ALTER TABLE orders DROP COLUMN csr;", down)}
	}
	const again = "ALTER TABLE orders ADD COLUMN csr varchar(20) NOT NULL;"
	testdb.Each(t, func(t *testing.T, dsn string) {
		for down, refused := range map[string]bool{
			again: true,
			"UPDATE orders SET n = 1 WHERE n = 2;\n" + again:                      false, // what it has written is not looked at that closely
			"DELETE FROM orders;\n" + again:                                       false,
			"ALTER TABLE orders ADD COLUMN csr varchar(20) NOT NULL DEFAULT 'x';": false,
			"ALTER TABLE orders ADD COLUMN csr varchar(20);":                      false,
		} {
			p := prove(t, dsn, migrate.ProveOptions{Rows: 9}, dropped(down)...).Migrations[1]
			want := ""
			if refused {
				want = "rows come into " + on(dsn, "pg: public.orders | orders") + ": Down adds csr NOT NULL without a default"
			}
			if p.CaptureUntil != want {
				t.Errorf("%s: %s, %s until %q, want %q; %s", down, p.Verdict, p.WithCapture, p.CaptureUntil, want, p.CaptureReason)
			}
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}
