package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// fold makes one capture of those that the statements of a migration made of a table: an entry for each row that any of them
// has, with the values and the key that it had before the first. What none of them has of a row is taken from the row as
// it is. The newest comes first, so that the oldest values stand at the end.
func (s *Store) fold(ctx context.Context, tx engine.Querier, r *Restorer, h *held) (*restoring, error) {
	first := r.captures[0]
	f := &restoring{capture: &capture{Info: first.Info, detail: first.detail}}
	f.ID, f.Kind, f.Ops, f.Moved, f.Fields, f.Columns, f.Spare, f.Of = newID(), Rows, true, false, nil, nil, nil, ""
	for _, x := range r.captures {
		if len(x.Key) == 0 || !slices.EqualFunc(x.Key, first.Key, func(a, b field) bool { return a.Name == b.Name && a.Decl == b.Decl }) {
			return nil, &AskError{Message: fmt.Sprintf("the captures of %s in snapshot %s know its rows by different keys, and cannot be put together", h.home, h.snapshot),
				Hint: "name one of them: --snapshot " + x.ID}
		}
		f.Moved = f.Moved || x.Moved
		for _, c := range x.Fields { // the oldest form of a column is the one that counts
			if !slices.ContainsFunc(f.Fields, func(o field) bool { return o.Name == c.Name }) {
				c.Slot = ""
				f.Fields, f.Columns = append(f.Fields, c), append(f.Columns, c.Name)
			}
		}
	}
	f.Whole = h.live != nil && !slices.ContainsFunc(h.live.Columns, func(c engine.Column) bool {
		return !c.Generated && slices.ContainsFunc(r.captures, func(x *restoring) bool { return columnOf(x.Shape, c.Name) }) &&
			!slices.ContainsFunc(f.Fields, func(o field) bool { return s.sameName(o.Name, c.Name) })
	})
	w := &folding{s: s, r: r, f: f, live: h.live}
	if err := w.make(ctx, tx); err != nil {
		return nil, err
	}
	for i := len(r.captures) - 1; i >= 0; i-- {
		if err := w.add(ctx, tx, i+1, r.captures[i]); err != nil {
			return nil, err
		}
	}
	return f, w.finish(ctx, tx)
}

// columnOf tells whether a table had a column when it was captured.
func columnOf(t *engine.Table, name string) bool { return t == nil || columnIndex(t, name) >= 0 }

type folding struct {
	s    *Store
	r    *Restorer
	f    *restoring
	live *engine.Table
}

func (w *folding) data() string { return w.s.own(w.f.data()) }

// make makes room: the entries, the step that wrote each last, whether each is whole, and where its row stood in the beginning.
func (w *folding) make(ctx context.Context, tx engine.Querier) error {
	defs := []string{"n bigint NOT NULL", "m int NOT NULL", "w int NOT NULL", "op char(1)"}
	for _, p := range []func(int) string{k, o} {
		for i, f := range w.f.Key {
			defs = append(defs, p(i)+" "+f.Decl)
		}
	}
	for i, f := range w.f.Fields {
		defs = append(defs, v(i)+" "+f.Decl)
	}
	if err := w.s.desk(ctx, tx, "put captures together", w.f.capture, defs); err != nil {
		return err
	}
	return w.s.indexed(ctx, tx, w.f.capture, o)
}

// desk makes a table of ours to work on. Where its indexes have to be made with it they are; see indexed.
func (s *Store) desk(ctx context.Context, tx engine.Querier, what string, x *capture, defs []string) error {
	if s.f.keyed {
		defs = append(defs, mysqlIndex(x))
	}
	return s.make(ctx, tx, what, s.own(x.data()), defs, "n")
}

// indexed makes entries of a desk easy to find, by number and by key.
func (s *Store) indexed(ctx context.Context, tx engine.Querier, x *capture, column func(int) string) error {
	if s.f.keyed {
		return nil
	}
	var columns []string
	for i := range x.Key {
		columns = append(columns, column(i))
	}
	for i, by := range []string{"n", list(columns)} {
		name := fmt.Sprintf("dbrollback_key%d_%s", i, compact(x.ID))
		if err := s.ddl(ctx, tx, "order a comparison", fmt.Sprintf("CREATE INDEX %s ON %s (%s)", s.q(name), s.own(x.data()), by)); err != nil {
			return err
		}
	}
	if s.f.weigh == nil {
		return nil
	}
	return s.f.weigh(ctx, tx, s.own(x.data()))
}

// stride is how far apart the numbers of the steps' entries are.
const stride = 1_000_000_000_000

