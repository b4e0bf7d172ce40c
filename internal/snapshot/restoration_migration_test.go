package snapshot_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreMigration: what a migration's own captures give back while the migration stays: each of its statements' captures alone and
// several put together, with what the application wrote since.
func TestRestoreMigration(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, up, writes string
		keep, restore    string // rows "id a b"
		keeps, restores  string // counts
		only             engine.Kind
	}{
		{
			name: "update", up: "UPDATE t SET b = 'up' WHERE a <= 40",
			writes: "UPDATE t SET b = 'app' WHERE id = 1; UPDATE t SET a = 21 WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 10 app, 2 21 b2, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "+0 ~2 -0 =4 !2",
			restore: "1 10 b1, 2 21 b2, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "+0 ~3 -0 =3 !2",
		},
		{
			name: "delete", up: "DELETE FROM t WHERE a <= 30",
			writes: "INSERT INTO t VALUES (1, 11, 'again'); UPDATE t SET b = 'app' WHERE id = 4",
			keep:   "1 11 again, 2 20 b2, 3 30 b3, 4 40 app, 5 50 b5, 6 60 b6", keeps: "+2 ~0 -0 =4 !1",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 app, 5 50 b5, 6 60 b6", restores: "+2 ~1 -0 =3 !1",
		},
		{
			name: "insert", up: "INSERT INTO t VALUES (7, 70, 'b7'), (8, 80, 'b8')",
			writes: "UPDATE t SET a = 71 WHERE id = 7",
			keep:   "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 7 71 b7", keeps: "+0 ~0 -1 =7 !1",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6", restores: "+0 ~0 -2 =6 !1",
		},
		{
			name: "several", up: "UPDATE t SET b = 'x' WHERE a > 30; DELETE FROM t WHERE a = 50; UPDATE t SET a = a + 1; INSERT INTO t VALUES (7, 70, 'b7')",
			writes: "UPDATE t SET a = 12, b = 'app' WHERE id = 1; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 12 app, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "+1 ~4 -1 =2 !1",
			restore: "1 10 app, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "+1 ~5 -1 =1 !1",
		},
		{
			name: "moved keys", up: "UPDATE t SET id = id + 100 WHERE a <= 30; UPDATE t SET b = 'up'",
			writes: "UPDATE t SET a = 11 WHERE id = 101; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 11 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "+0 ~6 -0 =1 !0",
		},
		{
			name: "delete all and insert", up: "DELETE FROM t; INSERT INTO t VALUES (1, 1, 'up'), (8, 80, 'up')",
			writes: "INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "+5 ~1 -1 =1 !0",
		},
		{
			name: "truncate and insert", up: "TRUNCATE t; INSERT INTO t VALUES (1, 1, 'up'), (8, 80, 'up')", only: engine.Postgres,
			writes: "INSERT INTO t VALUES (2, 22, 'app'), (9, 90, 'new')",
			keep:   "1 10 b1, 2 22 app, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "+4 ~1 -1 =2 !1",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "+4 ~2 -1 =1 !1",
		},
	} {
		if tc.restore == "" {
			tc.restore, tc.restores = tc.keep, tc.keeps
		}
		t.Run(tc.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				b := newBench(t, dsn)
				if tc.only != "" && b.db.Kind != tc.only {
					return
				}
				rows := func() string {
					return strings.Join(b.query("SELECT id || ' ' || coalesce(a, -1) || ' ' || coalesce(b, 'NULL') FROM t ORDER BY id"), ", ")
				}
				for _, p := range []struct {
					policy    snapshot.Policy
					want, did string
				}{{snapshot.Keep, tc.keep, tc.keeps}, {snapshot.Restore, tc.restore, tc.restores}} {
					b.exec("DROP TABLE IF EXISTS t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20))")
					b.exec("INSERT INTO t VALUES (1, 10, 'b1'), (2, 20, 'b2'), (3, 30, 'b3'), (4, 40, 'b4'), (5, 50, 'b5'), (6, 60, 'b6')")
					b.up(tc.up)
					b.exec(tc.writes)
					written := rows()
					ask := snapshot.Ask{Tables: []engine.Name{{Name: "t"}}, Migration: 1, HasMigration: true, OnConflict: p.policy, Samples: 2}
					preview, err := b.preview(ask)
					if err != nil {
						t.Fatalf("%s: preview: %v", p.policy, err)
					}
					if got := counts(preview); got != p.did {
						t.Errorf("%s: preview %s, want %s", p.policy, got, p.did)
					}
					r := b.restore(ask)
					if got := rows(); got != p.want {
						t.Errorf("%s:\n got %s\nwant %s", p.policy, got, p.want)
					}
					if got := counts(r.tables); got != p.did {
						t.Errorf("%s: did %s, want %s", p.policy, got, p.did)
					}
					if len(r.conflicts) > 0 && p.policy == snapshot.Keep {
						_, err := b.tryRestore(snapshot.Ask{Migration: 1, HasMigration: true, OnConflict: snapshot.Fail})
						var refused *snapshot.ConflictError
						if !errors.As(err, &refused) {
							t.Errorf("fail: %v", err)
						}
					}
					b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
					if got := rows(); got != written {
						t.Errorf("%s, undone:\n got %s\nwant %s", p.policy, got, written)
					}
				}
			}, everywhere...)
		})
	}
}

