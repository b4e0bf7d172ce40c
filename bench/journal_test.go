//go:build unix

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func (b *bench) journal(dsn, source string, tables ...string) {
	var names []engine.Name
	for _, t := range tables {
		names = append(names, engine.Name{Name: t})
	}
	if _, err := b.migrator(dsn, nil, false).EnableJournal(context.Background(), names, journal.Options{Keep: time.Hour, Source: source}); err != nil {
		b.Fatal(err)
	}
}

// journalled measures how 1,000 changed rows go back by the journal.
func journalled(b *bench) float64 {
	dsn := b.large()
	was := b.state(dsn)
	b.journal(dsn, journal.Trigger, "big")
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

// recorder is what records the writes of a load. Some of it has to be ended.
type recorder func(b *bench, dsn string) (end func())

// on is the journal.
func on(b *bench, dsn string) func() {
	b.journal(dsn, journal.Trigger, "branches", "tellers", "accounts", "history")
	return nil
}

// slot is the journal by a replication slot, which is read later.
func slot(b *bench, dsn string) func() {
	b.journal(dsn, journal.Slot, "branches", "tellers", "accounts", "history")
	return nil
}

// slotRead is one that is read meanwhile, on the same machine.
func slotRead(b *bench, dsn string) func() {
	slot(b, dsn)
	m := b.migrator(dsn, nil, false)
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() {
		if _, err := m.RunJournal(ctx, journal.RunOptions{}); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	})
	return func() {
		stop()
		reading.Wait()
	}
}

// off is nothing.
func off(*bench, string) func() { return nil }

// empty is a trigger that does nothing: what PostgreSQL takes for calling one.
func empty(b *bench, dsn string) func() {
	statements := []string{"CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"}
	for _, t := range []string{"branches", "tellers", "accounts", "history"} {
		statements = append(statements, "CREATE TRIGGER nothing AFTER INSERT OR UPDATE OR DELETE ON "+t+" FOR EACH ROW EXECUTE FUNCTION nothing()")
	}
	b.all(b.open(dsn).DB, statements...)
	return nil
}

// plain is the least that a trigger on PostgreSQL can do to record: the old row into one table without an index, and neither its order nor when it
// was committed.
func plain(b *bench, dsn string) func() {
	var statements []string
	for _, t := range []string{"branches", "tellers", "accounts", "history"} {
		statements = append(statements, "CREATE TABLE old_"+t+" AS SELECT txid_current() AS x, clock_timestamp() AS at, t.* FROM "+t+" t LIMIT 0",
			fmt.Sprintf("CREATE FUNCTION keep_%[1]s() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF TG_OP = ''INSERT'' THEN INSERT INTO old_%[1]s SELECT txid_current(), clock_timestamp(), NEW.*; ELSE INSERT INTO old_%[1]s SELECT txid_current(), clock_timestamp(), OLD.*; END IF; RETURN NULL; END'", t),
			fmt.Sprintf("CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON %[1]s FOR EACH ROW EXECUTE FUNCTION keep_%[1]s()", t))
	}
	b.all(b.open(dsn).DB, statements...)
	return nil
}

// synced gives a database on a server of its own that waits for the disk at each commit, as servers do unless they are told otherwise; those of
// the tests do not wait.
func synced(b *bench) string {
	if b.check { // nothing is measured
		return b.engine.New(b)
	}
	switch b.engine {
	case pg:
		return testdb.PrivatePostgres(b, "fsync=on", "synchronous_commit=on", "shared_buffers=128MB").Database()
	case my:
		return testdb.PrivateMySQL(b, "innodb-flush-method=fsync", "sync-binlog=1").Database()
	case ma:
		return testdb.PrivateMariaDB(b, "innodb-flush-method=fsync", "sync-binlog=1").Database()
	}
	return b.engine.New(b)
}

// unlogged gives one that waits for the disk as well, and has no binary log.
func unlogged(b *bench) string {
	if b.check {
		return b.engine.New(b)
	}
	private := testdb.PrivateMySQL
	if b.engine == ma {
		private = testdb.PrivateMariaDB
	}
	return private(b, "innodb-flush-method=fsync", "skip-log-bin").Database()
}

// unsynced gives one on the server of the tests, where the processor is all that a write costs.
func unsynced(b *bench) string { return b.engine.New(b) }

// writes measures a load like pgbench's: three updates, a query and an insert a transaction, several clients, each commit waited for.
func writes(recorded recorder, server func(*bench) string) side {
	return func(b *bench) float64 {
		clients := 4
		number := "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
		switch b.engine {
		case lite: // it has one writer at a time
			clients, number = 1, "INTEGER PRIMARY KEY NOT NULL"
		case my, ma:
			number = "bigint AUTO_INCREMENT PRIMARY KEY"
		}
		accounts, each := max(100, b.rows/50), max(4, min(400, b.rows/1000))
		dsn := server(b)
		db := b.open(dsn)
		b.all(db.DB, "CREATE TABLE branches (bid int NOT NULL PRIMARY KEY, bbalance int, filler char(88))", "CREATE TABLE tellers (tid int NOT NULL PRIMARY KEY, bid int, tbalance int, filler char(84))",
			"CREATE TABLE accounts (aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84))", "CREATE TABLE history (hid "+number+", tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))")
		b.numbered(db.DB, 10, "INSERT INTO branches VALUES ", "(%d, 0, '')")
		b.numbered(db.DB, 100, "INSERT INTO tellers VALUES ", "(%d, 1, 0, '')")
		b.numbered(db.DB, accounts, "INSERT INTO accounts VALUES ", "(%d, 1, 0, '')")
		if end := recorded(b, dsn); end != nil {
			defer end()
		}
		if b.engine == pg {
			b.all(db.DB, "VACUUM ANALYZE")
		}
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

// numbered inserts rows with the numbers from 1 on.
func (b *bench) numbered(db *sql.DB, n int, insert, row string) {
	for from := 1; from <= n; from += 500 {
		var rows []string
		for i := from; i < from+500 && i <= n; i++ {
			rows = append(rows, fmt.Sprintf(row, i))
		}
		b.all(db, insert+strings.Join(rows, ", "))
	}
}

func (b *bench) all(db *sql.DB, statements ...string) {
	for _, s := range statements {
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}
