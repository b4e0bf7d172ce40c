package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// RemovedByDown is the reason of a conflict about a row that the opposite direction itself has removed, and has captured before.
const RemovedByDown = "deleted by the migration"

// Other reasons of conflicts.
const (
	changedSince  = "changed since"
	deletedSince  = "deleted since"
	insertedSince = "inserted since"
	valueTaken    = "unique value taken"
	parentGone    = "parent deleted"
	usedSince     = "referenced since"
	noRow         = "the row is not there"
	// Of a bystander, which is no conflict: others changed or removed it since, and the opposite direction may do with it what it does.
	letBe     = "let be"
	letBeGone = "let be, gone"
)

// Restorer puts the captures of one migration in one direction back while the opposite direction runs, in the same
// transaction: Check before it, Place after each of its statements, Finish after the last.
type Restorer struct {
	s        *Store
	snapshot string
	captures []*restoring // oldest first
	checked  bool
	report   map[engine.Name]*TableReport
	order    []engine.Name
	notes    []string
	stray    map[stray]int64        // rows that come back and point to rows that are not there, and did so when they were captured
	bare     bool                   // there is no transaction in which something could be tried
	collided map[*restoring][]int64 // entries of which writing has shown that their unique values are taken; nil: nobody asks
	capturer *Capturer              // of the run that puts the captures back; see Record
	// Of an up that puts back what a rollback took; see returned.
	returning *Capturer
	severed   []*severed // see severed.go
	left      []*capture // and of what it has removed; see leaving
	won       []Conflict
	// The statements that run while the captures go back; whether they are known.
	statements []effects.Statement
	run        []effects.Statement // the same, with those that a run which was cut off came through
	relays     []*restoring        // captures that are only looked at
	told       bool
	recalled   bool   // by Recall: the captures are on their way back in a run that was cut off
	single     bool   // one capture alone is being put in its place
	settled    int    // number of the statement after which captures were last put back early
	online     *Waits // which captures may go back later; nil: none
	Steps      bool   // others may write between the statements that run meanwhile
	// Own, where it is set, tells whether rows of a table may be the migration's, and not be known as such.
	Own func(engine.Name) bool
	// Passing, where it is set, names the foreign keys that a table has for now, and is not to have in the end: no row stays out because of them.
	Passing func(ctx context.Context, q engine.Querier, t engine.Name) (map[string]bool, error)
	passed  map[engine.Name]map[string]bool // those that were found so far
	// Stricter, where it is set, tells whether a table that was made anew has constraints for now that it is not to have in the end.
	Stricter func(ctx context.Context, q engine.Querier, t engine.Name) (bool, error)
}

// Record names the captures of the run that puts these back. What is put back before the run's last statement takes the place of
// values that a statement still to come would capture: those are captured through c first.
func (r *Restorer) Record(c *Capturer) {
	r.capturer, c.restorer = c, r
	for _, x := range r.tables() {
		m, after := x.moving, 0
		if m == nil {
			m = x.follower()
		} else {
			after = m.Seal.After
		}
		for n, st := range c.past { // what it did to the rows of its last moments was not written down
			x.lost = x.lost || n+1 > after && slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return !leavesRows(e) && c.concerns(e, m) })
		}
		if x.lost {
			x.moving = nil
		}
	}
}

