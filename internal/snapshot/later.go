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

// The values of a column that Down makes again can wait: they are put back in batches when Down is through, where nothing of Down needs them before. Until then
// the capture is `restoring`: no other run takes it, and nothing prunes it. See backfill.go.

// Worthwhile is how many captured rows make batches worth it.
const Worthwhile = 5_000

// Waits says which captured values may wait.
type Waits struct {
	From  int64                            // captured rows; 0: Worthwhile
	Apart bool                             // Down is not one transaction where there could be one: what a row has been given cannot be told from what somebody wrote
	Down  []effects.Statement              // all that Down runs
	Tied  func(engine.Name, string) string // what else comes back that needs the values of a column; "" for nothing
}

// Later is a capture whose values are still to be put back, and how far that is.
type Later struct {
	Capture string      `json:"capture"`
	Table   engine.Name `json:"table"`
	Columns []string    `json:"columns"`
	Rows    int64       `json:"rows"`
	Given   []byte      `json:"given"`          // hash of what the columns have been given when they were made
	Work    bool        `json:"work,omitempty"` // its table of conflicts exists
	After   int64       `json:"after"`          // the last entry that is done
	Done    int64       `json:"done"`           // entries up to that
	Equal   int64       `json:"equal"`          // of those, proven to stand in their places
	Written int64       `json:"written"`
	Batches int         `json:"batches"`
	// Over counts values of the application that were written over, as asked for.
	Over       int64      `json:"over,omitempty"`
	Overridden []Conflict `json:"overridden,omitempty"` // the first of them
}

// String names the columns.
func (l Later) String() string { return fmt.Sprintf("%s (%s)", l.Table, strings.Join(l.Columns, ", ")) }

// Online lets values wait.
func (r *Restorer) Online(w Waits) {
	if w.From == 0 {
		w.From = Worthwhile
	}
	r.online = &w
}

// Later lists the captures that wait.
func (r *Restorer) Later() []Later {
	var out []Later
	for _, x := range r.captures {
		if x.later != nil {
			l := *x.later
			l.Work = x.work
			out = append(out, l)
		}
	}
	return out
}

// constant is a default that is one value, whatever the moment, and is not NULL.
var constant = regexp.MustCompile(`(?is)^\(?\s*([-+]?[0-9.]+|'([^'\\]|'')*'|true|false)\s*(::\s*[a-z_ ]+(\([0-9, ]+\))?)?\s*\)?$`)

// atOnce says why the values of a capture have to go back together with Down; "" when they can wait. t is its table as it is now.
func (r *Restorer) atOnce(x *restoring, t *engine.Table) string {
	w := r.online
	switch {
	case x.Kind != Columns || x.Ops || x.Moved || x.Whole || x.Bystander || x.Of != "" || x.Refill:
		return "only values of dropped columns can wait"
	case w.Apart:
		return "Down is no transaction"
	case x.Rows < w.From:
		return fmt.Sprintf("fewer than %d captured rows", w.From)
	case len(x.Key) == 0 || len(t.Keys) == 0:
		return "the table has no key"
	case x.Seal.Mode != sealPresent || slices.ContainsFunc(x.Fields, func(f field) bool { return f.Seal != "" }):
		return "the column was there all along, or its rows were not"
	case slices.ContainsFunc(x.Fields, func(f field) bool { return f.Watched }):
		return "Down computes its values"
	case t.Kind != "table" || !t.Transactional() || t.Versioned:
		return "it is no plain table"
	case len(t.Triggers) > 0 && !r.s.db.Caps.TransactionalDDL:
		return "the table has triggers, which here can only be switched off for everybody"
	}
	for _, f := range x.Fields {
		if w.Tied == nil {
			break
		}
		if why := w.Tied(x.Home, f.Name); why != "" {
			return why
		}
	}
	for _, st := range w.Down {
		if why := r.demands(st, x); why != "" {
			return why
		}
	}
	for _, y := range r.captures {
		if y != x && y.Home == x.Home && y.Kind != Definition && (y.Kind != Columns || y.Seal.Mode != sealPresent || !sameKey(x, y) ||
			slices.ContainsFunc(y.Fields, func(f field) bool { return f.Seal != "" })) {
			return "other rows or values of the table go back as well"
		}
	}
	if len(r.relays) > 0 {
		return "Down carries rows back from another table"
	}
	return ""
}

// aloof are effects on other tables that read no rows.
var aloof = []effects.Kind{effects.AddColumn, effects.DropColumn, effects.CreateTable, effects.DropTable, effects.Create, effects.Drop, effects.AddConstraint, effects.DropConstraint, effects.Comment,
	effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull, effects.AlterColumn, effects.Grant}

