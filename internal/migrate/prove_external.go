package migrate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// beyond are the kinds of objects that belong to the server and not to a database.
var beyond = map[string]bool{"role": true, "user": true, "database": true, "tablespace": true, "subscription": true}

// hidden finds, in code that is not taken apart, what would reach beyond the database.
var hidden = regexp.MustCompile(`(?i)\b(create|alter|drop)\s+(role|user|database|tablespace|subscription)\b|\bdblink\w*\s*\(|\bto\s+program\b|\bfrom\s+program\b|\balter\s+system\b`)

// refused says why a direction of a migration is not run: a statement reaches beyond the scratch database.
func (p *prover) refused(m *Migration, d Direction) *ProofError {
	if p.o.AllowExternal {
		return nil
	}
	for _, st := range m.statements(d) {
		what := p.reaches(st)
		if what == "" {
			continue
		}
		return &ProofError{
			Message: fmt.Sprintf("not run: %s reaches beyond the scratch database", what),
			Hint:    "--allow-external runs it, on a scratch server that may be thrown away",
			File:    st.File, Line: st.Line, Column: st.Column, Statement: headline(st.SQL),
		}
	}
	return nil
}

func (p *prover) reaches(st Statement) string {
	for _, e := range st.Effects {
		switch {
		case e.Kind == effects.External && !strings.HasPrefix(e.Detail, "NOTIFY"): // nobody listens to a scratch database
			return e.Detail
		case e.Kind == effects.Opaque:
			if found := hidden.FindString(st.SQL); found != "" {
				return strings.Join(strings.Fields(found), " ")
			}
		case beyond[e.Object.Kind] && (e.Kind == effects.Create || e.Kind == effects.Alter || e.Kind == effects.Drop || e.Kind == effects.DropSchema):
			if e.Object.Kind == "role" && p.o.Scratch.Owned() {
				continue // it goes with the server
			}
			return strings.ToUpper(strings.TrimSuffix(string(e.Kind), "_schema")) + " " + strings.ToUpper(e.Object.Kind) + " " + e.Object.Name.Name
		}
	}
	return ""
}

// lacking says what to do about what the scratch server does not have, "" when it is something else.
func lacking(e *engine.Error) string {
	switch what, name := engine.Lacking(e.Err); {
	case what == engine.LacksRole:
		return fmt.Sprintf("roles belong to the server: create %q on the scratch server, or name a server that has it with --scratch-dsn", name)
	case what == engine.LacksExtension:
		return fmt.Sprintf("install the extension %q on the scratch server, or name a server that has it with --scratch-dsn", name)
	case e.Class == engine.Privilege:
		return "the account of the scratch server lacks a right that this migration needs; name another with --scratch-dsn"
	}
	return ""
}