// restoring is a capture on its way back.
type restoring struct {
	*capture
	work       bool              // its table of conflicts exists
	table      string            // identity of the table that stood in its place when last looked at; "" for none
	columns    map[string]string // identities of its columns then
	types      map[string]string // of the columns of the table in which it was sealed, when Check compared it
	cleared    bool              // rows that it inserted are gone, keys that it moved are back
	landed     bool              // Down moved the keys back itself
	back       bool              // a kept table has taken its place again
	final      string            // table of the keys that its rows had in the beginning, when captures of its table moved keys
	late       []string          // columns that came back while its rows were not under their keys yet
	remade     []string          // columns that Down made again, and that got their values also in rows in conflict
	bag        *bag              // of a table without a key
	speaks     []*restoring      // of it: older captures, whose rows stand under their keys only where those of this one do
	renumbered bool              // one of them: rows in conflict may stand under other keys
	unheld     int64             // of it: rows that the migration inserted and that were changed since, which no captured row stands for
	wrote      bool              // something of it was put back where it was sealed
	placed     bool              // all that was gone of it was put back when its place came back
	behind     int               // of placed: the number of the statement before that
	into       map[string]string // of placed, by steps: the types of the columns by then
	anew       bool              // all of it was put back where its columns were made again: it is only written once more when the proof fails
	uncount    bool              // the rows that this changed are counted with the proof
	alone      bool              // rows of a table without a key were put into an empty table: whatever stands there is theirs
	numbered   bool              // rows of a table without a key are back: also what they are known by for now
	settled    bool              // it was put back early, because a constraint needed it
	held       bool              // and is followed since
	moving     *capture          // its seal as it follows the statements of this run; nil: as the capture has it
	lost       bool              // it could not be followed
	ties       string            // table: what ties others to those of its rows that were changed or deleted since; see relay.go
	at         string            // condition on where the row t of an entry d of op u stands, until rows of the table are written; "" where that is not known
	later      *Later            // its values go back when the migration is through
	spared     bool              // Down's own capture of rows that are the application's; see spared.go
	births     *bool             // it has rows that the migration inserted; nil: not asked yet
	onward     bool              // it goes into a table as it is now: columns may have other types than when they were captured
}

// Report says what Finish did.
type Report struct {
	Tables    []TableReport
	Conflicts []Conflict
	Later     []Later `json:",omitempty"` // values that are still to be put back
	Verified  bool    // every captured row that is no conflict was found byte-equal in its place after the last write
	Notes     []string
}

// Restorer finds the captures that belong to the latest run of a migration in a direction; nil when there are none.
func (s *Store) Restorer(ctx context.Context, tx engine.Querier, migration int64, direction string) (*Restorer, error) {
	if _, err := s.db.Resolve(ctx, tx, s.catalog); errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a := s.db.Arg
	rows, err := s.load(ctx, tx, fmt.Sprintf(`snapshot_id = (SELECT max(snapshot_id) FROM %s WHERE migration = %s AND direction = %s AND status = %s) AND status = %s`,
		s.db.Quote(s.catalog), a(1), a(2), a(3), a(4)), migration, direction, statusComplete, statusComplete)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	r := &Restorer{s: s, snapshot: rows[0].Snapshot, report: map[engine.Name]*TableReport{}}
	for _, x := range rows {
		if x.Relay {
			r.relays = append(r.relays, &restoring{capture: x.capture})
			continue
		}
		r.captures = append(r.captures, &restoring{capture: x.capture})
	}
	s.joined = r.involved
	return r, nil
}

// Snapshot is the id of the captures.
func (r *Restorer) Snapshot() string { return r.snapshot }

// Captures lists the captures, oldest first.
func (r *Restorer) Captures() []Info {
	out := make([]Info, 0, len(r.captures))
	for _, x := range r.captures {
		out = append(out, x.Info)
	}
	return out
}

// NoPlace is what to say when a table that was dropped with all its rows is not made again; nil for one that was not.
func (r *Restorer) NoPlace(table engine.Name) error {
	for _, x := range r.captures {
		if x.drops(table) {
			return &PlaceError{Table: table, Rows: x.Rows}
		}
	}
	return nil
}

// Definitions gives the definitions that were stored with Capturer.Definitions, oldest first.
func (r *Restorer) Definitions() []verify.Object {
	var out []verify.Object
	for _, x := range r.captures {
		out = append(out, x.Objects...)
	}
	return out
}

// tables are the captures that are put back row by row, without those that wait until the migration is through.
func (r *Restorer) tables() []*restoring {
	return slices.DeleteFunc(slices.Clone(r.captures), func(x *restoring) bool { return x.Kind == Definition || x.Kind.Stays() || x.later != nil })
}

