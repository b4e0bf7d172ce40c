package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Decisions that a caller may want to tell apart.
var (
	// ErrUnfinished: an earlier run was cut off; recover comes first.
	ErrUnfinished = errors.New("an earlier run did not finish")
	// ErrBack: the same, and its captured rows are back, so that it cannot be taken back any more.
	ErrBack = fmt.Errorf("%w: all statements ran and the captured rows are back", ErrUnfinished)
	// ErrNothing: there is nothing to roll back.
	ErrNothing = errors.New("nothing to roll back")
)

// RefusedError says why a run did not start; nothing was changed. Exit code 3.
type RefusedError struct{ Reasons []Refusal }

func (e *RefusedError) Error() string {
	var b strings.Builder
	for i, r := range e.Reasons {
		if i > 0 {
			b.WriteByte('\n')
		}
		if r.File != "" {
			fmt.Fprintf(&b, "%s:%d:%d: ", r.File, r.Line, r.Column)
		}
		b.WriteString(r.Message)
	}
	return b.String()
}

// DriftError says that the schema found is not the one the data needs; nothing was changed. Exit code 4.
type DriftError struct {
	Version     int64
	When        string // "before": since it was recorded; "after": Down leaves another schema; "aborted": recover --abort could not undo it
	Back        bool   // "after", and captured rows went back on the way, step by step: recover --abort does not take them out again
	Differences []verify.Difference
}

func (e *DriftError) Error() string {
	what := "the schema has changed since migration %d was applied: %d object(s) differ"
	switch e.When {
	case "after":
		what = "the Down of migration %d does not give the schema back: %d object(s) differ"
	case "aborted":
		what = "what migration %d did is taken back but for %d object(s), which are left to you"
	}
	var b strings.Builder
	fmt.Fprintf(&b, what, e.Version, len(e.Differences))
	for i, d := range e.Differences {
		if i == 3 {
			fmt.Fprintf(&b, ", and %d more", len(e.Differences)-i)
			break
		}
		b.WriteString([]string{": ", ", "}[min(i, 1)] + d.Kind + " " + d.Object)
	}
	return b.String()
}

// StatementError is a server's refusal of one statement, at its place in the file.
type StatementError struct {
	File         string
	Line, Column int
	SQL          string
	Err          error
}

func (e *StatementError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
}

func (e *StatementError) Unwrap() error { return e.Err }

// Rejected tells whether a statement came to nothing because of what it says, or of the data: tried again as it is, the server rejects it again.
func Rejected(err error) bool {
	var statement *StatementError
	e, ok := engine.AsError(err)
	return ok && errors.As(err, &statement) && slices.Contains([]engine.Class{engine.Syntax, engine.Constraint, engine.Unsupported, engine.Unknown}, e.Class)
}

// RepairError says that the server refused to make again what the run that is undone took away, and its undoing left out.
// Of class Constraint: rows of now break it.
type RepairError struct {
	Version   int64
	Direction Direction
	SQL       string
	Err       error
}

func (e *RepairError) Error() string {
	return fmt.Sprintf("put back what %s of migration %d left out (%s): %v", e.Direction, e.Version, headline(e.SQL), e.Err)
}

func (e *RepairError) Unwrap() error { return e.Err }

// isClass tells whether a server's answer is of one of some classes.
func isClass(err error, classes ...engine.Class) bool {
	e, ok := engine.AsError(err)
	return ok && slices.Contains(classes, e.Class)
}

// PartialError says how far a run came before it failed: Applied are done and stay, Failed had no effect
// (or is left for recover, when Unfinished).
type PartialError struct {
	Direction  Direction
	Applied    []int64
	Failed     int64
	Unfinished bool
	Back       bool // Unfinished, and captured rows went back: only recover leads on, recover --abort no more
	Filling    bool // of an online rollback: the migration is through, and values are still to go back
	Err        error
}

func (e *PartialError) Error() string { return fmt.Sprintf("migration %d: %v", e.Failed, e.Err) }

func (e *PartialError) Unwrap() error { return e.Err }

// placed gives a server's error on a statement its place in the file.
func placed(st Statement, err error) error {
	line, col := st.Line, st.Column
	if e, ok := engine.AsError(err); ok && e.Position > 0 {
		dl, dc := effects.Position(st.SQL, byteOffset(st.SQL, e.Position-1))
		if dl > 1 {
			line, col = line+dl-1, dc
		} else {
			col += dc - 1
		}
	}
	return &StatementError{File: st.File, Line: line, Column: col, SQL: st.SQL, Err: err}
}

// byteOffset of the n-th character.
func byteOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
