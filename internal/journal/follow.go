package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Step is a statement of a migration, as far as it concerns journals.
type Step struct {
	By       string                       // "migration 7"
	Known    bool                         // nothing is done but what Rewrites tells, or the server shows where rows were written again
	Alters   func(table engine.Name) bool // it may change more of a table than its rows
	Rewrites func(table engine.Name) bool // it changes what is in a table, or its name, in a way that no trigger sees
}

// Following takes journals through the statement that it was begun for.
type Following struct {
	j       *Journal
	step    Step
	storage map[string]string // where the rows of a table lay before the statement
	unsound map[string]string // why a journal did not record any more before it
}

// Exists tells whether there are journals at all.
func (j *Journal) Exists(ctx context.Context, q engine.Querier) (bool, error) {
	return j.exists(ctx, q)
}

// latest gives the newest segment of each table.
func (j *Journal) latest(ctx context.Context, q engine.Querier) ([]*segment, error) {
	all, err := j.segments(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []*segment
	for i, g := range all {
		newer := false
		for _, o := range all[i+1:] {
			newer = newer || j.sameTable(o.table, g.table)
		}
		if !newer {
			out = append(out, g)
		}
	}
	return out, nil
}

// Ahead prepares the journals for a statement: of a table that it rewrites the journal ends here. Nothing of what is to be
// captured may be locked yet, and the statement comes next.
func (j *Journal) Ahead(ctx context.Context, q engine.Querier, step Step) (*Following, error) {
	f := &Following{j: j, step: step, storage: map[string]string{}, unsound: map[string]string{}}
	if err := j.tidy(ctx, q); err != nil {
		return nil, err
	}
	last, err := j.latest(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, g := range last {
		if !g.open() {
			continue
		}
		if step.Rewrites(g.table) {
			if err := j.end(ctx, q, g, step.By+" rewrote or dropped it"); err != nil {
				return nil, err
			}
			continue
		}
		if step.Alters(g.table) {
			if f.storage[g.id], err = j.storage(ctx, q, g); err != nil {
				return nil, err
			}
			t, err := j.db.Inspect(ctx, q, g.table)
			if err != nil && !errors.Is(err, engine.ErrNoTable) {
				return nil, err
			}
			if err != nil {
				t = nil
			}
			if f.unsound[g.id], err = j.sound(ctx, q, g, t); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// storage says where the rows of a table lie, where the server writes all of them again when their values change.
func (j *Journal) storage(ctx context.Context, q engine.Querier, g *segment) (string, error) {
	sp := j.by(g.source).spelling()
	if sp.storage == "" {
		return "", nil
	}
	var at *string
	if err := q.QueryRowContext(ctx, sp.storage, j.db.Quote(g.table)).Scan(&at); err != nil {
		return "", fmt.Errorf("look where %s lies: %w", g.table, err)
	}
	if at == nil {
		return "", nil
	}
	return *at, nil
}

// Done brings the journals up to the tables as the statement left them: one whose shape changed goes on in a new segment, and so does one
// that ended before the statement, when its table is there. It gives what a person ought to know.
func (f *Following) Done(ctx context.Context, q engine.Querier) ([]string, error) {
	j := f.j
	last, err := j.latest(ctx, q)
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, g := range last {
		if !g.open() && !strings.HasPrefix(g.reason, "migration ") {
			continue
		}
		more, err := f.follow(ctx, q, g)
		if err != nil {
			return nil, err
		}
		notes = append(notes, more...)
	}
	return notes, nil
}

func (f *Following) follow(ctx context.Context, q engine.Querier, g *segment) ([]string, error) {
	j := f.j
	t, err := j.db.Inspect(ctx, q, g.table)
	if errors.Is(err, engine.ErrNoTable) {
		t = nil
	} else if err != nil {
		return nil, err
	}
	joined := false
	if g.open() {
		if !f.step.Alters(g.table) {
			return nil, nil
		}
		at, err := j.storage(ctx, q, g)
		if err != nil {
			return nil, err
		}
		why, err := j.sound(ctx, q, g, t)
		if err != nil {
			return nil, err
		}
		was, known := f.storage[g.id]
		joined = known && was == at && f.step.Known && f.unsound[g.id] == ""
		if why == "" && known && was == at {
			return nil, nil
		}
	}
	end := func(reason string) error {
		if !g.open() {
			return nil
		}
		return j.end(ctx, q, g, reason)
	}
	if t == nil {
		if !g.open() && !strings.HasPrefix(g.reason, f.step.By+" ") {
			return nil, nil // said before
		}
		return []string{fmt.Sprintf("the journal of %s ends: %s dropped or renamed it", g.table, f.step.By)}, end(f.step.By + " dropped or renamed it")
	}
	if g.source == Slot && g.open() { // a slot that is lost is made anew by enable alone
		m, err := g.slotMark()
		if err != nil {
			return nil, err
		}
		if why, err := (slot{j}).lost(ctx, q, m.Slot); err != nil {
			return nil, err
		} else if why != "" {
			return []string{fmt.Sprintf("the journal of %s ends: %s; dbrollback journal enable begins a new one", g.table, why)}, end(why)
		}
	}
	if err := j.fit(ctx, q, t, g.source); err != nil {
		var refused *RefusedError
		if !errors.As(err, &refused) {
			return nil, err
		}
		if !g.open() {
			return nil, nil // said before
		}
		return []string{refused.Message + ": its journal ends here"}, end(f.step.By + " left it so that it cannot be journalled")
	}
	// The new one records before the old one stops.
	if err := j.begin(ctx, q, t, segment{keep: g.keep, by: g.by, source: g.source, joined: joined}); err != nil {
		return nil, err
	}
	if err := end(f.step.By + " altered it"); err != nil {
		return nil, err
	}
	if joined {
		return nil, nil
	}
	return []string{fmt.Sprintf("the journal of %s begins anew: %s changed it in a way that cannot be gone back over by restore --at; rollback does", t.Name, f.step.By)}, nil
}