// of gives the report of a table.
func (r *Restorer) of(n engine.Name) *TableReport {
	if r.report[n] == nil {
		r.report[n] = &TableReport{Table: n.String()}
		r.order = append(r.order, n)
	}
	return r.report[n]
}

// inspect reads a table; nil when there is none that rows could be put into.
func (r *Restorer) inspect(ctx context.Context, tx engine.Querier, n engine.Name) (*engine.Table, error) {
	if n.Name == "" {
		return nil, nil
	}
	t, err := r.s.db.Inspect(ctx, tx, n)
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", n, err)
	}
	if t.Kind == "view" || t.Kind == "materialized view" || t.Kind == "foreign" || t.Kind == "temporary" || t.Kind == "virtual" {
		return nil, nil
	}
	return t, nil
}

// Check finds out which places were written since they were sealed. It comes before the opposite direction runs, takes
// the locks that keep the answer true, and writes nothing of the user's.
func (r *Restorer) Check(ctx context.Context, tx engine.Querier) error {
	if r.checked {
		return nil
	}
	r.checked = true
	if err := r.undamaged(ctx, tx); err != nil {
		return err
	}
	if err := r.columnsOccupied(ctx, tx); err != nil {
		return err
	}
	if err := r.occupied(ctx, tx); err != nil {
		return err
	}
	live := map[engine.Name]*engine.Table{}
	var weak, strong []*engine.Table
	for _, x := range r.tables() {
		for _, n := range []engine.Name{x.Seal.Table, x.Home} {
			if _, ok := live[n]; ok || n.Name == "" {
				continue
			}
			t, err := r.inspect(ctx, tx, n)
			if err != nil {
				return err
			}
			live[n] = t
			if t == nil {
				continue
			}
			if x.Kind == Rows {
				weak = append(weak, t)
			} else {
				strong = append(strong, t)
			}
		}
	}
	for i, tables := range [][]*engine.Table{strong, weak} { // the stronger first, so that no lock is upgraded
		if len(tables) == 0 {
			continue
		}
		if err := r.s.d.lock(ctx, tx, distinct(tables), i == 0); err != nil {
			return fmt.Errorf("lock before rollback: %w", err)
		}
	}
	return r.s.pinned(ctx, tx, func() error {
		all := r.tables()
		for i := len(all) - 1; i >= 0; i-- {
			x := all[i]
			home := live[x.Home]
			x.look(home)
			t := live[x.Seal.Table]
			if x.Seal.Mode == sealAbsent && x.Seal.Table.Name == "" {
				t = home
			}
			if t != nil && r.bySteps() {
				x.types = map[string]string{}
				for _, col := range t.Columns {
					x.types[strings.ToLower(col.Name)] = col.Type
				}
			}
			if err := r.compare(ctx, tx, x, t); err != nil {
				return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
			}
			if err := r.renumbered(ctx, tx, x, all[:i]); err != nil {
				return err
			}
			if err := r.writtenUnder(ctx, tx, x, all[i+1:]); err != nil {
				return err
			}
			if err := r.computed(ctx, tx, x, t); err != nil {
				return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
			}
			if err := r.reused(ctx, tx, x, t, all[:i]); err != nil {
				return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
			}
			if x.work && x.Moved {
				if err := r.spread(ctx, tx, x, all[:i]); err != nil {
					return err
				}
			}
			if err := r.finals(ctx, tx, x, all[:i]); err != nil {
				return err
			}
			if err := r.goals(ctx, tx, x, t); err != nil {
				return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
			}
			if err := r.occupiedSince(ctx, tx, x, t); err != nil {
				return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
			}
		}
		return r.tie(ctx, tx)
	})
}

