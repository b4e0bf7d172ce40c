package snapshot

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// A table that is dropped is kept where the engine can move it out of the way in constant time: it lies under a name of
// ours with its rows, indexes and numbers, nobody can write to it, and on the way back it takes the place of the
// table that the opposite direction made. Whatever stands in the way of that (a table of that name in use, another shape, rows
// that somebody else put there, parents that are gone) turns the capture into a copy of all rows, which is
// then put back row by row.

// keeper is an engine that can move tables out of the way and back.
type keeper interface {
	// keepable tells whether a table can be moved: nothing of the user's would be held back by it, or take part of it along.
	keepable(ctx context.Context, q engine.Querier, t *engine.Table, cascade bool) (bool, error)
	// aside moves the table of a capture out of the way, with what a DROP TABLE takes along taken off, to the name data().
	// twin: an empty table stands in its place after, for the statement to drop.
	aside(ctx context.Context, q engine.Querier, x *capture, cascade, twin bool) error
	// intact says why a kept table may not be what it was; "" when nobody can have written to it.
	intact(ctx context.Context, q engine.Querier, x *capture) (string, error)
	// back drops t, an empty table, and moves the kept table of a capture into its place; foreign keys that point there
	// point to it after.
	back(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) error
}

// keeper gives the engine's way to keep tables; nil when it has none, or when it is not to be used.
func (s *Store) keeper() keeper {
	k, ok := s.d.(keeper)
	if !ok || s.Copy {
		return nil
	}
	return k
}

// part is something of a kept table that has a name of its own in the schema.
type part struct {
	Kind string `json:"kind"` // INDEX, SEQUENCE
	Was  string `json:"was"`
	Now  string `json:"now"`
}

// kind of the capture of a table that goes as a whole: kept when it can be, else copied. How the statement drops it decides.
func (p *planner) kind(ctx context.Context, t *engine.Table, cascade bool) (Kind, error) {
	k := p.s.keeper()
	if k == nil || !p.drops {
		return Table, nil
	}
	if can, err := k.keepable(ctx, p.q, t, cascade); err != nil || !can {
		return Table, err
	}
	return Kept, nil
}

// emptier is a keeper that can also keep what a TRUNCATE empties, where that leaves everything else about the table as it is.
type emptier interface {
	emptiable(ctx context.Context, q engine.Querier, t *engine.Table) (bool, error)
}

// emptied is the kind of the capture of a table that a statement empties.
func (p *planner) emptied(ctx context.Context, t *engine.Table) (Kind, error) {
	k, ok := p.s.keeper().(emptier)
	if !ok || !p.empties {
		return Table, nil
	}
	if can, err := k.emptiable(ctx, p.q, t); err != nil || !can {
		return Table, err
	}
	return Kept, nil
}

// drops tells whether a statement does nothing but drop tables, by name or with their schema: only then can they be moved
// out of its way.
func drops(es []effects.Effect) bool {
	return !slices.ContainsFunc(es, func(e effects.Effect) bool { return e.Kind != effects.DropTable && e.Kind != effects.DropSchema })
}

// keeps tells whether a table that can be kept is to be: not when the migration captured or changed something of it
// before, which has to be put back into the rows.
func (c *Capturer) keeps(t *engine.Table) bool {
	id := identity(t)
	if slices.ContainsFunc(c.captures, func(x *capture) bool {
		return x.Identity == id || x.lone(id) || t.Parent.Name != "" && x.Shape != nil && x.Shape.Kind == "partitioned" // its rows may be among those
	}) || c.track.home(t) != t.Name {
		return false
	}
	return !slices.ContainsFunc(t.Columns, func(col engine.Column) bool {
		return c.track.madeColumn(t, col) || c.track.homeColumn(t, col) != col.Name
	})
}

