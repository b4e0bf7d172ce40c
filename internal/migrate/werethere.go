package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// wereThere refuses a Down that drops a table which its Up found there: CREATE TABLE IF NOT EXISTS made nothing, and the table with its
// rows is not the migration's to drop. So is one that Up only renamed, or left alone.
func (w *work) wereThere(ctx context.Context, q engine.Querier) error {
	if w.r.dir != Down || w.undo == nil {
		return nil
	}
	out, err := w.notItsOwn(ctx, q)
	if err != nil {
		return err
	}
	for _, st := range w.stmts {
		for _, e := range st.Effects {
			if e.Kind != effects.DropTable || !onlyIfMissing(w.mig.Up, e.Table) || moved(w.stmts, e.Table) {
				continue
			}
			n, err := w.r.m.db.Resolve(ctx, q, engine.Name(e.Table))
			if errors.Is(err, engine.ErrNoTable) {
				continue
			}
			if err != nil {
				return err
			}
			if w.undo.madeTable(n) {
				continue
			}
			out = append(out, Refusal{
				File: st.File, Line: st.Line, Column: st.Column,
				Message: fmt.Sprintf("Down drops %s, which was there before Up: its CREATE TABLE IF NOT EXISTS made nothing, and the rows of the table are not the migration's", n),
				Hint:    "take the DROP TABLE out of Down (SELECT 1 does nothing), and roll back again",
			})
		}
	}
	if len(out) == 0 { // what would help such a statement along helps nobody where it is to be taken out
		if out, err = w.stumbles(ctx, q); err != nil {
			return err
		}
	}
	if len(out) == 0 {
		return w.staysOver()
	}
	return &RefusedError{Reasons: out}
}

// madeTable tells whether the migration made a table.
func (ch changes) madeTable(n engine.Name) bool {
	for _, c := range ch {
		if c.Before != nil || c.After == nil || c.After.Kind != "table" {
			continue
		}
		plain := strings.ReplaceAll(c.After.Name, `"`, "")
		if strings.EqualFold(plain, strings.ReplaceAll(n.String(), `"`, "")) || strings.EqualFold(plain, n.Name) || c.After.Table == n {
			return true
		}
	}
	return false
}

// onlyIfMissing tells whether all that statements do to make a table is CREATE TABLE IF NOT EXISTS.
func onlyIfMissing(stmts []Statement, n effects.Name) bool {
	made := false
	for _, st := range stmts {
		for _, e := range st.Effects {
			if e.Kind == effects.CreateTable && strings.EqualFold(e.Table.Name, n.Name) {
				if !e.IfExists {
					return false
				}
				made = true
			}
		}
	}
	return made && !moved(stmts, n)
}

// moved tells whether statements may take a table's name from it, or give it to another one.
func moved(stmts []Statement, n effects.Name) bool {
	drops := 0
	for _, st := range stmts {
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			if e.Kind == effects.DropTable && strings.EqualFold(e.Table.Name, n.Name) {
				drops++
			}
			return e.Kind == effects.Opaque || e.Kind == effects.DropSchema || e.Kind == effects.SetSchema ||
				e.Kind == effects.RenameTable && (strings.EqualFold(e.Table.Name, n.Name) || strings.EqualFold(e.NewName.Name, n.Name))
		}) {
			return true
		}
	}
	return drops > 0 && slices.ContainsFunc(stmts, func(st Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return e.Kind == effects.CreateTable && strings.EqualFold(e.Table.Name, n.Name)
		})
	})
}

// restores finds what the opposite direction has captured.
func (w *work) restores(ctx context.Context, q engine.Querier) (err error) {
	store := w.r.m.store
	if w.restorer, err = store.Restorer(ctx, q, w.mig.Version, string(w.r.dir.opposite())); err != nil {
		return err
	}
	if w.restorer == nil && w.r.dir == Down {
		w.restorer = store.Sparing(w.parsed(0))
	}
	if w.restorer != nil {
		w.restorer.Passing, w.restorer.Own, w.restorer.Steps = w.passing, w.mayBeItsOwn, !w.atomic()
		if w.r.dir == Down {
			w.restorer.Stricter = w.stricter
		}
	}
	return nil
}

// mayBeItsOwn tells whether rows of a table may have been put there by the undone run and not be known as such: it has made the table, or did not capture all that it wrote.
func (w *work) mayBeItsOwn(n engine.Name) bool {
	return w.undo.madeTable(n) || w.mig.acceptedLoss() || slices.ContainsFunc(w.mig.statements(w.r.dir.opposite()), func(st Statement) bool { return w.mig.noCapture(w.r.dir.opposite(), st) })
}
