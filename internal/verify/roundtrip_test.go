package verify_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Everything made from nothing by Repair alone is what was there.
func TestPostgresRoundTrip(t *testing.T) {
	t.Parallel()
	rich := open(t, testdb.Postgres(t), postgresRich).take(verify.Scope{})
	empty := open(t, testdb.Postgres(t), "")
	for i, stmt := range verify.Repair(rich, empty.take(verify.Scope{})) {
		if _, err := empty.db.ExecContext(context.Background(), stmt); err != nil {
			t.Fatalf("statement %d: %s: %v", i, stmt, err)
		}
	}
	have := empty.take(verify.Scope{})
	for _, d := range verify.Diff(rich, have) {
		t.Errorf("%+v", d)
	}
	if again := verify.Repair(rich, have); len(again) > 0 {
		t.Errorf("Repair of equals: %q", again)
	}
}

// One table gone with all that hung on it comes back, whatever of it was dropped along.
func TestPostgresDroppedTableComesBack(t *testing.T) {
	t.Parallel()
	for _, drop := range []string{"DROP TABLE shop.item CASCADE", "DROP TABLE shop.parent CASCADE", "DROP TABLE shop.log", "DROP TABLE shop.base CASCADE"} {
		t.Run(drop, func(t *testing.T) {
			t.Parallel()
			b := open(t, testdb.Postgres(t), postgresRich)
			before := b.take(verify.Scope{})
			b.exec(drop)
			b.exec(verify.Repair(before, b.take(verify.Scope{}))...)
			for _, d := range verify.Diff(before, b.take(verify.Scope{})) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// A view that was replaced reads a view that is newer than itself.
func TestViewsAreMadeInOrderOfNeed(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), `CREATE TABLE t (a integer); CREATE VIEW v1 AS SELECT a FROM t;
		CREATE VIEW v2 AS SELECT a FROM t; CREATE OR REPLACE VIEW v1 AS SELECT a FROM v2;
		CREATE MATERIALIZED VIEW v0 AS SELECT a FROM v1; CREATE INDEX v0_a ON v0 (a)`)
	before := b.take(verify.Scope{})
	b.exec("DROP TABLE t CASCADE")
	b.exec(verify.Repair(before, b.take(verify.Scope{}))...)
	if d := verify.Diff(before, b.take(verify.Scope{})); len(d) > 0 {
		t.Errorf("%+v", d)
	}
}

// Functions whose text names tables, and tables whose columns name functions.
func TestFunctionsAndTablesNeedEachOther(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), `CREATE TABLE t (a integer);
		CREATE FUNCTION count_t() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.t';
		CREATE FUNCTION rows_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM public.t';
		CREATE FUNCTION one() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
		CREATE TABLE u (a integer DEFAULT one() CHECK (a > one()), b integer GENERATED ALWAYS AS (a + one()) STORED)`)
	before := b.take(verify.Scope{})
	b.exec("DROP SCHEMA public CASCADE")
	b.exec(verify.Repair(before, b.take(verify.Scope{}))...)
	if d := verify.Diff(before, b.take(verify.Scope{})); len(d) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestMadeUpNamesAreCosmetic(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := open(t, dsn, "CREATE TABLE p (id integer PRIMARY KEY, a integer, b integer, CONSTRAINT once UNIQUE (a, b))")
		before := b.take(verify.Scope{})
		b.exec("DROP TABLE p", "CREATE TABLE p (id integer PRIMARY KEY, b integer, a integer, UNIQUE (a, b))")
		after := b.take(verify.Scope{})
		d := verify.Diff(before, after)
		if got := keys(material(d)); len(got) > 0 {
			t.Errorf("differences that are more than cosmetic: %q", got)
		}
		if len(d) == 0 {
			t.Error("the name of the constraint and the order of columns are not shown at all")
		}
		if r := verify.Repair(before, after); len(r) > 0 {
			t.Errorf("repairs %q, want none", r)
		}
		b.exec("DROP TABLE p", "CREATE TABLE p (id integer PRIMARY KEY, b integer, a integer, CONSTRAINT twice UNIQUE (b, a))")
		if got := keys(material(verify.Diff(before, b.take(verify.Scope{})))); len(got) == 0 {
			t.Error("a key over other columns passes for cosmetic")
		}
	}, everywhere...)
}

func TestDiffIsSorted(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := open(t, dsn, "")
		before := b.take(verify.Scope{})
		b.exec("CREATE TABLE b (x integer, y text)", "CREATE TABLE a (x integer)", "CREATE INDEX i ON a (x)", "CREATE VIEW v AS SELECT x FROM a")
		after := b.take(verify.Scope{})
		first := verify.Diff(before, after)
		for range 5 {
			if !slices.Equal(first, verify.Diff(before, after)) {
				t.Fatal("the order of a diff changes")
			}
		}
		if len(first) < 6 {
			t.Errorf("differences %+v", first)
		}
	}, everywhere...)
}
