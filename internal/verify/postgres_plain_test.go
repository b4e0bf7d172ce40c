package verify

import (
	"context"
	"database/sql"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPlainTellsWhatAFingerprintTells: of ordinary tables the short reading gives the very objects of the long one, and it
// says of every other table that it does not.
func TestPlainTellsWhatAFingerprintTells(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dsn := testdb.Postgres(t)
	testdb.Exec(t, dsn, `CREATE TYPE mood AS ENUM ('a')`, `CREATE SCHEMA "Odd.one"`,
		`CREATE TABLE parent (id bigint PRIMARY KEY, code text UNIQUE)`)
	db, err := engine.Open(ctx, dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := db.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		name  engine.Name
		whole bool
		made  []string
	}{
		{engine.Name{Name: "plain"}, true, []string{`CREATE TABLE plain (id integer PRIMARY KEY, name varchar(40) NOT NULL, at timestamptz DEFAULT now(), n numeric(10,2) DEFAULT -1.5 CHECK (n < 9), tags text[])`,
			`CREATE INDEX ON plain (name)`, `CREATE UNIQUE INDEX plain_low ON plain (lower(name) text_pattern_ops) WHERE n > 0`, `CREATE INDEX plain_inc ON plain USING btree (at DESC) INCLUDE (n)`}},
		{engine.Name{Name: "moods"}, true, []string{`CREATE TABLE moods (m mood DEFAULT 'a', p bigint REFERENCES parent ON DELETE CASCADE, EXCLUDE USING btree (p WITH =))`}},
		{engine.Name{Schema: "Odd.one", Name: `T "x".y`}, true, []string{`CREATE TABLE "Odd.one"."T ""x"".y" ("User" int, "a.b" text NOT NULL, PRIMARY KEY ("User"), CONSTRAINT "c.1" UNIQUE ("a.b"))`, `CREATE INDEX "i ""1""" ON "Odd.one"."T ""x"".y" ("a.b", "User")`}},
		{engine.Name{Name: "empty"}, true, []string{`CREATE TABLE empty ()`}},
		{engine.Name{Name: "serials"}, false, []string{`CREATE TABLE serials (id serial PRIMARY KEY)`}},
		{engine.Name{Name: "identities"}, false, []string{`CREATE TABLE identities (id int GENERATED ALWAYS AS IDENTITY)`}},
		{engine.Name{Name: "computed"}, false, []string{`CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a + 1) STORED)`}},
		{engine.Name{Name: "collated"}, false, []string{`CREATE TABLE collated (a text COLLATE "C")`}},
		{engine.Name{Name: "filled"}, false, []string{`CREATE TABLE filled (a text) WITH (fillfactor = 50)`}},
		{engine.Name{Name: "granted"}, false, []string{`CREATE TABLE granted (a text)`, `GRANT SELECT ON granted TO PUBLIC`}},
		{engine.Name{Name: "told"}, false, []string{`CREATE TABLE told (a text)`, `COMMENT ON COLUMN told.a IS 'x'`}},
		{engine.Name{Name: "unlogged"}, false, []string{`CREATE UNLOGGED TABLE unlogged (a text)`}},
		{engine.Name{Name: "parts"}, false, []string{`CREATE TABLE parts (a int) PARTITION BY LIST (a)`}},
		{engine.Name{Name: "part"}, false, []string{`CREATE TABLE part PARTITION OF parts DEFAULT`}},
		{engine.Name{Name: "heir"}, false, []string{`CREATE TABLE heir () INHERITS (plain)`}},
		{engine.Name{Name: "firing"}, false, []string{`CREATE TABLE firing (a int)`, `CREATE TRIGGER f BEFORE UPDATE ON firing FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`}},
		{engine.Name{Name: "clustered"}, false, []string{`CREATE TABLE clustered (a int)`, `CREATE INDEX clustered_a ON clustered (a)`, `CLUSTER clustered USING clustered_a`}},
		{engine.Name{Name: "published"}, false, []string{`CREATE TABLE published (a int)`, `CREATE PUBLICATION pub FOR TABLE published`}},
	} {
		err := s.Tx(ctx, func(tx *sql.Tx) error {
			for _, q := range c.made {
				if _, err := tx.ExecContext(ctx, q); err != nil {
					return err
				}
			}
			var p Plain
			step, ok := ReadPlain(db, c.name, All, &p)
			if !ok {
				t.Fatal("PostgreSQL has the statement")
			}
			if err := s.Pipeline(ctx, tx, step); err != nil {
				return err
			}
			if !p.Found || p.Whole() != c.whole {
				t.Errorf("%s: found %v, whole %v, want %v", c.name, p.Found, p.Whole(), c.whole)
			}
			full, err := Take(ctx, db, tx, Scope{Tables: []engine.Name{p.Table}})
			if err != nil || !c.whole {
				return err
			}
			if !slices.Equal(slices.Sorted(maps.Keys(full)), slices.Sorted(maps.Keys(p.Objects))) {
				t.Errorf("%s: objects\n%v, want\n%v", c.name, slices.Sorted(maps.Keys(p.Objects)), slices.Sorted(maps.Keys(full)))
			}
			for _, parts := range []Parts{{Columns: true}, {Constraints: true}, {Indexes: true}} {
				var some Plain
				step, _ := ReadPlain(db, c.name, parts, &some)
				if err := s.Pipeline(ctx, tx, step); err != nil {
					return err
				}
				if want := p.Only(parts); some.Whole() || !reflect.DeepEqual(some.Objects, want) {
					t.Errorf("%s: %+v gives\n%v, want\n%v", c.name, parts, some.Objects, want)
				}
				if again := p.Renewed(&some); !again.Holds(All) || !reflect.DeepEqual(again.Objects, p.Objects) {
					t.Errorf("%s: renewed by %+v:\n%v, want\n%v", c.name, parts, again.Objects, p.Objects)
				}
			}
			for key, want := range full {
				if got := p.Objects[key]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %s:\n%+v, want\n%+v", c.name, key, got, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		p := Plain{Found: true}
		step, _ := ReadPlain(db, engine.Name{Name: "nowhere"}, All, &p)
		if err := s.Pipeline(ctx, tx, step, engine.Step{What: "none", SQL: "SELECT 1"}); err != nil || p.Found {
			t.Errorf("found %v, %v", p.Found, err)
		}
		if got := p.Objects; got == nil {
			t.Error("no objects, not even none")
		}
		var path string
		if err := tx.QueryRowContext(ctx, "SHOW search_path").Scan(&path); err != nil || path != `"$user", public` {
			t.Errorf("search_path is %s, %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
