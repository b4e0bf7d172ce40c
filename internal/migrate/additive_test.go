package migrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// recorded gives what the catalog says a migration changed, without the places of objects in the server.
func recorded(t *testing.T, dsn string, version int) string {
	t.Helper()
	var ch map[string]struct {
		Before, After map[string]any
		Left          []any
	}
	text := testdb.Query(t, dsn, fmt.Sprintf("SELECT up_changes FROM dbrollback.dbrollback_migrations WHERE version = %d", version))
	if err := json.Unmarshal([]byte(text[0]), &ch); err != nil {
		t.Fatal(err)
	}
	for _, c := range ch {
		delete(c.Before, "rank")
		delete(c.After, "rank")
	}
	b, err := json.MarshalIndent(ch, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAdditiveRecordsTheSame: what a migration that only adds records is what it records when it is looked at the long
// way, which it is when it runs a second time.
func TestAdditiveRecordsTheSame(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i, m := range [][2]string{
		{"CREATE TABLE a (id integer PRIMARY KEY, name text NOT NULL DEFAULT 'x', n int CHECK (n > 0));\nCREATE INDEX ON a (n);\nINSERT INTO a VALUES (1, 'one', 1);", "DROP TABLE a;"},
		{"ALTER TABLE a ADD COLUMN b int, ADD COLUMN c text NOT NULL DEFAULT 'c' UNIQUE;", "ALTER TABLE a DROP COLUMN b, DROP COLUMN c;"},
		{"CREATE TABLE s (id serial PRIMARY KEY, mood text COLLATE \"C\");", "DROP TABLE s;"},
		{"CREATE TABLE IF NOT EXISTS a (id int);\nALTER TABLE a ADD COLUMN IF NOT EXISTS b int;\nCREATE INDEX IF NOT EXISTS a_b ON a (b);", "DROP INDEX a_b;"},
		{"CREATE TABLE r (a int REFERENCES a ON DELETE CASCADE, b int GENERATED ALWAYS AS IDENTITY);\nALTER TABLE r ADD CONSTRAINT r_pk PRIMARY KEY (b);", "DROP TABLE r;"},
		{"ALTER TABLE people ADD CHECK (score < 1000);\nALTER TABLE people ADD COLUMN boss integer REFERENCES people;", "ALTER TABLE people DROP COLUMN boss, DROP CONSTRAINT people_score_check;"},
		{"ALTER TABLE people ADD COLUMN low text COLLATE \"C\";", "ALTER TABLE people DROP COLUMN low;"},
		{"CREATE TABLE p (a int) PARTITION BY LIST (a);\nCREATE INDEX p_a ON p (a);", "DROP TABLE p;"},
		{"CREATE SCHEMA other;", "DROP SCHEMA other;"},
		{"SET search_path = other, public;\nCREATE TABLE people (x int);\nCREATE INDEX people_x ON people (x);", "DROP TABLE other.people;"},
		{"SET search_path = public;\nCREATE TYPE mood AS ENUM ('a', 'b');\nCREATE DOMAIN low AS int DEFAULT 3 CHECK (VALUE < 9) NOT NULL;\nCREATE TYPE pair AS (a int, b text);\nCREATE TYPE span AS RANGE (SUBTYPE = int);", "DROP TYPE mood, pair, span;\nDROP DOMAIN low;"},
		{"CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';\nCREATE OR REPLACE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\nCREATE SEQUENCE s1;\nCREATE PROCEDURE p1() LANGUAGE sql AS 'SELECT 1';", "DROP FUNCTION one();\nDROP SEQUENCE s1;\nDROP PROCEDURE p1();"},
		{"CREATE TABLE firing (a int);\nCREATE TRIGGER f BEFORE UPDATE ON firing FOR EACH ROW EXECUTE FUNCTION public.stamp();\nCOMMENT ON TABLE firing IS 'x';\nCOMMENT ON COLUMN firing.a IS 'y';\nALTER TABLE firing ENABLE ROW LEVEL SECURITY;", "DROP TABLE firing;"},
		{"CREATE TABLE IF NOT EXISTS firing (b int);\nCOMMENT ON TABLE firing IS 'z';\nCREATE SCHEMA IF NOT EXISTS other;", "COMMENT ON TABLE firing IS 'x';"},
		{"CREATE VIEW seen AS SELECT id FROM public.people;\nCOMMENT ON VIEW seen IS 'v';", "DROP VIEW seen;"},
		{"CREATE OR REPLACE VIEW seen AS SELECT id, name FROM public.people;", "DROP VIEW seen;\nCREATE VIEW seen AS SELECT id FROM public.people;\nCOMMENT ON VIEW seen IS 'v';"},
		{"COMMENT ON TABLE public.people IS 'p';\nCREATE TRIGGER f BEFORE UPDATE ON public.people FOR EACH ROW EXECUTE FUNCTION public.stamp();", "DROP TRIGGER f ON public.people;\nCOMMENT ON TABLE public.people IS NULL;"},
		{"ALTER TABLE public.people ALTER COLUMN score SET DEFAULT 7;\nALTER TABLE public.people ALTER COLUMN note DROP DEFAULT, ALTER COLUMN id SET DEFAULT 1;", "ALTER TABLE public.people ALTER COLUMN score DROP DEFAULT, ALTER COLUMN note SET DEFAULT 'none', ALTER COLUMN id DROP DEFAULT;"},
		{"ALTER TABLE public.people ALTER COLUMN name DROP NOT NULL;", "ALTER TABLE public.people ALTER COLUMN name SET NOT NULL;"},
		{"ALTER TABLE public.people ALTER COLUMN name SET NOT NULL;", "ALTER TABLE public.people ALTER COLUMN name DROP NOT NULL;"},
		{"CREATE UNIQUE INDEX low ON other.people (abs(x)) WHERE x > 0;", "DROP INDEX other.low;"},
	} {
		files[fmt.Sprintf("%05d_m.sql", i+1)] = migration(m[0], m[1])
	}
	f := newFixture(t, testdb.Postgres(t), people+"CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\n", files)
	before := f.dump()
	f.up()
	after := f.dump()
	first := map[int]string{}
	for v := range len(files) {
		first[v+1] = recorded(t, f.dsn, v+1)
	}
	f.rollback(migrate.RollbackRequest{To: 0})
	f.same(before, f.dump(), "after the rollback")
	f.up()
	f.same(after, f.dump(), "after the second up")
	for v := range len(files) {
		if got := recorded(t, f.dsn, v+1); got != first[v+1] {
			t.Errorf("migration %d:\n%s", v+1, testdb.Diff(got, first[v+1]))
		}
	}
}

// TestAdditiveIsNotBlamed: what another session does to the tables in the course of a run is not recorded as the
// migration's, and stays when the migration is rolled back.
func TestAdditiveIsNotBlamed(t *testing.T) {
	t.Parallel()
	for what, foreign := range map[string]string{
		"index":             "CREATE INDEX foreign_one ON made (n)",
		"column":            "ALTER TABLE made ADD COLUMN foreign_one int",
		"column's default":  "ALTER TABLE made ALTER COLUMN n SET DEFAULT 5",
		"check of the kind": "ALTER TABLE made ADD CHECK (n > -9)",
		"child":             "CREATE TABLE child () INHERITS (made)",
		"type":              "ALTER TABLE made ALTER COLUMN n TYPE bigint",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), people, map[string]string{
				"00001_a.sql": migration("CREATE TABLE made (id integer PRIMARY KEY, n int);", "DROP TABLE made;"),
				"00002_b.sql": migration("ALTER TABLE made ADD COLUMN note text CHECK (note <> 'bad');\nCREATE INDEX made_note ON made (note);", "DROP INDEX made_note;\nALTER TABLE made DROP COLUMN note;"),
			})
			before := ""
			m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
				if e.Kind == migrate.MigrationDone && e.Version == 1 {
					testdb.Exec(t, f.dsn, foreign)
					before = f.dump()
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Up(context.Background(), migrate.UpRequest{To: -1}); err != nil {
				t.Fatal(err)
			}
			if got := recorded(t, f.dsn, 2); strings.Contains(got, ".foreign_one") || strings.Contains(got, "bigint") || strings.Contains(got, "> '-9'") {
				t.Errorf("recorded as the migration's:\n%s", got)
			}
			f.rollback(migrate.RollbackRequest{Steps: 1})
			f.same(before, f.dump(), "after the rollback")
		})
	}
}