// add puts the entries of one capture in.
func (w *folding) add(ctx context.Context, tx engine.Querier, step int, x *restoring) error {
	s, f := w.s, w.f
	there, join := "1 = 0", ""
	if w.live != nil {
		there = "t." + s.q(w.r.column(w.live, x.Key[0].Name)) + " IS NOT NULL"
		join = fmt.Sprintf(" LEFT JOIN %s t ON %s", s.f.from(s.db, w.live), s.on(x.capture, w.live, "t", "d", func(i int) string { return w.r.column(w.live, x.Key[i].Name) }, k))
	}
	names := []string{"n", "m", "w", "op"}
	whole := "1"
	if !x.Whole {
		whole = "CASE WHEN " + there + " THEN 1 ELSE 0 END"
	}
	op := "'u'"
	if x.Ops {
		op = "d.op"
	}
	values := []string{fmt.Sprintf("%d + d.n", int64(step)*stride), fmt.Sprint(step), whole, op}
	sets := [][2]string{{"m", fmt.Sprint(step)}, {"w", "CASE WHEN " + op + " <> 'i' AND " + fmt.Sprint(x.Whole) + " THEN 1 ELSE f.w END"}, {"op", "CASE WHEN " + op + " = 'i' THEN 'i' ELSE 'u' END"}}
	var same []string
	for i := range f.Key {
		names, values = append(names, k(i)), append(values, "d."+k(i))
		same = append(same, fmt.Sprintf("f.%s = d.%s", o(i), k(i)))
	}
	for i := range f.Key {
		names, values = append(names, o(i)), append(values, x.was("d", i))
		sets = append(sets, [2]string{o(i), x.was("d", i)})
	}
	for i, c := range f.Fields {
		names = append(names, v(i))
		j := slices.IndexFunc(x.Fields, func(o field) bool { return o.Name == c.Name })
		if j >= 0 {
			kept := "d." + x.v(j)
			if from := x.Fields[j]; from.Decl != c.Decl || from.Text != c.Text {
				kept = s.f.back(kept, from, engine.Column{Type: c.Decl, Base: c.Decl, Portable: true})
			}
			values = append(values, kept)
			sets = append(sets, [2]string{v(i), fmt.Sprintf("CASE WHEN %s = 'i' THEN f.%s ELSE %s END", op, v(i), kept)})
			continue
		}
		now := "NULL"
		if l := w.column(c); l >= 0 {
			now = s.f.value("t."+s.q(w.live.Columns[l].Name), field{Type: s.typed(w.live.Columns[l]), Decl: c.Decl, Text: c.Text, Set: c.Set})
		}
		values = append(values, now)
	}
	data := s.own(x.data())
	if _, err := exec(ctx, tx, "put captures together", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s d%s LEFT JOIN %s f ON %s WHERE f.n IS NULL",
		w.data(), list(names), list(values), data, join, w.data(), all(same...))); err != nil {
		return err
	}
	if x.work { // before the keys move on
		known := fmt.Sprintf("(f.m = %d AND f.n = %d + d.n OR f.m <> %d AND %s)", step, int64(step)*stride, step, all(same...))
		if err := w.r.mark(ctx, tx, f, fmt.Sprintf("SELECT f.n, c.reason FROM %s c JOIN %s d ON d.n = c.n JOIN %s f ON %s", s.own(x.conflicts()), data, w.data(), known)); err != nil {
			return err
		}
		if err := s.drop(ctx, tx, "put captures together", s.own(x.conflicts())); err != nil {
			return err
		}
		x.work = false
	}
	_, err := exec(ctx, tx, "put captures together", s.update(w.data(), "f", sets, data+" d", all(append(same, fmt.Sprintf("f.m <> %d", step))...)))
	return err
}

// column finds the place of a captured column in the table of now; -1 when there is none.
func (w *folding) column(c field) int {
	if w.live == nil {
		return -1
	}
	return columnIndex(w.live, w.r.column(w.live, c.Name))
}

// finish looks where rows are that were moved back meanwhile, and marks those that are gone and are not held whole.
func (w *folding) finish(ctx context.Context, tx engine.Querier) error {
	s, f := w.s, w.f
	if w.live == nil {
		return nil
	}
	name := func(i int) string { return w.r.column(w.live, f.Key[i].Name) }
	if f.Moved {
		var sets []string
		for i := range f.Key {
			sets = append(sets, fmt.Sprintf("%s = %s", k(i), o(i)))
		}
		gone := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, w.live), s.on(f.capture, w.live, "t", "f", name, k))
		back := fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, w.live), s.on(f.capture, w.live, "t", "f", name, o))
		if _, err := exec(ctx, tx, "put captures together", fmt.Sprintf("UPDATE %s AS f SET %s WHERE f.op <> 'i' AND %s AND %s", w.data(), list(sets), gone, back)); err != nil {
			return err
		}
	}
	return w.r.mark(ctx, tx, f, fmt.Sprintf("SELECT f.n, '%s' FROM %s f WHERE f.w = 0 AND f.op <> 'i'", deletedSince, w.data()))
}
