package journal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func slotWorld(t testing.TB, dsn string, setup ...string) *world {
	t.Helper()
	w := newWorld(t, dsn, setup...)
	w.source = journal.Slot
	return w
}

// TestSlotModel: what TestModel says holds of a replication slot as well, which nobody reads until somebody wants to know, or somebody does all
// the time.
func TestSlotModel(t *testing.T) {
	t.Parallel()
	one := slotWorld(t, testdb.Postgres(t))
	for seed := range cases(3) {
		w := *one
		if seed%2 == 0 {
			playModel(t, &w, uint64(seed))
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		var reading sync.WaitGroup
		reading.Go(func() {
			for ctx.Err() == nil { // before it is enabled, and after it is disabled, there is nothing to read
				_, _ = w.j.Run(ctx, journal.RunOptions{})
			}
		})
		playModel(t, &w, uint64(seed))
		stop()
		reading.Wait()
	}
}

// TestSlotReaderKilled: the reader is killed at random instants, and begun again, while others write. Nothing of what they wrote is lost, and nothing is
// there twice.
func TestSlotReaderKilled(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	w := slotWorld(t, dsn, item, "INSERT INTO item SELECT g, 0 FROM generate_series(1, 20) g")
	w.enable("item")
	type copied struct {
		at   time.Time
		rows map[string]string
	}
	var copies []copied
	var commit sync.RWMutex
	var written [3]int
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for i := range written {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 11))
			for {
				select {
				case <-stop:
					return
				default:
				}
				tx, err := w.db.Begin()
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for range 1 + r.IntN(5) {
					done, err := tx.Exec([]string{"UPDATE item SET v = v + 1 WHERE id = " + strconv.Itoa(1+r.IntN(20)), fmt.Sprintf("INSERT INTO item VALUES (%d, 1) ON CONFLICT DO NOTHING", r.IntN(40)),
						"DELETE FROM item WHERE id = " + strconv.Itoa(r.IntN(40))}[r.IntN(3)])
					if err != nil { // a deadlock
						n = 0
						break
					}
					k, _ := done.RowsAffected()
					n += int(k)
				}
				commit.RLock()
				if tx.Commit() == nil {
					written[i] += n
				}
				commit.RUnlock()
			}
		})
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	for range 5 {
		testdb.Run(t, testdb.Command{Args: []string{"journal", "run", "--no-progress", "--dsn", dsn}, KillAfter: time.Duration(100+r.IntN(500)) * time.Millisecond})
		commit.Lock()
		copies = append(copies, copied{w.now(), w.rows("item", []string{"id"}, []string{"v"})})
		commit.Unlock()
	}
	close(stop)
	writing.Wait()
	if res := testdb.Run(t, testdb.Command{Args: []string{"journal", "run", "--until-now", "--no-progress", "--dsn", dsn}}); res.Code != 0 {
		t.Fatal(res)
	}
	table := w.query("SELECT 'dbrollback.dbrollback_journal_' || id FROM dbrollback.dbrollback_journal")[0]
	want := written[0] + written[1] + written[2]
	if got := w.query("SELECT count(*) FROM " + table)[0]; got != strconv.Itoa(want) {
		t.Errorf("%s records of %d writes", got, want)
	}
	for _, c := range slices.Backward(copies) {
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: c.at, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		w.same(c.at.String(), c.rows, w.rows("item", []string{"id"}, []string{"v"}))
	}
}

