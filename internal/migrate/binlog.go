package migrate

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// binlog gives the binary log as what a restoration's rows come from.
func (m *Migrator) binlog(ask snapshot.Ask) *journal.Binlog {
	return m.changes.Binlog(ask, m.touched)
}

// again runs a restoration in a transaction, and once more when rows were written under its hands: what is gone can be made anew by others.
func again(ctx context.Context, s *engine.Session, f func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		if err := s.Tx(ctx, f); !errors.Is(err, snapshot.ErrMoved) || try == 5 {
			return err
		}
	}
}

// keepsRows are the effects after which the columns of a table, and what is in them, are what they were.
var keepsRows = []effects.Kind{effects.AddConstraint, effects.DropConstraint, effects.SetDefault, effects.DropDefault, effects.DropNotNull, effects.Create, effects.Drop, effects.Alter, effects.Rename,
	effects.Comment, effects.Grant, effects.Maintenance, effects.Read, effects.Session, effects.Transaction}

// touched says what a statement of the binary log does to tables.
func (m *Migrator) touched(text string) ([]journal.Touched, bool) {
	statements, err := effects.Parse(effects.Dialect(m.db.Kind), text)
	if err != nil {
		return nil, false
	}
	var out []journal.Touched
	for _, st := range statements {
		if st.Opaque() {
			return nil, false
		}
		for _, e := range st.Effects {
			kept := slices.Contains(keepsRows, e.Kind) && !cascades(e) || e.Kind == effects.CreateTable && e.IfExists && !e.Replaces
			if e.Temporary {
				continue
			}
			if e.Kind == effects.DropSchema {
				out = append(out, journal.Touched{Name: engine.Name{Schema: e.Object.Name.Name}})
				continue
			}
			out = append(out, journal.Touched{Name: engine.Name(e.Table), Kept: kept})
			if e.Kind == effects.RenameTable || e.Kind == effects.SetSchema {
				out = append(out, journal.Touched{Name: engine.Name(e.NewName)})
			}
		}
	}
	return out, true
}

// cascades tells whether an effect begins or ends that a foreign key changes rows along, which is in no log. Of one that is dropped the
// text does not say what it did.
func cascades(e effects.Effect) bool {
	quiet := func(action string) bool { return action == "" || action == "NO ACTION" || action == "RESTRICT" }
	switch e.Kind {
	case effects.AddConstraint:
		return e.Constraint == nil || e.Constraint.Kind == "foreign key" && !(quiet(strings.ToUpper(e.Constraint.OnDelete)) && quiet(strings.ToUpper(e.Constraint.OnUpdate)))
	case effects.DropConstraint:
		return e.Object.Name.Name != "PRIMARY"
	}
	return false
}
