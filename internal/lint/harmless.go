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
			case effects.Create:
				if e.IfExists && p.Before.findObject(e.Object.Kind, e.Object.Name) != nil {
					return false
				}
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
			return !e.Temporary && e.Object.Name.Schema != "pg_temp" && !isRestart(&e)
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
	if slices.ContainsFunc(p.changes, func(c change) bool { return c.up != nil }) { // one that no statement makes is a doubt
		return false
	}
	return !slices.ContainsFunc(p.Migration.Up, func(st Statement) bool {
		if p.makesMissing(&st) || p.asksFirst(&st) {
			return false
		}
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

// asksFirst says whether a statement is a DO block that the model follows, and of which every part looks whether something is to be done.
func (p *Pass) asksFirst(st *Statement) bool {
	list := p.Before.guarded(st)
	return list != nil && !slices.ContainsFunc(list, func(x effects.Statement) bool {
		return slices.ContainsFunc(x.Effects, func(e effects.Effect) bool { return !e.IfExists })
	})
}

// makesMissing says whether a statement is a DO block that makes, IF NOT EXISTS, what is there as far as the model knows, and does nothing else.
func (p *Pass) makesMissing(st *Statement) bool {
	if len(st.Effects) != 1 || st.Effects[0].Kind != effects.Opaque || st.Effects[0].Detail != "DO block" || st.ParseError != "" {
		return false
	}
	tokens := effects.Tokens(p.Engine, codeOf(p.Engine, st.SQL))
	asked, made := false, 0
	for i := range tokens {
		word := func(at int) string {
			if at >= 0 && at < len(tokens) && tokens[at].Kind == effects.Word {
				return tokens[at].Text
			}
			return ""
		}
		switch word(i) {
		case "if":
			asked = asked || word(i+1) == "not" && word(i+2) == "exists"
		case "create":
			if !asked || i+2 >= len(tokens) || word(i+1) != "type" && word(i+1) != "table" && word(i+1) != "domain" && word(i+1) != "sequence" {
				return false
			}
			name := tokens[i+2].Text
			if p.Before.Table(effects.Name{Name: name}) == nil && p.Before.findObject(word(i+1), effects.Name{Name: name}) == nil && !p.Before.maybe(name) {
				return false
			}
			made++
		case "alter", "drop", "execute", "perform", "call", "else", "elsif", "loop", "exception", "grant", "revoke", "rename":
			return false
		}
	}
	return made > 0
}
