package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Where triggers or foreign keys have a say nobody knows beforehand which columns a statement writes: whole rows are captured. What
// it left as it was in each of them is then nobody's business but the application's: sealed and put back, it would make a conflict of every row
// that is used after the migration. Such values stay in the data table, and the capture does without them.
//
// A column that says when a row was last written changes with every write of anybody. It has a capture of its own, so that
// a conflict about it is about nothing else: the other values of a row go back although the application has used it since.

// sift takes the columns out of a capture of changed rows that are as they were in all of them. Those that tell when the
// statement ran go into a capture of their own, which is returned.
func (c *Capturer) sift(ctx context.Context, tx engine.Querier, x *capture) (*capture, error) {
	if x.Kind != Rows || !x.Ops || x.New || x.Moved && !x.Still || x.Rows == 0 || len(x.Key) == 0 || len(x.Fields) < 2 {
		return nil, nil
	}
	if x.Whole && !c.foreseen() {
		return nil, nil
	}
	s := c.s
	t, err := s.db.Inspect(ctx, tx, x.At)
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if identity(t) != x.Identity && t.OID != 0 {
		return nil, nil
	}
	counts := []string{"count(*)", "coalesce(sum(CASE WHEN " + x.d() + ".op = 'u' THEN 1 ELSE 0 END), 0)"}
	worth := x.Whole
	for i, f := range x.Fields {
		j := columnIndex(t, f.At)
		if j < 0 || s.typed(t.Columns[j]) != f.Type {
			return nil, nil
		}
		live := x.t() + "." + s.q(f.At)
		image := s.image(s.f.value(live, f), f)
		changed := s.differ([]string{s.image(x.d()+"."+x.v(i), f)}, []string{image})
		now := "1"
		if recent := s.f.recent(live, t.Columns[j], x.Whole); recent != "" {
			worth, now = true, fmt.Sprintf("CASE WHEN coalesce(sum(CASE WHEN %[1]s THEN CASE WHEN %[2]s THEN 0 ELSE 1 END END), 0) = 0 AND count(DISTINCT CASE WHEN %[1]s THEN %[3]s END) = 1 THEN 0 ELSE 1 END",
				changed, recent, image)
		}
		counts = append(counts, "coalesce(sum(CASE WHEN "+changed+" THEN 1 ELSE 0 END), 0)", now)
	}
	if !worth {
		return nil, nil
	}
	found := make([]int64, len(counts))
	into := make([]any, len(counts))
	for i := range found {
		into[i] = &found[i]
	}
	if err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM %s AS %s JOIN %s ON %s", list(counts), s.own(x.data()), x.d(), s.live(x, t),
		s.on(x, t, x.t(), x.d(), func(i int) string { return x.Key[i].At }, k))).Scan(into...); err != nil {
		return nil, fmt.Errorf("look what the statement changed in %s: %w", x.At, err)
	}
	if found[0] != x.Rows || found[1] != x.Rows {
		return nil, nil // rows came or went
	}
	var fields, moments, same []field
	for i, f := range x.Fields {
		f.Slot = x.v(i)
		switch changed, now := found[2+2*i] > 0, found[3+2*i] == 0; {
		case changed && now:
			moments = append(moments, f)
		case changed || !x.Whole:
			fields = append(fields, f)
		default:
			same = append(same, f)
		}
	}
	if len(fields) == 0 {
		fields, moments = moments, nil // there is nothing else in it
	}
	if len(fields) == 0 || len(fields) == len(x.Fields) {
		return nil, nil
	}
	if x.Whole {
		x.Spare = append(same, moments...)
	}
	x.Fields, x.Columns, x.Whole = fields, names(fields), false
	if len(moments) == 0 {
		return nil, nil
	}
	return c.apart(ctx, tx, x, t, moments)
}

// foreseen tells whether the rows that the opposite direction may remove are known by the end of this one, as Bystanders asks for them. Where they are not,
// it takes whole rows to bring them back.
func (c *Capturer) foreseen() bool {
	return c.meta.Direction == "up" && c.meta.Opposite != nil && !slices.ContainsFunc(*c.meta.Opposite, effects.Statement.Opaque)
}

// momentary makes room for what sift finds, where that cannot be done once the transaction has read anything.
func (c *Capturer) momentary(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) error {
	if c.s.db.Caps.TransactionalDDL || x.Whole && !c.foreseen() || x.Kind != Rows || !x.Ops || x.New || len(x.Key) == 0 || len(x.Fields) < 2 || x.named != nil && x.named.op != "u" {
		return nil
	}
	var fields []field
	for _, f := range x.Fields {
		if c.s.f.recent("", t.Columns[columnIndex(t, f.At)], x.Whole) != "" {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	var err error
	x.moments, err = c.beside(ctx, tx, x, t, fields)
	return err
}

// beside prepares a capture of some columns of another one, for the same entries.
func (c *Capturer) beside(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table, fields []field) (*capture, error) {
	a := &action{kind: Rows, table: t, events: events{update: true}, columns: []string{}, reason: "when rows were written"}
	for _, f := range x.Key {
		a.key = append(a.key, f.At)
	}
	for _, f := range fields {
		a.columns = append(a.columns, f.At)
	}
	return c.prepare(ctx, tx, x.Statement, a)
}

// apart makes a capture of some columns of another one, with the same entries.
func (c *Capturer) apart(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table, moments []field) (*capture, error) {
	y := x.moments
	if y == nil {
		var err error
		if y, err = c.beside(ctx, tx, x, t, moments); err != nil {
			return nil, err
		}
	}
	into, from := []string{"n", "op"}, []string{"d.n", "d.op"}
	for i := range x.Key {
		into, from = append(into, k(i)), append(from, "d."+k(i))
	}
	var fields []field
	for _, f := range moments {
		i := slices.IndexFunc(y.Fields, func(o field) bool { return o.At == f.At })
		into, from = append(into, y.v(i)), append(from, "d."+f.Slot)
		o := y.Fields[i]
		o.Slot = y.v(i)
		fields = append(fields, o)
	}
	y.Fields, y.Columns, y.Of, y.Part = fields, names(fields), x.ID, true
	var err error
	y.Rows, err = exec(ctx, tx, "capture "+x.At.String(), fmt.Sprintf("INSERT INTO %s (%s) %s SELECT %s FROM %s d",
		c.s.own(y.data()), list(into), c.s.f.overriding, list(from), c.s.own(x.data())))
	return y, err
}

// with gives the fields of a capture and of the one that was taken apart from it.
func (c *Capturer) with(x *capture) []field {
	out := x.Fields
	for _, y := range c.captures {
		if y.Of != "" && y.Of == x.ID {
			out = slices.Concat(out, y.Fields)
		}
	}
	return out
}

// names lists what fields were called when the migration began.
func names(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
