package snapshot

import (
	"context"
	"errors"
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

// suspected adds the tables of which a statement of the opposite direction that cannot be understood may write rows. before are the statements ahead of it.
func (c *Capturer) suspected(ctx context.Context, q engine.Querier, found []*bystander, st effects.Statement, before []effects.Statement) ([]*bystander, error) {
	text, err := c.wording(ctx, q, st, before)
	if err != nil || !rewrote.MatchString(text) {
		return found, err
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
		if !writesIn(text, then.Name) {
			continue
		}
		t, err := c.s.inspect(ctx, q, c.track, n)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return found, err
		}
		if b := (&bystander{table: t, all: true}); c.inDanger(t) && !c.held(b) {
			found = join(found, b)
		}
	}
	return found, nil
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
	return orders(effects.Statement{SQL: text, Effects: []effects.Effect{{Kind: effects.Opaque}}}, engine.Name{Name: name}, verbs...)
}

// wording is the text of a statement, where that alone tells what it does, and of the functions that it names, and of those that these name.
func (c *Capturer) wording(ctx context.Context, q engine.Querier, st effects.Statement, before []effects.Statement) (string, error) {
	var texts map[string][]string
	if c.s.f.routines != nil {
		var err error
		if texts, err = c.s.f.routines(ctx, q); err != nil {
			return "", err
		}
	}
	for _, b := range before { // some it makes itself
		for _, e := range b.Effects {
			if e.Kind == effects.Create && (e.Object.Kind == "function" || e.Object.Kind == "procedure") {
				name := strings.ToLower(e.Object.Name.Name)
				texts[name] = append(texts[name], b.SQL)
			}
		}
	}
	parts := []string{st.SQL}
	for i := 0; i < len(parts); i++ {
		for name, bodies := range texts {
			if word(name).MatchString(parts[i]) {
				parts = append(parts, bodies...)
				delete(texts, name)
			}
		}
	}
	if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return rewrites(e) || e.Kind == effects.Insert }) {
		parts = parts[1:] // it is understood, but for what it calls
	}
	return strings.Join(parts, "\n"), nil
}
