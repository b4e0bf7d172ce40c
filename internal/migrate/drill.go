package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// DrillOptions say what to practise. Exactly one of Release and Snapshot may be set; without either the drill goes back over the
// migrations that it has applied or, where none was pending, over the newest one.
type DrillOptions struct {
	Release           string                          // go back to it
	Snapshot          string                          // go back to before the migration that made it; "latest": the newest
	AllowIrreversible bool                            // apply migrations that say so, too
	Probe             func(ctx context.Context) error // asked once the migrations are applied; may be nil
	Production        map[string]int64                // rows a table where the rollback is to be fast enough; nil: as here
	MaxRecovery       time.Duration                   // longest recovery time to expect; 0: none
	Place             string                          // "in place", or how the copy was made
	Original          string                          // name of the database that a copy was made of, where statements on the copy can reach it
	Events            func(text string)               // may be nil
}

// DrillPhase is one step of a drill.
type DrillPhase struct {
	Name    string  `json:"name"` // copy | snapshot | look | up | probe | rollback | up again | back again | verify | recovery time
	Seconds float64 `json:"duration_seconds"`
	Detail  string  `json:"detail"`
	Error   string  `json:"error,omitempty"` // a line each finding
	// Of up and rollback: the locks that were seen to be held on tables, or why none could be seen.
	Locks        []DrillLock `json:"locks,omitempty"`
	LocksUnknown string      `json:"locks_unknown,omitempty"`
}

// DrillMigration is one migration that was undone.
type DrillMigration struct {
	Version         int64      `json:"version"`
	File            string     `json:"file"`
	Sum             string     `json:"sum"` // of its text
	UpSeconds       float64    `json:"up_seconds,omitempty"`
	RollbackSeconds float64    `json:"rollback_seconds"`
	Locks           []PlanLock `json:"locks"` // that the rollback takes; none is held for longer than its duration
}

// DrillTable compares one table.
type DrillTable struct {
	Table   string   `json:"table"`
	Before  int64    `json:"rows_before"` // -1: it was not there
	Applied int64    `json:"rows_applied"`
	After   int64    `json:"rows_after"` // -1: it is not there
	Equal   bool     `json:"equal"`
	Columns []string `json:"columns,omitempty"` // whose values differ, as far as that was looked at
}

// DrillReport is the outcome of a drill.
type DrillReport struct {
	Version     int                 `json:"version"`
	At          time.Time           `json:"at"`
	Target      engine.Target       `json:"target"`
	Place       string              `json:"place"` // template | dump | backup | statements | in place
	OK          bool                `json:"ok"`
	From        int64               `json:"from"`    // where the target stood
	Applied     int64               `json:"applied"` // where Up led
	To          int64               `json:"to"`      // where the rollback led
	Phases      []DrillPhase        `json:"phases"`
	Migrations  []DrillMigration    `json:"migrations"`
	Tables      []DrillTable        `json:"tables"`
	Differences []verify.Difference `json:"differences"`
	Conflicts   int                 `json:"conflicts"`
	Recovery    *Recovery           `json:"recovery,omitempty"`
	Seconds     float64             `json:"duration_seconds"`
}

// Failed is the first phase that failed, nil when none did.
func (r *DrillReport) Failed() *DrillPhase {
	for i := range r.Phases {
		if r.Phases[i].Error != "" {
			return &r.Phases[i]
		}
	}
	return nil
}

// ErrNothingToDrill says that the target has no migration that could be undone.
var ErrNothingToDrill = errors.New("there is nothing to drill: no migration is applied, and none is pending")

// drill is one drill under way.
type drill struct {
	m       *Migrator
	o       DrillOptions
	r       *DrillReport
	start   int64
	pending bool
	to      int64
	before  *still // what must be there in the end
	applied *still // what is there in between
	plan    *Plan
	// captured is what the catalog holds when the rollback begins.
	captured []snapshot.Snapshot
}

