// Package verify compares: schemas by fingerprint, rows by checksum. A fingerprint is a map from
// object to definition, read from the engine's own catalog; equality is exact and a diff is a list.
package verify

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Object is one entry of a fingerprint. Properties that can be lost on their own (a default, NOT NULL, a
// comment, a grant) are objects of their own, so that each can be repaired on its own.
//
// Names are as the catalog spells them, unquoted, and start with the table that an object hangs on:
// Table.String() + "." + column, and the like for constraints and triggers; an index is "schema.index".
type Object struct {
	Kind       string      `json:"kind"`                // table, column, default, not null, primary key, unique, foreign key, check, exclude, index, view, …
	Name       string      `json:"name"`                // "public.users.score": with Kind, the key
	Table      engine.Name `json:"table,omitzero"`      // the table it belongs to; zero when none
	Definition string      `json:"definition"`          // canonical: equal text, equal object
	Create     []string    `json:"create,omitempty"`    // statements that make it when what it belongs to exists
	Drop       []string    `json:"drop,omitempty"`      // statements that remove it and nothing else; they fail rather than take dependent objects along
	Alter      []string    `json:"alter,omitempty"`     // statements that turn another definition into this one, in place; empty when only Drop and Create do
	Text       string      `json:"text,omitempty"`      // as written within CREATE TABLE, where that alone can make it
	Needs      []string    `json:"needs,omitempty"`     // keys of the objects that a view reads: it is in the way when one of them changes
	Rank       int         `json:"rank,omitempty"`      // order of creation: lower first
	Position   int         `json:"position,omitempty"`  // of a column; a difference in it alone is cosmetic
	Generated  bool        `json:"generated,omitempty"` // the name was made up by the engine; a difference in it alone is cosmetic
	Inline     bool        `json:"inline,omitempty"`    // the statement that makes its table makes it, too
	Invalid    bool        `json:"invalid,omitempty"`   // an index that its making left half-done, and that no query uses
	First      string      `json:"first,omitempty"`     // of an index of MySQL's family: its first column, by which it can serve a foreign key
	Next       string      `json:"-"`                   // of a table of MySQL's family: the next number of AUTO_INCREMENT, "" for 1; no part of what it is
}

// Key identifies an object in a fingerprint.
func (o Object) Key() string { return o.Kind + " " + o.Name }

// Fingerprint maps Object.Key to the object.
type Fingerprint map[string]Object

// Difference is one object that differs. Before or After is empty when it is missing there.
type Difference struct {
	Kind     string `json:"kind"`
	Object   string `json:"object"`
	Before   string `json:"before"`
	After    string `json:"after"`
	Cosmetic bool   `json:"cosmetic,omitempty"`
}

// Scope says what to fingerprint. The zero Scope is everything.
type Scope struct {
	// Tables are taken with all that hangs on them: columns, defaults, constraints (foreign keys that point to
	// them, too), indexes, triggers, rules, policies, comments, grants, owned sequences and the views over them.
	// A table that does not exist contributes nothing.
	Tables []engine.Name
	// Others adds every object that is no table's: types, functions, views, sequences, schemas, extensions.
	Others bool
	// Bare, when it is not nil, leaves out what hangs on the tables without being part of their own definition: triggers, grants, views, foreign
	// keys of others. It is for who knows that none of that can have changed, where it is asked for apart: MySQL and MariaDB.
	Bare *Bare
}

// Bare is what several looks at bare tables on one session have in common: the zero value for the first, as long as nothing sets how the session
// prints definitions, or uses another database.
type Bare struct {
	known, whole bool
	schema       string
	lower        int
}

// all tells whether s is everything.
func (s Scope) all() bool { return len(s.Tables) == 0 && !s.Others }

// engineVerifier is what an engine does in its own way.
type engineVerifier interface {
	take(ctx context.Context, q engine.Querier, s Scope) (Fingerprint, error)
	rowHash(exprs []string) string
	hashExpr(db *engine.DB, c engine.Column, qualifier string) string
	// sampleExpr is the column's value as exact text that begins with "null" for NULL, and for nothing else.
	sampleExpr(db *engine.DB, c engine.Column) string
	sum(ctx context.Context, q engine.Querier, from string, exprs []string) (Checksum, error)
	// checks lists the conditions that every row of a table fulfils, and that it has a partition.
	checks(ctx context.Context, q engine.Querier, t *engine.Table) ([]rowCheck, error)
	// misfits counts the captured values that a column of now would not take, or would change.
	misfits(ctx context.Context, q engine.Querier, f Fit, c Captured, now engine.Column) (int64, error)
}

func verifier(db *engine.DB) (engineVerifier, error) {
	switch db.Kind {
	case engine.Postgres:
		return postgres{db}, nil
	case engine.SQLite:
		return sqlite{db: db}, nil
	case engine.MySQL, engine.MariaDB:
		return mysql{db: db}, nil
	}
	return nil, fmt.Errorf("verify: %s is not supported by this build", db.Kind)
}

// Take reads the fingerprint of what s names, without our own objects, the engine's and those that
// belong to extensions. Two fingerprints compare only when they were taken with the same scope.
//
// On PostgreSQL the search path is emptied for the duration of the statement, so that definitions are
// printed in full, and set back in the same statement.
func Take(ctx context.Context, db *engine.DB, q engine.Querier, s Scope) (Fingerprint, error) {
	v, err := verifier(db)
	if err != nil {
		return nil, err
	}
	f, err := v.take(ctx, q, s)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	return withoutOurs(db, f), nil
}

// ByName tells whether a Scope of named tables gives all that hangs on them, triggers, policies, rules and comments too, and
// takes the names of views as well.
func ByName(db *engine.DB) bool { return db.Kind == engine.Postgres }

func withoutOurs(db *engine.DB, f Fingerprint) Fingerprint {
	for key, o := range f {
		if o.Table.Name != "" && db.Mine(o.Table) {
			delete(f, key)
		}
	}
	return f
}
