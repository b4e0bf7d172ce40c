package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// noWayBack refuses an Up whose rollback is certain to fail by what Down says, or does not say.
func (m *Migrator) noWayBack(ctx context.Context, q engine.Querier, mig *Migration) ([]Refusal, error) {
	var out []Refusal
	for _, st := range mig.Down {
		if st.ParseError == "" {
			continue
		}
		said, err := m.db.Malformed(ctx, q, st.SQL) // the server may read what the grammar here does not know
		if err != nil {
			return nil, (&work{mig: mig}).located(st, err)
		}
		if said == nil {
			continue
		}
		r := Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: "the server cannot read this statement of Down: " + said.Message, Hint: "correct it: as it stands, nothing could undo the migration"}
		if line, column := effects.Position(st.SQL, st.ErrorOffset); line > 1 {
			r.Line, r.Column = st.Line+line-1, column
		} else {
			r.Column += column - 1
		}
		out = append(out, r)
	}
	if len(mig.Down) == 0 {
		return out, nil // see refusals
	}
	for _, st := range mig.Up {
		for _, e := range st.Effects {
			if what, hint := unmade(st, e); what != "" && !mig.answers(e) {
				out = append(out, Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: what + ", which Down does not take back and dbrollback cannot", Hint: hint})
			}
		}
	}
	return out, nil
}

// unmade names an effect on definitions that nothing but Down can take back.
func unmade(st Statement, e effects.Effect) (what, hint string) {
	switch {
	case e.Kind == effects.Grant && e.Object.Kind == "default privileges":
		return "this changes default privileges", "write the opposite ALTER DEFAULT PRIVILEGES into Down"
	case renamesValue(e):
		return fmt.Sprintf("this renames a value of %s", e.Object.Name), "write ALTER TYPE … RENAME VALUE, the other way round, into Down"
	}
	return "", ""
}

func renamesValue(e effects.Effect) bool {
	return e.Kind == effects.Alter && e.Object.Kind == "type" && e.Detail == "RENAME VALUE"
}

// answers tells whether Down says anything about what an effect of Up is about, or Up has made it.
func (mig *Migration) answers(e effects.Effect) bool {
	same := func(n effects.Name) bool {
		return n.Name == e.Object.Name.Name && (n.Schema == "" || e.Object.Name.Schema == "" || n.Schema == e.Object.Name.Schema)
	}
	about := func(x effects.Effect) bool {
		if e.Kind == effects.Grant {
			return x.Kind == effects.Grant && x.Object.Kind == e.Object.Kind
		}
		return renamesValue(x) && same(x.Object.Name) || (x.Kind == effects.Drop || x.Kind == effects.Create || x.Kind == effects.Rename) && same(x.Object.Name) ||
			x.Kind == effects.DropSchema || strings.EqualFold(x.NewName.Name, e.Object.Name.Name)
	}
	made := func(x effects.Effect) bool { return x.Kind == effects.Create && same(x.Object.Name) }
	return slices.ContainsFunc(mig.Down, func(st Statement) bool { return st.Opaque() || slices.ContainsFunc(st.Effects, about) }) ||
		e.Kind != effects.Grant && slices.ContainsFunc(mig.Up, func(st Statement) bool { return slices.ContainsFunc(st.Effects, made) })
}
