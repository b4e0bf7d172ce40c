package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Where no lock of a whole table lasts as long as a transaction does (MySQL, MariaDB), a restoration locks the rows that it is about to write over. They were
// compared before that: what was written to them since is captured with the rest. A row that is not there cannot be locked; should another
// put one in its place before its own comes back, the restoration begins again.

// manyTimes is how often rows that come and go are looked for again before it is given up for now.
const manyTimes = 100

// grip locks the rows of a table that entries are about, so that they stay as they are until the end of the transaction. entries has those of l, or, in a batch,
// those of all batches, of which these are meant.
func (x *Restoration) grip(ctx context.Context, tx engine.Querier, l, entries *lot, these string) error {
	s := x.s
	if s.db.Caps.TransactionalDDL {
		return nil
	}
	_, err := number(ctx, tx, "lock rows of "+l.name.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT d.n FROM %s d JOIN %s t ON %s WHERE %s%s) y", s.own(entries.w.data()), s.f.from(s.db, l.live),
		s.on(entries.w.capture, l.live, "t", "d", entries.g.name, k), these, s.f.grip))
	return err
}

// turned tells entries anew whether there is a row in their places: one may have come or gone since they were compared.
func (x *Restoration) turned(ctx context.Context, tx engine.Querier, l *lot, these string) error {
	s, w := x.s, l.w
	if s.db.Caps.TransactionalDDL && !x.online {
		return nil
	}
	if x.online { // which entries of all batches are meant may depend on others of them, and MySQL reads no table that it updates but through a table of its own
		these = fmt.Sprintf("d.n IN (SELECT y.n FROM (SELECT DISTINCT d.n FROM %s d WHERE %s) y)", s.own(w.data()), these)
	}
	live := fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, l.live), s.on(w.capture, l.live, "t", "d", l.g.name, k))
	for {
		come, err := exec(ctx, tx, "look at what is there", fmt.Sprintf("UPDATE %s AS d SET op = 'u' WHERE %s", s.own(w.data()), all(these, "d.op = 'd'", live)))
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "look at what is there", fmt.Sprintf("UPDATE %s AS d SET op = 'd' WHERE %s", s.own(w.data()), all(these, "d.op = 'u'", "NOT "+live))); err != nil {
			return err
		}
		if !w.Whole {
			if err := x.r.mark(ctx, tx, w, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", incomplete, s.own(w.data()), all(these, "d.op = 'd'", x.r.free(w)))); err != nil {
				return err
			}
		}
		if come == 0 || s.db.Caps.TransactionalDDL {
			return nil
		}
		if err := x.grip(ctx, tx, l, l, these); err != nil {
			return err
		}
	}
}

// going lets go of entries whose rows are to go and are gone already, and locks the others: a row that somebody puts there from now on is not taken out with them, uncaptured.
func (x *Restoration) going(ctx context.Context, tx engine.Querier, l *lot) error {
	s, w := x.s, l.w
	if s.db.Caps.TransactionalDDL {
		return nil
	}
	from, place := s.f.from(s.db, l.live), s.on(w.capture, l.live, "t", "d", l.g.name, k)
	for range manyTimes {
		if _, err := exec(ctx, tx, "look at what is there", fmt.Sprintf("DELETE d FROM %s AS d WHERE d.op = 'i' AND NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.own(w.data()), from, place)); err != nil {
			return err
		}
		of, err := number(ctx, tx, "count", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.op = 'i'", s.own(w.data())))
		if err != nil || of == 0 {
			return err
		}
		n, err := number(ctx, tx, "lock rows of "+l.name.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT d.n FROM %s d JOIN %s t ON %s WHERE d.op = 'i'%s) y", s.own(w.data()), from, place, s.f.grip))
		if err != nil || n >= of {
			return err
		}
	}
	return moved(l.live)
}

// alone makes sure that the rows that came back are those that stand in their places: where another one stood when they did it is there still, or gone again.
func (x *Restoration) alone(ctx context.Context, tx engine.Querier, l *lot) error {
	s, w, g := x.s, l.w, l.g
	if s.db.Caps.TransactionalDDL || !w.entire() {
		return nil
	}
	kept, live := x.r.images(g, g.fields, true)
	n, err := number(ctx, tx, "look for rows of others", fmt.Sprintf("SELECT count(*) FROM %s d LEFT JOIN %s t ON %s WHERE %s", s.own(w.data()), s.f.from(s.db, l.live),
		s.on(w.capture, l.live, "t", "d", g.name, w.goal), all("d.op = 'd'", x.r.free(w), fmt.Sprintf("(t.%s IS NULL OR %s)", s.q(g.name(0)), s.differ(live, kept)))))
	if err != nil || n == 0 {
		return err
	}
	return moved(l.live)
}

// moved says that rows are written faster than they can be looked at.
func moved(t *engine.Table) error {
	return &engine.Error{Class: engine.LockTimeout, Err: ErrMoved, Message: fmt.Sprintf("rows of %s were written while others came back in their places", t.Name), Hint: "nothing was changed: run it again"}
}

// gated runs f while nobody writes to a table, where no lock of it lasts as long as a transaction does: rows that nobody wrote are read after those that somebody
// did.
func (x *Restoration) gated(ctx context.Context, l *lot, preview bool, f func() error) (err error) {
	if x.s.db.Caps.TransactionalDDL || preview || l.was.changes.Settled != nil {
		return f()
	}
	gate, err := x.s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	if _, err := exec(ctx, gate, "lock before copying", "LOCK TABLES "+x.s.db.Quote(l.was.live.Name)+" READ"); err != nil {
		return err
	}
	err = f()
	_, unlock := exec(context.WithoutCancel(ctx), gate, "unlock tables", "UNLOCK TABLES")
	return errors.Join(err, unlock)
}
