package snapshot

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Meta says for whom captures are made.
type Meta struct {
	Run, Direction, CreatedBy, Release string
	Migration                          int64
	Expires                            *time.Time
	Snapshot                           string               // the id to go on under; "" for a new one
	First                              bool                 // the migration never ran in either direction: it has no captures
	Statements                         []effects.Statement  // all of the run, as far as the caller knows them
	Opposite                           *[]effects.Statement // all that the opposite direction will run; nil: not known
	// Instead: run executes what Capturer.Instead gives, when that is not "", in place of the statement. Where a DROP TABLE cannot
	// be taken back, tables are kept only so.
	Instead bool
	Steps   bool // each statement is there for good when it has run
}

// Capturer makes the captures of one migration in one direction, all in the migration's transaction.
type Capturer struct {
	s         *Store
	meta      Meta
	id        string
	captures  []*capture
	track     *tracker
	whole     map[string]bool     // tables without a key that are captured already, by identity
	last      shapes              // names at the end, once they are read
	ready     bool                // the catalog is there
	written   map[string][]string // texts of the user's routines at the end, once they are read
	sealed    bool
	statement int    // the one under way
	instead   string // what run is to execute in place of the statement
	stood     []Sequence
	moment    time.Time // of all captures, when they are of one; zero: each has its own
	// All effects of the statement at hand, and what to watch; see Ahead.
	effects  []effects.Effect
	watching func(context.Context, engine.Querier) Watch
	tell     func(context.Context, engine.Querier) error // see Sealed
	looked   map[engine.Name]*engine.Table               // see looking
	pending  []effects.Effect                            // of the statement at hand, until it has run
	past     []effects.Statement                         // that a run which was cut off came through
	restorer *Restorer                                   // of the captures that the run puts back; see Restorer.Record
	trails   []*capture                                  // see trail.go
	among    bool                                        // captures of now are followed through what is written at the moment; see amid
	writing  bool                                        // rows go back, and what is captured with them is sealed when all have; see amid
	unsealed []*capture                                  // of that
	refill   bool                                        // what is written goes back from captures of an earlier rollback; see refill.go
}

// Begin starts the captures of one migration in one direction. Nothing is written before the first capture.
func (s *Store) Begin(m Meta) *Capturer {
	if m.Snapshot == "" {
		m.Snapshot = newID()
	}
	c := &Capturer{s: s, meta: m, id: m.Snapshot, track: &tracker{s: s, up: m.Direction == "up", loosely: map[string]bool{}}, whole: map[string]bool{}}
	s.joined = c.involved
	return c
}

// Snapshot is the id that all captures of this migration share.
func (c *Capturer) Snapshot() string { return c.id }

// Captures lists the captures made so far.
func (c *Capturer) Captures() []Info {
	out := make([]Info, 0, len(c.captures))
	for _, x := range c.captures {
		if !x.Relay {
			out = append(out, x.Info)
		}
	}
	return out
}

// Accept says whether the author of the next statement accepts that what no capture can hold, as the rows of a virtual table, is lost.
func (c *Capturer) Accept(loss bool) { c.track.loses = loss }

