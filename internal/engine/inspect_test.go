package engine_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func inspect(t *testing.T, db *engine.DB, n engine.Name) *engine.Table {
	t.Helper()
	tab, err := db.Inspect(t.Context(), db, n)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func column(t *testing.T, tab *engine.Table, name string) engine.Column {
	t.Helper()
	i := slices.IndexFunc(tab.Columns, func(c engine.Column) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("%s has no column %s", tab.Name, name)
	}
	return tab.Columns[i]
}

func keyNames(tab *engine.Table) (names []string) {
	for _, k := range tab.Keys {
		names = append(names, k.Name)
	}
	return names
}

func TestResolve(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		s := session(t, open(t, dsn, engine.Options{}))
		db := open(t, dsn, engine.Options{})
		exec(t, s, "CREATE TABLE t (id integer)", `CREATE TABLE "T""2" (id integer)`)
		for _, name := range []string{"t", `T"2`} {
			n, err := db.Resolve(t.Context(), s, engine.Name{Name: name})
			if err != nil || n.Name != name || db.Caps.Schemas != (n.Schema == "public") {
				t.Errorf("%s: %v, %v", name, n, err)
			}
		}
		for _, n := range []engine.Name{{Name: "missing"}, {Schema: "missing", Name: "t"}, {Name: "t_pkey"}, {Name: ""}} {
			if _, err := db.Resolve(t.Context(), s, n); !errors.Is(err, engine.ErrNoTable) {
				t.Errorf("%v: %v", n, err)
			}
			if _, err := db.Inspect(t.Context(), s, n); !errors.Is(err, engine.ErrNoTable) {
				t.Errorf("%v: %v", n, err)
			}
		}
		// A temporary table hides the real one.
		exec(t, s, "CREATE TEMPORARY TABLE t (other integer)")
		tab, err := db.Inspect(t.Context(), s, engine.Name{Name: "t"})
		if err != nil || tab.Kind != "temporary" || tab.Columns[0].Name != "other" {
			t.Errorf("temporary: %+v, %v", tab, err)
		}
		if tab, err := db.Inspect(t.Context(), s, engine.Name{Schema: map[bool]string{true: "public", false: "main"}[db.Caps.Schemas], Name: "t"}); err != nil || tab.Kind != "table" {
			t.Errorf("hidden: %+v, %v", tab, err)
		}
	})
}

