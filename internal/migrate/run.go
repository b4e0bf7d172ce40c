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

// runner carries one run: some migrations, one after the other, in one direction.
type runner struct {
	m               *Migrator
	s               *engine.Session
	dir             Direction
	policy          snapshot.Policy
	allowDrift      bool
	allowUncaptured bool
	detail          map[string]string // for the audit log
	res             *Result
	started         time.Time
	at              int64 // the version that the target is at
	memory          *verify.Memory
	wait            time.Duration                 // for locks, in all; see briefly
	batched         bool                          // values of dropped columns may go back in batches
	late            bool                          // a replica stays far behind: see breathe
	known           map[int64]bool                // versions that had a record when the run began
	recorded        *bool                         // there are journals of tables; nil when that was not asked yet
	broken          []verify.Object               // views for the end of the run; see brokenViews
	last            *audit.Last                   // the entry of the log that the migration before has written
	bare            verify.Bare                   // what the lean migrations in a row know of the session
	plain           map[engine.Name]*verify.Plain // tables as the last additive migration left them, by the name in its text
}

// opposite direction.
func (d Direction) opposite() Direction {
	if d == Up {
		return Down
	}
	return Up
}

// errSettled: another run brought the migration to where this one was to bring it.
var errSettled = errors.New("already done by another run")

// migrate runs one migration with its captures, and puts back what the last run in the opposite direction captured.
func (r *runner) migrate(ctx context.Context, version int64) error {
	var rec *record
	if r.known[version] {
		var err error
		if rec, err = r.m.catalog.load(ctx, r.s, version); err != nil {
			return err
		}
	}
	mig, note, err := r.m.migration(ctx, version, r.dir, rec)
	if err != nil {
		return err
	}
	if note != "" {
		r.warn(note)
	}
	if r.dir == Down && rec == nil && !r.allowUncaptured {
		return &RefusedError{Reasons: []Refusal{{
			File: mig.File, Line: 1, Column: 1,
			Message: fmt.Sprintf("migration %d was applied by another tool: what it destroyed was not captured", version),
			Hint:    "--allow-uncaptured runs its Down all the same; what Down destroys is captured first",
		}}}
	}
	if r.dir == Down && rec == nil && len(mig.Down) == 0 {
		return &RefusedError{Reasons: []Refusal{{
			File: mig.File, Line: 1, Column: 1,
			Message: fmt.Sprintf("migration %d has no Down section, and nothing was captured that could stand in for it", version),
			Hint:    "write its Down section, then run the rollback again",
		}}}
	}
	start := time.Now()
	w := &work{r: r, mig: mig, rec: rec, stmts: mig.statements(r.dir)}
	w.reach = reachOf(w.stmts, verify.ByName(r.m.db))
	if w.lean() {
		w.reach.bare = &r.bare
	} else { // which may set what the session has
		r.bare = verify.Bare{}
	}
	if w.reach.all {
		defer r.memory.Forget() // it may rename what other tables' definitions quote
	}
	r.m.o.Events(Event{Kind: MigrationStart, Version: version, File: mig.File, Direction: r.dir, Of: len(w.stmts)})
	if w.atomic() {
		w, err = r.atomically(ctx, w)
	} else if err = r.waits(ctx, r.wait); err == nil {
		if err = w.journalled(ctx); err == nil {
			err = r.waits(ctx, shortWait)
		}
	}
	if errors.Is(err, errSettled) {
		r.warn(fmt.Sprintf("%s: %v", mig.File, err))
		return nil
	}
	if err != nil {
		return err
	}
	r.finish(w, time.Since(start))
	if len(w.report.Later) == 0 { // filling has left no row
		return nil
	}
	return r.fill(ctx, version)
}

