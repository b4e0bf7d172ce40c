package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreFamily: tables tied by foreign keys, one of them to itself, one by a column that is not its key, with random writes since. All of
// them replaced together are as they were; one alone is, but for rows that are conflicts; no row of a table that was not asked for
// changes; and what was done is undone.
func TestRestoreFamily(t *testing.T) {
	t.Parallel()
	seed, cases := 1, 10
	if n, err := strconv.Atoi(os.Getenv("SEED")); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("CASES")); err == nil {
		cases = n
	}
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite:") {
			dsn += "?_pragma=foreign_keys(1)"
		}
		b := newBench(t, dsn)
		for i := range cases {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			familyCase(b, rng)
			if t.Failed() {
				t.Fatalf("SEED=%d, case %d", seed, i)
			}
		}
	})
}

var familyTables = []string{"shops", "people", "carts", "lines"}

func familyCase(b *bench, rng *rand.Rand) {
	t := b.t
	onDelete := []string{"NO ACTION", "CASCADE", "SET NULL"}[rng.IntN(3)]
	onUpdate := []string{"NO ACTION", "CASCADE"}[rng.IntN(2)]
	for _, n := range []string{"lines", "carts", "people", "shops"} {
		b.exec("DROP TABLE IF EXISTS " + n)
	}
	b.exec("CREATE TABLE shops (id integer NOT NULL PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, n integer)",
		"CREATE TABLE people (id integer NOT NULL PRIMARY KEY, boss integer REFERENCES people (id) ON DELETE "+onDelete+", shop varchar(9) REFERENCES shops (code) ON UPDATE "+onUpdate+" ON DELETE "+onDelete+", n integer)",
		"CREATE TABLE carts (id integer NOT NULL PRIMARY KEY, person integer REFERENCES people (id) ON DELETE "+onDelete+", n integer)",
		"CREATE TABLE lines (cart integer NOT NULL REFERENCES carts (id) ON DELETE CASCADE, no integer NOT NULL, n integer, PRIMARY KEY (cart, no))")
	var log []string
	// write does what the application may do: what a foreign key forbids does nothing.
	write := func(q string) {
		if _, err := b.db.ExecContext(t.Context(), q); err != nil {
			if e, ok := engine.AsError(err); !ok || e.Class != engine.Constraint {
				t.Fatalf("%s: %v", q, err)
			}
			return
		}
		log = append(log, q)
	}
	or := func(n int) string { // a number, or NULL
		if rng.IntN(4) == 0 {
			return "NULL"
		}
		return strconv.Itoa(rng.IntN(n))
	}
	code := func() string { return fmt.Sprintf("'c%d'", rng.IntN(8)) }
	some := func() {
		switch rng.IntN(11) {
		case 0, 1:
			write(fmt.Sprintf("INSERT INTO shops VALUES (%d, %s, %s)", rng.IntN(6), code(), or(9)))
		case 2, 3:
			write(fmt.Sprintf("INSERT INTO people VALUES (%d, %s, %s, %s)", rng.IntN(12), or(12), []string{"NULL", code()}[rng.IntN(2)], or(9)))
		case 4, 5:
			write(fmt.Sprintf("INSERT INTO carts VALUES (%d, %s, %s)", rng.IntN(12), or(12), or(9)))
		case 6, 7:
			write(fmt.Sprintf("INSERT INTO lines VALUES (%d, %d, %s)", rng.IntN(12), rng.IntN(3), or(9)))
		case 8:
			write(fmt.Sprintf("DELETE FROM %s WHERE n %% 3 = %d", familyTables[rng.IntN(4)], rng.IntN(3)))
		case 9:
			write(fmt.Sprintf("UPDATE %s SET n = %s WHERE n %% 2 = %d", familyTables[rng.IntN(4)], or(9), rng.IntN(2)))
		default:
			write([]string{
				fmt.Sprintf("UPDATE people SET boss = %s WHERE id = %d", or(12), rng.IntN(12)),
				fmt.Sprintf("UPDATE carts SET person = %s WHERE id = %d", or(12), rng.IntN(12)),
				fmt.Sprintf("UPDATE shops SET code = %s WHERE id = %d", code(), rng.IntN(6)),
				fmt.Sprintf("UPDATE people SET shop = %s WHERE id = %d", code(), rng.IntN(12)),
			}[rng.IntN(4)])
		}
	}
	for range 60 {
		some()
	}
	read := func(n string) string {
		return strings.Join(b.query("SELECT concat_ws(' ', "+map[string]string{"shops": "id, code, coalesce(n, -1)", "people": "id, coalesce(boss, -1), coalesce(shop, '-'), coalesce(n, -1)",
			"carts": "id, coalesce(person, -1), coalesce(n, -1)", "lines": "cart, no, coalesce(n, -1)"}[n]+") FROM "+n+" ORDER BY 1"), "\n") + "\n"
	}
	all := func() map[string]string {
		out := map[string]string{}
		for _, n := range familyTables {
			out[n] = read(n)
		}
		return out
	}
	was := all()
	id := b.take(familyTables...)
	for range 40 {
		some()
	}
	now := all()
	fail := func(what, want, got string) {
		t.Errorf("on delete %s, on update %s: %s\n%s\n%s", onDelete, onUpdate, what, testdb.Diff(want, got), strings.Join(log, "\n"))
	}
	// All together.
	r, err := b.tryRestore(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace})
	if err != nil {
		t.Fatalf("on delete %s, on update %s: all together: %v\n%s", onDelete, onUpdate, err, strings.Join(log, "\n"))
	}
	// told: only a unique value that goes round in a circle among rows that others point to cannot be put back.
	told := func(r restored) bool {
		for _, c := range r.conflicts {
			if c.Reason != "unique value taken" && c.Reason != "referenced since" && c.Reason != "parent deleted" {
				t.Errorf("conflict: %+v", c)
			}
		}
		return len(r.conflicts) > 0
	}
	whole := !told(r)
	if whole {
		for n, got := range all() {
			if got != was[n] {
				fail("all together: "+n, was[n], got)
			}
		}
	}
	back, err := b.tryRestore(snapshot.Ask{Snapshot: r.safety})
	if err != nil && !isNothing(err) {
		t.Fatalf("undo all: %v\n%s", err, strings.Join(log, "\n"))
	}
	if err == nil && !told(back) && whole {
		for n, got := range all() {
			if got != now[n] {
				fail("all together, undone: "+n, now[n], got)
			}
		}
	}
	// One alone.
	before := all()
	one := familyTables[rng.IntN(4)]
	mode := []snapshot.Mode{snapshot.Merge, snapshot.Replace}[rng.IntN(2)]
	ask := snapshot.Ask{Snapshot: id, Mode: mode, Tables: []engine.Name{{Name: one}}}
	p, err := b.preview(ask)
	if err != nil {
		t.Fatalf("%s alone, %s: preview: %v\n%s", one, mode, err, strings.Join(log, "\n"))
	}
	if r, err = b.tryRestore(ask); err != nil {
		t.Fatalf("on delete %s, on update %s: %s alone, %s: %v\n%s", onDelete, onUpdate, one, mode, err, strings.Join(log, "\n"))
	}
	if counts(p) != counts(r.tables) {
		t.Errorf("%s alone, %s: preview %s, did %s\n%s", one, mode, counts(p), counts(r.tables), strings.Join(log, "\n"))
	}
	after := all()
	for n := range after {
		if n != one && after[n] != before[n] {
			fail(one+" alone, "+string(mode)+": it wrote to "+n, before[n], after[n])
		}
	}
	if mode == snapshot.Replace && len(r.conflicts) == 0 && after[one] != was[one] {
		fail(one+" alone", was[one], after[one])
	}
	if _, err := b.tryRestore(snapshot.Ask{Snapshot: r.safety}); err != nil && !isNothing(err) {
		t.Fatalf("undo %s: %v\n%s", one, err, strings.Join(log, "\n"))
	}
	for n, got := range all() {
		if got != before[n] {
			fail(one+" alone, undone: "+n, before[n], got)
		}
	}
}

// isNothing tells that there was nothing to undo: nothing was written over.
func isNothing(err error) bool { return strings.Contains(err.Error(), "there is no snapshot") }