// Statement runs a statement under the protection of its captures: it locks the tables that the statement can write,
// captures what the statement is about to destroy or has the engine record it, calls run, and makes sure that
// nothing else was touched. A statement whose effects cannot be named is rehearsed first. n is the statement's number.
//
// The transaction must be rolled back when it returns an error.
func (c *Capturer) Statement(ctx context.Context, tx engine.Querier, n int, st effects.Statement, run func() error) error {
	c.statement = n
	look := tx
	if !c.s.db.Caps.TransactionalDDL {
		// A first look at the catalog in the transaction would fix what it sees, and a table of ours that is made after could
		// not be used in it.
		look = c.s.db
	}
	var err error
	if st.Effects, err = c.s.normal(ctx, look, st.Effects); err != nil {
		return err
	}
	if st.Effects, err = c.s.filled(ctx, look, st.Effects); err != nil {
		return err
	}
	c.note(st)
	if err := c.track.before(ctx, look, st.Effects); err != nil {
		return err
	}
	if c.track.origin == nil && c.restorer != nil && c.bySteps() { // what goes back is to be followed
		if err := c.track.read(ctx, look); err != nil {
			return err
		}
	}
	c.track.unkey(st.Effects, c.keyed(ctx, look))
	if c.track.origin == nil {
		return run()
	}
	if err := c.standIns(ctx, n, st.Effects); err != nil {
		return err
	}
	if c.s.f.unseen != nil && !c.track.loses {
		if err := c.s.f.unseen(ctx, tx, c, st); err != nil {
			return err
		}
	}
	if err := c.arrivals(ctx, tx, n, st.Effects); err != nil {
		return err
	}
	p, err := c.planned(ctx, look, st, run)
	if err != nil {
		return err
	}
	if p.stepped, err = c.step(ctx, tx, st, p); err != nil {
		return err
	}
	if err := c.protected(ctx, tx, n, p, st, run); err != nil {
		return err
	}
	return c.stepped(ctx, tx, p.stepped)
}

// protected runs a statement that is planned.
func (c *Capturer) protected(ctx context.Context, tx engine.Querier, n int, p *plan, st effects.Statement, run func() error) (err error) {
	c.pending = st.Effects
	guard := c.guarded
	p.alone = !c.s.db.Caps.TransactionalDDL && (st.ImplicitCommit || p.alone)
	if err := c.steads(ctx, p); err != nil {
		return err
	}
	if p.follows, err = c.concerned(ctx, p); err != nil {
		return err
	}
	if done, err := c.keepsColumns(ctx, tx, n, p, run); err != nil || done {
		return err
	}
	if dropsNothing(st.Effects, p) { // LOCK TABLES would keep the server from finding that out
		p.follows = nil
	}
	if p.alone && len(p.actions)+len(p.follows) > 0 {
		guard, p.beside = c.underLock, beside(st.Effects)
		if keep, err := c.renames(ctx, tx, n, p, st); err != nil {
			return err
		} else if keep {
			guard = c.renamed
		}
	}
	if err := guard(ctx, tx, n, p, run); err != nil {
		return err
	}
	c.ran()
	if err := c.leftPlaces(ctx, tx, n, p.left); err != nil {
		return err
	}
	return c.known(ctx, tx, st.Effects)
}

// ran follows what the statement at hand renamed and removed, once it has run.
func (c *Capturer) ran() {
	c.track.after(c.pending, c.s.db.Kind != engine.Postgres)
	c.ranOver(c.pending)
	c.pending = nil
}

// planned plans a statement and locks what it needs. Tables are read before the lock: what someone changed about one of
// them while the lock was waited for is planned again.
func (c *Capturer) planned(ctx context.Context, tx engine.Querier, st effects.Statement, run func() error) (*plan, error) {
	for try := 1; ; try++ {
		p, err := c.s.plan(ctx, tx, c.track, st.Effects, false)
		if err != nil {
			return nil, err
		}
		if len(p.opaque) > 0 {
			if !c.s.db.Caps.TransactionalDDL {
				return nil, &LossError{Object: p.opaque[0], Reason: "what it does cannot be known before it runs, and nothing could take a trial back on this server",
					Hint: "name the tables that it may change in the migration: -- +dbrollback affects: orders, customers"}
			}
			seen, err := c.s.Rehearse(ctx, tx, run)
			if err != nil {
				return nil, err
			}
			if err := c.intact(ctx, tx, seen.Shortened); err != nil {
				return nil, err
			}
			if err := c.merge(ctx, tx, p, st.Effects, seen.Effects); err != nil {
				return nil, err
			}
		}
		if err := c.possible(ctx, tx, p); err != nil {
			return nil, err
		}
		if len(p.actions) == 0 {
			return p, nil
		}
		same := true
		if err := c.s.pinned(ctx, tx, func() error { return c.lock(ctx, tx, p.actions) }); err != nil {
			return nil, err
		}
		for _, a := range p.actions {
			t, err := c.s.inspect(ctx, tx, c.track, a.table.Name)
			if errors.Is(err, engine.ErrNoTable) {
				same = false
				break
			}
			if err != nil {
				return nil, err
			}
			t.Rows, t.Bytes = a.table.Rows, a.table.Bytes
			same = !c.track.adopts(t, a.table) && same && reflect.DeepEqual(t, a.table)
		}
		if same {
			return p, nil
		}
		if try == 5 {
			return nil, fmt.Errorf("the tables of the statement keep changing: %w", errBusy)
		}
	}
}

