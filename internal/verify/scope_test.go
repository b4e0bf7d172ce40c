package verify_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

func TestPostgresScopeOfTables(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), postgresRich)
	all := b.take(verify.Scope{})
	item := engine.Name{Schema: "shop", Name: "item"}
	some := b.take(verify.Scope{Tables: []engine.Name{item, {Schema: "shop", Name: "missing"}}})
	for key, o := range all {
		_, got := some[key]
		if want := o.Table == item || strings.Contains(key, "shop.cheap") || strings.Contains(key, "shop.sums"); got != want {
			t.Errorf("%s in the scope of shop.item: %v, want %v", key, got, want)
		}
	}
	for key, o := range some {
		if !sameObject(all[key], o) {
			t.Errorf("%s differs from what the whole shows:\n%+v\n%+v", key, o, all[key])
		}
	}
	parent := b.take(verify.Scope{Tables: []engine.Name{{Schema: "shop", Name: "parent"}}})
	for _, key := range []string{"foreign key shop.item.item_parent", "view shop.cheaper"} {
		if _, ok := parent[key]; !ok {
			t.Errorf("%s is missing from the scope of shop.parent", key)
		}
	}
	both := b.take(verify.Scope{Tables: []engine.Name{item}, Others: true})
	for _, key := range []string{"table shop.item", "enum shop.mood", "view shop.cheaper", "sequence shop.ticket", "schema shop"} {
		if _, ok := both[key]; !ok {
			t.Errorf("%s is missing from tables and others", key)
		}
	}
	if _, ok := both["table shop.parent"]; ok {
		t.Error("a table that was not asked for is in the scope")
	}
}

func sameObject(a, b verify.Object) bool {
	return a.Definition == b.Definition && slices.Equal(a.Create, b.Create) && slices.Equal(a.Drop, b.Drop) && a.Rank == b.Rank && a.Position == b.Position
}

func TestPostgresChangeOfPartitionIsInScopeOfParent(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), postgresRich)
	scope := verify.Scope{Tables: []engine.Name{{Schema: "shop", Name: "log"}}}
	before := b.take(scope)
	b.exec("ALTER TABLE shop.log ADD COLUMN more text")
	got := keys(verify.Diff(before, b.take(scope)))
	if want := []string{"column shop.log.more", "column shop.log_2024.more"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSearchPathIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := open(t, testdb.Postgres(t), postgresRich)
	s, err := b.db.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	path := func(q engine.Querier) (p string) {
		t.Helper()
		if err := q.QueryRowContext(ctx, "SELECT current_setting('search_path')").Scan(&p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	const mine = `"$user", shop, public`
	if _, err := s.ExecContext(ctx, "SET search_path = "+mine); err != nil {
		t.Fatal(err)
	}
	scopes := []verify.Scope{{}, {Others: true}, {Tables: []engine.Name{{Schema: "shop", Name: "item"}}}}
	outside := b.take(verify.Scope{})
	for _, scope := range scopes {
		f, err := verify.Take(ctx, b.db, s, scope)
		if err != nil {
			t.Fatal(err)
		}
		if got := path(s); got != mine {
			t.Fatalf("search_path is %q after %+v, was %q", got, scope, mine)
		}
		for key, o := range f {
			if outside[key].Definition != o.Definition {
				t.Errorf("%s depends on the search path: %q, %q", key, o.Definition, outside[key].Definition)
			}
		}
	}
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "SET LOCAL search_path = shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Take(ctx, b.db, tx, verify.Scope{}); err != nil {
		t.Fatal(err)
	}
	if got := path(tx); got != "shop" {
		t.Errorf("search_path in the transaction is %q", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := path(s); got != mine {
		t.Errorf("search_path after the transaction is %q, was %q", got, mine)
	}
}

func TestWhatIsNotTheUsersIsLeftOut(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), "CREATE TABLE public.t (id integer PRIMARY KEY)")
	before := b.take(verify.Scope{})
	b.db.Ignore = []engine.Name{{Name: "goose_db_version"}}
	b.exec(
		"CREATE SCHEMA dbrollback", "CREATE TABLE dbrollback.state_snapshots (id serial PRIMARY KEY)",
		"CREATE FUNCTION dbrollback.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"CREATE TRIGGER dbrollback_watch AFTER INSERT ON public.t FOR EACH STATEMENT EXECUTE FUNCTION dbrollback.f()",
		"CREATE TABLE public.goose_db_version (id serial PRIMARY KEY, at timestamp DEFAULT now())",
		"COMMENT ON TABLE public.goose_db_version IS 'x'", "GRANT SELECT ON public.goose_db_version TO pg_monitor",
		"CREATE TYPE dbrollback.e AS ENUM ('a')", "CREATE VIEW dbrollback.v AS SELECT * FROM public.t")
	if got := keys(verify.Diff(before, b.take(verify.Scope{}))); len(got) > 0 {
		t.Errorf("differences %q, want none", got)
	}
	b.exec("CREATE EXTENSION pg_trgm")
	if got, want := keys(verify.Diff(before, b.take(verify.Scope{}))), []string{"comment EXTENSION pg_trgm", "extension pg_trgm"}; !slices.Equal(got, want) {
		t.Errorf("differences %q, want %q", got, want)
	}
}

func TestInvalidIndex(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), "CREATE TABLE public.t (a integer); INSERT INTO public.t VALUES (1), (1)")
	if _, err := b.db.ExecContext(context.Background(), "CREATE UNIQUE INDEX CONCURRENTLY t_once ON public.t (a)"); err == nil {
		t.Fatal("a unique index over duplicates was made")
	}
	o := b.take(verify.Scope{})["index public.t_once"]
	if !o.Invalid {
		t.Fatalf("the index that failed is not marked: %+v", o)
	}
	b.exec(o.Drop...)
	b.exec("CREATE INDEX t_once ON public.t (a)")
	if o := b.take(verify.Scope{})["index public.t_once"]; o.Invalid || o.Kind == "" {
		t.Errorf("a sound index: %+v", o)
	}
}
