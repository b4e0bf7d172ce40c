package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Copying puts rows into a new table, side by side with the one of now, which nothing is asked of: it may have changed, or
// be gone.

// aside prepares a copy: the captured columns, as they were called, and the name of the new table.
func (x *Restoration) aside(ctx context.Context, tx engine.Querier, preview bool) (l *lot, into engine.Name, columns []int, err error) {
	l, into = x.lots[0], x.ask.Into
	if into.Schema == "" {
		into.Schema = l.name.Schema
	}
	if x.s.db.Mine(into) {
		return nil, into, nil, &AskError{Message: fmt.Sprintf("--into %s: names like this are dbrollback's own", into), Hint: "choose another name"}
	}
	if _, err := x.s.db.Resolve(ctx, tx, into); err == nil {
		return nil, into, nil, &UnsafeError{Message: fmt.Sprintf("there is a table %s already", into), Hint: "choose another name with --into, or drop it first"}
	} else if !errors.Is(err, engine.ErrNoTable) {
		return nil, into, nil, err
	}
	if l.was.changes != nil {
		if !preview { // rows that nobody wrote are read after those that somebody did
			if err := x.s.d.lock(ctx, tx, []*engine.Table{l.was.live}, false); err != nil {
				return nil, into, nil, fmt.Errorf("lock before copying: %w", err)
			}
		}
		err := x.gated(ctx, l, preview, func() (err error) {
			l.entries, err = x.s.invert(ctx, tx, l.was, l.was.live, false, true)
			return err
		})
		if err != nil {
			return nil, into, nil, err
		}
	} else if len(l.was.captures) == 1 && !l.was.captures[0].Kind.Stays() {
		l.entries = &restoring{capture: l.was.captures[0]}
	} else {
		alone := *l.was // what was not captured is not taken from the rows of now: they may have changed
		alone.live = nil
		if !l.was.whole() {
			l.preview.Notes = append(l.preview.Notes, "what was not captured of a row is NULL in the copy")
		}
		if l.entries, err = x.from.entries(ctx, tx, &alone); err != nil {
			return nil, into, nil, err
		}
	}
	if err := x.settled(ctx); err != nil { // before something is made
		return nil, into, nil, err
	}
	l.x = l.entries.capture
	if err := x.pick(ctx, tx, l); err != nil {
		return nil, into, nil, err
	}
	x.copied, l.preview.Into = into, into.String()
	var computed []string
	for _, c := range l.x.Shape.Columns {
		if c.Generated {
			computed = append(computed, c.Name)
		}
	}
	if len(computed) > 0 {
		l.preview.Notes = append(l.preview.Notes, "columns that the server computes are not in the copy: "+strings.Join(computed, ", "))
	}
	for i, f := range l.x.Fields {
		if x.asked(l, f) || slices.ContainsFunc(l.x.Key, func(k field) bool { return k.Name == f.Name }) {
			columns = append(columns, i)
		}
	}
	return l, into, columns, nil
}

