package snapshot_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// take captures tables by hand and gives the snapshot's id.
func (b *bench) take(tables ...string) string {
	b.t.Helper()
	ctx := context.Background()
	c := b.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Manual, CreatedBy: "test"})
	var names []engine.Name
	for _, n := range tables {
		names = append(names, engine.Name{Name: n})
	}
	err := b.tx(func(tx *sql.Tx) error {
		if err := c.Tables(ctx, tx, names); err != nil {
			return err
		}
		return c.Seal(ctx, tx, nil)
	})
	if err != nil {
		b.t.Fatalf("snapshot create: %v", err)
	}
	return c.Snapshot()
}

// restored is what a restoration did.
type restored struct {
	tables    []snapshot.Preview
	conflicts []snapshot.Conflict
	safety    string
}

func (b *bench) tryRestore(ask snapshot.Ask) (restored, error) {
	b.t.Helper()
	ctx := context.Background()
	c := b.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test"})
	out := restored{safety: c.Snapshot()}
	err := b.tx(func(tx *sql.Tx) error {
		x, err := b.store.Restoration(ctx, tx, ask)
		if err != nil {
			return err
		}
		out.tables, out.conflicts, err = x.Apply(ctx, tx, c)
		return err
	})
	return out, err
}

// tryOnline restores in batches, with writes of the application between the comparison and the first batch.
func (b *bench) tryOnline(ask snapshot.Ask, size int, meanwhile func()) (out restored, err error) {
	b.t.Helper()
	ctx := context.Background()
	out.safety = snapshot.NewID()
	var x *snapshot.Restoration
	var at snapshot.Position
	err = b.tx(func(tx *sql.Tx) (err error) {
		if x, err = b.store.Restoration(ctx, tx, ask); err == nil {
			at, err = x.Begin(ctx, tx)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if meanwhile != nil {
		meanwhile()
	}
	for !at.Done && err == nil {
		var next snapshot.Position
		err = b.tx(func(tx *sql.Tx) (err error) {
			c := b.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test", Snapshot: out.safety})
			next, err = x.Batch(ctx, tx, c, at, size)
			return err
		})
		at = next
	}
	if err != nil {
		return out, err
	}
	err = b.tx(func(tx *sql.Tx) (err error) {
		out.tables, out.conflicts, err = x.Finish(ctx, tx)
		return err
	})
	return out, err
}

func (b *bench) restore(ask snapshot.Ask) restored {
	b.t.Helper()
	out, err := b.tryRestore(ask)
	if err != nil {
		b.t.Fatalf("restore: %v", err)
	}
	b.clean()
	return out
}

// clean looks for work tables that were left behind.
func (b *bench) clean() {
	b.t.Helper()
	if !b.db.Caps.TransactionalDDL {
		return // Prune drops them
	}
	query := "SELECT tablename FROM pg_tables WHERE schemaname = 'dbrollback'"
	if b.db.Kind == engine.SQLite {
		query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
	}
	held := strings.Join(b.query("SELECT location FROM "+b.db.Quote(b.db.Own("state_snapshots"))), " ")
	for _, n := range b.query(query) {
		if strings.HasPrefix(n, "dbrollback_data_") && !strings.Contains(held, n) || strings.HasPrefix(n, "dbrollback_work_") || strings.HasPrefix(n, "dbrollback_plus_") {
			b.t.Errorf("%s was left behind", n)
		}
	}
}

var errPreview = errors.New("only a preview")

func (b *bench) preview(ask snapshot.Ask) ([]snapshot.Preview, error) {
	b.t.Helper()
	ctx := context.Background()
	var out []snapshot.Preview
	err := b.tx(func(tx *sql.Tx) error {
		x, err := b.store.Restoration(ctx, tx, ask)
		if err != nil {
			return err
		}
		if out, err = x.Preview(ctx, tx); err != nil {
			return err
		}
		return errPreview
	})
	if errors.Is(err, errPreview) {
		err = nil
	}
	return out, err
}

// counts spells a preview or a result for comparison.
func counts(ps []snapshot.Preview) string {
	var out []string
	for _, p := range ps {
		out = append(out, fmt.Sprintf("+%d ~%d -%d =%d !%d", p.Inserted, p.Updated, p.Deleted, p.Left, p.Conflicts))
	}
	return strings.Join(out, "; ")
}

// TestRestoreModes: what merge, replace and copy make of a table that was written to, and that a restore undoes a restore.
func TestRestoreModes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20)); INSERT INTO t VALUES (1, 10, 'b1'), (2, 20, 'b2'), (3, 30, 'b3'), (4, 40, 'b4')")
		id := b.take("t")
		b.exec("UPDATE t SET b = 'app' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET a = NULL, b = 'x' WHERE id = 3; INSERT INTO t VALUES (9, 90, 'new')")
		rows := func(table string) string {
			return strings.Join(b.query("SELECT id || ' ' || coalesce(a, -1) || ' ' || coalesce(b, 'NULL') FROM "+table+" ORDER BY id"), ", ")
		}
		written := rows("t")
		for _, tc := range []struct {
			name, want, did string
			ask             snapshot.Ask
		}{
			{"merge", "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 9 90 new", "+1 ~2 -0 =2 !0", snapshot.Ask{}},
			{"replace", "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4", "+1 ~2 -1 =1 !0", snapshot.Ask{Mode: snapshot.Replace}},
			{"where", "1 10 b1, 3 -1 x, 4 40 b4, 9 90 new", "+0 ~1 -0 =3 !0", snapshot.Ask{Where: "a < 20"}},
			{"where, replace", "1 10 app, 2 20 b2, 3 30 b3, 4 40 b4", "+1 ~1 -1 =2 !0", snapshot.Ask{Mode: snapshot.Replace, Where: "a >= 20"}},
			{"columns", "1 10 app, 3 30 x, 4 40 b4, 9 90 new", "+0 ~1 -0 =3 !1", snapshot.Ask{Columns: []string{"a"}}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				b.t = t
				tc.ask.Snapshot, tc.ask.Samples = id, 3
				p, err := b.preview(tc.ask)
				if err != nil {
					t.Fatal(err)
				}
				if got := counts(p); got != tc.did {
					t.Errorf("preview: %s, want %s", got, tc.did)
				}
				if got := rows("t"); got != written {
					t.Fatalf("the preview wrote: %s", got)
				}
				r := b.restore(tc.ask)
				if got := rows("t"); got != tc.want {
					t.Errorf("\n got %s\nwant %s", got, tc.want)
				}
				if got := counts(r.tables); got != tc.did {
					t.Errorf("did: %s, want %s", got, tc.did)
				}
				u := b.restore(snapshot.Ask{Snapshot: r.safety})
				if got := rows("t"); got != written {
					t.Errorf("undone:\n got %s\nwant %s", got, written)
				}
				if len(u.conflicts) > 0 {
					t.Errorf("undone: %v", u.conflicts)
				}
			})
		}
		b.t = t
		b.restore(snapshot.Ask{Snapshot: id, Mode: snapshot.Copy, Into: engine.Name{Name: "t_before"}})
		if got, want := rows("t_before"), "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4"; got != want {
			t.Errorf("copy:\n got %s\nwant %s", got, want)
		}
	}, everywhere...)
}

