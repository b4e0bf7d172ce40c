package verify_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

const shopSQLite = `CREATE TABLE Item (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', price NUMERIC(10, 2), parent INT,
	CONSTRAINT positive CHECK (price > 0), UNIQUE (name, price), FOREIGN KEY (parent) REFERENCES item (id))`

var sqliteKinds = []kindCase{
	{name: "column dropped", setup: []string{"ALTER TABLE item ADD COLUMN extra TEXT COLLATE NOCASE DEFAULT (1 + 1)"}, change: []string{"ALTER TABLE item DROP COLUMN extra"}, want: []string{"column item.extra"}},
	{name: "column left over", change: []string{"ALTER TABLE item ADD COLUMN extra"}, want: []string{"column item.extra"}, stays: []string{"column item.extra"}},
	{name: "column renamed", setup: []string{"ALTER TABLE item ADD COLUMN extra"}, change: []string{"ALTER TABLE item RENAME COLUMN extra TO other"}, want: []string{"column item.extra", "column item.other"}, stays: []string{"column item.other"}},
	{name: "index", setup: []string{`CREATE UNIQUE INDEX IF NOT EXISTS "by name" ON item (name COLLATE NOCASE DESC) WHERE price > 1`}, change: []string{`DROP INDEX "by name"`}, want: []string{"index by name"}},
	{name: "index on another column", setup: []string{"CREATE INDEX i ON item (name)"}, change: []string{"DROP INDEX i", "CREATE INDEX i ON item (price)"}, want: []string{"index i"}},
	{name: "index left over", change: []string{"CREATE INDEX i ON item (name)"}, want: []string{"index i"}},
	{name: "view", setup: []string{"CREATE VIEW v AS SELECT id FROM item", "CREATE VIEW vv AS SELECT * FROM v"}, change: []string{"DROP VIEW v", "CREATE VIEW v AS SELECT id FROM item WHERE id > 1"}, want: []string{"view v"}},
	{name: "view with trigger dropped", setup: []string{"CREATE VIEW v AS SELECT id FROM item", "CREATE TRIGGER vt INSTEAD OF INSERT ON v BEGIN SELECT 1; END"}, change: []string{"DROP VIEW v"}, want: []string{"trigger v.vt", "view v"}},
	{name: "trigger", setup: []string{"CREATE TRIGGER t AFTER UPDATE OF name ON item WHEN NEW.name <> 'a' BEGIN UPDATE item SET price = 1 WHERE id = NEW.id; END"}, change: []string{"DROP TRIGGER t"}, want: []string{"trigger item.t"}},
	{name: "trigger left over", change: []string{"CREATE TRIGGER t AFTER DELETE ON item BEGIN SELECT 1; END"}, want: []string{"trigger item.t"}},
	{name: "text default keeps its case", setup: []string{`CREATE TABLE d (a TEXT DEFAULT "Yes")`}, change: []string{"DROP TABLE d", `CREATE TABLE d (a TEXT DEFAULT "yes")`}, want: []string{"column d.a"}, stays: []string{"column d.a"}},
	{name: "options", setup: []string{"CREATE TABLE d (a TEXT PRIMARY KEY) WITHOUT ROWID"}, change: []string{"DROP TABLE d", "CREATE TABLE d (a TEXT PRIMARY KEY)"}, want: []string{"table d"}, stays: []string{"table d"}},
	{name: "whole table", setup: []string{"CREATE TABLE d (a TEXT PRIMARY KEY, b ANY, CHECK (a <> b)) STRICT, WITHOUT ROWID", "CREATE INDEX di ON d (b)"}, change: []string{"DROP TABLE d"}, want: []string{"check d.check ( a <> b )", "column d.a", "column d.b", "index di", "table d"}},
	{name: "check lost", change: rebuilt(`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', price NUMERIC(10, 2), parent INT,
		UNIQUE (name, price), FOREIGN KEY (parent) REFERENCES item (id))`), want: []string{"check item.positive"}, stays: []string{"check item.positive"}},
	{name: "unique lost a column", change: rebuilt(`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', price NUMERIC(10, 2), parent INT,
		CONSTRAINT positive CHECK (price > 0), UNIQUE (name), FOREIGN KEY (parent) REFERENCES item (id))`),
		want: []string{"unique item.unique ( name )", "unique item.unique ( name , price )"}, stays: []string{"unique item.unique ( name )", "unique item.unique ( name , price )"}},
	{name: "foreign key changed", change: rebuilt(`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', price NUMERIC(10, 2), parent INT,
		CONSTRAINT positive CHECK (price > 0), UNIQUE (name, price))`), want: []string{"foreign key item.foreign key ( parent ) references item ( id )"}, stays: []string{"foreign key item.foreign key ( parent ) references item ( id )"}},
	{name: "not null lost", change: rebuilt(`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', price NUMERIC(10, 2), parent INT,
		CONSTRAINT positive CHECK (price > 0), UNIQUE (name, price), FOREIGN KEY (parent) REFERENCES item (id))`), want: []string{"column item.name"}, stays: []string{"column item.name"}},
	{name: "written differently", change: rebuilt(`create table "ITEM" ([id] integer primary key, /* a, b */ "name" text not null default 'x', -- c, )
		price numeric(10,2), parent int, constraint POSITIVE check(price>0), unique(name,price), foreign key(parent) references "item"(id))`), want: nil},
	{name: "virtual table", setup: []string{"CREATE VIRTUAL TABLE ft USING fts5(body)"}, change: []string{"DROP TABLE ft"}, want: []string{"table ft"}},
}