// attempt runs a migration that is one transaction, once. It gives the work that was committed.
func (r *runner) attempt(ctx context.Context, w *work) (*work, error) {
	long := *w
	journals, err := r.journals(ctx)
	if err != nil {
		return w, err
	}
	if a := w.additive(); a != nil && !journals {
		ran := false
		err := r.s.Tx(ctx, func(tx *sql.Tx) error {
			err := w.keepingLarge(ctx, tx, w.stmts, func() error { return w.add(ctx, tx, a) })
			ran = err == nil
			return err
		})
		if err = w.committing(ran, len(w.stmts)-1, err); err == nil {
			return w, nil
		}
		r.unknown(w.reach)
		var failed *StatementError
		if errors.As(err, &failed) && ctx.Err() == nil {
			// Perhaps because somebody else ran the migration meanwhile.
			if is, look := r.m.isApplied(ctx, r.s, w.mig.Version); look == nil && is {
				err = errSettled
			}
		}
		if !errors.Is(err, errSurprise) && !errors.Is(err, audit.ErrTaken) {
			return w, err
		}
	}
	r.unknown(w.reach)
	ran := false
	err = r.s.Tx(ctx, func(tx *sql.Tx) error {
		err := long.keepingLarge(ctx, tx, w.stmts, func() error { return long.inTransaction(ctx, tx) })
		ran = err == nil
		return err
	})
	return &long, long.committing(ran, len(w.stmts)-1, err)
}

// unknown forgets tables that a migration can change otherwise than by adding to them.
func (r *runner) unknown(re reach) {
	maps.DeleteFunc(r.plain, func(n engine.Name, _ *verify.Plain) bool {
		return re.all || slices.ContainsFunc(re.names, func(x engine.Name) bool { return x.Name == n.Name })
	})
}

// finish adds a migration's outcome to the result; called after its commit.
func (r *runner) finish(w *work, took time.Duration) {
	mr := MigrationResult{Version: w.mig.Version, File: w.mig.File, Seconds: took.Seconds()}
	for _, c := range w.captures {
		mr.Captures++
		if !c.Part {
			mr.Rows += c.Rows
		}
		mr.Snapshot = c.Snapshot
	}
	r.at, r.res.To, r.last = w.to, w.to, w.next
	mr.Verified = w.report.Verified && len(w.report.Later) == 0 // else when all values are back
	r.res.Migrations = append(r.res.Migrations, mr)
	r.merge(w.report)
	r.res.NotUndone = append(r.res.NotUndone, w.notUndone...)
	if r.res.Aborted { // what was taken back is not done
		return
	}
	r.m.o.Events(Event{Kind: MigrationDone, Version: w.mig.Version, File: w.mig.File, Direction: r.dir, Rows: mr.Rows, Elapsed: took})
}

// merge adds what went back to the result.
func (r *runner) merge(rep snapshot.Report) {
	r.res.Verified = r.res.Verified && rep.Verified
	for _, t := range rep.Tables {
		i := slices.IndexFunc(r.res.Tables, func(x snapshot.TableReport) bool { return x.Table == t.Table })
		if i < 0 {
			r.res.Tables = append(r.res.Tables, t)
			continue
		}
		sum := &r.res.Tables[i]
		sum.Inserted += t.Inserted
		sum.Updated += t.Updated
		sum.Deleted += t.Deleted
		sum.Conflicts += t.Conflicts
		sum.Kept += t.Kept
	}
	r.res.Conflicts = append(r.res.Conflicts, rep.Conflicts...)
	for _, n := range rep.Notes {
		r.warn(n)
	}
}

func (r *runner) warn(text string) {
	r.res.Warnings = append(r.res.Warnings, text)
	r.m.o.Events(Event{Kind: WarningEvent, Text: text})
}

// warnOnce warns of what many statements may have in common.
func (r *runner) warnOnce(text string) {
	if !slices.Contains(r.res.Warnings, text) {
		r.warn(text)
	}
}

// work is one migration on its way.
type work struct {
	r         *runner
	mig       *Migration
	rec       *record // as it was before this run; nil when unknown
	stmts     []Statement
	bare      []effects.Statement // the same, once they were asked for; see parsed
	reach     reach
	tables    []engine.Name // that the reach's names have meant so far
	before    verify.Fingerprint
	undo      changes // what this run is to take back; nil when it undoes nothing
	columns   standing
	restorer  *snapshot.Restorer
	capturer  *snapshot.Capturer
	report    snapshot.Report
	captures  []snapshot.Info
	notUndone []string
	last      *audit.Last                 // the newest entry of the log, once it is locked
	next      *audit.Last                 // its own, once this is committed
	to        int64                       // the version once this is committed
	ends      bool                        // it has a journal, which its end clears
	started   bool                        // the journal has its first statement already; see lean.go
	back      bool                        // captured rows went back before a crash
	memo      string                      // of the restorer, as the journal has it
	begun     opening                     // where the journal begins; of a run that is journalled
	settings  func(context.Context) error // sets back what its statements set for their session; nil when none did
	swaps     map[int]bool                // its statements that exchange rows, which need no capture; see exchange.go
	role      string                      // that its statements have taken on by now, outside one transaction; "" when none did
}