// possible takes out what only records inserted rows where the session may not watch the table: nothing is lost by that.
// What would lose something is captured by comparing the whole table before and after.
func (c *Capturer) possible(ctx context.Context, tx engine.Querier, p *plan) error {
	if c.s.f.choose != nil {
		return c.s.f.choose(ctx, c, tx, p)
	}
	var left []*action
	for _, a := range p.actions {
		if a.observed() {
			can, err := c.s.f.observable(ctx, tx, a.table)
			if err != nil {
				return err
			}
			if !can && !a.lossy {
				continue
			}
			if !can {
				a.events, a.columns, a.moved, a.chain, a.reduce = events{}, nil, false, false, true
			}
		}
		left = append(left, a)
	}
	p.actions = left
	return nil
}

// errBusy: other sessions alter the tables that a statement needs.
var errBusy = errors.New("other sessions alter them")

// origins makes sure that the names of everything are known.
func (c *Capturer) origins(ctx context.Context, tx engine.Querier) error {
	if c.track.origin != nil {
		return nil
	}
	return c.track.read(ctx, tx)
}

// merge adds what a rehearsal showed to a plan.
func (c *Capturer) merge(ctx context.Context, tx engine.Querier, p *plan, said, seen []effects.Effect) error {
	w := &planner{s: c.s, q: tx, track: c.track, plan: *p, tables: map[engine.Name]*engine.Table{}, seen: true, drops: drops(said)}
	for _, e := range seen {
		if err := w.effect(ctx, e); err != nil {
			return err
		}
	}
	*p = w.plan
	return nil
}

// guarded carries out a plan around a statement.
func (c *Capturer) guarded(ctx context.Context, tx engine.Querier, n int, p *plan, run func() error) error {
	kept, err := c.aside(ctx, tx, n, p, run)
	if err != nil {
		return err
	}
	if err := c.compareBags(ctx, tx, p); err != nil {
		return err
	}
	actions := slices.DeleteFunc(slices.Clone(p.actions), func(a *action) bool {
		if a.kind == Kept {
			return true // it is out of the way
		}
		return !c.anew(p, a)
	})
	made := kept
	stop := func(context.Context) error { return nil }
	check := stop
	err = c.s.pinned(ctx, tx, func() error {
		var watched []*capture
		for _, a := range actions {
			x, err := c.start(ctx, tx, n, a)
			if err != nil {
				return err
			}
			made = append(made, x)
			if x.events != (events{}) {
				watched = append(watched, x)
			}
		}
		var err error
		if len(watched) > 0 {
			if stop, err = c.s.d.observe(ctx, tx, watched); err != nil {
				return err
			}
		}
		if len(p.opaque) > 0 {
			check, err = c.watchOthers(ctx, tx, p.actions)
		}
		return err
	})
	if err != nil {
		return err
	}
	answer, err := c.ask(ctx, tx, p, made)
	if err != nil {
		return err
	}
	if len(p.follows) > 0 {
		if err := c.s.pinned(ctx, tx, func() error { return c.before(ctx, tx, p.follows) }); err != nil {
			return err
		}
	}
	if err := run(); err != nil {
		return errors.Join(err, c.startClock(ctx, tx, p))
	}
	if len(made)+len(p.opaque)+len(p.follows)+len(p.spelt) == 0 {
		return nil
	}
	if d, ok := c.s.d.(interface {
		deferred(context.Context, engine.Querier) error
	}); ok && len(p.opaque) > 0 {
		if err := d.deferred(ctx, tx); err != nil {
			return err
		}
	}
	if err := answer(ctx); err != nil {
		return err
	}
	return c.s.pinned(ctx, tx, func() error {
		if err := stop(ctx); err != nil {
			return err
		}
		if err := check(ctx); err != nil {
			return err
		}
		if made, err = c.keep(ctx, tx, made); err != nil {
			return err
		}
		return c.after(ctx, tx, p, made)
	})
}

