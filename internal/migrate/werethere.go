package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// wereThere refuses a Down that drops a table which its Up found there: CREATE TABLE IF NOT EXISTS made nothing, and the table with its
// rows is not the migration's to drop.
func (w *work) wereThere(ctx context.Context, q engine.Querier) error {
	if w.r.dir != Down || w.undo == nil {
		return nil
	}
	var out []Refusal
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
			if c, changed := w.undo[verify.Object{Kind: "table", Name: n.String()}.Key()]; changed && c.Before == nil {
				continue // Up made it
			}
			out = append(out, Refusal{
				File: st.File, Line: st.Line, Column: st.Column,
				Message: fmt.Sprintf("Down drops %s, which was there before Up: its CREATE TABLE IF NOT EXISTS made nothing, and the rows of the table are not the migration's", n),
				Hint:    "take the DROP TABLE out of Down (SELECT 1 does nothing), and roll back again",
			})
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &RefusedError{Reasons: out}
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

// published warns of tables that Up took out of a publication by dropping them: subscribers hear of neither, nor of rows that come back.
func (w *work) published(ch changes) {
	if w.r.dir != Up {
		return
	}
	for _, o := range ch.destroyed() {
		if o.Kind != "publication membership" {
			continue
		}
		publication, _, _ := strings.Cut(o.Name, ": ")
		w.r.warnOnce(fmt.Sprintf("%s was part of publication %s: subscribers keep their copy, and are told of nothing. A rollback publishes it again; then each subscriber needs ALTER SUBSCRIPTION … REFRESH PUBLICATION", o.Table, publication))
	}
}
