package migrate

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// takeBack undoes a migration that was cut off, and can itself be cut off.
func (w *work) takeBack(ctx context.Context, c cutOff, done int) error {
	m := w.r.m
	for _, st := range w.stmts[:min(done, len(w.stmts))] {
		w.noteExternal(st)
	}
	meta := snapshot.Meta{Run: w.r.res.Run, Direction: "abort", CreatedBy: m.o.User, Migration: w.mig.Version, Expires: m.expires(time.Now())}
	return w.whole(ctx, func(g ground) error {
		// What is removed on the way is captured under one id, however often this begins.
		back := m.store.Begin(meta)
		if c.begun.Back != "" {
			var err error
			if back, err = m.store.Resume(ctx, g.schema(), c.begun.Back, meta, snapshot.Past{Began: math.MaxInt}); err != nil {
				return err
			}
		}
		c.begun.Back = back.Snapshot()
		b, err := json.Marshal(c.begun)
		if err != nil {
			return err
		}
		op := c.opening
		op.State, op.Note = stepAborting, string(b)
		if err := m.catalog.rewrite(ctx, g.schema(), op); err != nil {
			return err
		}
		return w.abort(ctx, g, back, done, &op, &c.begun)
	})
}

// unname gives tables and columns that were renamed their names back, the last one first: what is in them is theirs. The journal
// counts, because of a swap that is half undone the names alone do not tell how far that came. What has such a name now was made since, and goes.
func (w *work) unname(ctx context.Context, q engine.Querier, back *snapshot.Capturer, done int, op *operation, begun *opening) error {
	m := w.r.m
	renames, _ := w.names(done)
	for i := len(renames) - 1 - begun.Unnamed; i >= 0; i-- {
		e := renames[i]
		table, now, was := engine.Name(e.Table), e.NewName.Name, e.Table.Name
		switch e.Kind {
		case effects.RenameTable:
			table.Name = now
		case effects.SetSchema:
			table = engine.Name(e.NewName)
		default:
			was = e.Columns[0]
		}
		t, err := m.db.Inspect(ctx, q, table)
		if err != nil && !errors.Is(err, engine.ErrNoTable) {
			return err
		}
		has := func(n string) bool {
			return t != nil && slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return c.Name == n || t.OID == 0 && strings.EqualFold(c.Name, n) })
		}
		query := ""
		switch {
		case err != nil:
		case e.Kind == effects.RenameColumn && has(now):
			if has(was) && !strings.EqualFold(now, was) {
				if err := w.vacate(ctx, q, back, func(o verify.Object) bool {
					return o.Kind == "column" && o.Table == t.Name && strings.EqualFold(strings.TrimPrefix(o.Name, o.Table.String()+"."), was)
				}); err != nil {
					return err
				}
			}
			query = fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", m.db.Quote(t.Name), m.db.Ident(now), m.db.Ident(was))
		case e.Kind == effects.RenameTable || e.Kind == effects.SetSchema:
			home := engine.Name{Schema: t.Name.Schema, Name: was}
			query = fmt.Sprintf("ALTER TABLE %s RENAME TO %s", m.db.Quote(t.Name), m.db.Ident(was))
			if e.Kind == effects.SetSchema {
				if home, err = w.home(engine.Name(e.Table)); err != nil {
					return err
				}
				query = fmt.Sprintf("ALTER TABLE %s SET SCHEMA %s", m.db.Quote(t.Name), m.db.Ident(home.Schema))
			}
			other, err := m.db.Resolve(ctx, q, home)
			if err == nil && (e.Kind == effects.SetSchema || !strings.EqualFold(now, was)) {
				err = w.vacate(ctx, q, back, func(o verify.Object) bool {
					return o.Table == other && slices.Contains([]string{"table", "view", "materialized view"}, o.Kind)
				})
			}
			if err != nil && !errors.Is(err, engine.ErrNoTable) {
				return err
			}
		}
		if query != "" {
			if _, err := q.ExecContext(ctx, query); err != nil {
				return fmt.Errorf("give %s its name back: %w", was, err)
			}
		}
		begun.Unnamed++
		if err := w.noted(ctx, q, op, begun); err != nil {
			return err
		}
	}
	return nil
}