// Drill practises a rollback on the database that m is open on: up, probe, rollback, and a comparison of every object and
// every row with what there was before. In place the database ends at the version at which it began, also when a phase fails. The
// error is that of the surroundings; what the drill found is in the report.
func (m *Migrator) Drill(ctx context.Context, o DrillOptions) (*DrillReport, error) {
	if o.Events == nil {
		o.Events = func(string) {}
	}
	began := time.Now()
	d := &drill{m: m, o: o, r: &DrillReport{Version: 1, At: began.UTC().Truncate(time.Second), Target: m.db.Target, Place: o.Place, Phases: []DrillPhase{},
		Migrations: []DrillMigration{}, Tables: []DrillTable{}, Differences: []verify.Difference{}}}
	if err := d.aim(ctx); err != nil {
		return nil, err
	}
	err := d.run(ctx)
	d.r.OK = err == nil && d.r.Failed() == nil
	d.r.Seconds = time.Since(began).Seconds()
	return d.r, err
}

// aim decides how far the rollback goes.
func (d *drill) aim(ctx context.Context) error {
	st, err := d.m.Status(ctx)
	if err != nil {
		return err
	}
	if len(st.Unfinished) > 0 {
		return fmt.Errorf("%w: finish it first, with dbrollback recover", ErrUnfinished)
	}
	var applied []int64
	for _, m := range st.Migrations {
		if m.AppliedAt == nil {
			d.pending = true
		} else {
			applied = append(applied, m.Version)
		}
	}
	d.start = st.Current
	d.r.From, d.r.Applied = d.start, d.start
	below := func(v int64) int64 {
		return current(slices.DeleteFunc(slices.Clone(applied), func(a int64) bool { return a >= v }))
	}
	switch {
	case d.o.Release != "":
		if d.to, err = d.m.release(ctx, d.m.db, d.o.Release); err != nil {
			return err
		}
		if d.to > d.start || d.to > 0 && !slices.Contains(applied, d.to) {
			return &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("release %s is migration %d, which is not applied", d.o.Release, d.to), Hint: "dbrollback release list"}}}
		}
		if d.to == d.start && !d.pending {
			return &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("the database is at release %s already: nothing would be undone", d.o.Release), Hint: "name an older release"}}}
		}
	case d.o.Snapshot != "":
		v, err := d.snapshot(ctx, applied)
		if err != nil {
			return err
		}
		d.to = below(v)
	case d.pending:
		d.to = d.start
	case len(applied) == 0:
		return ErrNothingToDrill
	default:
		d.to = below(d.start)
	}
	d.r.To = d.to
	var concerned []int64
	for _, m := range st.Migrations {
		if m.AppliedAt == nil || m.Version > d.to {
			concerned = append(concerned, m.Version)
		}
	}
	if err := d.keepsTo(ctx, concerned); err != nil {
		return err
	}
	if d.to < d.start && d.o.Place == InPlace {
		return &RefusedError{Reasons: []Refusal{{Message: "in place only pending migrations can be practised: applied ones would be applied again to what was written since",
			Hint: "leave --in-place out, to work on a copy"}}}
	}
	return nil
}

// snapshot finds the migration whose Up made a snapshot, and checks that what was captured then is intact.
func (d *drill) snapshot(ctx context.Context, applied []int64) (int64, error) {
	began := time.Now()
	refuse := func(message string) error {
		return &RefusedError{Reasons: []Refusal{{Message: message, Hint: "dbrollback snapshot list"}}}
	}
	if ok, err := d.m.catalog.exists(ctx, d.m.db); err != nil || !ok {
		return 0, errors.Join(err, refuse("there is no snapshot: dbrollback has not run here"))
	}
	all, err := d.m.store.List(ctx, d.m.db)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(all, func(sn snapshot.Snapshot) bool {
		if d.o.Snapshot != "latest" {
			return sn.ID == d.o.Snapshot
		}
		return sn.Direction == string(Up) && slices.Contains(applied, sn.Migration)
	})
	switch {
	case i < 0 && d.o.Snapshot == "latest":
		return 0, refuse("there is no snapshot of a migration that is applied")
	case i < 0:
		return 0, refuse(fmt.Sprintf("there is no snapshot %s", d.o.Snapshot))
	case all[i].Direction != string(Up) || !slices.Contains(applied, all[i].Migration):
		return 0, refuse(fmt.Sprintf("snapshot %s was not made by a migration that is applied: no rollback uses it", d.o.Snapshot))
	}
	seen, err := d.m.store.Verify(ctx, d.m.db, all[i].ID)
	if err != nil {
		return 0, err
	}
	var rows int64
	damaged := ""
	for _, v := range seen {
		rows += max(v.Info.Rows, 0)
		if !v.OK {
			damaged = fmt.Sprintf("the capture of %s is damaged: %s", v.Info.Table, v.Reason)
		}
	}
	d.phase("snapshot", began, fmt.Sprintf("%s of migration %d: %s, %s", all[i].ID, all[i].Migration, plural(int64(len(seen)), "capture"), plural(rows, "row")), damaged)
	return all[i].Migration, nil
}

