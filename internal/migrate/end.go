package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// end puts the data back, repairs what the statements forgot, proves it, and records. Where there is no transaction
// around it, each part of it can be begun again: repairs look at what is there, rows go back in one transaction with
// the row of the journal that says so, and the record is one transaction.
func (w *work) end(ctx context.Context, g ground) error {
	m, dir := w.r.m, w.r.dir
	for _, part := range []func() error{
		func() error { return w.repair(ctx, g, structural) },
		func() error { return w.unkey(ctx, g) },
		func() error { return w.bringBack(ctx, g) },
		func() error { return w.repair(ctx, g, func(verify.Object) bool { return true }) },
		func() error { return w.reshape(ctx, g.schema()) },
		func() error {
			if w.recounts() {
				if err := m.store.GoOn(ctx, g.schema(), w.capturer.Stood()); err != nil {
					return err
				}
			}
			if w.restorer == nil {
				return nil
			}
			return w.restorer.GoOn(ctx, g.schema())
		},
	} {
		followed, err := w.follow(ctx, g, nil)
		if err != nil {
			return err
		}
		if err := part(); err != nil {
			return err
		}
		if err := followed(ctx); err != nil {
			return err
		}
	}
	after, err := w.fingerprint(ctx, g.schema())
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if w.undo != nil {
		want, have := expected(w.undo, w.before, after)
		maps.DeleteFunc(want, func(key string, _ verify.Object) bool { return w.r.isBroken(key) })
		if d := material(verify.Diff(want, have)); len(d) > 0 {
			if dir == Down && !w.r.allowDrift {
				return &DriftError{Version: w.mig.Version, When: "after", Back: w.restorer != nil || w.back, Differences: d}
			}
			for _, x := range d {
				w.r.warn(fmt.Sprintf("%s %s is not as it was", x.Kind, x.Object))
			}
			w.report.Verified = false
		}
	}
	ch := changed(w.before, after)
	w.columns = ch.standing(after)
	w.published(ch)
	if w.r.dir == Up && snapshot.WritesRows(w.mig.opposing()) {
		if err := g.rows(ctx, func(tx *sql.Tx) error { return w.bystanders(ctx, tx) }); err != nil {
			return err
		}
	}
	record := func(tx *sql.Tx) error {
		if err := w.capturer.ForgetEarly(ctx, tx); err != nil {
			return err
		}
		if err := w.capturer.Definitions(ctx, tx, len(w.stmts), ch.destroyed()); err != nil {
			return err
		}
		if err := w.capturer.Seal(ctx, tx, w.watch(ctx, tx)); err != nil {
			return err
		}
		w.captures = w.capturer.Captures()
		if err := w.writtenOver(ctx, tx); err != nil {
			return err
		}
		if err := w.record(ctx, tx, w.withMadeAnew(ch, after)); err != nil {
			return err
		}
		if w.ends {
			if err := m.catalog.clear(ctx, tx, w.r.res.Run, w.mig.Version); err != nil {
				return err
			}
		}
		return w.filling(ctx, tx)
	}
	write := g.rows
	if g.tx == nil && w.reach.bare != nil { // nothing is read
		write = g.s.Write
	}
	err = write(ctx, record)
	if errors.Is(err, audit.ErrTaken) {
		w.r.last = nil
		if err = m.log.Unlock(ctx, w.r.s); err == nil {
			err = write(ctx, record)
		}
	}
	return err
}

// writtenOver tells what this migration wrote over of what the ones before it, in this run, have brought back from an earlier rollback.
func (w *work) writtenOver(ctx context.Context, tx *sql.Tx) error {
	if w.r.dir != Up || w.rec == nil {
		return nil
	}
	var back []string
	for _, t := range w.r.res.Tables {
		if t.Inserted+t.Updated > 0 {
			back = append(back, t.Table)
		}
	}
	if len(back) == 0 {
		return nil
	}
	notes, err := w.capturer.WrittenOver(ctx, tx, back)
	w.report.Notes = append(w.report.Notes, notes...)
	return err
}

