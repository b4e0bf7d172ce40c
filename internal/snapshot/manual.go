package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// The directions of captures that no migration made.
const (
	Manual   = "manual"  // by hand: tables as they were, whole
	Restored = "restore" // what a restore wrote over
)

// Tables captures whole tables by hand, all of them as they are at one moment, without keeping anybody from writing. The
// transaction must not have read anything yet.
func (c *Capturer) Tables(ctx context.Context, tx engine.Querier, tables []engine.Name) error {
	if c.s.f.consistent != "" {
		if _, err := exec(ctx, tx, "look at one moment", c.s.f.consistent); err != nil {
			return err
		}
	}
	c.moment = time.Now().UTC().Truncate(time.Microsecond)
	if err := c.track.read(ctx, tx); err != nil { // the first look: from here on it is that moment
		return err
	}
	return c.s.pinned(ctx, tx, func() error {
		var made []*capture
		for i, n := range tables {
			t, err := c.s.db.Inspect(ctx, tx, n)
			if errors.Is(err, engine.ErrNoTable) {
				return &NoTableError{Table: n}
			}
			if err != nil {
				return err
			}
			if why := unfit(t); why != "" || c.s.db.Mine(t.Name) {
				return &NoTableError{Table: n, Kind: detailOr(why, "table of dbrollback's own")}
			}
			a := &action{kind: Table, table: t, reason: "by hand"}
			var x *capture
			if c.s.db.Caps.TransactionalDDL {
				x, err = c.start(ctx, tx, i+1, a)
			} else if x, err = c.describe(ctx, tx, i+1, a); err == nil {
				err = c.s.room(ctx, tx, x)
			}
			if err != nil {
				return err
			}
			made = append(made, x)
		}
		if !c.s.db.Caps.TransactionalDDL {
			var err error
			if c.moment, err = c.s.atOnce(ctx, made); err != nil {
				return err
			}
		}
		for _, x := range made {
			x.CapturedAt = c.moment
			if err := c.record(ctx, tx, x); err != nil {
				return err
			}
		}
		return nil
	})
}

// Discard takes back a snapshot that was made.
func (s *Store) Discard(ctx context.Context, session *engine.Session, id string) error {
	return session.Tx(ctx, func(tx *sql.Tx) error {
		rows, err := s.load(ctx, tx, "snapshot_id = "+s.db.Arg(1), id)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := s.expire(ctx, tx, r.capture); err != nil {
				return err
			}
		}
		return nil
	})
}

// unfit says what a relation is when its rows cannot be captured and put back; "" when they can.
func unfit(t *engine.Table) string {
	switch t.Kind {
	case "view", "materialized view", "virtual":
		return t.Kind
	case "foreign", "temporary":
		return t.Kind + " table"
	}
	return ""
}

// NoTableError says that a name is no table that rows could be captured of or restored into.
type NoTableError struct {
	Table engine.Name
	Kind  string // what it is instead; "" when there is nothing of that name
}

func (e *NoTableError) Error() string {
	if e.Kind != "" {
		return fmt.Sprintf("%s is a %s, not a table with rows of its own", e.Table, e.Kind)
	}
	return fmt.Sprintf("there is no table %s", e.Table)
}
