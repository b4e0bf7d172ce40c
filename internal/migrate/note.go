package migrate

import (
	"context"
	"database/sql"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Note writes an entry of somebody else's into the audit log; who and when are filled in.
func (m *Migrator) Note(ctx context.Context, e audit.Entry) error {
	e.User = m.o.User
	return m.locked(ctx, func(s *engine.Session) error {
		return s.Tx(ctx, func(tx *sql.Tx) error { return m.log.Append(ctx, tx, e) })
	})
}

// Current is the version that the target is at. It only reads.
func (m *Migrator) Current(ctx context.Context) (int64, error) {
	applied, err := m.applied(ctx, m.db)
	return current(applied), err
}
