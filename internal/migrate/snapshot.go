package migrate

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// SnapshotRequest asks for tables to be captured by hand.
type SnapshotRequest struct {
	Tables []engine.Name
	Label  string
}

// CreateSnapshot captures whole tables, all as they are at one moment. Nobody is kept from writing meanwhile.
func (m *Migrator) CreateSnapshot(ctx context.Context, req SnapshotRequest) (*snapshot.Snapshot, error) {
	r, err := m.newRun(Capturing)
	if err != nil {
		return nil, err
	}
	var out *snapshot.Snapshot
	err = m.locked(ctx, func(s *engine.Session) error {
		if _, err := r.enter(ctx, s); err != nil {
			return err
		}
		c := m.store.Begin(r.meta(snapshot.Manual, req.Label))
		start := time.Now()
		entry := func(tx *sql.Tx) error {
			return m.log.Append(ctx, tx, audit.Entry{Run: r.res.Run, At: time.Now().UTC(), User: m.o.User, Action: action(r.dir), From: r.at, To: r.at,
				Outcome: audit.Done, DurationSeconds: time.Since(r.started).Seconds(), Detail: map[string]string{"snapshot": c.Snapshot(), "label": req.Label}})
		}
		alone := m.db.Caps.HeldLocks == "" // nobody else writes an entry meanwhile
		err := s.Tx(ctx, func(tx *sql.Tx) error {
			if err := c.Tables(ctx, tx, req.Tables); err != nil {
				return err
			}
			if err := c.Seal(ctx, tx, nil); err != nil || !alone {
				return err
			}
			return entry(tx)
		})
		if err != nil {
			return err
		}
		if !alone { // that transaction looks at one moment, and would not see the newest entry
			if err := s.Tx(ctx, entry); err != nil {
				return errors.Join(err, m.store.Discard(context.WithoutCancel(ctx), s, c.Snapshot()))
			}
		}
		for _, x := range c.Captures() {
			m.o.Events(Event{Kind: CaptureDone, Table: x.Table, Rows: x.Rows, Bytes: x.Bytes, Elapsed: time.Since(start)})
		}
		_ = m.store.Sums(ctx, s) // what is made is made: locked tries again, and warns
		out, err = m.store.Show(ctx, s, c.Snapshot())
		return err
	})
	return out, err
}
