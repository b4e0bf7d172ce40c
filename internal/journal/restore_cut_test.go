package journal_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// severed is a connection that somebody ends before its n-th command; where there is none, the command fails.
type severed struct {
	engine.Querier
	left  int
	sever func() error
}

func (s *severed) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := s.next(); err != nil {
		return nil, err
	}
	return s.Querier.ExecContext(ctx, query, args...)
}

func (s *severed) next() error {
	s.left--
	if s.left == -1 {
		return s.sever()
	}
	return nil
}

// TestRestoreByJournalCut: the connection is lost before each of the commands of a restore by the journal, and before its COMMIT; on servers before some. In one transaction the
// tables are as before, row by row, and as at the moment asked for when it ended; in batches, where it is lost before some of the commands, each row is
// one or the other. The same command again reaches the end.
func TestRestoreByJournalCut(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, source := range []string{journal.Trigger, journal.Slot} {
			w := newWorld(t, dsn, "DROP TABLE IF EXISTS part", "DROP TABLE IF EXISTS item", item, "CREATE TABLE part (id integer NOT NULL PRIMARY KEY, item integer, v integer, FOREIGN KEY (item) REFERENCES item (id))")
			if source == journal.Slot && w.db.Kind != engine.Postgres {
				continue
			}
			w.source = source
			for i := 1; i < 9; i++ {
				w.exec(fmt.Sprintf("INSERT INTO item VALUES (%d, %d)", i, i), fmt.Sprintf("INSERT INTO part VALUES (%d, %d, %d)", i, i, i))
			}
			tables := []string{"item", "part"}
			w.enable(tables...)
			cutEverywhere(w, tables, false)
			if source == journal.Trigger {
				cutEverywhere(w, tables, true)
			}
			w.disable(tables...)
		}
	}, testdb.Everywhere()...)
}

func cutEverywhere(w *world, tables []string, online bool) {
	t := w.t
	t.Helper()
	read := func() map[string]string {
		all := map[string]string{}
		for table, columns := range map[string][]string{"item": {"v"}, "part": {"item", "v"}} {
			for k, v := range w.rows(table, []string{"id"}, columns) {
				all[table+" "+k] = v
			}
		}
		return all
	}
	write := func() {
		w.exec("DELETE FROM part WHERE id < 4", "DELETE FROM item WHERE id < 3", "UPDATE item SET v = v + 100 WHERE id > 5", "UPDATE part SET item = 6 WHERE id > 6",
			"INSERT INTO item VALUES (100, 1), (101, 1)", "INSERT INTO part VALUES (100, 100, 1)")
	}
	ask := snapshot.Ask{Tables: names(tables), At: w.now(), Mode: snapshot.Replace}
	was := read()
	write()
	written := read()
	hit, partly := 0, 0
	step := 1
	switch {
	case online: // of some 200 commands
		step = 23
	case w.db.Kind != engine.SQLite: // a server takes back a transaction whose client is gone, wherever that was
		step = 11
	}
	for n := 0; ; n += step {
		err := cutRestore(w, ask, online, n)
		got := read()
		if err == nil {
			w.same("restored", was, got)
			break
		}
		hit++
		if !online {
			w.same(fmt.Sprintf("cut off at %d: %v", n, err), written, got)
			continue
		}
		for k, v := range got {
			if w, ok := was[k]; !ok || v != w {
				if o, ok := written[k]; !ok || v != o {
					t.Fatalf("online, cut off at %d: %s is %s: neither as it was nor as it was written", n, k, v)
				}
			}
		}
		for k, v := range was {
			if _, ok := got[k]; !ok && written[k] == v {
				t.Fatalf("online, cut off at %d: %s is gone", n, k)
			}
		}
		if !maps.Equal(got, written) {
			partly++
			if err := cutRestore(w, ask, online, -1); err != nil {
				t.Fatalf("online, again after it was cut off at %d: %v", n, err)
			}
			w.same(fmt.Sprintf("online, again after it was cut off at %d", n), was, read())
			write()
		}
	}
	if hit < 3 || online && partly == 0 {
		t.Errorf("online %v: %d cuts, %d of them with something written: want some", online, hit, partly)
	}
	t.Logf("%s, %q, online %v: cut off at %d commands, %d of them with something written", w.db.Kind, w.source, online, hit, partly)
}

// cutRestore restores on a connection that is lost before its n-th command, counted over all transactions, or not at all when that is below zero.
func cutRestore(w *world, ask snapshot.Ask, online bool, n int) error {
	ctx := context.Background()
	s, err := w.db.Session(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	kill := map[engine.Kind][2]string{
		engine.Postgres: {"SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s, 10000)"}, engine.MySQL: {"SELECT CONNECTION_ID()", "KILL %s"}, engine.MariaDB: {"SELECT CONNECTION_ID()", "KILL %s"},
	}[w.db.Kind]
	var id []string
	if kill[0] != "" {
		if id, err = engine.Texts(ctx, s, kill[0]); err != nil {
			w.t.Fatal(err)
		}
	}
	cut := &severed{left: n, sever: func() error {
		if kill[0] == "" {
			return errCut
		}
		w.exec(fmt.Sprintf(kill[1], id[0]))
		return nil
	}}
	if n < 0 {
		cut.left = 1 << 30
	}
	tx := func(f func(q engine.Querier) error) error {
		return s.Tx(ctx, func(tx *sql.Tx) error {
			cut.Querier = tx
			if err := f(cut); err != nil {
				return err
			}
			return cut.next() // its COMMIT
		})
	}
	meta := snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test", Snapshot: snapshot.NewID()}
	var x *snapshot.Restoration
	if !online {
		return tx(func(q engine.Querier) error {
			if x, err = w.store.Restoration(ctx, q, ask); err != nil {
				return err
			}
			_, _, err = x.Apply(ctx, q, w.store.Begin(meta))
			return err
		})
	}
	var at snapshot.Position
	if err := tx(func(q engine.Querier) error {
		if x, err = w.store.Restoration(ctx, q, ask); err != nil {
			return err
		}
		at, err = x.Begin(ctx, q)
		return err
	}); err != nil {
		return err
	}
	for !at.Done {
		var next snapshot.Position
		if err := tx(func(q engine.Querier) (err error) {
			next, err = x.Batch(ctx, q, w.store.Begin(meta), at, 3)
			return err
		}); err != nil {
			return err
		}
		at = next
	}
	return tx(func(q engine.Querier) error {
		_, _, err := x.Finish(ctx, q)
		return err
	})
}