func TestInspectPostgres(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.Postgres(t), engine.Options{})
	exec(t, db, "CREATE TYPE mood AS ENUM ('ok')", "CREATE DOMAIN pos AS integer", "CREATE TYPE pair AS (a integer)", "CREATE TYPE span AS RANGE (SUBTYPE = integer)", "CREATE EXTENSION hstore",
		"CREATE TABLE parent (a integer, b text, PRIMARY KEY (b, a))",
		`CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n serial, gone text, name text COLLATE "C" NOT NULL DEFAULT 'x', price numeric(10,2) NOT NULL, g numeric GENERATED ALWAYS AS (price * 2) STORED,
			m mood, ms mood[], p pos, c pair, s span, h hstore, ints integer[], r int4range, tz timestamptz(3), a integer, b text,
			CONSTRAINT t_pk PRIMARY KEY (name, id))`,
		"ALTER TABLE t ADD CONSTRAINT t_fk FOREIGN KEY (b, a) REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED NOT VALID",
		"ALTER TABLE t DROP gone", "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
		"CREATE UNIQUE INDEX u_good ON t (price) INCLUDE (name)", "CREATE UNIQUE INDEX u_nullable ON t (a)", "CREATE UNIQUE INDEX u_partial ON t (price) WHERE price > 0",
		"CREATE UNIQUE INDEX u_expression ON t (lower(name))", "ALTER TABLE t ADD CONSTRAINT u_deferrable UNIQUE (price, name) DEFERRABLE",
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
		"CREATE TRIGGER tr BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", "CREATE TRIGGER ta AFTER TRUNCATE ON t EXECUTE FUNCTION f()", "ALTER TABLE t DISABLE TRIGGER ta",
		"CREATE TRIGGER dbrollback_x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
		"CREATE TABLE child (x integer) INHERITS (parent)", "CREATE RULE ru AS ON DELETE TO parent DO INSTEAD NOTHING",
		"CREATE TABLE part (id integer) PARTITION BY LIST (id)", "CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)", "CREATE VIEW v AS SELECT 1 AS x")
	tab := inspect(t, db, engine.Name{Name: "t"})
	for name, base := range map[string]string{"id": "bigint", "name": "text", "price": "numeric(10,2)", "ints": "integer[]", "r": "int4range", "tz": "timestamp(3) with time zone",
		"m": "", "ms": "", "p": "", "c": "", "s": "", "h": ""} {
		if c := column(t, tab, name); c.Base != base || c.Portable != (base != "") {
			t.Errorf("%s: base %q portable %v, want %q", name, c.Base, c.Portable, base)
		}
	}
	if c := column(t, tab, "name"); c.Collation != `pg_catalog."C"` || !c.NotNull || c.Default != "'x'::text" || c.Ordinal != 4 {
		t.Errorf("name: %+v", c)
	}
	if c := column(t, tab, "g"); !c.Generated || c.Default != "" {
		t.Errorf("g: %+v", c)
	}
	if c := column(t, tab, "id"); c.Identity != "always" || c.Sequence.Name != "t_id_seq" {
		t.Errorf("id: %+v", c)
	}
	if c := column(t, tab, "n"); c.Identity != "" || c.Sequence != (engine.Name{Schema: "public", Name: "t_n_seq"}) {
		t.Errorf("n: %+v", c)
	}
	if got := keyNames(tab); !slices.Equal(got, []string{"t_pk", "u_good"}) || !slices.Equal(tab.Keys[0].Columns, []string{"name", "id"}) || !slices.Equal(tab.Keys[1].Columns, []string{"price"}) {
		t.Errorf("keys %+v", tab.Keys)
	}
	want := engine.ForeignKey{Name: "t_fk", Table: tab.Name, Columns: []string{"b", "a"}, Parent: engine.Name{Schema: "public", Name: "parent"}, ParentColumns: []string{"b", "a"},
		OnDelete: "CASCADE", OnUpdate: "SET NULL", Deferrable: true, Deferred: true}
	parent := inspect(t, db, engine.Name{Schema: "public", Name: "parent"})
	for _, fks := range [][]engine.ForeignKey{tab.ForeignKeys, parent.Referenced} {
		if len(fks) != 1 || !slices.Equal(fks[0].Columns, want.Columns) || !slices.Equal(fks[0].ParentColumns, want.ParentColumns) || fks[0].Name != want.Name || fks[0].Table != want.Table ||
			fks[0].Parent != want.Parent || fks[0].OnDelete != want.OnDelete || fks[0].OnUpdate != want.OnUpdate || !fks[0].Deferrable || !fks[0].Deferred || fks[0].Validated {
			t.Errorf("foreign keys %+v\nwant %+v", fks, want)
		}
	}
	if len(tab.Triggers) != 2 || tab.Triggers[0].Name != "ta" || tab.Triggers[0].Before || tab.Triggers[0].Events != "TRUNCATE" || tab.Triggers[0].Enabled != "D" ||
		!tab.Triggers[1].Before || tab.Triggers[1].Events != "INSERT,UPDATE" || tab.Triggers[1].SQL == "" {
		t.Errorf("triggers %+v", tab.Triggers)
	}
	if !tab.RowSecurity || tab.Rules || tab.Owner == "" || tab.OID == 0 || tab.Kind != "table" || tab.Rows != 0 {
		t.Errorf("%+v", tab)
	}
	if !parent.Rules || len(parent.Children) != 1 || parent.Children[0].Name != "child" {
		t.Errorf("parent: %+v", parent)
	}
	if p := inspect(t, db, engine.Name{Name: "part_1"}); p.Kind != "partition" || p.Parent.Name != "part" {
		t.Errorf("partition: %+v", p)
	}
	if p := inspect(t, db, engine.Name{Name: "part"}); p.Kind != "partitioned" || len(p.Children) != 1 {
		t.Errorf("partitioned: %+v", p)
	}
	if v := inspect(t, db, engine.Name{Name: "v"}); v.Kind != "view" {
		t.Errorf("view: %+v", v)
	}
	exec(t, db, "INSERT INTO parent SELECT i, 'x' FROM generate_series(1, 5000) i", "ANALYZE parent", "INSERT INTO parent SELECT i, 'y' FROM generate_series(1, 5000) i")
	if p := inspect(t, db, engine.Name{Name: "parent"}); p.Rows < 8000 || p.Rows > 12000 || p.Bytes < 100_000 {
		t.Errorf("estimate: %d rows, %d bytes, want about 10000 rows", p.Rows, p.Bytes)
	}
}