// home finds the schema in which a table stood that a statement moved to another one.
func (w *work) home(n engine.Name) (engine.Name, error) {
	if n.Schema != "" {
		return n, nil
	}
	stood := filter(w.before, func(o verify.Object) bool { return o.Kind == "table" && o.Table.Name == n.Name })
	for _, o := range stood {
		if len(stood) == 1 {
			return o.Table, nil
		}
	}
	return n, fmt.Errorf("%d schemas had a table %s: which of them another one got is not known; move it back by hand, then: dbrollback recover --abort", len(stood), n.Name)
}

// vacate removes a table or a column that was made in the place of one that was renamed.
func (w *work) vacate(ctx context.Context, q engine.Querier, back *snapshot.Capturer, which func(verify.Object) bool) error {
	now, err := w.reach.take(ctx, w.r.m.db, q)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	there := filter(now, which)
	pointing, err := w.pointing(ctx, q, filter(there, func(o verify.Object) bool { return o.Kind == "table" }), now)
	if err != nil {
		return err
	}
	for _, o := range slices.Concat(slices.Collect(maps.Values(pointing)), slices.Collect(maps.Values(there))) {
		if err := w.remove(ctx, back, q, o); err != nil {
			return err
		}
	}
	return nil
}

// remove takes an object away that the statements made. Captured rows that had come back in it lie aside again, or are captured by back.
func (w *work) remove(ctx context.Context, back *snapshot.Capturer, q engine.Querier, o verify.Object) error {
	if o.Kind == "table" && w.restorer != nil { // one that lay aside is all that there is of its capture
		if kept, err := w.restorer.Withdraw(ctx, q, o.Table); kept || err != nil {
			return err
		}
	}
	if o.Kind == "column" && w.restorer != nil {
		if kept, err := w.restorer.WithdrawColumn(ctx, q, o.Table, strings.TrimPrefix(o.Name, o.Table.String()+".")); kept || err != nil {
			return err
		}
	}
	return w.drop(ctx, back, q, 0, o)
}

// goesAlong tells whether an object that was made, or is missing, goes or comes with another one: a column of a partition or an heir, with that of the table that it has it from.
func (w *work) goesAlong(ctx context.Context, q engine.Querier, o verify.Object, made []verify.Object) (bool, error) {
	if o.Kind != "column" {
		return false, nil
	}
	name := func(c verify.Object) string { return strings.TrimPrefix(c.Name, c.Table.String()) }
	for _, p := range made {
		if p.Kind != "column" || p.Table == o.Table || name(p) != name(o) {
			continue
		}
		t, err := w.r.m.db.Inspect(ctx, q, p.Table)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return false, err
		}
		if slices.Contains(t.Children, o.Table) {
			return true, nil
		}
	}
	return false, nil
}

// withoutAlong leaves out columns that are missing and that come with others.
func (w *work) withoutAlong(ctx context.Context, q engine.Querier, want, have verify.Fingerprint) (verify.Fingerprint, error) {
	missing := slices.Collect(maps.Values(filter(want, func(o verify.Object) bool { return o.Kind == "column" && have[o.Key()].Kind == "" })))
	out := maps.Clone(want)
	for _, o := range missing {
		if along, err := w.goesAlong(ctx, q, o, missing); err != nil {
			return nil, err
		} else if along {
			delete(out, o.Key())
		}
	}
	return out, nil
}

// noted writes down how far recover --abort has come.
func (w *work) noted(ctx context.Context, q engine.Querier, op *operation, begun *opening) error {
	b, err := json.Marshal(begun)
	if err != nil {
		return err
	}
	op.Note = string(b)
	return w.r.m.catalog.rewrite(ctx, q, *op)
}

// otherKeys lists the foreign keys that are defined otherwise now: one can need an index that goes, and comes back as it was when that is done.
func (ch changes) otherKeys() []verify.Object {
	var out []verify.Object
	for _, c := range ch {
		if c.Before != nil && c.After != nil && c.After.Kind == "foreign key" && c.After.Definition != c.Before.Definition {
			out = append(out, *c.After)
		}
	}
	return out
}

