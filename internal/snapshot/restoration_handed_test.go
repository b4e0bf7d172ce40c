package snapshot_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreOfReferencedValuesThatMovedOn: unique values that foreign keys point to went from row to row. They come back all the same, the preview says so, and the restore of what
// was written over gives the rows of now again; where one cannot come back, what depends on it stays as it is, and is told.
func TestRestoreOfReferencedValuesThatMovedOn(t *testing.T) {
	t.Parallel()
	const (
		two  = "INSERT INTO p VALUES (1, 'A', 1), (2, 'B', 2)"
		swap = "UPDATE p SET code = 'T' WHERE id = 1; UPDATE p SET code = 'A' WHERE id = 2; UPDATE p SET code = 'B' WHERE id = 1"
		gone = "DELETE FROM c; DELETE FROM p; INSERT INTO p VALUES (7, 'C', 7)"
	)
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE p (id integer PRIMARY KEY, code varchar(10) NOT NULL UNIQUE, v integer UNIQUE)",
			"CREATE TABLE c (id integer PRIMARY KEY, code varchar(10), p_id integer, FOREIGN KEY (code) REFERENCES p (code), FOREIGN KEY (p_id) REFERENCES p (id))",
			"CREATE TABLE d (id integer PRIMARY KEY, p_id integer, FOREIGN KEY (p_id) REFERENCES p (id))")
		for _, tc := range []struct{ name, was, now, stays string }{
			{"nothing pointed to them", two + "; INSERT INTO c VALUES (1, NULL, 1)", swap, ""},
			{"they are pointed to again", two + "; INSERT INTO c VALUES (1, 'A', 2)", "UPDATE c SET code = NULL; " + swap, ""},
			{"they are pointed to now", two + "; INSERT INTO c VALUES (1, NULL, 2)", swap + "; UPDATE c SET code = 'A'", ""},
			{"they are pointed to all along", two + "; INSERT INTO c VALUES (1, 'A', 1), (2, 'B', 1)", "UPDATE c SET code = NULL; " + swap + "; UPDATE c SET code = 'A' WHERE id = 1; UPDATE c SET code = 'B' WHERE id = 2", ""},
			{"a later row has one, which comes back", "INSERT INTO p VALUES (3, 'C', 3); INSERT INTO c VALUES (1, 'C', 3)", gone, ""},
			{"a later row has one, which is there", "INSERT INTO p VALUES (3, 'C', 3); INSERT INTO c VALUES (1, 'C', NULL)", gone + "; INSERT INTO c VALUES (1, 'C', NULL)", ""},
			{"one cannot come back", "INSERT INTO p VALUES (3, 'C', 3); INSERT INTO c VALUES (1, 'C', NULL)", gone + "; INSERT INTO c VALUES (1, 'C', NULL); INSERT INTO p VALUES (8, 'X', 3); INSERT INTO d VALUES (1, 8)",
				"p id=3 unique value taken, p id=7 referenced since, p id=8 referenced since"},
		} {
			b.exec("DELETE FROM d", "DELETE FROM c", "DELETE FROM p")
			b.exec(strings.Split(tc.was, "; ")...)
			then := b.rows()
			id := b.take("p", "c")
			b.exec(strings.Split(tc.now, "; ")...)
			now := b.rows()
			ask := snapshot.Ask{Snapshot: id, Tables: []engine.Name{{Name: "p"}, {Name: "c"}}, Mode: snapshot.Replace}
			preview, err := b.preview(ask)
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			r := b.restore(ask)
			if got := counts(r.tables); got != counts(preview) {
				t.Errorf("%s: counted %s, the preview said %s", tc.name, got, counts(preview))
			}
			var told []string
			for _, c := range r.conflicts {
				told = append(told, fmt.Sprintf("%s %s %s", strings.TrimPrefix(c.Table, "public."), c.Key, c.Reason))
			}
			if slices.Sort(told); strings.Join(told, ", ") != tc.stays {
				t.Errorf("%s: conflicts %v, want %s", tc.name, told, tc.stays)
			}
			if tc.stays != "" {
				same(t, tc.name, now, b.rows())
				continue
			}
			same(t, tc.name, then, b.rows())
			b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
			same(t, tc.name+", undone", now, b.rows())
		}
	}, everywhere...)
}
