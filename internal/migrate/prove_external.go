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
var hidden = regexp.MustCompile(`(?i)\b(create|alter|drop|rename)\s+(?:or\s+replace\s+)?(role|user|database|tablespace|subscription)\b|\bdblink\w*\s*\(|\bto\s+program\b|\bfrom\s+program\b|\balter\s+system\b|\binto\s+(outfile|dumpfile)\b|\bset\s+(global|persist)\b`)

// refused says why a direction of a migration is not run: a statement reaches beyond the scratch database.
func (p *prover) refused(m *Migration, d Direction) *ProofError {
	if p.o.AllowExternal {
		return nil
	}
	var texts strings.Builder // that the session remembers, and that a later statement may run
	for _, st := range m.statements(d) {
		what := p.reaches(st)
		for _, e := range st.Effects {
			if e.Kind == effects.Opaque && strings.HasSuffix(e.Detail, "dynamic SQL") && what == "" {
				what = p.hiddenIn(texts.String())
			}
		}
		if strings.Contains(st.SQL, "@") {
			texts.WriteString(st.SQL + "\n")
		}
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
		case e.Kind == effects.External && !confinedCall(e.Detail):
			return e.Detail
		case e.Kind == effects.Opaque:
			if found := p.hiddenIn(st.SQL); found != "" {
				return found
			}
		case beyond[e.Object.Kind] && (e.Kind == effects.Create || e.Kind == effects.Alter || e.Kind == effects.Drop || e.Kind == effects.DropSchema):
			if e.Object.Kind == "role" && p.o.Scratch.Owned() {
				continue // it goes with the server
			}
			if e.Object.Kind == "database" && e.Kind == effects.Alter && e.Object.Name.Name == "" {
				continue // MySQL: that of the session
			}
			return strings.ToUpper(strings.TrimSuffix(string(e.Kind), "_schema")) + " " + strings.ToUpper(e.Object.Kind) + " " + e.Object.Name.Name
		}
		if other := p.otherDatabase(e); other != "" {
			return "database " + other + ", which it names,"
		}
	}
	return ""
}

// confinedCall tells of what leaves a transaction whether it stays within a scratch database all the same: nobody listens
// to it, and large objects go with it.
func confinedCall(detail string) bool {
	if strings.HasPrefix(detail, "NOTIFY") {
		return true
	}
	name, ok := strings.CutSuffix(strings.TrimPrefix(detail, "calls "), "()")
	return ok && (name == "pg_notify" || name == "lowrite" || strings.HasPrefix(name, "pg_stat_reset") ||
		strings.HasPrefix(name, "lo_") && name != "lo_import" && name != "lo_export")
}

// hiddenIn finds what code that is not taken apart would do beyond the database.
func (p *prover) hiddenIn(sql string) string {
	for _, found := range hidden.FindAllString(sql, -1) {
		found = strings.Join(strings.Fields(found), " ")
		lower := strings.ToLower(found)
		switch {
		case p.o.Scratch.Owned() && (strings.HasSuffix(lower, " role") || strings.HasSuffix(lower, " user")):
		case lower == "alter database" && strings.Contains(strings.ToLower(sql), "current_database"): // itself, then
		default:
			return found
		}
	}
	return ""
}

// otherDatabase is the database that an effect's name names where databases are all that names are qualified by: on a
// server with others it may be anybody's.
func (p *prover) otherDatabase(e effects.Effect) string {
	if p.trunk.db.Kind == engine.Postgres || p.trunk.db.Kind == engine.SQLite {
		return ""
	}
	if e.Kind == effects.Session && e.Object.Kind == "setting" && e.Object.Name.Name == "database" {
		return strings.TrimSpace(e.Detail[len("USE"):])
	}
	for _, n := range []effects.Name{e.Table, e.Object.Name, e.NewName} {
		if n.Schema != "" && e.Changes() {
			return n.Schema
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