// bringBack gives captured rows their places again.
func (w *work) bringBack(ctx context.Context, g ground) error {
	if w.back { // before a crash
		return nil
	}
	w.report.Verified = true
	if w.restorer == nil {
		return nil
	}
	if err := w.leftOver(ctx, g); err != nil {
		return err
	}
	if err := w.place(ctx, g, len(w.stmts)); err != nil {
		return err
	}
	stands, err := w.standing(ctx, g)
	if err != nil {
		return err
	}
	err = g.rows(ctx, func(tx *sql.Tx) (err error) {
		w.report, err = w.restorer.Finish(ctx, tx, w.r.policy, w.capturer, func(rep snapshot.Report) error {
			if g.tx != nil {
				return nil
			}
			if err := stands(tx); err != nil {
				return err
			}
			return w.journal(ctx, tx, len(w.stmts)+1, stepDone, note{Report: &rep})
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, t := range w.report.Tables {
		w.r.m.o.Events(Event{Kind: RestoreDone, Version: w.mig.Version, File: w.mig.File, Table: t.Table, Rows: t.Inserted + t.Updated + t.Deleted})
	}
	return nil
}

// leftOver looks for what Down should have taken away, or should not have made, and repair does not take off, before rows go back where each step commits: recover --abort can take
// back a rollback only as long as none have.
func (w *work) leftOver(ctx context.Context, g ground) error {
	if g.tx != nil || w.undo == nil || w.r.dir != Down || w.r.allowDrift {
		return nil
	}
	now, err := w.fingerprint(ctx, g.schema())
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	mended := w.surplus(now)
	d := slices.DeleteFunc(material(verify.Diff(expected(w.undo, w.before, now))), func(x verify.Difference) bool {
		key := x.Kind + " " + x.Object
		_, repaired := w.undo[key]
		repaired = repaired && x.Kind != "table" && x.Kind != "column" && x.Kind != "foreign key"
		return x.Before != "" || repaired || slices.ContainsFunc(mended, func(o verify.Object) bool { return o.Key() == key })
	})
	if len(d) > 0 {
		return &DriftError{Version: w.mig.Version, When: "after", Differences: d}
	}
	return nil
}

// passing tells the restorer of what unkey is to take off.
func (w *work) passing(ctx context.Context, q engine.Querier, t engine.Name) (map[string]bool, error) {
	if w.r.m.db.Kind == engine.SQLite || w.undo == nil || w.r.dir != Down || !w.makesKeys(t) {
		return nil, nil
	}
	now, err := verify.Take(ctx, w.r.m.db, q, verify.Scope{Tables: []engine.Name{t}})
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	out := map[string]bool{}
	for _, o := range slices.Concat(w.otherwise(now), w.surplus(now)) {
		if o.Table.Name == t.Name && o.Kind == "foreign key" {
			out[strings.TrimPrefix(o.Name, o.Table.String()+".")] = true
		}
	}
	return out, nil
}

// repair makes what the run that is undone destroyed and this run did not make again.
func (w *work) repair(ctx context.Context, g ground, which func(verify.Object) bool) error {
	if w.undo == nil {
		return nil
	}
	tx := g.schema()
	now, err := w.fingerprint(ctx, tx)
	if err == nil {
		now, err = w.serials(ctx, tx, now)
	}
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if now, err = w.respell(ctx, tx, now); err != nil {
		return err
	}
	want := filter(w.undo.side(false), func(o verify.Object) bool { return which(o) && !w.givenUp(o) })
	have := filter(w.undo.among(now, false), which)
	for key, t := range w.droppedTwice() {
		if _, there := now[key]; !there && g.tx == nil {
			// Made here, it would be taken for the other one when the rollback is taken back later, and the rows of both would be in it.
			return w.restorer.NoPlace(t)
		}
		for k, o := range w.before {
			if _, changed := w.undo[k]; changed || o.Table != t || !which(o) {
				continue
			}
			want[k] = o
			if is, there := now[k]; there {
				have[k] = is
			}
		}
	}
	for key, o := range w.bereft(now) {
		if which(o) {
			want[key] = o
			w.r.warnOnce(fmt.Sprintf("%s %s is made again: Down took it away, and Up had left it alone", o.Kind, o.Name))
		}
	}
	for key, o := range verify.InTheWay(want, now) {
		if _, before := w.before[key]; !before { // this run has made it
			have[key] = o
		}
	}
	for _, o := range w.surplus(now) {
		if which(o) {
			have[o.Key()] = o
			w.tookOff(o)
		}
	}
	for _, stmt := range slices.Concat(verify.Repair(want, have), w.leftDefaults(filter(now, which))) {
		err := w.recast(ctx, g, want, stmt, which)
		if made, err := w.refusedKey(ctx, tx, want, stmt, err); err != nil {
			return err
		} else if made {
			continue
		}
		if alreadyGone(have, stmt, err) {
			continue
		}
		if view, is := w.brokenView(want, stmt, err); is {
			w.r.postpone(view)
			continue
		}
		if err != nil {
			return &RepairError{Version: w.mig.Version, Direction: w.r.dir, SQL: stmt, Err: err}
		}
		w.capturer.Stale()
	}
	return nil
}

// alreadyGone tells whether a statement was to drop an index that went by itself: what a server made for a foreign key it takes away as soon as another index serves it.
func alreadyGone(have verify.Fingerprint, stmt string, err error) bool {
	e, ok := engine.AsError(err)
	if !ok || !e.Missing {
		return false
	}
	for _, o := range have {
		if (o.Kind == "index" || o.Kind == "unique") && slices.Contains(o.Drop, stmt) {
			return true
		}
	}
	return false
}

// withMadeAnew adds the tables that the statements dropped and made anew under their names: where nothing but columns differs, the table that was
// before is not among what changed, and it takes its whole definition to make it again.
func (w *work) withMadeAnew(ch changes, after verify.Fingerprint) changes {
	for key, was := range w.before {
		if now, is := after[key]; is && was.Kind == "table" && w.capturer.Dropped(was.Table) {
			ch[key] = change{Before: &was, After: &now}
		}
	}
	return ch
}

// droppedTwice gives, by their keys, the tables that the undone run dropped and made anew under their names, and that this one has dropped: all of such a table is
// to be there again, not just what differs.
func (w *work) droppedTwice() map[string]engine.Name {
	out := map[string]engine.Name{}
	for key, t := range w.before {
		if t.Kind == "table" && w.undo[key].Before != nil && w.restorer != nil && w.restorer.NoPlace(t.Table) != nil && w.capturer.Dropped(t.Table) {
			out[key] = t.Table
		}
	}
	return out
}

// serials gives the sequence of a serial column the name that it had: of a table that was made anew beside the old one it has another, because
// that one's was taken. What it has handed out stays with it.
func (w *work) serials(ctx context.Context, tx engine.Querier, now verify.Fingerprint) (verify.Fingerprint, error) {
	renamed := false
	for key, c := range w.undo {
		was := c.Before
		if was == nil || was.Kind != "sequence owner" || now[key].Kind != "" {
			continue
		}
		for k, o := range now {
			in := o.Table.Schema + "."
			name, same := strings.CutPrefix(was.Name, in)
			if made := w.undo[k]; o.Kind != "sequence owner" || o.Definition != was.Definition || made.Before != nil || made.After == nil || !same || !strings.HasPrefix(o.Name, in) {
				continue
			}
			if _, err := tx.ExecContext(ctx, "ALTER SEQUENCE "+o.Name+" RENAME TO "+name); err != nil {
				return nil, err
			}
			renamed = true
		}
	}
	if !renamed {
		return now, nil
	}
	w.capturer.Stale()
	return w.fingerprint(ctx, tx)
}

// refusedKey makes a foreign key that the server refused because of rows that came back without what they point to, as they were, or because the table that it points to was
// not there before either.
func (w *work) refusedKey(ctx context.Context, tx engine.Querier, want verify.Fingerprint, stmt string, refused error) (bool, error) {
	if refused == nil {
		return false, nil
	}
	for _, o := range want {
		if o.Kind != "foreign key" || !slices.Contains(o.Create, stmt) {
			continue
		}
		if isClass(refused, engine.Constraint) {
			if w.restorer == nil {
				return false, nil
			}
			return w.restorer.AddKey(ctx, tx, o.Table, keyName(o), stmt)
		}
		if nowhere, err := w.pointsNowhere(ctx, tx, stmt); !nowhere || err != nil {
			return false, err
		}
		off, back := verify.Unchecked()
		if _, err := tx.ExecContext(ctx, off); err != nil {
			return false, fmt.Errorf("foreign keys unchecked: %w", err)
		}
		_, err := tx.ExecContext(ctx, stmt)
		_, berr := tx.ExecContext(ctx, back)
		return err == nil && berr == nil, errors.Join(err, berr)
	}
	return false, nil
}

// pointsNowhere tells of a statement that makes a foreign key to a table that is not there, as MySQL's family leaves one when its table goes while nobody checks them.
func (w *work) pointsNowhere(ctx context.Context, q engine.Querier, stmt string) (bool, error) {
	db := w.r.m.db
	if db.Caps.TransactionalDDL {
		return false, nil
	}
	parsed, err := effects.Parse(effects.Dialect(db.Kind), stmt)
	if err != nil {
		return false, fmt.Errorf("read a foreign key: %w", err)
	}
	for _, st := range parsed {
		for _, e := range st.Effects {
			if e.Constraint == nil || e.Constraint.Kind != "foreign key" {
				continue
			}
			if _, err := db.Look(ctx, q, engine.Name(e.Constraint.Parent)); errors.Is(err, engine.ErrNoTable) {
				return true, nil
			} else if err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// keyName is the name of a foreign key within its table.
func keyName(o verify.Object) string { return strings.TrimPrefix(o.Name, o.Table.String()+".") }

// leftDefaults takes off defaults that a column has only because it had to be made again with one: NOT NULL wants a value for
// the rows that are there, until theirs are back.
func (w *work) leftDefaults(now verify.Fingerprint) []string {
	var out []string
	was := w.undo.side(false)
	for key, o := range now {
		if _, before := was[key]; o.Kind != "default" || before {
			continue
		}
		if _, other := w.before[key]; other {
			continue
		}
		if _, column := was[verify.Object{Kind: "column", Name: o.Name}.Key()]; column {
			out = append(out, o.Drop...)
		}
	}
	slices.Sort(out)
	return out
}

// opposing are the statements of Down whose losses are captured.
func (m *Migration) opposing() []effects.Statement {
	var down []effects.Statement
	for _, st := range m.statements(Down) {
		if m.noCapture(Down, st) {
			continue
		}
		if declared := m.declared(Down, st); st.Opaque() && len(declared) > 0 {
			st.Effects = declared
		}
		down = append(down, st.Statement)
	}
	return down
}

// bystanders captures the rows that Up left alone and that Down would write.
func (w *work) bystanders(ctx context.Context, tx engine.Querier) error {
	if w.r.dir != Up {
		return nil
	}
	start, had := time.Now(), len(w.capturer.Captures())
	if err := w.capturer.Bystanders(ctx, tx, len(w.stmts), w.mig.opposing(), w.watch); err != nil {
		return err
	}
	if err := w.capturer.Relays(ctx, tx, len(w.stmts), w.mig.opposing()); err != nil {
		return err
	}
	for _, c := range w.capturer.Captures()[had:] {
		w.r.m.o.Events(Event{Kind: CaptureDone, Version: w.mig.Version, File: w.mig.File, Statement: len(w.stmts), Table: c.Table, Rows: c.Rows, Bytes: c.Bytes, Elapsed: time.Since(start)})
	}
	return nil
}

// record writes goose's version row, our record and the audit entry.
func (w *work) record(ctx context.Context, tx database.DBTxConn, ch changes) error {
	m, now := w.r.m, time.Now().UTC().Truncate(time.Microsecond)
	rec := &record{Version: w.mig.Version, File: w.mig.File, Text: w.mig.Text, AppliedAt: now, Run: w.r.res.Run}
	version := &collector{DBTxConn: tx, what: "write " + m.o.VersionTable}
	switch w.r.dir {
	case Up:
		if err := m.versions.Insert(ctx, version, database.InsertRequest{Version: w.mig.Version}); err != nil {
			return err
		}
		rec.Up, rec.Columns = ch, w.columns
		w.to = max(w.r.at, w.mig.Version)
	case Down:
		if err := m.versions.Delete(ctx, version, w.mig.Version); err != nil {
			return err
		}
		rec.Down, rec.UndoneAt = ch, now
		if w.rec != nil {
			rec.File, rec.Text, rec.AppliedAt, rec.Up, rec.Columns = w.rec.File, w.rec.Text, w.rec.AppliedAt, w.rec.Up, w.rec.Columns
		}
		applied, err := m.applied(ctx, tx)
		if err != nil {
			return err
		}
		w.to = current(slices.DeleteFunc(applied, func(v int64) bool { return v == w.mig.Version }))
	}
	save, err := m.catalog.save(rec, w.rec != nil)
	if err != nil {
		return err
	}
	if w.ends { // the lock on the newest entry is this transaction's
		w.last = nil
		if w.reach.bare != nil {
			w.last = w.r.last
		}
	}
	if w.last == nil {
		w.last = &audit.Last{}
		if err := w.r.s.Pipeline(ctx, tx, m.log.Last(w.last)...); err != nil {
			return err
		}
	}
	entry := w.entry(now)
	write, err := m.log.Behind(*w.last, &entry)
	if err != nil {
		return err
	}
	w.next = w.last.After(&entry)
	return w.r.s.Pipeline(ctx, tx, append(append(version.steps, save...), write...)...)
}

// entry is the audit entry of one migration that is about to commit.
func (w *work) entry(now time.Time) audit.Entry {
	e := audit.Entry{
		Run: w.r.res.Run, At: now, User: w.r.m.o.User, Action: action(w.r.dir), From: w.r.at, To: w.to, Versions: []int64{w.mig.Version},
		Outcome: "done", DurationSeconds: time.Since(w.r.started).Seconds(), NotUndone: w.notUndone, Detail: w.r.detail,
	}
	for _, l := range w.report.Later {
		e.Detail = maps.Clone(e.Detail)
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail[l.String()] = "still to be put back, in batches"
	}
	for _, t := range w.report.Tables {
		e.Tables = append(e.Tables, audit.Change{Table: t.Table, Inserted: t.Inserted, Updated: t.Updated, Deleted: t.Deleted, Conflicts: t.Conflicts})
	}
	return e
}
