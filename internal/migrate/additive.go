package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Most migrations only add: a table, a column, an index, a constraint; or they write rows. What such a one changes of
// definitions follows from its text, so it is not compared with all that hangs on its tables; each table is read once, after
// the statements, and what is new there must be exactly what the text announces. Whatever else shows (another session's change, a statement that did more
// than its text says) rolls the migration back and runs it again the long way.

// errSurprise: an additive migration did not do what its text announces.
var errSurprise = errors.New("more has changed than the migration says")

// additive is what a migration that only adds announces.
type additive struct {
	names    []engine.Name // its tables, as the text spells them
	created  map[engine.Name]bool
	written  map[engine.Name]bool // rows of theirs are
	trusted  map[engine.Name]bool // created ones of which more is done than is announced: they must be new indeed
	looked   map[engine.Name]bool // tables to be read before, too: the text alone does not tell what changes
	adds     []announced
	alters   []announced // may change or go as well
	made     []announced // types, functions, … of no table
	only     bool        // each statement adds to definitions, so that nothing is captured for any
	replaced []string    // names of those that may have been there
}

// announced is an object that a statement adds; name is "" when the server makes it up.
type announced struct {
	table      engine.Name
	kind, name string
}

// additive says what the migration announces; nil when it may do more than add, or when more than its own text matters.
func (w *work) additive() *additive {
	if w.r.dir != Up || w.rec != nil || !w.atomic() {
		return nil
	}
	if _, can := verify.ReadPlain(w.r.m.db, engine.Name{}, verify.All, nil); !can {
		return nil
	}
	a := &additive{written: map[engine.Name]bool{}, created: map[engine.Name]bool{}, trusted: map[engine.Name]bool{}, looked: map[engine.Name]bool{}}
	for _, st := range w.stmts {
		for _, e := range st.Effects {
			if !a.effect(e) {
				return nil
			}
		}
	}
	if len(a.names)+len(a.made) == 0 {
		return nil
	}
	a.only = !slices.ContainsFunc(w.stmts, func(st Statement) bool {
		return st.Opaque() || st.Destroys() || len(st.Effects) == 0 || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return e.Kind != effects.CreateTable && e.Kind != effects.AddColumn && e.Kind != effects.AddConstraint && !(e.Kind == effects.Create && e.Object.Kind == "index")
		})
	})
	return a
}

// effect notes what an effect adds; false when it may do something else.
func (a *additive) effect(e effects.Effect) bool {
	n := engine.Name(e.Table)
	if n.Name != "" && !slices.Contains(a.names, n) {
		a.names = append(a.names, n)
	}
	if e.IfExists && n.Name != "" {
		a.looked[n] = true
	}
	if a.known(e, n) {
		return true
	}
	if a.created[n] && !e.Cascade && ofItsOwn(e) {
		a.trusted[n] = true
		return true
	}
	return false
}

// known notes what an effect adds by name.
func (a *additive) known(e effects.Effect, n engine.Name) bool {
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
	case effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull:
		a.looked[n] = true
		for _, c := range e.Columns {
			kind := "default"
			if e.Kind == effects.SetNotNull || e.Kind == effects.DropNotNull {
				kind = "not null"
			}
			a.alters = append(a.alters, announced{n, kind, c})
		}
		return true
	case effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
		a.written[n] = true // no definition changes
		return !e.Cascade && n.Name != ""
	case effects.Create:
		if e.Object.Kind == "index" && n.Name != "" {
			a.announce(n, "index", e.Object.Name.Name)
			return true
		}
		return a.other(e)
	case effects.Session, effects.Read:
		return true
	}
	return false
}

// ofItsOwn tells whether what an effect does to a table that the migration made itself shows when the table is read.
func ofItsOwn(e effects.Effect) bool {
	switch e.Kind {
	case effects.AddColumn, effects.AddConstraint, effects.ValidateConstraint, effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull,
		effects.AlterColumn, effects.AlterTable, effects.Insert, effects.Update, effects.Delete:
		return true
	case effects.Comment:
		return e.Object.Kind == "" || e.Object.Kind == "column"
	case effects.Create:
		return e.Object.Kind == "index" || e.Object.Kind == "trigger"
	}
	return false
}

