package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// noWayBack refuses an Up whose rollback is certain to fail by what Down says, or does not say.
func (m *Migrator) noWayBack(ctx context.Context, q engine.Querier, mig *Migration) ([]Refusal, error) {
	var out []Refusal
	settled := true // nothing has changed how a statement is read
	for _, st := range mig.Down {
		if st.ParseError != "" || settled && m.doubts(st) {
			said, err := m.db.Malformed(ctx, q, st.SQL) // the server may read what the grammar here does not know, and the other way round
			if err != nil {
				return nil, (&work{mig: mig}).located(st, err)
			}
			if said != nil {
				out = append(out, unreadable(st, "Down", said, "correct it: as it stands, nothing could undo the migration"))
			}
		}
		settled = settled && !st.Opaque() && !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session })
	}
	if len(mig.Down) == 0 {
		return out, nil // see refusals
	}
	refused := m.refusedStatements(mig, Down)
	for _, st := range mig.Down {
		unread := slices.ContainsFunc(out, func(r Refusal) bool { return r.File == st.File && r.Line >= st.Line })
		if st.Opaque() && !unread && !(mig.Transactional && m.db.Caps.TransactionalDDL) && !mig.declares(Down, st) {
			refused = append(refused, notTold(st))
		}
	}
	for _, r := range refused {
		r.Message, r.fatal = "rollback refuses this statement of Down: "+r.Message, false // the migration itself would run
		out = append(out, r)
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

// unreadable is the refusal of a statement that the server cannot read, at the place that it names.
func unreadable(st Statement, side string, said *engine.Error, hint string) Refusal {
	r := Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: "the server cannot read this statement of " + side + ": " + said.Message, Hint: hint}
	if line, column := effects.Position(st.SQL, st.ErrorOffset); line > 1 {
		r.Line, r.Column = st.Line+line-1, column
	} else {
		r.Column += column - 1
	}
	return r
}

// What MySQL reads and MariaDB does not, or the other way round, or neither of them, and the grammar here does.
var (
	doubted   = regexp.MustCompile(`(?is)\bIF\s+(NOT\s+)?EXISTS\b|\b(MODIFY|CHANGE)\b.*\bREFERENCES\b|->|\b(IN)?VISIBLE\b|\bENFORCED\b|\(\s*\(|\bLATERAL\b|\bRETURNING\b|\bROW\s*\(|\bON\s+DUPLICATE\b|\bALGORITHM\b|\bLOCK\s*=`)
	undoubted = regexp.MustCompile(`(?is)^\s*(CREATE\s+TABLE|DROP\s+(TABLE|VIEW|DATABASE|SCHEMA|TRIGGER|PROCEDURE|FUNCTION|EVENT))\s+IF\s+(NOT\s+)?EXISTS\b`)
)

// doubts tells of a statement that the server may not read though the grammar here has, where its refusal would leave a migration half-way.
func (m *Migrator) doubts(st Statement) bool {
	return !m.db.Caps.TransactionalDDL && !st.Opaque() && doubted.MatchString(undoubted.ReplaceAllString(st.SQL, ""))
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