// TestRestoreOnline: batches, with writes of the application between the comparison and its batch: they are conflicts, whatever was
// written; under Restore the captured rows win, and the safety snapshot has what they won over.
func TestRestoreOnline(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		rows := func() string {
			return strings.Join(b.query("SELECT id || coalesce(b, 'NULL') FROM t ORDER BY id"), " ")
		}
		for _, tc := range []struct {
			policy    snapshot.Policy
			want, did string
		}{
			{snapshot.Keep, "1b 3mean 4mean 5b 6b 11mean", "+0 ~2 -1 =4 !4"},
			{snapshot.Restore, "1b 2b 3b 4b 5b 6b", "+1 ~4 -2 =1 !0"},
		} {
			b.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, b varchar(9)); INSERT INTO t VALUES (1, 'b'), (2, 'b'), (3, 'b'), (4, 'b'), (5, 'b'), (6, 'b')")
			id := b.take("t")
			b.exec("UPDATE t SET b = 'app' WHERE id < 4; DELETE FROM t WHERE id = 4; UPDATE t SET b = 'app' WHERE id = 6; INSERT INTO t VALUES (10, 'app'), (11, 'app')")
			r, err := b.tryOnline(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace, OnConflict: tc.policy}, 2, func() {
				b.exec("DELETE FROM t WHERE id = 2; UPDATE t SET b = 'mean' WHERE id IN (3, 11); INSERT INTO t VALUES (4, 'mean')")
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := rows(); got != tc.want {
				t.Errorf("%s: %s, want %s", tc.policy, got, tc.want)
			}
			if got := counts(r.tables); got != tc.did {
				t.Errorf("%s: %s, want %s", tc.policy, got, tc.did)
			}
			b.clean()
			b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
			if got, want := rows(), "1app 3mean 4mean 5b 6app 10app 11mean"; got != want {
				t.Errorf("%s, undone: %s, want %s", tc.policy, got, want)
			}
		}
		// Parents and children, in batches of one.
		b.exec("CREATE TABLE p (id integer NOT NULL PRIMARY KEY, a integer)", "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, p integer NOT NULL REFERENCES p (id))",
			"INSERT INTO p VALUES (1, 1), (2, 2), (3, 3); INSERT INTO c VALUES (1, 1), (2, 2), (3, 3)")
		id := b.take("p", "c")
		b.exec("DELETE FROM c WHERE id < 3; DELETE FROM p WHERE id < 3; INSERT INTO p VALUES (8, 8), (9, 9); INSERT INTO c VALUES (9, 9); UPDATE c SET p = 8 WHERE id = 3")
		r, err := b.tryOnline(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(b.query("SELECT id FROM p ORDER BY id"), " ") + "; " + strings.Join(b.query("SELECT id || '/' || p FROM c ORDER BY id"), " ")
		if got != "1 2 3; 1/1 2/2 3/3" || len(r.conflicts) > 0 {
			t.Errorf("parents and children: %s %v", got, r.conflicts)
		}
		b.exec("CREATE TABLE tree (id integer NOT NULL PRIMARY KEY, up integer REFERENCES tree (id)); INSERT INTO tree VALUES (1, NULL)")
		var unsafe *snapshot.UnsafeError
		if _, err := b.tryOnline(snapshot.Ask{Snapshot: b.take("tree")}, 1, nil); !errors.As(err, &unsafe) {
			t.Errorf("rows that point to themselves: %v", err)
		}
	}, everywhere...)
}

