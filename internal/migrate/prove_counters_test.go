package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// To try a migration uses numbers up that no rollback gives back. The next trial, and the Up that counts, get the numbers all the same
// that they would get on a database on which nothing was tried: rows refer to them.
func TestProveUsesNoNumbersUp(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		report := prove(t, dsn, migrate.ProveOptions{Rows: 5},
			migration(on(dsn, "pg: CREATE TABLE a (id serial PRIMARY KEY, name varchar(20)); | sqlite: CREATE TABLE a (id integer PRIMARY KEY AUTOINCREMENT, name varchar(20)); | mysql: CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, name varchar(20));")+
				"\nCREATE TABLE b (id int PRIMARY KEY, a int NOT NULL, FOREIGN KEY (a) REFERENCES a (id));", "DROP TABLE b;\nDROP TABLE a;"),
			migration("INSERT INTO a (name) VALUES ('x'), ('y');", "DELETE FROM a WHERE name IN ('x', 'y');"),
			migration("INSERT INTO a (name) VALUES ('z');\nINSERT INTO b VALUES (1, 3);", "DELETE FROM b WHERE id = 1;\nDELETE FROM a WHERE name = 'z';\n"+
				on(dsn, "pg: SELECT setval('a_id_seq', 2); | sqlite: UPDATE sqlite_sequence SET seq = 2 WHERE name = 'a'; | mysql: ALTER TABLE a AUTO_INCREMENT = 3;")),
			migration("INSERT INTO a (name) VALUES ('w');\nINSERT INTO b VALUES (2, 4);", ""),
		)
		for i, want := range []migrate.ProofVerdict{migrate.ProofOK, migrate.ProofOK, migrate.ProofOK, migrate.ProofNoDown} {
			if p := report.Migrations[i]; p.Verdict != want {
				t.Errorf("%d: %s, %+v", i+1, summary(p), p.Error)
			}
		}
	}, everywhere...)
}
