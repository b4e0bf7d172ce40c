package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// The directions of runs that no migration is part of.
const (
	Restoring Direction = "restore"  // rows back into tables as they are
	Capturing Direction = "snapshot" // tables captured by hand
)

// RestoreRequest asks for rows as they were.
type RestoreRequest struct {
	snapshot.Ask
	Release string // as the tables last were under this release; Ask names no other moment then
	Write   bool   // false: a preview, which changes nothing
	Online  bool   // in batches, each a short transaction of its own
	// FromBinlog: from the server's binary log instead of a journal or captures; Ask names a time then.
	FromBinlog bool
	log        *journal.Binlog
	Batch      int // rows of a batch; 0 = a number that holds locks for a fraction of a second
	// Agreed, when there is one, is asked before anything of it lasts, with the tables and where their rows come from: an error ends the
	// restore without effect.
	Agreed func([]snapshot.Preview) error
	Detail map[string]string // for the audit log: who approved it, and the like
}

// RestoreResult is what a restore did, or would do.
type RestoreResult struct {
	*Result
	Preview  bool               `json:"preview"`
	Mode     snapshot.Mode      `json:"mode"`
	Details  []snapshot.Preview `json:"details"`            // of each table
	Safety   string             `json:"safety,omitempty"`   // snapshot of what was written over
	Undo     string             `json:"undo,omitempty"`     // the command that takes it back
	Batches  int                `json:"batches,omitempty"`  // of an online restore
	Snapshot string             `json:"snapshot,omitempty"` // where the rows come from, when it is one
}

// errPreview ends the transaction of a preview.
var errPreview = errors.New("a preview writes nothing")

// Restore brings rows back that were captured, or says what that would do. Besides the engine's errors it gives those of package
// snapshot: *AskError, *NothingError, *NoTableError, *UnsafeError, *IncompatibleError, *DamagedError, *ConflictError, *ProofError.
func (m *Migrator) Restore(ctx context.Context, req RestoreRequest) (*RestoreResult, error) {
	r, err := m.newRun(Restoring)
	if err != nil {
		return nil, err
	}
	out := &RestoreResult{Result: r.res, Preview: !req.Write, Mode: req.Mode, Details: []snapshot.Preview{}}
	if out.Mode == "" {
		out.Mode = snapshot.Merge
	}
	r.res.Verified = false
	if req.FromBinlog {
		req.log = m.binlog(req.Ask)
		defer func() { _ = req.log.Begin() }()
	}
	if !req.Write {
		err = m.preview(ctx, r, req, out)
	} else {
		err = m.locked(ctx, func(s *engine.Session) error {
			if _, err := r.enter(ctx, s); err != nil {
				return err
			}
			do := r.restore
			if req.Online {
				do = r.online
			}
			err := do(ctx, req, out)
			if err != nil {
				r.logRestore(ctx, req, out, err)
			}
			return err
		})
	}
	r.done()
	return out, err
}

