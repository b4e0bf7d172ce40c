package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// open gives a log on a fresh database.
func open(t *testing.T, dsn string) (*engine.DB, *audit.Log) {
	t.Helper()
	db, err := engine.Open(t.Context(), dsn, engine.Options{LockTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	log := audit.New(db)
	if err := log.Ensure(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db, log
}

func entry(n int) audit.Entry {
	return audit.Entry{
		Run: fmt.Sprintf("run-%d", n), User: "ada@host", Action: "rollback", From: int64(n), To: int64(n - 1),
		Versions: []int64{int64(n)}, Outcome: audit.Done, DurationSeconds: 1.25,
		Tables:    []audit.Change{{Table: "public.users", Inserted: 1, Updated: 20000, Deleted: 3, Conflicts: 2}},
		NotUndone: []string{"mail: \"sent\"\n"}, Detail: map[string]string{"b": "2", "a": "1"},
	}
}

func appendAll(t *testing.T, db *engine.DB, log *audit.Log, n int) {
	t.Helper()
	for i := range n {
		if err := log.Append(t.Context(), db, entry(i+1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendAndList(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db, log := open(t, dsn)
		if err := log.Ensure(t.Context(), db); err != nil {
			t.Fatalf("a second Ensure: %v", err)
		}
		before := time.Now().UTC().Truncate(time.Microsecond)
		appendAll(t, db, log, 3)
		all, err := log.List(t.Context(), db, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 3 {
			t.Fatalf("%d entries, want 3", len(all))
		}
		got := all[0]
		if got.At.Before(before) || got.At.Location() != time.UTC {
			t.Errorf("At = %v, want UTC and not before %v", got.At, before)
		}
		if got.Prev != all[1].Hash || all[2].Prev != "" || len(got.Hash) != 64 || got.ID == "" {
			t.Errorf("chain: %q follows %q, first follows %q", got.Prev, all[1].Hash, all[2].Prev)
		}
		want := entry(3)
		want.ID, want.At, want.Prev, want.Hash = got.ID, got.At, got.Prev, got.Hash
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if two, err := log.List(t.Context(), db, 2); err != nil || len(two) != 2 || two[0].ID != got.ID {
			t.Errorf("List(2) = %v, %v", two, err)
		}
		if err := log.Verify(t.Context(), db, ""); err != nil {
			t.Error(err)
		}
	}, testdb.Everywhere()...)
}

// A log whose newest entries are gone is whole; the hash that somebody noted finds it out.
func TestNotedHash(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db, log := open(t, dsn)
		appendAll(t, db, log, 3)
		all, err := log.List(t.Context(), db, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if err := log.Verify(t.Context(), db, e.Hash); err != nil {
				t.Error(err)
			}
		}
		if _, err := db.ExecContext(t.Context(), "DELETE FROM "+db.Quote(db.Own("dbrollback_log"))+" WHERE number = 3"); err != nil {
			t.Fatal(err)
		}
		if err := log.Verify(t.Context(), db, all[1].Hash); err != nil {
			t.Error(err)
		}
		var broken *audit.BrokenError
		if err := log.Verify(t.Context(), db, all[0].Hash); !errors.As(err, &broken) || broken.Number != 3 {
			t.Errorf("the newest entry is gone: %v", err)
		}
	}, testdb.Everywhere()...)
}

func TestWithoutLog(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db, err := engine.Open(t.Context(), dsn, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		log := audit.New(db)
		if all, err := log.List(t.Context(), db, 0); err != nil || len(all) != 0 {
			t.Errorf("List = %v, %v", all, err)
		}
		if err := log.Verify(t.Context(), db, ""); err != nil {
			t.Error(err)
		}
	}, testdb.Everywhere()...)
}

func TestAppendIsPartOfTheRun(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db, log := open(t, dsn)
		s, err := db.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		failed := errors.New("the run failed")
		err = s.Tx(t.Context(), func(tx *sql.Tx) error {
			if err := log.Append(t.Context(), tx, entry(1)); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		err = s.Tx(t.Context(), func(tx *sql.Tx) error { return log.Append(t.Context(), tx, entry(2)) })
		if err != nil {
			t.Fatal(err)
		}
		all, err := log.List(t.Context(), db, 0)
		if err != nil || len(all) != 1 || all[0].Run != "run-2" {
			t.Fatalf("List = %+v, %v; want the second run alone", all, err)
		}
	}, testdb.Everywhere()...)
}

// Whatever is changed in the table later is found, and the first entry that it touches is named.
func TestTampering(t *testing.T) {
	log := func(db *engine.DB) string { return db.Quote(db.Own("dbrollback_log")) }
	for name, c := range map[string]struct {
		sql    string
		number int64
		reason string
	}{
		"text":         {"UPDATE %s SET entry = replace(entry, 'ada@host', 'eve@host') WHERE number = 2", 2, "its text is not"},
		"column":       {"UPDATE %s SET username = 'eve@host' WHERE number = 3", 3, "its columns do not"},
		"time":         {"UPDATE %s SET at = '2020-01-01T00:00:00.000000Z' WHERE number = 1", 1, "its columns do not"},
		"hash":         {"UPDATE %s SET hash = replace(replace(hash, '0', 'x'), '1', 'x') WHERE number = 2", 2, "its text is not"},
		"removed":      {"DELETE FROM %s WHERE number = 2", 2, "it is missing"},
		"first":        {"DELETE FROM %s WHERE number = 1", 1, "it is missing"},
		"renumbered":   {"UPDATE %s SET number = -number; DELETE FROM %[1]s WHERE number = -2; UPDATE %[1]s SET number = CASE number WHEN -1 THEN 1 ELSE -number - 1 END", 2, "does not follow"},
		"outcome":      {"UPDATE %s SET outcome = 'failed' WHERE number = 4", 4, "its columns do not"},
		"unlinked":     {"UPDATE %s SET prev = 'x' WHERE number = 3", 3, "does not follow"},
		"not readable": {"UPDATE %s SET entry = '{' WHERE number = 2", 2, "its text is not"},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				db, l := open(t, dsn)
				appendAll(t, db, l, 4)
				for _, statement := range strings.Split(fmt.Sprintf(c.sql, log(db)), "; ") {
					if _, err := db.ExecContext(t.Context(), statement); err != nil {
						t.Fatal(err)
					}
				}
				var broken *audit.BrokenError
				if err := l.Verify(t.Context(), db, ""); !errors.As(err, &broken) {
					t.Fatalf("Verify = %v, want a BrokenError", err)
				}
				if broken.Number != c.number || !strings.Contains(broken.Reason, c.reason) {
					t.Errorf("Verify = %v, want entry %d: %s", broken, c.number, c.reason)
				}
				if _, err := l.List(t.Context(), db, 0); err != nil {
					t.Errorf("List of a broken log: %v", err)
				}
			}, testdb.Everywhere()...)
		})
	}
}

