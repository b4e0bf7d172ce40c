package effects

import (
	"slices"
	"strings"
)

// Loss says what an effect takes away; greater is worse.
type Loss int

// The losses.
const (
	LossNone       Loss = iota
	LossDefinition      // how an object was defined
	LossData            // rows or values, and perhaps definitions
	LossUnknown         // whatever the statement could reach
)

// String names the loss.
func (l Loss) String() string {
	return [...]string{"nothing", "definition", "data", "unknown"}[l]
}

// losses is what each kind destroys at most; kinds that are not here destroy nothing.
var losses = map[Kind]Loss{
	DropTable: LossData, Truncate: LossData, DropColumn: LossData, AlterColumnType: LossData,
	Update: LossData, Delete: LossData, Upsert: LossData, Replace: LossData, Merge: LossData,
	DetachPartition: LossData, DropPartition: LossData, DropSchema: LossData,

	SetDefault: LossDefinition, DropDefault: LossDefinition, DropNotNull: LossDefinition, AlterColumn: LossDefinition,
	DropExpression: LossDefinition, DropConstraint: LossDefinition, AlterTable: LossDefinition, Alter: LossDefinition,
	Drop: LossDefinition, Comment: LossDefinition, Grant: LossDefinition,

	Opaque: LossUnknown,
}

// Destroys says whether effects of this kind can destroy data or a definition.
func (k Kind) Destroys() bool { return losses[k] != LossNone }

// Loss says what the effect destroys.
func (e Effect) Loss() Loss {
	switch {
	case e.Kind == Create && e.Replaces:
		return LossDefinition
	case e.Kind == CreateTable && e.Replaces:
		return LossData
	case e.Kind == Merge && !slices.Contains(e.Actions, "update") && !slices.Contains(e.Actions, "delete"):
		return LossNone
	case e.Kind == Drop && e.Cascade && reachesColumns(e.Object.Kind):
		return LossData
	case e.Kind == Alter && e.Cascade && e.Object.Kind == "type", e.DropsAttribute(): // from every typed table, and from every value
		return LossData
	case e.Kind == Alter && e.Object.Kind == "sequence" && e.Detail == "nextval":
		return LossNone
	}
	return losses[e.Kind]
}

// DropsAttribute says whether the effect takes an attribute from a composite type, and with it from every value of that type.
func (e Effect) DropsAttribute() bool {
	return e.Kind == Alter && e.Object.Kind == "type" && strings.HasPrefix(strings.ToUpper(e.Detail), "DROP ATTRIBUTE")
}

// reachesColumns: dropping these with CASCADE drops columns of tables.
func reachesColumns(object string) bool {
	switch object {
	case "type", "domain", "extension", "function", "routine", "aggregate", "operator class", "collation", "access method", "foreign-data wrapper", "server", "language", "operator":
		return true
	}
	return false
}

// Destroys says whether the effect destroys data or a definition, or may do so.
func (e Effect) Destroys() bool { return e.Loss() != LossNone }

// DestroysData says whether the effect destroys rows or values, or may do so.
func (e Effect) DestroysData() bool { return e.Loss() >= LossData }

// Changes says whether the effect leaves anything in the database different.
func (e Effect) Changes() bool {
	switch e.Kind {
	case Read, Session, Transaction, Maintenance, External:
		return false
	}
	return true
}

// Loss is the worst of the statement's effects.
func (s Statement) Loss() Loss {
	worst := LossNone
	for _, e := range s.Effects {
		worst = max(worst, e.Loss())
	}
	return worst
}

// Destroys says whether the statement destroys data or a definition, or may do so.
func (s Statement) Destroys() bool { return s.Loss() != LossNone }

// DestroysData says whether the statement destroys rows or values, or may do so.
func (s Statement) DestroysData() bool { return s.Loss() >= LossData }

// Opaque says whether some effect of the statement cannot be named.
func (s Statement) Opaque() bool { return s.has(Opaque) }

// External says whether the statement reaches out of the database.
func (s Statement) External() bool { return s.has(External) }

// Transaction says whether the statement begins or ends a transaction or savepoint.
func (s Statement) Transaction() bool { return s.has(Transaction) }

// Changes says whether the statement leaves anything in the database different.
func (s Statement) Changes() bool {
	for _, e := range s.Effects {
		if e.Changes() {
			return true
		}
	}
	return false
}

func (s Statement) has(k Kind) bool {
	for _, e := range s.Effects {
		if e.Kind == k {
			return true
		}
	}
	return false
}

// Target names what the effect is about, for people: "public.users", "index public.i", "".
func (e Effect) Target() string {
	switch {
	case e.Object.Kind != "" && e.Table.Name != "":
		return e.Object.String() + " on " + e.Table.String()
	case e.Object.Kind != "":
		return e.Object.String()
	}
	return e.Table.String()
}

// Summary says the effect in a few words: "drop column public.users (score)".
func (e Effect) Summary() string {
	out := strings.ReplaceAll(string(e.Kind), "_", " ")
	target := e.Target()
	// "drop schema s" and "add constraint c on t", not "drop schema schema s".
	if kind := e.Object.Kind; kind != "" && strings.HasSuffix(out, " "+kind) {
		target = strings.TrimPrefix(target, kind+" ")
	}
	if target != "" {
		out += " " + target
	}
	if len(e.Columns) > 0 {
		out += " (" + strings.Join(e.Columns, ", ") + ")"
	}
	switch {
	case e.NewName.Name != "":
		out += " to " + e.NewName.String()
	case e.Kind == Opaque, e.Kind == External:
		out += ": " + e.Detail
	}
	return out
}
