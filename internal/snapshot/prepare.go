package snapshot

import (
	"context"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// prepare settles names and storage of a capture and makes its data table.
func (c *Capturer) prepare(ctx context.Context, tx engine.Querier, n int, a *action) (*capture, error) {
	x, err := c.describe(ctx, tx, n, a)
	if err != nil {
		return nil, err
	}
	return x, c.s.room(ctx, tx, x)
}

// describe settles names and storage of a capture.
func (c *Capturer) describe(ctx context.Context, tx engine.Querier, n int, a *action) (*capture, error) {
	t := a.table
	x := &capture{
		Info: Info{
			ID: newID(), Snapshot: c.id, Kind: a.kind, Migration: c.meta.Migration, Direction: c.meta.Direction, Statement: n,
			CapturedAt: c.at(), Status: statusCapturing, CreatedBy: c.meta.CreatedBy, ExpiresAt: c.meta.Expires,
		},
		detail: detail{Home: c.track.home(t), Identity: identity(t), At: t.Name, Shape: t, Refill: c.refill},
		live:   t, events: a.events, reduce: a.reduce, chain: a.chain, named: a.named, parts: a.partitions, trail: a.trail, each: a.each, sought: a.sought,
	}
	x.Info.Table, x.New, x.Stands = x.Home.String(), a.newcomers, !a.newcomers && !a.trail && c.track.standsIn(t)
	x.Location = c.s.db.Own(x.data()).String()
	x.Ops = a.observed() || a.reduce || a.named != nil
	key := c.key(a)
	x.Moved = a.moved && len(key) > 0 && (a.observed() && a.events.update || a.named != nil)
	for _, name := range key {
		x.Key = append(x.Key, c.field(t, t.Columns[columnIndex(t, name)]))
	}
	columns := c.withKeyed(a)
	if len(key) == 0 {
		columns = nil
	}
	// A deleted row can only come back whole; a capture that sees only some columns could not insert it.
	if a.events.remove || a.chain || a.whole {
		columns = nil
	}
	x.Whole = columns == nil
	onlyKeys := a.keysOnly || a.events == events{insert: true} && !a.chain // of inserted rows the key is enough
	x.Whole = x.Whole && !onlyKeys
	for _, col := range t.Columns {
		if onlyKeys {
			break
		}
		if col.Generated || columns != nil && !slices.Contains(columns, col.Name) || c.track.madeColumn(t, col) {
			continue
		}
		x.Fields = append(x.Fields, c.field(t, col))
		x.Columns = append(x.Columns, c.track.homeColumn(t, col))
	}
	c.pair(x, a)
	if c.s.f.keyed {
		mysqlFit(x)
	}
	for _, fk := range t.ForeignKeys {
		if fk.Parent != t.Name && !slices.Contains(x.Parents, fk.Parent) {
			x.Parents = append(x.Parents, fk.Parent)
		}
	}
	if !c.ready {
		if err := c.s.Ensure(ctx, tx); err != nil {
			return nil, err
		}
		c.ready = true
	}
	var err error
	if x.Apart, err = c.apartFrom(ctx, tx, t); err != nil {
		return nil, err
	}
	if a.kind == Table || a.kind == Columns || a.kind == Kept || a.kind == KeptColumns {
		if x.Sequences, err = c.s.f.sequences(ctx, tx, c.s, t); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// room makes the data table of a capture.
func (s *Store) room(ctx context.Context, tx engine.Querier, x *capture) error {
	names, decls := x.columns()
	defs := []string{s.f.number}
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	if s.f.keyed && len(x.Key) > 0 && (x.reduce || x.sought || x.named != nil && x.named.cascade) {
		defs = append(defs, mysqlIndex(x))
	}
	if s.f.keyed && x.Moved { // another capture's rows are followed by the keys that they had
		defs = append(defs, mysqlIndexOver(x, "dbrollback_o", o))
	}
	if x.chain && x.events != (events{}) {
		// Hashes of the row before and after, to follow one that is written more than once.
		defs = append(defs, "b "+s.f.hash, "a "+s.f.hash)
	}
	return s.make(ctx, tx, "make room for a capture of "+x.At.String(), s.own(x.data()), defs, "n")
}