func TestConcurrentAppends(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		const writers, each = 6, 10
		db, log := open(t, dsn)
		g, ctx := errgroup.WithContext(t.Context())
		for w := range writers {
			g.Go(func() error { return appendFrom(ctx, db, log, w, each) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		all, err := log.List(t.Context(), db, 0)
		if err != nil || len(all) != writers*each {
			t.Fatalf("%d entries, %v; want %d", len(all), err, writers*each)
		}
		if err := log.Verify(t.Context(), db, ""); err != nil {
			t.Error(err)
		}
	}, testdb.Everywhere()...)
}

// appendFrom appends in transactions as runs do, and every other time on the database itself.
func appendFrom(ctx context.Context, db *engine.DB, log *audit.Log, writer, n int) error {
	s, err := db.Session(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	for i := range n {
		e := entry(writer*100 + i)
		if i%2 == 0 {
			err = s.Tx(ctx, func(tx *sql.Tx) error { return log.Append(ctx, tx, e) })
		} else {
			err = log.Append(ctx, s, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What comes from outside, a user's name above all, must not make a run fail.
func TestOddNames(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db, log := open(t, dsn)
		e := entry(1)
		e.User = "b\xffd\x00" + strings.Repeat("ö", 400)
		e.Error = "broken \xff\x00"
		if err := log.Append(t.Context(), db, e); err != nil {
			t.Fatal(err)
		}
		if err := log.Verify(t.Context(), db, ""); err != nil {
			t.Error(err)
		}
		all, err := log.List(t.Context(), db, 1)
		if err != nil || len(all) != 1 || !strings.HasPrefix(all[0].User, "b\uFFFDd\uFFFDö") {
			t.Errorf("List = %+v, %v", all, err)
		}
	}, testdb.Everywhere()...)
}
