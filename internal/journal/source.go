package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// The sources that can be asked for.
const (
	Trigger = "trigger"
	Slot    = "slot" // of replication, on PostgreSQL
)

// source is what records: one file an engine, or a way.
type source interface {
	// ensure makes what all segments have in common.
	ensure(ctx context.Context, q engine.Querier) error
	// unfit says why not all that is written to a table could be recorded; "" when it can.
	unfit(ctx context.Context, q engine.Querier, t *engine.Table) (why, hint string, err error)
	// install begins to record, and sets in the segment from when on: nothing is written to the table after that unrecorded.
	install(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) error
	// remove ends that. The table may be gone, or have another name.
	remove(ctx context.Context, q engine.Querier, g *segment) error
	// sound says why a segment does not record all that is written to its table any more; "" when it does.
	sound(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (string, error)
	// spelling gives what is text.
	spelling() spelling
}

// spelling is what sources merely say differently. Records are under the alias j.
type spelling struct {
	columns []string // those that every record has, with their types
	x, s    string   // transaction and order within it; see snapshot.Changes
	at      string   // when it was committed, as near as is known, as text
	who     string   // who wrote it
	tx      string   // the transaction, for people
	join    string   // what at and who need beside the records
	now     string   // the server's time, as text
	note    string   // how exact a moment is; "" when it is exact
	indexes []string // over the records; %s is the table, %[2]s a name
	size    string   // bytes of a table that is the argument
	// since is the condition that a record is of a transaction that was not committed at a moment.
	since func(g *segment, all []*segment, at time.Time) string
	// old is the condition that a record is of one that was committed before a moment; long is what has to go besides.
	old  func(g *segment, all []*segment, before time.Time) string
	long func(before time.Time) []string
	// vanish drops what the segments had in common.
	vanish  []string
	storage string // where the rows of a table lie, which is an argument; "" where rewriting it does not show so
	// sides are the conditions that a record is of a time up to a moment, or after it, where an old segment and the one that follows
	// it may both have recorded for a while.
	sides func(moment time.Time) (before, after string)
	// some takes a few of the rows of a table that fulfil a condition away.
	some string
	// seen is the further condition that a record is of a transaction that has ended; "" where that is so of all.
	seen string
}

// now is the server's time.
func (j *Journal) now(ctx context.Context, q engine.Querier) (time.Time, error) {
	var text string
	if err := q.QueryRowContext(ctx, "SELECT "+j.src.spelling().now).Scan(&text); err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return t, fmt.Errorf("ask for the time: %w", err)
	}
	return t, nil
}
