// Package snapshot keeps what migrations destroy: it owns the catalog state_snapshots, makes
// captures inside the server, puts them back and proves that it did.
//
// One rule serves every kind of capture. A captured row remembers its key, the old values and, from
// the moment the migration ended (seal), either a hash of the values that then stood in its place or
// that nothing stood there. On the way back a row whose place still looks as sealed gets its old values;
// a row whose place looks different was written by the application since, and is a conflict.
package snapshot

import (
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Kind of a capture.
type Kind string

// The kinds.
const (
	Kept        Kind = "kept"         // the table itself, moved aside
	KeptColumns Kind = "kept_columns" // the columns themselves, renamed
	Columns     Kind = "columns"      // key + some columns of every row
	Rows        Kind = "rows"         // rows hit by a statement
	Table       Kind = "table"        // every row, all columns
	Definition  Kind = "definition"   // definitions of objects, no rows
)

// Policy for conflicts.
type Policy string

// The policies.
const (
	Keep    Policy = "keep"    // the application's value stays
	Restore Policy = "restore" // the captured value wins
	Fail    Policy = "fail"    // the run is refused
)

// Need is a capture that a statement needs before it may run.
type Need struct {
	Kind    Kind        `json:"kind"`
	Table   string      `json:"table"`
	Columns []string    `json:"columns,omitempty"`
	Rows    int64       `json:"rows"`  // estimate; -1 unknown
	Bytes   int64       `json:"bytes"` // estimate; -1 unknown
	Reason  string      `json:"reason,omitempty"`
	Name    engine.Name `json:"-"`
	Empties bool        `json:"-"` // of Kept: the statement leaves an empty table
}

// TableReport counts what a restore wrote into one table.
type TableReport struct {
	Table     string `json:"table"`
	Inserted  int64  `json:"inserted"`
	Updated   int64  `json:"updated"`
	Deleted   int64  `json:"deleted"`
	Conflicts int64  `json:"conflicts"`
	Kept      int64  `json:"kept,omitempty"` // of these, what was kept aside and took its place again without being read
}

// Conflict is one captured row whose place was written by the application since. At most MaxConflicts of a table
// are listed; TableReport.Conflicts counts all.
type Conflict struct {
	Table    string   `json:"table"`
	Key      string   `json:"key"` // "id=7", as text, for people
	Columns  []string `json:"columns,omitempty"`
	Reason   string   `json:"reason"`   // "changed since", "deleted since", "inserted since", "unique value taken", "parent deleted"
	Resolved Policy   `json:"resolved"` // what was done
	// Stamp: it is about nothing but when the row was written last. All other values of the row that the migration changed came back.
	Stamp bool `json:"stamp,omitempty"`
}

// Info is one capture as the catalog lists it.
type Info struct {
	ID         string     `json:"id"`
	Snapshot   string     `json:"snapshot"`
	Table      string     `json:"table"`
	Kind       Kind       `json:"kind"`
	Migration  int64      `json:"migration"`
	Direction  string     `json:"direction"` // "up" | "down" | "manual"
	Statement  int        `json:"statement"`
	CapturedAt time.Time  `json:"captured_at"` // UTC, microseconds
	Columns    []string   `json:"columns"`
	Location   string     `json:"location"` // the table that holds the data
	Rows       int64      `json:"rows"`
	Bytes      int64      `json:"bytes"`
	Checksum   string     `json:"checksum"`
	Status     string     `json:"status"` // capturing | complete | restored | expired | void
	CreatedBy  string     `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	Part       bool       `json:"part,omitempty"`   // it has other columns of the rows that another capture of the statement has
	Sealed     bool       `json:"sealed,omitempty"` // it has no rows to bring back, but tells which of a table that the migration made were changed since
}

// Snapshot is the captures taken at one moment.
type Snapshot struct {
	ID        string    `json:"id"`
	Run       string    `json:"run"` // as in the audit log
	TakenAt   time.Time `json:"taken_at"`
	Migration int64     `json:"migration"`
	Direction string    `json:"direction"`
	Label     *string   `json:"label"`
	Captures  []Info    `json:"captures"`
}

// Usage sums what the catalog holds.
type Usage struct {
	Snapshots int   `json:"snapshots"`
	Captures  int   `json:"captures"`
	Rows      int64 `json:"rows"`
	Bytes     int64 `json:"bytes"`
}
