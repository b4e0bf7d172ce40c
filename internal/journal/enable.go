package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// Options say how tables are to be journalled.
type Options struct {
	Keep   time.Duration // how far back; 0: the default
	Source string        // Trigger or Slot; "": as it was, or by triggers
	// Unlimited: of a slot, although nothing limits what the server keeps for it.
	Unlimited bool
}

// Enable begins to journal tables, or changes how far back their journals go. One that is journalled already goes on, unless another source is
// asked for, which takes over then. Prepare comes before it.
func (j *Journal) Enable(ctx context.Context, q engine.Querier, tables []engine.Name, o Options, by string) error {
	keep := o.Keep
	if keep <= 0 {
		keep = DefaultKeep
	}
	var shapes []*engine.Table
	for _, n := range tables {
		t, err := j.inspect(ctx, q, n)
		if err != nil {
			return err
		}
		shapes = append(shapes, t)
		source, err := j.chosen(ctx, q, t.Name, o)
		if err != nil {
			return err
		}
		if err := j.fit(ctx, q, t, source); err != nil { // all are looked at before one is begun
			return err
		}
	}
	if err := j.ensure(ctx, q); err != nil {
		return err
	}
	if err := j.tidy(ctx, q); err != nil {
		return err
	}
	all, err := j.segments(ctx, q)
	if err != nil {
		return err
	}
	for _, t := range shapes {
		mine := j.of(all, t.Name)
		source, err := j.chosen(ctx, q, t.Name, o)
		if err != nil {
			return err
		}
		var ends *segment
		why := ""
		if len(mine) > 0 {
			last := mine[len(mine)-1]
			if why, err = j.sound(ctx, q, last, t); err != nil {
				return err
			}
			if why == "" && last.source == source {
				for _, g := range mine {
					if err := j.set(ctx, q, g, "keep_seconds", int64(keep/time.Second)); err != nil {
						return err
					}
				}
				continue
			}
			if last.open() {
				ends = last
			}
		}
		// The new one records before the old one stops.
		if err := j.begin(ctx, q, t, segment{keep: keep, by: by, source: source, joined: ends != nil && (why == "" || why == olderProgram)}); err != nil {
			return err
		}
		if ends != nil {
			if err := j.end(ctx, q, ends, orElse(why, "another source took over")); err != nil {
				return err
			}
		}
	}
	return nil
}

// chosen is the source by which a table is to be journalled.
func (j *Journal) chosen(ctx context.Context, q engine.Querier, n engine.Name, o Options) (string, error) {
	all, err := j.segments(ctx, q)
	if err != nil {
		return "", err
	}
	mine := j.of(all, n)
	switch {
	case o.Source == Trigger && len(mine) > 0 && mine[len(mine)-1].source == Slot:
		return "", &RefusedError{Message: fmt.Sprintf("%s is journalled by a replication slot", n), Hint: "dbrollback journal disable " + n.Arg() + " first, which drops what was recorded"}
	case o.Source != "":
		return o.Source, nil
	case len(mine) > 0:
		return mine[len(mine)-1].source, nil
	}
	return Trigger, nil
}

// inspect reads a table that rows could be journalled of.
func (j *Journal) inspect(ctx context.Context, q engine.Querier, n engine.Name) (*engine.Table, error) {
	t, err := j.db.Inspect(ctx, q, n)
	if errors.Is(err, engine.ErrNoTable) {
		return nil, &snapshot.NoTableError{Table: n}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case j.db.Mine(t.Name):
		return nil, &snapshot.NoTableError{Table: n, Kind: "table of dbrollback's own"}
	case t.Kind == "view" || t.Kind == "materialized view" || t.Kind == "virtual":
		return nil, &snapshot.NoTableError{Table: n, Kind: t.Kind}
	case t.Kind == "foreign" || t.Kind == "temporary":
		return nil, &snapshot.NoTableError{Table: n, Kind: t.Kind + " table"}
	}
	return t, nil
}

// fit refuses a table of which not everything that is written could be recorded.
func (j *Journal) fit(ctx context.Context, q engine.Querier, t *engine.Table, source string) error {
	if len(t.Keys) == 0 || t.Keys[0].Loose { // what is written later may have no key
		return &RefusedError{Message: fmt.Sprintf("%s cannot be journalled: it has no primary key, and no unique key over NOT NULL columns, by which a row could be known again", t.Name),
			Hint: "give it one; or capture it whole: dbrollback snapshot create --table " + t.Name.Arg()}
	}
	why, hint, err := j.by(source).unfit(ctx, q, t)
	if err != nil || why == "" {
		return err
	}
	return &RefusedError{Message: fmt.Sprintf("%s cannot be journalled: %s", t.Name, why), Hint: hint}
}

// begin opens a segment as is wanted. joined: since the segment before nothing was written that it does not tell of.
func (j *Journal) begin(ctx context.Context, q engine.Querier, t *engine.Table, as segment) error {
	g := &as
	g.id, g.table, g.form = newID(), t.Name, j.store.Form(t)
	src := j.by(g.source)
	// Where definitions commit by themselves, what was begun is known before there is any of it.
	unfinished := !j.db.Caps.TransactionalDDL
	if unfinished {
		now, err := j.now(ctx, q)
		if err != nil {
			return err
		}
		g.started, g.floor, g.ended, g.reason = now, now, now, cutOff
		if err := j.insert(ctx, q, g); err != nil {
			return err
		}
		g.floor = time.Time{}
	}
	names, decls := g.form.Columns()
	defs := append([]string{}, src.spelling().columns...)
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	queries := []string{"CREATE TABLE " + j.own(g.data()) + " (" + strings.Join(defs, ", ") + ")" + j.db.Caps.TableOptions}
	for _, index := range src.spelling().indexes {
		queries = append(queries, fmt.Sprintf(index, j.own(g.data()), j.db.Ident(g.data()+"_at")))
	}
	for _, query := range queries {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("journal %s: %w", t.Name, err)
		}
	}
	if err := src.install(ctx, q, g, t); err != nil {
		return fmt.Errorf("journal %s: %w", t.Name, err)
	}
	if g.floor.IsZero() {
		g.floor = g.started
	}
	if unfinished {
		g.ended, g.reason = time.Time{}, ""
		return j.finish(ctx, q, g)
	}
	return j.insert(ctx, q, g)
}

