package verify_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Whatever is done to a schema, what texts came apart into before makes no difference to what is seen of it now.
func TestTextsAreNeverStale(t *testing.T) {
	t.Parallel()
	statements := []string{
		"CREATE TABLE parent (id integer PRIMARY KEY, name varchar(20))",
		"CREATE TABLE item (id integer PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', parent integer REFERENCES parent (id))",
		"CREATE VIEW v AS SELECT name FROM item",
		"CREATE VIEW above AS SELECT name FROM v",
		"CREATE INDEX item_name ON item (name)",
		"ALTER TABLE item ADD COLUMN n integer DEFAULT 4",
		"ALTER TABLE item DROP COLUMN n",
		"ALTER TABLE item RENAME COLUMN parent TO origin",
		"ALTER TABLE parent RENAME TO ancestor",
		"DROP VIEW v",
		"CREATE VIEW v AS SELECT name FROM ancestor",
		"DROP VIEW above",
		"DROP VIEW v",
		"DROP TABLE item",
		"CREATE TABLE item (name varchar(20) NOT NULL DEFAULT 'x', id integer PRIMARY KEY)",
	}
	more := map[testdb.Engine][]string{
		testdb.OnSQLite: {
			"CREATE TRIGGER t AFTER INSERT ON item BEGIN SELECT 1; END",
			"DROP TRIGGER t",
			"CREATE VIRTUAL TABLE papers USING fts5 (text)",
			"CREATE TABLE papers_of_mine (id integer)",
			"DROP TABLE papers",
		},
		testdb.OnMariaDB: {"CREATE SEQUENCE s", "ALTER TABLE item ADD COLUMN n bigint DEFAULT nextval(s)", "CREATE TRIGGER t BEFORE INSERT ON item FOR EACH ROW SET NEW.name = 'y'", "DROP TRIGGER t"},
		testdb.OnMySQL:   {"CREATE TRIGGER t BEFORE INSERT ON item FOR EACH ROW SET NEW.name = 'y'", "ALTER TABLE item MODIFY name varchar(30) FIRST"},
	}
	for _, e := range []testdb.Engine{testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			b := open(t, e.New(t), "")
			var texts verify.Texts
			for _, s := range append(append([]string{}, statements...), more[e]...) {
				b.exec(s)
				want := b.take(verify.Scope{})
				for range 2 { // the second from what is known
					got, err := texts.Take(ctx, b.db, b.db.DB, verify.Scope{})
					if err != nil {
						t.Fatalf("after %s: %v", s, err)
					}
					if !reflect.DeepEqual(got, want) {
						t.Errorf("after %s:\n%+v\nwant\n%+v", s, got, want)
					}
				}
			}
		})
	}
}
