package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Most migrations only add: a table, a column, an index, a constraint. What such a one changes follows from its text, so
// it is not compared with all that hangs on its tables; each table is read once, after the statements, and what
// is new there must be exactly what the text announces. Whatever else shows (another session's change, a statement that did more
// than its text says) rolls the migration back and runs it again the long way.

// errSurprise: an additive migration did not do what its text announces.
var errSurprise = errors.New("more has changed than the migration says")

// additive is what a migration that only adds announces.
type additive struct {
	names   []engine.Name // its tables, as the text spells them
	created map[engine.Name]bool
	looked  map[engine.Name]bool // tables to be read before, too: of IF NOT EXISTS the text does not tell whether it adds
	adds    []announced
}

// announced is an object that a statement adds; name is "" when the server makes it up.
type announced struct {
	table      engine.Name
	kind, name string
}

// additive says what the migration announces; nil when it may do more than add, or when more than its own text matters.
func (w *work) additive() *additive {
	if w.r.dir != Up || w.rec != nil || !w.atomic() || w.reach.all || len(w.reach.names) == 0 {
		return nil
	}
	if _, can := verify.ReadPlain(w.r.m.db, engine.Name{}, verify.All, nil); !can {
		return nil
	}
	a := &additive{names: w.reach.names, created: map[engine.Name]bool{}, looked: map[engine.Name]bool{}}
	for _, st := range w.stmts {
		for _, e := range st.Effects {
			if !a.effect(e) {
				return nil
			}
		}
	}
	return a
}

// effect notes what an effect adds; false when it may do something else.
func (a *additive) effect(e effects.Effect) bool {
	n := engine.Name(e.Table)
	if e.IfExists {
		a.looked[n] = true
	}
	switch e.Kind {
	case effects.CreateTable:
		if d := e.Define; d == nil || e.Temporary || len(d.Inherits) > 0 || d.PartitionOf.Name != "" {
			return false
		}
		a.created[n] = true
		return true
	case effects.AddColumn:
		c := e.Column
		if c == nil || c.Serial || c.Identity || c.Generated {
			return a.created[n]
		}
		for _, kind := range []string{"column", "default", "not null"} {
			a.announce(n, kind, c.Name)
		}
		for _, k := range c.Constraints {
			a.announce(n, k.Kind, k.Name)
		}
		return true
	case effects.AddConstraint:
		k := e.Constraint
		if k == nil || k.UsingIndex != "" {
			return a.created[n]
		}
		a.announce(n, k.Kind, k.Name)
		if k.Kind == "primary key" {
			for _, c := range k.Columns {
				a.announce(n, "not null", c)
			}
		}
		return true
	case effects.Create:
		if e.Object.Kind != "index" || n.Name == "" {
			return false
		}
		a.announce(n, "index", e.Object.Name.Name)
		return true
	case effects.Insert:
		return a.created[n]
	case effects.Session, effects.Read:
		return true
	}
	return false
}

func (a *additive) announce(n engine.Name, kind, name string) {
	a.adds = append(a.adds, announced{n, kind, name})
}

// parts are those of a table that the migration adds to.
func (a *additive) parts(n engine.Name) verify.Parts {
	if a.created[n] {
		return verify.All
	}
	var p verify.Parts
	for _, x := range a.adds {
		if x.table == n {
			p = p.Of(x.kind)
		}
	}
	return p
}

// add runs a migration that only adds, in the caller's transaction.
func (w *work) add(ctx context.Context, tx *sql.Tx, a *additive) error {
	m := w.r.m
	w.capturer = m.store.Begin(w.meta())
	before := map[engine.Name]*verify.Plain{}
	var steps []engine.Step
	read := func(into map[engine.Name]*verify.Plain, n engine.Name) {
		into[n] = &verify.Plain{}
		step, _ := verify.ReadPlain(m.db, n, a.parts(n), into[n])
		steps = append(steps, step)
	}
	for _, n := range a.names {
		switch known := w.r.plain[n]; {
		case a.created[n] && !a.looked[n]:
			before[n] = &verify.Plain{}
		case known != nil && known.Holds(a.parts(n)) && !a.looked[n]:
			before[n] = known
		default:
			read(before, n)
		}
	}
	if len(steps) > 0 {
		if err := w.r.s.Pipeline(ctx, tx, steps...); err != nil {
			return err
		}
	}
	for n, p := range before {
		if p.Found && !p.Simple {
			return fmt.Errorf("%s: %w", n, errSurprise)
		}
	}
	for i := range w.stmts {
		if err := w.statement(ctx, tx, i); err != nil {
			return err
		}
	}
	after := map[engine.Name]*verify.Plain{}
	steps = nil
	for _, n := range a.names {
		read(after, n)
	}
	var applied bool
	steps = append(steps, m.appliedStep(w.mig.Version, &applied))
	w.last = &audit.Last{}
	steps = append(steps, m.log.Last(w.last)...)
	if err := w.r.s.Pipeline(ctx, tx, steps...); err != nil {
		return err
	}
	if applied {
		return errSettled
	}
	ch := changes{}
	for n, p := range after {
		came, err := w.came(ctx, tx, a, n, before[n], p)
		if err != nil {
			return err
		}
		for k, c := range came {
			ch[k] = c
		}
	}
	w.report.Verified = true
	if err := w.capturer.Seal(ctx, tx, snapshot.Watch{}); err != nil {
		return err
	}
	w.captures = w.capturer.Captures()
	if err := w.record(ctx, tx, ch); err != nil {
		return err
	}
	for n, p := range after {
		if before[n].Found {
			p = before[n].Renewed(p)
		}
		w.r.plain[n] = p // true once this is committed; forgotten when it is not
	}
	return nil
}

// came lists what is new of a table, all of which must be announced.
func (w *work) came(ctx context.Context, tx engine.Querier, a *additive, n engine.Name, before, after *verify.Plain) (changes, error) {
	surprise := fmt.Errorf("%s: %w", n, errSurprise)
	switch {
	case w.r.m.db.Mine(after.Table) || !after.Found:
		return nil, surprise
	case a.created[n] && !before.Found:
		if after.Whole() {
			return changed(nil, after.Objects), nil
		}
		f, err := verify.Take(ctx, w.r.m.db, tx, verify.Scope{Tables: []engine.Name{after.Table}})
		return changed(nil, f), err
	case !after.Simple || !before.Found || before.Table != after.Table:
		return nil, surprise
	}
	left := slices.DeleteFunc(slices.Clone(a.adds), func(x announced) bool { return x.table != n })
	ch := changed(before.Only(after.Parts), after.Objects)
	for key, c := range ch {
		if c.Before != nil || after.RareAt(key) {
			return nil, surprise
		}
		i := slices.IndexFunc(left, func(x announced) bool { return x.is(*c.After) })
		if i < 0 {
			return nil, surprise
		}
		left = slices.Delete(left, i, i+1)
	}
	return ch, nil
}

// is tells whether an object is the announced one.
func (x announced) is(o verify.Object) bool {
	if x.kind != o.Kind {
		return false
	}
	if x.name == "" {
		return true
	}
	owner := o.Table.String()
	if o.Kind == "index" {
		owner = o.Table.Schema
	}
	return strings.TrimPrefix(o.Name, owner+".") == x.name
}
