package migrate

import (
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

type lock struct {
	table effects.Name
	mode  string
}

// lockModes are the locks that PostgreSQL takes for each kind, on the table it names.
// Source: PostgreSQL documentation, "Explicit Locking" and "ALTER TABLE"; data changes are listed with the lock
// that their capture takes.
var lockModes = map[effects.Kind]string{
	effects.DropTable: "ACCESS EXCLUSIVE", effects.RenameTable: "ACCESS EXCLUSIVE", effects.SetSchema: "ACCESS EXCLUSIVE",
	effects.Truncate: "ACCESS EXCLUSIVE", effects.AddColumn: "ACCESS EXCLUSIVE", effects.DropColumn: "ACCESS EXCLUSIVE",
	effects.RenameColumn: "ACCESS EXCLUSIVE", effects.AlterColumnType: "ACCESS EXCLUSIVE", effects.SetDefault: "ACCESS EXCLUSIVE",
	effects.DropDefault: "ACCESS EXCLUSIVE", effects.SetNotNull: "ACCESS EXCLUSIVE", effects.DropNotNull: "ACCESS EXCLUSIVE",
	effects.AlterColumn: "ACCESS EXCLUSIVE", effects.DropExpression: "ACCESS EXCLUSIVE", effects.AddConstraint: "ACCESS EXCLUSIVE",
	effects.DropConstraint: "ACCESS EXCLUSIVE", effects.ValidateConstraint: "SHARE UPDATE EXCLUSIVE", effects.AlterTable: "ACCESS EXCLUSIVE",
	effects.AttachPartition: "SHARE UPDATE EXCLUSIVE", effects.DetachPartition: "ACCESS EXCLUSIVE", effects.DropPartition: "ACCESS EXCLUSIVE",
	effects.Insert: "SHARE ROW EXCLUSIVE", effects.Update: "SHARE ROW EXCLUSIVE", effects.Delete: "SHARE ROW EXCLUSIVE",
	effects.Upsert: "SHARE ROW EXCLUSIVE", effects.Replace: "SHARE ROW EXCLUSIVE", effects.Merge: "SHARE ROW EXCLUSIVE",
}

// The locks of MySQL and MariaDB: a statement that writes rows locks those that it reads on its way, against writers; any
// other is alone with its table when it begins and when it ends, and all the time while rows are captured for it.
const (
	rowLocks  = "ROWS"
	aloneWith = "EXCLUSIVE"
)

// lockMode is the lock that an effect takes on its table; "" for none, or none that is a table's alone: SQLite locks
// the whole database.
func lockMode(e effects.Effect, caps engine.Caps) string {
	mode := lockModes[e.Kind]
	if e.Kind == effects.Create && e.Object.Kind == "index" {
		mode = "SHARE"
		if e.Concurrently {
			mode = "SHARE UPDATE EXCLUSIVE"
		}
	}
	switch {
	case mode == "" || caps.Schemas:
		return mode
	case caps.TransactionalDDL:
		return ""
	case mode == "SHARE ROW EXCLUSIVE":
		return rowLocks
	}
	return aloneWith
}

// locks lists what a statement locks, the strongest lock per table.
func locks(st Statement, caps engine.Caps) []lock {
	var out []lock
	for _, e := range st.Effects {
		mode := lockMode(e, caps)
		if mode == "" || e.Table.Name == "" {
			continue
		}
		found := false
		for i := range out {
			if out[i].table == e.Table {
				found = true
				if mode == "ACCESS EXCLUSIVE" || mode == aloneWith {
					out[i].mode = mode
				}
			}
		}
		if !found {
			out = append(out, lock{e.Table, mode})
		}
	}
	return out
}
