package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// published warns of tables that Up took out of a publication by dropping them.
func (w *work) published(ch changes) {
	if w.r.dir != Up {
		return
	}
	for _, o := range ch.destroyed() {
		if text, ok := unpublished(o); ok {
			w.r.warnOnce(text)
		}
	}
}

// unpublished says what it means that a table goes which is published: subscribers hear neither of that nor of rows that come back.
func unpublished(o verify.Object) (string, bool) {
	if o.Kind != "publication membership" {
		return "", false
	}
	publication, _, _ := strings.Cut(o.Name, ": ")
	return fmt.Sprintf("publication %s loses %s: subscribers keep their copy, and are told of nothing. A rollback publishes it again; then each subscriber needs ALTER SUBSCRIPTION … REFRESH PUBLICATION",
		publication, o.Table), true
}

// publications notes which tables that a statement drops are published.
func (m *Migrator) publications(ctx context.Context, q engine.Querier, st Statement, step *PlanStep) error {
	var names []engine.Name
	for _, e := range st.Effects {
		if e.Kind != effects.DropTable {
			continue
		}
		switch n, err := m.db.Resolve(ctx, q, engine.Name(e.Table)); {
		case err == nil:
			names = append(names, n)
		case !errors.Is(err, engine.ErrNoTable):
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	found, err := verify.Take(ctx, m.db, q, verify.Scope{Tables: names})
	if err != nil {
		return err
	}
	for _, o := range slices.SortedFunc(maps.Values(found), func(a, b verify.Object) int { return strings.Compare(a.Name, b.Name) }) {
		if text, ok := unpublished(o); ok {
			step.Notes = append(step.Notes, text)
		}
	}
	return nil
}
