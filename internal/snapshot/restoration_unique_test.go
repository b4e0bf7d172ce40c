package snapshot_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreOnlineOfUniqueValuesThatMovedOn: a row takes back a unique value that another has, whose own comes with a later batch; and so do rows that stand in a line or
// in a circle, however large the batches are, and whoever wins a conflict.
func TestRestoreOnlineOfUniqueValuesThatMovedOn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, u integer NOT NULL UNIQUE, a integer)", "CREATE TABLE child (id integer PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES t (u))",
			"CREATE TABLE alone (id integer PRIMARY KEY, u integer NOT NULL UNIQUE)")
		for name, writes := range map[string][]string{
			"one later":       {"UPDATE t SET u = 100 WHERE id = 8", "UPDATE t SET u = 8 WHERE id = 1"},
			"one before":      {"UPDATE t SET u = 100 WHERE id = 1", "UPDATE t SET u = 1 WHERE id = 8"},
			"a line up":       {"UPDATE t SET u = -u", "UPDATE t SET u = 1 - u"},
			"a line down":     {"UPDATE t SET u = -u", "UPDATE t SET u = -1 - u"},
			"to a row gone":   {"DELETE FROM t WHERE id = 7", "UPDATE t SET u = 7 WHERE id = 2", "UPDATE t SET u = 2 WHERE id = 3"},
			"to a later row":  {"UPDATE t SET u = 30 WHERE id = 3", "INSERT INTO t VALUES (20, 3, 0)", "INSERT INTO child VALUES (20, 3)", "UPDATE child SET u = 3 WHERE id = 1"},
			"a circle of two": {"UPDATE alone SET u = -1 WHERE id = 1", "UPDATE alone SET u = 1 WHERE id = 8", "UPDATE alone SET u = 8 WHERE id = 1"},
			"all in one":      {"UPDATE alone SET u = -u", "UPDATE alone SET u = 1 - u WHERE u > -8", "UPDATE alone SET u = 1 WHERE u = -8"},
		} {
			for size, policy := range map[int]snapshot.Policy{1: snapshot.Keep, 2: snapshot.Restore, 3: snapshot.Keep, 100: snapshot.Keep} {
				b.exec("DELETE FROM child", "DELETE FROM t", "DELETE FROM alone", "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (5, 5, 5), (6, 6, 6), (7, 7, 7), (8, 8, 8)",
					"INSERT INTO alone VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8)", "INSERT INTO child VALUES (1, NULL)")
				id := b.take("t", "alone", "child")
				then := b.rows()
				b.exec(writes...)
				before := b.rows()
				r, err := b.tryOnline(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace, OnConflict: policy}, size, nil)
				if err != nil {
					t.Fatalf("%s, batches of %d: %v", name, size, err)
				}
				b.clean()
				if len(r.conflicts) > 0 {
					t.Errorf("%s, batches of %d: conflicts %v", name, size, r.conflicts)
				}
				same(t, fmt.Sprintf("%s, batches of %d", name, size), then, b.rows())
				b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
				same(t, fmt.Sprintf("%s, batches of %d, undone", name, size), before, b.rows())
			}
		}
	}, everywhere...)
}

// unique is a row with unique values; "" is NULL.
type unique struct{ u, v, w, a string }

// uniques is a table of such rows, by key.
type uniques map[int]unique

// clash finds the key of a row that has a unique value of r's, or 0.
func (m uniques) clash(id int, r unique) int {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if o := m[k]; k != id && (r.u != "" && o.u == r.u || r.v != "" && o.v == r.v && o.w == r.w) {
			return k
		}
	}
	return 0
}

func (m uniques) String() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d|%s|%s|%s|%s", k, m[k].u, m[k].v, m[k].w, m[k].a))
	}
	return strings.Join(out, "\n")
}

