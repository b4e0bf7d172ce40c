package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// virtualTables refuses an Up that drops a virtual table, which Down can only make empty, and one that makes a virtual table whose rows its
// Down would destroy: the rollback would have to refuse that. A text index over another table holds nothing of its own; Down may drop it.
func (m *Migrator) virtualTables(ctx context.Context, q engine.Querier, mig *Migration, st Statement, pm *PlanMigration, future tables) error {
	refuse := func(st Statement, message, hint string) {
		pm.Reasons = append(pm.Reasons, Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: message, Hint: hint})
	}
	const accept = "; say so in front of the statement: -- +dbrollback no-capture: <reason>"
	for _, e := range st.Effects {
		switch {
		case e.Kind == effects.DropTable && !future.has(e.Table):
			t, err := m.db.Look(ctx, q, engine.Name(future.now(e.Table)))
			if errors.Is(err, engine.ErrNoTable) {
				continue
			}
			if err != nil {
				return err
			}
			if t.Kind == "virtual" && !slices.ContainsFunc(pm.Reasons, func(r Refusal) bool { return r.Line == st.Line && r.Column == st.Column }) {
				refuse(st, "it drops "+t.Name.String()+", a virtual table, which comes back empty", "let Down make it and fill it ('rebuild')"+accept)
			}
		case e.Kind == effects.CreateTable && strings.HasPrefix(e.Detail, "virtual table") && !snapshot.IsTextIndex(st.SQL):
			for _, down := range mig.Down {
				if !mig.noCapture(Down, down) && slices.ContainsFunc(down.Effects, func(d effects.Effect) bool {
					return d.Kind == effects.DropTable && strings.EqualFold(d.Table.Name, e.Table.Name)
				}) {
					refuse(down, "Down drops "+e.Table.String()+", a virtual table, whose rows cannot be captured", "where they can be made again from other tables"+accept)
				}
			}
		}
	}
	return nil
}