// undamaged makes sure that what is to go back is what was captured. Nobody waits for it: no lock is held yet, and captured rows never change.
func (r *Restorer) undamaged(ctx context.Context, tx engine.Querier) error {
	if !r.s.db.Caps.TransactionalDDL { // a transaction that has read it would keep it from being indexed; see mysql_rewrite.go
		tx = r.s.db
	}
	for _, x := range r.tables() {
		if x.Checksum == "" { // the run that captured it was cut off before it was summed
			continue
		}
		sum, err := r.s.checksum(ctx, tx, x.capture)
		if err != nil {
			return fmt.Errorf("verify the capture of %s: %w", x.Home, err)
		}
		if why := x.damage(sum); why != "" {
			return &DamagedError{Verification{Info: x.Info, Reason: why}}
		}
	}
	return nil
}

// sameKey tells whether the rows of two captures of a table are known by the same columns.
func sameKey(x, y *restoring) bool {
	return x.Home == y.Home && len(x.Key) > 0 && slices.EqualFunc(x.Key, y.Key, func(a, b field) bool { return a.Name == b.Name && a.Decl == b.Decl })
}

// finals works out which keys the rows of a capture had when the migration began, when captures of its table moved keys. Rows that
// the migration itself had inserted before (born) have none, and are not to come back.
func (r *Restorer) finals(ctx context.Context, tx engine.Querier, x *restoring, older []*restoring) error {
	if x.Rows == 0 || len(x.Key) == 0 || !r.moves(x.Home) {
		return nil
	}
	s := r.s
	var names, decls, from []string
	for i, f := range x.Key {
		names, decls, from = append(names, "f"+itoa(i+1)), append(decls, "f"+itoa(i+1)+" "+f.Decl), append(from, x.was("d", i))
	}
	for j := len(older) - 1; j >= 0; j-- {
		m := older[j]
		if !m.Moved && !m.Ops || m.Rows == 0 || !sameKey(x, m) {
			continue
		}
		if x.final == "" {
			x.final = s.own("dbrollback_last_" + compact(x.ID))
			if err := s.make(ctx, tx, "follow keys", x.final, append([]string{"n bigint NOT NULL", "born integer NOT NULL"}, decls...), "n"); err != nil {
				return err
			}
			if _, err := exec(ctx, tx, "follow keys", fmt.Sprintf("INSERT INTO %s (n, born, %s) SELECT d.n, 0, %s FROM %s d", x.final, list(names), list(from), s.own(x.data()))); err != nil {
				return err
			}
		}
		var sets [][2]string
		var on []string
		for i := range x.Key {
			sets = append(sets, [2]string{names[i], "m." + o(i)})
			on = append(on, fmt.Sprintf("m.%s = z.%s", k(i), names[i]))
		}
		if m.Ops {
			if _, err := exec(ctx, tx, "follow keys", s.update(x.final, "z", [][2]string{{"born", "1"}}, s.own(m.data())+" m", "m.op = 'i' AND z.born = 0 AND "+all(on...))); err != nil {
				return err
			}
		}
		if !m.Moved {
			continue
		}
		if _, err := exec(ctx, tx, "follow keys", s.update(x.final, "z", sets, s.own(m.data())+" m", "m.op = 'u' AND z.born = 0 AND "+all(on...))); err != nil {
			return err
		}
	}
	return nil
}

// Renamed looks again what stands in the places of captures, after tables and columns were given the names that they had when
// these were captured: nothing of them is made anew.
func (r *Restorer) Renamed(ctx context.Context, tx engine.Querier) error {
	for _, x := range r.tables() {
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		x.look(t)
	}
	return nil
}

// look remembers what stands in the place of a capture.
func (x *restoring) look(t *engine.Table) {
	x.table, x.columns = "", map[string]string{}
	if t == nil {
		return
	}
	x.table = identity(t)
	for _, c := range t.Columns {
		x.columns[c.Name] = columnIdentity(t, c)
	}
}

// compare fills the work table of a capture with the rows whose places were written since.
func (r *Restorer) compare(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) error {
	return r.compareWhere(ctx, tx, x, t, "")
}