func TestInspectSQLite(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.SQLite(t), engine.Options{})
	exec(t, db, "CREATE TABLE parent (a INTEGER, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID",
		`CREATE TABLE Items (id INTEGER PRIMARY KEY, "name x" TEXT COLLATE NOCASE NOT NULL DEFAULT (lower('X')), price NUMERIC(10,2) NOT NULL, g AS (price * 2), s TEXT GENERATED ALWAYS AS (price) STORED, a, b,
			UNIQUE (price), UNIQUE (a), FOREIGN KEY (b, a) REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED)`,
		"CREATE TABLE loose (x TEXT PRIMARY KEY, y)", "CREATE TABLE descending (id INTEGER PRIMARY KEY DESC)",
		`CREATE TABLE "both ways" (x TEXT DEFAULT 'x', y INT, PRIMARY KEY (x, y))`,
		"CREATE UNIQUE INDEX u_name ON items (\"name x\", price)", "CREATE UNIQUE INDEX u_expr ON items (abs(price))", "CREATE UNIQUE INDEX u_partial ON items (price) WHERE price > 0",
		"CREATE TRIGGER tr BEFORE UPDATE OF price ON items BEGIN DELETE FROM parent; END", "CREATE TRIGGER dbrollback_t AFTER INSERT ON items BEGIN SELECT 1; END",
		"CREATE VIEW v AS SELECT 1", "CREATE VIRTUAL TABLE ft USING fts5(body)")
	tab := inspect(t, db, engine.Name{Name: "ITEMS"})
	if tab.Name.Name != "Items" || tab.Kind != "table" || !tab.RowID || tab.Rows != 0 {
		t.Errorf("%+v", tab)
	}
	if c := column(t, tab, "name x"); c.Collation != "NOCASE" || !c.NotNull || c.Default != "lower('X')" || !c.Portable || c.Base != "" {
		t.Errorf("name: %+v", c)
	}
	for name, generated := range map[string]bool{"g": true, "s": true, "price": false} {
		if c := column(t, tab, name); c.Generated != generated || c.Collation != "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if got := keyNames(tab); !slices.Equal(got, []string{"primary key", "sqlite_autoindex_Items_1", "u_name"}) || !slices.Equal(tab.Keys[2].Columns, []string{"name x", "price"}) {
		t.Errorf("keys %+v", tab.Keys)
	}
	parent := inspect(t, db, engine.Name{Name: "parent"})
	for _, fks := range [][]engine.ForeignKey{tab.ForeignKeys, parent.Referenced} {
		if len(fks) != 1 || fks[0].Table.Name != "Items" || fks[0].Parent.Name != "parent" || !slices.Equal(fks[0].Columns, []string{"b", "a"}) || !slices.Equal(fks[0].ParentColumns, []string{"b", "a"}) ||
			fks[0].OnDelete != "CASCADE" || fks[0].OnUpdate != "SET NULL" || !fks[0].Deferred {
			t.Errorf("foreign keys %+v", fks)
		}
	}
	if parent.RowID || len(parent.Keys) != 1 || !parent.Keys[0].Primary {
		t.Errorf("WITHOUT ROWID: %+v", parent)
	}
	if len(tab.Triggers) != 1 || tab.Triggers[0].Events != "UPDATE" || !tab.Triggers[0].Before {
		t.Errorf("triggers %+v", tab.Triggers)
	}
	for name, insert := range map[string]string{"loose": "INSERT INTO loose VALUES ('a', 1)", "descending": "INSERT INTO descending VALUES (1)", "both ways": `INSERT INTO "both ways" VALUES ('a', 1)`} { // their primary keys take NULL
		if tab := inspect(t, db, engine.Name{Name: name}); len(tab.Keys) != 0 || len(tab.Unique) != 1 {
			t.Errorf("%s, empty: keys %+v, unique %+v", name, tab.Keys, tab.Unique)
		}
		exec(t, db, insert)
		if tab := inspect(t, db, engine.Name{Name: name}); len(tab.Keys) != 1 || !tab.Keys[0].Loose || len(tab.Unique) != 0 {
			t.Errorf("%s: keys %+v", name, tab.Keys)
		}
		exec(t, db, `INSERT INTO "`+name+`" DEFAULT VALUES`)
		if tab := inspect(t, db, engine.Name{Name: name}); len(tab.Keys) != 0 || len(tab.Unique) != 1 || !tab.Unique[0].Primary {
			t.Errorf("%s with NULL: keys %+v, unique %+v", name, tab.Keys, tab.Unique)
		}
	}
	if v := inspect(t, db, engine.Name{Name: "v"}); v.Kind != "view" {
		t.Errorf("view: %+v", v)
	}
	if ft := inspect(t, db, engine.Name{Name: "ft"}); ft.Kind != "virtual" {
		t.Errorf("virtual: %+v", ft)
	}
	exec(t, db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) INSERT INTO loose SELECT 'key ' || i, i FROM n")
	if l := inspect(t, db, engine.Name{Name: "loose"}); l.Rows < 20_000 || l.Rows > 60_000 || l.Bytes < 200_000 {
		t.Errorf("estimate: %d rows, %d bytes, want about 30000 rows", l.Rows, l.Bytes)
	}
}
