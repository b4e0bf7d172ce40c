package effects

import "testing"

func TestUnreadable(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		sql     string
		want    bool
	}{
		{Postgres, "ALTER TABLE t REMOVE COLUMN c", true},
		{Postgres, "ALTER TABLE t DROP COLUMN c bool", true},
		{Postgres, "DELETE FROM t WHERE a = 1\nALTER TABLE t DROP COLUMN c", true},
		{Postgres, "ALTER TABLE t ADD c varchar(20) NOT NULL,", true},
		{Postgres, "GRANT UPDATE ON t (c) TO r", true},
		{SQLite, "CREATE TABLE t (a TEXT DEFAULT '')\n\nINSERT INTO t SELECT * FROM u", true},
		{SQLite, "INSERT INTO SELECT * FROM u", true},
		{SQLite, "ALTER TABLE t ADD c VARCHAR(20) NOT NULL,", true},
		// read by the grammar
		{Postgres, "ALTER TABLE t DROP COLUMN c", false},
		{Postgres, "DO $$ BEGIN nonsense END $$", false},
		// read by newer servers
		{Postgres, "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)", false},
		{Postgres, "ALTER TABLE t ADD CONSTRAINT n NOT NULL a", false},
		{Postgres, "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT ENFORCED", false},
		{Postgres, "ALTER TABLE t ADD PRIMARY KEY (a, p WITHOUT OVERLAPS)", false},
		{Postgres, "ALTER TABLE t ADD FOREIGN KEY (a, PERIOD p) REFERENCES u (a, PERIOD p)", false},
		{Postgres, "ALTER TABLE t ALTER CONSTRAINT c INHERIT", false},
		{Postgres, "UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a", false},
		{Postgres, "ALTER TABLE t MERGE PARTITIONS (a, b) INTO c", false},
		{Postgres, "REPACK t", false},
		{SQLite, "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", false},
		{SQLite, "ALTER TABLE t ALTER COLUMN a SET NOT NULL", false},
		// may be read by a server whose grammar is not known here
		{MySQL, "DROP INDEX i", false},
		{MariaDB, "DROP INDEX i", false},
	} {
		t.Run(string(c.dialect)+"/"+c.sql, func(t *testing.T) {
			statements, err := Parse(c.dialect, c.sql)
			if err != nil {
				t.Fatal(err)
			}
			if got := statements[0].Unreadable(c.dialect); got != c.want {
				t.Errorf("got %v (%s at %d)", got, statements[0].ParseError, statements[0].ErrorOffset)
			}
		})
	}
}
