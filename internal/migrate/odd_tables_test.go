package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const (
	// what an extension brings, in columns, as a key and under an index
	extended = `CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE TABLE words (w citext PRIMARY KEY, h hstore, p ltree, n integer);
CREATE INDEX words_h ON words USING gin (h);
INSERT INTO words VALUES ('One', 'a=>1, "b c"=>NULL', 'Top.One', 1), ('two', '', '', 2), ('ÄÖ', NULL, NULL, NULL);
`
	// a text index over a table, and one with rows of its own
	texts = `CREATE TABLE docs (id INTEGER PRIMARY KEY, title TEXT, body TEXT);
INSERT INTO docs VALUES (1, 'first', 'alpha beta'), (2, 'second', 'beta gamma'), (3, 'third', NULL);
`
	indexed = texts + `CREATE VIRTUAL TABLE words USING fts5(title, body, content='docs', content_rowid='id');
INSERT INTO words(words) VALUES ('rebuild');
CREATE TRIGGER docs_i AFTER INSERT ON docs BEGIN INSERT INTO words(rowid, title, body) VALUES (new.id, new.title, new.body); END;
CREATE TRIGGER docs_d AFTER DELETE ON docs BEGIN INSERT INTO words(words, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); END;
CREATE TRIGGER docs_u AFTER UPDATE ON docs BEGIN INSERT INTO words(words, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); INSERT INTO words(rowid, title, body) VALUES (new.id, new.title, new.body); END;
CREATE VIRTUAL TABLE notes USING fts5(note);
INSERT INTO notes(rowid, note) VALUES (1, 'alpha'), (2, 'beta beta');
`
	filled = "CREATE VIRTUAL TABLE found USING fts5(title);\nINSERT INTO found(rowid, title) SELECT id, title FROM docs;\nUPDATE found SET title = 'x' WHERE rowid = 1;"
)

var long = strings.NewReplacer("@t", strings.Repeat("n", 70), "@c", strings.Repeat("c", 70))

// attributed holds values of a composite type within others.
const attributed = "CREATE TYPE pair AS (a integer, b text);\nCREATE TYPE two AS (x pair[], y integer);\nCREATE TABLE holds (id integer PRIMARY KEY, v two);\nINSERT INTO holds VALUES (1, ROW(ARRAY[ROW(1, 'one')::pair], 1)), (2, NULL);\n"

