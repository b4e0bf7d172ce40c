package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// span is how far back the segments of a table, oldest first, go without a gap: those that do, and the oldest moment.
func span(mine []*segment) (chain []*segment, from time.Time) {
	for i := len(mine) - 1; i >= 0; i-- {
		chain = append([]*segment{mine[i]}, chain...)
		if !mine[i].joined {
			break
		}
		if i > 0 {
			if _, ok := mine[i-1].form.Within(mine[len(mine)-1].form); !ok {
				break // a column of it is gone
			}
		}
	}
	if len(chain) > 0 {
		from = chain[0].floor
	}
	return chain, from
}

// Since implements snapshot.Journal.
func (j *Journal) Since(ctx context.Context, q engine.Querier, live *engine.Table, at time.Time) (*snapshot.Changes, error) {
	all, err := j.segments(ctx, q)
	if err != nil {
		return nil, err
	}
	mine := j.of(all, live.Name)
	if len(mine) == 0 {
		return nil, nil
	}
	behind := slices.ContainsFunc(mine, func(g *segment) bool { return g.source == Slot })
	if behind { // before anything is locked: what is left then is little
		if err := j.catchUp(ctx, live.Name, false); err != nil {
			return nil, err
		}
		if all, err = j.segments(ctx, q); err != nil { // the reader may have ended one
			return nil, err
		}
		mine = j.of(all, live.Name)
	}
	last := mine[len(mine)-1]
	why, err := j.sound(ctx, q, last, live)
	if err != nil {
		return nil, err
	}
	chain, from := span(mine)
	for _, g := range all {
		own := slices.Contains(chain, g)
		if !own && (j.db.Kind != engine.Postgres || g.source == Slot || !g.open() && !g.ended.After(at)) { // see postgres.late
			continue
		}
		if lost, err := j.lost(ctx, q, g); err != nil {
			return nil, err
		} else if lost && own {
			why = lostRecords
		} else if lost {
			why = fmt.Sprintf("what the journal of %s recorded is gone, and which transactions had ended is known by that as well", g.table)
		}
	}
	now, err := j.now(ctx, q)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, &snapshot.NothingError{Message: fmt.Sprintf("the journal of %s cannot be used: %s", live.Name, why),
			Hint: "dbrollback journal enable begins a new one; dbrollback snapshot list shows captures, to be given to --snapshot"}
	}
	if at.Before(from) {
		e := &snapshot.NothingError{Message: fmt.Sprintf("the journal of %s goes from %s to now, %s; %s is before that", live.Name, stamp(from), stamp(now), stamp(at)),
			Hint: "--at " + stamp(from) + " is the earliest that can be had; dbrollback snapshot list shows captures, to be given to --snapshot"}
		for _, g := range mine[:len(mine)-len(chain)] {
			e.Have = append(e.Have, fmt.Sprintf("%s to %s: journalled, but then %s", stamp(g.floor), stamp(g.ended), orElse(g.reason, "it was altered")))
		}
		return nil, e
	}
	for len(chain) > 1 && !chain[0].ended.After(at) {
		// The transaction that ended it may have written before, and have been committed after the moment.
		late, err := j.late(ctx, q, chain[0], all, at)
		if err != nil {
			return nil, err
		}
		if late {
			break
		}
		chain = chain[1:]
	}
	c, err := j.changes(chain, all, at)
	if err == nil && behind {
		c.CatchUp = j.catchingUp(live.Name, chain)
	}
	return c, err
}

// Gone implements snapshot.Journal: old values of rows that were written make no table without the rows that nobody wrote.
func (j *Journal) Gone(ctx context.Context, q engine.Querier, n engine.Name) error {
	all, err := j.segments(ctx, q)
	if err != nil {
		return err
	}
	mine, err := j.named(ctx, q, all, n)
	if err != nil {
		return err
	}
	if len(mine) == 0 {
		return nil
	}
	return &snapshot.NothingError{Message: fmt.Sprintf("there is no table %s any more; its journal, which goes back to %s, holds only rows that were written, and needs the table to bring them back", n, stamp(mine[0].floor)),
		Hint: "where a migration dropped or renamed it, dbrollback status shows which, and dbrollback rollback brings it back; else from a backup, or dbrollback snapshot list"}
}

// late tells whether a segment has records of transactions that were not committed at a moment.
func (j *Journal) late(ctx context.Context, q engine.Querier, g *segment, all []*segment, at time.Time) (bool, error) {
	if !j.db.Caps.TransactionalDDL || j.db.Kind == engine.SQLite { // a segment that ends is no part of a longer transaction there
		return false, nil
	}
	var n int
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+j.own(g.data())+" j WHERE "+j.by(g.source).spelling().since(g, all, at)+" LIMIT 1) l").Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read the journal of %s: %w", g.table, err)
	}
	return n > 0, nil
}

// changes spells what the segments of a table know since a moment, in the form of the oldest.
func (j *Journal) changes(chain, all []*segment, at time.Time) (*snapshot.Changes, error) {
	first := chain[0]
	names, _ := first.form.Columns()
	var parts []string
	var notes []string
	for i, g := range chain {
		sp := j.by(g.source).spelling()
		if sp.note != "" && !slices.Contains(notes, sp.note) {
			notes = append(notes, sp.note)
		}
		columns, ok := first.form.Within(g.form)
		if !ok {
			return nil, fmt.Errorf("the journal of %s has segments that do not go together", g.table)
		}
		for k := range columns {
			columns[k] = "j." + columns[k] + " AS " + names[k+1]
		}
		where := sp.since(g, all, at)
		if sp.sides != nil && i > 0 {
			_, after := sp.sides(g.started)
			where += " AND " + after
		}
		if sp.sides != nil && i+1 < len(chain) {
			before, _ := sp.sides(chain[i+1].started)
			where += " AND " + before
		}
		parts = append(parts, fmt.Sprintf("SELECT %[1]d + j.n AS n, %[2]s AS x, %[1]d + %[3]s AS s, j.op AS op, %[4]s FROM %[5]s j WHERE %[6]s", int64(i)*segmentStride, sp.x, sp.s, strings.Join(columns, ", "),
			j.own(g.data()), where))
	}
	return &snapshot.Changes{Form: first.form, Query: strings.Join(parts, " UNION ALL "), Notes: notes}, nil
}

// segmentStride is how far apart the numbers of the records of segments are.
const segmentStride = 1_000_000_000_000_000