func action(d Direction) string {
	if d == Down {
		return "rollback"
	}
	return string(d)
}

// inTransaction does all of it in the caller's transaction.
func (w *work) inTransaction(ctx context.Context, tx *sql.Tx) error {
	if err := w.begin(ctx, tx); err != nil {
		return err
	}
	for i := range w.stmts {
		if w.moot(i) {
			continue
		}
		if err := w.statement(ctx, tx, i); err != nil {
			return err
		}
		if err := w.place(ctx, ground{tx: tx}, i+1); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(w.stmts, switches) {
		// What follows is ours and goose's, and the next migration begins as this one did.
		if err := w.r.m.db.Ourselves(ctx, tx); err != nil {
			return err
		}
	}
	return w.end(ctx, ground{tx: tx})
}

// switches tells whether a statement may leave the session as another role than it found it.
func switches(st Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session })
}

// begin looks at what is there before the first statement.
func (w *work) begin(ctx context.Context, tx database.DBTxConn) error {
	m, dir := w.r.m, w.r.dir
	is, err := m.isApplied(ctx, tx, w.mig.Version)
	if err != nil {
		return err
	}
	if is == (dir == Up) {
		return errSettled
	}
	if w.rec != nil && (dir == Down || w.rec.Text == w.mig.Text) {
		// What Down captured goes back by the next Up only under the very text that was rolled back: a mended
		// migration must not get the broken one's values.
		w.undo = w.rec.changes(dir.opposite())
		w.reach = w.reach.with(w.undo)
		if err := w.restores(ctx, tx); err != nil {
			return err
		}
	}
	if w.before, err = w.fingerprint(ctx, tx); err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	w.letGo()
	if dir == Down && w.undo != nil && !w.r.allowDrift {
		found := w.undo.among(w.before, true)
		if newest, err := m.newest(ctx, tx, w.mig.Version); err != nil {
			return err
		} else if newest {
			found = w.rec.Columns.strangers(found, w.before)
		}
		if d := material(verify.Diff(w.undo.side(true), found)); len(d) > 0 {
			return &DriftError{Version: w.mig.Version, When: "before", Differences: d}
		}
	}
	w.waits()
	if w.restorer != nil {
		w.restorer.Ahead(w.parsed(0))
		if err := w.restorer.Check(ctx, tx); err != nil {
			return err
		}
	}
	if err := w.wereThere(ctx, tx); err != nil {
		return err
	}
	if err := w.cannotEnd(ctx, tx); err != nil {
		return err
	}
	if err := w.exchangedBack(); err != nil {
		return err
	}
	w.capturer = m.store.Begin(w.meta())
	if w.restorer != nil {
		w.restorer.Record(w.capturer)
	}
	return w.capturer.Stand(ctx, tx, w.parsed(0)...)
}

// meta is what the captures of the migration are marked with.
func (w *work) meta() snapshot.Meta {
	m := w.r.m
	opposite := parsed(w.mig.statements(w.r.dir.opposite()))
	return snapshot.Meta{
		Run: w.r.res.Run, Direction: string(w.r.dir), CreatedBy: m.o.User, Release: w.r.res.Release,
		Migration: w.mig.Version, Expires: m.expires(time.Now()), First: w.rec == nil, Statements: w.parsed(0), Opposite: &opposite, Instead: true, Steps: !w.atomic(),
	}
}

