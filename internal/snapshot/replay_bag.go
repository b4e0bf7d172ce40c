package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// aimBag prepares to replace a table without a key: what counts is how many rows of each image there are.
func (x *Restoration) aimBag(_ context.Context, _ engine.Querier, l *lot) error {
	w := *l.entries
	w.onward, w.Home = true, l.live.Name
	g, err := x.r.aim(&w, l.live, true)
	l.g = g
	return err
}

// images of the captured rows and of those of now, as hashes.
func (x *Restoration) bagImages(l *lot) (kept, live string) {
	a, b := x.r.images(l.g, l.g.fields, false)
	return x.s.hash(a), x.s.hash(b)
}

func (x *Restoration) describeBag(ctx context.Context, tx engine.Querier, l *lot) error {
	s := x.s
	kept, live := x.bagImages(l)
	was := fmt.Sprintf("(SELECT %s AS h, count(*) AS q FROM %s d GROUP BY 1)", kept, s.own(l.x.data()))
	now := fmt.Sprintf("(SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1)", live, s.f.from(s.db, l.live))
	for _, p := range []struct {
		into *int64
		a, b string
	}{{&l.preview.Inserted, was, now}, {&l.preview.Deleted, now, was}} {
		n, err := number(ctx, tx, "compare "+l.name.String(), fmt.Sprintf("SELECT sum(a.q - coalesce(b.q, 0)) FROM %s a LEFT JOIN %s b ON b.h = a.h WHERE a.q > coalesce(b.q, 0)", p.a, p.b))
		if err != nil {
			return err
		}
		*p.into = n
	}
	l.preview.Notes = append(l.preview.Notes, "it has no key: a row that changed counts as one that goes and one that comes")
	return x.common(ctx, tx, l)
}

// saveBag captures a table without a key. Where no lock of all of it lasts, its rows are locked first, and as many must have been captured: one that came in between is locked by nobody.
func (x *Restoration) saveBag(ctx context.Context, tx engine.Querier, l *lot, c *Capturer) error {
	if x.s.db.Caps.TransactionalDDL {
		return x.r.captureAll(ctx, tx, l.g, c)
	}
	n, err := number(ctx, tx, "lock rows of "+l.name.String(), "SELECT count(*) FROM "+x.s.f.from(x.s.db, l.live)+x.s.f.locking)
	if err != nil {
		return err
	}
	if err := x.r.captureAll(ctx, tx, l.g, c); err != nil {
		return err
	}
	if c.captures[len(c.captures)-1].Rows != n {
		return moved(l.live)
	}
	l.g.saved = &n
	return nil
}

// putBag makes a table without a key what it was, and proves it.
func (x *Restoration) putBag(ctx context.Context, tx engine.Querier, l *lot) error {
	kept, live := x.bagImages(l)
	rep := x.r.of(l.g.x.Home)
	before := *rep
	if err := x.r.exchange(ctx, tx, l.g, exchanging{kept: kept, live: live, group: "1", remove: true}); err != nil {
		return err
	}
	l.preview.Inserted += rep.Inserted - before.Inserted
	l.preview.Updated += rep.Updated - before.Updated
	l.preview.Deleted += rep.Deleted - before.Deleted
	return nil
}
