package migrate

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

//go:embed checkpoint_catalog.sql
var checkpointCatalogSQL string

// The states of a checkpoint.
const (
	CheckpointComplete  = "complete"
	CheckpointRestoring = "restoring" // taken ahead of a restore of another one, which has not ended yet
)

// Checkpoint is a state of a whole deployment as the catalog remembers it. What it consists of is in its manifest, which is the
// caller's business.
type Checkpoint struct {
	ID        string
	TakenAt   time.Time // UTC, microseconds
	Migration int64     // the version of the database
	Hash      string    // of the manifest
	Before    string    // the checkpoint whose restore it was taken ahead of, "" for none
	State     string
	Progress  string // of that restore
	Manifest  string
}

// NewCheckpointID makes an id that sorts by time.
func NewCheckpointID(now time.Time) (string, error) { return newID(now) }

func (c catalog) checkpoints() engine.Name { return c.db.Own("dbrollback_checkpoints") }

// checkpointSQL fills in the table's name and the placeholders.
func (c catalog) checkpointSQL(query string) string {
	return c.sql(strings.NewReplacer("{checkpoints}", c.db.Quote(c.checkpoints()), "{text}", c.db.Caps.LongText).Replace(query))
}

// RecordCheckpoint remembers a checkpoint, with the entry of the audit log, in one transaction.
func (m *Migrator) RecordCheckpoint(ctx context.Context, c Checkpoint, e audit.Entry) error {
	return m.locked(ctx, func(s *engine.Session) error {
		return s.Tx(ctx, func(tx *sql.Tx) error {
			_, err := m.db.Resolve(ctx, tx, m.catalog.checkpoints())
			if errors.Is(err, engine.ErrNoTable) {
				_, err = tx.ExecContext(ctx, m.catalog.checkpointSQL(checkpointCatalogSQL))
			}
			if err == nil {
				_, err = tx.ExecContext(ctx, m.catalog.checkpointSQL(`INSERT INTO {checkpoints} (id, taken_at, migration, hash, before_id, state, progress, manifest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`),
					c.ID, stampOf(c.TakenAt), c.Migration, c.Hash, c.Before, c.State, c.Progress, c.Manifest)
			}
			if err != nil {
				return fmt.Errorf("record the checkpoint: %w", err)
			}
			e.User = m.o.User
			return m.log.Append(ctx, tx, e)
		})
	})
}

// Checkpoints lists the checkpoints, the newest first. It only reads.
func (m *Migrator) Checkpoints(ctx context.Context) ([]Checkpoint, error) {
	_, err := m.db.Resolve(ctx, m.db, m.catalog.checkpoints())
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for checkpoints: %w", err)
	}
	rows, err := m.db.QueryContext(ctx, m.catalog.checkpointSQL(`SELECT id, taken_at, migration, hash, before_id, state, progress, manifest FROM {checkpoints} ORDER BY taken_at DESC, id DESC`))
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints: %w", err)
	}
	defer rows.Close()
	var out []Checkpoint
	for rows.Next() {
		var c Checkpoint
		var at string
		err := rows.Scan(&c.ID, &at, &c.Migration, &c.Hash, &c.Before, &c.State, &c.Progress, &c.Manifest)
		if err == nil {
			c.TakenAt, err = parseStamp(at)
		}
		if err != nil {
			return nil, fmt.Errorf("read the checkpoints: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// MarkCheckpoint records how far the restore has come that a checkpoint was taken ahead of; e, when there is one, is written into the
// audit log along with it.
func (m *Migrator) MarkCheckpoint(ctx context.Context, id, state, progress string, e *audit.Entry) error {
	return m.locked(ctx, func(s *engine.Session) error {
		return s.Tx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, m.catalog.checkpointSQL(`UPDATE {checkpoints} SET state = ?, progress = ? WHERE id = ?`), state, progress, id); err != nil {
				return fmt.Errorf("record the restore: %w", err)
			}
			if e == nil {
				return nil
			}
			if state == CheckpointComplete { // a restore that was cut off before this one is not to be gone on with any more
				if _, err := tx.ExecContext(ctx, m.catalog.checkpointSQL(`UPDATE {checkpoints} SET state = ? WHERE state = ?`), CheckpointComplete, CheckpointRestoring); err != nil {
					return fmt.Errorf("record the restore: %w", err)
				}
			}
			e.User = m.o.User
			return m.log.Append(ctx, tx, *e)
		})
	})
}

// CheckpointHash is the hash of a checkpoint's manifest as the audit log has it, "" when the log knows of none. A log whose chain does not
// hold is an *audit.BrokenError.
func (m *Migrator) CheckpointHash(ctx context.Context, id string) (string, error) {
	if err := m.log.Verify(ctx, m.db, ""); err != nil {
		return "", err
	}
	all, err := m.log.List(ctx, m.db, 0)
	if err != nil {
		return "", err
	}
	for _, e := range all {
		if strings.HasPrefix(e.Action, "checkpoint") && e.Detail["checkpoint"] == id && e.Detail["hash"] != "" {
			return e.Detail["hash"], nil
		}
	}
	return "", nil
}

// CheckSnapshot computes the checksums of a snapshot's captures again; *snapshot.DamagedError names the first that is not what was captured,
// *snapshot.NothingError says that its data was dropped.
func (m *Migrator) CheckSnapshot(ctx context.Context, id string) error {
	sn, err := m.store.Show(ctx, m.db, id)
	if err != nil {
		return err
	}
	if sn == nil {
		return &snapshot.NothingError{Message: fmt.Sprintf("snapshot %s is not in this database any more", id), Hint: "dbrollback snapshot list shows what is left"}
	}
	for _, c := range sn.Captures {
		if c.Status == "expired" {
			return &snapshot.NothingError{Message: fmt.Sprintf("the data of snapshot %s was dropped: it has expired", id), Hint: "leave the database out: --component configuration,application_code,feature_flags"}
		}
	}
	checks, err := m.store.Verify(ctx, m.db, id)
	if err != nil {
		return err
	}
	for _, v := range checks {
		if !v.OK {
			return &snapshot.DamagedError{Verification: v}
		}
	}
	return nil
}

// Exists tells which of some tables are there.
func (m *Migrator) Exists(ctx context.Context, tables []engine.Name) ([]engine.Name, error) {
	var out []engine.Name
	for _, n := range tables {
		_, err := m.db.Resolve(ctx, m.db, n)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
