package snapshot

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A statement that does not read a table, nor one into which another has put something out of it, does not know which keys that one gave out:
// whatever number it writes is no pointer to one of them, or was one to a row of the first run.

// pointers gives a function that tells whether the run may have written into a table keys that another table has given out. Values that
// foreign keys lead along are not meant.
func (r *Restorer) pointers(ctx context.Context, tx engine.Querier, to *engine.Table) (func(*engine.Table) bool, error) {
	anywhere := func(*engine.Table) bool { return true }
	if r.run == nil {
		return anywhere, nil
	}
	shown, err := r.shown(ctx, tx)
	if err != nil {
		return nil, err
	}
	names := func(sql, n string) int {
		return len(word(n).FindAllString(sql, -1))
	}
	written := map[string]bool{}
	for _, st := range r.run {
		// What a session remembers may be a key, and so may what a view or a table that inherits shows under another name.
		if st.Opaque() || strings.Contains(st.SQL, "@") || names(st.SQL, "current_setting") > 0 || slices.ContainsFunc(shown, func(v string) bool { return names(st.SQL, v) > 0 }) {
			return anywhere, nil
		}
		for _, e := range st.Effects {
			if !puts(e) {
				continue
			}
			if e.Volatile && !e.Clock {
				return anywhere, nil
			}
			written[strings.ToLower(e.Table.Name)] = true
			t, err := r.inspect(ctx, tx, engine.Name(e.Table))
			if err != nil {
				return nil, err
			}
			if t == nil && !r.leaves(e.Table.Name) {
				continue // it is still to be made
			}
			if t == nil || t.Rules || len(t.Triggers) > 0 || slices.ContainsFunc(t.Columns, computes) {
				return anywhere, nil
			}
		}
	}
	own := []string{strings.ToLower(to.Name.Name)} // its names
	spread := func(know []string, through func(st effects.Statement, e effects.Effect, know []string) []string) []string {
		for n := 0; n < len(know); {
			n = len(know)
			for _, st := range r.run {
				for _, e := range st.Effects {
					for _, name := range through(st, e, know) {
						if name = strings.ToLower(name); !slices.Contains(know, name) {
							know = append(know, name)
						}
					}
				}
			}
		}
		return know
	}
	renamed := func(_ effects.Statement, e effects.Effect, know []string) []string {
		if e.Kind == effects.RenameTable && (slices.Contains(know, strings.ToLower(e.Table.Name)) || slices.Contains(know, strings.ToLower(e.NewName.Name))) {
			return []string{e.Table.Name, e.NewName.Name}
		}
		return nil
	}
	own = spread(own, renamed)
	know := spread(slices.Clone(own), func(st effects.Statement, e effects.Effect, know []string) []string {
		if puts(e) && slices.ContainsFunc(know, func(n string) bool { return n != strings.ToLower(e.Table.Name) && names(st.SQL, n) > 0 }) {
			return []string{e.Table.Name}
		}
		return renamed(st, e, know)
	})
	self := slices.ContainsFunc(r.run, func(st effects.Statement) bool { // it reads where it writes
		n := 0
		for _, name := range know {
			n += names(st.SQL, name)
		}
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return puts(e) && slices.Contains(own, strings.ToLower(e.Table.Name)) && (n > 1 || e.Kind != effects.Insert)
		})
	})
	return func(t *engine.Table) bool {
		name := strings.ToLower(t.Name.Name)
		return !written[name] || slices.Contains(know, name) && (t.Name != to.Name || self) // what no statement names was written by something else
	}, nil
}

// leaves tells whether the run takes the name of a table away.
func (r *Restorer) leaves(name string) bool {
	return slices.ContainsFunc(r.run, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.DropTable, effects.RenameTable, effects.SetSchema:
				return r.s.sameName(e.Table.Name, name)
			}
			return e.Kind == effects.DropSchema
		})
	})
}

// word finds a name where it stands as a word of a statement, in whichever case.
func word(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[^\pL\pN_$])` + regexp.QuoteMeta(name) + `($|[^\pL\pN_$])`)
}

// puts tells whether an effect writes values into rows.
func puts(e effects.Effect) bool {
	switch e.Kind {
	case effects.Insert, effects.Update, effects.Upsert, effects.Replace, effects.Merge:
		return true
	}
	return e.Kind == effects.CreateTable && e.Define != nil && e.Define.AsSelect
}

// computes tells whether the default of a column may be what another one was given.
func computes(c engine.Column) bool {
	d := strings.ToLower(c.Default)
	return !c.Generated && strings.Contains(d, "(") && !strings.HasPrefix(d, "nextval(") && !clocked(c)
}

// clocked tells the types that hold no numbers but moments and truths.
func clocked(c engine.Column) bool {
	return slices.ContainsFunc([]string{"date", "time", "year", "interval", "bool"}, func(part string) bool { return strings.Contains(strings.ToLower(c.Type), part) })
}

// shown names what shows rows of other tables, in lower case.
func (r *Restorer) shown(ctx context.Context, tx engine.Querier) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, r.s.f.shown)
	if err != nil {
		return nil, fmt.Errorf("look for views: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("look for views: %w", err)
		}
		out = append(out, strings.ToLower(n))
	}
	return out, rows.Err()
}