// written is what an application makes of such a table.
func (m uniques) written(rng *rand.Rand) uniques {
	out := maps.Clone(m)
	put := func(id int, r unique) {
		if out.clash(id, r) == 0 {
			out[id] = r
		}
	}
	any := func() unique {
		r := unique{fmt.Sprint(1 + rng.IntN(20)), string(rune('a' + rng.IntN(4))), fmt.Sprint(rng.IntN(4)), fmt.Sprint(rng.IntN(3))}
		if rng.IntN(5) == 0 {
			r.u = ""
		}
		if rng.IntN(5) == 0 {
			r.v = ""
		}
		return r
	}
	for range rng.IntN(12) {
		keys := slices.Sorted(maps.Keys(out))
		if len(keys) == 0 {
			put(1+rng.IntN(14), any())
			continue
		}
		id, other := keys[rng.IntN(len(keys))], keys[rng.IntN(len(keys))]
		switch rng.IntN(6) {
		case 0:
			delete(out, id)
		case 1:
			put(1+rng.IntN(14), any())
		case 2: // two change places
			r, o := out[id], out[other]
			r.u, o.u, r.v, o.v, r.w, o.w = o.u, r.u, o.v, r.v, o.w, r.w
			out[id], out[other] = r, o
		case 3: // all move on by one
			last := out[keys[len(keys)-1]].u
			for _, k := range keys {
				r := out[k]
				r.u, last = last, r.u
				out[k] = r
			}
		case 4:
			r := out[id]
			r.a = fmt.Sprint(rng.IntN(3))
			out[id] = r
		default:
			put(id, any())
		}
	}
	return out
}

// merged is the reference: as many rows of then as have room among those of now, which are written over all at once.
func (m uniques) merged(then uniques, mode snapshot.Mode) (want uniques, conflicts int) {
	stays := uniques{}
	for {
		want = uniques{}
		for k, r := range m {
			if _, ok := then[k]; ok || mode == snapshot.Merge {
				want[k] = r
			}
		}
		for k, r := range then {
			if _, ok := stays[k]; !ok {
				want[k] = r
			}
		}
		found := false
		for k, r := range then {
			if _, ok := stays[k]; ok || want.clash(k, r) == 0 {
				continue
			}
			for o, has := range want { // the one that has the value may be another captured row, which stays for its own reason
				_, out := stays[o]
				if _, ok := then[o]; o != k && (!ok || out) && (r.u != "" && has.u == r.u || r.v != "" && has.v == r.v && has.w == r.w) {
					found = true
				}
			}
			if found {
				stays[k] = r
				break
			}
		}
		if !found {
			return want, len(stays)
		}
	}
}

// TestRestoreOfUniqueValues: random tables of which the unique values went from row to row come back as the reference says, at once and in batches, the preview counts that,
// and the restore of what was written over gives the table of now again.
func TestRestoreOfUniqueValues(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		seed := number("SEED", 1)
		for i := range number("CASES", map[bool]int{true: 25, false: 60}[mysqlLike(dsn)]) {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			uniqueCase(b, rng)
			if t.Failed() {
				t.Fatalf("SEED=%d, case %d", seed, i)
			}
		}
	}, everywhere...)
}

func uniqueCase(b *bench, rng *rand.Rand) {
	t := b.t
	late := ""
	if b.db.Kind == engine.Postgres && rng.IntN(3) == 0 {
		late = " DEFERRABLE INITIALLY DEFERRED"
	}
	b.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (id integer PRIMARY KEY, u integer, v varchar(9), w integer NOT NULL, a integer, UNIQUE (u)"+late+", UNIQUE (v, w))")
	fill := func(m uniques) {
		b.exec("DELETE FROM t")
		var rows []string
		for k, r := range m {
			rows = append(rows, fmt.Sprintf("(%d, %s, %s, %s, %s)", k, cmp.Or(r.u, "NULL"), cmp.Or(strings.TrimPrefix("'"+r.v+"'", "''"), "NULL"), r.w, r.a))
		}
		if len(rows) > 0 {
			b.exec("INSERT INTO t VALUES " + strings.Join(rows, ", "))
		}
	}
	read := func() string {
		return strings.Join(b.query("SELECT id || '|' || coalesce(u || '', '') || '|' || coalesce(v, '') || '|' || w || '|' || a FROM t ORDER BY id"), "\n")
	}
	then := uniques{}.written(rng).written(rng)
	fill(then)
	id := b.take("t")
	now := then.written(rng).written(rng)
	fill(now)
	ask := snapshot.Ask{Snapshot: id, Mode: []snapshot.Mode{snapshot.Merge, snapshot.Replace}[rng.IntN(2)]}
	want, conflicts := now.merged(then, ask.Mode)
	preview, err := b.preview(ask)
	if err != nil {
		t.Fatal(err)
	}
	try, how := b.tryRestore, "at once"
	if rng.IntN(2) == 0 {
		size := 1 + rng.IntN(7)
		how = fmt.Sprintf("in batches of %d", size)
		try = func(ask snapshot.Ask) (restored, error) { return b.tryOnline(ask, size, nil) }
	}
	r, err := try(ask)
	if err != nil {
		t.Fatalf("%s %s: %v\nthen:\n%s\nnow:\n%s", ask.Mode, how, err, then, now)
	}
	b.clean()
	if got := read(); got != want.String() {
		t.Errorf("%s %s%s:\n%s\nthen:\n%s\nnow:\n%s", ask.Mode, how, late, testdb.Diff(want.String()+"\n", got+"\n"), then, now)
	}
	if got := counts(r.tables); got != counts(preview) || len(r.conflicts) != conflicts {
		t.Errorf("%s %s%s: counted %s, the preview said %s; conflicts %v, want %d\nthen:\n%s\nnow:\n%s", ask.Mode, how, late, got, counts(preview), r.conflicts, conflicts, then, now)
	}
	if want.String() == now.String() {
		return
	}
	b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
	if got := read(); got != now.String() {
		t.Errorf("%s %s%s, undone:\n%s\nthen:\n%s", ask.Mode, how, late, testdb.Diff(now.String()+"\n", got+"\n"), then)
	}
}