// compareWhere does the same with those entries d that fulfil a condition.
func (r *Restorer) compareWhere(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table, where string) error {
	s := r.s
	if x.Seal.Mode == sealBag {
		return r.compareBag(ctx, tx, x, t)
	}
	if x.Seal.Mode == sealCovered || t == nil && x.Seal.Mode == sealAbsent || x.Rows == 0 || len(x.Key) == 0 {
		return nil
	}
	name := func(i int) string {
		if x.Seal.Key != nil {
			return x.Seal.Key[i]
		}
		return x.Key[i].Name
	}
	data := s.own(x.data())
	notInserted := x.inserted(false)
	var query string
	switch {
	case t == nil && x.Seal.Mode == sealPresent:
		query = fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", deletedSince, data, all(notInserted))
	case t == nil:
		query = fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s s ON s.n = d.n WHERE %s", deletedSince, data, s.own(x.companion()), all(notInserted))
	case x.Seal.Mode == sealPresent:
		query = fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", deletedSince, data, all(notInserted, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)",
			s.f.from(s.db, t), s.on(x.capture, t, "t", "d", name, k))))
	case x.Seal.Mode == sealAbsent:
		query = fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s t ON %s", insertedSince, data, s.f.from(s.db, t),
			s.on(x.capture, t, "t", "d", name, k))
	default:
		columns := []string{"d.n", "s.n AS sealed", "s.h AS hash"}
		if x.Ops {
			columns = append(columns, "d.op")
		}
		columns = append(columns, x.stands("d")...)
		there := "t." + s.q(name(0)) + " IS NOT NULL"
		gone := "t." + s.q(name(0)) + " IS NULL"
		query = fmt.Sprintf("SELECT d.n, CASE WHEN d.sealed IS NULL THEN '%s' WHEN %s THEN '%s' ELSE '%s' END"+
			" FROM (SELECT %s FROM %s d LEFT JOIN %s s ON s.n = d.n) d LEFT JOIN %s t ON %s WHERE (%s) OR (%s) OR (%s)",
			insertedSince, gone, deletedSince, changedSince, list(columns), data, s.own(x.companion()), s.f.from(s.db, t),
			s.on(x.capture, t, "t", "d", name, k),
			all("d.sealed IS NULL", there), all("d.sealed IS NOT NULL", gone, notInserted),
			all("d.sealed IS NOT NULL", there, "d.hash <> "+s.sealHash(x.capture, t, "t", "d")))
	}
	if x.Bystander {
		query = fmt.Sprintf("SELECT b.n, CASE WHEN b.reason = '%s' THEN '%s' ELSE '%s' END FROM (SELECT 0 AS n, '' AS reason FROM %s WHERE 1 = 0 UNION ALL %s) b",
			deletedSince, letBeGone, letBe, data, query)
	}
	if where != "" {
		query = fmt.Sprintf("SELECT q.n, q.reason FROM (SELECT 0 AS n, '' AS reason FROM %s WHERE 1 = 0 UNION ALL %s) q JOIN %s d ON d.n = q.n WHERE %s", data, query, data, where)
	}
	return r.mark(ctx, tx, x, query)
}

// mark adds rows (n, reason) that a query gives to the conflicts of a capture.
func (r *Restorer) mark(ctx context.Context, tx engine.Querier, x *restoring, query string) error {
	_, err := r.marked(ctx, tx, x, query)
	return err
}

// fewRows is how many a capture has at most of which a question is cheaper than a table for the answer that is then empty.
const fewRows = 1000

