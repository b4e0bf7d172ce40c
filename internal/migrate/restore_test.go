package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func tables(names ...string) []engine.Name {
	var out []engine.Name
	for _, n := range names {
		out = append(out, engine.Name{Name: n})
	}
	return out
}

// take captures tables by hand.
func (f *fixture) take(label string, names ...string) string {
	f.t.Helper()
	sn, err := f.open().CreateSnapshot(context.Background(), migrate.SnapshotRequest{Tables: tables(names...), Label: label})
	if err != nil {
		f.t.Fatal(err)
	}
	return sn.ID
}

func (f *fixture) restore(req migrate.RestoreRequest) *migrate.RestoreResult {
	f.t.Helper()
	res, err := f.open().Restore(context.Background(), req)
	if err != nil {
		f.t.Fatalf("restore: %v", err)
	}
	return res
}

// TestRestoreMoments: a time, a release, a label, a migration; each finds the captures that it means, and says so; previews write nothing,
// and every restore has its entry in the log.
func TestRestoreMoments(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;"),
			"00002_b.sql": migration("DELETE FROM orders;\nDROP TABLE orders;", "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));"),
		})
		if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: 1, Release: "v1"}); err != nil {
			t.Fatal(err)
		}
		scores := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT score FROM people ORDER BY id"), " ")
		}
		was := scores()
		first := f.take("first", "people", "orders")
		between := time.Now()
		f.exec("UPDATE people SET score = -1")
		f.take("second", "people")
		f.exec("UPDATE people SET score = -2")
		before := f.dump()
		for _, tc := range []struct {
			name, want string
			req        migrate.RestoreRequest
		}{
			{"label", was, migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people"), Snapshot: "first"}}},
			{"snapshot", was, migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people"), Snapshot: first}}},
			{"time", was, migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people"), At: between}}},
			{"now", "-1 -1 -1 -1", migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people"), At: time.Now()}}},
			{"release", "-1 -1 -1 -1", migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people")}, Release: "v1"}},
		} {
			p := f.restore(tc.req)
			if !p.Preview || p.Verified || p.Undo != "" {
				t.Errorf("%s: %+v is no preview", tc.name, p)
			}
			if got := f.dump(); got != before {
				t.Fatalf("%s: the preview wrote:\n%s", tc.name, testdb.Diff(before, got))
			}
			tc.req.Write = true
			r := f.restore(tc.req)
			if got := scores(); got != tc.want {
				t.Errorf("%s: scores %s, want %s", tc.name, got, tc.want)
			}
			if !r.Verified || r.Safety == "" || !strings.Contains(r.Undo, r.Safety) || r.Tables[0] != p.Tables[0] {
				t.Errorf("%s: %+v, its preview was %+v", tc.name, r, p)
			}
			f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: r.Safety}, Write: true})
			if got := f.dump(); got != before {
				t.Fatalf("%s: undone, it differs:\n%s", tc.name, testdb.Diff(before, got))
			}
		}
		orders := strings.Join(testdb.Query(t, dsn, "SELECT id, person_id, total FROM orders ORDER BY id"), " ")
		f.exec("UPDATE people SET score = -3")
		if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1, Release: "v2"}); err != nil {
			t.Fatal(err)
		}
		// The table that a migration dropped, side by side.
		f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("orders"), Migration: 2, HasMigration: true, Mode: snapshot.Copy, Into: engine.Name{Name: "orders_before"}}, Write: true})
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, person_id, total FROM orders_before ORDER BY id"), " "); got != orders {
			t.Errorf("orders before 2: %s, want %s", got, orders)
		}
		// Under v1 it was last as the captures of the migration after v1 have it.
		f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("orders"), Mode: snapshot.Copy, Into: engine.Name{Name: "orders_v1"}}, Release: "v1", Write: true})
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, person_id, total FROM orders_v1 ORDER BY id"), " "); got != orders {
			t.Errorf("orders under v1: %s, want %s", got, orders)
		}
		if _, err := f.open().Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people")}, Release: "v9"}); err == nil || !strings.Contains(err.Error(), `release "v9" is not recorded`) {
			t.Errorf("unknown release: %v", err)
		}
		_, err := f.open().Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("people"), At: between.Add(-time.Hour)}, Write: true})
		var nothing *snapshot.NothingError
		if !errors.As(err, &nothing) {
			t.Errorf("too early: %v", err)
		}
		log, err := audit.New(f.db).List(context.Background(), f.db, 100)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]int{}
		for _, e := range log {
			found[e.Action+" "+e.Outcome]++
		}
		if found["restore done"] != 12 || found["restore refused"] != 1 || found["snapshot done"] != 2 {
			t.Errorf("log: %v", found)
		}
		if err := audit.New(f.db).Verify(context.Background(), f.db, ""); err != nil {
			t.Error(err)
		}
	}, everywhere...)
}

