package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Journal knows what was written to tables since any moment of a span: a further source of rows as they were. Package journal
// implements it.
type Journal interface {
	// Since gives what was written to a table since a moment; nil when there is no journal of the table. A moment of which
	// nothing is known is a *NothingError.
	Since(ctx context.Context, q engine.Querier, live *engine.Table, at time.Time) (*Changes, error)
	// Gone tells what is kept of a table that is not there any more: a *NothingError, or nil when that is nothing.
	Gone(ctx context.Context, q engine.Querier, n engine.Name) error
}

// Changes is what was written to a table since a moment by transactions that were not committed then.
type Changes struct {
	Form *Form
	// Query gives a row for each row that was written: n, x, s and the columns of the form. Different transactions (x) wrote one row
	// in the order of n, one transaction in the order of s. No two rows have the same s, and neither number has more than 18 digits.
	Query string
	Args  []any
	Notes []string // what a person ought to know of it
	From  string   // what it was read from; "" for the journal
	// Settled, when there is one, is asked when all that was written is locked: an ErrMoved says that some of it was written again after it
	// had been read.
	Settled func(ctx context.Context) error
	// CatchUp, when there is one, writes down what the source has not read yet, and tells whether that was anything. It is asked before
	// the query is, when all that is to be locked is locked.
	CatchUp func(ctx context.Context) (moved bool, err error)
}

// ErrMoved says that rows were written while they were being restored, so that it has to be begun again.
var ErrMoved = errors.New("written meanwhile")

// settled asks whether what was read of the tables is still all.
func (x *Restoration) settled(ctx context.Context) error {
	for _, l := range x.lots {
		if l.was.changes != nil && l.was.changes.Settled != nil {
			return l.was.changes.Settled(ctx) // of all of them
		}
	}
	return nil
}

// fromJournal names the journal where a snapshot is named otherwise.
const fromJournal = "journal"

func (s *Store) asksJournal(ask Ask) bool {
	return s.Journal != nil && !ask.Captures && !ask.At.IsZero() && ask.Snapshot == "" && !ask.HasMigration
}

// journalled finds what the journal knows of one table; nil when it is not asked, or knows nothing of the table.
func (s *Store) journalled(ctx context.Context, q engine.Querier, ask Ask, n engine.Name) (*held, error) {
	if !s.asksJournal(ask) {
		return nil, nil
	}
	live, err := s.db.Inspect(ctx, q, n)
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	changes, err := s.Journal.Since(ctx, q, live, ask.At)
	if err != nil || changes == nil {
		return nil, err
	}
	c, from := changes.Form.c, fromJournal
	if changes.From != "" {
		from = changes.From
	}
	c.ID, c.CapturedAt, c.Direction, c.Table = from, ask.At, from, live.Name.String()
	c.Fields, c.Key = slices.Clone(c.Fields), slices.Clone(c.Key)
	h := &held{home: live.Name, live: live, moment: ask.At, snapshot: from, captures: []*capture{&c}, changes: changes}
	return h, s.rename(ask, h)
}

