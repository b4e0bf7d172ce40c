package verify

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// What means the same is the same definition, and what does not is not.
func TestColumnDefinition(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"TEXT NOT NULL DEFAULT 'x'", "text default 'x' not null", true},
		{"TEXT", "TEXT NULL", true},
		{"TEXT", "TEXT DEFAULT NULL", true},
		{"TEXT", "TEXT NULL DEFAULT NULL COLLATE BINARY", false},
		{"", "NULL", true},
		{"INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", true},
		{"INT REFERENCES t (id) ON DELETE SET NULL", "INT REFERENCES t (id) ON DELETE SET DEFAULT", false},
		{"INT REFERENCES t (id) ON DELETE SET NULL NOT NULL", "INT NOT NULL REFERENCES t (id) ON DELETE SET NULL", true},
		{"INT REFERENCES t NOT DEFERRABLE", "INT REFERENCES t DEFERRABLE", false},
		{"INT CONSTRAINT c NOT NULL CHECK (a > 0)", "INT CHECK (a > 0) CONSTRAINT c NOT NULL", true},
		{"INT CONSTRAINT c NOT NULL", "INT CONSTRAINT d NOT NULL", false},
		{"INT GENERATED ALWAYS AS (a + 1) STORED UNIQUE", "INT UNIQUE GENERATED ALWAYS AS (a + 1) STORED", true},
		{"INT AS (a + NULL)", "INT AS (a)", false},
		{"INT CHECK (a IS NULL)", "INT CHECK (a IS NOT NULL)", false},
		{"INT DEFAULT 1", "INT DEFAULT 2", false},
		{`INT DEFAULT "null"`, "INT", false},
		{"INT NOT NULL", "INT", false},
		{"INT", "TEXT", false},
	} {
		a, b := columnDefinition(engine.SQLiteScan(c.a)), columnDefinition(engine.SQLiteScan(c.b))
		if (a == b) != c.same {
			t.Errorf("%s is %q, %s is %q", c.a, a, c.b, b)
		}
	}
}
