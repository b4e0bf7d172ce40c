package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestLost: somebody dropped what a journal is made of. Each command says so in one line and writes nothing, enable, with no more words than before, begins
// a journal that records, and disable leaves nothing behind.
func TestLost(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, source := range []string{journal.Trigger, journal.Slot} {
			w := newWorld(t, dsn, "DROP TABLE IF EXISTS item", item, "INSERT INTO item VALUES (1, 1), (2, 2), (3, 3)")
			if w.source = source; source == journal.Slot && !strings.HasPrefix(dsn, "postgres") {
				continue
			}
			w.enable("item")
			at := w.now()
			w.exec("UPDATE item SET v = v + 1")
			lose, says := "", "its replication slot is gone"
			if source == journal.Slot {
				lose = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
			} else {
				says = "what it recorded is gone"
				registry, id := "dbrollback_journal", w.query("SELECT id FROM " + w.db.Quote(w.db.Own("dbrollback_journal")))[0]
				lose = "DROP TABLE " + w.db.Quote(w.db.Own(registry+"_"+id))
			}
			w.exec(lose)
			before := w.rows("item", []string{"id"}, []string{"v"})
			ask := snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}
			var nothing *snapshot.NothingError
			if _, err := w.restore(ask); !errors.As(err, &nothing) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: restore: %v", source, err)
			}
			if all, err := w.j.Status(t.Context(), w.db); err != nil || len(all) != 1 || all[0].Recording || !strings.Contains(all[0].Why, says) {
				t.Errorf("%s: status: %+v, %v", source, all, err)
			}
			if h, err := w.j.History(t.Context(), w.db, names([]string{"item"})[0], []string{"1"}, 10); err != nil || !strings.Contains(h.Why, says) {
				t.Errorf("%s: log: %+v, %v", source, h, err)
			}
			w.same("refused", before, w.rows("item", []string{"id"}, []string{"v"}))
			w.source = "" // as it was
			w.enable("item")
			if all, err := w.j.Status(t.Context(), w.db); err != nil || len(all) != 1 || !all[0].Recording || all[0].Source != source {
				t.Errorf("%s: enabled again: %+v, %v", source, all, err)
			}
			if _, err := w.restore(ask); !errors.As(err, &nothing) {
				t.Errorf("%s: restored over what is lost: %v", source, err)
			}
			ask.At = w.now()
			w.exec("UPDATE item SET v = 7", "DELETE FROM item WHERE id = 2")
			if _, err := w.restore(ask); err != nil {
				t.Fatal(err)
			}
			w.same("restored", before, w.rows("item", []string{"id"}, []string{"v"}))
			if h, err := w.j.History(t.Context(), w.db, names([]string{"item"})[0], []string{"2"}, 10); err != nil || len(h.Entries) == 0 {
				t.Errorf("%s: log: %+v, %v", source, h, err)
			}
			w.exec("UPDATE item SET v = 9")
			w.disable("item")
			w.exec("UPDATE item SET v = 8")
			if all, err := w.j.Status(t.Context(), w.db); err != nil || len(all) != 0 {
				t.Errorf("%s: disabled: %+v, %v", source, all, err)
			}
		}
	}, testdb.Everywhere()...)
}

// TestTableGone: a journalled table that was dropped is told of, with what to do, and not as a name that nobody knows.
func TestTableGone(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, "DROP TABLE IF EXISTS item", item, "INSERT INTO item VALUES (1, 1)")
		w.enable("item")
		at := w.now()
		w.exec("UPDATE item SET v = 2")
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Merge}); err != nil { // leaves a capture of one row
			t.Fatal(err)
		}
		w.exec("DROP TABLE item")
		for _, written := range []bool{false, true} {
			var nothing *snapshot.NothingError
			_, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Merge, Written: written})
			if !errors.As(err, &nothing) || !strings.Contains(nothing.Message, "any more; its journal") || !strings.Contains(nothing.Hint, "dbrollback rollback") {
				t.Errorf("dropped: %v", err)
			}
		}
		var unknown *snapshot.NoTableError
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"itme"}), At: at, Mode: snapshot.Merge}); !errors.As(err, &unknown) {
			t.Errorf("a name that nobody knows: %v", err)
		}
	}, testdb.Everywhere()...)
}