func (d *drill) phase(name string, began time.Time, detail, failure string) {
	d.r.Phases = append(d.r.Phases, DrillPhase{Name: name, Seconds: time.Since(began).Seconds(), Detail: detail, Error: failure})
}

// failed ends a phase with an error. What the surroundings did is passed on: it says nothing about the migrations.
func (d *drill) failed(ctx context.Context, name string, began time.Time, err error) error {
	if e, ok := engine.AsError(err); ctx.Err() != nil || ok && (e.Class == engine.ConnectionLost || e.Class == engine.Unreachable || e.Class == engine.DiskFull) {
		return err
	}
	d.phase(name, began, "", err.Error())
	var drift *DriftError
	if errors.As(err, &drift) {
		d.r.Differences = drift.Differences
	}
	return nil
}

func (d *drill) run(ctx context.Context) error {
	began := time.Now()
	d.o.Events("looking at every object and row")
	var err error
	if d.before, err = takeStill(ctx, d.m.db); err != nil {
		return err
	}
	d.phase("look", began, d.before.String(), "")
	d.applied = d.before
	if d.pending {
		if err := d.up(ctx); err != nil || d.r.Failed() != nil {
			return errors.Join(err, d.retreat(ctx))
		}
	}
	if d.o.Probe != nil {
		began := time.Now()
		d.o.Events("probing")
		detail, failure := "answered", ""
		if err := d.o.Probe(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.Join(ctx.Err(), d.retreat(ctx))
			}
			detail, failure = "", err.Error()
		}
		d.phase("probe", began, detail, failure)
	}
	if err := d.rollback(ctx); err != nil || d.r.Phases[len(d.r.Phases)-1].Error != "" {
		return errors.Join(err, d.retreat(ctx))
	}
	if d.to < d.start {
		if err := d.again(ctx); err != nil || d.r.Failed() != nil {
			return err
		}
	}
	if err := d.compare(ctx); err != nil {
		return err
	}
	return d.recovery(ctx)
}

func (d *drill) up(ctx context.Context) error {
	began := time.Now()
	d.o.Events("applying what is pending")
	locks := d.sample(ctx)
	res, err := d.m.Up(ctx, UpRequest{To: -1, AllowIrreversible: d.o.AllowIrreversible})
	if err != nil {
		err = d.failed(ctx, "up", began, err)
		d.sampled(locks)
		return err
	}
	d.r.Applied = res.To
	var rows int64
	for _, m := range res.Migrations {
		rows += m.Rows
		d.r.Migrations = append(d.r.Migrations, DrillMigration{Version: m.Version, File: m.File, UpSeconds: m.Seconds, Locks: []PlanLock{}})
	}
	d.phase("up", began, fmt.Sprintf("version %d -> %d, %s captured", res.From, res.To, plural(rows, "row")), "")
	d.sampled(locks)
	d.applied, err = takeStill(ctx, d.m.db)
	return err
}