func rebuilt(create string) []string { return []string{"DROP TABLE item", create} }

func TestSQLiteKinds(t *testing.T) {
	t.Parallel()
	for _, c := range sqliteKinds {
		t.Run(c.name, func(t *testing.T) {
			checkKind(t, openDB(t, testdb.SQLite(t)), append([]string{shopSQLite}, c.setup...), c, "")
		})
	}
}

// A column that ALTER TABLE appended, behind the constraints, is the same as one of the original text.
func TestSQLiteAddedColumnEqualsOriginal(t *testing.T) {
	t.Parallel()
	added, made := testdb.SQLite(t), testdb.SQLite(t)
	testdb.Exec(t, added, "CREATE TABLE t (a INTEGER, c TEXT, CHECK (a > 0))", "ALTER TABLE t ADD COLUMN b text not null default 'q'")
	testdb.Exec(t, made, "CREATE TABLE t (a INTEGER, b TEXT NOT NULL DEFAULT 'q', c TEXT, CHECK (a > 0))")
	x, y := openDB(t, added), openDB(t, made)
	diff := verify.Diff(take(t, x, x, verify.Scope{}), take(t, y, y, verify.Scope{}))
	if len(differing(diff)) != 0 {
		t.Errorf("differ for more than the order of columns: %+v", diff)
	}
	moved := 0
	for _, d := range diff {
		if d.Cosmetic && d.Kind == "column" {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("%d columns moved, want 2 (b and c): %+v", moved, diff)
	}
}

// TestSQLiteAscendingIndex: ASC is what an index is without a word; DESC, and a column so called, are something else.
func TestSQLiteAscendingIndex(t *testing.T) {
	t.Parallel()
	look := func(index string) verify.Fingerprint {
		dsn := testdb.SQLite(t)
		testdb.Exec(t, dsn, `CREATE TABLE t (a int, b int, "asc" int)`, index)
		db := openDB(t, dsn)
		return take(t, db, db, verify.Scope{})
	}
	plain := look("CREATE INDEX i ON t (a, b)")
	if d := verify.Diff(plain, look("CREATE INDEX i ON t (a ASC, b asc)")); len(d) > 0 {
		t.Errorf("ASC: %v", d)
	}
	for _, other := range []string{"CREATE INDEX i ON t (a, b DESC)", "CREATE INDEX i ON t (asc, b)", `CREATE INDEX i ON t (a, "asc")`, "CREATE INDEX i ON t (a, asc)"} {
		if len(verify.Diff(plain, look(other))) == 0 {
			t.Errorf("%s is taken for the same", other)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE a (id integer PRIMARY KEY)", "CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a (id))",
			"CREATE VIEW va AS SELECT id FROM a", "CREATE VIEW vva AS SELECT id FROM va", "CREATE VIEW vb AS SELECT id FROM b",
			"CREATE TABLE goose_db_version (id integer)", "CREATE INDEX bi ON b (a)")
		db := openDB(t, dsn)
		db.Ignore = []engine.Name{{Name: "goose_db_version"}}
		if err := db.EnsureHome(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		testdb.Exec(t, dsn, "CREATE TABLE "+db.Quote(db.Own("dbrollback_x"))+" (id integer)")
		kinds := func(s verify.Scope) (tables, views []string) {
			for _, o := range take(t, db, db, s) {
				switch o.Kind {
				case "table":
					tables = append(tables, o.Table.Name)
				case "view":
					views = append(views, o.Table.Name)
				}
			}
			slices.Sort(tables)
			slices.Sort(views)
			return tables, views
		}
		a, err := db.Resolve(t.Context(), db, engine.Name{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			scope         verify.Scope
			tables, views []string
		}{
			{verify.Scope{}, []string{"a", "b"}, []string{"va", "vb", "vva"}},
			{verify.Scope{Tables: []engine.Name{a}}, []string{"a"}, []string{"va", "vva"}},
			{verify.Scope{Tables: []engine.Name{a, {Schema: a.Schema, Name: "no \"such\" \\ table"}}}, []string{"a"}, []string{"va", "vva"}},
			{verify.Scope{Others: true}, nil, []string{"va", "vb", "vva"}},
			{verify.Scope{Tables: []engine.Name{a}, Others: true}, []string{"a"}, []string{"va", "vb", "vva"}},
		} {
			tables, views := kinds(c.scope)
			if !slices.Equal(tables, c.tables) || !slices.Equal(views, c.views) {
				t.Errorf("%+v: tables %q views %q, want %q %q", c.scope, tables, views, c.tables, c.views)
			}
		}
	}, everywhere...)
}