// TestPreviewForeseesComputedKeys: a preview counts what the restore finds, also where a value is unique as an expression makes it, in some of the rows, or in a generated
// column, and of the rows that point to one which stays out for that.
func TestPreviewForeseesComputedKeys(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		generated, indexes := "twice integer", []string{`CREATE UNIQUE INDEX by_name ON t (lower("na,me") DESC, kind)`, "CREATE UNIQUE INDEX live ON t (place) WHERE kind = 'live' AND place > 0",
			"CREATE INDEX plain ON t (place)"}
		if b.db.Kind == engine.Postgres {
			generated, indexes = "twice integer GENERATED ALWAYS AS (place + num) STORED", append(indexes, "CREATE UNIQUE INDEX doubled ON t (twice)", `CREATE UNIQUE INDEX nested ON t (upper("na,me"), abs(num)) WHERE num < 0`)
		}
		b.exec(`CREATE TABLE t (id integer PRIMARY KEY, "na,me" varchar(20), kind varchar(9), place integer, num integer, `+generated+")",
			"CREATE TABLE child (id integer PRIMARY KEY, t_id integer REFERENCES t (id))", strings.Join(indexes, "; "))
		columns := `INSERT INTO t (id, "na,me", kind, place, num) VALUES `
		b.exec(columns+"(1, 'Ada', 'live', 1, 100), (2, 'Bea', 'live', 2, 200), (3, 'Cea', 'old', 3, 300), (4, 'Dea', 'live', 4, 400), (5, 'Eva', 'old', 5, -5), (6, 'Fea', 'old', 6, 600), (7, NULL, NULL, NULL, NULL)",
			"INSERT INTO child VALUES (1, 1), (2, 2), (6, 6)")
		id := b.take("t", "child")
		b.exec("DELETE FROM child", "DELETE FROM t WHERE id IN (1, 2, 6, 7)", `UPDATE t SET "na,me" = 'x' || id`,
			columns+"(11, 'ADA', 'live', 11, 1100), (12, 'new', 'live', 2, 1200), (13, 'CEA', 'new', 3, 1300), (16, 'free', 'new', 0, 606), (15, 'eva', 'new', 0, -5), (17, NULL, NULL, NULL, NULL)")
		before := b.rows()
		ask := snapshot.Ask{Snapshot: id, Samples: 3}
		preview, err := b.preview(ask)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "preview", before, b.rows())
		r := b.restore(ask)
		want := map[engine.Kind]string{engine.SQLite: "+2 ~3 -0 =6 !2; +1 ~0 -0 =0 !2", engine.Postgres: "+1 ~2 -0 =7 !4; +0 ~0 -0 =0 !3"}[b.db.Kind]
		if got, did := counts(preview), counts(r.tables); got != want || did != want {
			t.Errorf("the preview said %s, and it did %s, want %s: %v", got, did, want, r.conflicts)
		}
		b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
		same(t, "undone", before, b.rows())
	}, testdb.OnPostgres, testdb.OnSQLite)
}
