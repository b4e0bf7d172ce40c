package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// onlyOpaque says whether statements do nothing that is understood.
func onlyOpaque(statements []Statement) bool {
	for i := range statements {
		for _, e := range statements[i].Effects {
			switch e.Kind {
			case effects.Opaque, effects.Read, effects.Session, effects.Maintenance:
			default:
				return false
			}
		}
	}
	return true
}

// onlyCaptured says whether statements do nothing but change rows which were there, all of which captures give back.
func onlyCaptured(statements []Statement) bool {
	for i := range statements {
		for _, e := range statements[i].Effects {
			switch e.Kind {
			case effects.Update, effects.Delete, effects.Truncate, effects.Replace, effects.Read, effects.Session, effects.Maintenance:
			case effects.Merge:
				if slices.Contains(e.Actions, "insert") {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// onlyRows says whether Up changes rows and, as far as anybody can tell, nothing else.
func onlyRows(p *Pass) bool {
	temporary := map[effects.Name]bool{}
	off := map[string]bool{} // triggers that are switched off for the moment
	calls := true            // and nothing else that is not understood: what it does is in functions
	for _, st := range p.Migration.Up {
		calls = calls && !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Opaque && callOf(&e) == "" })
	}
	return (calls || !p.After.played.defines) && !slices.ContainsFunc(p.Migration.Up, func(st Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.Insert, effects.Upsert, effects.Merge, effects.Replace, effects.Update, effects.Delete, effects.Truncate, effects.Opaque,
				effects.Read, effects.Session, effects.Maintenance, effects.Transaction:
				return false
			case effects.CreateTable:
				temporary[e.Table] = e.Temporary
			case effects.DropTable:
				return !temporary[e.Table]
			case effects.AlterTable:
				word, trigger := switchesTrigger(&e)
				trigger += " on " + p.show(e.Table)
				if word == "disable" || off[trigger] {
					off[trigger] = word == "disable"
					return false
				}
			}
			return !e.Temporary && !isRestart(&e)
		})
	}) && !slices.Contains(slices.Collect(maps.Values(off)), true)
}

// switchesTrigger reads ALTER TABLE … DISABLE TRIGGER name, or ENABLE.
func switchesTrigger(e *effects.Effect) (word, trigger string) {
	words := strings.Fields(e.Detail)
	if len(words) != 3 || !strings.EqualFold(words[1], "trigger") {
		return "", ""
	}
	return strings.ToLower(words[0]), strings.ToLower(words[2])
}

// inVain says whether all of Up is about tables that the model knows and leaves them as they were, as far as anybody can tell: what is to be dropped
// is not there, what is to be made is.
func inVain(p *Pass) bool {
	if len(p.changes) > 0 || p.After.played.opaque {
		return false
	}
	return !slices.ContainsFunc(p.Migration.Up, func(st Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.Insert, effects.Upsert, effects.Update, effects.Delete, effects.Truncate, effects.Session:
				return false // of rows, captures know
			case effects.AddColumn, effects.DropColumn, effects.AlterColumnType, effects.SetNotNull, effects.DropNotNull, effects.SetDefault, effects.DropDefault, effects.DropConstraint:
			case effects.DropTable:
				return !e.IfExists || p.Before.Table(e.Table) != nil || p.Before.maybe(e.Table.Name)
			case effects.Create, effects.Drop:
				if e.Object.Kind != "index" {
					return true
				}
				if e.Table.Name == "" {
					_, i := p.Before.findIndex(effects.Name{}, e.Object.Name)
					return i >= 0 || !e.IfExists
				}
				if _, i := p.Before.findIndex(e.Table, e.Object.Name); e.Kind == effects.Create && e.IfExists && i >= 0 {
					return false // whatever else is not known of its table
				}
			default:
				return true
			}
			t := p.Before.Table(e.Table)
			return t == nil || (t.Partial || t.Doubt) && !e.IfExists
		})
	})
}
