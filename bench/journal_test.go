package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func journal(b *testing.B, db *engine.DB, tables ...string) {
	b.Helper()
	var names []engine.Name
	for _, t := range tables {
		names = append(names, engine.Name{Name: t})
	}
	if _, err := migrator(b, db, nil).EnableJournal(context.Background(), names, time.Hour); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkJournalRestore: 1,000 changed rows of a large table go back by the journal, against the same in 20,000 rows.
func BenchmarkJournalRestore(b *testing.B) {
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			of := func(n int) func() time.Duration {
				db := large(b, e, n)
				journal(b, db, "big")
				return func() time.Duration {
					time.Sleep(5 * time.Millisecond) // the moment is in a millisecond of its own
					at := time.Now()
					time.Sleep(5 * time.Millisecond)
					exec(b, db.DB, fmt.Sprintf("UPDATE big SET note = note || '!', score = -1 WHERE id %% %d = 0", n/1000))
					return timed(func() {
						req := migrate.RestoreRequest{Ask: snapshot.Ask{Tables: []engine.Name{{Name: "big"}}, At: at}, Write: true}
						res, err := migrator(b, db, nil).Restore(context.Background(), req)
						if err != nil || res.Tables[0].Updated != 1000 {
							b.Fatalf("%+v, %v", res, err)
						}
					})
				}
			}
			compare(b, of(rows(b)), of(20_000))
		})
	}
}

// BenchmarkJournalWrites: a load like pgbench's with the journal on, against off.
func BenchmarkJournalWrites(b *testing.B) {
	const clients, each, accounts = 4, 1000, 20_000
	of := func(on bool) func() time.Duration {
		db := open(b, testdb.OnPostgres.New(b))
		exec(b, db.DB, "CREATE TABLE branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor = 100)", "CREATE TABLE tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
			"CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))", "CREATE TABLE history (hid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
			"INSERT INTO branches SELECT g, 0 FROM generate_series(1, 10) g", "INSERT INTO tellers SELECT g, g / 10, 0 FROM generate_series(1, 100) g", fmt.Sprintf("INSERT INTO accounts SELECT g, g / 1000, 0, '' FROM generate_series(1, %d) g", accounts))
		if on {
			journal(b, db, "branches", "tellers", "accounts", "history")
		}
		return func() time.Duration {
			exec(b, db.DB, "VACUUM ANALYZE")
			return timed(func() {
				var wg sync.WaitGroup
				for c := range clients {
					wg.Add(1)
					go func() {
						defer wg.Done()
						r := rand.New(rand.NewPCG(uint64(c), 1))
						conn, err := db.Conn(context.Background())
						if err != nil {
							b.Error(err)
							return
						}
						defer conn.Close()
						for range each {
							a, t, d := 1+r.IntN(accounts), 1+r.IntN(100), r.IntN(10_000)-5_000
							for _, q := range []string{
								"BEGIN", fmt.Sprintf("UPDATE accounts SET abalance = abalance + %d WHERE aid = %d", d, a), fmt.Sprintf("SELECT abalance FROM accounts WHERE aid = %d", a),
								fmt.Sprintf("UPDATE tellers SET tbalance = tbalance + %d WHERE tid = %d", d, t), fmt.Sprintf("UPDATE branches SET bbalance = bbalance + %d WHERE bid = %d", d, 1+t/11),
								fmt.Sprintf("INSERT INTO history (tid, bid, aid, delta, mtime) VALUES (%d, %d, %d, %d, CURRENT_TIMESTAMP)", t, 1+t/11, a, d), "COMMIT",
							} {
								if _, err := conn.ExecContext(context.Background(), q); err != nil {
									b.Error(err)
									return
								}
							}
						}
					}()
				}
				wg.Wait()
			})
		}
	}
	compare(b, of(true), of(false))
}
