package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRecoverOfAnEditedFile: a migration whose file says something else than when it was begun is not gone on with. With the file as
// it was it is, and it is taken back by what was begun, whatever the file says.
func TestRecoverOfAnEditedFile(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		text := func(last string) string {
			return "-- +goose NO TRANSACTION\n" + migration("UPDATE t SET v = 'new' WHERE id = 1;\nINSERT INTO gate VALUES (1);\n"+last+";", "DELETE FROM gate WHERE id = 1;")
		}
		asBegun, edited := text("DELETE FROM t WHERE id = 3"), text("DELETE FROM t")
		for _, end := range []struct {
			name, file, want string
			abort            bool
		}{{"recover", asBegun, "1new,2b", false}, {"recover --abort", edited, "1a,2b,3c", true}} {
			f := newFixture(t, dsn, "DROP TABLE IF EXISTS t;\nDROP TABLE IF EXISTS gate;\nCREATE TABLE t (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');\nCREATE TABLE gate (id integer PRIMARY KEY);\nINSERT INTO gate VALUES (1);\n", nil)
			rows := func() string {
				return strings.ReplaceAll(strings.Join(testdb.Query(t, dsn, "SELECT id, v FROM t ORDER BY id"), ","), "|", "")
			}
			f.add("00001_x.sql", asBegun)
			if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1}); err == nil {
				t.Fatal("one key twice")
			}
			f.exec("DELETE FROM gate;")
			f.add("00001_x.sql", edited)
			_, err := f.open().Recover(context.Background(), migrate.RecoverRequest{})
			var refused *migrate.RefusedError
			if !errors.As(err, &refused) || len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0].Message, "not the one that was begun") || !strings.Contains(refused.Reasons[0].Hint, "--abort") {
				t.Fatalf("edited: %v", err)
			}
			if got := rows(); got != "1new,2b,3c" {
				t.Fatalf("refused: %s", got)
			}
			f.add("00001_x.sql", end.file)
			if _, err := f.open().Recover(context.Background(), migrate.RecoverRequest{Abort: end.abort}); err != nil {
				t.Fatalf("%s: %v", end.name, err)
			}
			if got := rows(); got != end.want {
				t.Errorf("%s: %s, want %s", end.name, got, end.want)
			}
			if !end.abort {
				f.rollback(migrate.RollbackRequest{})
				if got := rows(); got != "1a,2b,3c" {
					t.Errorf("rolled back: %s", got)
				}
			}
		}
	}, testdb.Everywhere()...)
}