// cutOff is why a segment ended that never began, or is about to go: whoever was at it did not come to the end. Its table may be missing.
const cutOff = "it was cut off while it was being enabled or disabled"

// tidy takes away what is left of segments whose beginning was cut off. The caller holds the run lock: nobody is about to begin one.
func (j *Journal) tidy(ctx context.Context, q engine.Querier) error {
	if j.db.Caps.TransactionalDDL {
		return nil
	}
	all, err := j.segments(ctx, q)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.reason == cutOff {
			if err := j.drop(ctx, q, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// end closes a segment: nothing more is recorded in it.
func (j *Journal) end(ctx context.Context, q engine.Querier, g *segment, reason string) error {
	if err := j.by(g.source).remove(ctx, q, g); err != nil {
		return fmt.Errorf("end the journal of %s: %w", g.table, err)
	}
	now, err := j.now(ctx, q)
	if err != nil {
		return err
	}
	g.ended, g.reason = now, reason
	if err := j.set(ctx, q, g, "ended_at", stamp(now)); err != nil {
		return err
	}
	return j.set(ctx, q, g, "reason", reason)
}

// drop takes a segment away, with what it recorded.
func (j *Journal) drop(ctx context.Context, q engine.Querier, g *segment) error {
	was := g.open() || g.reason == cutOff || g.source == Slot
	if !j.db.Caps.TransactionalDDL && g.reason != cutOff {
		g.reason = cutOff
		if err := j.set(ctx, q, g, "reason", cutOff); err != nil {
			return err
		}
		if g.open() {
			if err := j.set(ctx, q, g, "ended_at", stamp(time.Now())); err != nil {
				return err
			}
		}
	}
	if was {
		if err := j.by(g.source).remove(ctx, q, g); err != nil {
			return fmt.Errorf("end the journal of %s: %w", g.table, err)
		}
	}
	// The row goes last: as long as anything of the segment is there, it is known.
	for _, query := range []string{
		"DROP TABLE IF EXISTS " + j.own(g.data()),
		"DELETE FROM " + j.own(registry) + " WHERE id = '" + g.id + "'",
	} {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("drop the journal of %s: %w", g.table, err)
		}
	}
	return nil
}

// Disable ends the journals of tables and drops what they recorded. Nothing of them is left behind. A table may be gone.
func (j *Journal) Disable(ctx context.Context, q engine.Querier, tables []engine.Name) error {
	all, err := j.segments(ctx, q)
	if err != nil {
		return err
	}
	left := len(all)
	for _, n := range tables {
		mine, err := j.named(ctx, q, all, n)
		if err != nil {
			return err
		}
		if len(mine) == 0 {
			return &RefusedError{Message: fmt.Sprintf("%s is not journalled", n), Hint: "dbrollback journal status lists the tables that are"}
		}
		for _, g := range mine {
			if err := j.drop(ctx, q, g); err != nil {
				return err
			}
		}
		left -= len(mine)
	}
	if left > 0 {
		return nil
	}
	return j.vanish(ctx, q)
}

// named finds the segments of a table that may be gone, by the name that somebody typed.
func (j *Journal) named(ctx context.Context, q engine.Querier, all []*segment, n engine.Name) ([]*segment, error) {
	live, err := j.db.Resolve(ctx, q, n)
	switch {
	case err == nil:
		n = live
	case !errors.Is(err, engine.ErrNoTable):
		return nil, err
	case n.Schema == "":
		for _, g := range all {
			if g.table.Name == n.Name {
				n = g.table
			}
		}
	}
	return j.of(all, n), nil
}

// vanish drops what all segments have in common, when the last one is gone.
func (j *Journal) vanish(ctx context.Context, q engine.Querier) error {
	gone := j.src.spelling().vanish
	if j.db.Kind == engine.Postgres {
		gone = append(gone, slotVanish...)
	}
	for _, query := range append(gone, "DROP TABLE IF EXISTS "+j.own(registry)) {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("drop the journal: %w", err)
		}
	}
	return nil
}

// sound says why a segment cannot be trusted any more; "" when it can.
func (j *Journal) sound(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (string, error) {
	switch {
	case !g.open():
		return orElse(g.reason, "it was ended"), nil
	case t == nil:
		return "the table is gone", nil
	case !g.form.Same(j.store, t):
		return "the table was altered by something else than dbrollback up", nil
	}
	if lost, err := j.lost(ctx, q, g); lost || err != nil {
		return lostRecords, err
	}
	return j.by(g.source).sound(ctx, q, g, t)
}

// lostRecords is what is said of a journal of which somebody dropped the table that the records are in.
const lostRecords = "what it recorded is gone: somebody dropped its table"

// lost tells whether that is so.
func (j *Journal) lost(ctx context.Context, q engine.Querier, g *segment) (bool, error) {
	_, err := j.db.Resolve(ctx, q, j.db.Own(g.data()))
	if errors.Is(err, engine.ErrNoTable) {
		return true, nil
	}
	return false, err
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
