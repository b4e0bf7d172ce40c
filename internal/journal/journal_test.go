package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const item = "CREATE TABLE item (id integer NOT NULL PRIMARY KEY, v integer)"

// TestPrune: what is older than the journal goes back is dropped, moments since can still be had, and earlier ones are refused.
func TestPrune(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		w := newWorld(t, dsn, item)
		w.in(func(q engine.Querier) error {
			return w.j.Enable(ctx, q, names([]string{"item"}), journal.Options{Keep: time.Second}, "test")
		})
		w.exec("INSERT INTO item VALUES (1, 1), (2, 2), (3, 3)", "UPDATE item SET v = 0", "DELETE FROM item WHERE id = 3")
		early := w.now()
		for w.now().Sub(early) < 1100*time.Millisecond { // until that is older than the journal goes back
			time.Sleep(20 * time.Millisecond)
		}
		late := w.now()
		want := w.rows("item", []string{"id"}, []string{"v"})
		w.exec("UPDATE item SET v = 7", "INSERT INTO item VALUES (4, 4)")
		s, err := w.db.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if n, err := w.j.Prune(ctx, s); err != nil || n != 7 {
			t.Errorf("%d records dropped, %v; want 7", n, err)
		}
		var nothing *snapshot.NothingError
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: early, Mode: snapshot.Replace}); !errors.As(err, &nothing) {
			t.Errorf("before what was pruned: %v", err)
		}
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: late, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		w.same("after pruning", want, w.rows("item", []string{"id"}, []string{"v"}))
	}, testdb.Everywhere()...)
}

// TestHole: rows that were written unrecorded do not go unnoticed: that the triggers were off for a while is seen, and where it is not, what was recorded
// does not come to what is there.
func TestHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.Postgres(t), item, "INSERT INTO item SELECT g, g FROM generate_series(1, 9) g")
	w.enable("item")
	at := w.now()
	w.exec("UPDATE item SET v = 0 WHERE id < 5", "DELETE FROM item WHERE id = 3")
	data := w.query("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE tablename LIKE 'dbrollback\\_journal\\_%' AND length(tablename) = 51")
	w.exec("DELETE FROM " + data[0] + " WHERE op = 'd'")
	refused := func(target any, says string) {
		t.Helper()
		want := w.rows("item", []string{"id"}, []string{"v"})
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); !errors.As(err, target) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want that it says %q", err, says)
		}
		w.same("refused", want, w.rows("item", []string{"id"}, []string{"v"}))
	}
	var unsafe *snapshot.UnsafeError
	refused(&unsafe, "1 of them")
	w.exec("ALTER TABLE item DISABLE TRIGGER USER", "UPDATE item SET v = 7 WHERE id = 8")
	for _, name := range w.query("SELECT tgname FROM pg_trigger WHERE tgrelid = 'item'::regclass") {
		w.exec("ALTER TABLE item ENABLE ALWAYS TRIGGER " + w.db.Ident(name))
	}
	var nothing *snapshot.NothingError
	refused(&nothing, "switched off for a while")
}

// TestMoved: under merge a row whose key was changed goes back to the one it had, however often it moved; one that came later stays.
func TestMoved(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, item, "INSERT INTO item VALUES (1, 1), (2, 2), (3, 3)")
		w.enable("item")
		at := w.now()
		want := w.rows("item", []string{"id"}, []string{"v"})
		for i := range 4 {
			w.exec(fmt.Sprintf("UPDATE item SET id = %d WHERE id = %d", 10*(i+1), max(1, 10*i)))
		}
		w.exec("INSERT INTO item VALUES (50, 5)", "UPDATE item SET id = 51 WHERE id = 50", "UPDATE item SET id = 60 WHERE id = 2", "DELETE FROM item WHERE id = 60", "INSERT INTO item VALUES (60, 6)")
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Merge}); err != nil {
			t.Fatal(err)
		}
		if got := len(w.query("SELECT id FROM item WHERE id IN (51, 60)")); got != 2 {
			t.Errorf("%d of the 2 rows that came later are there", got)
		}
		w.exec("DELETE FROM item WHERE id IN (51, 60)")
		w.same("merged", want, w.rows("item", []string{"id"}, []string{"v"}))
	}, testdb.Everywhere()...)
}