// odd are tables and names that are not like others. What cannot be taken back is refused before it happens, in words that say why.
var odd = []struct {
	name, only, setup, up, down string
	ask                         string // a query whose rows are as they were, too
	refused                     string // what up says instead
	keys                        bool   // the connection checks foreign keys
	head                        string // of the file
	after                       string // a query whose rows up leaves as they were
}{
	{name: "types of extensions: columns", only: "postgres", setup: extended, up: "ALTER TABLE words DROP COLUMN h;\nUPDATE words SET p = 'x.y', w = upper(w::text);\nALTER TABLE words DROP COLUMN p;\nDELETE FROM words WHERE w = 'TWO';", down: "ALTER TABLE words ADD COLUMN p ltree;\nALTER TABLE words ADD COLUMN h hstore;"},
	{name: "types of extensions: the table, then the extension", only: "postgres", setup: extended, up: "UPDATE words SET h = h || 'z=>1';\nDROP TABLE words;\nDROP EXTENSION hstore;", down: "CREATE EXTENSION hstore;\nCREATE TABLE words (w citext PRIMARY KEY, h hstore, p ltree, n integer);\nCREATE INDEX words_h ON words USING gin (h);"},
	{name: "types of extensions: with the extension", only: "postgres", setup: extended, up: "DROP EXTENSION hstore CASCADE;", down: "CREATE EXTENSION hstore;\nALTER TABLE words ADD COLUMN h hstore;\nCREATE INDEX words_h ON words USING gin (h);"},
	{name: "a temporary table hides a real one", only: "postgres", setup: people, up: "CREATE TEMP TABLE people AS SELECT * FROM people;\nUPDATE people SET score = 5;\nUPDATE public.people SET score = 6;\nDROP TABLE people;\nUPDATE people SET note = 'x';", down: "SELECT 1;"},
	{name: "a temporary table hides a real one", only: "sqlite", setup: people, up: "CREATE TEMP TABLE people AS SELECT * FROM people;\nUPDATE people SET score = 5;\nUPDATE main.people SET score = 6;\nDROP TABLE people;\nUPDATE people SET note = 'x';", down: "SELECT 1;", refused: "a temporary table or view of the same name hides it"},
	{name: "the server's own tables", only: "postgres", setup: people, up: "UPDATE pg_attribute SET attisdropped = true WHERE attrelid = 'people'::regclass AND attname = 'note';", down: "SELECT 1;", refused: "it is a system catalog"},
	{name: "the file's own table", only: "sqlite", setup: people, up: "PRAGMA writable_schema = 1;\nDELETE FROM sqlite_schema WHERE name = 'people';", down: "SELECT 1;", refused: "it is a system catalog"},
	{name: "a temporary view hides a real table", only: "sqlite", setup: people, up: "CREATE TEMP VIEW people AS SELECT 1;\nUPDATE main.people SET score = 6;", down: "SELECT 1;", refused: "a temporary table or view of the same name hides it"},
	{name: "a temporary table of its own", setup: people, up: "CREATE TEMP TABLE few AS SELECT * FROM people;\nUPDATE few SET score = 5;\nDELETE FROM people WHERE id IN (SELECT id FROM few WHERE id = 4);\nDROP TABLE few;", down: "SELECT 1;"},
	{name: "names longer than the server takes", only: "postgres", setup: long.Replace("CREATE TABLE @t (id integer PRIMARY KEY, @c integer);\nINSERT INTO @t VALUES (1, 2);\n"), up: long.Replace("UPDATE @t SET @c = 3;\nALTER TABLE @tx DROP COLUMN @cx;\nDROP TABLE @t;"), down: long.Replace("CREATE TABLE @t (id integer PRIMARY KEY);\nALTER TABLE @t ADD COLUMN @c integer;")},
	{name: "tablespace", only: "postgres", setup: people + "ALTER TABLE orders SET TABLESPACE @space;\nALTER INDEX people_score SET TABLESPACE @space;\n", up: "DROP TABLE orders;\nDROP INDEX people_score;", down: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));", ask: "SELECT c.relname, s.spcname LIKE 'dbrollback%' FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.relname IN ('orders', 'people_score') ORDER BY 1"},
	{name: "replica identity", only: "postgres", setup: people + "ALTER TABLE orders REPLICA IDENTITY FULL;\n", up: "UPDATE orders SET total = 0;\nDROP TABLE orders;", down: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));", ask: "SELECT relreplident FROM pg_class WHERE relname = 'orders'"},
	{name: "text index: rows of its table", only: "sqlite", setup: indexed, up: "UPDATE docs SET body = 'delta' WHERE id = 1;\nDELETE FROM docs WHERE id = 2;\nINSERT INTO docs VALUES (9, 'ninth', 'beta');", down: "SELECT 1;", ask: "SELECT rowid FROM words WHERE words MATCH 'beta OR delta'"},
	{name: "text index: a column beside it", only: "sqlite", setup: indexed, up: "ALTER TABLE docs ADD COLUMN extra TEXT;\nUPDATE docs SET extra = 'x';\nUPDATE docs SET title = 'new';", down: "ALTER TABLE docs DROP COLUMN extra;", ask: "SELECT rowid FROM words WHERE words MATCH 'first OR new'"},
	{name: "text index: made, and not up to date", only: "sqlite", setup: texts, up: "CREATE VIRTUAL TABLE words USING fts5(title, content='docs', content_rowid='id');\nINSERT INTO words(words) VALUES ('rebuild');\nUPDATE docs SET title = 'x';", down: "DROP TABLE words;"},
	{name: "text index: not up to date", only: "sqlite", setup: indexed + "INSERT INTO words(words) VALUES ('delete-all');\n", up: "UPDATE docs SET title = 'x';", down: "SELECT 1;", refused: "an index that does not fit the rows of docs"},
	{name: "text index: dropped", only: "sqlite", setup: indexed, up: "DROP TABLE words;", down: "CREATE VIRTUAL TABLE words USING fts5(title, body, content='docs', content_rowid='id');", refused: "comes back empty"},
	{name: "text index: dropped, and said so", only: "sqlite", setup: indexed, up: "-- +dbrollback no-capture: Down builds it\nDROP TABLE words;", down: "CREATE VIRTUAL TABLE words USING fts5(title, body, content='docs', content_rowid='id');\nINSERT INTO words(words) VALUES ('rebuild');", ask: "SELECT rowid FROM words WHERE words MATCH 'beta'"},
	{name: "virtual table: rows", only: "sqlite", setup: indexed, up: "DELETE FROM notes WHERE rowid = 1;", down: "SELECT 1;", refused: "notes cannot be captured: it is a virtual table"},
	{name: "virtual table: its storage", only: "sqlite", setup: indexed, up: "DELETE FROM notes_content WHERE id = 1;", down: "SELECT 1;", refused: "the storage of a virtual table"},
	{name: "virtual table: dropped", only: "sqlite", setup: indexed, up: "DROP TABLE notes;", down: "CREATE VIRTUAL TABLE notes USING fts5(note);", refused: "notes cannot be captured: it is a virtual table"},
	{name: "virtual table: written by a trigger", only: "sqlite", setup: indexed + "CREATE TRIGGER docs_n AFTER UPDATE ON docs BEGIN UPDATE notes SET note = new.body WHERE rowid = new.id; END;\n", up: "UPDATE docs SET title = 'x';", down: "SELECT 1;", refused: "a trigger writes into it"},
	{name: "virtual table: a tree of boxes", only: "sqlite", setup: "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1);\nINSERT INTO r VALUES (1, 0, 1), (2, 5, 6);\n", up: "UPDATE r SET x1 = 9 WHERE id = 1;", down: "SELECT 1;", refused: "r cannot be captured"},
	{name: "virtual table: made", only: "sqlite", setup: texts, up: filled, down: "DROP TABLE found;", refused: "Down drops found, a virtual table"},
	{name: "virtual table: made, and said so", only: "sqlite", setup: texts, up: filled, down: "-- +dbrollback no-capture: made from docs\nDROP TABLE found;"},
	{name: "a parent is rebuilt, and what its DROP deletes of its children comes back", only: "sqlite", keys: true, setup: people, up: "CREATE TABLE n (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer);\nINSERT INTO n SELECT id, name, score FROM people;\nDROP TABLE people;\nALTER TABLE n RENAME TO people;",
		down: "CREATE TABLE o (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nINSERT INTO o (id, name, score) SELECT id, name, score FROM people;\nDROP TABLE people;\nALTER TABLE o RENAME TO people;\nCREATE INDEX people_score ON people (score);"},
	{name: "a parent is dropped", only: "sqlite", keys: true, setup: people, up: "DROP TABLE people;", down: "CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nCREATE INDEX people_score ON people (score);"},
	{name: "a table that the migration makes has a trigger that writes elsewhere", only: "sqlite", setup: people, up: "CREATE TABLE n (id integer PRIMARY KEY);\n-- +goose StatementBegin\nCREATE TRIGGER n_i AFTER INSERT ON n BEGIN UPDATE people SET score = 0 WHERE id = new.id; END;\n-- +goose StatementEnd\nINSERT INTO n VALUES (1), (2);", down: "DROP TABLE n;"},
	{name: "a table that the migration makes has a trigger that writes elsewhere", only: "postgres", setup: people, up: "CREATE TABLE n (id integer PRIMARY KEY);\n-- +goose StatementBegin\nCREATE FUNCTION n_i() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE people SET score = 0 WHERE id = NEW.id; RETURN NEW; END';\n-- +goose StatementEnd\nCREATE TRIGGER n_i BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION n_i();\nINSERT INTO n VALUES (1), (2);", down: "DROP TABLE n;\nDROP FUNCTION n_i();"},
	{name: "a parent that the migration makes takes children along", only: "postgres", setup: people, up: "CREATE TABLE n (LIKE people INCLUDING ALL);\nINSERT INTO n SELECT * FROM people;\nDROP TABLE people CASCADE;\nALTER TABLE n RENAME TO people;\nALTER TABLE orders ADD FOREIGN KEY (person_id) REFERENCES people (id) ON DELETE CASCADE ON UPDATE CASCADE;\nDELETE FROM people WHERE id = 1;\nUPDATE people SET id = id + 100 WHERE id = 2;",
		down: "ALTER TABLE orders DROP CONSTRAINT orders_person_id_fkey;\nDROP TABLE people;\nCREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nCREATE INDEX people_score ON people (score);"},
	{name: "an attribute goes from stored values", only: "postgres", setup: attributed, up: "ALTER TYPE pair DROP ATTRIBUTE b;", down: "ALTER TYPE pair ADD ATTRIBUTE b text;", refused: "an attribute goes from its values"},
	{name: "an attribute goes from stored values, in a block", only: "postgres", setup: attributed, up: block("ALTER TYPE pair DROP ATTRIBUTE b;"), down: "ALTER TYPE pair ADD ATTRIBUTE b text;", refused: "an attribute goes from its values"},
	{name: "a column goes from stored rows of its table", only: "postgres", setup: people + "CREATE TABLE holds (id integer PRIMARY KEY, p people);\nINSERT INTO holds SELECT id, p FROM people p;\n", up: "ALTER TABLE people DROP COLUMN note;", down: "ALTER TABLE people ADD COLUMN note varchar(200);", refused: "an attribute goes from its values"},
	{name: "an attribute goes from no value", only: "postgres", setup: attributed + "DELETE FROM holds;\n", up: "ALTER TYPE pair DROP ATTRIBUTE b;", down: "ALTER TYPE pair ADD ATTRIBUTE b text;"},
	{name: "a row type goes with its view, and columns of it", only: "postgres", setup: people + "CREATE VIEW rich AS SELECT id, name FROM people;\nCREATE TABLE holds (id integer PRIMARY KEY, r rich, s rich[]);\nINSERT INTO holds SELECT id, r, ARRAY[r, NULL] FROM rich r;\n", up: "DROP VIEW rich CASCADE;", down: "CREATE VIEW rich AS SELECT id, name FROM people;\nALTER TABLE holds ADD COLUMN r rich;\nALTER TABLE holds ADD COLUMN s rich[];"},
	{name: "a row type goes with a view that a column takes along", only: "postgres", setup: people + "CREATE VIEW rich AS SELECT id, score FROM people;\nCREATE TABLE holds (id integer PRIMARY KEY, r rich);\nINSERT INTO holds SELECT id, r FROM rich r;\n", up: "ALTER TABLE people DROP COLUMN score CASCADE;", down: "ALTER TABLE people ADD COLUMN score integer;\nCREATE VIEW rich AS SELECT id, score FROM people;\nALTER TABLE holds ADD COLUMN r rich;"},
	{name: "a row type goes with its table, and columns of it", only: "postgres", setup: people + "CREATE TABLE holds (id integer PRIMARY KEY, r orders);\nINSERT INTO holds SELECT id, o FROM orders o;\n", up: "DROP TABLE orders CASCADE;", down: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\nALTER TABLE holds ADD COLUMN r orders;"},
	{name: "a typed table loses what its type does", only: "postgres", setup: "CREATE TYPE pair AS (id integer, a text, b text);\nCREATE TABLE holds OF pair (PRIMARY KEY (id));\nINSERT INTO holds VALUES (1, 'a', 'b'), (2, NULL, 'c');\n", up: "ALTER TYPE pair DROP ATTRIBUTE b CASCADE;", down: "ALTER TYPE pair ADD ATTRIBUTE b text CASCADE;"},
	{name: "everything of an owner goes", only: "postgres", setup: people + "CREATE TABLE others (id integer PRIMARY KEY, v text);\nINSERT INTO others VALUES (1, 'x');\nALTER TABLE others OWNER TO @role;\nGRANT CREATE ON SCHEMA public TO @role;\n", up: "DROP OWNED BY @role;", down: "CREATE TABLE others (id integer PRIMARY KEY, v text);"},
	{name: "rows give way to others of their unique values, with their children", only: "sqlite", keys: true, setup: "CREATE TABLE par (id integer PRIMARY KEY, u integer UNIQUE ON CONFLICT REPLACE);\nCREATE TABLE chi (id integer PRIMARY KEY, par integer REFERENCES par ON DELETE CASCADE);\nINSERT INTO par VALUES (1, 1), (2, 2);\nINSERT INTO chi VALUES (5, 1), (6, 2);\n", up: "INSERT INTO par VALUES (9, 1);", down: "DELETE FROM par WHERE id = 9;"},
	{name: "rows are replaced, with their children", only: "sqlite", keys: true, setup: people, up: "INSERT OR REPLACE INTO people VALUES (1, 'New', 1, 'n');", down: "SELECT 1;"},
	{name: "a rebuild in steps", only: "sqlite", setup: people, head: "-- +goose NO TRANSACTION\n", up: "CREATE TABLE n (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total integer);\nINSERT INTO n SELECT id, person_id, round(total) + 1 FROM orders WHERE id <> 13;\nDROP TABLE orders;\nALTER TABLE n RENAME TO orders;",
		down: "CREATE TABLE o (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\nINSERT INTO o SELECT * FROM orders;\nDROP TABLE orders;\nALTER TABLE o RENAME TO orders;"},
	{name: "a rebuild in steps", only: "postgres", setup: people, head: "-- +goose NO TRANSACTION\n", up: "CREATE TABLE n (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total integer);\nINSERT INTO n SELECT id, person_id, round(total) + 1 FROM orders WHERE id <> 13;\nDROP TABLE orders;\nALTER TABLE n RENAME TO orders;",
		down: "CREATE TABLE o (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\nINSERT INTO o SELECT * FROM orders;\nDROP TABLE orders;\nALTER TABLE o RENAME TO orders;\nALTER TABLE orders RENAME CONSTRAINT o_pkey TO orders_pkey;\nALTER TABLE orders RENAME CONSTRAINT o_person_id_fkey TO orders_person_id_fkey;"},
	{name: "a parent is rebuilt in steps, with its keys off", only: "sqlite", keys: true, setup: people, head: "-- +goose NO TRANSACTION\n", up: "PRAGMA foreign_keys = OFF;\nCREATE TABLE n (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer);\nINSERT INTO n SELECT id, upper(name), score FROM people;\nDROP TABLE people;\nALTER TABLE n RENAME TO people;\nPRAGMA foreign_keys = ON;",
		down: "PRAGMA foreign_keys = OFF;\nCREATE TABLE o (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nINSERT INTO o (id, name, score) SELECT id, name, score FROM people;\nDROP TABLE people;\nALTER TABLE o RENAME TO people;\nCREATE INDEX people_score ON people (score);\nPRAGMA foreign_keys = ON;", after: "SELECT count(*) FROM orders"},
	{name: "another file", only: "sqlite", setup: people, up: "ATTACH DATABASE ':memory:' AS other;\nCREATE TABLE other.people (id integer);\nDELETE FROM people;", down: "SELECT 1;", refused: "ATTACH"},
	{name: "names that references keep", only: "sqlite", setup: people + "CREATE VIEW rich AS SELECT id FROM people;\nCREATE TRIGGER later AFTER DELETE ON orders BEGIN UPDATE people SET score = 0; END;\n", up: "PRAGMA legacy_alter_table = ON;\nALTER TABLE people RENAME TO persons;\nUPDATE persons SET score = 1;", down: "PRAGMA legacy_alter_table = ON;\nALTER TABLE persons RENAME TO people;"},
	{name: "a rebuild under names that references keep", only: "sqlite", setup: people + "CREATE VIEW rich AS SELECT id FROM people;\n", up: "PRAGMA legacy_alter_table = ON;\nALTER TABLE people RENAME TO old;\nCREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer);\nINSERT INTO people SELECT id, name, score FROM old;\nDROP TABLE old;\nPRAGMA legacy_alter_table = OFF;",
		down: "PRAGMA legacy_alter_table = ON;\nALTER TABLE people RENAME TO old;\nCREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nINSERT INTO people (id, name, score) SELECT id, name, score FROM old;\nDROP TABLE old;\nCREATE INDEX people_score ON people (score);\nPRAGMA legacy_alter_table = OFF;"},
}

