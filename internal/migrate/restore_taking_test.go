package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreOnlineWhileValuesAreTaken: clients give rows of their own the unique values of rows that come back meanwhile. What was acknowledged stands; a row whose value was taken
// stays as it is and is told, and all others are as they were.
func TestRestoreOnlineWhileValuesAreTaken(t *testing.T) {
	t.Parallel()
	const captured, writers = 120, 3
	testdb.Each(t, func(t *testing.T, dsn string) {
		var rows []string
		for i := range captured {
			rows = append(rows, fmt.Sprintf("(%d, %d)", i+1, i+1))
		}
		f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, u integer NOT NULL UNIQUE);\nINSERT INTO t VALUES "+strings.Join(rows, ", "), nil)
		id := f.take("", "t")
		f.exec("UPDATE t SET u = -u;\nDELETE FROM t WHERE id % 5 = 0;\nINSERT INTO t VALUES (1001, 1001), (1002, 1002), (1003, 1003)")
		acked := make([]int, writers)
		var taken atomic.Int64
		for w := range acked {
			acked[w] = 1001 + w
		}
		stop := meanwhile(t, dsn, writers, func(db *sql.DB, w int, rng *rand.Rand) {
			u := 1 + rng.IntN(captured)
			if _, err := db.ExecContext(context.Background(), fmt.Sprintf("UPDATE t SET u = %d WHERE id = %d", u, 1001+w)); err == nil {
				acked[w] = u
				taken.Add(1)
			}
		})
		for deadline := time.Now().Add(time.Minute); taken.Load() < 10; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no writes in a minute")
			}
		}
		var res *migrate.RestoreResult
		retry(t, func() (err error) {
			res, err = f.open().Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}, Write: true, Online: true, Batch: 7})
			return err
		})
		stop()
		got := testdb.Query(t, dsn, "SELECT id, u FROM t ORDER BY id")
		stay := int64(0)
		for i := 1; i <= captured; i++ {
			switch {
			case slices.Contains(got, fmt.Sprintf("%d|%d", i, i)):
			case slices.Contains(got, fmt.Sprintf("%d|%d", i, -i)), i%5 == 0 && !slices.ContainsFunc(got, func(row string) bool { return strings.HasPrefix(row, fmt.Sprintf("%d|", i)) }):
				stay++
			default:
				t.Errorf("row %d is neither as it was nor as it is", i)
			}
		}
		for w, u := range acked {
			if !slices.Contains(got, fmt.Sprintf("%d|%d", 1001+w, u)) {
				t.Errorf("row %d: acknowledged %d; %v", 1001+w, u, got[len(got)-writers:])
			}
		}
		if told := res.Details[0].Conflicts; told != stay {
			t.Errorf("%d rows stay as they are, and %d were told: %v", stay, told, res.Conflicts)
		}
		t.Logf("%d values taken, %d rows stay", taken.Load(), stay)
	}, everywhere...)
}