// TestDiff: what changed between two snapshots, and since one of them, row by row; with a key and without, with columns that came or
// went.
func TestDiff(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20)); INSERT INTO t VALUES (1, 1, 'x'), (2, 2, NULL), (3, 3, '')",
			"CREATE TABLE bag (a integer, b varchar(20)); INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, NULL)")
		first := b.take("t", "bag")
		b.exec("UPDATE t SET b = '' WHERE id = 2; UPDATE t SET b = NULL WHERE id = 3; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (4, 4, 'new')",
			"DELETE FROM bag; INSERT INTO bag VALUES (1, 'x'), (3, 'new'), (3, 'new')")
		second := b.take("t", "bag")
		b.exec("ALTER TABLE t ADD COLUMN c integer; ALTER TABLE t DROP COLUMN a; UPDATE t SET b = 'now' WHERE id = 4")
		value := func(v *string) string {
			if v == nil {
				return "NULL"
			}
			return "'" + *v + "'"
		}
		diff := func(from, to string) string {
			var out []string
			ds, err := b.store.Diff(t.Context(), snapshot.DiffOptions{From: from, To: to, Samples: 1, Each: func(c snapshot.Change) error {
				line := c.Kind[:3] + " " + c.Key
				for _, x := range c.Cells {
					line += " " + x.Column + ":" + value(x.Before) + ">" + value(x.After)
				}
				out = append(out, line)
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range ds {
				out = append(out, fmt.Sprintf("+%d ~%d -%d %s", d.Inserted, d.Updated, d.Deleted, d.Note))
			}
			return strings.Join(out, "\n")
		}
		for _, tc := range []struct{ from, to, want string }{
			{first, second, "upd id=2 b:NULL>''\nupd id=3 b:''>NULL\ndel id=1 id:'1'>NULL a:'1'>NULL b:'x'>NULL\nins id=4 id:NULL>'4' a:NULL>'4' b:NULL>'new'\n" +
				"del a row a:'1'>NULL b:'x'>NULL\ndel a row a:'2'>NULL b:NULL>NULL\nins a row a:NULL>'3' b:NULL>'new'\nins a row a:NULL>'3' b:NULL>'new'\n+1 ~2 -1 \n+2 ~0 -2 "},
			{second, first, "upd id=2 b:''>NULL\nupd id=3 b:NULL>''\ndel id=4 id:'4'>NULL a:'4'>NULL b:'new'>NULL\nins id=1 id:NULL>'1' a:NULL>'1' b:NULL>'x'\n" +
				"del a row a:'3'>NULL b:'new'>NULL\ndel a row a:'3'>NULL b:'new'>NULL\nins a row a:NULL>'1' b:NULL>'x'\nins a row a:NULL>'2' b:NULL>NULL\n+1 ~2 -1 \n+2 ~0 -2 "},
			{second, snapshot.Now, "upd id=4 b:'new'>'now'\n+0 ~1 -0 not compared, because only one side has them: a\n+0 ~0 -0 "},
			{first, first, "+0 ~0 -0 \n+0 ~0 -0 "},
		} {
			got := strings.Split(diff(tc.from, tc.to), "\n")
			want := strings.Split(tc.want, "\n")
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("from %s to %s:\n%s", tc.from, tc.to, testdb.Diff(strings.Join(want, "\n")+"\n", strings.Join(got, "\n")+"\n"))
			}
		}
		b.up("UPDATE t SET b = 'up'")
		rows := b.query("SELECT snapshot_id FROM " + b.db.Quote(b.db.Own("state_snapshots")) + " WHERE direction = 'up'")
		if got := diff(rows[0], snapshot.Now); !strings.Contains(got, "it holds only b of the 3 row(s)") {
			t.Errorf("a part: %s", got)
		}
		var ask *snapshot.AskError
		if _, err := b.store.Diff(t.Context(), snapshot.DiffOptions{From: "nope", To: snapshot.Now}); !errors.As(err, &ask) {
			t.Errorf("unknown: %v", err)
		}
	}, everywhere...)
}
