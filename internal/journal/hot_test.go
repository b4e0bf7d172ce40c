package journal_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestHot: of a few rows that were written very often, before a column was added and after, some of them removed and made again, and one under another
// key, the first old values count.
func TestHot(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		w := newWorld(t, dsn, item, "INSERT INTO item VALUES (1, 10), (2, 20), (3, 30), (4, 40)")
		w.enable("item")
		at := w.now()
		want := w.rows("item", []string{"id"}, []string{"v"})
		write := func(times int) {
			for i := range times {
				w.exec(fmt.Sprintf("UPDATE item SET v = v + 1 WHERE id <> %d", i%4+1))
			}
		}
		w.exec("INSERT INTO item VALUES (5, 50)", "DELETE FROM item WHERE id = 3")
		write(60)
		w.exec("INSERT INTO item VALUES (3, 300)", "UPDATE item SET id = 6 WHERE id = 4")
		w.in(func(q engine.Querier) error {
			f, err := w.j.Ahead(ctx, q, journal.Step{By: "migration 1", Known: true, Alters: func(engine.Name) bool { return true }, Rewrites: func(engine.Name) bool { return false }})
			if err != nil {
				return err
			}
			if _, err = q.ExecContext(ctx, "ALTER TABLE item ADD COLUMN w integer"); err != nil {
				return err
			}
			_, err = f.Done(ctx, q)
			return err
		})
		// The records of the new column's time are numbered from 1 again.
		w.exec("UPDATE item SET v = -1, w = 7", "DELETE FROM item WHERE id = 1", "INSERT INTO item VALUES (1, 0, 0)")
		write(30)
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		w.same("replaced", want, w.rows("item", []string{"id"}, []string{"v"}))
	}, testdb.Everywhere()...)
}
