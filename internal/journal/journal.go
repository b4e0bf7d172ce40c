// Package journal records what is written to tables, so that they can go back to any moment of a span.
//
// For each journalled table there is a segment: a typed table of ours that holds, for each row that is written, its key, the
// values that it had before, when, and by which transaction. Restoring to a moment inverts, key by key, what transactions wrote that
// were not committed then; package snapshot does that (Store.Journal), so that everything restore can do it can do from a journal,
// too. A table whose shape changes gets a new segment.
//
// What records is a source: triggers, on each engine a file behind the small interface in source.go. Nothing the application does has to
// change, and it needs no rights on what is ours.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// DefaultKeep is how far back a journal goes when nothing else is said.
const DefaultKeep = 72 * time.Hour

// Journal is the journal of one database.
type Journal struct {
	db    *engine.DB
	store *snapshot.Store
	src   source
}

// New gives the journal of a database.
func New(db *engine.DB, store *snapshot.Store) *Journal {
	j := &Journal{db: db, store: store}
	switch db.Kind {
	case engine.SQLite:
		j.src = sqlite{j}
	case engine.MySQL, engine.MariaDB:
		j.src = mysql{j}
	default:
		j.src = postgres{j}
	}
	return j
}

// by gives what records a segment.
func (j *Journal) by(source string) source {
	if source == Slot && j.db.Kind == engine.Postgres {
		return slot{j}
	}
	return j.src
}

// registry is the table of the segments.
const registry = "dbrollback_journal"

// RefusedError says that a table cannot be journalled, or a command not be carried out. Nothing was changed.
type RefusedError struct{ Message, Hint string }

func (e *RefusedError) Error() string { return e.Message }

// segment is the journal of a table for as long as it has one shape.
type segment struct {
	id      string
	table   engine.Name
	form    *snapshot.Form
	keep    time.Duration
	started time.Time
	floor   time.Time // nothing older can be had: before it was begun, or pruned
	ended   time.Time // zero while it records
	joined  bool      // what was written between it and the segment before is known: nothing
	reason  string    // why it ended
	by      string
	mark    string // what the source remembers of the table
	source  string // Trigger or Slot
}

func (g *segment) data() string { return "dbrollback_journal_" + g.id }

func (g *segment) open() bool { return g.ended.IsZero() }

// moments are kept as text: UTC, microseconds, so that they sort.
const layout = "2006-01-02T15:04:05.000000Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

func parse(s string) time.Time {
	t, err := time.Parse(layout, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// ensure makes the registry and what the source needs besides.
func (j *Journal) ensure(ctx context.Context, q engine.Querier) error {
	if err := j.db.EnsureHome(ctx, q); err != nil {
		return err
	}
	text := j.db.Caps.LongText
	_, err := q.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+j.own(registry)+" (id varchar(36) NOT NULL PRIMARY KEY, table_schema text NOT NULL, table_name text NOT NULL, source varchar(16) NOT NULL, form "+text+
		" NOT NULL, keep_seconds bigint NOT NULL, started_at varchar(32) NOT NULL, floor_at varchar(32) NOT NULL, ended_at varchar(32) NOT NULL, joined integer NOT NULL, reason text NOT NULL, created_by text NOT NULL, mark text NOT NULL)"+j.db.Caps.TableOptions)
	if err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	return j.src.ensure(ctx, q)
}

// own quotes one of our own tables.
func (j *Journal) own(table string) string { return j.db.Quote(j.db.Own(table)) }

// exists tells whether there is a journal at all. It is the one question that a database without one is asked.
func (j *Journal) exists(ctx context.Context, q engine.Querier) (bool, error) {
	_, err := j.db.Resolve(ctx, q, j.db.Own(registry))
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	return err == nil, err
}

// segments lists all segments, oldest first.
func (j *Journal) segments(ctx context.Context, q engine.Querier) ([]*segment, error) {
	if ok, err := j.exists(ctx, q); !ok || err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT id, table_schema, table_name, form, keep_seconds, started_at, floor_at, ended_at, joined, reason, created_by, mark, source FROM "+j.own(registry)+" ORDER BY started_at, id")
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer rows.Close()
	var out []*segment
	for rows.Next() {
		g := &segment{form: &snapshot.Form{}}
		var form, started, floor, ended string
		var keep, joined int64
		if err := rows.Scan(&g.id, &g.table.Schema, &g.table.Name, &form, &keep, &started, &floor, &ended, &joined, &g.reason, &g.by, &g.mark, &g.source); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		if err := json.Unmarshal([]byte(form), g.form); err != nil {
			return nil, fmt.Errorf("read the journal of %s: %w", g.table, err)
		}
		g.keep, g.joined = time.Duration(keep)*time.Second, joined == 1
		g.started, g.floor, g.ended = parse(started), parse(floor), parse(ended)
		out = append(out, g)
	}
	return out, rows.Err()
}

// of picks the segments of a table, oldest first.
func (j *Journal) of(all []*segment, n engine.Name) []*segment {
	return slices.DeleteFunc(slices.Clone(all), func(g *segment) bool { return !j.sameTable(g.table, n) })
}

func (j *Journal) sameTable(a, b engine.Name) bool {
	if j.db.Kind == engine.SQLite {
		return strings.EqualFold(a.Name, b.Name)
	}
	return a == b
}

// insert writes a segment's row.
func (j *Journal) insert(ctx context.Context, q engine.Querier, g *segment) error {
	form, err := json.Marshal(g.form)
	if err != nil {
		return err
	}
	joined := 0
	if g.joined {
		joined = 1
	}
	var args []string
	values := []any{g.id, g.table.Schema, g.table.Name, orElse(g.source, Trigger), string(form), int64(g.keep / time.Second), stamp(g.started), stamp(g.floor), stamp(g.ended), joined, g.reason, g.by, g.mark}
	for i := range values {
		args = append(args, j.db.Arg(i+1))
	}
	_, err = q.ExecContext(ctx, "INSERT INTO "+j.own(registry)+" (id, table_schema, table_name, source, form, keep_seconds, started_at, floor_at, ended_at, joined, reason, created_by, mark) VALUES ("+strings.Join(args, ", ")+")", values...)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// finish writes that a segment records from now on.
func (j *Journal) finish(ctx context.Context, q engine.Querier, g *segment) error {
	a := j.db.Arg
	_, err := q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET started_at = %s, floor_at = %s, ended_at = '', reason = '', mark = %s WHERE id = %s", j.own(registry), a(1), a(2), a(3), a(4)),
		stamp(g.started), stamp(g.floor), g.mark, g.id)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// set changes one column of a segment's row.
func (j *Journal) set(ctx context.Context, q engine.Querier, g *segment, column string, value any) error {
	_, err := q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s = %s WHERE id = %s", j.own(registry), column, j.db.Arg(1), j.db.Arg(2)), value, g.id)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// compact gives an id for names of objects.
func newID() string { return strings.ReplaceAll(snapshot.NewID(), "-", "") }