// aside keeps the tables of a statement. When that cannot be done they are left as they are, to be copied.
func (c *Capturer) aside(ctx context.Context, tx engine.Querier, n int, p *plan, run func() error) ([]*capture, error) {
	var kept []*action
	cascade := false
	for _, a := range p.actions {
		if a.kind != Kept {
			continue
		}
		if !c.keeps(a.table) {
			a.kind = Table
			continue
		}
		some, err := number(ctx, tx, "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+c.s.f.from(c.s.db, a.table)+" LIMIT 1) x")
		if err != nil {
			return nil, err
		}
		if some == 0 {
			a.kind = Table // a copy of nothing
			continue
		}
		kept, cascade = append(kept, a), cascade || a.hung
	}
	if len(kept) == 0 {
		return nil, nil
	}
	// The server's own verdict first: what it refuses to drop is not dropped, and a CASCADE takes what it takes.
	var left shapes
	if len(p.opaque) == 0 {
		err := c.s.within(ctx, tx, "dbrollback_verdict", false, func() error {
			if err := run(); err != nil {
				return err
			}
			var err error
			if cascade {
				left, err = c.s.d.shapes(ctx, tx)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var made []*capture
	err := c.s.within(ctx, tx, "dbrollback_aside", true, func() error {
		return c.s.pinned(ctx, tx, func() error {
			for _, a := range kept {
				x, err := c.describe(ctx, tx, n, a)
				if err != nil {
					return err
				}
				if err := c.s.keeper().aside(ctx, tx, x, a.hung, len(p.opaque) == 0); err != nil {
					return err
				}
				made = append(made, x)
			}
			if left == nil {
				return nil
			}
			now, err := c.s.d.shapes(ctx, tx)
			if err != nil {
				return err
			}
			for id, sh := range now { // the twins
				if slices.ContainsFunc(kept, func(a *action) bool { return a.table.Name == sh.Name }) {
					delete(now, id)
				}
			}
			if !sameShapes(left, now) {
				return errTakesMore
			}
			return nil
		})
	})
	if err == nil {
		return made, nil
	}
	if _, server := engine.AsError(err); !server && !errors.Is(err, errTakesMore) || ctx.Err() != nil {
		return nil, err
	}
	for _, a := range kept {
		a.kind = Table
	}
	return nil, nil
}

// errTakesMore: what is left after tables were moved is not what the statement itself would leave.
var errTakesMore = errors.New("CASCADE takes more than can be kept")

// sameShapes compares tables and columns.
func sameShapes(a, b shapes) bool {
	if len(a) != len(b) {
		return false
	}
	for id, x := range a {
		y, ok := b[id]
		if !ok || x.Name != y.Name || !reflect.DeepEqual(x.Columns, y.Columns) {
			return false
		}
	}
	return true
}

// within runs f inside a savepoint; it stays when f succeeds and is to stay.
func (s *Store) within(ctx context.Context, tx engine.Querier, name string, stay bool, f func() error) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT "+name); err != nil {
		return fmt.Errorf("set a savepoint: %w", err)
	}
	failed := f()
	calm := context.WithoutCancel(ctx)
	if failed != nil || !stay {
		if _, err := tx.ExecContext(calm, "ROLLBACK TO SAVEPOINT "+name); err != nil && failed == nil {
			return fmt.Errorf("go back to a savepoint: %w", err)
		}
	}
	if _, err := tx.ExecContext(calm, "RELEASE SAVEPOINT "+name); err != nil && failed == nil {
		return fmt.Errorf("release a savepoint: %w", err)
	}
	return failed
}

// copied turns the capture of a kept table into one of all its rows, for which everything about rows holds.
func (s *Store) copied(ctx context.Context, tx engine.Querier, x *capture) error {
	if err := s.sound(ctx, tx, x); err != nil {
		return err
	}
	kept := s.own(x.data())
	lies := &engine.Table{Name: s.db.Own(x.data()), Kind: "table"}
	if t, err := s.db.Inspect(ctx, tx, lies.Name); err != nil {
		return err
	} else if x.Kind == Kept { // what was kept in it for another rollback may have been pruned
		x.Fields = slices.DeleteFunc(slices.Clone(x.Fields), func(f field) bool { return engine.Aside(f.At) && columnIndex(t, f.At) < 0 })
	}
	x.Kind = Table
	x.Location = s.db.Own(x.data()).String()
	if !s.db.Caps.TransactionalDDL { // a run that was cut off here left a copy that the catalog knows nothing of
		if err := s.ddl(ctx, tx, "copy a kept table", "DROP TABLE IF EXISTS "+s.own(x.data())); err != nil {
			return err
		}
	}
	if err := s.room(ctx, tx, x); err != nil {
		return err
	}
	if err := s.fill(ctx, tx, x, lies); err != nil {
		return err
	}
	if err := s.drop(ctx, tx, "drop a kept table", kept); err != nil {
		return err
	}
	x.Checksum = ""
	if err := s.measure(ctx, tx, x); err != nil {
		return err
	}
	a := s.db.Arg
	_, err := exec(ctx, tx, "write the catalog", fmt.Sprintf("UPDATE %s SET kind = %s, location = %s, row_count = %s, bytes = %s, checksum = %s WHERE id = %s",
		s.db.Quote(s.catalog), a(1), a(2), a(3), a(4), a(5), a(6)), string(x.Kind), x.Location, x.Rows, x.Bytes, x.Checksum, x.ID)
	return err
}

// sound makes sure that a kept table is there and is what it was.
func (s *Store) sound(ctx context.Context, q engine.Querier, x *capture) error {
	k, ok := s.d.(keeper)
	if !ok {
		return fmt.Errorf("the capture of %s is a kept table, which %s has none of", x.Home, s.db.Kind)
	}
	why, err := k.intact(ctx, q, x)
	if err != nil {
		return fmt.Errorf("look at the kept table of %s: %w", x.Home, err)
	}
	if why != "" {
		return &ProofError{Table: x.Home, Capture: x.ID, Rows: x.Rows, Of: x.Rows, Reason: why}
	}
	return nil
}

// keptSum computes the checksum of a kept table, over its columns as they are.
func (s *Store) keptSum(ctx context.Context, q engine.Querier, x *capture) (verify.Checksum, error) {
	if err := s.sound(ctx, q, x); err != nil {
		return verify.Checksum{}, err
	}
	var exprs []string
	for _, f := range x.Fields {
		exprs = append(exprs, s.image(s.f.value("t."+s.q(f.At), f), f))
	}
	if len(exprs) == 0 {
		exprs = []string{"1"}
	}
	lies := &engine.Table{Name: s.db.Own(x.data()), Kind: "table"}
	return verify.Sum(ctx, s.db, q, s.f.from(s.db, lies)+" t", exprs)
}

// setSum notes the checksum of a capture the first time it is computed.
func (s *Store) setSum(ctx context.Context, q engine.Querier, x *capture, sum verify.Checksum) error {
	a := s.db.Arg
	_, err := exec(ctx, q, "write the catalog", fmt.Sprintf("UPDATE %s SET row_count = %s, checksum = %s WHERE id = %s",
		s.db.Quote(s.catalog), a(1), a(2), a(3)), sum.Rows, sum.Sum, x.ID)
	return err
}

// pendingKept are the kept tables that are not back yet.
func (r *Restorer) pendingKept() []*restoring {
	return slices.DeleteFunc(slices.Clone(r.captures), func(x *restoring) bool { return x.Kind != Kept || x.back })
}

// occupied turns kept tables into copies where a table of that name is there already: nobody but the rows themselves
// can tell what of it is whose.
func (r *Restorer) occupied(ctx context.Context, tx engine.Querier) error {
	for _, x := range r.pendingKept() {
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		if still, err := r.empty(ctx, tx, x, t); err != nil {
			return err
		} else if still {
			x.look(t) // what is written to it from now on is somebody else's
			continue
		}
		if err := r.s.pinned(ctx, tx, func() error { return r.s.copied(ctx, tx, x.capture) }); err != nil {
			return err
		}
	}
	return r.indexed(ctx, tx)
}

// takePlace moves kept tables to the places that are there again. rest are the statements still to come; last: nothing comes after but
// the end of the run. A table that was emptied waits for that: once its rows are back, no recover --abort could tell them from later ones.
func (r *Restorer) takePlace(ctx context.Context, tx engine.Querier, rest []effects.Statement, last bool) error {
	for _, x := range r.pendingKept() {
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		if t == nil || x.Emptied && x.table != "" && !last {
			continue
		}
		above, err := r.above(ctx, tx, x)
		if err != nil {
			return err
		}
		wait, need := r.waits(x, above, rest)
		if wait && !need {
			continue
		}
		back := false
		written := r.touchedBy(x.Home, rest) || len(r.carriedTo(x, rest)) > 0 // what Down writes over is put back from a copy
		if !wait && !written && !r.rekeyed(x, rest) || r.gone(ctx, x) {
			if back, err = r.swap(ctx, tx, x, t); err != nil {
				return err
			}
		}
		if back {
			x.back = true
			r.of(x.Home).Inserted += x.Rows
			r.of(x.Home).Kept += x.Rows
			continue
		}
		if err := r.s.pinned(ctx, tx, func() error { return r.s.copied(ctx, tx, x.capture) }); err != nil {
			return err
		}
	}
	return nil
}

// waits tells whether statements still to come make more of a table, which the kept one has already, and whether one of those
// before them, or a capture of rows that point to the table, needs its rows.
// above are the tables of which the table is a part.
func (r *Restorer) waits(x *restoring, above []engine.Name, rest []effects.Statement) (wait, need bool) {
	last := -1
	for i, st := range rest {
		if r.builds(x.Home, st) || slices.ContainsFunc(above, func(n engine.Name) bool { return r.insertedInto(n, []effects.Statement{st}) }) {
			last = i
		}
	}
	if last < 0 {
		return false, false
	}
	for _, st := range rest[:last] {
		if !r.builds(x.Home, st) && r.reads(x.Home, st) {
			return true, true
		}
	}
	return true, slices.ContainsFunc(r.tables(), func(y *restoring) bool { return slices.Contains(y.Parents, x.Home) })
}

// above lists the partitioned tables that a table is, or was, a partition of.
func (r *Restorer) above(ctx context.Context, tx engine.Querier, x *restoring) ([]engine.Name, error) {
	if x.Shape == nil {
		return nil, nil
	}
	t, err := r.inspect(ctx, tx, x.Home)
	if err != nil {
		return nil, err
	}
	if t == nil || x.Shape.Parent.Name != "" { // it may have been detached when it was captured
		t = x.Shape
	}
	return r.s.above(ctx, tx, t)
}

// above lists the partitioned tables that a table is a partition of.
func (s *Store) above(ctx context.Context, q engine.Querier, t *engine.Table) ([]engine.Name, error) {
	var out []engine.Name
	for up := t.Parent; up.Name != ""; {
		out = append(out, up)
		t, err := s.db.Inspect(ctx, q, up)
		if errors.Is(err, engine.ErrNoTable) {
			break
		}
		if err != nil {
			return nil, err
		}
		up = t.Parent
	}
	return out, nil
}

// related tells whether the table of one capture is a partition of the other's, and was when that was captured.
func (r *Restorer) related(ctx context.Context, tx engine.Querier, x, y *restoring) (bool, error) {
	if x.Home == y.Home {
		return false, nil // as most captures of a migration of many statements are: the server need not be asked for each pair
	}
	for _, pair := range [][2]*restoring{{x, y}, {y, x}} {
		if above, err := r.above(ctx, tx, pair[0]); err != nil || slices.Contains(above, pair[1].Home) {
			return err == nil && !pair[1].lone(pair[0].Identity), err
		}
	}
	return false, nil
}

// builds tells whether a statement adds to a table what a kept one has already, or rows.
func (r *Restorer) builds(n engine.Name, st effects.Statement) bool {
	return orders(st, n, "insert into", "merge into", "copy") || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		switch e.Kind {
		case effects.Comment, effects.Grant, effects.Read, effects.Update, effects.Delete, effects.Session, effects.Maintenance:
			return false
		}
		return r.s.sameName(e.Table.Name, n.Name) && (e.Table.Schema == "" || e.Table.Schema == n.Schema)
	})
}