func (d *drill) rollback(ctx context.Context) error {
	d.o.Events(fmt.Sprintf("rolling back to %d", d.to))
	var err error
	if d.plan, err = d.m.Plan(ctx, PlanRequest{Direction: Down, To: d.to}); err != nil {
		return d.failed(ctx, "rollback", time.Now(), err)
	}
	if d.captured, err = d.m.store.List(ctx, d.m.db); err != nil {
		return err
	}
	began := time.Now()
	locks := d.sample(ctx)
	res, err := d.m.Rollback(ctx, RollbackRequest{To: d.to, OnConflict: snapshot.Keep})
	if err != nil {
		err = d.failed(ctx, "rollback", began, err)
		d.sampled(locks)
		return err
	}
	var written int64
	for _, t := range res.Tables {
		written += t.Inserted + t.Updated + t.Deleted
		d.r.Conflicts += int(t.Conflicts)
	}
	failure := ""
	if !res.Verified {
		failure = "what came back is not what was captured"
		if len(res.Warnings) > 0 {
			failure = res.Warnings[len(res.Warnings)-1]
		}
	}
	d.phase("rollback", began, fmt.Sprintf("version %d -> %d, %s put back, %s", res.From, res.To, plural(written, "row"), plural(int64(d.r.Conflicts), "conflict")), failure)
	d.sampled(locks)
	return d.note(ctx, res)
}

// again goes up and back once more from where the rollback led. What stood there before these migrations were applied nobody
// knows, and the application has written since; but from here to here nobody writes, so that everything must be equal.
func (d *drill) again(ctx context.Context) error {
	began := time.Now()
	d.o.Events("up and back once more")
	var err error
	if d.before, err = takeStill(ctx, d.m.db); err != nil {
		return err
	}
	if _, err := d.m.Up(ctx, UpRequest{To: d.r.Applied, AllowIrreversible: true}); err != nil {
		return d.failed(ctx, "up again", began, err)
	}
	d.phase("up again", began, fmt.Sprintf("version %d -> %d", d.to, d.r.Applied), "")
	began = time.Now()
	if d.applied, err = takeStill(ctx, d.m.db); err != nil {
		return err
	}
	if _, err := d.m.Rollback(ctx, RollbackRequest{To: d.to, OnConflict: snapshot.Keep}); err != nil {
		return d.failed(ctx, "back again", began, err)
	}
	d.phase("back again", began, fmt.Sprintf("version %d -> %d", d.r.Applied, d.to), "")
	return nil
}

// note adds to the report what the rollback did with each migration.
func (d *drill) note(ctx context.Context, res *Result) error {
	ups := d.r.Migrations
	d.r.Migrations = []DrillMigration{}
	for _, m := range res.Migrations {
		x := DrillMigration{Version: m.Version, File: m.File, RollbackSeconds: m.Seconds, Locks: []PlanLock{}}
		for _, u := range ups {
			if u.Version == m.Version {
				x.UpSeconds = u.UpSeconds
			}
		}
		rec, err := d.m.catalog.load(ctx, d.m.db, m.Version)
		if err != nil {
			return err
		}
		if rec != nil {
			x.Sum = sumOf(rec.Text)
		}
		for _, pm := range d.plan.Migrations {
			if pm.Version == m.Version {
				x.Locks = append(x.Locks, locksOf(pm)...)
			}
		}
		d.r.Migrations = append(d.r.Migrations, x)
	}
	return nil
}

// locksOf lists the strongest lock a table of a planned migration.
func locksOf(pm PlanMigration) []PlanLock {
	var out []PlanLock
	for _, st := range pm.Steps {
		for _, l := range st.Locks {
			i := slices.IndexFunc(out, func(o PlanLock) bool { return o.Table == l.Table })
			if i < 0 {
				out = append(out, l)
			} else if l.Mode == "ACCESS EXCLUSIVE" {
				out[i].Mode = l.Mode
			}
		}
	}
	return out
}

// InPlace is the Place of a drill on the target itself.
const InPlace = "in place"

// retreat brings the target back to the version at which the drill began, as far as that goes; it works after Ctrl-C. A copy is
// thrown away as it is.
func (d *drill) retreat(ctx context.Context) error {
	if d.o.Place != InPlace {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retreatWait)
	defer cancel()
	began := time.Now()
	st, err := d.m.Status(ctx)
	if err != nil || st.Current == d.start {
		return err
	}
	if _, err = d.m.Rollback(ctx, RollbackRequest{To: d.start}); err != nil {
		d.phase("back to the start", began, "", fmt.Sprintf("the database is at version %d and could not be brought back to %d: %v", st.Current, d.start, err))
		return nil
	}
	d.phase("back to the start", began, fmt.Sprintf("version %d -> %d", st.Current, d.start), "")
	return nil
}

const retreatWait = 10 * time.Minute