// TestSlotAheadOfCommit: the log has a transaction before others see what it did, for as long as its commit waits for a standby. The rows of a TRUNCATE, and the
// segment that an enable begins, are not missed by a reader that is there first.
func TestSlotAheadOfCommit(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t)
	w := slotWorld(t, server.DSN, item, "INSERT INTO item SELECT g, g FROM generate_series(1, 50) g", "CREATE TABLE other (id integer PRIMARY KEY)")
	w.enable("item")
	ctx, stop := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := w.j.Run(ctx, journal.RunOptions{}); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	at := w.now()
	want := w.rows("item", []string{"id"}, []string{"v"})
	standby := func(name string) {
		w.exec("ALTER SYSTEM SET synchronous_standby_names = '"+name+"'", "SELECT pg_reload_conf()")
	}
	until := func(what, query string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); len(w.query(query)) == 0; {
			if time.Now().After(end) {
				t.Fatalf("%s: not in time", what)
			}
		}
	}
	standby("nobody")
	s, err := w.db.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	until("the setting", "SELECT 1 WHERE current_setting('synchronous_standby_names') = 'nobody'")
	both.Go(func() {
		if _, err := s.ExecContext(context.WithoutCancel(ctx), "SET synchronous_commit = on"); err != nil {
			t.Error(err)
		}
		if _, err := s.ExecContext(context.WithoutCancel(ctx), "TRUNCATE item"); err != nil {
			t.Error(err)
		}
	})
	until("the commit waits", "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	until("the reader has it", "SELECT 1 FROM pg_stat_replication WHERE sent_lsn >= pg_current_wal_flush_lsn()")
	// It asks for the transaction then, or has gone on without its rows.
	until("the reader asks", "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_visible_in_snapshot%' AND pid <> pg_backend_pid() UNION ALL SELECT 1 FROM dbrollback.dbrollback_journal_slot, pg_stat_replication WHERE lsn >= sent_lsn")
	standby("")
	w.exec("INSERT INTO item VALUES (1, 0)") // waits for the lock
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Error(err)
	}
	w.same("restored", want, w.rows("item", []string{"id"}, []string{"v"}))
	stop()
	both.Wait()
	w.disable("item")
}

// left lists what a database has of ours that a journal makes, and what it does to tables.
func (w *world) left() string {
	return strings.Join(w.query(`SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
		UNION ALL SELECT 'publication ' || pubname FROM pg_publication
		UNION ALL SELECT 'relation ' || relname FROM pg_class WHERE relname LIKE 'dbrollback_journal%'
		UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE proname LIKE 'dbrollback_journal%'
		UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE 'dbrollback%'
		UNION ALL (SELECT relname || ' ' || relreplident::text || coalesce((SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), '') FROM pg_class c
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1)`), "\n")
}

// TestSlotLeavesNothing: enable is cut off before each of its commands outside of the transaction, or within: it can be begun again, and disable
// leaves nothing behind. Replica identities are given back as they were.
func TestSlotLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := slotWorld(t, testdb.Postgres(t), item, `CREATE TABLE "Full" (id integer PRIMARY KEY)`, `ALTER TABLE "Full" REPLICA IDENTITY FULL`,
		"CREATE TABLE by_index (id integer PRIMARY KEY, o integer NOT NULL UNIQUE)", "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_o_key",
		"CREATE TABLE none (id integer PRIMARY KEY)", "ALTER TABLE none REPLICA IDENTITY NOTHING")
	all := []string{"item", "Full", "by_index", "none"}
	before := w.left()
	w.enable(all...)
	if got := w.left(); !strings.Contains(got, "item f") || !strings.Contains(got, "none f") {
		t.Errorf("enabled:\n%s", got)
	}
	w.exec("INSERT INTO item VALUES (1, 1)", `INSERT INTO "Full" VALUES (1)`)
	w.disable(all[1:]...)
	if got := w.left(); !strings.Contains(got, "by_index iby_index_o_key") || !strings.Contains(got, "item f") {
		t.Errorf("one is left:\n%s", got)
	}
	w.disable("item")
	if got := w.left(); got != before {
		t.Errorf("left behind:\n%s", testdb.Diff(before, got))
	}
	o := journal.Options{Source: journal.Slot}
	for n, more := 0, true; more; n++ {
		s, err := w.db.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = w.j.Prepare(ctx, &cut{s, n}, names(all), o)
		more = errors.Is(err, errCut)
		if err == nil {
			err = s.Tx(ctx, func(tx *sql.Tx) error { return w.j.Enable(ctx, &cut{tx, 9}, names(all), o, "test") })
		}
		s.Close()
		if !errors.Is(err, errCut) {
			t.Fatalf("cut off at %d: %v", n, err)
		}
		if n%2 == 0 { // somebody begins again, else somebody takes away what is left
			w.enable(all...)
			w.disable(all...)
		} else if err := w.j.Settle(ctx, w.db); err != nil {
			t.Fatal(err)
		}
		if got := w.left(); got != before {
			t.Errorf("cut off at %d, left behind:\n%s", n, testdb.Diff(before, got))
		}
	}
	// disable was cut off when its transaction had ended.
	w.enable("item")
	w.in(func(q engine.Querier) error { return w.j.Disable(ctx, q, names([]string{"item"})) })
	if err := w.j.Settle(ctx, w.db); err != nil {
		t.Fatal(err)
	}
	if got := w.left(); got != before {
		t.Errorf("left behind:\n%s", testdb.Diff(before, got))
	}
}

