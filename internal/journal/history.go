package journal

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// History is what was written to one row.
type History struct {
	Table   string  `json:"table"`
	Key     string  `json:"key"`
	From    string  `json:"from"` // as far as the journal goes back
	Entries []Entry `json:"entries"`
	Note    string  `json:"note,omitempty"`
	Why     string  `json:"why,omitempty"` // why it does not record any more: what was written since is not known
}

// Entry is one write.
type Entry struct {
	At     string          `json:"at"` // when it was committed, as near as is known
	Who    string          `json:"who"`
	Tx     string          `json:"transaction"`
	Change string          `json:"change"` // inserted | updated | deleted | truncated | moved here | moved away
	Cells  []snapshot.Cell `json:"cells"`  // of an update those that differ
}

// History tells what was written to the row of a key, the newest first. The key is given by its values, in the order of the table's key.
func (j *Journal) History(ctx context.Context, q engine.Querier, n engine.Name, key []string, limit int) (*History, error) {
	t, err := j.inspect(ctx, q, n)
	if err != nil {
		return nil, err
	}
	all, err := j.segments(ctx, q)
	if err != nil {
		return nil, err
	}
	mine := j.of(all, t.Name)
	if len(mine) == 0 {
		return nil, &RefusedError{Message: fmt.Sprintf("%s is not journalled", t.Name), Hint: "dbrollback journal enable " + t.Name.Arg()}
	}
	last := mine[len(mine)-1]
	if last.source == Slot {
		if err := j.catchUp(ctx, t.Name, false); err != nil {
			return nil, err
		}
	}
	why, err := j.sound(ctx, q, last, t)
	if err != nil {
		return nil, err
	}
	if why == olderProgram { // all is recorded
		why = ""
	}
	names := last.form.Key()
	if len(key) != len(names) {
		return nil, &snapshot.AskError{Message: fmt.Sprintf("the key of %s is (%s): %d value(s) are wanted, %d are given", t.Name, strings.Join(names, ", "), len(names), len(key)),
			Hint: "--key once for each column of the key, in this order"}
	}
	h := &History{Table: t.Name.String(), From: stamp(mine[0].floor), Note: j.by(last.source).spelling().note, Why: why, Entries: []Entry{}}
	if key, err = j.meant(ctx, q, last, t, key); err != nil {
		return nil, err
	}
	var shown []string
	for i, k := range names {
		shown = append(shown, k+"="+key[i])
	}
	h.Key = strings.Join(shown, ", ")
	after, err := j.row(ctx, q, last, t, key)
	if err != nil {
		return nil, err
	}
	for i := len(mine) - 1; i >= 0 && len(h.Entries) < limit; i-- {
		if mine[i].reason == cutOff {
			continue
		}
		if lost, err := j.lost(ctx, q, mine[i]); err != nil {
			return nil, err
		} else if lost {
			h.Why = lostRecords
			break
		}
		if after, err = j.walk(ctx, q, mine[i], key, after, limit, h); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// meant gives the values of a key as they are shown, from what a person wrote.
func (j *Journal) meant(ctx context.Context, q engine.Querier, g *segment, t *engine.Table, key []string) ([]string, error) {
	var out []string
	for i, name := range g.form.Key() {
		value, can, err := j.store.Meant(ctx, q, g.form, t, i, key[i])
		if err != nil {
			return nil, err
		}
		if !can {
			c := t.Columns[indexOf(t, name)]
			e := &snapshot.AskError{Message: fmt.Sprintf("no row of %s can have the key %q: its column %s is of type %s", t.Name, key[i], c.Name, c.Type), Hint: "--key with a value of that type"}
			var shown []string
			for _, k := range g.form.Key() {
				shown = append(shown, j.store.Shown(g.form, "t", k, false))
			}
			some, err := texts(ctx, q, "SELECT "+strings.Join(shown, ", ")+" FROM "+j.db.Quote(t.Name)+" t LIMIT 1")
			if err != nil {
				return nil, err
			}
			for _, r := range some {
				e.Hint = "a key of it looks like this:"
				for _, v := range r {
					e.Hint += fmt.Sprintf(" --key %q", *v)
				}
			}
			return nil, e
		}
		out = append(out, value)
	}
	return out, nil
}

// row reads the row as it is now, as texts by name; nil when there is none.
func (j *Journal) row(ctx context.Context, q engine.Querier, g *segment, t *engine.Table, key []string) (map[string]*string, error) {
	var where []string
	var args []any
	for i, k := range g.form.Key() {
		where = append(where, j.store.Shown(g.form, "t", k, false)+" = "+j.db.Arg(i+1))
		args = append(args, key[i])
	}
	var columns []string
	names := g.form.Names()
	for _, n := range names {
		if indexOf(t, n) < 0 {
			return nil, nil
		}
		columns = append(columns, j.store.Shown(g.form, "t", n, false))
	}
	found, err := texts(ctx, q, "SELECT "+strings.Join(columns, ", ")+" FROM "+j.db.Quote(t.Name)+" t WHERE "+strings.Join(where, " AND "), args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	out := map[string]*string{}
	for i, n := range names {
		out[n] = found[0][i]
	}
	return out, nil
}

func indexOf(t *engine.Table, column string) int {
	for i, c := range t.Columns {
		if c.Name == column {
			return i
		}
	}
	return -1
}

// walk reads the writes of one segment, the newest first, and gives the row as it was before the oldest of them.
func (j *Journal) walk(ctx context.Context, q engine.Querier, g *segment, key []string, after map[string]*string, limit int, h *History) (map[string]*string, error) {
	sp := j.by(g.source).spelling()
	names := g.form.Names()
	var args []any
	match := func(old bool) string {
		var parts []string
		for i, k := range key {
			args = append(args, k)
			parts = append(parts, j.store.KeyShown(g.form, "j", i, old)+" = "+j.db.Arg(len(args)))
		}
		return strings.Join(parts, " AND ")
	}
	columns := []string{"j.op", sp.at, sp.who, sp.tx, "CASE WHEN " + match(true) + " THEN '1' ELSE '0' END", "CASE WHEN " + match(false) + " THEN '1' ELSE '0' END"}
	for _, n := range names {
		columns = append(columns, j.store.Shown(g.form, "j", n, true))
	}
	found, err := texts(ctx, q, fmt.Sprintf("SELECT %s FROM %s j%s WHERE ((%s) OR (%s))%s ORDER BY j.n DESC LIMIT %d", strings.Join(columns, ", "), j.own(g.data()), sp.join, match(true), match(false), sp.seen, limit-len(h.Entries)), args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", g.table, err)
	}
	for _, r := range found {
		e := Entry{At: *r[1], Who: *r[2], Tx: *r[3], Cells: []snapshot.Cell{}}
		left, came := *r[4] == "1", *r[5] == "1"
		before := map[string]*string{}
		for i, n := range names {
			before[n] = r[6+i]
		}
		switch op := strings.TrimSpace(*r[0]); {
		case op == "i":
			e.Change, before = "inserted", nil
		case op == "d":
			e.Change = "deleted"
		case op == "t":
			e.Change = "truncated"
		case left && came:
			e.Change = "updated"
		case left:
			e.Change = "moved away"
		default: // what it was is told under the key that it had
			e.Change, before = "moved here", nil
		}
		for _, n := range names {
			c := snapshot.Cell{Column: n, Before: before[n], After: after[n]}
			if e.Change == "moved away" || e.Change == "deleted" || e.Change == "truncated" {
				c.After = nil
			}
			if e.Change == "updated" && after != nil && sameText(c.Before, c.After) {
				continue
			}
			e.Cells = append(e.Cells, c)
		}
		after = before
		h.Entries = append(h.Entries, e)
	}
	return after, nil
}

func sameText(a, b *string) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// texts runs a query whose columns are texts.
func texts(ctx context.Context, q engine.Querier, query string, args ...any) ([][]*string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]*string
	for rows.Next() {
		line, into := make([]*string, len(columns)), make([]any, len(columns))
		for i := range line {
			into[i] = &line[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, rows.Err()
}
