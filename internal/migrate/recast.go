package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// respell gives columns the letters that they had, where the undone run has spelt them in others (MODIFY username … of userName) and this run does not: to the
// server they are the same, and none could be made beside it.
func (w *work) respell(ctx context.Context, tx engine.Querier, now verify.Fingerprint) (verify.Fingerprint, error) {
	db := w.r.m.db
	if db.Kind == engine.Postgres {
		return now, nil
	}
	var renames []string
	was := w.undo.side(false)
	for key, o := range was {
		if _, there := now[key]; there || o.Kind != "column" {
			continue
		}
		for k, is := range now {
			if _, wanted := was[k]; !wanted && is.Kind == "column" && is.Table == o.Table && strings.EqualFold(is.Name, o.Name) {
				column := func(o verify.Object) string { return db.Ident(strings.TrimPrefix(o.Name, o.Table.String()+".")) }
				renames = append(renames, "ALTER TABLE "+db.Quote(o.Table)+" RENAME COLUMN "+column(is)+" TO "+column(o))
			}
		}
	}
	if len(renames) == 0 {
		return now, nil
	}
	slices.Sort(renames)
	for _, stmt := range renames {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return nil, &RepairError{Version: w.mig.Version, Direction: w.r.dir, SQL: stmt, Err: err}
		}
	}
	w.capturer.Stale()
	now, err := w.fingerprint(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	return now, nil
}

// recast runs a statement of repair. One that gives a column its type back, or NOT NULL with it, may not fit what Up wrote there under the other one: what was captured under that
// goes back first, as it does ahead of such a statement of Down.
func (w *work) recast(ctx context.Context, g ground, want verify.Fingerprint, stmt string, which func(verify.Object) bool) error {
	tx, afterwards := g.schema(), which(verify.Object{Kind: "index"}) // when the rows are back
	var column verify.Object
	for _, o := range want {
		if o.Kind == "column" && slices.Contains(o.Alter, stmt) {
			column = o
		}
	}
	if column.Kind == "" || w.restorer == nil || w.back || afterwards {
		_, err := tx.ExecContext(ctx, stmt)
		return err
	}
	st := effects.Statement{Effects: []effects.Effect{{
		Kind: effects.AlterColumnType, Table: effects.Name(column.Table), Columns: []string{strings.TrimPrefix(column.Name, column.Table.String()+".")},
	}}}
	run := func() error {
		return w.capturer.Recast(ctx, tx, st, func() error { return attempt(ctx, w.r.m.db, tx, stmt) })
	}
	w.capturer.Sealed(func(ctx context.Context, q engine.Querier) error { return w.keepMemo(ctx, q, len(w.stmts)) })
	err := run()
	if !isClass(err, engine.Constraint) {
		return err
	}
	err = g.rows(ctx, func(tx *sql.Tx) error {
		if err := w.restorer.Settle(ctx, tx, st); err != nil || g.tx != nil {
			return err
		}
		return w.remember(ctx, tx, len(w.stmts)) // what is written now is no write of somebody else, to who goes on after a crash either
	})
	if err != nil {
		return err
	}
	return run()
}

// fitted does the same after a statement of Down that the server has rejected for what stands in its column, where each statement commits by itself: it had no effect, and can run once more.
func (w *work) fitted(ctx context.Context, i int, cause error) (bool, error) {
	st, s := w.stmts[i], w.r.s
	if w.restorer == nil || w.r.dir != Down || !st.retypes() || !isClass(cause, engine.Constraint) {
		return false, nil
	}
	c, err := w.r.m.cutOffOf(ctx, s, w.r.res.Run, w.mig.Version)
	if err != nil || c == nil || c.last.Statement != i+1 || c.last.State != stepStarted {
		return false, err
	}
	if seen, err := w.r.m.look(ctx, s, c.last); err != nil || seen.state != noEffect {
		return false, err
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.capturer.Forget(ctx, tx, i+1); err != nil {
			return err
		}
		return w.r.m.catalog.forget(ctx, tx, c.last)
	})
	if err != nil {
		return false, err
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.restorer.Settle(ctx, tx, w.parsed(i)...); err != nil {
			return err
		}
		return w.remember(ctx, tx, i)
	})
	return err == nil, err
}
