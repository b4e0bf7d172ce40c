package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysqlReached lists the tables that the triggers of a table may write when it is written: every table whose name is in
// their text, in that of the functions and procedures that they name, and in that of the views. There is no dynamic SQL in a trigger,
// so that what it writes is spelt there. More than it writes may be captured; less never.
func mysqlReached(ctx context.Context, p *planner, t *engine.Table, ev events) (tables []engine.Name, rewrites bool, err error) {
	w := &mysqlReach{p: p, seen: map[string]bool{}}
	if err := w.load(ctx); err != nil {
		return nil, false, err
	}
	for _, g := range t.Triggers {
		if !(ev.insert && g.Events == "INSERT" || ev.update && g.Events == "UPDATE" || ev.remove && g.Events == "DELETE") {
			continue
		}
		text := g.SQL
		if at := mysqlBody(text); at >= 0 {
			text = text[at:]
		}
		if g.Before && len(t.Keys) > 0 {
			for _, word := range mysqlWords(text) {
				rewrites = rewrites || slices.ContainsFunc(t.Keys[0].Columns, func(c string) bool { return strings.EqualFold(c, word.text) })
			}
		}
		if err := w.read(ctx, text, "trigger "+g.Name); err != nil {
			return nil, false, err
		}
	}
	return w.tables, rewrites, nil
}

// mysqlReach collects the tables that texts name.
type mysqlReach struct {
	p       *planner
	texts   map[string][]string // of routines and views, by name in lower case
	all     []engine.Name
	schemas []string
	seen    map[string]bool
	tables  []engine.Name
}

// load reads the names of all tables, and the texts of routines and views.
func (w *mysqlReach) load(ctx context.Context) (err error) {
	if w.all, err = w.p.s.db.Tables(ctx, w.p.q); err != nil {
		return err
	}
	if w.schemas, err = engine.Texts(ctx, w.p.q, "SELECT schema_name FROM information_schema.schemata WHERE schema_name <> database()"); err != nil {
		return fmt.Errorf("read the names of databases: %w", err)
	}
	w.texts = map[string][]string{}
	rows, err := w.p.q.QueryContext(ctx, `SELECT routine_name, coalesce(routine_definition, '') FROM information_schema.routines WHERE routine_schema = database()
		UNION ALL SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = database()`)
	if err != nil {
		return fmt.Errorf("read routines: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return fmt.Errorf("read routines: %w", err)
		}
		w.texts[strings.ToLower(name)] = append(w.texts[strings.ToLower(name)], text)
	}
	return rows.Err()
}

func (w *mysqlReach) read(ctx context.Context, text, of string) error {
	words := mysqlWords(text)
	for i, word := range words {
		name := strings.ToLower(word.text)
		if texts, ok := w.texts[name]; ok && !w.seen[name] {
			w.seen[name] = true
			for _, inner := range texts {
				if inner == "" {
					return &LossError{Object: of, Reason: "the definition of " + word.text + ", which it names, is hidden from this account",
						Hint: "GRANT the right to see it, or name the tables in the migration: -- +dbrollback affects: orders, customers"}
				}
				if err := w.read(ctx, inner, of); err != nil {
					return err
				}
			}
		}
		for _, n := range w.all {
			if strings.EqualFold(n.Name, word.text) && !slices.Contains(w.tables, n) {
				w.tables = append(w.tables, n)
			}
		}
		if i+2 < len(words) && words[i+1].text == "." && slices.ContainsFunc(w.schemas, func(s string) bool { return strings.EqualFold(s, word.text) }) {
			n, err := w.p.s.db.Resolve(ctx, w.p.q, engine.Name{Schema: word.text, Name: words[i+2].text})
			if err != nil {
				return &LossError{Object: of, Reason: fmt.Sprintf("what %s.%s does, which it names, is not known", word.text, words[i+2].text),
					Hint: "name the tables that it may change in the migration: -- +dbrollback affects: orders, customers"}
			}
			if !slices.Contains(w.tables, n) {
				w.tables = append(w.tables, n)
			}
		}
	}
	return nil
}
