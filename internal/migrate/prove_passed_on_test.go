package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// What a migration writes through a view, or what a trigger writes for it, is seen in the tables where it arrives: in those that are
// named nowhere among its writes, too.
func TestProveSeesWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		report := prove(t, dsn, migrate.ProveOptions{Rows: 5},
			migration("CREATE TABLE old (id int PRIMARY KEY, name varchar(20));\nCREATE TABLE fired (id int PRIMARY KEY);", "DROP TABLE fired;\nDROP TABLE old;"),
			migration("CREATE VIEW v AS SELECT id, name FROM old;\n"+
				on(dsn, "sqlite: -- +goose StatementBegin\nCREATE TRIGGER vt INSTEAD OF DELETE ON v BEGIN DELETE FROM old WHERE id = OLD.id; END;\n-- +goose StatementEnd\nDELETE FROM v; | DELETE FROM v;"), "DROP VIEW v;"),
			migration("-- +goose StatementBegin\n"+on(dsn, "pg: CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM old; RETURN NULL; END' | SELECT 1")+";\n-- +goose StatementEnd\n-- +goose StatementBegin\n"+
				on(dsn, "pg: CREATE TRIGGER ft AFTER INSERT ON fired FOR EACH STATEMENT EXECUTE FUNCTION f() | sqlite: CREATE TRIGGER ft AFTER INSERT ON fired BEGIN DELETE FROM old; END | mysql: CREATE TRIGGER ft AFTER INSERT ON fired FOR EACH ROW DELETE FROM old")+
				";\n-- +goose StatementEnd", on(dsn, "pg: DROP TRIGGER ft ON fired;\nDROP FUNCTION f(); | DROP TRIGGER ft;")),
			migration("INSERT INTO fired VALUES (1000000);", "DELETE FROM fired WHERE id = 1000000;"),
		)
		for i, want := range []migrate.ProofVerdict{migrate.ProofOK, migrate.ProofData, migrate.ProofOK, migrate.ProofData} {
			p := report.Migrations[i]
			if p.Verdict != want {
				t.Errorf("%d: %s, %+v %q", i+1, summary(p), p.Error, p.Notes)
			}
			if want == migrate.ProofData && (len(p.Data) != 1 || p.Data[0].Lost == 0) {
				t.Errorf("%d: %+v", i+1, p.Data)
			}
		}
	}, everywhere...)
}
