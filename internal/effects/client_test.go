package effects

import (
	"strings"
	"testing"
)

func TestFramed(t *testing.T) {
	for _, c := range []struct {
		dialect          Dialect
		in, out          string
		framed, controls bool
	}{
		{Postgres, "BEGIN;\nSELECT 1;\nCOMMIT;\n", "      \nSELECT 1;\n       \n", true, false},
		{Postgres, "SET a = b; begin transaction ;SELECT 1; END", "SET a = b;                    SELECT 1;    ", true, false},
		{Postgres, "BEGIN; SELECT 1; ROLLBACK;", "", false, true},
		{Postgres, "BEGIN; SELECT 1;", "", false, true},
		{Postgres, "SELECT 1; COMMIT; BEGIN;", "", false, true},
		{Postgres, "CREATE TABLE a (b int); BEGIN; DROP TABLE a; COMMIT;", "", false, true},
		{Postgres, "BEGIN; SAVEPOINT a; COMMIT;", "", false, true},
		{Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN 1; END$$", "", false, false},
		{Postgres, "SELECT 'begin; commit'", "", false, false},
		{SQLite, "BEGIN IMMEDIATE; CREATE TABLE a (b); COMMIT TRANSACTION;", strings.Repeat(" ", 17) + "CREATE TABLE a (b);" + strings.Repeat(" ", 20), true, false},
		{SQLite, "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END;", "", false, false},
		{MySQL, "START TRANSACTION; UPDATE a SET b = 1; COMMIT;", strings.Repeat(" ", 18) + " UPDATE a SET b = 1;" + strings.Repeat(" ", 8), true, false},
		{MySQL, "CREATE PROCEDURE p() BEGIN SELECT 1; END;", "", false, false},
	} {
		want := c.out
		if want == "" {
			want = c.in
		}
		out, framed, controls := Framed(c.dialect, c.in)
		if out != want || framed != c.framed || controls != c.controls {
			t.Errorf("%s: %q\ngot  %q %v %v\nwant %q %v %v", c.dialect, c.in, out, framed, controls, want, c.framed, c.controls)
		}
	}
}

func TestForServer(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		in, out string // "" for an error
	}{
		{Postgres, "\\set ON_ERROR_STOP on\nSELECT '\n\\i no';\n  \\echo x\n", strings.Repeat(" ", 21) + "\nSELECT '\n\\i no';\n         \n"},
		{Postgres, "SELECT E'\\n';", "SELECT E'\\n';"},
		{Postgres, "COPY a FROM STDIN;\n1\n\\.\n", "COPY a FROM STDIN;\n1\n\\.\n"},
		{Postgres, "\\copy a (b, c) from program 'cat x'\nSELECT 1;", "COPY a (b, c) FROM STDIN;          \nSELECT 1;"},
		{Postgres, "\\copy a from 'data.csv' csv;\n", "COPY a FROM STDIN;          \n"},
		{Postgres, "\\copy (SELECT 1 FROM b) to 'x'\n", strings.Repeat(" ", 30) + "\n"},
		{Postgres, "\\copy a from stdin with csv\n1\n\\.\n", ""},
		{Postgres, "SELECT 1\n\\gexec\n", ""},
		{SQLite, ".bail on\nSELECT 1;\n-- .read x\n", "        \nSELECT 1;\n-- .read x\n"},
		{SQLite, "SELECT 1;\n.read x\n", ""},
		{MySQL, "delimiter $$\nSELECT 1$$\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET x = '$$'; END$$\nDELIMITER ;\nSELECT 2;",
			"            \nSELECT 1; \nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET x = '$$'; END; \n           \nSELECT 2;"},
		{MariaDB, "DELIMITER // \nSELECT 1 // SELECT '//' -- //\n//\n", "             \nSELECT 1 ;  SELECT '//' -- //\n; \n"},
		{MySQL, "SELECT delimiter FROM a;", "SELECT delimiter FROM a;"},
		{MySQL, "DELIMITER\t\nSELECT 1;", ""},
	} {
		out, err := ForServer(c.dialect, c.in)
		switch {
		case c.out == "" && err == nil:
			t.Errorf("%s: %q was taken: %q", c.dialect, c.in, out)
		case c.out != "" && (err != nil || out != c.out):
			t.Errorf("%s: %q\ngot  %q, %v\nwant %q", c.dialect, c.in, out, err, c.out)
		}
	}
}

func TestBlank(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, " \n-- a\n/* b */ # c\n": true, "/*! SET a = 1 */": false, "/*M! SET a = 1 */": false, ";": false, "-- a\nSELECT 1": false, "'": false,
	} {
		if got := Blank(MySQL, text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNeedsAutocommit(t *testing.T) {
	for text, want := range map[string]bool{
		"CREATE INDEX concurrently a ON b (c);": true, "VACUUM a": true, "SELECT 'VACUUM'": false, "CREATE TABLE database (a int)": false,
	} {
		if got := NeedsAutocommit(Postgres, text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
