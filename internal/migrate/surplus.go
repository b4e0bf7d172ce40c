package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// surplus gives the indexes and constraints that Down has made, on tables and columns that were there before its Up, and that were not there: a key that it writes out
// where the server had made one, NOT NULL on a column that took NULLs, AUTO_INCREMENT on one that counted by itself. No data goes with them.
func (w *work) surplus(now verify.Fingerprint) []verify.Object {
	if w.r.dir != Down || w.undo == nil || w.r.allowDrift {
		return nil
	}
	want, have := expected(w.undo, w.before, now)
	was := func(kind, name string) bool {
		key := verify.Object{Kind: kind, Name: name}.Key()
		if c, changed := w.undo[key]; changed {
			return c.Before != nil
		}
		_, there := w.before[key]
		return there
	}
	var out []verify.Object
	for _, d := range material(verify.Diff(want, have)) {
		o, there := now[d.Kind+" "+d.Object]
		if _, undone := w.undo[o.Key()]; !there || d.Before != "" || undone {
			continue // see repair
		}
		switch o.Kind {
		case "not null", "identity":
			there = was("column", o.Name)
		case "default": // of a column that Down has made again: see leftDefaults
			_, again := w.undo[verify.Object{Kind: "column", Name: o.Name}.Key()]
			there = !again && was("column", o.Name)
		case "index", "unique", "check", "foreign key", "exclude":
			there = was("table", o.Table.String())
		default:
			continue
		}
		if there {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b verify.Object) int { return cmp.Or(b.Rank-a.Rank, strings.Compare(a.Key(), b.Key())) })
	return out
}

// measures tells whether rows that come back can break an object.
func measures(o verify.Object) bool {
	return o.Kind != "identity" && o.Kind != "default" && (o.Kind != "index" || strings.Contains(o.Definition, "UNIQUE INDEX"))
}

// tookOff tells of what surplus gave.
func (w *work) tookOff(o verify.Object) {
	w.r.warnOnce(fmt.Sprintf("%s %s is taken off again: Down made it, and it was not there before Up", o.Kind, o.Name))
}

// bereft gives the definitions that statements of Down have taken away though its Up left them alone, by their keys: the AUTO_INCREMENT, default or NOT NULL of a column that MODIFY does
// not say again, an index or a constraint that it drops. No data goes with them.
func (w *work) bereft(now verify.Fingerprint) verify.Fingerprint {
	out := verify.Fingerprint{}
	if w.r.dir != Down || w.undo == nil || w.r.allowDrift || w.r.m.db.Kind == engine.SQLite {
		return out
	}
	for key, o := range w.before {
		_, undone := w.undo[key]
		_, there := now[key]
		_, table := now[verify.Object{Kind: "table", Name: o.Table.String()}.Key()]
		if undone || there || !table {
			continue
		}
		if slices.ContainsFunc(w.stmts, func(st Statement) bool {
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return bereaves(e, o, now) })
		}) {
			out[key] = o
		}
	}
	return out
}

// bereaves tells whether an effect may have taken a definition away.
func bereaves(e effects.Effect, o verify.Object, now verify.Fingerprint) bool {
	if !strings.EqualFold(e.Table.Name, o.Table.Name) && !(e.Table.Name == "" && e.Kind == effects.Drop && e.Object.Kind == "index") { // PostgreSQL's are of a schema
		return false
	}
	switch o.Kind {
	case "identity", "default", "not null":
		if _, there := now[verify.Object{Kind: "column", Name: o.Name}.Key()]; !there {
			return false
		}
		return slices.Contains([]effects.Kind{effects.AlterColumnType, effects.AlterColumn, effects.DropDefault, effects.DropNotNull}, e.Kind) &&
			slices.ContainsFunc(e.Columns, func(c string) bool { return isColumn(o, c) })
	case "index", "unique", "check", "foreign key":
		return (e.Kind == effects.Drop || e.Kind == effects.DropConstraint) && e.Object.Name.Name != "" && isColumn(o, e.Object.Name.Name)
	}
	return false
}

// recounts tells whether a column may count again that Down has kept from it: what it has handed out went with that.
func (w *work) recounts() bool {
	if w.r.dir != Down || w.undo == nil || w.r.allowDrift {
		return false
	}
	for key, o := range w.before {
		if _, undone := w.undo[key]; !undone && o.Kind == "identity" && slices.ContainsFunc(w.stmts, func(st Statement) bool {
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return bereaves(e, o, w.before) })
		}) {
			return true
		}
	}
	return false
}