func (r *Restorer) marked(ctx context.Context, tx engine.Querier, x *restoring, query string) (int64, error) {
	work := r.s.own(x.conflicts())
	if !x.work && r.s.db.Caps.TransactionalDDL && x.Rows <= fewRows {
		if n, err := number(ctx, tx, "look for conflicts", "SELECT count(*) FROM ("+query+") q"); err != nil || n == 0 {
			return 0, err
		}
	}
	if !x.work {
		columns := []string{"n bigint NOT NULL", "reason varchar(40) NOT NULL"}
		if r.s.f.keyed {
			columns = append(columns, "KEY dbrollback_k (n)")
		}
		if err := r.s.make(ctx, tx, "note conflicts", work, columns, ""); err != nil {
			return 0, err
		}
		if err := r.s.search(ctx, tx, x.conflicts(), "n"); err != nil {
			return 0, err
		}
	}
	n, err := exec(ctx, tx, "note conflicts", "INSERT INTO "+work+" (n, reason) "+query)
	if err != nil {
		return 0, err
	}
	if n == 0 && !x.work && r.s.db.Caps.TransactionalDDL {
		return 0, r.s.drop(ctx, tx, "note conflicts", work)
	}
	x.work = true
	return n, nil
}

// spread carries conflicts of a capture that moved keys over to older captures of the same rows: under their old keys
// these rows will not be found when the newer capture leaves them where they are.
func (r *Restorer) spread(ctx context.Context, tx engine.Querier, x *restoring, older []*restoring) error {
	for _, y := range older {
		if !sameKey(x, y) {
			continue
		}
		var on []string
		for i := range y.Key {
			on = append(on, fmt.Sprintf("d.%s = y.%s", x.old(i), k(i)))
		}
		known := ""
		if y.work {
			known = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s z WHERE z.n = y.n)", r.s.own(y.conflicts()))
		}
		if err := r.mark(ctx, tx, y, fmt.Sprintf("SELECT y.n, w.reason FROM %s w JOIN %s d ON d.n = w.n JOIN %s y ON %s WHERE %s",
			r.s.own(x.conflicts()), r.s.own(x.data()), r.s.own(y.data()), all(on...), all("d.op = 'u'", known))); err != nil {
			return err
		}
	}
	return nil
}

// renumbered leaves alone what older captures hold of a table that was made anew, or left, without what its rows were known by, and was written to since: Down gives
// the rows other keys, and what was captured under one of them may be of another row. See underKeys.
func (r *Restorer) renumbered(ctx context.Context, tx engine.Querier, x *restoring, older []*restoring) error {
	if !x.Whole || x.bag == nil {
		return nil
	}
	for _, y := range older {
		if y.Home != x.Home || y.Seal.Mode != sealCovered || y.Rows == 0 || x.bag.same && !y.renumbered {
			continue
		}
		x.speaks = append(x.speaks, y)
		if y.renumbered {
			continue
		}
		y.renumbered = true
		if err := r.mark(ctx, tx, y, fmt.Sprintf("SELECT d.n, '%s' FROM %s d", changedSince, r.s.own(y.data()))); err != nil {
			return err
		}
	}
	return nil
}

// free gives the condition that an entry is no conflict.
func (r *Restorer) free(x *restoring) string { return x.freeAs(r.s, "d") }

// Pending tells whether data waits for a column of a table as it is called now: then the column, when it is made again, cannot be NOT
// NULL from the start. It gives what table and column were called when the migration began, which Down may be about to call them again.
func (r *Restorer) Pending(ctx context.Context, tx engine.Querier, table engine.Name, column string) (home engine.Name, name string, ok bool, err error) {
	began := table // what it was called when Down began
	if r.capturer != nil {
		t, err := r.inspect(ctx, tx, table)
		if err != nil {
			return home, "", false, err
		}
		if t != nil {
			began = r.capturer.track.home(t)
		}
	}
	same := func(a, b engine.Name) bool {
		return a == b || a.Schema == "" && a.Name == b.Name || r.s.db.Kind != engine.Postgres && strings.EqualFold(a.Name, b.Name)
	}
	for _, x := range append(r.tables(), r.pendingColumns()...) {
		if x.Rows == 0 || !same(table, x.Home) && !same(began, x.Seal.Table) {
			continue
		}
		for _, f := range x.Fields {
			if r.s.sameName(f.Name, column) || r.s.sameName(f.At, column) {
				return x.Home, f.Name, true, nil
			}
		}
	}
	return home, "", false, nil
}
