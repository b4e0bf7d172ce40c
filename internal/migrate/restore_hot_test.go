package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreOfAHotTableFromItsJournal: rows come and go all the while the journal of their table is read. It is not doubted for that, nor is what it says mistaken:
// each row is what it was, or what somebody wrote to it while the restore ran.
func TestRestoreOfAHotTableFromItsJournal(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const hot = 8
		f := newFixture(t, dsn, "CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL)", nil)
		testdb.Exec(t, dsn, "INSERT INTO counters VALUES (0, -1), (1, -1), (2, -1), (3, -1), (90, -1)")
		if _, err := f.open().EnableJournal(t.Context(), tables("counters"), journal.Options{}); err != nil {
			t.Fatal(err)
		}
		read := func(table string) []string { return testdb.Query(t, dsn, "SELECT id, n FROM "+table+" ORDER BY id") }
		was := read("counters")
		later := func() time.Time { // journals know milliseconds
			now := time.Now()
			for time.Since(now) < 3*time.Millisecond {
			}
			return now.Add(2 * time.Millisecond)
		}
		at := later()
		later()
		testdb.Exec(t, dsn, "UPDATE counters SET n = 90 WHERE id = 90")
		stop := meanwhile(t, dsn, 2, func(db *sql.DB, w int, rng *rand.Rand) {
			id := w + 2*rng.IntN(hot/2)
			query := []string{"DELETE FROM counters WHERE id = %d", "INSERT INTO counters VALUES (%d, 5)", "UPDATE counters SET n = n + 1 WHERE id = %d"}[rng.IntN(3)]
			_, _ = db.ExecContext(context.Background(), fmt.Sprintf(query, id)) // the key may be there
		})
		try := func(req migrate.RestoreRequest) {
			t.Helper()
			req.Ask.Tables, req.Ask.At = tables("counters"), at
			retry(t, func() error {
				_, err := f.open().Restore(context.Background(), req)
				return err
			})
		}
		for range 3 {
			try(migrate.RestoreRequest{})
			try(migrate.RestoreRequest{Write: true})
			try(migrate.RestoreRequest{Write: true, Online: true})
			try(migrate.RestoreRequest{Write: true, Online: true, Ask: snapshot.Ask{Mode: snapshot.Replace}})
			try(migrate.RestoreRequest{Write: true, Ask: snapshot.Ask{Mode: snapshot.Copy, Into: engine.Name{Name: "aside"}}})
			if got := read("aside"); !slices.Equal(got, was) {
				t.Errorf("the copy has %s, it was %s", strings.Join(got, " "), strings.Join(was, " "))
			}
			testdb.Exec(t, dsn, "DROP TABLE aside")
		}
		stop()
		if got := testdb.Query(t, dsn, "SELECT n FROM counters WHERE id = 90"); !slices.Equal(got, []string{"-1"}) {
			t.Errorf("the row that nobody wrote is %s", got)
		}
	}, everywhere...)
}

// meanwhile has clients write, each one statement after another, until the function that it gives is called; that waits for them.
func meanwhile(t *testing.T, dsn string, clients int, write func(db *sql.DB, client int, rng *rand.Rand)) (stop func()) {
	t.Helper()
	var ended atomic.Bool
	var wg sync.WaitGroup
	for i := range clients {
		db, rng := testdb.Open(t, dsn), rand.New(rand.NewPCG(uint64(i), 1))
		wg.Go(func() {
			for !ended.Load() {
				write(db, i, rng)
			}
		})
	}
	return func() { ended.Store(true); wg.Wait() }
}
