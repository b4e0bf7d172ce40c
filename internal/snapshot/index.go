package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// indexed gives the captures that go back an index over their keys. While capturing it would cost time under the lock, and
// without it MySQL and SQLite look for each row by reading all of them.
func (r *Restorer) indexed(ctx context.Context, tx engine.Querier) error {
	const worth = 100 // rows
	s := r.s
	for _, x := range r.tables() {
		if len(x.Key) == 0 || x.Kind == Kept || x.Rows < worth {
			continue
		}
		var keys []string
		for i := range x.Key {
			keys = append(keys, k(i))
		}
		if err := s.search(ctx, tx, x.data(), keys...); err != nil {
			return err
		}
		if !s.f.keyed {
			continue
		}
		there, err := number(ctx, s.db, "look for an index", "SELECT count(*) FROM information_schema.statistics WHERE table_schema = database() AND table_name = ? AND index_name = 'dbrollback_k'", x.data())
		if err != nil {
			return err
		}
		if there == 0 {
			err := s.aside(ctx, "ALTER TABLE "+s.own(x.data())+" ADD "+mysqlIndex(x.capture))
			if busy, ok := engine.AsError(err); ok && busy.Class == engine.LockTimeout {
				continue // somebody reads it: it goes slowly, then
			}
			if err != nil {
				return fmt.Errorf("index a capture of %s: %w", x.Home, err)
			}
		}
	}
	return nil
}

// search makes rows of a table of ours easy to find by columns, where the engine would read all of it for each otherwise.
func (s *Store) search(ctx context.Context, tx engine.Querier, table string, columns ...string) error {
	if !s.f.scans {
		return nil
	}
	return s.ddl(ctx, tx, "index a table of our own", fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", s.q(table+"_key"), s.own(table), list(columns)))
}
