package journal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

var errCut = errors.New("the connection is gone")

// cut is a connection that is lost before its n-th command.
type cut struct {
	engine.Querier
	left int
}

func (c *cut) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if c.left == 0 {
		return nil, errCut
	}
	c.left--
	return c.Querier.ExecContext(ctx, query, args...)
}

// TestCutOff: enable and disable are cut off before each of their commands, where definitions commit by themselves. The application writes on,
// status never says that the table is recorded when it is not, enable begins again, and disable leaves nothing behind.
func TestCutOff(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		w := newWorld(t, dsn, item)
		cutOff := func(n int, f func(q engine.Querier) error) bool {
			s, err := w.db.Session(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			mode, err := engine.Texts(ctx, s, "SELECT @@SESSION.sql_mode")
			if err != nil {
				t.Fatal(err)
			}
			c := &cut{s, n}
			err = f(c)
			if err != nil && !errors.Is(err, errCut) {
				t.Fatalf("cut off at %d: %v", n, err)
			}
			if err != nil { // what the session was set to goes with the connection
				if _, err := s.ExecContext(ctx, "SET SESSION sql_mode = '"+mode[0]+"'"); err != nil {
					t.Fatal(err)
				}
			}
			return err != nil
		}
		recording := func() bool {
			all, err := w.j.Status(ctx, w.db)
			if err != nil {
				t.Fatal(err)
			}
			return len(all) == 1 && all[0].Recording
		}
		// useful: what is written from now on can be gone back over.
		useful := func(what string) {
			t.Helper()
			at := w.now()
			want := w.rows("item", []string{"id"}, []string{"v"})
			w.exec("UPDATE item SET v = v + 1", "DELETE FROM item WHERE id = 1", "INSERT INTO item VALUES (1000, 7)")
			if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			w.same(what, want, w.rows("item", []string{"id"}, []string{"v"}))
		}
		nothing := func(what string) {
			t.Helper()
			if left := w.query("SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE 'dbrollback_journal%' UNION ALL SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()"); len(left) > 0 {
				t.Fatalf("%s: left behind: %v", what, left)
			}
		}
		enable := func(q engine.Querier) error {
			return w.j.Enable(ctx, q, names([]string{"item"}), journal.Options{}, "test")
		}
		disable := func(q engine.Querier) error { return w.j.Disable(ctx, q, names([]string{"item"})) }
		for n := 0; ; n++ {
			w.exec("DELETE FROM item", "INSERT INTO item VALUES (1, 1), (2, 2)")
			was := cutOff(n, enable)
			w.exec("INSERT INTO item VALUES (3, 3)")
			if recording() {
				useful(fmt.Sprintf("enable, cut off at %d, which says that it records", n))
			} else if !was {
				t.Fatal("enabled, and not recording")
			}
			w.in(enable)
			useful(fmt.Sprintf("enabled after it was cut off at %d", n))
			w.in(disable)
			nothing(fmt.Sprintf("enable cut off at %d", n))
			if !was {
				break
			}
		}
		for n := 0; ; n++ {
			w.in(enable)
			was := cutOff(n, disable)
			w.exec("DELETE FROM item", "INSERT INTO item VALUES (1, 1), (2, 2)")
			if !was {
				break
			}
			w.in(enable)
			useful(fmt.Sprintf("enabled after disable was cut off at %d", n))
			w.in(disable)
			nothing(fmt.Sprintf("disable cut off at %d", n))
		}
		nothing("disabled")
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestNoRoom: where the journal finds no room, the write that it was to record fails as a whole, and says so to the application; what
// was written before can be gone back over.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, testdb.SQLite(t), "CREATE TABLE item (id integer NOT NULL PRIMARY KEY, v text)")
	for i := range 30 {
		w.exec(fmt.Sprintf("INSERT INTO item VALUES (%d, '%s')", i, strings.Repeat("x", 500)))
	}
	w.enable("item")
	at, before := w.now(), w.rows("item", []string{"id"}, []string{"v"})
	conn, err := w.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var pages int
	if err := conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA max_page_count = "+strconv.Itoa(pages+2)); err != nil {
		t.Fatal(err)
	}
	written := 0
	for ; written < 30; written++ { // the row itself grows by nothing: it is the record of it that needs room
		if _, err = conn.ExecContext(ctx, fmt.Sprintf("UPDATE item SET v = '%s' WHERE id = %d", strings.Repeat("y", 500), written)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "full") || written == 0 {
		t.Fatalf("%d writes, then %v; want some, and then that the database is full", written, err)
	}
	if n := len(w.query("SELECT id FROM item WHERE v LIKE 'y%'")); n != written {
		t.Errorf("%d rows are written, and %d writes were said to be", n, written)
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Fatal(err)
	}
	w.same("restored", before, w.rows("item", []string{"id"}, []string{"v"}))
}

// TestNoRoomOnPostgres is the same there: the file of the journal may not grow, and the table has room.
func TestNoRoomOnPostgres(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t, "autovacuum=off")
	setup := []string{"CREATE TABLE item (id integer NOT NULL PRIMARY KEY, v text)", "INSERT INTO item SELECT g, repeat('x', 500) FROM generate_series(1, 2500) g"}
	w := newWorld(t, server.DSN, setup...)
	w.enable("item")
	for i := range 4 { // the journal becomes larger than the table, and the table has room
		w.exec(fmt.Sprintf("UPDATE item SET v = repeat('%d', 500)", i), "VACUUM item")
	}
	at, before := w.now(), w.rows("item", []string{"id"}, []string{"v"})
	size, err := strconv.ParseInt(w.query("SELECT max(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'dbrollback'::regnamespace AND relkind = 'r'")[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	server.Quota(size + 4096)
	application := testdb.Open(t, server.DSN)
	written := 0
	for ; written < 2500; written++ {
		if _, err = application.Exec(fmt.Sprintf("UPDATE item SET v = repeat('y', 500) WHERE id = %d", written+1)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "dbrollback") && !strings.Contains(err.Error(), "could not extend file") && !strings.Contains(err.Error(), "could not write") {
		t.Fatalf("%d writes, then %v; want that there is no room", written, err)
	}
	server.Quota(0)
	w = newWorld(t, server.DSN)
	if n := len(w.query("SELECT id FROM item WHERE v LIKE 'y%'")); n != written {
		t.Errorf("%d rows are written, and %d writes were said to be", n, written)
	}
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Fatal(err)
	}
	w.same("restored", before, w.rows("item", []string{"id"}, []string{"v"}))
}