// other notes an object of no table that an effect makes.
func (a *additive) other(e effects.Effect) bool {
	kind := e.Object.Kind
	switch {
	case e.Temporary || e.Cascade || e.Table.Name != "":
		return false
	case kind == "type" && e.Detail != "": // a base type has none
		kind = e.Detail
	case !slices.Contains([]string{"domain", "function", "procedure", "sequence", "schema", "extension"}, kind):
		return false
	}
	if e.Replaces || e.IfExists {
		a.replaced = append(a.replaced, e.Object.Name.Name)
	}
	a.made = append(a.made, announced{kind: kind, name: e.Object.Name.Name})
	return true
}

func (a *additive) announce(n engine.Name, kind, name string) {
	a.adds = append(a.adds, announced{n, kind, name})
}

// parts are those of a table that the migration adds to, and its columns: see standing.
func (a *additive) parts(n engine.Name) verify.Parts {
	if a.created[n] || a.written[n] {
		return verify.All
	}
	p := verify.Parts{Columns: true}
	for _, x := range slices.Concat(a.adds, a.alters) {
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
	stood, made := verify.Fingerprint{}, verify.Fingerprint{}
	if len(a.replaced) > 0 {
		more, err := verify.ReadNamed(m.db, a.replaced, stood)
		if err != nil {
			return err
		}
		steps = append(steps, more...)
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
	last := len(w.stmts)
	if a.only {
		last--
	}
	for i := range last {
		if err := w.statement(ctx, tx, i); err != nil {
			return err
		}
	}
	after := map[engine.Name]*verify.Plain{}
	steps = nil
	if a.only { // nothing is asked between it and what is read after it: it goes along
		st := w.stmts[last]
		if err := w.captured(ctx, ground{tx: tx}, last, func(text string) error {
			steps = append(steps, engine.Step{SQL: text, Once: true, Failed: func(err error) error { return w.failed(st, err) }})
			return nil
		}); err != nil {
			return err
		}
	}
	for _, n := range a.names {
		read(after, n)
	}
	if len(a.made) > 0 {
		more, err := verify.ReadMade(m.db, made)
		if err != nil {
			return err
		}
		steps = append(steps, more...)
	}
	var applied bool
	steps = append(steps, m.appliedStep(w.mig.Version, &applied))
	if w.last = w.r.last; w.last == nil {
		w.last = &audit.Last{}
		steps = append(steps, m.log.Last(w.last)...)
	}
	if err := w.r.s.Pipeline(ctx, tx, steps...); err != nil {
		return err
	}
	if applied {
		return errSettled
	}
	ch, err := a.others(stood, made)
	if err != nil {
		return err
	}
	stands := verify.Fingerprint{}
	for n, p := range after {
		came, err := w.came(ctx, tx, a, n, before[n], p)
		if err != nil {
			return err
		}
		maps.Copy(ch, came)
		maps.Copy(stands, p.Objects)
	}
	w.columns = ch.standing(stands)
	w.report.Verified = true
	if err := w.capturer.Definitions(ctx, tx, len(w.stmts), ch.destroyed()); err != nil {
		return err
	}
	if err := w.bystanders(ctx, tx); err != nil {
		return err
	}
	watch := snapshot.Watch{}
	if len(w.capturer.Captures()) > 0 {
		watch = w.watch(ctx, tx)
	}
	if err := w.capturer.Seal(ctx, tx, watch); err != nil {
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

// others lists what is new or replaced of the objects of no table; all that was announced must be there.
func (a *additive) others(stood, made verify.Fingerprint) (changes, error) {
	for _, x := range a.made {
		if !slices.ContainsFunc(slices.Collect(maps.Values(made)), func(o verify.Object) bool { return x.is(o) }) && !slices.Contains(a.replaced, x.name) {
			return nil, fmt.Errorf("%s %s: %w", x.kind, x.name, errSurprise)
		}
	}
	maps.DeleteFunc(stood, func(key string, _ verify.Object) bool { _, again := made[key]; return !again })
	return changed(stood, made), nil
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
	case a.trusted[n] || !after.Simple || !before.Found || before.Table != after.Table:
		return nil, surprise
	}
	left := slices.DeleteFunc(slices.Clone(a.adds), func(x announced) bool { return x.table != n })
	ch := changed(before.Only(after.Parts), after.Objects)
	for key, c := range ch {
		if slices.ContainsFunc(a.alters, func(x announced) bool { return x.table == n && x.is(*c.object()) }) {
			continue
		}
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
	switch {
	case o.Kind == "index":
		owner = o.Table.Schema
	case o.Table.Name == "":
		name, _, _ := strings.Cut(o.Name, "(")
		return name == x.name || strings.HasSuffix(name, "."+x.name)
	}
	return strings.TrimPrefix(o.Name, owner+".") == x.name
}