// remade lists the columns that the run dropped and made again as something else: what stands in them need not fit what they were. Tables and columns have the names of the
// beginning by now.
func (w *work) remade(ch changes, done int) []verify.Object {
	type column struct{ table, name string }
	lower := strings.ToLower
	table, name := map[string]string{}, map[column]string{} // what is called so by then, in the beginning
	first := func(t, c string) column {
		at := column{cmp.Or(table[t], t), c}
		return column{at.table, cmp.Or(name[at], c)}
	}
	gone, again := map[column]bool{}, map[column]bool{}
	for _, st := range w.stmts[:min(done, len(w.stmts))] {
		for _, e := range st.Effects {
			t := lower(e.Table.Name)
			switch e.Kind {
			case effects.RenameTable:
				table[lower(e.NewName.Name)] = cmp.Or(table[t], t)
				delete(table, t)
			case effects.RenameColumn:
				if len(e.Columns) == 1 {
					at := first(t, lower(e.Columns[0]))
					delete(name, column{at.table, lower(e.Columns[0])})
					name[column{at.table, lower(e.NewName.Name)}] = at.name
				}
			case effects.DropColumn, effects.AddColumn:
				for _, c := range e.Columns {
					at := first(t, lower(c))
					again[at] = again[at] || gone[at] && e.Kind == effects.AddColumn
					gone[at] = gone[at] || e.Kind == effects.DropColumn
				}
			}
		}
	}
	var out []verify.Object
	for _, c := range ch {
		if c.Before == nil || c.After == nil || c.After.Kind != "column" || c.After.Definition == c.Before.Definition {
			continue
		}
		if again[column{lower(c.After.Table.Name), lower(strings.TrimPrefix(c.After.Name, c.After.Table.String()+"."))}] {
			out = append(out, *c.After)
		}
	}
	return out
}

// names follows the names of tables through the statements that were done. It gives the renames, in their order, and the schemas that statements say of tables
// that they dropped, by the names that these had in the beginning, in lower case.
func (w *work) names(done int) (renames []effects.Effect, gone map[string]string) {
	begin := map[string]string{} // where what has a name now began; "" for what the statements made
	column := map[string]bool{}
	for _, o := range w.before {
		switch o.Kind {
		case "table", "view", "materialized view":
			begin[strings.ToLower(o.Table.Name)] = strings.ToLower(o.Table.Name)
		case "column":
			column[strings.ToLower(o.Table.Name+"."+strings.TrimPrefix(o.Name, o.Table.String()+"."))] = true
		}
	}
	gone = map[string]string{}
	for _, st := range w.stmts[:min(done, len(w.stmts))] {
		for _, e := range st.Effects {
			name := strings.ToLower(e.Table.Name)
			from, there := begin[name]
			switch {
			case e.Temporary || e.Define != nil && e.Define.Temporary:
			case e.Kind == effects.RenameTable && (there || !e.IfExists):
				delete(begin, name)
				begin[strings.ToLower(e.NewName.Name)] = from
				renames = append(renames, e)
			case e.Kind == effects.SetSchema && name != "" && (there || !e.IfExists):
				delete(begin, name)
				renames = append(renames, e)
			case e.Kind == effects.RenameColumn && len(e.Columns) == 1 && (!e.IfExists || column[from+"."+strings.ToLower(e.Columns[0])]):
				renames = append(renames, e)
			case e.Kind == effects.DropTable, e.Kind == effects.CreateTable && e.Replaces:
				if there {
					gone[from] = e.Table.Schema
				}
				if delete(begin, name); e.Kind == effects.CreateTable {
					begin[name] = ""
				}
			case e.Kind == effects.CreateTable && !there:
				begin[name] = ""
			}
		}
	}
	return renames, gone
}

// madeAnew gives the tables that the statements dropped, under their names or under others that they gave them: one that stands under the name of such a
// table now is another one, with rows of its own.
func (w *work) madeAnew(done int) map[engine.Name]bool {
	_, gone := w.names(done)
	tables := filter(w.before, func(o verify.Object) bool { return o.Kind == "table" })
	out := map[engine.Name]bool{}
	for key, t := range tables {
		schema, is := gone[strings.ToLower(t.Table.Name)]
		if !is || schema != "" && schema != t.Table.Schema {
			continue
		}
		others := filter(tables, func(o verify.Object) bool { return o.Key() != key && strings.EqualFold(o.Table.Name, t.Table.Name) })
		if schema == "" && len(others) > 0 && !w.capturer.Dropped(t.Table) {
			continue // the one of that name in another schema, or spelled otherwise
		}
		out[t.Table] = true
	}
	return out
}