// reads tells whether a statement may need the rows of a table.
func (r *Restorer) reads(n engine.Name, st effects.Statement) bool {
	harmless := !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		switch e.Kind {
		case effects.CreateTable:
			return e.Define == nil || e.Define.AsSelect
		case effects.AddColumn, effects.Comment, effects.Grant, effects.SetDefault, effects.DropDefault, effects.Session:
			return false
		case effects.Create:
			return e.Object.Kind != "index"
		}
		return true
	})
	opaque := slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Opaque })
	return opaque || !harmless && strings.Contains(strings.ToLower(st.SQL), strings.ToLower(n.Name))
}

// gone tells whether the run that was cut off, and that this one carries on, moved a kept table to its place already.
func (r *Restorer) gone(ctx context.Context, x *restoring) bool {
	return r.recalled && !r.s.db.Caps.TransactionalDDL && r.s.missing(ctx, r.s.db, r.s.db.Own(x.data()))
}

// swap moves a kept table to its place, where t stands now; false when it has to be copied instead.
func (r *Restorer) swap(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) (bool, error) {
	s := r.s
	if !s.db.Caps.TransactionalDDL {
		return r.swapApart(ctx, x, t)
	}
	k := s.keeper()
	if k == nil || !sameColumns(x.Shape, t) {
		return false, nil
	}
	if err := s.sound(ctx, tx, x.capture); err != nil {
		return false, err
	}
	back := false
	err := s.within(ctx, tx, "dbrollback_back", true, func() error {
		return s.pinned(ctx, tx, func() error {
			rows, err := number(ctx, tx, "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+s.f.from(s.db, t)+" LIMIT 1) x")
			if err != nil || rows > 0 {
				return err
			}
			orphans, err := r.orphaned(ctx, tx, x)
			if err != nil || orphans {
				return err
			}
			back = true
			return k.back(ctx, tx, x.capture, t)
		})
	})
	if _, server := engine.AsError(err); server && ctx.Err() == nil || errors.Is(err, errGivesWay) {
		return false, nil // something is bound to the table that stands there
	}
	return back && err == nil, err
}