// preview looks, in a transaction that is rolled back.
func (m *Migrator) preview(ctx context.Context, r *runner, req RestoreRequest, out *RestoreResult) (err error) {
	s, err := m.db.Session(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	applied, err := m.applied(ctx, s)
	if err != nil {
		return err
	}
	r.res.From, r.res.To = current(applied), current(applied)
	err = again(ctx, s, func(tx *sql.Tx) error {
		x, err := m.restoration(ctx, tx, req)
		if err != nil {
			return err
		}
		details, err := x.Preview(ctx, tx)
		out.fill(details, x.Conflicts())
		r.moments(out)
		if err != nil {
			return err
		}
		return errPreview
	})
	if errors.Is(err, errPreview) {
		return nil
	}
	return err
}

// restoration finds the moment that a request means, and what is held of it.
func (m *Migrator) restoration(ctx context.Context, tx database.DBTxConn, req RestoreRequest) (*snapshot.Restoration, error) {
	if req.Release != "" {
		at, err := m.lastUnder(ctx, tx, req.Release)
		if err != nil {
			return nil, err
		}
		req.At, req.Captures = at, true // what the next migration wrote itself may count as before its end
	}
	if !req.FromBinlog {
		return m.store.Restoration(ctx, tx, req.Ask)
	}
	if err := req.log.Begin(); err != nil {
		return nil, err
	}
	store := *m.store
	store.Journal, req.Written = req.log, true
	return store.Restoration(ctx, tx, req.Ask)
}

// lastUnder is the last moment of a release: when the first migration after it had run, or now. What that migration captured is
// the state before it.
func (m *Migrator) lastUnder(ctx context.Context, q database.DBTxConn, name string) (time.Time, error) {
	version, err := m.release(ctx, q, name)
	if err != nil {
		return time.Time{}, err
	}
	list, err := m.catalog.releases(ctx, q)
	if err != nil {
		return time.Time{}, err
	}
	var since time.Time
	for _, l := range list {
		if l.Name == name {
			since = l.At
		}
	}
	known, err := m.catalog.known(ctx, q)
	if err != nil {
		return time.Time{}, err
	}
	last := time.Now()
	for v := range known {
		if v <= version {
			continue
		}
		rec, err := m.catalog.load(ctx, q, v)
		if err != nil {
			return time.Time{}, err
		}
		if rec.AppliedAt.After(since) && rec.AppliedAt.Before(last) {
			last = rec.AppliedAt
		}
	}
	return last, nil
}

func (out *RestoreResult) fill(details []snapshot.Preview, conflicts []snapshot.Conflict) {
	out.Details, out.Tables = details, []snapshot.TableReport{}
	for _, d := range details {
		out.Tables = append(out.Tables, d.TableReport)
	}
	out.Conflicts = append([]snapshot.Conflict{}, conflicts...)
	for i, d := range details {
		if i == 0 {
			out.Snapshot = d.Snapshot
		} else if out.Snapshot != d.Snapshot {
			out.Snapshot = ""
		}
	}
}

// moments warns when tables come back as they were at different times.
func (r *runner) moments(out *RestoreResult) {
	for _, d := range out.Details {
		if d.Snapshot != out.Details[0].Snapshot {
			r.warn(fmt.Sprintf("%s comes back as of %s, %s as of %s: they were captured at different times", out.Details[0].Table,
				out.Details[0].Moment.Format(time.RFC3339), d.Table, d.Moment.Format(time.RFC3339)))
			return
		}
	}
}

// restore writes, in one transaction.
func (r *runner) restore(ctx context.Context, req RestoreRequest, out *RestoreResult) error {
	m := r.m
	return again(ctx, r.s, func(tx *sql.Tx) error {
		x, err := m.restoration(ctx, tx, req)
		if err != nil {
			return err
		}
		c := m.store.Begin(r.meta(snapshot.Restored, ""))
		details, conflicts, err := x.Apply(ctx, tx, c)
		out.fill(details, conflicts)
		r.moments(out)
		if err == nil && req.Agreed != nil {
			err = req.Agreed(details)
		}
		if err != nil {
			return err
		}
		out.undo(x, c)
		r.res.Verified = true
		for _, d := range details {
			m.o.Events(Event{Kind: RestoreDone, Table: d.Table, Rows: d.Inserted + d.Updated + d.Deleted})
		}
		return m.log.Append(ctx, tx, r.restoreEntry(req, out, audit.Done))
	})
}

// meta is what captures of this run are made for.
func (r *runner) meta(direction, label string) snapshot.Meta {
	return snapshot.Meta{Run: r.res.Run, Direction: direction, CreatedBy: r.m.o.User, Release: label, Migration: r.at, Expires: r.m.expires(time.Now())}
}

// undo says how to take it back.
func (out *RestoreResult) undo(x *snapshot.Restoration, c *snapshot.Capturer) {
	switch {
	case out.Mode == snapshot.Copy:
		out.Undo = x.Undo()
	case len(c.Captures()) > 0:
		out.saved(x, c.Snapshot())
	}
}

func (out *RestoreResult) saved(x *snapshot.Restoration, id string) {
	out.Safety = id
	out.Undo = strings.TrimSpace("dbrollback restore --snapshot " + id + " --yes " + x.Undo())
}

// restoreEntry is the audit entry of a restore.
func (r *runner) restoreEntry(req RestoreRequest, out *RestoreResult, outcome string) audit.Entry {
	e := audit.Entry{Run: r.res.Run, At: time.Now().UTC(), User: r.m.o.User, Action: action(r.dir), From: r.at, To: r.at, Outcome: outcome,
		DurationSeconds: time.Since(r.started).Seconds(), Detail: map[string]string{"mode": string(out.Mode)}}
	maps.Copy(e.Detail, req.Detail)
	for _, d := range out.Details {
		e.Tables = append(e.Tables, audit.Change{Table: d.Table, Inserted: d.Inserted, Updated: d.Updated, Deleted: d.Deleted, Conflicts: d.Conflicts})
		e.Detail["as of "+d.Table] = d.Moment.Format(time.RFC3339) + ", snapshot " + d.Snapshot
	}
	for k, v := range map[string]string{"safety": out.Safety, "where": req.Where, "columns": strings.Join(req.Columns, ","), "into": req.Into.String()} {
		if v != "" {
			e.Detail[k] = v
		}
	}
	return e
}

// outcomeOf tells a restore that was refused, before anything was written, from one that failed.
func outcomeOf(err error) string {
	var ask *snapshot.AskError
	var table *snapshot.NoTableError
	var nothing *snapshot.NothingError
	var unsafe *snapshot.UnsafeError
	var incompatible *snapshot.IncompatibleError
	var damaged *snapshot.DamagedError
	var conflict *snapshot.ConflictError
	var refused *RefusedError
	if errors.As(err, &ask) || errors.As(err, &table) || errors.As(err, &nothing) || errors.As(err, &unsafe) || errors.As(err, &incompatible) ||
		errors.As(err, &damaged) || errors.As(err, &conflict) || errors.As(err, &refused) {
		return audit.Refused
	}
	return audit.Failed
}

// logRestore writes the audit entry of a restore that failed, as logFailure does for migrations.
func (r *runner) logRestore(ctx context.Context, req RestoreRequest, out *RestoreResult, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	e := r.restoreEntry(req, out, outcomeOf(cause))
	e.Tables, e.Error = nil, cause.Error()
	if err := r.s.Tx(ctx, func(tx *sql.Tx) error { return r.m.log.Append(ctx, tx, e) }); err != nil {
		r.warn("the failure could not be written to the log: " + err.Error())
	}
}
