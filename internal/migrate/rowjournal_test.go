package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// serverTime is a moment by the server's clock, apart from what was written before and what comes after.
func serverTime(t *testing.T, dsn string) time.Time {
	t.Helper()
	query := "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
	switch {
	case strings.HasPrefix(dsn, "postgres"):
		query = `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	case !strings.HasPrefix(dsn, "sqlite"):
		query = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')"
	}
	read := func() time.Time {
		at, err := time.Parse(time.RFC3339Nano, testdb.Query(t, dsn, query)[0])
		if err != nil {
			t.Fatal(err)
		}
		return at.Truncate(time.Millisecond)
	}
	next := func(after time.Time) time.Time {
		for {
			if at := read(); at.After(after) {
				return at
			}
		}
	}
	at := next(read())
	next(at)
	return at
}

// TestJournalFollowsMigrations: what changes the shape of a journalled table, and its rows; restore to before works where every change is
// known, and is refused where it is not. Nothing of it is drift, and disable leaves the database as it was.
func TestJournalFollowsMigrations(t *testing.T) {
	t.Parallel()
	journalFollows(t, journal.Trigger, testdb.Everywhere()...)
}

// TestSlotFollowsMigrations: the same with a replication slot, of which the reader comes after all of it.
func TestSlotFollowsMigrations(t *testing.T) {
	t.Parallel()
	journalFollows(t, journal.Slot, testdb.OnPostgres)
}

func journalFollows(t *testing.T, source string, engines ...testdb.Engine) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		const make = "CREATE TABLE note (id integer NOT NULL PRIMARY KEY, body varchar(40), c integer)"
		f := newFixture(t, dsn, make+";\nINSERT INTO note VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)", map[string]string{
			"00001_add.sql":  migration("ALTER TABLE note ADD COLUMN d integer DEFAULT 7;\nUPDATE note SET body = 'by migration' WHERE id = 1;", "ALTER TABLE note DROP COLUMN d;"),
			"00002_drop.sql": migration("ALTER TABLE note DROP COLUMN c;", "ALTER TABLE note ADD COLUMN c integer;"),
			"00003_gone.sql": migration("DROP TABLE note;", strings.Replace(make, ", c integer", ", d integer DEFAULT 7", 1)+";"),
		})
		ctx := context.Background()
		before := f.dump()
		enable := func(m *migrate.Migrator) {
			t.Helper()
			if _, err := m.EnableJournal(ctx, tables("note"), journal.Options{Keep: time.Hour, Source: source}); err != nil {
				t.Fatal(err)
			}
		}
		up := func(to int64) *migrate.Result {
			t.Helper()
			res, err := f.open().Up(ctx, migrate.UpRequest{To: to})
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		bodies := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT body FROM note ORDER BY id"), " ")
		}
		to := func(at time.Time, mode snapshot.Mode) error {
			_, err := f.open().Restore(ctx, migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("note"), At: at, Mode: mode}, Write: true})
			return err
		}
		enable(f.open())
		f.exec("UPDATE note SET body = 'changed' WHERE id = 2;\nDELETE FROM note WHERE id = 3")
		first := serverTime(t, dsn)
		was := bodies()
		f.exec("INSERT INTO note VALUES (3, 'again', 3)")
		up(1)
		f.exec("UPDATE note SET d = 8;\nINSERT INTO note VALUES (4, 'four', 4, 4)")
		second := serverTime(t, dsn)
		then := bodies()
		if err := to(first, snapshot.Replace); err != nil {
			t.Fatalf("over an added column: %v", err)
		}
		if got := bodies(); got != was {
			t.Errorf("over an added column: %s, want %s", got, was)
		}
		if err := to(second, snapshot.Replace); err != nil {
			t.Fatal(err)
		}
		if got := bodies(); got != then {
			t.Errorf("and back: %s, want %s", got, then)
		}
		if got := strings.Join(testdb.Query(t, dsn, "SELECT d FROM note ORDER BY id"), " "); got != "8 8 8 4" {
			t.Errorf("the added column is %s", got)
		}
		if res := up(2); len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "begins anew") {
			t.Errorf("warnings = %q", res.Warnings)
		}
		var nothing *snapshot.NothingError
		if err := to(second, snapshot.Merge); !errors.As(err, &nothing) || !strings.Contains(err.Error(), "goes from") {
			t.Errorf("over a dropped column: %v, want a refusal that names the span", err)
		}
		f.exec("UPDATE note SET body = 'later' WHERE id = 1")
		third := serverTime(t, dsn)
		then = bodies()
		f.exec("DELETE FROM note")
		if err := to(third, snapshot.Merge); err != nil {
			t.Fatal(err)
		}
		if got := bodies(); got != then {
			t.Errorf("after the column was dropped: %s, want %s", got, then)
		}
		if res := up(3); len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "ends") {
			t.Errorf("warnings = %q", res.Warnings)
		}
		for range 3 {
			if _, err := f.open().Rollback(ctx, migrate.RollbackRequest{Steps: 1, To: -1}); err != nil {
				t.Fatal(err)
			}
		}
		all, err := f.open().JournalStatus(ctx)
		if err != nil || len(all) != 1 || !all[0].Recording {
			t.Fatalf("status = %+v, %v", all, err)
		}
		fourth := serverTime(t, dsn)
		then = bodies()
		f.exec("UPDATE note SET body = NULL")
		if err := to(fourth, snapshot.Merge); err != nil {
			t.Fatal(err)
		}
		if got := bodies(); got != then {
			t.Errorf("after the table came back: %s, want %s", got, then)
		}
		if _, err := f.open().DisableJournal(ctx, tables("note")); err != nil {
			t.Fatal(err)
		}
		f.exec("DELETE FROM note;\nINSERT INTO note (id, body, c) VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)")
		if got := f.dump(); got != before {
			t.Errorf("something was left behind:\n%s", testdb.Diff(before, got))
		}
	}, engines...)
}

// TestWithinMigration: a moment within a migration that changed rows first, and then the shape of the table: nobody had seen those changes yet.
func TestWithinMigration(t *testing.T) {
	t.Parallel()
	for _, source := range []string{journal.Trigger, journal.Slot} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			f := newFixture(t, dsn, "CREATE TABLE note (id integer NOT NULL PRIMARY KEY, body text);\nINSERT INTO note VALUES (1, 'one'), (2, 'two');\nCREATE TABLE moments (at timestamptz)", map[string]string{
				"00001_long.sql": migration("UPDATE note SET body = 'by migration' WHERE id = 1;\nALTER TABLE note ADD COLUMN d integer;\nINSERT INTO moments SELECT clock_timestamp();\nUPDATE note SET d = 1;", "ALTER TABLE note DROP COLUMN d;"),
			})
			ctx := context.Background()
			if _, err := f.open().EnableJournal(ctx, tables("note"), journal.Options{Source: source}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.open().Up(ctx, migrate.UpRequest{}); err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse("2006-01-02 15:04:05.999999-07", testdb.Query(t, dsn, "SELECT (at + interval '1 microsecond')::text FROM moments")[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.open().Restore(ctx, migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("note"), At: at, Mode: snapshot.Replace}, Write: true}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(testdb.Query(t, dsn, "SELECT body FROM note ORDER BY id"), " "); got != "one two" {
				t.Errorf("as of %s: %s", at, got)
			}
		})
	}
}

// TestTwoJournalRestoresAtOnce: two restores of one table to two moments of its journal: one comes after the other, so that the table is as at the one
// moment or as at the other, never between.
func TestTwoJournalRestoresAtOnce(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		fill(t, dsn)
		program := func(args ...string) testdb.Result {
			return testdb.Run(t, testdb.Command{Args: append(args, "--no-progress", "--lock-timeout", "60s", "--dsn", dsn)})
		}
		if r := program("journal", "enable", "people"); r.Code != 0 {
			t.Fatal(r)
		}
		read := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT id, name, score, note FROM people ORDER BY id"), "\n")
		}
		var at, want [2]string
		for i := range at {
			at[i], want[i] = serverTime(t, dsn).Format(time.RFC3339Nano), read()
			testdb.Exec(t, dsn, fmt.Sprintf("UPDATE people SET score = score + %d WHERE id %% 2 = %d", 100*(i+1), i),
				fmt.Sprintf("DELETE FROM people WHERE id %% 7 = %d AND id NOT IN (SELECT person_id FROM orders)", i), fmt.Sprintf("INSERT INTO people (id, name, score) VALUES (%d, 'later', 1)", 90001+i))
		}
		for round := range 2 {
			var both sync.WaitGroup
			var results [2]testdb.Result
			for i := range at {
				both.Go(func() {
					results[i] = program("restore", "--table", "people", "--at", at[i], "--mode", "replace", "--yes")
				})
			}
			both.Wait()
			for _, r := range results {
				if r.Code != 0 {
					t.Errorf("round %d: %v", round, r)
				}
			}
			if got := read(); got != want[0] && got != want[1] {
				t.Errorf("round %d: the table is as at neither moment:\n%.2000s", round, testdb.Diff(want[0], got))
			}
		}
	}, testdb.Everywhere()...)
}

// TestJournalRestoreKilled: SIGKILL at random instants of a restore from the journal, or from the server's own log. The table is as before or as after, the journal goes
// on, and the same command again reaches the end.
func TestJournalRestoreKilled(t *testing.T) {
	t.Parallel()
	t.Run("journal", func(t *testing.T) { journalRestoreKilled(t, "journal", testdb.Everywhere()...) })
	t.Run("binlog", func(t *testing.T) { journalRestoreKilled(t, "binlog", family...) })
}

func journalRestoreKilled(t *testing.T, source string, engines ...testdb.Engine) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, dsn string) {
		fill(t, dsn)
		run := func(args ...string) testdb.Result {
			t.Helper()
			r := testdb.Run(t, testdb.Command{Args: append(args, "--no-progress", "--lock-timeout", "30s", "--dsn", dsn)})
			if r.Code != 0 {
				t.Fatal(r)
			}
			return r
		}
		dump := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT id FROM people ORDER BY id"), " ") + strings.Join(testdb.Query(t, dsn, "SELECT name FROM people ORDER BY id"), " ") + strings.Join(testdb.Query(t, dsn, "SELECT coalesce(sum(score), 0) FROM people"), " ")
		}
		begun := serverTime(t, dsn)
		if source == "journal" {
			run("journal", "enable", "people")
		} else {
			for serverTime(t, dsn).Unix() == begun.Unix() { // MariaDB's log knows whole seconds
			}
		}
		at := serverTime(t, dsn)
		for source == "binlog" && serverTime(t, dsn).Unix() == at.Unix() {
		}
		was := dump()
		write := func() string {
			testdb.Exec(t, dsn, "UPDATE people SET score = -1, name = 'app' WHERE id % 3 = 0", "DELETE FROM people WHERE id % 7 = 0 AND id NOT IN (SELECT person_id FROM orders)", "INSERT INTO people (id, name, score) VALUES (90001, 'later', 1)")
			return dump()
		}
		args := []string{"restore", "--table", "people", "--at", at.Format(time.RFC3339Nano), "--mode", "replace", "--yes"}
		if source == "binlog" {
			args = append(args, "--from-binlog")
		}
		written := write()
		took := run(args...).Took
		if got := dump(); got != was {
			t.Fatalf("not as it was:\n%s", testdb.Diff(was, got))
		}
		rng := rand.New(rand.NewPCG(drawn(t), 0))
		killed := 0
		for range max(3, kills(t)/2) {
			if got := write(); got != written {
				t.Fatalf("the writes made something else:\n%s", testdb.Diff(written, got))
			}
			r := testdb.Run(t, testdb.Command{Args: append(args, "--no-progress", "--dsn", dsn), KillAfter: time.Duration(rng.Int64N(int64(took)))})
			if r.Killed {
				killed++
			}
			run(args...)
			if got := dump(); got != was {
				t.Fatalf("again, after a kill: not as it was:\n%s", testdb.Diff(was, got))
			}
		}
		if killed == 0 {
			t.Error("no run was killed: each was faster than its kill")
		}
	}, engines...)
}
