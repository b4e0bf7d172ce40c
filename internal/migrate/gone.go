package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// moot tells whether a statement of Down does nothing but drop indexes and constraints that are not there: they went with a column,
// or a table, that Up itself dropped after it had made them. In the state that Up leaves the statement can only fail, and what it is
// for is done.
func (w *work) moot(i int) bool {
	st := w.stmts[i]
	if w.r.dir != Down || w.undo == nil {
		return false
	}
	for _, e := range st.Effects {
		drop := e.Kind == effects.DropConstraint || e.Kind == effects.Drop && (e.Object.Kind == "index" || e.Object.Kind == "constraint")
		name := e.Object.Name.Name
		if !drop || name == "" || e.IfExists || w.known(name) {
			return false
		}
		// A statement before it may have made it, by whatever means.
		if slices.ContainsFunc(w.stmts[:i], func(s Statement) bool {
			return s.Opaque() || strings.Contains(strings.ToLower(s.SQL), strings.ToLower(name))
		}) {
			return false
		}
	}
	w.r.warn(fmt.Sprintf("%s:%d:%d: left out, because what it drops is not there: %s", st.File, st.Line, st.Column, headline(st.SQL)))
	return true
}

// known tells whether anything had a name when the run began.
func (w *work) known(name string) bool {
	for _, o := range w.before {
		if last := o.Name[strings.LastIndex(o.Name, ".")+1:]; strings.EqualFold(strings.Trim(last, `"`), name) || strings.EqualFold(o.Name, name) {
			return true
		}
	}
	return false
}
