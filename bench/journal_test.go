//go:build unix

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

func (b *bench) journal(dsn string, tables ...string) {
	var names []engine.Name
	for _, t := range tables {
		names = append(names, engine.Name{Name: t})
	}
	if _, err := b.migrator(dsn, nil, false).EnableJournal(context.Background(), names, time.Hour); err != nil {
		b.Fatal(err)
	}
}

// journalled measures how 1,000 changed rows go back by the journal.
func journalled(b *bench) float64 {
	dsn := b.large()
	was := b.state(dsn)
	b.journal(dsn, "big")
	db := b.open(dsn)
	time.Sleep(5 * time.Millisecond) // the moment is in a millisecond of its own
	at := time.Now()
	time.Sleep(5 * time.Millisecond)
	every := max(1, b.rows/1000)
	if _, err := db.ExecContext(context.Background(), fmt.Sprintf("UPDATE big SET score = -1, note = 'other' WHERE id %% %d = 0", every)); err != nil {
		b.Fatal(err)
	}
	took := timed(func() {
		req := migrate.RestoreRequest{Ask: snapshot.Ask{Tables: []engine.Name{{Name: "big"}}, At: at}, Write: true}
		res, err := b.migrator(dsn, nil, false).Restore(context.Background(), req)
		if err != nil || int(res.Tables[0].Updated) != b.rows/every {
			b.Fatalf("%+v, %v", res, err)
		}
	})
	b.same(dsn, was)
	return took
}

// few is a side on a table of 20,000 rows, or of a tenth where that is less.
func few(s side) side {
	return func(b *bench) float64 {
		less := *b
		less.rows = min(20_000, b.rows/10)
		return s(&less)
	}
}

// writes measures a load like pgbench's, with the journal on or off.
func writes(on bool) side {
	return func(b *bench) float64 {
		const clients = 4
		accounts, each := max(100, b.rows/50), max(4, min(400, b.rows/1000))
		dsn := b.engine.New(b)
		db := b.open(dsn)
		b.all(db.DB, "CREATE TABLE branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor = 100)", "CREATE TABLE tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
			"CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))", "CREATE TABLE history (hid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
			"INSERT INTO branches SELECT g, 0 FROM generate_series(1, 10) g", "INSERT INTO tellers SELECT g, g / 10, 0 FROM generate_series(1, 100) g", fmt.Sprintf("INSERT INTO accounts SELECT g, g / 1000, 0, '' FROM generate_series(1, %d) g", accounts))
		if on {
			b.journal(dsn, "branches", "tellers", "accounts", "history")
		}
		b.all(db.DB, "VACUUM ANALYZE")
		return timed(func() {
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
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
				})
			}
			wg.Wait()
		})
	}
}

func (b *bench) all(db *sql.DB, statements ...string) {
	for _, s := range statements {
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}
