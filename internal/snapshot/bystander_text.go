package snapshot

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A Down that cannot be understood (DO, CALL, a function) says in its text, or in that of the functions that it names, which rows it writes. Where an UPDATE, DELETE, TRUNCATE
// or MERGE stands before the name of a table, all rows of that are at stake; where a statement is put together from data, all tables that are named.

var (
	dynamic  = regexp.MustCompile(`(?i)\bexecute\b`)
	rewrote  = regexp.MustCompile(`(?i)\b(update|delete|truncate|merge)\b`)
	truncate = regexp.MustCompile(`(?i)\btruncate\b`)
	onClash  = regexp.MustCompile(`(?i)\bon\s+conflict\b`)
)

// suspected adds the tables whose rows a text may write, but for the one whose triggers it is of. before are the statements ahead of it.
func (c *Capturer) suspected(ctx context.Context, q engine.Querier, found []*bystander, text string, but *engine.Table, before []effects.Statement) ([]*bystander, error) {
	if !rewrote.MatchString(text) {
		return found, nil
	}
	tables, err := c.s.db.Tables(ctx, q)
	if err != nil {
		return found, err
	}
	if err := c.origins(ctx, q); err != nil {
		return found, err
	}
	for _, n := range tables {
		then, _ := c.s.calledThen(n, nil, before)
		if but != nil && but.Name == n || !writesIn(text, then.Name) {
			continue
		}
		t, err := c.s.inspect(ctx, q, c.track, n)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return found, err
		}
		if !c.inDanger(t) {
			continue
		}
		for _, b := range c.doubted(q, t, text, then.Name) {
			if !c.held(b) {
				found = join(found, b)
			}
		}
	}
	return found, nil
}

// doubted is all of a table that a text may write; where it does nothing but UPDATE it, the columns that it names and the others are sealed apart.
func (c *Capturer) doubted(q engine.Querier, t *engine.Table, text, name string) []*bystander {
	whole := []*bystander{{table: t, all: true}}
	if dynamic.MatchString(text) || truncate.MatchString(text) || len(t.Keys) == 0 || orders(unknownText(text), engine.Name{Name: name}, "delete from", "merge into", "insert into") {
		return whole
	}
	var named, others []string
	for _, col := range t.Columns {
		switch {
		case word(col.Name).MatchString(text):
			named = append(named, col.Name)
		case !slices.Contains(t.Keys[0].Columns, col.Name):
			others = append(others, col.Name)
		}
	}
	p := &planner{s: c.s, q: q, track: c.track}
	a, b := p.ownColumns(t, named), p.ownColumns(t, others)
	if len(a) == 0 || slices.ContainsFunc(a, func(n string) bool { return slices.Contains(t.Keys[0].Columns, n) }) {
		return whole
	}
	out := []*bystander{{table: t, all: true, columns: a}}
	if len(b) > 0 {
		out = append(out, &bystander{table: t, all: true, columns: b, stamps: true})
	}
	return out
}

func unknownText(text string) effects.Statement {
	return effects.Statement{SQL: text, Effects: []effects.Effect{{Kind: effects.Opaque}}}
}

// writesIn tells whether a text may write rows of a table that are there.
func writesIn(text, name string) bool {
	if dynamic.MatchString(text) || truncate.MatchString(text) {
		return word(name).MatchString(text)
	}
	verbs := []string{"update", "delete from", "merge into"}
	if onClash.MatchString(text) {
		verbs = append(verbs, "insert into")
	}
	return orders(unknownText(text), engine.Name{Name: name}, verbs...)
}

// wording is the text of a statement, where that alone tells what it does, and of the functions that it names, and of those that these name.
func (c *Capturer) wording(ctx context.Context, q engine.Querier, st effects.Statement, before []effects.Statement) (string, error) {
	parts, err := c.spelt(ctx, q, []string{st.SQL}, before)
	if err == nil && slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return rewrites(e) || e.Kind == effects.Insert }) {
		parts = parts[1:] // it is understood, but for what it calls
	}
	return strings.Join(parts, "\n"), err
}

// spelt adds to texts those of the functions that they name, and of those that these name.
func (c *Capturer) spelt(ctx context.Context, q engine.Querier, parts []string, before []effects.Statement) ([]string, error) {
	if c.written == nil {
		c.written = map[string][]string{}
		if c.s.f.routines != nil {
			var err error
			if c.written, err = c.s.f.routines(ctx, q); err != nil {
				return nil, err
			}
		}
	}
	texts := maps.Clone(c.written)
	for _, b := range before { // some it makes itself
		for _, e := range b.Effects {
			if e.Kind == effects.Create && (e.Object.Kind == "function" || e.Object.Kind == "procedure") {
				name := strings.ToLower(e.Object.Name.Name)
				texts[name] = append(texts[name], b.SQL)
			}
		}
	}
	for i := 0; i < len(parts); i++ {
		for name, bodies := range texts { // each is read once
			if word(name).MatchString(parts[i]) {
				parts = append(parts, bodies...)
				delete(texts, name)
			}
		}
	}
	return parts, nil
}

// firing are the texts of the triggers of a table that an effect fires, with those of the functions that they name.
type firing struct{ before, all string }

var (
	heading = regexp.MustCompile(`(?is)^\s*create\b.*?\bon\s+`)
	invoked = regexp.MustCompile(`(?i)\bexecute\s+(function|procedure)\b`)
	anew    = regexp.MustCompile(`(?i)\bexecute\b|\bpopulate_record|\b_populate_record|\bnew\s*:?=`)
)

func (c *Capturer) fired(ctx context.Context, q engine.Querier, t *engine.Table, e effects.Effect, before []effects.Statement) (firing, error) {
	var early, all []string
	for _, g := range t.Triggers {
		fires := strings.Contains(g.Events, "UPDATE") && rewrites(e) && e.Kind != effects.Delete && e.Kind != effects.Truncate || strings.Contains(g.Events, "TRUNCATE") && e.Kind == effects.Truncate ||
			strings.Contains(g.Events, "DELETE") && (e.Kind == effects.Delete || e.Kind == effects.Merge || e.Kind == effects.Replace) ||
			strings.Contains(g.Events, "INSERT") && e.Kind != effects.Update && e.Kind != effects.Delete && e.Kind != effects.Truncate
		if g.Enabled == "D" || !fires {
			continue
		}
		text := invoked.ReplaceAllString(heading.ReplaceAllString(g.SQL, ""), "CALL")
		if all = append(all, text); g.Before {
			early = append(early, text)
		}
	}
	var f firing
	for _, p := range []struct {
		parts []string
		text  *string
	}{{early, &f.before}, {all, &f.all}} {
		if len(p.parts) == 0 {
			continue
		}
		parts, err := c.spelt(ctx, q, p.parts, before)
		if err != nil {
			return f, err
		}
		*p.text = strings.Join(parts, "\n")
	}
	return f, nil
}

// columns are those of the table that the triggers may write in the row at hand: those that they name, or all.
func (f firing) columns(t *engine.Table) []string {
	text := f.before
	if writesIn(f.all, t.Name.Name) {
		text = f.all
	}
	if text == "" || len(t.Keys) == 0 {
		return nil
	}
	var out []string
	for _, c := range t.Columns {
		if !slices.Contains(t.Keys[0].Columns, c.Name) && (anew.MatchString(text) || word(c.Name).MatchString(text)) {
			out = append(out, c.Name)
		}
	}
	return out
}
