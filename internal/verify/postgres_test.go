package verify_test

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

//go:embed testdata/postgres_rich.sql
var postgresRich string

// bench is an open database with a schema.
type bench struct {
	t   *testing.T
	dsn string
	db  *engine.DB
}

func open(t *testing.T, dsn, schema string) *bench {
	t.Helper()
	if schema != "" {
		testdb.Exec(t, dsn, schema)
	}
	db, err := engine.Open(context.Background(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &bench{t, dsn, db}
}

func (b *bench) take(s verify.Scope) verify.Fingerprint {
	b.t.Helper()
	f, err := verify.Take(context.Background(), b.db, b.db, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *bench) exec(statements ...string) {
	b.t.Helper()
	testdb.Exec(b.t, b.dsn, statements...)
}

// keys are the differences as "kind object", "~" before a cosmetic one.
func keys(ds []verify.Difference) []string {
	var out []string
	for _, d := range ds {
		mark := ""
		if d.Cosmetic {
			mark = "~"
		}
		out = append(out, mark+d.Kind+" "+d.Object)
	}
	slices.Sort(out)
	return out
}

func material(ds []verify.Difference) []verify.Difference {
	return slices.DeleteFunc(slices.Clone(ds), func(d verify.Difference) bool { return d.Cosmetic })
}

// each case changes one thing on the rich schema: exactly that differs, and Repair takes it back.
type each struct {
	name   string
	change string   // statements, separated by a line "--"
	want   []string // the keys that differ
	stays  []string // what Repair must leave, because data or others hang on it
}

// run works in a transaction of its own, which leaves no trace.
func (c each) run(t *testing.T, b *bench) {
	t.Helper()
	ctx := context.Background()
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	take := func() verify.Fingerprint {
		t.Helper()
		f, err := verify.Take(ctx, b.db, tx, verify.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	before := take()
	exec(strings.Split(c.change, "\n--\n")...)
	after := take()
	want := slices.Sorted(slices.Values(c.want))
	if got := keys(verify.Diff(before, after)); !slices.Equal(got, want) {
		t.Errorf("differences\n got %q\nwant %q", got, want)
	}
	repair := verify.Repair(before, after)
	exec(repair...)
	left := material(verify.Diff(before, take()))
	if got := keys(left); !slices.Equal(got, c.stays) {
		t.Errorf("after repair\n got %q\nwant %q\nwith\n%s\n%+v", got, c.stays, strings.Join(repair, "\n"), left)
	}
}

var postgresChanges = []each{
	{"column added", "ALTER TABLE shop.item ADD COLUMN more text", []string{"column shop.item.more"}, []string{"column shop.item.more"}},
	{"column dropped", "ALTER TABLE shop.parent ADD COLUMN x text\n--\nALTER TABLE public.plain DROP COLUMN note", []string{"column shop.parent.x", "column public.plain.note"}, []string{"column shop.parent.x"}},
	{"default changed", "ALTER TABLE shop.item ALTER COLUMN parent_id SET DEFAULT 2", []string{"default shop.item.parent_id"}, nil},
	{"default dropped", "ALTER TABLE shop.item ALTER COLUMN at DROP DEFAULT", []string{"default shop.item.at"}, nil},
	{"default left over", "ALTER TABLE shop.item ALTER COLUMN note SET DEFAULT 'x'", []string{"default shop.item.note"}, nil},
	{"not null dropped", "ALTER TABLE shop.item ALTER COLUMN name DROP NOT NULL", []string{"not null shop.item.name"}, nil},
	{"not null left over", "ALTER TABLE shop.item ALTER COLUMN note SET NOT NULL", []string{"not null shop.item.note"}, nil},
	{"unique dropped", "ALTER TABLE shop.item DROP CONSTRAINT item_name_once", []string{"unique shop.item.item_name_once"}, nil},
	{"unique changed", "ALTER TABLE shop.item DROP CONSTRAINT item_name_once, ADD CONSTRAINT item_name_once UNIQUE (name)", []string{"unique shop.item.item_name_once"}, nil},
	{"foreign key dropped", "ALTER TABLE shop.item DROP CONSTRAINT item_parent", []string{"foreign key shop.item.item_parent"}, nil},
	{"foreign key not valid", "ALTER TABLE shop.item DROP CONSTRAINT item_parent, ADD CONSTRAINT item_parent FOREIGN KEY (parent_id) REFERENCES shop.parent (id) ON DELETE CASCADE DEFERRABLE NOT VALID", []string{"foreign key shop.item.item_parent"}, nil},
	{"foreign key not deferrable", "ALTER TABLE shop.item ALTER CONSTRAINT item_parent NOT DEFERRABLE", []string{"foreign key shop.item.item_parent"}, nil},
	{"check dropped", "ALTER TABLE shop.item DROP CONSTRAINT item_price_ok", []string{"check shop.item.item_price_ok", "comment CONSTRAINT item_price_ok ON shop.item"}, nil},
	{"exclude dropped", "ALTER TABLE shop.item DROP CONSTRAINT item_no_overlap", []string{"exclude shop.item.item_no_overlap"}, nil},
	{"primary key dropped", "ALTER TABLE shop.item DROP CONSTRAINT item_pk", []string{"primary key shop.item.item_pk"}, nil},
	{"primary key and not null", "ALTER TABLE public.plain DROP CONSTRAINT plain_pkey, ALTER COLUMN id DROP NOT NULL", []string{"primary key public.plain.plain_pkey", "not null public.plain.id"}, nil},
	{"primary key left over", "ALTER TABLE shop.scratch ADD PRIMARY KEY (id)", []string{"primary key shop.scratch.scratch_pkey", "not null shop.scratch.id"}, nil},
	{"index dropped", "DROP INDEX shop.item_mail", []string{"index shop.item_mail"}, nil},
	{"index changed", "DROP INDEX shop.item_mail\n--\nCREATE INDEX item_mail ON shop.item (mail)", []string{"index shop.item_mail"}, nil},
	{"index left over", "CREATE INDEX more ON shop.item (price)", []string{"index shop.more"}, nil},
	{"index clustered", "ALTER TABLE shop.item CLUSTER ON item_pk", []string{"cluster shop.item"}, nil},
	{"view changed", "CREATE OR REPLACE VIEW shop.cheap AS SELECT id, name FROM shop.item WHERE price < 11", []string{"view shop.cheap"}, nil},
	{"view dropped with the view over it", "DROP VIEW shop.cheap CASCADE", []string{"view shop.cheap", "view shop.cheaper", "owner shop.cheap", "owner shop.cheaper"}, nil},
	{"materialized view dropped", "DROP MATERIALIZED VIEW shop.sums", []string{"materialized view shop.sums", "index shop.sums_parent", "owner shop.sums"}, nil},
	{"rule dropped", "DROP RULE item_quiet ON shop.item", []string{"rule shop.item.item_quiet"}, nil},
	{"trigger dropped", "DROP TRIGGER item_stamp ON shop.item", []string{"trigger shop.item.item_stamp"}, nil},
	{"trigger switched off", "ALTER TABLE shop.item DISABLE TRIGGER item_stamp", []string{"trigger shop.item.item_stamp"}, nil},
	{"policy dropped", "DROP POLICY item_own ON shop.item", []string{"policy shop.item.item_own"}, nil},
	{"policy changed", "ALTER POLICY item_own ON shop.item USING (price > 1)", []string{"policy shop.item.item_own"}, nil},
	{"row security off", "ALTER TABLE shop.item DISABLE ROW LEVEL SECURITY", []string{"row security shop.item"}, nil},
	{"replica identity", "ALTER TABLE shop.item REPLICA IDENTITY FULL", []string{"replica identity shop.item"}, nil},
	{"options", "ALTER TABLE shop.item SET (fillfactor = 50)", []string{"options shop.item"}, nil},
	{"column storage", "ALTER TABLE shop.item ALTER COLUMN note SET STORAGE MAIN", []string{"column options shop.item.note"}, nil},
	{"identity dropped", "ALTER TABLE shop.item ALTER COLUMN id DROP IDENTITY", []string{"identity shop.item.id"}, nil},
	{"statistics dropped", "DROP STATISTICS shop.item_stats", []string{"statistics shop.item_stats"}, nil},
	{"publication membership", "ALTER PUBLICATION shop_changes DROP TABLE shop.item", []string{"publication membership shop_changes: shop.item"}, nil},
	{"publication dropped", "DROP PUBLICATION shop_changes", []string{"publication shop_changes", "publication membership shop_changes: shop.item", "owner publication shop_changes"}, nil},
	{"comment dropped", "COMMENT ON COLUMN shop.item.name IS NULL", []string{"comment COLUMN shop.item.name"}, nil},
	{"comment changed", "COMMENT ON TABLE shop.item IS 'x'", []string{"comment TABLE shop.item"}, nil},
	{"owner", "ALTER TABLE public.plain OWNER TO pg_monitor", []string{"owner public.plain"}, nil},
	{"grant revoked", "REVOKE INSERT ON shop.item FROM pg_monitor", []string{"grant shop.item to pg_monitor"}, nil},
	{"grant left over", "GRANT SELECT ON shop.parent TO pg_monitor", []string{"grant shop.parent to pg_monitor"}, nil},
	{"grant option revoked", "REVOKE GRANT OPTION FOR SELECT ON shop.item FROM pg_monitor", []string{"grant shop.item to pg_monitor"}, nil},
	{"column grant revoked", "REVOKE UPDATE (name) ON shop.item FROM pg_monitor", []string{"grant shop.item.name to pg_monitor"}, nil},
	{"schema grant revoked", "REVOKE USAGE ON SCHEMA shop FROM pg_monitor", []string{"grant shop to pg_monitor"}, nil},
	{"function grant given back", "GRANT EXECUTE ON FUNCTION shop.twice(integer) TO PUBLIC", []string{"grant shop.twice(n integer) to PUBLIC"}, nil},
	{"function changed", "CREATE OR REPLACE FUNCTION shop.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n + n'", []string{"function shop.twice(n integer)"}, nil},
	{"function dropped", "DROP FUNCTION shop.twice(integer)", []string{"function shop.twice(n integer)", "comment FUNCTION shop.twice(n integer)", "grant shop.twice(n integer) to PUBLIC", "owner function shop.twice(n integer)"}, nil},
	{"procedure dropped", "DROP PROCEDURE shop.nothing(integer)", []string{"procedure shop.nothing(IN n integer)", "owner procedure shop.nothing(IN n integer)"}, nil},
	{"aggregate dropped", "DROP AGGREGATE shop.total(integer)", []string{"aggregate shop.total(integer)", "owner aggregate shop.total(integer)"}, nil},
	{"sequence changed", "ALTER SEQUENCE shop.ticket INCREMENT BY 6", []string{"sequence shop.ticket"}, nil},
	{"sequence dropped", "DROP SEQUENCE shop.ticket", []string{"sequence shop.ticket", "owner sequence shop.ticket"}, nil},
	{"sequence owner", "ALTER SEQUENCE shop.item_serial_no_seq OWNED BY NONE", []string{"sequence owner shop.item_serial_no_seq", "owner sequence shop.item_serial_no_seq"}, nil},
	{"enum label added", "ALTER TYPE shop.mood ADD VALUE 'new' BEFORE 'ok'", []string{"enum shop.mood"}, []string{"enum shop.mood"}},
	{"composite dropped", "DROP TYPE shop.pair", []string{"composite shop.pair", "owner composite shop.pair"}, nil},
	{"range dropped", "DROP TYPE shop.span", []string{"range shop.span", "owner range shop.span"}, nil},
	{"domain check dropped", "ALTER DOMAIN shop.email DROP CONSTRAINT email_at", []string{"domain check shop.email.email_at"}, nil},
	{"domain default", "ALTER DOMAIN shop.email SET DEFAULT 'x@y'", []string{"domain default shop.email"}, nil},
	{"domain not null", "ALTER DOMAIN shop.email DROP NOT NULL", []string{"domain not null shop.email"}, nil},
	{"extension dropped", "DROP EXTENSION pg_trgm", []string{"extension pg_trgm", "comment EXTENSION pg_trgm"}, nil},
	{"schema added", "CREATE SCHEMA more", []string{"schema more", "owner schema more"}, []string{"owner schema more", "schema more"}},
	{"event trigger dropped", "DROP EVENT TRIGGER shop_watch", []string{"event trigger shop_watch", "owner event trigger shop_watch"}, nil},
	{"event trigger switched off", "ALTER EVENT TRIGGER shop_watch DISABLE", []string{"event trigger shop_watch"}, []string{"event trigger shop_watch"}},
	{"foreign table dropped", "DROP FOREIGN TABLE shop.remote", []string{"foreign table shop.remote", "column shop.remote.id", "column shop.remote.v", "owner shop.remote"}, nil},
	{"partition dropped", "DROP TABLE shop.log_2024", []string{"table shop.log_2024", "column shop.log_2024.at", "column shop.log_2024.line", "default shop.log_2024.line", "not null shop.log_2024.at", "owner shop.log_2024"}, nil},
	{"heir dropped", "DROP TABLE shop.heir", []string{"table shop.heir", "column shop.heir.id", "column shop.heir.kind", "column shop.heir.extra", "owner shop.heir"}, nil},
	{"odd names", `ALTER TABLE shop."Odd ""Name"".x" ALTER COLUMN "Some Col" DROP DEFAULT, ALTER COLUMN "Some Col" DROP NOT NULL`, []string{`default shop.Odd "Name".x.Some Col`, `not null shop.Odd "Name".x.Some Col`}, nil},
	{"type changed", "ALTER TABLE public.plain ALTER COLUMN note TYPE varchar(9)", []string{"column public.plain.note"}, nil},
}

func TestPostgresEachKind(t *testing.T) {
	t.Parallel()
	b := open(t, testdb.Postgres(t), postgresRich)
	for _, c := range postgresChanges {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
}
