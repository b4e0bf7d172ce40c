package snapshot_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// TestCatalog: captures are listed, shown, summed, verified and pruned; tampering is found.
func TestCatalog(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
		if list, err := b.store.Verify(ctx, b.db, ""); err != nil || list != nil {
			t.Errorf("verify without a catalog: %v %v", list, err)
		}
		if r, err := b.store.Restorer(ctx, b.db, 1, "up"); r != nil || err != nil {
			t.Errorf("restorer without a catalog: %v %v", r, err)
		}
		start := time.Now().Add(-time.Second)
		first, err := b.forward("up", 1, "UPDATE t SET v = 'x' WHERE id < 3; UPDATE t SET v = 'y' WHERE id = 9; DELETE FROM t WHERE id = 3")
		if err != nil {
			t.Fatal(err)
		}
		second, err := b.forward("up", 2, "ALTER TABLE t DROP COLUMN v")
		if err != nil {
			t.Fatal(err)
		}
		list, err := b.store.List(ctx, b.db)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 2 || list[0].ID != second.Snapshot() || list[1].ID != first.Snapshot() || len(list[1].Captures) != 2 || list[1].Migration != 1 {
			t.Fatalf("list: %+v", list)
		}
		c := list[1].Captures[0]
		if c.Kind != snapshot.Rows || c.Rows != 2 || c.Statement != 1 || c.Status != "complete" || c.Bytes <= 0 || c.Checksum == "" || c.CapturedAt.Before(start) ||
			c.CapturedAt.Location() != time.UTC || strings.Join(c.Columns, ",") != "v" || !strings.HasSuffix(c.Table, "t") || c.CreatedBy != "test" {
			t.Errorf("capture: %+v", c)
		}
		if list[1].Captures[1].Statement != 3 {
			t.Errorf("a statement that hit nothing was captured: %+v", list[1].Captures)
		}
		if s, err := b.store.Show(ctx, b.db, c.ID); err != nil || s == nil || s.ID != first.Snapshot() || len(s.Captures) != 2 {
			t.Errorf("show by capture: %+v %v", s, err)
		}
		if s, err := b.store.Show(ctx, b.db, "none"); err != nil || s != nil {
			t.Errorf("show nothing: %+v %v", s, err)
		}
		if u, err := b.store.Usage(ctx, b.db); err != nil || u.Snapshots != 2 || u.Captures != 3 || u.Rows != 5 || u.Bytes <= 0 {
			t.Errorf("usage: %+v %v", u, err)
		}
		verified := func() (bad []string) {
			t.Helper()
			list, err := b.store.Verify(ctx, b.db, "")
			if err != nil || len(list) != 3 {
				t.Fatalf("verify: %+v %v", list, err)
			}
			for _, v := range list {
				if !v.OK {
					bad = append(bad, v.Reason)
				}
			}
			return bad
		}
		if bad := verified(); bad != nil {
			t.Errorf("verify: %v", bad)
		}
		b.exec("UPDATE " + c.Location + " SET c1 = 'z' WHERE n = 1")
		if bad := verified(); len(bad) != 1 || bad[0] != "its rows are not those that were captured" {
			t.Errorf("tampering: %v", bad)
		}
		b.exec("DELETE FROM " + c.Location + " WHERE n = 1")
		if bad := verified(); len(bad) != 1 || bad[0] != "it has 1 row(s) instead of 2" {
			t.Errorf("a row removed: %v", bad)
		}
		orphan := b.db.Quote(b.db.Own("dbrollback_data_" + strings.Repeat("0", 32)))
		b.exec("CREATE TABLE " + orphan + " (n integer)")

		prune := func(o snapshot.PruneOptions) []snapshot.Info {
			t.Helper()
			var gone []snapshot.Info
			if err := b.tx(func(tx *sql.Tx) (err error) { gone, err = b.store.Prune(ctx, tx, o); return err }); err != nil {
				t.Fatal(err)
			}
			return gone
		}
		if gone := prune(snapshot.PruneOptions{Keep: 1, DryRun: true}); len(gone) != 2 {
			t.Errorf("dry run: %+v", gone)
		}
		if gone := prune(snapshot.PruneOptions{Keep: 1, Protect: []int64{1}}); len(gone) != 0 {
			t.Errorf("protected: %+v", gone)
		}
		if _, err := b.db.Resolve(ctx, b.db, b.db.Own("dbrollback_data_"+strings.Repeat("0", 32))); err == nil {
			t.Error("data that belongs to nothing is still there")
		}
		if gone := prune(snapshot.PruneOptions{Keep: 1}); len(gone) != 2 || gone[0].Snapshot != first.Snapshot() {
			t.Errorf("keep one: %+v", gone)
		}
		if gone := prune(snapshot.PruneOptions{Before: time.Now().Add(-time.Hour)}); len(gone) != 0 {
			t.Errorf("too young: %+v", gone)
		}
		if gone := prune(snapshot.PruneOptions{Before: time.Now().Add(time.Hour)}); len(gone) != 1 {
			t.Errorf("too old: %+v", gone)
		}
		if u, err := b.store.Usage(ctx, b.db); err != nil || u != (snapshot.Usage{}) {
			t.Errorf("usage after: %+v %v", u, err)
		}
		if list, err := b.store.List(ctx, b.db); err != nil || len(list) != 2 || list[0].Captures[0].Status != "expired" {
			t.Errorf("list after: %+v %v", list, err)
		}
		left, err := b.db.Tables(ctx, b.db)
		if err != nil || len(left) != 1 {
			t.Errorf("tables of the user: %v %v", left, err)
		}
	}, everywhere...)
}