// written finds what the journal knows of the tables of an ask, and nothing else: there may be no catalog.
func (s *Store) written(ctx context.Context, q engine.Querier, ask Ask) (*captures, error) {
	p := &captures{s: s, mode: ask.Mode}
	for _, n := range ask.Tables {
		h, err := p.find(ctx, q, ask, n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(p.tables, func(o *held) bool { return o.home == h.home }) {
			p.tables = append(p.tables, h)
		}
	}
	if !ask.Related {
		return p, nil
	}
	return p, p.related(ctx, q, ask)
}

// inverting makes the entries of a table from what was written to it since: for each key that was written, whether a row had it
// at that moment, and which. The cost grows with the writes, not with the table.
type inverting struct {
	s    *Store
	h    *held
	r    *Restorer
	live *engine.Table
	all  *capture // what was written, a row each
	d    *capture // what follows from it, an entry a key
}

// invert gives the entries. Under merge, keys that no row had then are left out, except those that a row of then has moved to.
// whole adds the rows that nobody wrote since.
func (s *Store) invert(ctx context.Context, tx engine.Querier, h *held, live *engine.Table, merge, whole bool) (*restoring, error) {
	c := h.captures[0]
	w := &inverting{s: s, h: h, r: &Restorer{s: s}, live: live}
	w.all = &capture{Info: c.Info, detail: c.detail}
	w.d = &capture{Info: c.Info, detail: c.detail}
	w.all.ID, w.d.ID, w.d.Moved = newID(), newID(), false
	if catchUp := h.changes.CatchUp; catchUp != nil {
		if _, err := catchUp(ctx); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(context.Context, engine.Querier) error{w.collect, w.judge} {
		if err := step(ctx, tx); err != nil {
			return nil, err
		}
	}
	x := &restoring{capture: w.d}
	if h.busy || !s.db.Caps.TransactionalDDL && !whole {
		if err := w.race(ctx, tx, x); err != nil {
			return nil, err
		}
	}
	if err := w.doubt(ctx, tx); err != nil {
		return nil, err
	}
	if merge {
		if err := w.keepLater(ctx, tx); err != nil {
			return nil, err
		}
	}
	if whole {
		if err := w.rest(ctx, tx); err != nil {
			return nil, err
		}
	}
	n, err := number(ctx, tx, "count", "SELECT count(*) FROM "+s.own(w.d.data()))
	if err != nil {
		return nil, err
	}
	w.d.Rows = n
	return x, s.drop(ctx, tx, "forget what was written", s.own(w.all.data()))
}

// what was written, and who is asked.
func (w *inverting) what() string { return "read the journal of " + w.live.Name.String() }

// collect writes down what was written since.
func (w *inverting) collect(ctx context.Context, tx engine.Querier) error {
	_, err := w.note(ctx, tx, w.all, "")
	return err
}

// note writes down what was written since, less what a condition leaves out.
func (w *inverting) note(ctx context.Context, tx engine.Querier, c *capture, condition string) (int64, error) {
	names, decls := c.columns()
	defs := []string{"n bigint NOT NULL", "x bigint NOT NULL", "s bigint NOT NULL"}
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	if w.s.f.keyed {
		defs = append(defs, "KEY dbrollback_s (s)")
	}
	if err := w.s.desk(ctx, tx, w.what(), c, defs); err != nil {
		return 0, err
	}
	into := list(append([]string{"n", "x", "s"}, names...))
	n, err := exec(ctx, tx, w.what(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (%s) q WHERE %s", w.s.own(c.data()), into, into, w.h.changes.Query, all(condition)), w.h.changes.Args...)
	if err != nil {
		return n, err
	}
	return n, w.s.indexed(ctx, tx, c, k)
}

// race finds the keys that were written while the journal was read, where nobody keeps writers out: what it says of them was compared with rows that it did not know
// of yet. That was the application, after the restoration began.
func (w *inverting) race(ctx context.Context, tx engine.Querier, x *restoring) error {
	if w.h.changes.Settled != nil {
		return nil // it looks by itself
	}
	if catchUp := w.h.changes.CatchUp; catchUp != nil {
		if _, err := catchUp(ctx); err != nil {
			return err
		}
	}
	s, late := w.s, &capture{Info: w.all.Info, detail: w.all.detail}
	late.ID = newID()
	if err := s.search(ctx, tx, w.all.data(), "s"); err != nil {
		return err
	}
	n, err := w.note(ctx, tx, late, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s r WHERE r.s = q.s)", s.own(w.all.data())))
	if err != nil {
		return err
	}
	if n > 0 {
		var found, made []string
		for i, f := range w.d.Key {
			found = append(found, s.image("r."+o(i), f)+" = "+s.image("d."+k(i), f))
			made = append(made, s.image("r."+k(i), f)+" = "+s.image("d."+k(i), f))
		}
		// Not a conflict that a policy settles: what was there is not known.
		if err := w.r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE EXISTS (SELECT 1 FROM %s r WHERE %s OR %s)", carriedSince, s.own(w.d.data()), s.own(late.data()),
			all(append(found, "r.op <> 'i'")...), all(append(made, "r.op <> 'd'")...))); err != nil {
			return err
		}
		if x.work {
			if _, err := exec(ctx, tx, w.what(), fmt.Sprintf("UPDATE %s AS d SET op = 'u' WHERE EXISTS (SELECT 1 FROM %s c WHERE c.n = d.n)", s.own(w.d.data()), s.own(x.conflicts()))); err != nil {
				return err
			}
		}
	}
	return s.drop(ctx, tx, w.what(), s.own(late.data()))
}

// still is the condition that a write left the key of its row as it was.
func (w *inverting) still(alias string) string {
	var parts []string
	for i, f := range w.all.Key {
		parts = append(parts, w.s.image(alias+"."+k(i), f)+" = "+w.s.image(alias+"."+o(i), f))
	}
	return all(parts...)
}

// judge finds out, key by key, whether there was a row. What is there now, less the writes that made one, plus those that took one
// away, says so in whatever order one statement's writes were recorded; the oldest write that found a row says what was in it. An
// op of ? is a sum that cannot be, or a row that was written and of which nothing says where it came from.
func (w *inverting) judge(ctx context.Context, tx engine.Querier) error {
	s, d := w.s, w.d
	names, decls := d.columns()
	defs := []string{"n bigint NOT NULL"}
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	if err := s.desk(ctx, tx, w.what(), d, defs); err != nil {
		return err
	}
	name := func(i int) string { return w.r.column(w.live, d.Key[i].Name) }
	e := fmt.Sprintf("CASE WHEN t.%s IS NULL THEN 0 ELSE 1 END + y.d", s.q(name(0))) // rows that there were
	// images, under which writes are put together, of the key that a write found and of the one that it made.
	var by, found, made, keys, out []string
	for i, f := range d.Key {
		image := "i" + itoa(i+1)
		by = append(by, "y."+image)
		found, made = append(found, s.image("r."+o(i), f)+" AS "+image), append(made, s.image("r."+k(i), f)+" AS "+image)
		keys, out = append(keys, fmt.Sprintf("CASE WHEN z.was = 1 THEN r.%s ELSE r.%s END AS %s", o(i), k(i), k(i))), append(out, "y."+k(i))
	}
	for i, f := range d.Fields {
		now := "NULL"
		if j := columnIndex(w.live, w.r.column(w.live, f.Name)); j >= 0 {
			c := w.live.Columns[j]
			now = s.f.value("t."+s.q(c.Name), field{Type: s.typed(c), Decl: f.Decl, Text: f.Text, Set: f.Set})
		}
		keys = append(keys, fmt.Sprintf("CASE WHEN z.was = 1 THEN r.%s END AS %s", v(i), v(i)))
		out = append(out, fmt.Sprintf("CASE WHEN %s = 1 THEN y.%s ELSE %s END", e, v(i), now))
	}
	still, data := w.still("r"), s.own(w.all.data())
	writes := fmt.Sprintf("SELECT r.n, r.x, r.s, 1 AS was, CASE WHEN r.op = 'u' AND %[1]s THEN 0 ELSE 1 END AS d, %[2]s FROM %[4]s r WHERE r.op <> 'i' UNION ALL SELECT r.n, r.x, r.s, 0, -1, %[3]s FROM %[4]s r WHERE r.op = 'i' OR r.op = 'u' AND NOT (%[1]s)",
		still, list(found), list(made), data)
	// First what each transaction wrote to a key, then what all of them did: of one transaction's writes the first counts, of several
	// transactions' those of the one that came first. The numbers of both are put into one text, whose least is the answer: sums and least values
	// take one look at each write, where to number the writes of a key takes some servers one at all of them for each.
	parts := fmt.Sprintf("SELECT %[1]s, min(y.n) AS f, sum(y.d) AS d, min(y.d) AS m, min(CASE WHEN y.was = 1 THEN y.s END) AS a, min(CASE WHEN y.was = 0 THEN y.s END) AS b FROM (%[2]s) y GROUP BY %[1]s, y.x", list(by), writes)
	first := func(column string) string {
		return fmt.Sprintf("min(CASE WHEN y.%s IS NOT NULL THEN %s END) AS %[1]s", column, s.concat([]string{digits("y.f"), digits("y." + column)}))
	}
	sums := fmt.Sprintf("SELECT sum(y.d) AS d, min(y.m) AS m, %s, %s FROM (%s) y GROUP BY %s", first("a"), first("b"), parts, list(by))
	integer := "bigint"
	if s.f.keyed {
		integer = "SIGNED"
	}
	sums = fmt.Sprintf("SELECT z.d, z.m, CASE WHEN z.a IS NULL THEN 0 ELSE 1 END AS was, CAST(substr(coalesce(z.a, z.b), 20, 19) AS %s) - %d AS s FROM (%s) z", integer, int64(padding), sums)
	rows := fmt.Sprintf("SELECT r.n, z.was, z.m, z.d, %s FROM (%s) z JOIN %s r ON r.s = z.s", list(keys), sums, data)
	query := fmt.Sprintf("INSERT INTO %s (%s) SELECT row_number() OVER (ORDER BY y.n, y.was DESC), CASE WHEN %[3]s = 1 AND y.was = 1 THEN 'u' WHEN %[3]s = 0 AND (y.was = 0 OR y.m = -1) THEN 'i' ELSE '?' END, %[4]s FROM (%[5]s) y LEFT JOIN %[6]s t ON %[7]s",
		s.own(d.data()), list(append([]string{"n"}, names...)), e, list(out), rows, s.f.from(s.db, w.live), s.on(d, w.live, "t", "y", name, k))
	if _, err := exec(ctx, tx, w.what(), query); err != nil {
		return err
	}
	return s.indexed(ctx, tx, d, k)
}

// padding makes numbers texts of one length: the numbers of records are smaller by far.
const padding = 1_000_000_000_000_000_000

func digits(ref string) string { return fmt.Sprintf("CAST(%d + %s AS char(19))", int64(padding), ref) }

// doubt refuses a journal that cannot be true.
func (w *inverting) doubt(ctx context.Context, tx engine.Querier) error {
	bad, err := number(ctx, tx, w.what(), fmt.Sprintf("SELECT count(*) FROM %s WHERE op = '?'", w.s.own(w.d.data())))
	if err != nil || bad == 0 {
		return err
	}
	if settled := w.h.changes.Settled; settled != nil {
		if err := settled(ctx); err != nil { // a row that was gone was made anew since the log was read: it has to be begun again
			return err
		}
	}
	if catchUp := w.h.changes.CatchUp; catchUp != nil {
		moved, err := catchUp(ctx)
		if err != nil {
			return err
		}
		if moved {
			return &engine.Error{Class: engine.LockTimeout, Err: ErrMoved, Message: fmt.Sprintf("rows of %s are written all the while: what would come back cannot be told without keeping writers out", w.live.Name),
				Hint: "run it again; with --yes, and without --online, it locks the table first"}
		}
	}
	return &UnsafeError{Message: fmt.Sprintf("the journal of %s does not fit its rows: %d of them were written while it did not record", w.live.Name, bad),
		Hint: "its triggers were off or were passed by; dbrollback journal disable and enable begin a new one, dbrollback snapshot list shows captures"}
}

// keepLater takes out the keys that no row had then, except those under which a row of then stands now: it has moved. A row is
// followed back from write to write.
func (w *inverting) keepLater(ctx context.Context, tx engine.Querier) error {
	s := w.s
	data, writes := s.own(w.d.data()), s.own(w.all.data())
	moves, err := number(ctx, tx, w.what(), fmt.Sprintf("SELECT count(*) FROM %s r WHERE r.op = 'u' AND NOT (%s)", writes, w.still("r")))
	if err != nil {
		return err
	}
	if moves == 0 {
		_, err := exec(ctx, tx, w.what(), "DELETE FROM "+data+" WHERE op = 'i'")
		return err
	}
	trail := s.own("dbrollback_move_" + compact(w.d.ID))
	defs, names, keys := []string{"n bigint NOT NULL", "f bigint", "w bigint", "state int NOT NULL"}, []string{}, []string{}
	var back [][2]string
	var on []string
	for i, f := range w.d.Key {
		defs, names, keys = append(defs, k(i)+" "+f.Decl), append(names, k(i)), append(keys, "d."+k(i))
		back = append(back, [2]string{k(i), "r." + o(i)})
		on = append(on, s.image("r."+k(i), f)+" = "+s.image("m."+k(i), f))
	}
	if err := s.make(ctx, tx, w.what(), trail, defs, "n"); err != nil {
		return err
	}
	if _, err := exec(ctx, tx, w.what(), fmt.Sprintf("INSERT INTO %s (n, f, w, state, %s) SELECT d.n, NULL, NULL, 0, %s FROM %s d WHERE d.op = 'i'", trail, list(names), list(keys), data)); err != nil {
		return err
	}
	for {
		// The write that brought the row to this key: none means that it stood there then.
		made := fmt.Sprintf("(SELECT max(r.n) FROM %s r WHERE %s AND (m.f IS NULL OR r.n < m.f) AND (r.op = 'i' OR r.op = 'u' AND NOT (%s)))", writes, all(on...), w.still("r"))
		for _, query := range []string{
			fmt.Sprintf("UPDATE %s AS m SET w = %s WHERE m.state = 0", trail, made),
			fmt.Sprintf("UPDATE %s AS m SET state = 1 WHERE m.state = 0 AND m.w IS NULL", trail),
			s.update(trail, "m", [][2]string{{"state", "2"}}, writes+" r", "m.state = 0 AND r.n = m.w AND r.op = 'i'"),
			s.update(trail, "m", append([][2]string{{"f", "m.w"}}, back...), writes+" r", "m.state = 0 AND r.n = m.w"),
		} {
			if _, err := exec(ctx, tx, w.what(), query); err != nil {
				return err
			}
		}
		left, err := number(ctx, tx, w.what(), "SELECT count(*) FROM "+trail+" WHERE state = 0")
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
	}
	if _, err := exec(ctx, tx, w.what(), fmt.Sprintf("DELETE FROM %s WHERE op = 'i' AND n IN (SELECT n FROM %s WHERE state = 2)", data, trail)); err != nil {
		return err
	}
	return s.drop(ctx, tx, w.what(), trail)
}

// rest adds the rows that nobody wrote since: they are as they were.
func (w *inverting) rest(ctx context.Context, tx engine.Querier) error {
	s, d := w.s, w.d
	names, _ := d.columns()
	name := func(i int) string { return w.r.column(w.live, d.Key[i].Name) }
	var values []string
	for _, f := range append(slices.Clone(d.Key), d.Fields...) {
		j := columnIndex(w.live, w.r.column(w.live, f.Name))
		if j < 0 {
			return &UnsafeError{Message: fmt.Sprintf("%s has no column %s any more: rows that nobody wrote since cannot be copied as they were", w.live.Name, f.Name), Hint: "--mode merge puts back what was written since"}
		}
		c := w.live.Columns[j]
		values = append(values, s.f.value("t."+s.q(c.Name), field{Type: s.typed(c), Decl: f.Decl, Text: f.Text, Set: f.Set}))
	}
	_, err := exec(ctx, tx, w.what(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %d + row_number() OVER (), 'u', %s FROM %s t WHERE NOT EXISTS (SELECT 1 FROM %s d WHERE %s)",
		s.own(d.data()), list(append([]string{"n"}, names...)), int64(stride), list(values), s.f.from(s.db, w.live), s.own(d.data()), s.on(d, w.live, "t", "d", name, k)))
	return err
}