func (x *Restoration) previewCopy(ctx context.Context, tx engine.Querier) error {
	l, _, _, err := x.aside(ctx, tx, true)
	if err != nil {
		return err
	}
	l.preview.Samples, l.preview.Tied, l.preview.Locks = []Change{}, []Tied{}, []Lock{}
	l.preview.Inserted, err = number(ctx, tx, "count", fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", x.chosen(l), all(l.x.inserted(false))))
	if err != nil {
		return x.blame(l, err)
	}
	return x.unpick(ctx, tx, l)
}

// besideCopy begins the name of a new table until all is in it, where DDL commits by itself: what is cut off leaves nothing under the name asked for.
const besideCopy = "~dbrollback_copy_"

// copy makes the new table.
func (x *Restoration) copy(ctx context.Context, tx engine.Querier) error {
	l, into, columns, err := x.aside(ctx, tx, false)
	if err != nil {
		return err
	}
	if x.s.db.Caps.TransactionalDDL {
		return x.build(ctx, tx, l, into, columns)
	}
	place := engine.Name{Schema: into.Schema, Name: besideCopy + compact(newID())}
	if err = x.build(ctx, tx, l, place, columns); err == nil {
		_, err = exec(ctx, tx, "make "+into.String(), "RENAME TABLE "+x.s.db.Quote(place)+" TO "+x.s.db.Quote(into))
	}
	if err != nil { // Prune drops it, where this cannot
		_, _ = tx.ExecContext(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+x.s.db.Quote(place))
	}
	return err
}

// build makes a table, fills it and proves that it holds what was captured.
func (x *Restoration) build(ctx context.Context, tx engine.Querier, l *lot, into engine.Name, columns []int) error {
	s := x.s
	var defs, names, values []string
	t := &engine.Table{Name: into, Kind: "table", OID: l.x.Shape.OID}
	g := &target{x: l.entries, t: t, name: func(i int) string { return l.x.Key[i].Name }}
	add := func(f field, kept string) error {
		col, err := s.f.column(ctx, tx, f)
		if err != nil {
			return err
		}
		col.Name = f.Name
		t.Columns = append(t.Columns, col)
		defs, names = append(defs, s.q(f.Name)+" "+col.Type), append(names, s.q(f.Name))
		values = append(values, s.f.back(kept, f, col))
		return nil
	}
	for i, f := range l.x.Key { // of a part, the key may not be among the values
		if !slices.ContainsFunc(columns, func(j int) bool { return l.x.Fields[j].Name == f.Name }) {
			if err := add(f, "d."+l.x.old(i)); err != nil {
				return err
			}
		}
	}
	for _, i := range columns {
		if err := add(l.x.Fields[i], "d."+l.x.v(i)); err != nil {
			return err
		}
	}
	if len(l.x.Key) > 0 {
		var key []string
		for _, f := range l.x.Key {
			key = append(key, s.q(f.Name))
		}
		defs = append(defs, "UNIQUE ("+list(key)+")")
	}
	if _, err := exec(ctx, tx, "make "+x.copied.String(), "CREATE TABLE "+s.db.Quote(into)+" ("+list(defs)+")"); err != nil {
		if e, ok := engine.AsError(err); ok && x.ask.Into.Schema != "" && slices.Contains([]engine.Class{engine.Syntax, engine.Unknown, engine.Unreachable, engine.Privilege}, e.Class) {
			return &AskError{Message: fmt.Sprintf("--into %s: %s", x.ask.Into, strings.TrimSpace(e.Message)), Hint: "name a schema that is there, or none: --into " + engine.Name{Name: x.ask.Into.Name}.Arg()}
		}
		return err
	}
	rows, err := exec(ctx, tx, "fill "+x.copied.String(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s ORDER BY d.n", s.db.Quote(into), list(names), list(values),
		x.chosen(l), all(l.x.inserted(false))))
	if err != nil {
		return x.blame(l, err)
	}
	l.preview.Inserted = rows
	l.preview.Samples, l.preview.Tied, l.preview.Locks = []Change{}, []Tied{}, []Lock{}
	g.fields = columns
	kept, live := x.r.images(g, columns, true)
	missing, err := number(ctx, tx, "prove "+x.copied.String(), fmt.Sprintf(
		"SELECT sum(a.q - coalesce(b.q, 0)) FROM (SELECT %s AS h, count(*) AS q FROM %s WHERE %s GROUP BY 1) a LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) b ON b.h = a.h WHERE a.q > coalesce(b.q, 0)",
		s.hash(kept), x.chosen(l), all(l.x.inserted(false)), s.hash(live), s.db.Quote(into)))
	if err != nil {
		return err
	}
	if missing > 0 {
		return &ProofError{Table: x.copied, Capture: l.x.ID, Rows: missing, Of: rows}
	}
	if err := x.unpick(ctx, tx, l); err != nil {
		return err
	}
	return x.forget(ctx, tx)
}
