// Package verify compares: schemas by fingerprint, rows by checksum. A fingerprint is a map from
// object to definition, read from the engine's own catalog; equality is exact and a diff is a list.
package verify

import "github.com/dbrollback/dbrollback/internal/engine"

// Object is one entry of a fingerprint. Properties that can be lost on their own (a default, NOT NULL, a
// comment, a grant) are objects of their own, so that each can be repaired on its own.
type Object struct {
	Kind       string      `json:"kind"`                // table, column, default, not null, primary key, unique, foreign key, check, exclude, index, view, …
	Name       string      `json:"name"`                // "public.users.score": with Kind, the key
	Table      engine.Name `json:"table,omitzero"`      // the table it belongs to; zero when none
	Definition string      `json:"definition"`          // canonical: equal text, equal object
	Create     []string    `json:"create,omitempty"`    // statements that make it when what it belongs to exists
	Drop       []string    `json:"drop,omitempty"`      // statements that remove it and nothing else
	Rank       int         `json:"rank,omitempty"`      // order of creation: lower first
	Position   int         `json:"position,omitempty"`  // of a column; a difference in it alone is cosmetic
	Generated  bool        `json:"generated,omitempty"` // the name was made up by the engine; a difference in it alone is cosmetic
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
