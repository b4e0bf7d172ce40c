package lint

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Tools that make one migration of each statement cut a Down into several, of which only all together bring back what one Up took: a statement of one is about
// a table that is there only once another has run. Which tables such are is known when all migrations are read, so that what may
// be one waits until then. Names are all that is kept.

// parts is what the migrations so far tell about tables.
type parts struct {
	made      map[string]bool   // by an Up
	elsewhere map[string]bool   // used by an Up, and made by none before it
	makers    map[string][]part // those whose Down makes a table
	waiting   []waiting
}

type part struct {
	version int64
	file    string
}

// leaning is a statement of Down about a table that no model knows.
type leaning struct {
	table effects.Name
	at    *Statement
}

// waiting is what is found when the table turns out to be made by the Down of another migration.
type waiting struct {
	table   string
	version int64
	found   []Diagnostic
}

func newParts() *parts {
	return &parts{made: map[string]bool{}, elsewhere: map[string]bool{}, makers: map[string][]part{}}
}

// add takes in a migration that is played.
func (s *parts) add(p *Pass) {
	m := p.Migration
	for i := range m.Up {
		for j := range m.Up[i].Effects {
			e := &m.Up[i].Effects[j]
			name := strings.ToLower(makes(e))
			if used := strings.ToLower(e.Table.Name); used != name && !s.made[used] {
				s.elsewhere[used] = true
			}
			s.made[name] = true
		}
	}
	for i := range m.Down {
		for j := range m.Down[i].Effects {
			name, here := strings.ToLower(makes(&m.Down[i].Effects[j])), part{m.Version, cmp.Or(m.DownFile, m.File)}
			if name != "" && !slices.Contains(s.makers[name], here) {
				s.makers[name] = append(s.makers[name], here)
			}
		}
	}
	if m.Skip || !p.wants() || p.Undone.played.opaque {
		return
	}
	told := p.out
	for _, l := range p.leaning {
		p.rule, p.out = Find("RV008"), nil
		p.reportAt("down", l.at, "this statement of Down will fail: table "+p.show(l.table)+" is not there", "undo in the reverse order of Up")
		if found := p.found(); len(found) > 0 {
			s.waiting = append(s.waiting, waiting{strings.ToLower(l.table.Name), m.Version, found})
		}
	}
	p.out = told
}

// told gives what has turned out to be so.
func (s *parts) told() []Diagnostic {
	var out []Diagnostic
	for _, w := range s.waiting {
		var by *part
		for i, k := range s.makers[w.table] {
			if k.version != w.version && (by == nil || by.version < w.version) {
				by = &s.makers[w.table][i] // the next one, where there is one
			}
		}
		if by == nil || s.elsewhere[w.table] {
			continue
		}
		for _, d := range w.found {
			d.Message += ": the Down of " + filepath.Base(by.file) + " makes it"
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// unheardOf says whether the current effect is about a table that the model does not know, and that must be there.
func (p *Pass) unheardOf() bool {
	e := p.Effect
	return e.Table.Name != "" && !e.IfExists && !e.Temporary && e.Kind != effects.CreateTable && p.Model.Table(e.Table) == nil && !p.Model.wasDropped(p.Model.key(e.Table)) &&
		p.Model.object(p.Model.materialized(e.Table)) == nil && p.Model.findObject("view", e.Table) == nil && !p.Model.maybe(e.Table.Name)
}

// makes is the name of the table that an effect brings about, or of what answers to the same statements.
func makes(e *effects.Effect) string {
	switch e.Kind {
	case effects.CreateTable:
		return e.Table.Name
	case effects.RenameTable, effects.SetSchema, effects.Rename:
		return e.NewName.Name
	case effects.Create:
		if e.Object.Kind == "view" || e.Object.Kind == "materialized view" {
			return e.Object.Name.Name
		}
	}
	return ""
}