// start makes room for a capture and copies what is not watched.
func (c *Capturer) start(ctx context.Context, tx engine.Querier, n int, a *action) (*capture, error) {
	if a.observed() || a.named != nil {
		x, err := c.prepare(ctx, tx, n, a)
		if err != nil {
			return nil, err
		}
		return x, c.momentary(ctx, tx, x, a.table)
	}
	x, err := c.describe(ctx, tx, n, a)
	if err == nil {
		err = c.momentary(ctx, tx, x, a.table)
	}
	if err != nil {
		return nil, err
	}
	if len(x.Key) == 0 {
		c.whole[identity(a.table)] = true
	}
	if d, ok := c.s.d.(copier); ok {
		x.Rows, err = d.copied(ctx, tx, x)
		return x, err
	}
	if err := c.s.room(ctx, tx, x); err != nil {
		return nil, err
	}
	return x, c.copy(ctx, tx, x)
}

// copier is an engine that makes the data table of a copy and fills it in one statement, faster than in two. What it makes is what
// room makes, and it returns the number of rows.
type copier interface {
	copied(ctx context.Context, q engine.Querier, x *capture) (int64, error)
}

// lock keeps writers out of the tables of a plan, in an order that is the same for everyone.
func (c *Capturer) lock(ctx context.Context, tx engine.Querier, actions []*action) error {
	if len(actions) == 0 {
		return nil
	}
	sorted := slices.Clone(actions)
	slices.SortFunc(sorted, func(a, b *action) int { return strings.Compare(a.table.Name.String(), b.table.Name.String()) })
	for _, strong := range []bool{true, false} {
		var tables []*engine.Table
		for _, a := range sorted {
			if a.strong == strong {
				tables = append(tables, a.table)
			}
		}
		if len(tables) == 0 {
			continue
		}
		if err := c.s.d.lock(ctx, tx, tables, strong); err != nil {
			return fmt.Errorf("lock before capture: %w", err)
		}
	}
	return nil
}

// at is the moment of a capture.
func (c *Capturer) at() time.Time {
	if !c.moment.IsZero() {
		return c.moment
	}
	return time.Now().UTC().Truncate(time.Microsecond)
}

// key picks what identifies a row: the first key, if possible one that survives the statement.
func (c *Capturer) key(a *action) []string {
	if len(a.table.Keys) == 0 {
		return nil
	}
	if a.key != nil {
		return a.key
	}
	if a.kind != Columns && a.kind != KeptColumns || a.columns == nil {
		return a.table.Keys[0].Columns
	}
	for _, k := range a.table.Keys {
		if !slices.ContainsFunc(k.Columns, func(name string) bool { return slices.Contains(a.columns, name) }) {
			return k.Columns
		}
	}
	if a.reason == string(effects.DropColumn) {
		return nil // no key survives
	}
	return a.table.Keys[0].Columns
}

func columnIndex(t *engine.Table, name string) int {
	return slices.IndexFunc(t.Columns, func(c engine.Column) bool { return c.Name == name })
}

// field describes how a column is captured.
func (c *Capturer) field(t *engine.Table, col engine.Column) field {
	f := c.s.kept(col)
	f.Name, f.Num, f.Exact, f.Made = c.track.homeColumn(t, col), columnIdentity(t, col), col.Collation != "", c.track.madeColumn(t, col)
	return f
}

// copy captures all rows of a table as they are.
func (c *Capturer) copy(ctx context.Context, tx engine.Querier, x *capture) error {
	return c.s.fill(ctx, tx, x, x.live)
}

// fill copies all rows of a table into a capture of it.
func (s *Store) fill(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) error {
	names, _ := x.columns()
	locking, part := s.f.locking, ""
	if x.parts != nil {
		part = " PARTITION (" + s.db.Idents(x.parts) + ")"
	}
	if x.suffix != "" {
		locking = "" // the table itself is locked
	}
	rows, err := exec(ctx, tx, "capture "+x.At.String(), "INSERT INTO "+s.own(x.data())+" ("+list(names)+") SELECT "+list(s.read(x))+
		" FROM "+s.live(x, t)+part+locking)
	x.Rows = rows
	return err
}