// pointing gives the foreign keys from other tables to some: each of those has to go first.
func (w *work) pointing(ctx context.Context, q engine.Querier, tables, now verify.Fingerprint) (verify.Fingerprint, error) {
	out := verify.Fingerprint{}
	for _, o := range tables {
		t, err := w.r.m.db.Inspect(ctx, q, o.Table)
		if err != nil {
			return nil, err
		}
		for _, k := range t.Referenced {
			maps.Copy(out, filter(now, func(f verify.Object) bool {
				return f.Kind == "foreign key" && f.Table == k.Table && f.Table != o.Table && strings.TrimPrefix(f.Name, f.Table.String()+".") == k.Name
			}))
		}
	}
	return out, nil
}

// withoutInserted takes out what the run inserted where columns are about to get their types back.
func (w *work) withoutInserted(ctx context.Context, g ground, restorer *snapshot.Restorer, again map[engine.Name]bool, op *operation, begun *opening) error {
	now, err := w.reach.take(ctx, w.r.m.db, g.schema())
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if len(filter(w.before, func(o verify.Object) bool {
		is, there := now[o.Key()]
		return there && o.Kind == "column" && is.Definition != o.Definition && !again[o.Table]
	})) == 0 {
		return nil
	}
	return g.rows(ctx, func(tx *sql.Tx) (err error) {
		if err := restorer.RemoveInserted(ctx, tx, again); err != nil {
			return err
		}
		if begun.Checked, err = restorer.Memo(); err != nil {
			return err
		}
		return w.noted(ctx, tx, op, begun)
	})
}

