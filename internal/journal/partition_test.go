package journal_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPartitions: what is written to a partition, or to a table that inherits, is recorded by whatever way it comes, and goes back; the partitioned
// table itself is refused, with the partitions to name instead.
func TestPartitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.Postgres(t), "CREATE TABLE whole (id integer NOT NULL PRIMARY KEY, v integer) PARTITION BY RANGE (id)", "CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (100)",
		"CREATE TABLE high (v integer, gone integer, id integer NOT NULL)", "ALTER TABLE high DROP COLUMN gone", "ALTER TABLE whole ATTACH PARTITION high FOR VALUES FROM (100) TO (200)",
		"CREATE TABLE parent (id integer NOT NULL PRIMARY KEY, v integer)", "CREATE TABLE heir (more integer, PRIMARY KEY (id)) INHERITS (parent)",
		"INSERT INTO whole SELECT g, g FROM generate_series(90, 110) g", "INSERT INTO parent SELECT g, g FROM generate_series(1, 9) g", "INSERT INTO heir SELECT g, g, g FROM generate_series(11, 19) g")
	var refused *journal.RefusedError
	err := w.try(func(q engine.Querier) error {
		return w.j.Enable(t.Context(), q, names([]string{"whole"}), journal.Options{}, "test")
	})
	if !errors.As(err, &refused) || !strings.Contains(refused.Hint, "public.high public.low") {
		t.Errorf("the partitioned table: %v, %+v", err, refused)
	}
	tables := []string{"low", "high", "parent", "heir"}
	w.enable(tables...)
	read := func() map[string]string {
		all := map[string]string{}
		for _, n := range tables {
			columns := []string{"v"}
			if n == "heir" {
				columns = append(columns, "more")
			}
			from := n
			if n == "parent" {
				w.exec("CREATE OR REPLACE VIEW parent_only AS SELECT * FROM ONLY parent")
				from = "parent_only"
			}
			for k, v := range w.rows(from, []string{"id"}, columns) {
				all[n+" "+k] = v
			}
		}
		return all
	}
	for i, writes := range [][]string{
		{"INSERT INTO whole VALUES (1, 1), (150, 1)", "UPDATE whole SET v = v + 1", "DELETE FROM whole WHERE id % 7 = 0"},
		{"UPDATE whole SET id = id + 30 WHERE id BETWEEN 85 AND 95", "UPDATE whole SET id = id - 60 WHERE id = 108"},
		{"INSERT INTO whole VALUES (91, 5) ON CONFLICT (id) DO UPDATE SET v = excluded.v", "UPDATE high SET v = 0", "INSERT INTO low VALUES (2, 2)"},
		{"TRUNCATE whole", "INSERT INTO whole VALUES (91, 6), (101, 6)"},
		{"TRUNCATE low"},
		{"UPDATE parent SET v = v + 1", "DELETE FROM parent WHERE id % 4 = 0", "INSERT INTO parent VALUES (4, 4)", "INSERT INTO heir VALUES (12, 1, 1)"},
		{"TRUNCATE parent"},
	} {
		at, want := w.now(), read()
		w.exec(writes...)
		if maps.Equal(want, read()) {
			t.Fatalf("%d: nothing was written", i)
		}
		if _, err := w.restore(snapshot.Ask{Tables: names(tables), At: at, Mode: snapshot.Replace}); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		w.same(fmt.Sprintf("%d: %v", i, writes), want, read())
	}
	var nothing *snapshot.NothingError
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"whole"}), At: w.now(), Mode: snapshot.Replace}); !errors.As(err, &nothing) || !strings.Contains(nothing.Hint, "--table public.high --table public.low") {
		t.Errorf("the partitioned table: %v", err)
	}
	// A table that is attached is written by way of another one from now on, which its trigger does not see.
	w.exec("CREATE TABLE later (id integer NOT NULL PRIMARY KEY, v integer)")
	w.enable("later")
	w.exec("ALTER TABLE whole ATTACH PARTITION later FOR VALUES FROM (200) TO (300)")
	all, err := w.j.Status(t.Context(), w.db)
	if err != nil || len(all) != 5 || all[4].Recording || !strings.Contains(all[4].Why, "partition") {
		t.Errorf("after it was attached: %+v, %v", all, err)
	}
}