// TestOddTables: they come back as they were, twice, or up refuses and nothing has happened.
func TestOddTables(t *testing.T) {
	t.Parallel()
	for _, c := range odd {
		for _, e := range testdb.Engines() {
			if c.only != "" && c.only != string(e) {
				continue
			}
			t.Run(c.name+"/"+string(e), func(t *testing.T) {
				t.Parallel()
				dsn := e.New(t)
				setup := c.setup
				if strings.Contains(setup, "@space") {
					setup = strings.ReplaceAll(setup, "@space", testdb.Tablespace(t, dsn))
				}
				up, down := c.up, c.down
				if strings.Contains(setup, "@role") {
					_, role := testdb.Role(t, dsn)
					setup, up = strings.ReplaceAll(setup, "@role", role), strings.ReplaceAll(up, "@role", role)
				}
				if c.keys {
					dsn += "?_pragma=foreign_keys(1)"
				}
				f := newFixture(t, dsn, setup, map[string]string{"00001_a.sql": c.head + migration(up, down)})
				ask := func() string {
					if c.ask == "" {
						return ""
					}
					return strings.Join(testdb.Query(t, dsn, c.ask), "\n")
				}
				before, asked := f.dump(), ask()
				var left []string
				if c.after != "" {
					left = testdb.Query(t, dsn, c.after)
				}
				if c.refused != "" {
					_, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1})
					var refused *migrate.RefusedError
					var lost *snapshot.LossError
					if !errors.As(err, &refused) && !errors.As(err, &lost) || !strings.Contains(err.Error(), c.refused) {
						t.Errorf("up: %v, want it refused: %s", err, c.refused)
					}
					f.same(before, f.dump(), "after the refusal")
					return
				}
				f.up()
				if c.after != "" {
					if now := testdb.Query(t, dsn, c.after); !slices.Equal(left, now) {
						t.Errorf("%s: %v after up, was %v", c.after, now, left)
					}
				}
				after := f.dump()
				if after == before {
					t.Fatal("the migration did nothing")
				}
				for range 2 {
					f.rollback(migrate.RollbackRequest{Steps: 1})
					f.same(before, f.dump(), "after the rollback")
					if now := ask(); now != asked {
						t.Errorf("asked: %q, was %q", now, asked)
					}
					f.up()
					f.same(after, f.dump(), "up again")
				}
			})
		}
	}
}