// fingerprint takes what the migration can change as it is now. Most of the time that is what the migration before it
// left, and remembered.
func (w *work) fingerprint(ctx context.Context, tx engine.Querier) (verify.Fingerprint, error) {
	return w.reach.takeBy(ctx, w.r.m.db, tx, func(ctx context.Context, q engine.Querier, s verify.Scope) (verify.Fingerprint, error) {
		// A name may come to mean another table on the way: a new one, in a schema that comes first. The old one is
		// looked at all the same, else it would count as destroyed.
		for _, n := range s.Tables {
			if !slices.Contains(w.tables, n) {
				w.tables = append(w.tables, n)
			}
		}
		if !w.reach.all {
			s.Tables = w.tables
		}
		f, err := w.r.memory.Take(ctx, q, s)
		return w.ours(f), err
	})
}

// expires says when captures made now may be pruned; nil = never.
func (m *Migrator) expires(now time.Time) *time.Time {
	if m.o.Keep <= 0 {
		return nil
	}
	t := now.Add(m.o.Keep).UTC()
	return &t
}

// material leaves out the differences that no query can see.
func material(d []verify.Difference) []verify.Difference {
	return slices.DeleteFunc(d, func(x verify.Difference) bool { return x.Cosmetic })
}

func (w *work) announce(i int) {
	w.r.m.o.Events(Event{
		Kind: StatementStart, Version: w.mig.Version, File: w.mig.File, Direction: w.r.dir, Statement: i + 1, Of: len(w.stmts), Text: headline(w.stmts[i].SQL),
	})
}

// statement runs a statement in a transaction, with its captures.
func (w *work) statement(ctx context.Context, tx *sql.Tx, i int) error {
	return w.captured(ctx, ground{tx: tx}, i, func(text string) error {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return w.failed(w.stmts[i], err)
		}
		return nil
	})
}

// captured captures what one statement destroys, has it run, and fills what it brought back.
func (w *work) captured(ctx context.Context, g ground, i int, run func(text string) error) error {
	st, m, q := w.stmts[i], w.r.m, g.schema()
	w.announce(i)
	text, err := w.deferNotNull(ctx, q, st)
	if err != nil {
		return err
	}
	if w.restorer != nil && w.atomic() {
		if err := w.restorer.Outstanding(ctx, q, st.Statement); err != nil {
			return w.located(st, err)
		}
		instead, err := w.restorer.Instead(ctx, q, st.Statement, func() error { return run(text) })
		if err != nil {
			return err
		}
		if instead != "" {
			text = instead
		}
	}
	w.noteExternal(st)
	capture := st.Statement
	if w.mig.noCapture(w.r.dir, st) || w.swaps[i] {
		capture.Effects = slices.DeleteFunc(slices.Clone(st.Effects), func(e effects.Effect) bool { return e.DestroysData() })
	}
	if declared := w.mig.declared(w.r.dir, st); st.Opaque() && len(declared) > 0 && !w.atomic() {
		capture.Effects = declared
	}
	if w.restorer != nil && (demands(st) || m.db.Caps.TransactionalDDL && st.retypes()) {
		w.capturer.Ahead(nil, w.watch) // what goes back changes no names
		if err := g.rows(ctx, func(tx *sql.Tx) error {
			if err := w.restorer.Settle(ctx, tx, w.parsed(i)...); err != nil || g.tx != nil {
				return err
			}
			return w.remember(ctx, tx, i)
		}); err != nil {
			return err
		}
	}
	followed, err := w.follow(ctx, g, &st)
	if err != nil {
		return w.located(st, err)
	}
	if err := w.capturer.Hold(ctx, q, st.Statement); err != nil {
		return w.located(st, err)
	}
	start := time.Now()
	had := len(w.capturer.Captures())
	w.capturer.Ahead(st.Effects, w.watch)
	w.capturer.Accept(w.mig.acceptedLoss() || w.mig.noCapture(w.r.dir, st))
	if err := w.capturer.Statement(ctx, q, i+1, capture, func() error {
		if instead := w.capturer.Instead(); instead != "" {
			return run(instead)
		}
		return run(text)
	}); err != nil {
		return w.located(st, err)
	}
	if err := followed(ctx); err != nil {
		return w.located(st, err)
	}
	for _, c := range w.capturer.Captures()[had:] {
		if c.Part {
			continue
		}
		m.o.Events(Event{Kind: CaptureDone, Version: w.mig.Version, File: w.mig.File, Statement: i + 1, Text: st.SQL, Table: c.Table, Rows: c.Rows, Bytes: c.Bytes, Elapsed: time.Since(start)})
	}
	return nil
}