// abort takes back the statements that were done: what they made is dropped (with its rows captured), what they
// destroyed is made again from the definitions and captures of the cut-off run.
func (w *work) abort(ctx context.Context, g ground, back *snapshot.Capturer, done int, op *operation, begun *opening) error {
	m, q := w.r.m, g.schema()
	var restorer *snapshot.Restorer
	again := w.madeAnew(done)
	err := g.rows(ctx, func(tx *sql.Tx) error {
		written, err := w.capturer.Anew(ctx, tx, again)
		for _, t := range written {
			w.r.warn(fmt.Sprintf("somebody wrote to %s while another table stood in its place: %[1]s is as it was before the migration, and the rows of the other one are in snapshot %s", t, back.Snapshot()))
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := g.rows(ctx, func(tx *sql.Tx) error { return w.capturer.Seal(ctx, tx, nil) }); err != nil {
		return err
	}
	err = g.rows(ctx, func(tx *sql.Tx) (err error) {
		if restorer, err = m.store.Restorer(ctx, tx, w.mig.Version, string(w.r.dir)); err != nil || restorer == nil {
			return err
		}
		if begun.Checked != "" {
			return restorer.Recall(begun.Checked)
		}
		if err := restorer.Check(ctx, tx); err != nil {
			return err
		}
		if begun.Checked, err = restorer.Memo(); err != nil {
			return err
		}
		return w.noted(ctx, tx, op, begun)
	})
	if err != nil {
		return err
	}
	if restorer != nil && !m.db.Caps.TransactionalDDL {
		if err := w.withoutInserted(ctx, g, restorer, again, op, begun); err != nil {
			return err
		}
	}
	if err := w.unexchange(ctx, q, done); err != nil {
		return err
	}
	if err := w.unname(ctx, q, back, done, op, begun); err != nil {
		return err
	}
	if restorer != nil {
		if err := restorer.Renamed(ctx, q); err != nil {
			return err
		}
	}
	now, err := w.reach.take(ctx, m.db, q)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	inPlace := filter(now, func(o verify.Object) bool {
		return o.Kind == "table" && again[o.Table] && !slices.Contains(begun.Cleared, o.Table)
	})
	// A foreign key that followed a table to the name that it had before the renames points to one that goes.
	pointing, err := w.pointing(ctx, q, filter(now, func(o verify.Object) bool {
		_, was := w.before[o.Key()]
		return o.Kind == "table" && (!was || inPlace[o.Key()].Kind != "")
	}), now)
	if err != nil {
		return err
	}
	ch := changed(w.before, filter(now, func(o verify.Object) bool { return !again[o.Table] && pointing[o.Key()].Kind == "" }))
	if err := w.hanging(ctx, q, ch); err != nil {
		return err
	}
	remade := w.remade(ch, done)
	var over []verify.Object // indexes over such columns: some servers keep those from going
	for _, o := range ch.made() {
		if o.Kind == "index" && slices.ContainsFunc(remade, func(c verify.Object) bool { return c.Table == o.Table }) {
			over = append(over, o)
		}
	}
	for _, o := range slices.Concat(slices.Collect(maps.Values(pointing)), ch.otherKeys(), over, remade) {
		if err := w.remove(ctx, back, q, o); err != nil {
			return err
		}
	}
	still := now
	if len(remade)+len(ch.otherKeys()) > 0 { // what hung on a column went with it
		if still, err = w.reach.take(ctx, m.db, q); err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		for key := range now {
			_, there := still[key]
			if b, was := w.before[key]; was && !there && ch[key].Before == nil {
				ch[key] = change{Before: &b}
			}
		}
	}
	if err := w.servedAgain(ctx, q, ch, still); err != nil {
		return err
	}
	made := ch.made()
	for _, o := range slices.Concat(made, slices.Collect(maps.Values(inPlace))) {
		if along, err := w.goesAlong(ctx, q, o, made); err != nil {
			return err
		} else if along {
			continue
		}
		is, there := still[o.Key()]
		if !there && len(remade) > 0 {
			continue
		}
		if there {
			o = is
		}
		if err := w.remove(ctx, back, q, o); err != nil && !(o.First != "" && isClass(err, engine.Unknown)) { // an index that a key needs until those are back that the run destroyed
			return err
		}
	}
	for t := range again {
		if !slices.Contains(begun.Cleared, t) {
			begun.Cleared = append(begun.Cleared, t)
		}
	}
	if len(again) > 0 {
		if err := w.noted(ctx, q, op, begun); err != nil {
			return err
		}
	}
	// Before captured values are back a type, or a key, need not fit what stands there: it is tried again when they are.
	repair := func(which func(verify.Object) bool, early bool) error {
		have, err := w.reach.take(ctx, m.db, q)
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		have = filter(ch.only(have), which)
		want, err := w.withoutAlong(ctx, q, filter(ch.side(false), which), have)
		if err != nil {
			return err
		}
		for _, stmt := range verify.Repair(want, have) {
			err := attempt(ctx, m.db, q, stmt)
			if err == nil || early && engine.Answered(err) || alreadyGone(have, stmt, err) {
				continue
			}
			if made, merr := w.refusedKey(ctx, q, ch.side(false), stmt, err); !made {
				return fmt.Errorf("put back (%s): %w", headline(stmt), errors.Join(err, merr))
			}
		}
		return nil
	}
	if err := repair(structural, true); err != nil {
		return err
	}
	w.report.Verified = true
	if restorer != nil {
		if err := g.rows(ctx, func(tx *sql.Tx) error { return restorer.Place(ctx, tx) }); err != nil {
			return err
		}
		err := g.rows(ctx, func(tx *sql.Tx) (err error) {
			w.report, err = restorer.Finish(ctx, tx, w.r.policy, back, nil)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := repair(func(verify.Object) bool { return true }, false); err != nil {
		return err
	}
	if err := m.store.GoOn(ctx, q, begun.Stood); err != nil {
		return err
	}
	if restorer != nil {
		if err := restorer.GoOn(ctx, q); err != nil {
			return err
		}
	}
	have, err := w.reach.take(ctx, m.db, q)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := w.rename(ctx, q, w.before, have); err != nil {
		return err
	}
	if have, err = w.reach.take(ctx, m.db, q); err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if d := material(verify.Diff(ch.side(false), ch.only(have))); len(d) > 0 {
		return &DriftError{Version: w.mig.Version, When: "aborted", Differences: d}
	}
	return g.rows(ctx, func(tx *sql.Tx) error {
		if err := back.Seal(ctx, tx, nil); err != nil {
			return err
		}
		w.to = w.r.at
		e := w.entry(time.Now().UTC())
		e.Action, e.Detail = "recover --abort", map[string]string{"statements taken back": fmt.Sprint(done)}
		if err := m.log.Append(ctx, tx, e); err != nil {
			return err
		}
		return m.catalog.clear(ctx, tx, w.r.res.Run, w.mig.Version)
	})
}
