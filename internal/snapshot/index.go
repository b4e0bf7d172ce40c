package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// worthIndex is how many rows a capture has at least that gets an index.
const worthIndex = 100

// indexed gives the captures that go back an index over their keys. While capturing it would cost time under the lock, and
// without it MySQL and SQLite look for each row by reading all of them.
func (r *Restorer) indexed(ctx context.Context, tx engine.Querier) error {
	s := r.s
	for _, x := range r.tables() {
		if len(x.Key) == 0 || x.Kind == Kept || x.Rows < worthIndex {
			continue
		}
		var keys []string
		for i := range x.Key {
			keys = append(keys, k(i))
		}
		if err := s.search(ctx, tx, x.data(), keys...); err != nil {
			return err
		}
		if err := s.keyIndex(ctx, x.capture); err != nil {
			return err
		}
	}
	return nil
}

// keyIndex gives a capture an index over its keys where making one ends transactions: on a connection of its own, before somebody's transaction reads the capture. Where that
// is not to be had now it goes slowly.
func (s *Store) keyIndex(ctx context.Context, x *capture) error {
	if !s.f.keyed || len(x.Key) == 0 || x.Kind == Kept || x.Rows < worthIndex {
		return nil
	}
	there, err := number(ctx, s.db, "look for an index", "SELECT count(*) FROM information_schema.statistics WHERE table_schema = database() AND table_name = ? AND index_name = 'dbrollback_k'", x.data())
	if err != nil || there > 0 {
		return err
	}
	err = s.aside(ctx, "ALTER TABLE "+s.own(x.data())+" ADD "+mysqlIndex(x))
	if _, refused := engine.AsError(err); refused { // somebody reads it, a right is missing, the server takes no writes
		return nil
	}
	if err != nil {
		return fmt.Errorf("index a capture of %s: %w", x.Home, err)
	}
	return nil
}

// search makes rows of a table of ours easy to find by columns, where the engine would read all of it for each otherwise.
func (s *Store) search(ctx context.Context, tx engine.Querier, table string, columns ...string) error {
	if !s.f.scans {
		return nil
	}
	name := table + "_key"
	if columns[0] == o(0) {
		name = table + "_old"
	}
	return s.ddl(ctx, tx, "index a table of our own", fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", s.q(name), s.own(table), list(columns)))
}