// TestSlotLost: the server took away what nobody had read. That is said, nothing is restored by it, and enable begins again.
func TestSlotLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := testdb.PrivatePostgres(t, "max_slot_wal_keep_size=1MB", "min_wal_size=2MB", "max_wal_size=2MB", "wal_keep_size=0")
	w := slotWorld(t, server.DSN, item, "INSERT INTO item VALUES (1, 1)", "CREATE TABLE other (id integer PRIMARY KEY)", "CREATE TABLE noise (x text)")
	w.enable("item", "other")
	at := w.now()
	w.exec("UPDATE item SET v = 2")
	lost := func() bool {
		return w.query("SELECT wal_status FROM pg_replication_slots")[0] == "lost"
	}
	for range 200 {
		if lost() {
			break
		}
		w.exec("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 2000)", "SELECT pg_switch_wal()", "CHECKPOINT")
	}
	if !lost() {
		t.Fatal("the slot is not lost")
	}
	all, err := w.j.Status(ctx, w.db)
	if err != nil || all[0].Recording || !strings.Contains(all[0].Why, "is lost") || all[0].Slot.Status != "lost" {
		t.Fatalf("%+v, %v", all, err)
	}
	var nothing *snapshot.NothingError
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at}); !errors.As(err, &nothing) || !strings.Contains(err.Error(), "is lost") {
		t.Errorf("restore: %v", err)
	}
	var refused *journal.RefusedError
	if _, err := w.j.Run(ctx, journal.RunOptions{UntilNow: true}); !errors.As(err, &refused) {
		t.Errorf("run: %v", err)
	}
	w.enable("item")
	at = w.now()
	w.exec("UPDATE item SET v = 3")
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Fatal(err)
	}
	w.same("begun again", map[string]string{"1": "2"}, w.rows("item", []string{"id"}, []string{"v"}))
	// The other one's is lost, though the slot is there again.
	if all, err = w.j.Status(ctx, w.db); err != nil || !all[0].Recording || all[1].Recording {
		t.Errorf("%+v, %v", all, err)
	}
	w.disable("item", "other")
}

// TestSlotWide: values that are too long to be in the log again when they do not change, keys among them, and a type of the user's under a search path of
// another schema.
func TestSlotWide(t *testing.T) {
	t.Parallel()
	w := slotWorld(t, testdb.Postgres(t), "CREATE SCHEMA odd", "CREATE TYPE odd.mood AS ENUM ('a', 'b')", "CREATE DOMAIN odd.small AS integer CHECK (value < 9)",
		"CREATE TABLE wide (id text PRIMARY KEY, big text, m odd.mood, d odd.small, n integer, g integer GENERATED ALWAYS AS (n * 2) STORED)", "ALTER TABLE wide ALTER big SET STORAGE EXTERNAL", "ALTER TABLE wide ALTER id SET STORAGE EXTERNAL",
		"INSERT INTO wide SELECT repeat(chr(64 + g), 2500), repeat(chr(64 + g), 20000), 'a', 3, g FROM generate_series(1, 5) g")
	w.enable("wide")
	at := w.now()
	read := func() map[string]string { return w.rows("wide", []string{"id"}, []string{"big", "m", "d", "n"}) }
	want := read()
	w.exec("UPDATE wide SET n = 0", "UPDATE wide SET m = 'b', d = NULL WHERE id LIKE 'A%'", "UPDATE wide SET id = 'short' WHERE id LIKE 'B%'", "DELETE FROM wide WHERE id LIKE 'C%'", "TRUNCATE wide", "INSERT INTO wide VALUES ('new', '', 'b', 8, 1)")
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"wide"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Fatal(err)
	}
	w.same("restored", want, read())
}

