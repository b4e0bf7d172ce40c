package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestBinlogRefusals: what the log cannot tell is refused by what is wrong with it, and nothing is written.
func TestBinlogRefusals(t *testing.T) {
	t.Parallel()
	server := testdb.PrivateMySQL(t, "gtid-mode=ON", "enforce-gtid-consistency=ON")
	w := logged(t, server.DSN)
	s, err := w.db.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run := func(queries ...string) {
		t.Helper()
		for _, q := range queries {
			if _, err := s.ExecContext(context.Background(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	var first time.Time
	for i, c := range []struct {
		name, want string
		queries    []string
	}{
		{"several files", "", []string{"FLUSH BINARY LOGS", "UPDATE @ SET v = 7", "FLUSH BINARY LOGS", "DELETE FROM @ WHERE id = 2", "FLUSH BINARY LOGS"}},
		{"other tables", "", []string{"TRUNCATE TABLE other", "DROP TABLE other", "UPDATE @ SET v = 7"}},
		{"not understood, of another database", "", []string{"CREATE DATABASE elsewhere", "USE elsewhere", "CREATE TABLE @ (g geometry)", "UPDATE #.@ SET v = 7", "DROP TABLE @", "USE #"}},
		{"not understood", "which is not understood and may have changed t", []string{"ALTER TABLE @ ADD COLUMN g geometry"}},
		{"routines", "", []string{"CREATE PROCEDURE p() UPDATE @ SET v = 8", "CREATE TRIGGER g BEFORE UPDATE ON @ FOR EACH ROW SET NEW.v = 8", "CALL p()", "DROP PROCEDURE p"}},
		{"truncate", "TRUNCATE TABLE stands there", []string{"TRUNCATE TABLE @"}},
		{"minimal", "are in it in part only (binlog_row_image was not FULL)", []string{"SET SESSION binlog_row_image = 'MINIMAL'", "UPDATE @ SET v = 7", "SET SESSION binlog_row_image = 'FULL'"}},
		{"json in part", "binlog_row_value_options was PARTIAL_JSON", []string{"SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", "UPDATE @ SET j = JSON_SET(j, '$.a', 'y')", "SET SESSION binlog_row_value_options = ''"}},
		{"statement", "it holds a statement instead of rows (UPDATE)", []string{"SET SESSION binlog_format = 'STATEMENT'", "UPDATE @ SET v = 7", "SET SESSION binlog_format = 'ROW'"}},
		{"distributed", "a distributed transaction (XA)", []string{"XA START 'x'", "UPDATE @ SET v = 7", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"}},
		{"rolled back", "", []string{"BEGIN", "UPDATE @ SET v = 7", "INSERT INTO aside VALUES (1)", "ROLLBACK"}},
	} {
		table := fmt.Sprintf("t%d", i)
		run("CREATE TABLE "+table+" (id int PRIMARY KEY, v int, j json)", "INSERT INTO "+table+" VALUES (1, 1, JSON_OBJECT('a', repeat('x', 100), 'b', repeat('x', 500))), (2, 2, JSON_OBJECT('a', repeat('x', 100)))",
			"CREATE TABLE IF NOT EXISTS other (id int)", "CREATE TABLE IF NOT EXISTS aside (id int)")
		was := w.rows(table, []string{"id"}, []string{"v", "j"})
		at := w.moment()
		if i == 0 {
			first = at
		}
		for _, q := range c.queries {
			run(strings.NewReplacer("@", table, "#", w.db.Target.Database).Replace(q))
		}
		now := w.rows(table, []string{"id"}, []string{"v", "j"})
		err := w.fromBinlog(snapshot.Ask{Tables: names([]string{table}), At: at, Mode: snapshot.Replace})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			w.same(c.name, was, w.rows(table, []string{"id"}, []string{"v", "j"}))
			continue
		}
		var nothing *snapshot.NothingError
		if !errors.As(err, &nothing) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		w.same(c.name, now, w.rows(table, []string{"id"}, []string{"v", "j"}))
	}
	// Files that are gone.
	run("FLUSH BINARY LOGS")
	run("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
	if err := w.fromBinlog(snapshot.Ask{Tables: names([]string{"t0"}), At: first}); err == nil || !strings.Contains(err.Error(), "the binary log goes back to") {
		t.Errorf("purged: %v", err)
	}
	for setting, want := range map[string][2]string{"binlog_row_image": {"MINIMAL", "rows in part only"}, "binlog_format": {"MIXED", "statements instead of rows"}} {
		run("SET GLOBAL " + setting + " = '" + want[0] + "'")
		if err := w.fromBinlog(snapshot.Ask{Tables: names([]string{"t0"}), At: first}); err == nil || !strings.Contains(err.Error(), want[1]) {
			t.Errorf("%s: %v", setting, err)
		}
		run("SET GLOBAL " + setting + " = DEFAULT")
	}
}

// TestBinlogWriters: writers go on while rows come back. All that was there then is there again, and a row that somebody makes anew
// meanwhile is not taken for the one that was gone.
func TestBinlogWriters(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		w := logged(t, dsn, item)
		w.exec("INSERT INTO item SELECT a.n * 10 + b.n, 0 FROM (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3) a, (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) b")
		want := w.rows("item", []string{"id"}, []string{"v"})
		at := w.moment()
		var stop atomic.Bool
		var wg sync.WaitGroup
		w.exec("INSERT INTO item VALUES (100, -7), (101, -7), (102, -7)", "DELETE FROM item WHERE id >= 100")
		for i := range 3 {
			wg.Go(func() {
				for n := 0; n < 200 && !stop.Load(); n++ { // so many that the last restores are alone
					_, _ = w.db.Exec(fmt.Sprintf("INSERT INTO item VALUES (%d, 1)", 100+i))
					_, _ = w.db.Exec(fmt.Sprintf("DELETE FROM item WHERE id = %d", 100+i))
					_, _ = w.db.Exec(fmt.Sprintf("INSERT INTO item VALUES (%d, 2)", 1000+1000*i+n))
				}
			})
		}
		restored := 0
		for try := range 8 {
			w.exec("UPDATE item SET v = 9 WHERE id < 100", fmt.Sprintf("DELETE FROM item WHERE id < 100 AND id %% 3 = %d", try%3))
			err := w.fromBinlog(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: []snapshot.Mode{snapshot.Replace, snapshot.Merge}[try%2]})
			e, server := engine.AsError(err)
			switch {
			case err == nil:
				restored++
			case server && e.Class == engine.LockTimeout: // it has to be begun again
				continue
			default:
				t.Errorf("%v", err)
			}
			if got := w.query("SELECT count(*) FROM item WHERE id >= 100 AND v = -7"); got[0] != "0" {
				t.Errorf("%s rows came back that were gone then", got)
			}
			got := w.rows("item", []string{"id"}, []string{"v"})
			for k := range got {
				if _, then := want[k]; !then {
					delete(got, k)
				}
			}
			w.same("with writers", want, got)
		}
		stop.Store(true)
		wg.Wait()
		if err := w.fromBinlog(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		w.same("in the end", want, w.rows("item", []string{"id"}, []string{"v"}))
		t.Logf("%d of 8 at the first try", restored)
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestBinlogSavepoints: MariaDB has a part of a transaction that was rolled back in its log when a table without transactions was written in it. What was written
// before it and after it comes back, and nothing of it.
func TestBinlogSavepoints(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		w := logged(t, dsn, "CREATE TABLE aside (id int) ENGINE=MyISAM")
		for i, c := range []struct {
			want   string
			writes []string
		}{
			{"", []string{"UPDATE @ SET v = 7 WHERE id = 1", "SAVEPOINT a", "DELETE FROM @ WHERE id = 2", "INSERT INTO @ VALUES (9, 9)", "INSERT INTO aside VALUES (1)", "ROLLBACK TO SAVEPOINT a", "UPDATE @ SET v = 8 WHERE id = 3"}},
			{"", []string{"SAVEPOINT `a`", "DELETE FROM @", "INSERT INTO aside VALUES (1)", "rollback work to A", "UPDATE @ SET v = 8 WHERE id = 3", "SAVEPOINT b", "DELETE FROM @", "ROLLBACK TO b"}},
			{"", []string{"INSERT INTO aside VALUES (1)", "SAVEPOINT a", "UPDATE @ SET v = 5 WHERE id = 1", "SAVEPOINT b", "DELETE FROM @", "SAVEPOINT a", "INSERT INTO @ VALUES (1, 1)", "ROLLBACK TO a", "INSERT INTO @ VALUES (2, 9)", "ROLLBACK TO b", "DELETE FROM @ WHERE id = 3"}},
			{"a part of a transaction", []string{"INSERT INTO aside VALUES (1)", "SAVEPOINT `ä`", "DELETE FROM @ WHERE id = 2", "ROLLBACK TO `ä`", "UPDATE @ SET v = 8 WHERE id = 3"}},
		} {
			table := fmt.Sprintf("s%d", i)
			w.exec("CREATE TABLE "+table+" (id int PRIMARY KEY, v int)", "INSERT INTO "+table+" VALUES (1, 1), (2, 2), (3, 3)")
			at, was := w.moment(), w.rows(table, []string{"id"}, []string{"v"})
			tx, err := w.db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range c.writes {
				if _, err := tx.ExecContext(t.Context(), strings.ReplaceAll(q, "@", table)); err != nil {
					t.Fatalf("%s: %v", q, err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			now := w.rows(table, []string{"id"}, []string{"v"})
			err = w.fromBinlog(snapshot.Ask{Tables: names([]string{table}), At: at, Mode: snapshot.Replace})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%d: %v; want %q", i, err, c.want)
				}
				was, err = now, nil
			}
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			w.same(fmt.Sprintf("restored %d", i), was, w.rows(table, []string{"id"}, []string{"v"}))
		}
	}, testdb.OnMariaDB)
}
