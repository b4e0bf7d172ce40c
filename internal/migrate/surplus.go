package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
	return o.Kind != "index" && o.Kind != "identity" && o.Kind != "default"
}

// tookOff tells of what surplus gave.
func (w *work) tookOff(o verify.Object) {
	w.r.warnOnce(fmt.Sprintf("%s %s is taken off again: Down made it, and it was not there before Up", o.Kind, o.Name))
}
