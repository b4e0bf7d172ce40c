package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWritersKeepTheirWrites is rule 1 and promise 4 under load: four writers change rows all through up and
// rollback. Whatever the server acknowledged last for a row is what stands in it at the end: written before up, it was
// captured and came back; written after, it is the application's and stays.
func TestWritersKeepTheirWrites(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 50
	for _, c := range []struct {
		name, up, down string
		engines        []testdb.Engine
		head           string
	}{
		{"update", "UPDATE counters SET n = n + 1000000;", "SELECT 1;", testdb.Everywhere(), ""},
		{"drop column beside", "ALTER TABLE counters DROP COLUMN pad;\nUPDATE counters SET n = -n;", "ALTER TABLE counters ADD COLUMN pad varchar(20);", testdb.Everywhere(), ""},
		{"statements that commit one by one", "ALTER TABLE counters MODIFY n bigint NOT NULL;\nUPDATE counters SET n = n + 1000000;\nUPDATE counters SET n = n - 5, pad = upper(pad);",
			"ALTER TABLE counters MODIFY n integer NOT NULL;\nUPDATE counters SET pad = lower(pad);", family, ""},
		{"statements in steps", "UPDATE counters SET n = n + 1000000 WHERE id < 120;\nUPDATE counters SET n = n + 1000000 WHERE id > 80;\nUPDATE counters SET n = n - 5, pad = upper(pad);",
			"UPDATE counters SET pad = lower(pad);\nSELECT 1;", []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite}, "-- +goose NO TRANSACTION\n"},
		{"types in steps", "ALTER TABLE counters ALTER COLUMN n TYPE bigint;\nUPDATE counters SET n = n + 1000000;\nALTER TABLE counters DROP COLUMN pad;\nUPDATE counters SET n = n - 5 WHERE id % 2 = 0;",
			"ALTER TABLE counters ADD COLUMN pad varchar(20);\nALTER TABLE counters ALTER COLUMN n TYPE integer;", []testdb.Engine{testdb.OnPostgres}, "-- +goose NO TRANSACTION\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				var rows []string
				for i := range writers * each {
					rows = append(rows, fmt.Sprintf("(%d, 0, 'p%d')", i, i))
				}
				f := newFixture(t, dsn, "CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL, pad varchar(20));\nINSERT INTO counters VALUES "+strings.Join(rows, ", "),
					map[string]string{"00001_change.sql": c.head + migration(c.up, c.down)})
				acked := make([]int64, writers*each)
				var writes atomic.Int64
				stop := make(chan struct{})
				var wg sync.WaitGroup
				arg := []string{f.db.Arg(1), f.db.Arg(2)}
				for w := range writers {
					db := testdb.Open(t, dsn)
					wg.Add(1)
					go func() {
						defer wg.Done()
						for v := int64(1); ; v++ {
							id := w*each + int(v)%each
							select {
							case <-stop:
								return
							default:
							}
							_, err := db.ExecContext(context.Background(), "UPDATE counters SET n = "+arg[0]+" WHERE id = "+arg[1], v, id)
							if err != nil {
								if strings.Contains(err.Error(), "locked") {
									continue // SQLite's busy: not acknowledged, the row keeps what it had
								}
								t.Errorf("writer %d: %v", w, err)
								return
							}
							acked[id] = v
							writes.Add(1)
						}
					}()
				}
				reach := func(n int64) {
					t.Helper()
					deadline := time.Now().Add(time.Minute)
					for writes.Load() < n {
						if time.Now().After(deadline) {
							t.Fatalf("only %d writes in a minute", writes.Load())
						}
						time.Sleep(time.Millisecond)
					}
				}
				reach(200)
				retry(t, func() error {
					_, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1})
					return err
				})
				reach(writes.Load() + 100)
				retry(t, func() error {
					_, err := f.open().Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1})
					return err
				})
				reach(writes.Load() + 50)
				close(stop)
				wg.Wait()
				for i, row := range testdb.Query(t, dsn, "SELECT n, pad FROM counters ORDER BY id") {
					if want := fmt.Sprintf("%d|p%d", acked[i], i); row != want {
						t.Errorf("row %d is %s, acknowledged last was %s", i, row, want)
					}
				}
			}, c.engines...)
		})
	}
}

// retry runs f again while the database is too busy to begin: the run changed nothing then.
func retry(t *testing.T, f func() error) {
	t.Helper()
	for range 20 {
		err := f()
		if err == nil {
			return
		}
		var partial *migrate.PartialError
		if !strings.Contains(err.Error(), "lock") && !errors.As(err, &partial) {
			t.Fatal(err)
		}
		t.Logf("again after: %v", err)
	}
	t.Fatal("no luck in 20 tries")
}