// TestRestorePart: what a capture of a part can give, and what it cannot.
func TestRestorePart(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20)); INSERT INTO t VALUES (1, 10, 'b1'), (2, 20, 'b2')")
		b.up("UPDATE t SET b = 'up'")
		ask := snapshot.Ask{Tables: []engine.Name{{Name: "t"}}, Migration: 1, HasMigration: true}
		p, err := b.preview(ask)
		if err != nil {
			t.Fatal(err)
		}
		if p[0].Whole || !strings.Contains(p[0].Holds, "b of the 2 row(s) that statement 1 of migration 1 up hit") {
			t.Errorf("holds: %q", p[0].Holds)
		}
		ask.Mode = snapshot.Replace
		var unsafe *snapshot.UnsafeError
		if _, err := b.tryRestore(ask); !errors.As(err, &unsafe) {
			t.Errorf("replace from a part: %v", err)
		}
		b.exec("DELETE FROM t WHERE id = 2") // a part of it cannot make the row
		ask.Mode, ask.OnConflict = snapshot.Merge, snapshot.Restore
		r := b.restore(ask)
		if got := fmt.Sprint(counts(r.tables), b.query("SELECT id || b FROM t")); got != "+0 ~1 -0 =0 !1[1b1]" {
			t.Errorf("got %s", got)
		}
		if r.conflicts[0].Key != "id=2" || r.conflicts[0].Resolved != snapshot.Keep {
			t.Errorf("conflict: %+v", r.conflicts[0])
		}
	}, everywhere...)
}

// TestRestoreDropped: a table that a migration dropped, kept or copied, comes back side by side, and into a table that somebody made
// again by hand; the capture stays what it was.
func TestRestoreDropped(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const create = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20))"
		b := newBench(t, dsn, create, "INSERT INTO t VALUES (1, 10, 'b1'), (2, 20, NULL), (3, 30, '')")
		was := strings.Join(b.query("SELECT id || '/' || a || '/' || coalesce(b, 'NULL') FROM t ORDER BY id"), " ")
		c := b.up("DROP TABLE t")
		rows := func(table string) string {
			return strings.Join(b.query("SELECT id || '/' || a || '/' || coalesce(b, 'NULL') FROM "+table+" ORDER BY id"), " ")
		}
		ask := snapshot.Ask{Migration: 1, HasMigration: true, Mode: snapshot.Copy, Into: engine.Name{Name: "t_was"}, Samples: 2}
		if p, err := b.preview(ask); err != nil || p[0].Inserted != 3 {
			t.Fatalf("preview: %+v, %v", p, err)
		}
		b.restore(ask)
		if got := rows("t_was"); got != was {
			t.Errorf("side by side: %s, want %s", got, was)
		}
		b.exec(create, "INSERT INTO t VALUES (2, 22, 'new'), (9, 90, 'new')")
		ask.Mode, ask.Into = snapshot.Merge, engine.Name{}
		r := b.restore(ask)
		if got, want := rows("t"), "1/10/b1 2/22/new 3/30/ 9/90/new"; got != want || len(r.conflicts) != 1 {
			t.Errorf("merged: %s %v, want %s", got, r.conflicts, want)
		}
		ask.Mode = snapshot.Replace
		ask.OnConflict = snapshot.Restore
		b.restore(ask)
		if got := rows("t"); got != was {
			t.Errorf("replaced: %s, want %s", got, was)
		}
		if vs, err := b.store.Verify(t.Context(), b.db, c.Snapshot()); err != nil || len(vs) != 1 || !vs[0].OK {
			t.Errorf("the capture: %+v, %v", vs, err)
		}
	}, everywhere...)
}
