package testdb

import (
	"path/filepath"
	"testing"
)

// SQLite returns the DSN of a database file that does not exist yet, in a directory that goes with the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}