// TestNeeds: what a statement needs is told without changing anything.
func TestNeeds(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, foreignKeys(dsn), familyFor(dsn), "CREATE VIEW w AS SELECT * FROM p")
		whole := "table"
		if b.db.Kind == engine.Postgres {
			whole = "kept"
		}
		for _, tc := range []struct {
			sql, want string
			opaque    bool
		}{
			{"ALTER TABLE p ADD COLUMN x integer", "", false},
			{"CREATE INDEX i ON p (v)", "", false},
			{"ALTER TABLE p DROP COLUMN v", "columns p v", false},
			{"DROP TABLE g", whole + " g c,n,v", false},
			{"UPDATE p SET v = 'x'", "rows p v", false},
			{"DELETE FROM g WHERE n = 1", "rows g c,n,v", false},
			{"DELETE FROM p", "rows c id,p,s,v; rows g c,n,v; rows p id,v", false},
			{"INSERT INTO p VALUES (9, 'x')", "", false},
			{"DROP TABLE IF EXISTS nowhere", "", false},
			{"DELETE FROM w", "", true},
		} {
			needs, opaque, err := b.store.Needs(ctx, b.db, b.parse(tc.sql)[0])
			if err != nil {
				t.Errorf("%s: %v", tc.sql, err)
				continue
			}
			var got []string
			for _, n := range needs {
				got = append(got, string(n.Kind)+" "+n.Name.Name+" "+strings.Join(n.Columns, ","))
			}
			if s := strings.Join(got, "; "); s != tc.want || opaque != tc.opaque {
				t.Errorf("%s: %s (opaque %v)", tc.sql, s, opaque)
			}
		}
	}, everywhere...)
}

// TestDefinitions are kept beside the rows.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn)
		err := b.tx(func(tx *sql.Tx) error {
			c := b.store.Begin(snapshot.Meta{Run: "test", Direction: "up", Migration: 1})
			if err := c.Definitions(ctx, tx, 1, []verify.Object{{Kind: "index", Name: "public.i", Table: engine.Name{Schema: "public", Name: "t"}, Create: []string{"CREATE INDEX i ON t (a)"}}}); err != nil {
				return err
			}
			return c.Seal(ctx, tx, nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.store.Restorer(ctx, b.db, 1, "up")
		if err != nil || r == nil {
			t.Fatal(r, err)
		}
		if d := r.Definitions(); len(d) != 1 || d[0].Create[0] != "CREATE INDEX i ON t (a)" {
			t.Errorf("definitions: %+v", d)
		}
	}, everywhere...)
}
