package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// rename gives indexes their names back. MySQL's family calls an index that it has made for a foreign key by its column, and by the key's name as soon as a named one is made
// over that column, which is how a foreign key comes back.
func (w *work) rename(ctx context.Context, q engine.Querier, want, now verify.Fingerprint) error {
	db := w.r.m.db
	if db.Caps.TransactionalDDL {
		return nil
	}
	var renames []string
	for key, o := range want {
		if _, there := now[key]; there || o.Kind != "index" {
			continue
		}
		is, err := verify.Take(ctx, db, q, verify.Scope{Tables: []engine.Name{o.Table}}) // the run's own fingerprint leaves out what none of its statements says
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		for k, x := range is {
			_, was := w.before[k]
			_, undone := w.undo[k]
			_, named := is[verify.Object{Kind: "foreign key", Name: x.Name}.Key()]
			if x.Kind == "index" && x.Table == o.Table && x.Definition == o.Definition && named && !was && !undone {
				index := func(o verify.Object) string { return db.Ident(strings.TrimPrefix(o.Name, o.Table.String()+".")) }
				renames = append(renames, "ALTER TABLE "+db.Quote(o.Table)+" RENAME INDEX "+index(x)+" TO "+index(o))
				break
			}
		}
	}
	slices.Sort(renames)
	for _, stmt := range renames {
		if _, err := q.ExecContext(ctx, stmt); err != nil {
			return &RepairError{Version: w.mig.Version, Direction: w.r.dir, SQL: stmt, Err: err}
		}
		w.capturer.Stale()
	}
	return nil
}