// errGivesWay: a kept table cannot simply take a place.
var errGivesWay = errors.New("the kept table cannot take this place")

// sameColumns tells whether two tables have the same columns, in whatever order. A partition lies aside as a table.
func sameColumns(a, b *engine.Table) bool {
	a = withoutAside(a, b) // what is kept for another rollback goes along
	plain := func(t *engine.Table) bool { return t.Kind == "table" || t.Kind == "partition" }
	if len(a.Columns) != len(b.Columns) || a.Kind != b.Kind && !(plain(a) && plain(b)) {
		return false
	}
	for _, x := range a.Columns {
		i := columnIndex(b, x.Name)
		if i < 0 {
			return false
		}
		y := b.Columns[i]
		if x.Type != y.Type || x.Generated != y.Generated || x.Collation != y.Collation || x.Identity != y.Identity || x.Generated && x.Default != y.Default {
			return false
		}
	}
	return true
}

// orphaned tells whether a kept table has rows whose parents are gone.
func (r *Restorer) orphaned(ctx context.Context, tx engine.Querier, x *restoring) (bool, error) {
	s := r.s
	for _, fk := range x.Shape.ForeignKeys {
		if !fk.Validated || fk.Parent == x.At || len(fk.Columns) != len(fk.ParentColumns) {
			continue
		}
		parent := ""
		for _, y := range r.pendingKept() {
			if y.Home == fk.Parent {
				parent = s.own(y.data())
			}
		}
		if parent == "" {
			t, err := r.inspect(ctx, tx, fk.Parent)
			if err != nil {
				return false, err
			}
			if t == nil {
				return true, nil // where its rows come from is for those to tell that put rows back one by one
			}
			parent = s.db.Quote(t.Name)
		}
		var on, set []string
		for i, c := range fk.Columns {
			on = append(on, fmt.Sprintf("p.%s = c.%s", s.q(fk.ParentColumns[i]), s.q(c)))
			set = append(set, "c."+s.q(c)+" IS NOT NULL")
		}
		n, err := number(ctx, tx, "look for parents", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s) LIMIT 1) x",
			s.own(x.data()), all(set...), parent, all(on...)))
		if err != nil || n > 0 {
			return true, err
		}
	}
	return false, nil
}

// withoutAside gives a without the columns that lie aside and that b has none of.
func withoutAside(a, b *engine.Table) *engine.Table {
	out := *a
	out.Columns = slices.DeleteFunc(slices.Clone(a.Columns), func(c engine.Column) bool { return engine.Aside(c.Name) && columnIndex(b, c.Name) < 0 })
	return &out
}
