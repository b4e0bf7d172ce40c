package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreWhatIsWrittenBeforeEachCommand: the application writes before each command of a restore that speaks of its table, where nobody locks the whole table. What it was told is
// written stands there afterwards, or comes back when the restore is taken back.
func TestRestoreWhatIsWrittenBeforeEachCommand(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{false, true} {
		t.Run(fmt.Sprintf("online=%v", online), func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL)", nil)
				app := testdb.Open(t, dsn)
				testdb.Exec(t, dsn, "INSERT INTO counters VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)")
				id := f.take("", "counters")
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT id, n FROM counters ORDER BY id"), " ")
				}
				written := 0
				for n := 0; ; n++ {
					// 3 was changed, 4 is gone, 6 came later.
					testdb.Exec(t, dsn, "DELETE FROM counters", "INSERT INTO counters VALUES (1, 0), (2, 0), (3, 30), (5, 50), (6, 60)")
					at, acked, left := "", map[int]int{}, n
					_, through := newWire(t, dsn, func(query string) cut {
						if !strings.Contains(query, "`counters`") {
							return goOn
						}
						if left--; left == -1 {
							at = query
							for _, w := range []struct {
								row, value int
								query      string
							}{{3, 33, "UPDATE counters SET n = 33 WHERE id = 3"}, {4, 44, "INSERT INTO counters VALUES (4, 44)"}, {5, -1, "DELETE FROM counters WHERE id = 5"}, {2, 22, "UPDATE counters SET n = 22 WHERE id = 2"},
								{6, 66, "UPDATE counters SET n = 66 WHERE id = 6"}} {
								if atOnce(t, app, w.row, w.query) {
									acked[w.row] = w.value
								}
							}
						}
						return goOn
					})
					db, err := engine.Open(t.Context(), through, engine.Options{LockTimeout: 20 * time.Second})
					if err != nil {
						t.Fatal(err)
					}
					m, err := migrate.Open(t.Context(), migrate.Options{DB: db, Files: f.files, Dir: "migrations"})
					if err != nil {
						t.Fatal(err)
					}
					res, err := m.Restore(t.Context(), migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}, Write: true, Online: online})
					_ = db.Close()
					if err != nil {
						t.Fatalf("written before %s: %v", at, err)
					}
					if at == "" {
						break
					}
					written += len(acked)
					now := rows()
					f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: res.Safety, OnConflict: snapshot.Restore}, Write: true})
					back := rows()
					for row, value := range acked {
						stands := func(in string) bool {
							if value < 0 {
								return !strings.Contains(" "+in, fmt.Sprintf(" %d|", row))
							}
							return strings.Contains(" "+in+" ", fmt.Sprintf(" %d|%d ", row, value))
						}
						if !stands(now) && !stands(back) {
							t.Errorf("row %d was written (%d) before %s: restored %s, taken back %s", row, value, at, now, back)
						}
					}
				}
				if written == 0 {
					t.Error("nothing was written meanwhile")
				}
			}, family...)
		})
	}
}

// atOnce carries a statement about one row out unless it has to wait for that row, and tells whether it did something.
func atOnce(t *testing.T, db *sql.DB, row int, query string) bool {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		t.Error(err)
		return false
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("SET SESSION innodb_lock_wait_timeout = 1"); err != nil {
		t.Error(err)
	}
	if _, err := tx.Exec(fmt.Sprintf("SELECT id FROM counters WHERE id = %d FOR UPDATE NOWAIT", row)); err != nil {
		return false
	}
	r, err := tx.Exec(query)
	if err != nil {
		return false
	}
	n, err := r.RowsAffected()
	return err == nil && n > 0 && tx.Commit() == nil
}