// demands says what a statement of Down has to do with the values of a capture; "" when nothing.
func (r *Restorer) demands(st effects.Statement, x *restoring) string {
	if st.Opaque() {
		return "Down has a statement whose effect cannot be told"
	}
	for _, e := range st.Effects {
		n := engine.Name(e.Table)
		if !r.s.sameName(n.Name, x.Home.Name) || n.Schema != "" && x.Home.Schema != "" && n.Schema != x.Home.Schema {
			if !slices.Contains(aloof, e.Kind) {
				return fmt.Sprintf("Down has a statement that may read it (%s)", strings.ReplaceAll(string(e.Kind), "_", " "))
			}
			if strings.Contains(strings.ToLower(st.SQL), strings.ToLower(x.Home.Name)) {
				return "Down names the table in another statement"
			}
			continue
		}
		ours := slices.ContainsFunc(x.Fields, func(f field) bool {
			return slices.ContainsFunc(e.Columns, func(c string) bool { return r.s.sameName(c, f.Name) })
		})
		switch d := e.Column; {
		case e.Kind == effects.DropColumn && !ours:
		case e.Kind != effects.AddColumn || d == nil:
			return fmt.Sprintf("Down does more with the table than to make the column (%s)", strings.ReplaceAll(string(e.Kind), "_", " "))
		case d.Generated:
			return "Down makes a generated column"
		case !ours:
		case d.PrimaryKey || d.Unique || d.Identity || d.Serial || len(d.Constraints) > 0 || d.OnUpdate != "":
			return "Down makes the column with a constraint"
		case d.HasDefault && !strings.EqualFold(strings.TrimSpace(d.Default), "NULL") && !constant.MatchString(strings.TrimSpace(d.Default)):
			return "the column's default is no constant"
		case d.NotNull && !d.HasDefault:
			return "Down makes the column NOT NULL without a default"
		}
	}
	return ""
}

// putOff sets a capture aside whose place has come back, when its values can wait.
func (r *Restorer) putOff(ctx context.Context, tx engine.Querier, g *target, came []int) (bool, error) {
	x := g.x
	if r.online == nil || len(came) != len(x.Fields) || len(g.left()) > 0 || r.atOnce(x, g.t) != "" {
		return false, nil
	}
	for _, i := range came {
		if r.s.typed(r.live(g, i)) != x.Fields[i].Type { // it may be given the old one later
			return false, nil
		}
	}
	given, err := r.given(ctx, tx, g, came)
	if err != nil || given == nil {
		return false, err
	}
	x.later = &Later{Capture: x.ID, Table: x.Home, Columns: x.Columns, Rows: x.Rows, Given: given}
	return true, nil
}

// given is the hash of what each row has in new columns; nil when there is no row. Where others may have written to them already, the server is asked for
// their defaults.
func (r *Restorer) given(ctx context.Context, tx engine.Querier, g *target, fields []int) ([]byte, error) {
	s := r.s
	_, live := r.images(g, fields, false)
	from := s.f.from(s.db, g.t) + " t"
	if !s.db.Caps.TransactionalDDL {
		var defaults []string
		for _, i := range fields {
			name := s.q(r.live(g, i).Name)
			defaults = append(defaults, "DEFAULT("+name+") AS "+name)
		}
		from = fmt.Sprintf("(SELECT %s FROM %s LIMIT 1) t", list(defaults), s.f.from(s.db, g.t))
	}
	var hashes [][]byte
	rows, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s LIMIT 1", s.hash(live), from))
	if err != nil {
		return nil, fmt.Errorf("read the defaults of %s: %w", g.t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var h []byte
		if err := rows.Scan(&h); err != nil {
			return nil, fmt.Errorf("read the defaults of %s: %w", g.t.Name, err)
		}
		hashes = append(hashes, h)
	}
	if err := rows.Err(); err != nil || len(hashes) == 0 {
		return nil, err
	}
	return hashes[0], nil
}

// settledOf leaves out the columns whose values are still to come: what a row has in them will not last.
func (c *Capturer) settledOf(t *engine.Table, columns []string) []string {
	if c.restorer == nil {
		return columns
	}
	return slices.DeleteFunc(columns, func(n string) bool {
		return slices.ContainsFunc(c.restorer.captures, func(x *restoring) bool {
			return x.later != nil && x.Home == t.Name && slices.ContainsFunc(x.Fields, func(f field) bool { return c.s.sameName(f.Name, n) })
		})
	})
}