// TestSlotHole: what was written while the log lacked the old rows, or to a table that something else altered, is never gone back over; nor is what was
// read by somebody else.
func TestSlotHole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := slotWorld(t, testdb.Postgres(t), item)
	for what, statements := range map[string][]string{
		"identity":    {"ALTER TABLE item REPLICA IDENTITY DEFAULT", "UPDATE item SET v = 9", "ALTER TABLE item REPLICA IDENTITY FULL"},
		"publication": {"ALTER PUBLICATION dbrollback_journal DROP TABLE item", "UPDATE item SET v = 9"},
		"trigger":     {"ALTER TABLE item DISABLE TRIGGER USER", "TRUNCATE item"},
		"and again":   {"ALTER PUBLICATION dbrollback_journal DROP TABLE item", "UPDATE item SET v = 9", "ALTER PUBLICATION dbrollback_journal ADD TABLE item"},
		"untold":      {"ALTER TABLE item DISABLE TRIGGER USER", "TRUNCATE item", "DO $$ DECLARE n text; BEGIN SELECT tgname INTO n FROM pg_trigger WHERE tgrelid = 'item'::regclass; EXECUTE format('ALTER TABLE item ENABLE ALWAYS TRIGGER %I', n); END $$"},
		"retyped":     {"ALTER TABLE item ALTER v TYPE bigint", "UPDATE item SET v = 9", "ALTER TABLE item ALTER v TYPE integer"},
		"made anew":   {"ALTER TABLE item DROP v", "ALTER TABLE item ADD v integer DEFAULT 9"},
		"read":        {"UPDATE item SET v = 9", "SELECT count(*) FROM pg_logical_slot_get_binary_changes((SELECT slot FROM dbrollback.dbrollback_journal_slot), NULL, NULL, 'proto_version', '1', 'publication_names', 'dbrollback_journal')"},
		"dropped":     {"UPDATE item SET v = 9", "SELECT pg_drop_replication_slot((SELECT slot FROM dbrollback.dbrollback_journal_slot))"},
	} {
		w.exec("DELETE FROM item", "INSERT INTO item VALUES (1, 1), (2, 2)")
		w.enable("item")
		at := w.now()
		w.exec("UPDATE item SET v = v + 1 WHERE id = 1")
		w.exec(statements...)
		var nothing *snapshot.NothingError
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at}); !errors.As(err, &nothing) {
			t.Errorf("%s: %v", what, err)
		}
		if all, err := w.j.Status(ctx, w.db); err != nil || all[0].Recording {
			t.Errorf("%s: %+v, %v", what, all, err)
		}
		w.enable("item") // begins again
		at = w.now()
		want := w.rows("item", []string{"id"}, []string{"v"})
		w.exec("UPDATE item SET v = -1", "TRUNCATE item")
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		w.same(what, want, w.rows("item", []string{"id"}, []string{"v"}))
		w.disable("item")
	}
}

// TestSlotTakesOver: a slot takes over from triggers, and moments before that can be had still.
func TestSlotTakesOver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testdb.Postgres(t), item, "INSERT INTO item VALUES (1, 1), (2, 2)")
	w.enable("item")
	at := w.now()
	want := w.rows("item", []string{"id"}, []string{"v"})
	w.exec("UPDATE item SET v = 5")
	between := w.now()
	then := w.rows("item", []string{"id"}, []string{"v"})
	w.source = journal.Slot
	w.enable("item")
	w.exec("DELETE FROM item WHERE id = 1", "UPDATE item SET v = 7")
	h, err := w.j.History(ctx, w.db, names([]string{"item"})[0], []string{"1"}, 9)
	if err != nil || len(h.Entries) != 2 || h.Entries[0].Change != "deleted" || h.Entries[1].Change != "updated" {
		t.Errorf("%+v, %v", h, err)
	}
	for _, c := range []struct {
		at   time.Time
		want map[string]string
	}{{between, then}, {at, want}} {
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: c.at, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		w.same(c.at.String(), c.want, w.rows("item", []string{"id"}, []string{"v"}))
	}
	var refused *journal.RefusedError
	if err := w.try(func(q engine.Querier) error {
		return w.j.Enable(ctx, q, names([]string{"item"}), journal.Options{Source: journal.Trigger}, "test")
	}); !errors.As(err, &refused) {
		t.Errorf("back to triggers: %v", err)
	}
}