// read gives what columns of a capture of all rows hold, from the live table.
func (s *Store) read(x *capture) []string {
	var values []string
	if x.Ops {
		values = append(values, "'u'")
	}
	for _, f := range slices.Concat(x.Key, x.Fields, x.Pairs) {
		values = append(values, s.f.value(x.t()+"."+s.q(f.At), f))
	}
	return values
}

// keep enters captures into the catalog; those that turned out empty are dropped again. It returns what became of them.
func (c *Capturer) keep(ctx context.Context, tx engine.Querier, made []*capture) ([]*capture, error) {
	var kept []*capture
	for _, x := range made {
		if err := c.settle(ctx, tx, x); err != nil {
			return nil, err
		}
		if x.trail && x.Rows > 0 && !x.Still {
			c.trails = append(c.trails, x)
			continue
		}
		if x.trail || x.Rows == 0 && x.Kind == Rows && len(x.Key) > 0 {
			if err := c.s.drop(ctx, tx, "drop an empty capture", c.s.own(x.data())); err != nil {
				return nil, err
			}
			continue
		}
		moments, err := c.sift(ctx, tx, x)
		if err != nil {
			return nil, err
		}
		for _, x := range []*capture{moments, x} { // undone the other way round: rows that are gone come back with all their values
			if x == nil {
				continue
			}
			if err := c.record(ctx, tx, x); err != nil {
				return nil, err
			}
			kept = append(kept, x)
		}
	}
	return kept, nil
}

// record numbers a capture and writes its row.
func (c *Capturer) record(ctx context.Context, tx engine.Querier, x *capture) error {
	x.position = 2 * (len(c.captures) + 1)
	for _, y := range slices.Backward(c.captures) {
		if y.Stands && !x.Stands && y.Home == x.Home && x.Kind == Table { // what the table was counts before what stood in its place; see away.go
			x.position = min(x.position, y.position-1)
		}
	}
	c.captures = append(c.captures, x)
	return c.s.insert(ctx, tx, x, c.meta)
}

// settle brings an observed or reduced capture into its final form: one entry a row.
func (c *Capturer) settle(ctx context.Context, tx engine.Querier, x *capture) error {
	switch {
	case x.reduce || x.named != nil && x.named.cascade:
		if err := c.reduce(ctx, tx, x); err != nil {
			return err
		}
		if x.New { // what became of other rows is told by the capture of the table whose place it has
			if _, err := exec(ctx, tx, "reduce the capture of "+x.At.String(), "DELETE FROM "+c.s.own(x.data())+" WHERE op <> 'i'"); err != nil {
				return err
			}
		}
	case x.named != nil:
	case x.events == (events{}):
		return nil
	case x.chain:
		if err := c.unchain(ctx, tx, x); err != nil {
			return err
		}
	}
	if x.Moved {
		var same []string
		for i := range x.Key {
			same = append(same, k(i)+" = "+o(i))
		}
		moved, err := number(ctx, tx, "count moved keys", fmt.Sprintf("SELECT count(*) FROM %s WHERE op = 'u' AND NOT (%s)", c.s.own(x.data()), all(same...)))
		if err != nil {
			return err
		}
		x.Still = moved == 0
	}
	rows, err := number(ctx, tx, "count captured rows", "SELECT count(*) FROM "+c.s.own(x.data()))
	if err != nil {
		return err
	}
	x.Rows = rows
	return nil
}

// dropsNothing tells of a statement that drops tables if they are there, when none of them is.
func dropsNothing(es []effects.Effect, p *plan) bool {
	return len(p.actions) == 0 && !slices.ContainsFunc(es, func(e effects.Effect) bool { return e.Kind != effects.DropTable || !e.IfExists }) &&
		!slices.ContainsFunc(p.follows, func(f *following) bool { return f.t != nil })
}
