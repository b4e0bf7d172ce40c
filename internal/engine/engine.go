// Package engine opens a database by URL and hides what differs between servers that has nothing
// to do with rolling back: connecting, quoting, session settings, run locks, error classes and
// reading the shape of a table. It promises that a password never leaves it (Target has none) and
// that every setting it makes is made on the very connection that works.
//
// Each engine is one file (postgres.go, mysql.go, sqlite.go) behind the unexported interface
// dialect; what callers may ask about an engine is data in Caps.
package engine

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
)

// Kind names an engine.
type Kind string

// The engines.
const (
	Postgres Kind = "postgres"
	MySQL    Kind = "mysql"
	MariaDB  Kind = "mariadb"
	SQLite   Kind = "sqlite"
)

// Caps says what an engine can do. Callers branch on these, never on Kind.
type Caps struct {
	TransactionalDDL bool   // DDL, captures and the version row commit together; savepoints give rehearsal
	Schemas          bool   // tables live in schemas inside a database
	LongText         string // the type of a text without a limit that matters
	Counters         string // query of the schemas and names of all sequences; "" where a rollback takes their numbers back, or there are none
	HeldLocks        string // query of the locks that are held on tables; "" where there is one for the whole database
	HeldLocksIf      string // query that tells whether the server records them; "" always
	LockWait         string // sets, followed by milliseconds, how long the session waits for a lock; "" where others do not queue behind who waits
	InlineKeys       bool   // REFERENCES written with a column makes a foreign key
	TableOptions     string // what follows the columns of our own tables, so that no default of the database changes them
}

// Querier is what *sql.DB, *sql.Conn and *sql.Tx have in common.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Texts runs a query and gives the first column of its answer, as text.
func Texts(ctx context.Context, q Querier, query string, args ...any) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Name is a table's or another object's name as the catalog spells it: unquoted, exact case.
// Schema is empty where the engine has no schemas, or where the name is to be looked up in the
// session's search path.
type Name struct {
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name"`
}

// String gives "schema.name", for people; never for SQL.
func (n Name) String() string {
	if n.Schema == "" {
		return n.Name
	}
	return n.Schema + "." + n.Name
}

// Arg gives the name as an argument of a command that is shown, to be typed in a shell.
func (n Name) Arg() string {
	quote := func(part string) string {
		if strings.ContainsAny(part, `.,"`) || strings.TrimSpace(part) != part {
			return `"` + strings.ReplaceAll(part, `"`, `""`) + `"`
		}
		return part
	}
	out := quote(n.Name)
	if n.Schema != "" {
		out = quote(n.Schema) + "." + out
	}
	if plainArg.MatchString(out) {
		return out
	}
	return "'" + strings.ReplaceAll(out, "'", `'\''`) + "'"
}

// plainArg is what no shell reads as something else.
var plainArg = regexp.MustCompile(`^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$`)

// Target says which database a URL means, without its secrets; it is safe to print and to store.
type Target struct {
	Kind     Kind   `json:"engine"`
	Host     string `json:"host,omitempty"`     // host:port or socket folder; empty for SQLite
	Database string `json:"database,omitempty"` // database name, or the file of SQLite
	User     string `json:"user,omitempty"`
}

// Table is the shape of one table as the catalog has it now.
type Table struct {
	Name        Name
	OID         uint32 // PostgreSQL only
	Kind        string // "table", "partitioned", "partition", "view", "materialized view", "foreign", "virtual", "temporary"
	Columns     []Column
	Keys        []Key        // usable keys, the primary key first; see Key
	Unique      []Key        // unique like Keys, but over columns of which some can be NULL: no row is known by them
	ForeignKeys []ForeignKey // from this table
	Referenced  []ForeignKey // from other tables (and itself) to this one
	Triggers    []Trigger    // the user's, not the engine's own
	Rules       bool         // PostgreSQL rewrite rules other than a view's
	Calls       string       // PostgreSQL: a function of the user's that a default or a check calls, and that may write
	Children    []Name       // partitions and inheritance children, direct ones
	Parent      Name         // of a partition
	Heir        bool         // it inherits from another table, of which it is no partition
	Rows, Bytes int64        // estimates from statistics; Rows is -1 when unknown
	Owner       string
	RowSecurity bool // policies may hide rows from the session
	RowID       bool // SQLite: has a rowid
	// Engine is the storage engine, on MySQL and MariaDB: what InnoDB promises others do not.
	Engine     string
	Partitions []string // names of the partitions, in their order, on MySQL and MariaDB
	Versioned  bool     // MariaDB keeps the past of the rows in the table itself
}

// Transactional tells whether what is written to the table can be taken back. Tables of some storage engines of MySQL and
// MariaDB keep every row at once.
func (t *Table) Transactional() bool {
	switch strings.ToLower(t.Engine) {
	case "", "innodb", "ndbcluster", "rocksdb", "tokudb":
		return true
	}
	return false
}

// Column is one column of a table, dropped ones left out.
type Column struct {
	Name      string
	Ordinal   int    // 1-based position; PostgreSQL: attnum, stable across renames
	Type      string // as the engine prints it, with modifiers
	NotNull   bool
	Default   string // expression text, "" for none
	Generated bool   // stored or virtual generated: never written
	Identity  string // PostgreSQL: "" | "always" | "by default"; MySQL: "auto_increment"
	Portable  bool   // the type is the engine's own and outlives any DROP TYPE; else captures store its exact text
	Base      string // the type to store it as in a capture when Portable (domains: no), e.g. "numeric(10,2)"
	Collation string
	Sequence  Name // owned by or feeding this column, PostgreSQL
	Invisible bool // SELECT * leaves it out, on MySQL and MariaDB
	OnUpdate  bool // an UPDATE of other columns changes it, on MySQL and MariaDB
}

// Key is a primary key, or a unique key over plain NOT NULL columns, immediate, not partial.
type Key struct {
	Name    string
	Primary bool
	Columns []string
	Loose   bool // a primary key of SQLite whose columns may be NULL; none was when the table was looked at
}

// solid parts unique indexes, by name: those that a row is known by, and those that can hold NULL; the broken are left out.
func solid(all []Key, broken, nullable []string) (keys, unique []Key) {
	for _, k := range all {
		switch {
		case slices.Contains(broken, k.Name):
		case slices.Contains(nullable, k.Name):
			unique = append(unique, k)
		default:
			keys = append(keys, k)
		}
	}
	return keys, unique
}

// ForeignKey is one foreign key.
type ForeignKey struct {
	Name               string
	Table              Name // the referencing table
	Columns            []string
	Parent             Name
	ParentColumns      []string
	OnDelete, OnUpdate string // "NO ACTION" | "RESTRICT" | "CASCADE" | "SET NULL" | "SET DEFAULT"
	Deferrable         bool
	Deferred           bool
	Validated          bool
	Period             bool // of PostgreSQL 18: parents together cover the last column, a range, where none need be equal to it
}

// Trigger is one trigger of the user's.
type Trigger struct {
	Name    string
	Enabled string // PostgreSQL tgenabled: O, D, R, A; else "O"
	SQL     string // statement that creates it
	Before  bool   // BEFORE … FOR EACH ROW: may change the row
	Events  string // "INSERT,UPDATE,DELETE,TRUNCATE" of them
}
