package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A migration may give the rows of a table another key: a number makes way for a UUID, say. Captures made before know the rows by one key, those made after by the
// other, and the opposite direction exchanges them once more. What tells which row is which is captured when a column of a key goes, while both are there.

// keyName finds the column of a live table that has the i-th column of the key by which a capture knows its rows: that one, whatever it is called by now, and no
// other that has its name since. "" when it is gone, or not there again.
func (r *Restorer) keyName(x *restoring, t *engine.Table, i int) string {
	f, c := x.Key[i], r.capturer
	if x.copy != "" || c == nil || x.Seal.Table.Name == "" || x.Seal.Mode == sealNone || c.track.made(t) || c.track.elsewhere(t) {
		return r.column(t, f.Name)
	}
	if c.track.origin == nil {
		if columnIndex(t, f.Seal) >= 0 {
			return f.Seal
		}
		return r.column(t, f.Name)
	}
	for _, col := range t.Columns {
		made := c.track.madeColumn(t, col)
		if f.Seal == "" && made && r.s.sameName(col.Name, f.Name) || f.Seal != "" && !made && r.s.sameName(c.track.homeColumn(t, col), f.Seal) {
			return col.Name
		}
	}
	return ""
}

// another tells whether a column is not the one that a captured field was sealed in, but has its name for now: statements still to come give the names back.
func (r *Restorer) another(x *restoring, t *engine.Table, i int, col engine.Column) bool {
	f, c := x.Fields[i], r.capturer
	if f.Seal == "" || c == nil || c.track.made(t) || c.track.elsewhere(t) {
		return false
	}
	if c.track.origin == nil {
		return !r.s.sameName(col.Name, f.Seal)
	}
	return !c.track.madeColumn(t, col) && !r.s.sameName(c.track.homeColumn(t, col), f.Seal)
}

// complies tells whether rows can be inserted while the table still has the columns that are to go: one that must be given a value and is not captured, as a key that
// the rows did not have, stands in the way.
func (r *Restorer) complies(g *target) bool {
	return !slices.ContainsFunc(g.t.Columns, func(col engine.Column) bool {
		is := func(f field) bool { return r.column(g.t, f.Name) == col.Name }
		return demanding(col) && !slices.ContainsFunc(g.x.Fields, is) && !slices.ContainsFunc(g.x.Spare, is)
	})
}

// demanding tells whether a row cannot be inserted without a value of the column.
func demanding(c engine.Column) bool {
	return c.NotNull && c.Default == "" && c.Identity == "" && !c.Generated
}

// giving inserts rows with the named columns. What else the table demands is not captured with them: a capture that has it puts it in its place afterwards.
func (r *Restorer) giving(ctx context.Context, tx engine.Querier, g *target, names []string, insert func() error) error {
	if r.s.f.implied != nil && slices.ContainsFunc(g.t.Columns, func(c engine.Column) bool { return demanding(c) && !slices.Contains(names, r.s.q(c.Name)) }) {
		return r.s.f.implied(ctx, tx, insert)
	}
	return insert()
}