// TestTwoRestoresAtOnce: one waits for the other, also in batches; the table is as it was.
func TestTwoRestoresAtOnce(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, nil)
		id := f.take("", "people", "orders")
		was := f.dump()
		for _, online := range []bool{false, true} {
			f.exec("UPDATE people SET score = -1;\nDELETE FROM orders WHERE id < 4")
			var wg sync.WaitGroup
			for range 3 {
				db, err := engine.Open(t.Context(), dsn, engine.Options{LockTimeout: 30 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				m, err := migrate.Open(t.Context(), migrate.Options{DB: db, LockWait: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				wg.Add(1)
				go func() {
					defer wg.Done()
					if _, err := m.Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}, Write: true, Online: online, Batch: 1}); err != nil {
						t.Errorf("restore, online %v: %v", online, err)
					}
				}()
			}
			wg.Wait()
			if got := f.dump(); got != was {
				t.Errorf("online %v: not as it was:\n%s", online, testdb.Diff(was, got))
			}
		}
	}, everywhere...)
}

// TestRestoreUnderWriters: writers change rows all through a restore. A row ends as it was captured, or as a write that was acknowledged
// after the restore left it: nothing in between, and what the restore wrote over is in its safety snapshot.
func TestRestoreUnderWriters(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 40
	for _, online := range []bool{false, true} {
		t.Run(fmt.Sprintf("online=%v", online), func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				var rows []string
				for i := range writers * each {
					rows = append(rows, fmt.Sprintf("(%d, 0, 'p%d')", i, i))
				}
				f := newFixture(t, dsn, "CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL, pad varchar(20));\nINSERT INTO counters VALUES "+strings.Join(rows, ", "), nil)
				id := f.take("", "counters")
				acked := make([]int64, writers*each)
				var writes atomic.Int64
				stop := make(chan struct{})
				var wg sync.WaitGroup
				for w := range writers {
					db := testdb.Open(t, dsn)
					wg.Add(1)
					go func() {
						defer wg.Done()
						rng := rand.New(rand.NewPCG(uint64(w), 1))
						for v := int64(1); ; v++ {
							row := w*each + rng.IntN(each)
							select {
							case <-stop:
								return
							default:
							}
							if _, err := db.ExecContext(context.Background(), "UPDATE counters SET n = "+f.db.Arg(1)+" WHERE id = "+f.db.Arg(2), v, row); err != nil {
								if strings.Contains(err.Error(), "locked") {
									continue // SQLite's busy: not acknowledged
								}
								t.Errorf("writer %d: %v", w, err)
								return
							}
							acked[row] = v
							writes.Add(1)
						}
					}()
				}
				reach := func(n int64) {
					t.Helper()
					for deadline := time.Now().Add(time.Minute); writes.Load() < n; time.Sleep(time.Millisecond) {
						if time.Now().After(deadline) {
							t.Fatalf("only %d writes in a minute", writes.Load())
						}
					}
				}
				reach(200)
				var res *migrate.RestoreResult
				retry(t, func() (err error) {
					res, err = f.open().Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}, Write: true, Online: online})
					return err
				})
				reach(writes.Load() + 20)
				close(stop)
				wg.Wait()
				if !res.Verified {
					t.Errorf("not verified: %+v", res)
				}
				for i, row := range testdb.Query(t, dsn, "SELECT n, pad FROM counters ORDER BY id") {
					if row != fmt.Sprintf("%d|p%d", acked[i], i) && row != fmt.Sprintf("0|p%d", i) {
						t.Errorf("row %d is %s, acknowledged last was %d", i, row, acked[i])
					}
				}
			}, everywhere...)
		})
	}
}
