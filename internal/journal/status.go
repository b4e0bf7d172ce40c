package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Status is what is known of the journal of one table.
type Status struct {
	Table     string     `json:"table"`
	Recording bool       `json:"recording"`
	Why       string     `json:"why,omitempty"` // why it does not record, or cannot be trusted
	Source    string     `json:"source"`
	From      *time.Time `json:"from"` // the oldest moment that can be had; nil when none can
	To        *time.Time `json:"to"`
	Keep      float64    `json:"keep_seconds"`
	Rows      int64      `json:"rows"`  // that were written
	Bytes     int64      `json:"bytes"` // that it takes
	Since     time.Time  `json:"since"` // when it began
	CreatedBy string     `json:"created_by"`
	Earlier   []string   `json:"earlier,omitempty"` // times before that, which cannot be had any more, and why
	Note      string     `json:"note,omitempty"`
	Arg       string     `json:"-"`              // the table as an argument of a command
	Slot      *Lag       `json:"slot,omitempty"` // of a replication slot: how far it is read
}

// Status lists the journals, in the order in which they were begun.
func (j *Journal) Status(ctx context.Context, q engine.Querier) ([]Status, error) {
	all, err := j.segments(ctx, q)
	if err != nil || len(all) == 0 {
		return []Status{}, err
	}
	now, err := j.now(ctx, q)
	if err != nil {
		return nil, err
	}
	out := []Status{}
	var done []string
	behind, err := j.behind(ctx, q, all)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		if slices.Contains(done, g.table.String()) {
			continue
		}
		done = append(done, g.table.String())
		mine := j.of(all, g.table)
		last := mine[len(mine)-1]
		sp := j.by(last.source).spelling()
		t, err := j.db.Inspect(ctx, q, g.table)
		if errors.Is(err, engine.ErrNoTable) {
			t = nil
		} else if err != nil {
			return nil, err
		}
		why, err := j.sound(ctx, q, last, t)
		if err != nil {
			return nil, err
		}
		chain, from := span(mine)
		s := Status{Table: g.table.String(), Arg: g.table.Arg(), Recording: why == "", Why: why, Source: last.source, Keep: last.keep.Seconds(), Since: mine[0].started, CreatedBy: mine[0].by, Note: sp.note}
		if why == "" {
			s.From, s.To = &from, &now
		}
		if last.source == Slot {
			s.Slot = behind
		}
		for _, g := range mine[:len(mine)-len(chain)] {
			s.Earlier = append(s.Earlier, fmt.Sprintf("%s to %s: %s", stamp(g.floor), stamp(g.ended), orElse(g.reason, "it was altered")))
		}
		for _, g := range mine {
			if g.reason == cutOff {
				continue
			}
			if lost, err := j.lost(ctx, q, g); err != nil {
				return nil, err
			} else if lost {
				continue
			}
			var rows int64
			if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+j.own(g.data())).Scan(&rows); err != nil {
				return nil, fmt.Errorf("measure the journal of %s: %w", g.table, err)
			}
			var bytes *int64
			if err := q.QueryRowContext(ctx, sp.size, j.measured(g)).Scan(&bytes); err != nil {
				return nil, fmt.Errorf("measure the journal of %s: %w", g.table, err)
			}
			s.Rows += rows
			if bytes != nil {
				s.Bytes += *bytes
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// measured is the name by which the server finds the size of a segment.
func (j *Journal) measured(g *segment) string {
	if j.db.Caps.Schemas {
		return j.own(g.data())
	}
	return g.data()
}