// place puts back what has its place again, ahead of the statements from the i-th on.
func (w *work) place(ctx context.Context, g ground, i int) error {
	if w.restorer == nil {
		return nil
	}
	if err := w.loosen(ctx, g, i); err != nil {
		return err
	}
	return g.rows(ctx, func(tx *sql.Tx) error {
		if err := w.restorer.Place(ctx, tx, w.parsed(i)...); err != nil || g.tx != nil {
			return err
		}
		return w.remember(ctx, tx, i)
	})
}

// remember keeps in the journal what the restorer knows by now, with the i-th statement.
func (w *work) remember(ctx context.Context, tx *sql.Tx, i int) error {
	now, err := w.restorer.Memo()
	if err != nil || now == w.memo {
		return err
	}
	if w.memo = now; i == 0 {
		w.begun.Memo = now
		return w.journal(ctx, tx, 0, stepDone, w.begun)
	}
	return w.journal(ctx, tx, i, stepDone, note{Memo: now})
}

// demands says whether a statement can fail on rows that do not have their old values back yet.
func demands(st Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		return e.Kind == effects.SetNotNull || e.Kind == effects.AddConstraint || e.Kind == effects.ValidateConstraint ||
			e.Kind == effects.Create && e.Index != nil && e.Index.Unique
	})
}

// retypes says whether a statement reads values of a column anew, as another type.
func (st Statement) retypes() bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.AlterColumnType })
}

// deferNotNull blanks the NOT NULL of an added column whose captured data can only come after it; the repair at the
// end sets it. Without a recorded definition to repair from, the statement runs as it stands.
func (w *work) deferNotNull(ctx context.Context, tx engine.Querier, st Statement) (string, error) {
	if w.restorer == nil || len(st.NotNullSpans) == 0 {
		return st.SQL, nil
	}
	text := []byte(st.SQL)
	for _, e := range st.Effects {
		if e.Kind != effects.AddColumn {
			continue
		}
		table, err := w.r.m.db.Resolve(ctx, tx, engine.Name(e.Table))
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, span := range st.NotNullSpans {
			if !slices.Contains(e.Columns, span.Column) {
				continue
			}
			home, column, waits, err := w.restorer.Pending(ctx, tx, table, span.Column)
			if err != nil {
				return "", err
			}
			if !waits {
				continue
			}
			if _, recorded := w.undo.side(false)[verify.Object{Kind: "not null", Name: home.String() + "." + column}.Key()]; !recorded {
				continue
			}
			for i := span.Start; i < span.End; i++ {
				text[i] = ' '
			}
		}
	}
	return string(text), nil
}

// noteExternal remembers what a rollback of this statement will not undo.
func (w *work) noteExternal(st Statement) {
	for _, e := range st.Effects {
		if e.Kind == effects.External {
			w.notUndone = append(w.notUndone, fmt.Sprintf("%s:%d:%d: %s", st.File, st.Line, st.Column, e.Detail))
		}
	}
}

// failed gives a server's error its place in the file.
func (w *work) failed(st Statement, err error) error { return placed(st, err) }

// located gives an error of ours, such as a capture that was refused, the place of its statement.
func (w *work) located(st Statement, err error) error {
	var placed *StatementError
	if errors.As(err, &placed) {
		return err
	}
	return &StatementError{File: st.File, Line: st.Line, Column: st.Column, SQL: st.SQL, Err: err}
}

// committing gives what the server says against a transaction at its end, such as a deferred constraint, the place of the last statement that ran
// in it. Which of them is to blame the server does not tell.
func (w *work) committing(ran bool, i int, err error) error {
	if err == nil || !ran || i < 0 || !engine.Answered(err) {
		return err
	}
	e, _ := engine.AsError(err)
	at := *e
	at.Message, at.Position, at.Err = "checked at the commit, after this statement: "+e.Message, 0, err
	return &StatementError{File: w.stmts[i].File, Line: w.stmts[i].Line, Column: w.stmts[i].Column, Err: &at}
}

// headline is the first line of a statement, short enough for a progress line.
func headline(sql string) string {
	text := strings.Join(strings.Fields(sql), " ")
	if r := []rune(text); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return text
}
