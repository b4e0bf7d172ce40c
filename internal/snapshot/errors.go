package snapshot

import (
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// LossError says that a statement would destroy something that cannot be captured. Nothing was changed.
type LossError struct {
	Object string // what would be lost
	Reason string
	Hint   string
}

func (e *LossError) Error() string {
	return fmt.Sprintf("%s cannot be captured: %s", e.Object, e.Reason)
}

// UncapturedError says that a statement touched tables that no capture covers; the transaction must be rolled back.
type UncapturedError struct {
	Tables []string // "public.orders (3 rows changed, 1 captured)"
}

func (e *UncapturedError) Error() string {
	return "the statement touched what was not captured: " + strings.Join(e.Tables, ", ")
}

// ConflictError says that captured rows were written since and the policy is Fail; the transaction must be rolled back.
type ConflictError struct {
	Conflicts []Conflict // at most MaxConflicts of a table
	Total     int64
}

func (e *ConflictError) Error() string {
	if len(e.Conflicts) == 0 {
		return fmt.Sprintf("%d row(s) were written since they were captured", e.Total)
	}
	c := e.Conflicts[0]
	return fmt.Sprintf("%d row(s) were written since they were captured, the first is %s %s (%s)", e.Total, c.Table, c.Key, c.Reason)
}

// PlaceError says that captured data has no place to go back to; the transaction must be rolled back.
type PlaceError struct {
	Table   engine.Name
	Columns []string // missing ones; empty when the table is
	Rows    int64
}

func (e *PlaceError) Error() string {
	if len(e.Columns) == 0 {
		return fmt.Sprintf("%d captured row(s) of %s have no place to go back to: the table was not made again", e.Rows, e.Table)
	}
	return fmt.Sprintf("%d captured row(s) of %s have no place to go back to: column %s was not made again", e.Rows, e.Table,
		strings.Join(e.Columns, ", "))
}

// ProofError says that rows that were put back do not equal what was captured; the transaction must be rolled back.
type ProofError struct {
	Table   engine.Name
	Capture string
	Rows    int64 // rows that are not as captured
	Of      int64
	Reason  string
}

func (e *ProofError) Error() string {
	s := fmt.Sprintf("%d of %d row(s) of %s are not as they were captured", e.Rows, e.Of, e.Table)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}