// withKeyed adds, to the columns that a statement drops, those that captures hold whose rows are known by one of them: from now on only this capture can tell
// whether somebody writes to these.
func (c *Capturer) withKeyed(a *action) []string {
	if a.kind != Columns || a.columns == nil || a.reason != string(effects.DropColumn) {
		return a.columns
	}
	out := slices.Clone(a.columns)
	for _, x := range c.captures {
		if x.Identity != identity(a.table) || x.Kind == Definition || !slices.ContainsFunc(x.Key, func(f field) bool { return slices.Contains(a.columns, c.nameNow(x, a.table, f)) }) {
			continue
		}
		for _, f := range x.Fields {
			if n := c.nameNow(x, a.table, f); n != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// pair has columns that the run made kept as well when a column goes by which captures that it puts back know their rows: they may be the other key.
func (c *Capturer) pair(x *capture, a *action) {
	t := a.table
	if c.restorer == nil || a.reason != string(effects.DropColumn) || a.columns == nil {
		return
	}
	if !slices.ContainsFunc(c.restorer.tables(), func(y *restoring) bool {
		return slices.ContainsFunc(y.Key, func(f field) bool {
			return f.Seal != "" && y.Seal.Table == x.Home && slices.ContainsFunc(t.Columns, func(col engine.Column) bool {
				return slices.Contains(a.columns, col.Name) && c.s.sameName(c.track.homeColumn(t, col), f.Seal)
			})
		})
	}) {
		return
	}
	for _, col := range t.Columns {
		if !col.Generated && c.track.madeColumn(t, col) && !slices.ContainsFunc(x.Key, func(f field) bool { return f.At == col.Name }) {
			f := c.field(t, col)
			f.Slot = "p" + itoa(len(x.Pairs)+1)
			x.Pairs = append(x.Pairs, f)
		}
	}
}

// writtenUnder looks which rows somebody has written whose capture knows them by a key that did not survive: a later capture, made when that went, has been compared.
func (r *Restorer) writtenUnder(ctx context.Context, tx engine.Querier, x *restoring, newer []*restoring) error {
	if x.Seal.Mode != sealCovered || x.Rows == 0 || x.Kind == Kept || x.Kind == Table ||
		slices.ContainsFunc(newer, func(y *restoring) bool { return slices.Contains(y.speaks, x) }) {
		return nil
	}
	for _, y := range newer {
		switch {
		case y.Home != x.Home:
		case y.Kind == Kept, y.Kind == Table, len(y.Key) == 0:
			return nil // it speaks for this one; see renumbered
		case y.Moved && !y.Still: // what that one knows the rows by is not what this one does
			return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d", changedSince, r.s.own(x.data())))
		case y.Kind == Columns:
			var on []string
			for i, f := range x.Key {
				if g, col := y.holds(r.s, f.Name); col != "" && g.Decl == f.Decl {
					on = append(on, fmt.Sprintf("y.%s = d.%s", col, k(i)))
				}
			}
			if len(on) < len(x.Key) {
				continue
			}
			if !y.work {
				return nil
			}
			return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, w.reason FROM %s d JOIN %s y ON %s JOIN %s w ON w.n = y.n", r.s.own(x.data()), r.s.own(y.data()), all(on...), r.s.own(y.conflicts())))
		}
	}
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d", changedSince, r.s.own(x.data())))
}

// holds finds the column of the data table for a column as it was called in the beginning: where the run has given its name to another one, which goes by that name
// now, the one that was there before.
func (c *capture) holds(s *Store, name string) (field, string) {
	var out field
	col := ""
	for i, f := range c.Fields {
		if s.sameName(f.Name, name) && (col == "" || f.At != f.Name) {
			out, col = f, c.v(i)
		}
	}
	for i, f := range c.Key {
		if s.sameName(f.Name, name) && (col == "" || f.At != f.Name && out.At == out.Name) {
			out, col = f, k(i)
		}
	}
	return out, col
}

// otherKey lets a capture go back whose rows are known by a key that the opposite direction has exchanged for another one: what that captured of them when a column
// of the key went tells which row is which.
func (r *Restorer) otherKey(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) error {
	gone := false
	for i := range x.Key {
		gone = gone || r.keyName(x, t, i) == ""
	}
	if !gone || r.capturer == nil || x.Rows == 0 || x.final != "" {
		return nil
	}
	by, from, key, err := r.capturer.pairs(ctx, tx, x.Key, t)
	if err != nil || by == nil || x.Moved && !x.Still {
		return err
	}
	y := *x.capture
	y.Key, y.Moved, y.copy, y.first = nil, false, "dbrollback_keys_"+compact(x.ID), x.capture
	var on, values []string
	for i := range x.Key {
		on = append(on, fmt.Sprintf("p.%s = d.%s", from[i], k(i)))
	}
	if x.Ops {
		values = append(values, "d.op")
	}
	lost := "1 = 0" // what a row is known by now
	for i, f := range key {
		y.Key = append(y.Key, f.field)
		value := "p." + f.col
		if g, col := x.holds(r.s, f.Name); col != "" && g.Decl == f.Decl { // a row that was not there any more goes back under the key that it had
			value = "coalesce(" + value + ", d." + col + ")"
		}
		values, lost = append(values, value), lost+" OR d."+k(i)+" IS NULL"
	}
	for i := range x.Fields {
		values = append(values, "d."+x.v(i))
	}
	for _, f := range slices.Concat(x.Pairs, x.Spare) {
		values = append(values, "d."+f.Slot)
	}
	names, decls := y.columns()
	for _, f := range x.Spare {
		names, decls = append(names, f.Slot), append(decls, f.Decl)
	}
	defs := []string{"n bigint NOT NULL"}
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	s := r.s
	if err := s.make(ctx, tx, "follow keys", s.own(y.copy), defs, "n"); err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "follow keys", fmt.Sprintf("INSERT INTO %s (n, %s) SELECT d.n, %s FROM %s d LEFT JOIN %s p ON %s",
		s.own(y.copy), list(names), list(values), s.own(x.data()), s.own(by.data()), all(on...))); err != nil {
		return err
	}
	if x.entire() {
		n, err := number(ctx, tx, "follow keys", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", s.own(y.copy), all(x.inserted(false), "("+lost+")", r.free(x))))
		if err != nil || n > 0 {
			return err // there is no way to put these back
		}
	}
	for i, f := range y.Key {
		for j, g := range y.Fields {
			if r.s.sameName(g.Name, f.Name) { // it is written, but not over the key of a row that is known by it
				n, err := number(ctx, tx, "compare keys", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.%s <> d.%s", r.s.own(y.data()), k(i), y.v(j)))
				if err != nil {
					return err
				}
				if n > 0 {
					return &ProofError{Table: x.Home, Capture: x.ID, Rows: n, Of: x.Rows, Reason: "Down gives rows other keys than they had"}
				}
			}
		}
	}
	x.capture, x.at = &y, ""
	return nil
}

// pairs looks among captures for one that has the columns of a key that is gone beside those of the key that the table has now.
func (c *Capturer) pairs(ctx context.Context, tx engine.Querier, was []field, t *engine.Table) (by *capture, from []string, key []pairedField, err error) {
	if len(t.Keys) == 0 {
		return nil, nil, nil, nil
	}
	for _, y := range slices.Backward(c.captures) {
		if y.Ops || y.Moved || y.Bystander || y.Relay || y.Kind != Columns && y.Kind != Table {
			continue
		}
		now, err := c.now(ctx, tx, y)
		if err != nil {
			return nil, nil, nil, err
		}
		if now == nil || now.Name != t.Name || c.track.made(now) {
			continue
		}
		from, key = nil, nil
		for _, f := range was {
			if g, col := y.holds(c.s, f.Seal); col != "" && g.Decl == f.Decl {
				from = append(from, col)
			}
		}
		for _, n := range t.Keys[0].Columns {
			var all []pairedField
			for i, f := range y.Key {
				all = append(all, pairedField{f, k(i)})
			}
			for _, f := range y.Pairs {
				all = append(all, pairedField{f, f.Slot})
			}
			for i, f := range y.Fields {
				all = append(all, pairedField{f, y.v(i)})
			}
			for _, f := range all {
				if !slices.Contains(from, f.col) && c.nameNow(y, t, f.field) == n {
					f.Name = n
					key = append(key, f)
					break
				}
			}
		}
		if len(from) == len(was) && len(key) == len(t.Keys[0].Columns) {
			return y, from, key, nil
		}
	}
	return nil, nil, nil, nil
}

// pairedField is a column, and where its values are in a data table.
type pairedField struct {
	field
	col string
}
