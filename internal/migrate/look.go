package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// What the server shows of a statement that was started.
const (
	tookEffect = "took effect"
	noEffect   = "did not take effect"
	inPart     = "took effect in part"
	unclear    = "unclear"
	takingBack = "being taken back"
)

// note is what the row of a statement that commits by itself keeps, so that recover can look what became of it.
type note struct {
	All    bool               `json:"all,omitempty"`
	Names  []engine.Name      `json:"names,omitempty"` // its reach
	Bare   bool               `json:"bare,omitempty"`
	Before verify.Fingerprint `json:"before,omitempty"`
	Goes   []string           `json:"goes,omitempty"`  // keys of the objects that it removes, one after the other
	Made   []string           `json:"made,omitempty"`  // those that it removes and makes anew
	Blind  bool               `json:"blind,omitempty"` // it may change rows and leave every definition as it was
	Opaque bool               `json:"opaque,omitempty"`
	Swap   *swap              `json:"swap,omitempty"` // rows that it exchanges and that nothing has captured

	Memo   string           `json:"memo,omitempty"`   // of the restorer, after the statement
	Report *snapshot.Report `json:"report,omitempty"` // of the end: the rows are back
}

func (s note) reach() reach {
	r := reach{all: s.All, names: s.Names}
	if s.Bare {
		r.bare = &verify.Bare{}
	}
	return r
}

// look notes how a statement finds things before it runs.
func (w *work) look(ctx context.Context, q engine.Querier, st Statement) (note, error) {
	r := reachOf([]Statement{st}, false)
	r.bare = w.reach.bare
	before, err := r.take(ctx, w.r.m.db, q)
	if err != nil {
		return note{}, fmt.Errorf("fingerprint: %w", err)
	}
	s := note{All: r.all, Names: r.names, Bare: r.bare != nil, Before: before, Opaque: st.Opaque()}
	for _, e := range st.Effects {
		var key string
		switch e.Kind {
		case effects.DropTable, effects.CreateTable:
			key = "table " + e.Table.String()
		case effects.Drop, effects.Create:
			key = e.Object.Kind + " " + e.Object.Name.String()
		}
		if _, there := before[key]; !there && e.Table.Schema != "" {
			key = "table " + e.Table.Name // of the database at hand
		}
		switch _, there := before[key]; {
		case !there:
		case e.Kind == effects.DropTable, e.Kind == effects.Drop:
			s.Goes = append(s.Goes, key)
		case e.Replaces:
			s.Made = append(s.Made, key)
		}
		s.Blind = s.Blind || blind(e)
	}
	return s, nil
}

// blind tells whether an effect on rows may leave no trace in any definition.
func blind(e effects.Effect) bool {
	switch e.Kind {
	case effects.Truncate, effects.AlterTable, effects.DropPartition, effects.Opaque,
		effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace:
		return true
	case effects.CreateTable:
		return e.Replaces
	}
	return false
}

// seen is what became of a statement.
type seen struct {
	state   string
	changes changes
}

// look asks the server whether a statement that was started took effect.
func (m *Migrator) look(ctx context.Context, q engine.Querier, op operation) (seen, error) {
	var s note
	if err := json.Unmarshal([]byte(op.Note), &s); err != nil {
		return seen{}, fmt.Errorf("the step journal of migration %d is damaged: %w", op.Version, err)
	}
	if s.Swap != nil {
		state, err := s.Swap.look(ctx, m.db, q)
		return seen{state: state}, err
	}
	now, err := s.reach().take(ctx, m.db, q)
	if err != nil {
		return seen{}, fmt.Errorf("fingerprint: %w", err)
	}
	out := seen{state: noEffect, changes: changed(s.Before, now)}
	there := func(key string) bool { _, ok := now[key]; return ok }
	switch {
	case len(out.changes) > 0 && s.Opaque:
		out.state = unclear
	case len(out.changes) > 0 && (slices.ContainsFunc(s.Goes, there) || !allOf(s.Made, there)):
		out.state = inPart
	case len(out.changes) > 0:
		out.state = tookEffect
	case s.Blind:
		out.state, err = m.lookAtRows(ctx, q, op, s.Opaque)
	}
	return out, err
}

func allOf(list []string, f func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !f(s) })
}

// lookAtRows judges by the rows that were captured before the statement: they were there all, so that those which are
// gone or changed tell.
func (m *Migrator) lookAtRows(ctx context.Context, q engine.Querier, op operation, opaque bool) (string, error) {
	c, err := m.store.Resume(ctx, q, op.Snapshot, snapshot.Meta{Run: op.Run, Direction: string(op.Direction), Migration: op.Version}, snapshot.Past{Began: math.MaxInt})
	if err != nil {
		return "", err
	}
	rows, err := c.Standing(ctx, q, op.Statement)
	switch {
	case err != nil:
		return "", err
	case rows.Same == rows.Of && !(opaque && len(rows.More) > 0): // nothing is lost when it runs again
		return noEffect, nil
	case rows.Same == 0 && !opaque:
		return tookEffect, nil
	}
	return unclear, nil
}
