package migrate_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const twins = "CREATE TABLE a (id integer PRIMARY KEY, v varchar(200));\nCREATE TABLE b (id integer PRIMARY KEY, v varchar(200));\nCREATE TABLE c (id integer PRIMARY KEY, v varchar(200));\n"

// both writes a row into each table of twins, in one transaction.
func (f *fixture) both(ctx context.Context, id int) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, t := range []string{"a", "b", "c"} {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s VALUES (%d, 'some value of the row')", t, id)); err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	return tx.Commit()
}

// TestTablesAreOfOneMoment: a snapshot of several tables, of which each transaction writes to all, has the same rows of each, and nobody waits for the copy.
func TestTablesAreOfOneMoment(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, twins, nil)
		for id := range 300 {
			if err := f.both(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3 {
			for _, n := range []string{"a", "b", "c"} { // enough that a copy takes a while
				f.exec(fmt.Sprintf("INSERT INTO %s SELECT x.id * 1000 + y.id + %d, 'more' FROM %s x, %s y WHERE x.id < 60 AND y.id < 300;", n, 1000000*(i+1), n, n))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for w := range 2 {
			done.Go(func() {
				for id := 10000 + w; ctx.Err() == nil; id += 2 {
					if err := f.both(ctx, id); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 3 {
			sn, err := f.open().CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("a", "b", "c")})
			if err != nil {
				t.Error(err)
				break
			}
			if rows := sn.Captures; len(rows) != 3 || rows[0].Rows != rows[1].Rows || rows[0].Rows != rows[2].Rows || !rows[0].CapturedAt.Equal(rows[2].CapturedAt) {
				t.Errorf("captures: %+v", rows)
			}
		}
		cancel()
		done.Wait()
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestTablesBesideAnOpenTransaction: who has written and not committed is waited for, where a moment can be had in no other way. When that takes too long nothing is left behind.
func TestTablesBesideAnOpenTransaction(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, twins, nil)
		if err := f.both(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		tx, err := f.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(t.Context(), "UPDATE b SET v = 'open'"); err != nil {
			t.Fatal(err)
		}
		impatient, err := engine.Open(t.Context(), dsn, engine.Options{LockTimeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = impatient.Close() }()
		m, err := migrate.Open(t.Context(), migrate.Options{DB: impatient, Files: f.files, Dir: "migrations"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("a", "b")})
		if strings.HasPrefix(dsn, "postgres") {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if e, ok := engine.AsError(err); !ok || e.Class != engine.LockTimeout {
			t.Fatalf("err = %v, want a lock that was not obtained", err)
		}
		held := "SELECT count(*) FROM state_snapshots WHERE status <> 'expired'"
		if got := testdb.Query(t, dsn, held)[0]; got != "0" {
			t.Errorf("%s captures are left", got)
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE a SET v = 'goes on'"); err != nil { // nobody is kept from writing
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		sn, err := m.CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("a", "b")})
		if err != nil || len(sn.Captures) != 2 {
			t.Fatalf("%+v, %v", sn, err)
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestDiffIsOfOneMoment: what is committed while a diff goes over its tables is in none of them.
func TestDiffIsOfOneMoment(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite") { // else a reader keeps writers out
			testdb.Exec(t, dsn, "PRAGMA journal_mode = WAL")
		}
		f := newFixture(t, dsn, twins, nil)
		sn, err := f.open().CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("a", "b", "c")})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.both(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		wrote := false
		ds, err := snapshot.New(f.db, "").Diff(t.Context(), snapshot.DiffOptions{From: sn.ID, To: snapshot.Now, Each: func(snapshot.Change) error {
			if wrote {
				return nil
			}
			wrote = true
			return f.both(t.Context(), 2)
		}})
		if err != nil || !wrote || len(ds) != 3 {
			t.Fatalf("%+v, %v, wrote: %v", ds, err, wrote)
		}
		for _, d := range ds {
			if d.Inserted != 1 {
				t.Errorf("%s: %d rows inserted, want the one that was there when the diff began", d.Table, d.Inserted)
			}
		}
	}, testdb.Everywhere()...)
}
