// Package testdb gives tests real database servers, and nothing else imports it.
//
// It promises that a test gets a database of its own, that tests may run in parallel, that a missing
// server fails the test with the command that installs it (it never skips), and that nothing is left
// behind when the test process ends, however it ends.
//
// A server is, in this order: the one named by an environment variable (DBROLLBACK_TEST_POSTGRES, _MARIADB, _MYSQL);
// one started for this test process from the programs found on the machine, in a data directory
// copied from a template that was initialised once; a container, where a Docker engine answers.
package testdb

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// Engine names an engine that tests can run on.
type Engine string

// The engines that tests can run on.
const (
	OnPostgres Engine = "postgres"
	OnSQLite   Engine = "sqlite"
	OnMariaDB  Engine = "mariadb"
	OnMySQL    Engine = "mysql"
)

// Engines lists the engines that Each runs on unless told otherwise.
func Engines() []Engine { return []Engine{OnPostgres, OnSQLite} }

// Everywhere lists all engines, for Each: what holds on those of MySQL's family as well.
func Everywhere() []Engine { return []Engine{OnPostgres, OnSQLite, OnMariaDB, OnMySQL} }

// New makes a fresh, empty database on the engine e and returns its DSN. The database is gone when
// the test ends.
func (e Engine) New(t testing.TB) string {
	t.Helper()
	switch e {
	case OnPostgres:
		return Postgres(t)
	case OnSQLite:
		return SQLite(t)
	case OnMariaDB:
		return MariaDB(t)
	case OnMySQL:
		return MySQL(t)
	}
	t.Fatalf("testdb: no engine called %q", string(e))
	return ""
}

// Each runs fn as a parallel subtest on every engine given, or on all of Engines when none is, with
// the DSN of a fresh database.
func Each(t *testing.T, fn func(t *testing.T, dsn string), engines ...Engine) {
	t.Helper()
	if len(engines) == 0 {
		engines = Engines()
	}
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			fn(t, e.New(t))
		})
	}
}

// prefix starts the name of everything that testdb makes on a server; nothing that lacks it is ever
// dropped.
const prefix = "dbrollback_test_"

// freshName is a name for a database or a role that no other test, process or machine uses.
func freshName() string {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprintf("testdb: no randomness: %v", err))
	}
	return prefix + hex.EncodeToString(b)
}

// droppable guards every DROP that testdb sends.
func droppable(t testing.TB, name string) {
	t.Helper()
	if !strings.HasPrefix(name, prefix) {
		t.Fatalf("testdb: refusing to drop %q, which no test made", name)
	}
}