// TestKeysStayOffAfterACrash: a rebuild that had switched the checks of foreign keys off goes on without them, in another session: with them its DROP TABLE
// would delete the children.
func TestKeysStayOffAfterACrash(t *testing.T) {
	t.Parallel()
	dsn := testdb.SQLite(t) + "?_pragma=foreign_keys(1)"
	f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": "-- +goose NO TRANSACTION\n" + migration(
		"PRAGMA foreign_keys = OFF;\nCREATE TABLE n (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer CHECK (score < 5000));\nINSERT INTO n SELECT id, name, score FROM people;\nDROP TABLE people;\nALTER TABLE n RENAME TO people;\nPRAGMA foreign_keys = ON;",
		"PRAGMA foreign_keys = OFF;\nCREATE TABLE o (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');\nINSERT INTO o (id, name, score) SELECT id, name, score FROM people;\nDROP TABLE people;\nALTER TABLE o RENAME TO people;\nCREATE INDEX people_score ON people (score);\nPRAGMA foreign_keys = ON;")})
	before, orders := f.dump(), testdb.Query(t, dsn, "SELECT * FROM orders ORDER BY id")
	testdb.Exec(t, dsn, "UPDATE people SET score = score + 5000 WHERE score IS NOT NULL")
	if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
		t.Fatal("up took a value that a check forbids")
	}
	testdb.Exec(t, dsn, "UPDATE people SET score = score - 5000 WHERE score IS NOT NULL")
	if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := testdb.Query(t, dsn, "SELECT * FROM orders ORDER BY id"); !slices.Equal(got, orders) {
		t.Errorf("orders %v, were %v", got, orders)
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
}
